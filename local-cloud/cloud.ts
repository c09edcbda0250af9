/**
 * Everything on one machine: the worker in workerd with local D1, R2, Durable Objects and cron, and the stand-in for
 * vast.ai whose machines are real processes. All state lies in one folder, so a later start finds it.
 */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { PipeKind } from "../core/protocol/gate.ts";
import { buildCloud } from "../tools/build.ts";
import { endGroup, isAlive, killGroup, type Program, pidsOf, sleep, spawnGroup, startTimeOf } from "./processes.ts";
import { CloudError, readSecrets, type Secrets, saveSecrets } from "./secrets.ts";
import { createMachines } from "./vast/machines.ts";

const root = join(import.meta.dirname, "..");
const wrangler = join(root, "node_modules", "wrangler", "bin", "wrangler.js");

export interface CloudOptions {
  stateDir: string;
  port?: number;
  fresh?: boolean;
  /** How long a machine of the stand-in takes to boot, ms. */
  bootMs?: number;
  /** What else the stand-in is started with: --faults RULES, --network, --clock, --disk-bytes N. */
  vastOptions?: readonly string[];
  /** JSON values that replace waiting times of the lifecycle, ms. */
  timings?: Record<string, number>;
  /** JSON values that replace the least times between two calls to the provider, ms. */
  intervals?: Record<string, number>;
  /** How the worker reaches the machines; direct without it. */
  pipe?: PipeKind;
  onStep?: (step: string) => void;
  /** For the bench: another worker than the one that is deployed, and no cron. */
  workerEntry?: string;
  hasCron?: boolean;
}

/** What the tools of the local cloud read; there while it runs. */
export interface LocalFile {
  url: string;
  apiToken: string;
  vastUrl: string;
  vastApiKey: string;
}

/** Who works on this state, for the next start. */
interface RunningFile {
  pid: number;
  startTime: string | null;
  url: string;
  programs: { pid: number; startTime: string | null }[];
}

export type ProgramName = "worker" | "vast";

export class LocalCloud {
  readonly stateDir: string;
  readonly #options: CloudOptions;
  #secrets: Secrets;
  #programs = new Map<ProgramName, Program>();
  #workerdPids = "";
  #cron: NodeJS.Timeout | null = null;
  #stopping = false;
  #stopped: Promise<void> | null = null;

  private constructor(options: CloudOptions, secrets: Secrets) {
    this.#options = options;
    this.stateDir = options.stateDir;
    this.#secrets = secrets;
  }

  /** Claims the state folder; nothing runs yet. Errors: CloudError with words for people. */
  static async prepare(options: CloudOptions): Promise<LocalCloud> {
    const stateDir = resolve(options.stateDir);
    await endLeftovers(stateDir);
    if (options.fresh) await removeState(stateDir);
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const cloud = new LocalCloud({ ...options, stateDir }, await readSecrets(stateDir, options.port));
    cloud.#writeRunningFile();
    return cloud;
  }

  static async start(options: CloudOptions): Promise<LocalCloud> {
    const cloud = await LocalCloud.prepare(options);
    await cloud.start();
    return cloud;
  }

