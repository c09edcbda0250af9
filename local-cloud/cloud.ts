/**
 * Everything on one machine: the worker in workerd with local D1, R2, Durable Objects and cron, the stand-in for vast.ai
 * whose machines are real processes, and where they are reached through tunnels the stand-in for Cloudflare. All state
 * lies in one folder, so a later start finds it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildCloud } from "../tools/build.ts";
import { endGroup, isAlive, killGroup, type Program, pidsOf, sleep, startTimeOf } from "./processes.ts";
import { buildDirOf, logOf, type ProgramName, type ProgramOptions, spawnProgram, urlOf } from "./programs.ts";
import { CloudError, readSecrets, type Secrets, saveSecrets, type TunnelSecrets } from "./secrets.ts";
import { createMachines } from "./vast/machines.ts";

export interface CloudOptions extends ProgramOptions {
  port?: number;
  fresh?: boolean;
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

export class LocalCloud {
  readonly stateDir: string;
  readonly #options: CloudOptions;
  #secrets: Secrets;
  #programs = new Map<ProgramName, Program>();
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
    const hasTunnels = options.pipe === "tunnel";
    const secrets = await readSecrets(stateDir, { port: options.port, hasTunnels });
    const cloud = new LocalCloud({ ...options, stateDir }, secrets);
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
    return urlOf(this.#secrets.port);
  }
  get vastUrl(): string {
    return urlOf(this.#secrets.vastPort);
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
  /** The account for tunnels; null where there are none. */
  get tunnels(): TunnelSecrets | null {
    return this.#secrets.tunnels;
  }
  get #cloudflareUrl(): string {
    return urlOf(this.#secrets.tunnels?.port ?? 0);
  }
  /** Those that this cloud consists of; the worker last, which calls the others. */
  get programs(): readonly ProgramName[] {
    return this.#secrets.tunnels ? ["vast", "cloudflare", "worker"] : ["vast", "worker"];
  }

  async #startAll(): Promise<void> {
    const step = this.#options.onStep ?? (() => undefined);
    const standIns = this.programs.filter((name) => name !== "worker");
    const started = standIns.map((name) => {
      step(`starting the stand-in for ${name === "vast" ? "vast.ai" : "Cloudflare"}`);
      return this.startProgram(name);
    });
    await buildCloud(buildDirOf(this.stateDir), this.#options.workerEntry);
    if (this.#stopping) throw new CloudError("the local cloud is ending");
    await Promise.all(started);
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
    const program = spawnProgram(name, this.#options, this.#secrets);
    this.#programs.set(name, program);
    this.#writeRunningFile();
    await waitForAnswer(this.#addressOf(name), program, name);
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
    if (name === "worker") return `${this.url}/api/health`;
    return name === "vast" ? `${this.vastUrl}/local/bill` : `${this.#cloudflareUrl}/local/health`;
  }

  /** A workerd that dies is followed by another one within a second: that is no death of the program. */
  isRunning(name: ProgramName): boolean {
    const program = this.#programs.get(name);
    return program !== undefined && isAlive(program);
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
    for (const name of ["worker", "vast", "cloudflare"] as const) {
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

  /** A request to the own control routes of the stand-in for vast.ai. */
  vastLocal<T = unknown>(method: string, path: string, body?: unknown, timeoutMs = 30_000): Promise<T> {
    return this.#askStandIn(this.vastUrl + path, this.vastApiKey, { method, body, timeoutMs });
  }

  /** As above, of the one for Cloudflare. */
  cloudflareLocal<T = unknown>(method: string, path: string, body?: unknown, timeoutMs = 30_000): Promise<T> {
    const key = this.#secrets.tunnels?.apiToken ?? "";
    return this.#askStandIn(this.#cloudflareUrl + path, key, { method, body, timeoutMs });
  }

  async #askStandIn<T>(
    url: string,
    key: string,
    { method, body, timeoutMs }: { method: string; body: unknown; timeoutMs: number },
  ): Promise<T> {
    const response = await fetch(url, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        connection: "close",
        "content-type": "application/json",
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  logOf(name: ProgramName): string {
    return logOf(this.stateDir, name);
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
