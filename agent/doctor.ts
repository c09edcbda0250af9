/** Looks at everything the agent needs and says in words what is wrong and what to do. */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { agentEnv } from "../core/protocol/wire.ts";
import { probeKeeping } from "./fs/probe.ts";
import { agentVersion, type Env, findHome, findWorkspace, readClaims, readSettings } from "./identity.ts";
import { describeError } from "./log.ts";
import { runSmi } from "./monitor.ts";
import { isInside } from "./proc.ts";
import { detectScope } from "./seal.ts";

export interface Check {
  name: string;
  ok: boolean;
  /** Without it the agent cannot do its work. */
  essential: boolean;
  found: string;
  advice: string | null;
}

export interface DoctorOptions {
  env: Env;
  /** Whether the FFI addon (koffi) is loaded. */
  hasNative: boolean;
  fetch?: typeof fetch;
}

export async function examine(options: DoctorOptions): Promise<Check[]> {
  const { env } = options;
  return [
    checkNode(),
    await checkGpus(env),
    checkWorkspace(env),
    checkHome(env),
    checkNative(options),
    checkKeeping(env),
    checkSettings(env),
    await checkControlPlane(options),
    { name: "seal", ok: true, essential: false, found: `scope "${detectScope(env)}"`, advice: null },
  ];
}

/** The exit code: 1 when something essential is wrong. */
export async function runDoctor(
  options: DoctorOptions & { json: boolean; write?: (text: string) => void },
): Promise<number> {
  const write = options.write ?? ((text: string) => process.stdout.write(text));
  const checks = await examine(options);
  const broken = checks.some((check) => check.essential && !check.ok);
  if (options.json) write(`${JSON.stringify({ ok: !broken, version: agentVersion, checks })}\n`);
  else {
    for (const { name, ok, essential, found, advice } of checks) {
      write(`${ok ? "ok  " : essential ? "BAD " : "warn"}  ${name}: ${found}\n`);
      if (!ok && advice) write(`      -> ${advice}\n`);
    }
  }
  return broken ? 1 : 0;
}

function checkNode(): Check {
  const ok = Number(process.versions.node.split(".")[0]) >= 22;
  return { name: "node", ok, essential: true, found: process.versions.node, advice: "Install Node 22 or newer." };
}

async function checkGpus(env: Env): Promise<Check> {
  const sample = await runSmi({ command: "nvidia-smi", env, timeoutMs: 8_000 });
  const base = {
    name: "nvidia-smi",
    essential: false,
    advice: "Until it works, this machine counts as busy and does not go to sleep by itself.",
  };
  if (!sample.ok) return { ...base, ok: false, found: sample.message };
  const unknown = sample.rows.filter((row) => row.utilization === null).length;
  const missing = Math.max(0, (Number(env.GPU_COUNT) || 0) - sample.rows.length);
  const words = sample.rows.map((row) => `${row.index} ${row.name ?? "?"} ${row.utilization ?? "?"} %`).join(", ");
  return { ...base, ok: unknown + missing === 0, found: missing > 0 ? `${words}; ${missing} not listed` : words };
}

function checkWorkspace(env: Env): Check {
  const path = findWorkspace(env);
  const base = { name: "workspace", essential: true, advice: `Make it, or name another with ${agentEnv.workspace}.` };
  try {
    if (!statSync(path).isDirectory()) return { ...base, ok: false, found: `${path} is no folder` };
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return { ...base, ok: true, found: path };
  } catch (error) {
    return { ...base, ok: false, found: describeError(error) };
  }
}

function checkHome(env: Env): Check {
  const home = findHome(env);
  const base = {
    name: "home",
    essential: true,
    advice: `Name a folder outside the workspace that can be written with ${agentEnv.home}.`,
  };
  if (home === null) return { ...base, ok: false, found: "no folder can be written" };
  if (isInside(home, findWorkspace(env))) return { ...base, ok: false, found: `${home} lies inside the workspace` };
  return { ...base, ok: true, found: existsSync(join(home, "agent.lock")) ? `${home} (in use by an agent)` : home };
}

function checkNative({ hasNative }: DoctorOptions): Check {
  const advice = "Extended attributes, exact times and special files are then kept only as far as Node can.";
  const found = hasNative ? "the FFI addon is loaded" : "the FFI addon is missing or does not load here";
  return { name: "native", ok: hasNative, essential: false, found, advice };
}

/** What a workspace here may hold that a snapshot or a restore would lose. */
function checkKeeping(env: Env): Check {
  const base = {
    name: "keeps",
    essential: false,
    advice: "A restore here lists what it loses and ends with exit code 3. Root on ext4, xfs or btrfs keeps all of it.",
  };
  try {
    const unkept = probeKeeping(findWorkspace(env));
    if (unkept.length === 0) return { ...base, ok: true, found: "everything that a workspace can hold but sockets" };
    return { ...base, ok: false, found: `not ${unkept.map(({ what, reason }) => `${what} (${reason})`).join(", ")}` };
  } catch (error) {
    return { ...base, ok: false, found: describeError(error) };
  }
}

function checkSettings(env: Env): Check {
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
  return { ...base, ok: expiresAt > Date.now(), found: words };
}

async function checkControlPlane({ env, fetch: doFetch = fetch }: DoctorOptions): Promise<Check> {
  const url = (env[agentEnv.url] ?? "").replace(/\/+$/, "");
  const base = {
    name: "control plane",
    essential: true,
    advice: `Check ${agentEnv.url} and this machine's way to it.`,
  };
  if (url === "") return { ...base, ok: false, found: `${agentEnv.url} is not set` };
  try {
    const startedAt = performance.now();
    const response = await doFetch(`${url}/agent/soneca-agent.mjs.sha256`, { signal: AbortSignal.timeout(10_000) });
    await response.body?.cancel();
    const words = `${url} answered ${response.status} in ${Math.round(performance.now() - startedAt)} ms`;
    return { ...base, ok: response.status < 500, found: words };
  } catch (error) {
    return { ...base, ok: false, found: `${url}: ${describeError(error)}` };
  }
}
