/** What the tests in workerd share: a clock, a client, users, an agent without a machine. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { vi } from "vitest";
import type { ErrorBody } from "../../core/protocol/errors.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { EventView, InstanceView } from "../../core/protocol/views.ts";
import type { SnapshotRef, StatusAnswer } from "../../core/protocol/wire.ts";
import { formatManifest, type Manifest } from "../../core/snapshot/manifest.ts";
import { manifestKey } from "../../core/snapshot/store.ts";
import type { InstanceObject } from "../instance/object.ts";
import type { FakeVast, VastMachine } from "./vast.ts";

export const adminToken = "sna_a-token-for-tests";
export const metricsToken = "a-metrics-token-for-tests";

// ---- the clock ---------------------------------------------------------------------------------------------------------

/**
 * Stands still until a test moves it, and lies ahead of the real one, so that no alarm fires by itself. Waiting inside
 * the worker (the provider's intervals) takes a moment of real time whatever it asks for.
 */
export function startClock(): void {
  // Never back behind an earlier test of the file: the objects remember their times.
  latest = Math.max(latest + 3_600_000, Date.now() + 30 * 86_400_000);
  vi.useFakeTimers({ toFake: ["Date"], now: latest });
  const wait = scheduler.wait.bind(scheduler);
  vi.spyOn(scheduler, "wait").mockImplementation((ms: number) => wait(Math.min(ms, 25)));
}

let latest = 0;

export function advance(ms: number): void {
  latest = Date.now() + ms;
  vi.setSystemTime(latest);
}

// ---- the API -------------------------------------------------------------------------------------------------------------

export interface Answer<T = unknown> {
  status: number;
  headers: Headers;
  body: T;
}

export interface CallOptions {
  token?: string | null;
  json?: unknown;
  /** The body as it is. */
  raw?: BodyInit;
  headers?: Record<string, string>;
}

export async function send(method: string, path: string, options: CallOptions = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  if (options.token) headers.set("authorization", `Bearer ${options.token}`);
  const body = options.raw ?? (options.json === undefined ? undefined : JSON.stringify(options.json));
  if (options.json !== undefined) headers.set("content-type", "application/json");
  return exports.default.fetch(new Request(new URL(path, "http://soneca.test"), { method, headers, body }));
}

export async function api<T = InstanceView>(
  method: string,
  path: string,
  options: CallOptions = {},
): Promise<Answer<T>> {
  const response = await send(method, path, options);
  const isJson = response.headers.get("content-type")?.includes("application/json");
  const text = isJson ? await response.text() : new TextDecoder().decode(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, body: (isJson ? JSON.parse(text) : text) as T };
}

/** `403 epoch_fenced`, or the status alone of an answer that is no error. */
export async function outcome(method: string, path: string, options: CallOptions = {}): Promise<string> {
  const { status, body } = await api<ErrorBody | null | string>(method, path, options);
  const code = typeof body === "object" ? body?.error?.code : undefined;
  return code ? `${status} ${code}` : String(status);
}

export interface TestUser {
  id: string;
  token: string;
}

export async function newUser(name = "Ana"): Promise<TestUser> {
  const { status, body } = await api<{ user: { id: string }; token: string }>("POST", "/api/users", {
    token: adminToken,
    json: { name },
  });
  if (status !== 201) throw new Error(`no user: ${JSON.stringify(body)}`);
  return { id: body.user.id, token: body.token };
}

// ---- one instance and its world ----------------------------------------------------------------------------------------

export const quickConfig = {
  pause_after_idle_minutes: 1,
  delete_after_pause_minutes: 5,
  check_interval_seconds: 10,
  grace_minutes: 0,
};

export function stubOf(id: string) {
  return env.INSTANCE.getByName(id);
}

/** Waits until `look` gives something that is not null, false or undefined. */
export async function until<T>(what: string, look: () => Promise<T | null | undefined | false>): Promise<T> {
  for (let i = 0; i < 400; i++) {
    const found = await look();
    if (found) return found;
    await realWait(5);
  }
  throw new Error(`never happened: ${what}`);
}

const realTimeout = setTimeout;
export function realWait(ms: number): Promise<void> {
  return new Promise((resolve) => realTimeout(resolve, ms));
}

export async function sqlOf<T = Record<string, unknown>>(id: string, query: string, ...args: unknown[]): Promise<T[]> {
  return runInDurableObject<InstanceObject, T[]>(
    stubOf(id),
    (_object, ctx) => ctx.storage.sql.exec(query, ...args).toArray() as T[],
  );
}

