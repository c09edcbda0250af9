/** How each program of a local cloud is started: its arguments, its environment, and the files with its secrets. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PipeKind } from "../core/protocol/gate.ts";
import { quietWrangler } from "../tools/wrangler-env.ts";
import { type Program, spawnGroup } from "./processes.ts";
import { CloudError, type Secrets } from "./secrets.ts";

export const root = join(import.meta.dirname, "..");
const wrangler = join(root, "node_modules", "wrangler", "bin", "wrangler.js");

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
    ...(timings ? { LIFECYCLE_TIMINGS: `'${JSON.stringify(timings)}'` } : {}),
    ...(intervals ? { PROVIDER_INTERVALS: `'${JSON.stringify(intervals)}'` } : {}),
  };
  const text = Object.entries(variables)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
  const buildDir = buildDirOf(stateDir);
  const argv = [
    ...["--no-warnings", wrangler, "dev", join(buildDir, "worker.js"), "--no-bundle"],
    ...["--config", join(root, "wrangler.toml"), "--assets", join(buildDir, "public")],
    ...["--ip", "127.0.0.1", "--port", String(secrets.port), "--inspector-port", "0"],
    ...["--persist-to", join(stateDir, "worker"), "--env-file", writeSecret(stateDir, "worker.env", text)],
    ...["--show-interactive-dev-session=false", "--log-level", "warn"],
  ];
  return { argv, env: wranglerEnv(stateDir) };
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

/** Only when the migrations are others than those this state has seen: it takes seconds. */
export function migrateDatabase(stateDir: string): void {
  const stamp = join(stateDir, "migrated");
  const files = readdirSync(join(root, "migrations"))
    .filter((name) => name.endsWith(".sql"))
    .sort();
  const hash = createHash("sha256")
    .update(files.map((name) => readFileSync(join(root, "migrations", name))).join("\n"))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return;
  const argv = [
    ...["--no-warnings", wrangler, "d1", "migrations", "apply", "DB", "--local"],
    ...["--config", join(root, "wrangler.toml"), "--persist-to", join(stateDir, "worker")],
  ];
  const run = spawnSync(process.execPath, argv, {
    cwd: root,
    env: wranglerEnv(stateDir),
    encoding: "utf8",
    timeout: 120_000,
  });
  if (run.status !== 0) throw new CloudError(`the database could not be prepared:\n${run.stdout}${run.stderr}`);
  writeFileSync(stamp, hash);
}

function wranglerEnv(stateDir: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    ...quietWrangler,
    // Every request and every call would be traced into a database that nobody reads, which takes more than they themselves do.
    X_LOCAL_OBSERVABILITY: "false",
    X_LOCAL_EXPLORER: "false",
    WRANGLER_LOG_PATH: join(stateDir, "wrangler-logs"),
    WRANGLER_REGISTRY_PATH: join(stateDir, "registry"),
  };
}

/** The file, which nobody else may read. */
function writeSecret(stateDir: string, name: string, text: string): string {
  const file = join(stateDir, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}
