/**
 * Cloudflare's REST API, as far as a deployment looks at an account and takes things away from it (ADR 22). Each call ends after
 * 30 s; what may pass (429, 5xx, no connection) is tried again.
 */
import { setTimeout as wait } from "node:timers/promises";
import { DeployError } from "./error.ts";

export const apiBase = "https://api.cloudflare.com/client/v4";

const timeoutMs = 30_000;
const tries = 4;
/** 1,200 calls in five minutes are allowed: then it takes minutes until the next. */
const triesWhenLimited = 8;
const maxWaitMs = 60_000;

interface Envelope {
  success?: boolean;
  errors?: { code?: number; message?: string }[];
  result?: unknown;
  result_info?: { total_pages?: number; is_truncated?: boolean; cursor?: string };
}

export interface Call {
  /** As the dashboard names it, for whoever has to add it to a token. */
  permission: string;
  query?: Record<string, string>;
  body?: unknown;
  /** Codes that mean: it is not there. The answer is null then. */
  absent?: readonly number[];
}

export interface Cloudflare {
  get<T>(path: string, call: Call): Promise<T | null>;
  /** All pages, by number or by cursor. */
  list<T>(path: string, call: Call): AsyncGenerator<T>;
  /** `isSafe`: whether a second call does no harm where the first one's answer was lost. */
  send<T>(method: "POST" | "PUT" | "DELETE", path: string, call: Call & { isSafe: boolean }): Promise<T | null>;
}

export interface CloudflareOptions {
  token: string;
  baseUrl?: string;
  fetch?: typeof fetch;
  sleep?: (ms: number) => Promise<unknown>;
}

export function createCloudflare(options: CloudflareOptions): Cloudflare {
  const baseUrl = options.baseUrl ?? apiBase;
  const doFetch = options.fetch ?? fetch;
  const sleep = options.sleep ?? wait;

  async function once(method: string, path: string, { query, body }: Call): Promise<Response> {
    const url = new URL(baseUrl + path);
    for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value);
    const headers = { authorization: `Bearer ${options.token}`, "content-type": "application/json" };
    const signal = AbortSignal.timeout(timeoutMs);
    const init = { method, headers, signal, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    return doFetch(url, init);
  }

  async function ask(method: string, path: string, call: Call, isSafe: boolean): Promise<Envelope | null> {
    for (let attempt = 1; ; attempt++) {
      const answer = await attemptOf(() => once(method, path, call));
      if (answer.ok) return answer.envelope;
      const mayPass = answer.status === 429 || (isSafe && (answer.status === null || answer.status >= 500));
      if (!mayPass || attempt === (answer.status === 429 ? triesWhenLimited : tries)) {
        const codes = answer.errors.map(({ code }) => code ?? 0);
        if (call.absent?.some((code) => codes.includes(code))) return null;
        throw failureOf(answer, call, `${method} ${path}`);
      }
      await sleep(Math.min(maxWaitMs, answer.retryAfterMs ?? 1000 * 2 ** attempt * (0.5 + Math.random() / 2)));
    }
  }

  return {
    get: async <T>(path: string, call: Call) => ((await ask("GET", path, call, true))?.result ?? null) as T | null,
    async *list<T>(path: string, call: Call) {
      let cursor: string | undefined;
      for (let page = 1; page <= 10_000; page++) {
        const where: Record<string, string> = cursor === undefined ? { page: String(page) } : { cursor };
        const query = { per_page: "50", ...call.query, ...where };
        const answer = await ask("GET", path, { ...call, query }, true);
        yield* (answer?.result ?? []) as T[];
        const info = answer?.result_info;
        cursor = info?.is_truncated ? info.cursor : undefined;
        if (cursor === undefined && page >= (info?.total_pages ?? 1)) return;
      }
    },
    send: async <T>(method: "POST" | "PUT" | "DELETE", path: string, call: Call & { isSafe: boolean }) =>
      ((await ask(method, path, call, call.isSafe))?.result ?? null) as T | null,
  };
}

interface Failed {
  ok: false;
  /** Null: no answer came. */
  status: number | null;
  errors: { code?: number; message?: string }[];
  retryAfterMs: number | undefined;
  cause?: unknown;
}

async function attemptOf(call: () => Promise<Response>): Promise<{ ok: true; envelope: Envelope } | Failed> {
  let response: Response;
  let text: string;
  try {
    response = await call();
    text = await response.text();
  } catch (cause) {
    return { ok: false, status: null, errors: [], retryAfterMs: undefined, cause };
  }
  let envelope: Envelope = {};
  try {
    envelope = JSON.parse(text) as Envelope;
  } catch {
    // A page of the edge: the status alone says what it is.
  }
  if (response.ok && envelope.success === true) return { ok: true, envelope };
  const retryAfter = Number(response.headers.get("retry-after"));
  return {
    ok: false,
    // An answer of 200 that is no answer is a failure of the other side.
    status: response.ok ? 502 : response.status,
    errors: envelope.errors ?? [],
    retryAfterMs: retryAfter > 0 ? retryAfter * 1000 : undefined,
  };
}

/** Codes of Cloudflare: what the token is, what it may not do, and what is not switched on. */
const badToken = [9109, 6003, 6111, 1000];
const notAllowed = [10000, 9103];
const r2NotEnabled = 10042;

function failureOf({ status, errors, cause }: Failed, { permission }: Call, call: string): DeployError {
  const words = errors.map(({ code, message }) => `${message} [code: ${code}]`).join("; ");
  const codes = errors.map(({ code }) => code ?? 0);
  const said = words === "" ? "" : `: ${words}`;
  if (status === null) {
    const reason = (cause as { cause?: Error } | undefined)?.cause?.message ?? (cause as Error | undefined)?.message;
    return new DeployError("unreachable", `Cloudflare's API did not answer (${call}): ${reason}`, unreachableHint, {
      cause,
    });
  }
  return explain(codes, words, permission) ?? unexplained(status, `${call}${said}`);
}

const unreachableHint = "See whether this machine reaches api.cloudflare.com, then run it again.";

function unexplained(status: number, said: string): DeployError {
  if (status === 429)
    return new DeployError("rate_limited", `Too many requests (${said})`, "Wait five minutes, then run it again.");
  const hint = status >= 500 ? "It may pass: see cloudflarestatus.com, then run it again." : "See what it says above.";
  return new DeployError("cloudflare", `Cloudflare answered ${status} (${said})`, hint);
}

/** What Cloudflare's codes mean, said by the REST API or by wrangler; null for others. */
export function explain(codes: readonly number[], words: string, permission: string): DeployError | null {
  const has = (known: readonly number[]) => known.some((code) => codes.includes(code));
  if (codes.includes(r2NotEnabled)) {
    const hint = "Enable R2 once for the account: dash.cloudflare.com, Storage & databases, R2. It asks for a card.";
    return new DeployError("r2_not_enabled", words, hint);
  }
  if (has(badToken)) {
    const hint = "Set CLOUDFLARE_API_TOKEN to a token that is active, or run `npx wrangler login`.";
    return new DeployError("token_refused", words, hint);
  }
  if (has(notAllowed)) {
    const hint = `Give the token the permission ${permission} for this account (docs/OPERATIONS.md has all of them).`;
    return new DeployError("permission_missing", words, hint);
  }
  return null;
}