/** Until nothing is under way: what is left in the outbox waits for a later time. An alarm that is due rings meanwhile. */
export async function settle(id: string): Promise<void> {
  await until(`the outbox of ${id} is at rest`, async () => {
    const { alarm, times } = await runInDurableObject<InstanceObject, { alarm: number | null; times: number[] }>(
      stubOf(id),
      async (_object, ctx) => ({
        alarm: await ctx.storage.getAlarm(),
        times: ctx.storage.sql
          .exec("SELECT next_at FROM outbox")
          .toArray()
          .map((row) => row.next_at as number),
      }),
    );
    const now = Date.now();
    // Frozen time: a row that was begun just now carries exactly this time.
    if (times.includes(now + 90_000)) return false;
    if (alarm !== null && alarm <= now + 1) await runDurableObjectAlarm(stubOf(id));
    return !times.some((at) => at <= now);
  });
}

/** Time passes, then the object's alarm rings, as it would have. */
export async function alarmAfter(id: string, ms: number): Promise<boolean> {
  advance(ms);
  const ran = await runDurableObjectAlarm(stubOf(id));
  await settle(id);
  return ran;
}

export class Sleeper {
  readonly vast: FakeVast;
  readonly user: TestUser;
  readonly id: InstanceId;

  constructor(vast: FakeVast, user: TestUser, id: InstanceId) {
    this.vast = vast;
    this.user = user;
    this.id = id;
  }

  get path(): string {
    return `/api/instances/${this.id}`;
  }

