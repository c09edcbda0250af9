/** The way to the control plane, and what it thinks of this agent. */
import { existsSync } from "node:fs";
import { agentStorePath } from "../../core/protocol/agent.ts";
import { agentEnv } from "../../core/protocol/wire.ts";
import { readClaims, readSettings } from "../identity.ts";
import { describeError } from "../log.ts";
import type { Check, DoctorOptions } from "./check.ts";

const timeoutMs = 10_000;
const maxSkewMs = 60_000;

/** Where programs of Debian, Red Hat and Alpine look for the roots of TLS. */
const rootFiles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

export function checkSettings({ env, now = Date.now }: DoctorOptions): Check {
  const base = {
    name: "token",
    essential: true,
    advice: "Start the agent with the line that the dashboard or `soneca adopt` gives.",
  };
  const outcome = readSettings(env);
  if (!outcome.ok) return { ...base, ok: false, found: outcome.message };
  const { instance, epoch } = outcome.settings;
  const expiresAt = readClaims(outcome.tokens.current())?.expiresAt ?? null;
  const who = `${instance}, epoch ${epoch}`;
  if (expiresAt === null) return { ...base, ok: true, found: who };
  const words = `${who}, valid until ${new Date(expiresAt).toISOString()}`;
  return { ...base, ok: expiresAt > now(), found: words };
}

/** Whether it answers, and how far the clocks are apart: two lines of one request. */
export async function checkControlPlane({ env, fetch: ask = fetch, now = Date.now }: DoctorOptions): Promise<Check[]> {
  const url = urlOf(env);
  const base = {
    name: "control plane",
    essential: true,
    advice: `Check ${agentEnv.url} and this machine's way to it.`,
  };
  if (url === "") return [{ ...base, ok: false, found: `${agentEnv.url} is not set` }];
  try {
    const startedAt = performance.now();
    const response = await ask(`${url}/agent/soneca-agent.mjs.sha256`, { signal: AbortSignal.timeout(timeoutMs) });
    await response.body?.cancel();
    const words = `${url} answered ${response.status} in ${Math.round(performance.now() - startedAt)} ms`;
    const reached = { ...base, ok: response.status < 500, found: words };
    return [reached, ...checkClock(response.headers.get("date"), now())];
  } catch (error) {
    return [{ ...base, ok: false, found: `${url}: ${describeError(error)}`, advice: adviceOn(error, url) }];
  }
}

/** HTTP's dates have seconds. */
function checkClock(date: string | null, now: number): Check[] {
  const theirs = Date.parse(date ?? "");
  if (!Number.isFinite(theirs)) return [];
  const skewMs = now - theirs;
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  const found =
    seconds <= 1
      ? "agrees with the control plane"
      : `${seconds} s ${skewMs > 0 ? "ahead of" : "behind"} the control plane`;
  const advice =
    "Times in the log are wrong, and certificates may look invalid. The host sets the clock: put the instance to sleep, and it wakes on another machine.";
  return [{ name: "clock", ok: Math.abs(skewMs) <= maxSkewMs, essential: false, found, advice }];
}

/** What its code says that is wrong: fetch hides it in the causes. */
export function adviceOn(error: unknown, url: string): string {
  const codes: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const code = (at as { code?: unknown }).code;
    codes.push(typeof code === "string" ? code : at.name);
    if (at instanceof AggregateError) codes.push(...at.errors.map((one) => String(one?.code)));
  }
  const has = (pattern: RegExp) => codes.some((code) => pattern.test(code));
  const host = URL.canParse(url) ? new URL(url).host : url;
  if (has(/^(ENOTFOUND|EAI_)/))
    return `The name ${host} is not found: check ${agentEnv.url}, and the name server in /etc/resolv.conf.`;
  if (has(/^(ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL)$/))
    return "This machine has no way to that address: its network is off, or a firewall of the host is in between.";
  if (has(/^ECONNREFUSED$/)) return `Nothing listens at ${host}: check ${agentEnv.url}.`;
  if (has(/^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/))
    return "Its certificate is not valid at the time that this machine's clock shows: compare `date` with a clock.";
  if (has(/CERT|ISSUER|SIGNATURE|TLS|SSL/))
    return "Its certificate is of no root that Node knows: a proxy in between, or one of your own, whose root NODE_EXTRA_CA_CERTS may name.";
  if (has(/TIMEDOUT|Timeout|ECONNRESET|UND_ERR/))
    return "It does not answer in time: a firewall of the host may drop what goes there. Another machine may reach it.";
  return `Check ${agentEnv.url} and this machine's way to it.`;
}

/** The control plane's own word on the token; silent where it cannot be asked. */
export async function checkAdmission({ env, fetch: ask = fetch }: DoctorOptions): Promise<Check[]> {
  const settings = readSettings(env);
  if (!settings.ok) return [];
  const base = { name: "admission", essential: true };
  try {
    const response = await ask(`${urlOf(env)}${agentStorePath}?prefix=manifests/0-`, {
      headers: { authorization: `Bearer ${settings.tokens.current()}` },
      signal: AbortSignal.timeout(timeoutMs),
    });
    const body = (await response.json().catch(() => ({}))) as { error?: { code?: string; message?: string } };
    if (response.ok) return [{ ...base, ok: true, found: "the control plane knows this agent", advice: null }];
    const code = body.error?.code ?? `HTTP ${response.status}`;
    const found = `${code}: ${body.error?.message ?? "no words"}`;
    return [{ ...base, ok: false, found, advice: admissionAdvice[code] ?? "Ask whoever runs the control plane." }];
  } catch {
    return [];
  }
}

const anew = "paste the line that `soneca instance adopt` or the dashboard gives";
const admissionAdvice: Record<string, string> = {
  token_expired: `It was silent for longer than its token lives: ${anew}.`,
  unauthenticated: `The token is of another control plane, or its secret has changed: ${anew}.`,
  epoch_fenced:
    "Another machine owns the workspace by now. What is only here has to be fetched by hand; then end this machine.",
  instance_not_found: `The instance is gone: ${anew}, or end this machine.`,
};

/** Node has roots of its own; other programs here, cloudflared among them, have not. */
export function checkRoots({ env, rootCertificates = rootFiles }: DoctorOptions): Check {
  const found = [env.SSL_CERT_FILE ?? "", ...rootCertificates].find((path) => path !== "" && existsSync(path));
  return {
    name: "TLS roots",
    ok: found !== undefined,
    essential: false,
    found: found ?? "there are none but Node's own",
    advice: "The agent does without; curl, git and cloudflared do not. Install ca-certificates.",
  };
}

function urlOf(env: DoctorOptions["env"]): string {
  return (env[agentEnv.url] ?? "").replace(/\/+$/, "");
}
