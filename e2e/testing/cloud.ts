/** What the end-to-end tests share: a cloud of their own, patience, and witnesses that do not go through the product. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { AutoHibernationPatch } from "../../core/protocol/config.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { EventView, InstanceView } from "../../core/protocol/views.ts";
import { type CloudOptions, LocalCloud } from "../../local-cloud/cloud.ts";
import { compareFolders } from "../../local-cloud/compare.ts";
import { sleep } from "../../local-cloud/processes.ts";
import { freePort } from "../../local-cloud/secrets.ts";
import type { BillRow } from "../../local-cloud/vast/bill.ts";
import type { LocalMachine } from "../../local-cloud/vast/control.ts";
import { signAgentToken } from "../../worker/tokens.ts";

export interface TestCloud {
  cloud: LocalCloud;
  /** A folder for the test's own things, outside of every machine. */
  base: string;
  end(): Promise<void>;
}

/** A local cloud in a folder of its own, on ports of its own. */
/** The stand-in takes calls as fast as they come; at vast.ai's own pace ten machines take a minute to be rented. */
const providerPace = { search: 600, create: 450, list: 100, change: 100, destroy: 300 };

export async function startTestCloud(options: Partial<CloudOptions> = {}): Promise<TestCloud> {
  const base = makeTestFolder();
  try {
    const cloud = await LocalCloud.start({
      stateDir: join(base, "state"),
      port: await freePort(),
      bootMs: 1_000,
      intervals: providerPace,
      ...options,
    });
    return {
      cloud,
      base,
      end: () => cloud.stop().finally(() => (process.env.SONECA_KEEP ? undefined : removeFolder(base))),
    };
  } catch (error) {
    removeFolder(base);
    throw error;
  }
}

export function makeTestFolder(): string {
  return mkdtempSync(join(tmpdir(), "soneca-e2e-"));
}

/** Also where a workspace with folders without rights lies in it. */
export function removeFolder(folder: string): void {
  spawnSync("chmod", ["-R", "u+rwX", folder], { stdio: "ignore" });
  rmSync(folder, { recursive: true, force: true });
}

/** Asks again and again until the answer is not null; throws with what was seen last when it takes too long. */
export async function until<T>(
  what: string,
  ask: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  {
    withinMs = 120_000,
    everyMs = 100,
    seen = () => "",
  }: { withinMs?: number; everyMs?: number; seen?: () => string } = {},
): Promise<T> {
  const end = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== undefined && answer !== false) return answer;
    if (Date.now() > end) throw new Error(`not within ${withinMs / 1000} s: ${what}. ${seen()}`);
    await sleep(everyMs);
  }
}

/** Quick intervals, so that a window passes within a test. Minutes are fractions: 0.1 is six seconds. */
export const quick = {
  pause_after_idle_minutes: 0.1,
  delete_after_pause_minutes: 0.1,
  check_interval_seconds: 1,
  grace_minutes: 0,
} satisfies AutoHibernationPatch;

/** One instance, as its owner sees it. */
export class Instance {
  readonly cloud: LocalCloud;
  readonly id: InstanceId;

  constructor(cloud: LocalCloud, id: string) {
    this.cloud = cloud;
    this.id = id as InstanceId;
  }

  static async create(cloud: LocalCloud, body: Record<string, unknown>): Promise<Instance> {
    const made = await cloud.api<InstanceView>("POST", "/api/instances", body);
    if (made.status !== 201) throw new Error(`create: ${made.status} ${JSON.stringify(made.body)}`);
    return new Instance(cloud, made.body.id);
  }