  async view(): Promise<InstanceView> {
    const { status, body } = await api<InstanceView>("GET", this.path, { token: this.user.token });
    if (status !== 200) throw new Error(`no view: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  async events(): Promise<EventView[]> {
    const answer = await api<{ events: EventView[] }>("GET", `${this.path}/events?limit=1000`, {
      token: this.user.token,
    });
    return answer.body.events;
  }

  async eventTypes(): Promise<string[]> {
    return (await this.events()).map((event) => event.event_type);
  }

  post<T = InstanceView>(action: string, json: unknown = {}): Promise<Answer<T>> {
    return api<T>("POST", `${this.path}/${action}`, { token: this.user.token, json });
  }

  /** The agent on the machine of an epoch, the newest by default. */
  agent(epoch?: number): FakeAgent {
    const machines = this.vast.ofInstance(this.id);
    const machine = epoch ? this.vast.withLabel(`soneca:${this.id}:${epoch}`)[0] : machines.at(-1);
    if (!machine) throw new Error("there is no machine");
    return new FakeAgent(this.id, machine);
  }

  async settled(): Promise<InstanceView> {
    await settle(this.id);
    return this.view();
  }
}

export async function newInstance(vast: FakeVast, user: TestUser, config: object = {}): Promise<Sleeper> {
  const { status, body } = await api<InstanceView>("POST", "/api/instances", {
    token: user.token,
    json: { name: "nest", gpu_type: "RTX 4090", auto_hibernation: { ...quickConfig, ...config } },
  });
  if (status !== 201) throw new Error(`not created: ${status} ${JSON.stringify(body)}`);
  const sleeper = new Sleeper(vast, user, body.id as InstanceId);
  await settle(sleeper.id);
  return sleeper;
}

/** An instance whose agent has reported: `running`. */
export async function runningInstance(
  vast: FakeVast,
  user: TestUser,
  config: object = {},
): Promise<{ nest: Sleeper; agent: FakeAgent }> {
  const nest = await newInstance(vast, user, config);
  const agent = nest.agent();
  await agent.beat({ gpu: 80 });
  return { nest, agent };
}

// ---- the agent -------------------------------------------------------------------------------------------------------------

export interface BeatOptions {
  /** Utilisation of the interval since the last beat; absent: no interval at all. */
  gpu?: number;
  results?: unknown[];
  seal?: unknown;
  extra?: Record<string, unknown>;
}

export class FakeAgent {
  readonly instance: string;
  readonly token: string;
  readonly epoch: number;
  readonly machine: VastMachine;
  bootId = crypto.randomUUID();
  n = 0;
  lastAt = Date.now() - 10_000;
  answer: StatusAnswer | null = null;

  constructor(instance: string, machine: VastMachine, token = machine.env.SONECA_TOKEN ?? "") {
    this.instance = instance;
    this.machine = machine;
    this.token = token;
    this.epoch = Number(machine.env.SONECA_EPOCH ?? "1");
    machine.status = "running";
  }

  report({ gpu, results, seal, extra }: BeatOptions = {}): Record<string, unknown> {
    const intervals = gpu === undefined ? [] : [interval(this.n++, this.lastAt, Date.now(), gpu)];
    this.lastAt = Date.now();
    return {
      instance_id: this.instance,
      gpu_util: gpu ?? null,
      sentAt: Date.now(),
      agent: { version: "0.1.0", bootId: this.bootId, startedAt: Date.now(), workspace: "/workspace" },
      intervals,
      results: results ?? [],
      seal: seal ?? null,
      ...extra,
    };
  }

  post(report: Record<string, unknown>): Promise<Answer<StatusAnswer>> {
    return api<StatusAnswer>("POST", "/api/agent/status", { token: this.token, json: report });
  }

  async beat(options: BeatOptions = {}): Promise<StatusAnswer> {
    const { status, body } = await this.post(this.report(options));
    if (status !== 200) throw new Error(`beat refused: ${status} ${JSON.stringify(body)}`);
    this.answer = body;
    return body;
  }

  /** Beats each `everyMs` for `ms`, with this utilisation. */
  async beatFor(ms: number, gpu: number, everyMs = 10_000): Promise<StatusAnswer> {
    let answer = this.answer;
    for (let passed = 0; passed < ms; passed += everyMs) {
      advance(everyMs);
      answer = await this.beat({ gpu });
    }
    return answer!;
  }

  command<K extends string>(kind: K) {
    const found = this.answer?.commands.find((one) => one.kind === kind);
    if (!found) throw new Error(`no ${kind} command in ${JSON.stringify(this.answer?.commands)}`);
    return found as Extract<StatusAnswer["commands"][number], { kind: K }>;
  }

  put(name: string, bytes: BodyInit, headers: Record<string, string> = {}): Promise<Response> {
    return send("PUT", `/api/agent/store/${name}`, { token: this.token, raw: bytes, headers });
  }

  /** Writes parts and a manifest through the store routes, as an engine does. */
  async store(seq: number, change: Partial<Manifest> = {}, torn = 0): Promise<{ ref: SnapshotRef; keys: string[] }> {
    const parts: { key: string; bytes: number }[] = [];
    for (let i = 0; i < 2; i++) {
      const bytes = crypto.getRandomValues(new Uint8Array(64 + i));
      const key = await sha256Hex(bytes);
      const put = await this.put(`parts/${key}`, bytes);
      if (put.status !== 201) throw new Error(`part refused: ${await put.text()}`);
      parts.push({ key, bytes: bytes.length });
    }
    const manifest = manifestOf(this.instance, this.epoch, seq, parts, torn, change);
    const put = await this.put(`manifests/${manifestKey(seq, this.epoch)}`, formatManifest(manifest));
    if (put.status !== 201) throw new Error(`manifest refused: ${await put.text()}`);
    return { ref: { seq, epoch: this.epoch, digest: manifest.digest }, keys: parts.map((part) => part.key) };
  }

  sealOf(ref: SnapshotRef, holdsForMs = 120_000) {
    const { id } = this.command("seal");
    return { commandId: id, snapshot: ref, stats: null, stoppedProcesses: 3, holdsForMs };
  }
}

export const stats = { entries: 3, files: 2, plainBytes: 200, storedBytes: 129, newStoredBytes: 129 };

export function interval(n: number, fromAt: number, toAt: number, gpu: number) {
  const reading = { index: 0, name: "RTX 4090", max: gpu, mean: gpu, busyShare: gpu < 5 ? 0 : 1 };
  const gpus = [{ ...reading, memoryUsedMb: 10, memoryTotalMb: 24564 }];
  return { n, fromAt, toAt, expected: 10, taken: 10, gpus, sensorError: null };
}

export function manifestOf(
  instance: string,
  epoch: number,
  seq: number,
  parts: { key: string; bytes: number }[],
  torn = 0,
  change: Partial<Manifest> = {},
): Manifest {
  const key = parts[0]!.key;
  return {
    v: 1,
    instance,
    epoch,
    seq,
    createdAt: Date.now(),
    agent: "0.1.0",
    chunker: 1,
    root: { id: key },
    digest: key,
    segments: [key],
    parts,
    excludes: [],
    encryption: null,
    stats: { ...stats, newPlainBytes: 200, torn, skipped: [] },
    parent: null,
    ...change,
  };
}

export async function sha256Hex(bytes: Uint8Array<ArrayBuffer> | string): Promise<string> {
  const input = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", input));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// ---- the steps of a sleep ------------------------------------------------------------------------------------------------

/** From `running`: asks for the sleep, takes and stores the snapshot, and waits for its proof. */
export async function upToSeal(nest: Sleeper, agent: FakeAgent): Promise<SnapshotRef> {
  await nest.post("hibernate");
  await agent.beat({ gpu: 0 });
  const { id, seq } = agent.command("snapshot");
  const { ref } = await agent.store(seq);
  await agent.beat({ gpu: 0, results: [{ commandId: id, outcome: "snapshot_taken", snapshot: ref, stats }] });
  await settle(nest.id);
  await agent.beat({ gpu: 0 });
  return ref;
}

/** From `running` to `hibernated`. */
export async function fallAsleep(nest: Sleeper, agent: FakeAgent): Promise<SnapshotRef> {
  const ref = await upToSeal(nest, agent);
  await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
  await settle(nest.id);
  await alarmAfter(nest.id, 3_500);
  const { state } = await nest.view();
  if (state !== "hibernated") throw new Error(`not asleep: ${state}`);
  return ref;
}