  /** Errors: CloudError with words for people. Nothing is left running when it throws. */
  async start(): Promise<void> {
    try {
      await this.#startAll();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  get url(): string {
    return `http://127.0.0.1:${this.#secrets.port}`;
  }
  get vastUrl(): string {
    return `http://127.0.0.1:${this.#secrets.vastPort}`;
  }
  get apiToken(): string {
    return this.#secrets.apiToken ?? "";
  }
  get adminToken(): string {
    return this.#secrets.adminToken;
  }
  get vastApiKey(): string {
    return this.#secrets.vastApiKey;
  }
  get agentJwtSecret(): string {
    return this.#secrets.agentJwtSecret;
  }

  async #startAll(): Promise<void> {
    const step = this.#options.onStep ?? (() => undefined);
    step("starting the stand-in for vast.ai");
    const vast = this.startProgram("vast");
    await buildCloud(this.#buildDir, this.#options.workerEntry);
    if (this.#stopping) throw new CloudError("the local cloud is ending");
    step("preparing the database");
    this.#migrate();
    await vast;
    step("starting the worker");
    await this.startProgram("worker");
    if (this.#secrets.apiToken === null) await this.#makeFirstUser();
    this.#writeLocalFile();
    if (this.#options.hasCron === false) return;
    this.#cron = setInterval(() => void this.runCron().catch(() => undefined), 60_000);
    this.#cron.unref();
  }

  /** Starts a program that is not running and waits until it answers. */
  async startProgram(name: ProgramName): Promise<void> {
    if (this.#stopping) throw new CloudError("the local cloud is ending");
    await this.#startProgram(name);
  }

  async #startProgram(name: ProgramName): Promise<void> {
    const running = this.#programs.get(name);
    if (running && isAlive(running)) return;
    // What is left of its group would hold the port.
    if (running) await killGroup(running);
    const program = name === "worker" ? this.#spawnWorker() : this.#spawnVast();
    this.#programs.set(name, program);
    this.#writeRunningFile();
    await waitForAnswer(this.#addressOf(name), program, name);
    if (name === "worker") this.#workerdPids = pidsOf(program.pid, "workerd").join();
  }

  /** SIGKILL to the whole group, as a crash would do. */
  async killProgram(name: ProgramName): Promise<void> {
    const program = this.#programs.get(name);
    if (program) await killGroup(program);
  }

  /** Whether the program answers a request: a process may live while what it started for the work is dead. */
  async answers(name: ProgramName, timeoutMs: number): Promise<"yes" | "refused" | "silent"> {
    try {
      const response = await fetch(this.#addressOf(name), { signal: AbortSignal.timeout(timeoutMs) });
      return response.ok ? "yes" : "refused";
    } catch (error) {
      return (error as Error).name === "TimeoutError" ? "silent" : "refused";
    }
  }

  #addressOf(name: ProgramName): string {
    return name === "worker" ? `${this.url}/api/health` : `${this.vastUrl}/local/bill`;
  }

  /** When workerd dies, wrangler lives on, starts another one and never answers again: that counts as dead. */
  isRunning(name: ProgramName): boolean {
    const program = this.#programs.get(name);
    if (program === undefined || !isAlive(program)) return false;
    return name !== "worker" || pidsOf(program.pid, "workerd").join() === this.#workerdPids;
  }

  /** Of the worker's workerd. */
  workerdPids(): number[] {
    const program = this.#programs.get("worker");
    return program ? pidsOf(program.pid, "workerd") : [];
  }

  get isStopping(): boolean {
    return this.#stopping;
  }

  /** What the cron triggers would do at this minute; workerd has no clock of its own for them. */
  async runCron(crons = cronsDue(new Date())): Promise<void> {
    for (const cron of crons) {
      const url = `${this.url}/cdn-cgi/local/scheduled?cron=${encodeURIComponent(cron)}`;
      await fetch(url, { signal: AbortSignal.timeout(30_000) });
    }
  }

  /** Ends worker, stand-in and every machine. Machines that run are found and started again by the next start. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#stopping = true;
    if (this.#cron) clearInterval(this.#cron);
    // The worker first: it must not see its machines die and draw conclusions.
    for (const name of ["worker", "vast"] as const) {
      // Machines outlive a stand-in that died, and only a stand-in ends them with their meters read.
      if (name === "vast" && this.#programs.has(name)) await this.#startProgram(name).catch(() => undefined);
      const program = this.#programs.get(name);
      if (program) await endGroup(program, name === "vast" ? 15_000 : 5_000);
    }
    for (const name of ["local.json", "running.json"]) rmSync(join(this.stateDir, name), { force: true });
  }

  /** A request to the API with the first user's token; the answer's JSON. */
  async api<T = unknown>(
    method: string,
    path: string,
    body?: unknown,
    token = this.apiToken,
  ): Promise<{ status: number; body: T }> {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        // A kept connection may just be closed by the other side, when this process did something else for seconds.
        connection: "close",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    return { status: response.status, body: (text ? JSON.parse(text) : null) as T };
  }

  /** A request to the stand-in's own control routes. */
  async vastLocal<T = unknown>(method: string, path: string, body?: unknown, timeoutMs = 30_000): Promise<T> {
    const response = await fetch(this.vastUrl + path, {
      method,
      headers: {
        authorization: `Bearer ${this.vastApiKey}`,
        connection: "close",
        "content-type": "application/json",
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  logOf(name: ProgramName): string {
    return join(this.stateDir, `${name}.log`);
  }

  get #buildDir(): string {
    return join(this.stateDir, "build");
  }

  #spawnVast(): Program {
    const keyFile = join(this.stateDir, "vast-api-key");
    writeFileSync(keyFile, this.#secrets.vastApiKey, { mode: 0o600 });
    const argv = [
      join(root, "local-cloud", "vast", "main.ts"),
      ...["--port", String(this.#secrets.vastPort)],
      ...["--state", join(this.stateDir, "vast")],
      ...["--api-key-file", keyFile],
      ...(this.#options.bootMs === undefined ? [] : ["--boot-ms", String(this.#options.bootMs)]),
      ...(this.#options.vastOptions ?? []),
    ];
    return spawnGroup(argv, { cwd: root, env: process.env, logFile: this.logOf("vast") });
  }

  #spawnWorker(): Program {
    const envFile = join(this.stateDir, "worker.env");
    // Secrets travel in a file: the arguments of a process can be read by everybody on the machine.
    const secrets = {
      AGENT_JWT_SECRET: this.#secrets.agentJwtSecret,
      ADMIN_TOKEN: this.#secrets.adminToken,
      VAST_API_KEY: this.#secrets.vastApiKey,
      PUBLIC_URL: this.url,
      VAST_URL: this.vastUrl,
      PIPE: this.#options.pipe ?? "direct",
      ...(this.#options.timings ? { LIFECYCLE_TIMINGS: `'${JSON.stringify(this.#options.timings)}'` } : {}),
      ...(this.#options.intervals ? { PROVIDER_INTERVALS: `'${JSON.stringify(this.#options.intervals)}'` } : {}),
    };
    writeFileSync(
      envFile,
      Object.entries(secrets)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(""),
      { mode: 0o600 },
    );
    const argv = [
      ...["--no-warnings", wrangler, "dev", join(this.#buildDir, "worker.js"), "--no-bundle"],
      ...["--config", join(root, "wrangler.toml"), "--assets", join(this.#buildDir, "public")],
      ...["--ip", "127.0.0.1", "--port", String(this.#secrets.port), "--inspector-port", "0"],
      ...["--persist-to", join(this.stateDir, "worker"), "--env-file", envFile],
      ...["--show-interactive-dev-session=false", "--log-level", "warn"],
    ];
    return spawnGroup(argv, { cwd: root, env: this.#wranglerEnv(), logFile: this.logOf("worker") });
  }

  /** Only when the migrations are others than those this state has seen: it takes seconds. */
  #migrate(): void {
    const stamp = join(this.stateDir, "migrated");
    const files = readdirSync(join(root, "migrations"))
      .filter((name) => name.endsWith(".sql"))
      .sort();
    const hash = createHash("sha256")
      .update(files.map((name) => readFileSync(join(root, "migrations", name))).join("\n"))
      .digest("hex");
    if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return;
    const argv = [
      "--no-warnings",
      wrangler,
      "d1",
      "migrations",
      "apply",
      "DB",
      "--local",
      "--config",
      join(root, "wrangler.toml"),
    ];
    const run = spawnSync(process.execPath, [...argv, "--persist-to", join(this.stateDir, "worker")], {
      cwd: root,
      env: this.#wranglerEnv(),
      encoding: "utf8",
      timeout: 120_000,
    });
    if (run.status !== 0) throw new CloudError(`the database could not be prepared:\n${run.stdout}${run.stderr}`);
    writeFileSync(stamp, hash);
  }

  #wranglerEnv(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      CI: "1",
      NO_COLOR: "1",
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_SEND_ERROR_REPORTS: "false",
      WRANGLER_HIDE_BANNER: "true",
      WRANGLER_NO_SKILLS_UPDATE_PROMPTS: "true",
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      WRANGLER_LOG_PATH: join(this.stateDir, "wrangler-logs"),
      WRANGLER_REGISTRY_PATH: join(this.stateDir, "registry"),
    };
  }

  async #makeFirstUser(): Promise<void> {
    const made = await this.api<{ token: string }>("POST", "/api/users", { name: "local" }, this.#secrets.adminToken);
    if (made.status !== 201) throw new CloudError(`the first user could not be made: ${JSON.stringify(made.body)}`);
    this.#secrets = { ...this.#secrets, apiToken: made.body.token };
    saveSecrets(this.stateDir, this.#secrets);
  }

  #writeLocalFile(): void {
    const file: LocalFile = {
      url: this.url,
      apiToken: this.apiToken,
      vastUrl: this.vastUrl,
      vastApiKey: this.vastApiKey,
    };
    writeFileSync(join(this.stateDir, "local.json"), `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
  }

  /** Written before anything is waited for: a start that is killed at any moment can be cleaned up after. */
  #writeRunningFile(): void {
    const file: RunningFile = {
      pid: process.pid,
      startTime: startTimeOf(process.pid),
      url: this.url,
      programs: [...this.#programs.values()].map(({ pid, startTime }) => ({ pid, startTime })),
    };
    writeFileSync(join(this.stateDir, "running.json"), JSON.stringify(file), { mode: 0o600 });
  }
}

/** Every minute, and every fifth minute the reconciliation as well; as in wrangler.toml. */
function cronsDue(now: Date): string[] {
  return now.getUTCMinutes() % 5 === 0 ? ["* * * * *", "*/5 * * * *"] : ["* * * * *"];
}

/** A start that was killed leaves its programs; they would hold the ports and the files. */
async function endLeftovers(stateDir: string): Promise<void> {
  const file = join(stateDir, "running.json");
  if (!existsSync(file)) return;
  const left: RunningFile = JSON.parse(readFileSync(file, "utf8"));
  if (left.pid !== process.pid && isAlive(left)) {
    throw new CloudError(
      `a local cloud with this state is running already (process ${left.pid}), at ${left.url}\nEnd it, or say --state DIR for another one.`,
    );
  }
  for (const program of left.programs) if (isAlive(program)) await endGroup(program, 10_000);
  for (const name of ["local.json", "running.json"]) rmSync(join(stateDir, name), { force: true });
}

/** Nobody would know of the machines of a stand-in that was killed, once its state is gone. */
async function removeState(stateDir: string): Promise<void> {
  const root = join(stateDir, "vast", "machines");
  if (existsSync(root)) {
    const machines = createMachines(root);
    for (const id of readdirSync(root)) await machines.remove(Number(id), null);
  }
  rmSync(stateDir, { recursive: true, force: true });
}

async function waitForAnswer(url: string, program: Program, name: string): Promise<void> {
  const until = Date.now() + 120_000;
  while (Date.now() < until) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
      if (response.ok) return;
    } catch {
      // Not there yet.
    }
    if (!isAlive(program)) throw new CloudError(`the ${name} did not start; its log:\n${tail(program.logFile)}`);
    await sleep(100);
  }
  throw new CloudError(`the ${name} does not answer at ${url}; its log:\n${tail(program.logFile)}`);
}

function tail(file: string): string {
  return readFileSync(file, "utf8").split("\n").slice(-20).join("\n");
}