  async view(): Promise<InstanceView> {
    const answer = await this.cloud.api<InstanceView>("GET", `/api/instances/${this.id}`);
    if (answer.status !== 200) throw new Error(`GET ${this.id}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  async post(action: "wake" | "hibernate" | "discard", body: object = {}): Promise<InstanceView> {
    const answer = await this.cloud.api<InstanceView>("POST", `/api/instances/${this.id}/${action}`, body);
    if (answer.status !== 202) throw new Error(`${action}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** All of them, page by page. */
  async events(): Promise<EventView[]> {
    const events: EventView[] = [];
    for (;;) {
      const path = `/api/instances/${this.id}/events?limit=1000&after=${events.at(-1)?.seq ?? 0}`;
      const answer = await this.cloud.api<{ events: EventView[] }>("GET", path);
      if (answer.status !== 200) throw new Error(`events: ${answer.status}`);
      events.push(...answer.body.events);
      if (answer.body.events.length < 1000) return events;
    }
  }

  /** Events are read from D1, which follows the instance by moments: waits until one of this type is there. */
  async eventsUpTo(type: string): Promise<EventView[]> {
    return until(`event ${type} of ${this.id} is shown`, async () => {
      const events = await this.events();
      return events.some((event) => event.event_type === type) && events;
    });
  }

  async eventTypesUpTo(type: string): Promise<string[]> {
    return (await this.eventsUpTo(type)).map((event) => event.event_type);
  }

  /** Waits for a view that fits. A worker that is being started again is waited for. */
  async until(
    what: string,
    fits: (view: InstanceView) => boolean,
    { withinMs = 120_000, everyMs = 100 }: { withinMs?: number; everyMs?: number } = {},
  ): Promise<InstanceView> {
    let last: InstanceView | null = null;
    let error: unknown = null;
    try {
      return await until(
        what,
        async () => {
          try {
            last = await this.view();
            return fits(last) ? last : null;
          } catch (cause) {
            error = cause;
            return null;
          }
        },
        { withinMs, everyMs },
      );
    } catch (cause) {
      const tail = (await this.events().catch(() => []))
        .map(
          ({ timestamp, event_type, actor, params }) =>
            `${timestamp.slice(11, 23)} ${event_type} (${actor}) ${JSON.stringify(params)}`,
        )
        .join("\n");
      const { state, status, trouble, progress, awake_because } = last ?? ({} as Partial<InstanceView>);
      const now = JSON.stringify({ state, status, trouble, progress, awake_because });
      throw new Error(`${(cause as Error).message}\nlast: ${now}\nerror: ${error}\nevents:\n${tail}`, { cause });
    }
  }

  async untilState(state: string, withinMs = 150_000): Promise<InstanceView> {
    return this.until(`${this.id} is ${state}`, (view) => view.state === state, { withinMs });
  }

  async machines(): Promise<LocalMachine[]> {
    return (await listMachines(this.cloud)).filter((one) => one.label?.startsWith(`soneca:${this.id}:`));
  }

  /** Its newest machine, once the provider has one. */
  async machine(): Promise<LocalMachine> {
    return until(`${this.id} has a machine`, async () => (await this.machines()).at(-1), { everyMs: 30 });
  }

  /** What the store holds, asked with a token as its agent has it. */
  async stored(epoch: number): Promise<{ key: string; bytes: number; sha256: string | null }[]> {
    const token = await signAgentToken(this.cloud.agentJwtSecret, this.id, epoch, Date.now());
    const answer = await this.cloud.api<{ objects: { key: string; bytes: number; sha256: string | null }[] }>(
      "GET",
      "/api/agent/store",
      undefined,
      token,
    );
    if (answer.status !== 200) throw new Error(`store: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body.objects;
  }

  /** What its agent wrote in its own log, for as long as the machine is there. */
  async agentLog(): Promise<Record<string, unknown>[]> {
    const machine = (await this.machines()).at(-1);
    return machine ? readAgentLog(machine) : [];
  }
}

export async function listMachines(cloud: LocalCloud): Promise<LocalMachine[]> {
  return (await cloud.vastLocal<{ machines: LocalMachine[] }>("GET", "/local/machines")).machines;
}

export async function billOf(cloud: LocalCloud): Promise<BillRow[]> {
  return (await cloud.vastLocal<{ bill: BillRow[] }>("GET", "/local/bill")).bill;
}

export async function setGpu(cloud: LocalCloud, machine: LocalMachine, ...load: string[]): Promise<void> {
  await cloud.vastLocal("PUT", `/local/machines/${machine.id}/gpu`, { load });
}

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

export async function execIn(cloud: LocalCloud, machine: LocalMachine, ...argv: string[]): Promise<Ran> {
  // The answer comes when the program ends.
  return cloud.vastLocal<Ran>("POST", `/local/machines/${machine.id}/exec`, { argv }, 180_000);
}

export function readAgentLog(machine: Pick<LocalMachine, "path">): Record<string, unknown>[] {
  const file = join(machine.path, "agent", "agent.log");
  if (!statSync(file, { throwIfNoEntry: false })) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .flatMap((line) => {
      try {
        return [JSON.parse(line)];
      } catch {
        return [];
      }
    });
}

export function workspaceOf(machine: LocalMachine): string {
  return join(machine.path, "workspace");
}

/** `cp -a` keeps everything that the comparison looks at. */
export function keepCopy(from: string, to: string): string {
  mkdirSync(to, { recursive: true });
  const run = spawnSync("cp", ["-a", "--", `${from}/.`, to], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`cp -a ${from} ${to}: ${run.stderr || run.error}`);
  return to;
}

/** Throws with the differences when the folders are not equal in everything. */
export function mustBeEqual(before: string, after: string): { entries: number; files: number; bytes: number } {
  const { differences, differenceCount, ...rest } = compareFolders(before, after);
  if (differenceCount > 0) throw new Error(`${differenceCount} differences:\n${differences.join("\n")}`);
  return rest;
}

export interface SeenProcess {
  pid: number;
  argv: string;
}

/** Every process that names this text in its environment or its arguments: the witness is /proc alone. */
export function processesWith(text: string): SeenProcess[] {
  const needle = Buffer.from(text).toString("latin1");
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      const argv = readFileSync(`/proc/${pid}/cmdline`, "latin1");
      const environ = readFileSync(`/proc/${pid}/environ`, "latin1");
      if (!argv.includes(needle) && !environ.includes(needle)) return [];
      return [{ pid, argv: argv.replaceAll("\0", " ").slice(0, 200) }];
    } catch {
      return [];
    }
  });
}

/** The rows of the read model, read from the file that workerd keeps it in. */
export function readD1(cloud: LocalCloud, query: string, ...values: string[]): Record<string, unknown>[] {
  const folder = join(cloud.stateDir, "worker", "v3", "d1", "miniflare-D1DatabaseObject");
  const file = readdirSync(folder).find((name) => name.endsWith(".sqlite") && !name.startsWith("metadata"));
  if (!file) throw new Error(`no database in ${folder}`);
  const database = new DatabaseSync(join(folder, file), { readOnly: true });
  try {
    return database.prepare(query).all(...values) as Record<string, unknown>[];
  } finally {
    database.close();
  }
}
