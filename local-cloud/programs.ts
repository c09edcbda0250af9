/** How each program of a local cloud is started: its arguments, its environment, and the files with its secrets. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PipeKind } from "../core/protocol/gate.ts";
import { type Program, spawnGroup } from "./processes.ts";
import type { Secrets } from "./secrets.ts";

export const root = join(import.meta.dirname, "..");

/** cloudflare: only where machines are reached through tunnels. */
export type ProgramName = "worker" | "vast" | "cloudflare";

export interface ProgramOptions {
  stateDir: string;
  /** How long a machine of the stand-in takes to boot, ms. */
  bootMs?: number;
  /** What else the stand-in is started with: --faults RULES, --network, --clock, --disk-bytes N. */
  vastOptions?: readonly string[];
  /** JSON values that replace waiting times of the lifecycle, ms. */
  timings?: Record<string, number>;
  /** JSON values that replace the least times between two calls to the provider, ms. */
  intervals?: Record<string, number>;
  /** Where the Node for machines without one is had; nodejs.org without it. */
  nodeMirror?: string;
  /** How the worker reaches the machines; direct without it. */
  pipe?: PipeKind;
}

export const urlOf = (port: number) => `http://127.0.0.1:${port}`;
export const buildDirOf = (stateDir: string) => join(stateDir, "build");
export const logOf = (stateDir: string, name: ProgramName) => join(stateDir, `${name}.log`);

export function spawnProgram(name: ProgramName, options: ProgramOptions, secrets: Secrets): Program {
  const { argv, env } = { worker, vast, cloudflare }[name](options, secrets);
  return spawnGroup(argv, { cwd: root, env, logFile: logOf(options.stateDir, name) });
}

interface Start {
  argv: string[];
  env: NodeJS.ProcessEnv;
}

function vast(
  { stateDir, bootMs, vastOptions = [] }: ProgramOptions,
  { vastPort, vastApiKey, tunnels }: Secrets,
): Start {
  const argv = [
    join(root, "local-cloud", "vast", "main.ts"),
    ...["--port", String(vastPort)],
    ...["--state", join(stateDir, "vast")],
    ...["--api-key-file", writeSecret(stateDir, "vast-api-key", vastApiKey)],
    ...(bootMs === undefined ? [] : ["--boot-ms", String(bootMs)]),
    ...(tunnels ? ["--tunnel-edge", `127.0.0.1:${tunnels.connectorPort}`] : []),
    ...vastOptions,
  ];
  return { argv, env: process.env };
}

function cloudflare({ stateDir }: ProgramOptions, { tunnels }: Secrets): Start {
  if (!tunnels) throw new Error("this local cloud has no tunnels");
  const argv = [
    join(root, "local-cloud", "cloudflare", "main.ts"),
    ...["--port", String(tunnels.port), "--connector-port", String(tunnels.connectorPort)],
    ...["--account", tunnels.accountId, "--zone-id", tunnels.zoneId, "--zone", tunnels.zone],
    ...["--token-file", writeSecret(stateDir, "cloudflare-token", tunnels.apiToken)],
    ...["--state", join(stateDir, "cloudflare.json")],
  ];
  return { argv, env: process.env };
}

function worker(options: ProgramOptions, secrets: Secrets): Start {
  const { stateDir, timings, intervals } = options;
  // Secrets travel in a file: the arguments of a process can be read by everybody on the machine.
  const variables = {
    AGENT_JWT_SECRET: secrets.agentJwtSecret,
    SECRETS_KEYS: secrets.secretsKeys,
    ADMIN_TOKEN: secrets.adminToken,
    VAST_API_KEY: secrets.vastApiKey,
    PUBLIC_URL: urlOf(secrets.port),
    VAST_URL: urlOf(secrets.vastPort),
    PIPE: options.pipe ?? "direct",
    LOCAL_SIGN_IN: "on",
    NOTICES_LOOPBACK: "on",
    ...tunnelVariables(secrets),
    ...(options.nodeMirror ? { NODE_MIRROR: options.nodeMirror } : {}),
    ...(timings ? { LIFECYCLE_TIMINGS: JSON.stringify(timings) } : {}),
    ...(intervals ? { PROVIDER_INTERVALS: JSON.stringify(intervals) } : {}),
  };
  const argv = [
    ...["--no-warnings", join(root, "local-cloud", "worker", "main.ts"), "--port", String(secrets.port)],
    ...["--build", buildDirOf(stateDir), "--state", stateDir],
    ...["--variables", writeSecret(stateDir, "worker.json", JSON.stringify(variables))],
  ];
  // What a killed one leaves goes with the state. It also tells whose workerd a workerd is.
  const temporary = join(stateDir, "tmp");
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary);
  return { argv, env: { ...process.env, TMPDIR: temporary } };
}

function tunnelVariables({ tunnels }: Secrets): Record<string, string> {
  if (!tunnels) return {};
  return {
    CLOUDFLARE_ACCOUNT_ID: tunnels.accountId,
    CLOUDFLARE_ZONE_ID: tunnels.zoneId,
    CLOUDFLARE_ZONE: tunnels.zone,
    CLOUDFLARE_API_TOKEN: tunnels.apiToken,
    CLOUDFLARE_API_URL: `${urlOf(tunnels.port)}/client/v4`,
    TUNNEL_EDGE_URL: urlOf(tunnels.port),
  };
}

/** The file, which nobody else may read. */
function writeSecret(stateDir: string, name: string, text: string): string {
  const file = join(stateDir, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}
