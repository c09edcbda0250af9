/** One instance after another, cycle by cycle: the workspace changes, it falls asleep, it wakes, and all is looked at. */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { InstanceView } from "../../core/protocol/views.ts";
import { sleep } from "../../local-cloud/processes.ts";
import type { LocalMachine } from "../../local-cloud/vast/control.ts";
import { Instance, keepCopy, removeFolder, workspaceOf } from "../testing/cloud.ts";
import { countWritten, writerProgram } from "../testing/writer.ts";
import { change, writeFirst } from "./changes.ts";
import { type BillCheck, checkMachines, checkStore, checkWorkspace, readBills } from "./checks.ts";
import { Injector } from "./inject.ts";
import type { CyclePlan, Half } from "./plan.ts";
import { Breach, type World } from "./world.ts";

/** No step of a cycle may take longer, whatever goes wrong in it. */
const halfMs = 300_000;
const settleMs = 120_000;

export interface CycleResult {
  files: number;
  bytes: number;
  storedBytes: number;
  /** Whether a host died with what was after the newest snapshot. */
  lost: boolean;
  ms: number;
}

interface Kept {
  folder: string;
  /** Where the lines that were written in it are counted. */
  outside: string | null;
}

export class Lane {
  readonly #world: World;
  readonly #seed: string;
  /** What happened in this cycle, for a failure. */
  story: string[] = [];
  #instance: Instance | null = null;
  /** The content of the newest snapshot. */
  #kept: Kept | null = null;
  #startedAt = Date.now();

  constructor(world: World, seed: string) {
    this.#world = world;
    this.#seed = seed;
  }

  get instance(): Instance | null {
    return this.#instance;
  }

  /** A new instance with a first workspace and a first snapshot, while nothing goes wrong. */
  async begin(): Promise<void> {
    const { cloud } = this.#world;
    this.#tell("a new instance");
    this.#instance = await this.#world.patiently("a new instance", () =>
      Instance.create(cloud, {
        name: "crash",
        gpu_type: "RTX 4090",
        // A machine that does not come up soon gets a second one beside it.
        rent: { second_after_seconds: 10 },
        auto_hibernation: { enabled: false, check_interval_seconds: 1, delete_after_pause_minutes: 30 },
      }),
    );
    const view = await this.#drive("wake", "running", new Set(["running"]));
    writeFirst(workspaceOf(await this.#machineOf(view)), `first ${this.#seed}`);
    await this.cycle({
      cycle: -1,
      changeSeed: "calm",
      changes: 0,
      writes: false,
      stops: false,
      injections: { sleep: [], wake: [] },
    });
  }

  /** Errors: Breach. */
  async cycle(plan: CyclePlan): Promise<CycleResult> {
    const startedAt = Date.now();
    this.story = [];
    this.#startedAt = startedAt;
    const instance = this.#instance!;
    const before = await this.#view();
    const machine = await this.#machineOf(before);
    const workspace = workspaceOf(machine);
    rmSync(join(workspace, "live"), { recursive: true, force: true });
    change(workspace, plan.changeSeed, plan.changes);
    const outside = plan.writes ? await this.#startWriter(machine) : null;
    const now: Kept = { folder: keepCopy(workspace, this.#path("kept")), outside };

    await this.#world.patiently("the pause mode", () => this.#setMode(plan.stops ? "stop" : "destroy"));
    const seqBefore = before.snapshot?.seq ?? 0;
    const sleeping = await this.#half("sleep", plan);
    const asleep = sleeping.view;
    const isNew = (asleep.snapshot?.seq ?? 0) > seqBefore;
    const isWhole = isNew && (await this.#fellAsleep(asleep));
    if (!isNew && !sleeping.hostDied) throw new Breach("nobody's host died, and there is no new snapshot");
    const old = this.#kept;
    this.#kept = isNew ? now : old;
    this.#forget(isNew ? old : now);
    const stored = checkStore(this.#world.cloud, instance, asleep);

    const woken = (await this.#half("wake", plan)).view;
    const restored = workspaceOf(await this.#machineOf(woken));
    const kept = this.#kept!;
    const written = kept.outside ? { count: countWritten(kept.outside), isWhole } : null;
    const { files, bytes } = checkWorkspace(kept.folder, restored, written);
    return { files, bytes, storedBytes: stored.bytes, lost: !isWhole, ms: Date.now() - startedAt };
  }

  /** Gives the machine back. Its bill is final after it. */
  async end(): Promise<BillCheck | null> {
    if (!this.#instance) return null;
    const instance = this.#instance;
    const { state, stopped_machine } = await this.#view();
    if ((state !== "hibernated" && state !== "deleted") || stopped_machine) {
      await this.#world.patiently("discard", async () => {
        const view = await instance.view();
        if (view.actions.includes("discard")) await instance.post("discard", { confirm: instance.id });
        else if (view.machine) throw new Error(`discard is not allowed while ${view.state}`);
      });
    }
    await this.#settled(["hibernated", "deleted"]);
    return readBills(await this.#world.bill(), instance, await this.#view());
  }

  async #half(half: Half, plan: CyclePlan): Promise<{ view: InstanceView; hostDied: boolean }> {
    const instance = this.#instance!;
    const injector = new Injector(
      { world: this.#world, instance, half, tell: (text) => this.#tell(text) },
      plan.injections[half],
    );
    await injector.begin();
    try {
      const [wanted, ends] =
        half === "sleep" ? (["hibernate", ["hibernated", "deleted"]] as const) : (["wake", ["running"]] as const);
      await this.#drive(wanted, half, new Set(ends));
      await injector.end();
      await this.#world.stand();
      // What was still on its way when the goal was reached may have moved it away again: a host that died, a lost machine.
      await this.#drive(wanted, half, new Set(ends));
      return { view: await this.#settled(ends), hostDied: injector.hostDied };
    } finally {
      await injector.end();
    }
  }

  /** Asks as a person would who wants it and does not give up. Errors: Breach when it takes too long. */
  async #drive(wanted: "hibernate" | "wake", what: string, ends: ReadonlySet<string>): Promise<InstanceView> {
    const instance = this.#instance!;
    const until = Date.now() + halfMs;
    let view: InstanceView | null = null;
    let askedAt = 0;
    let seen = "";
    for (let n = 0; Date.now() < until; n++) {
      this.#world.mayGoOn();
      view = await instance.view().catch(() => null);
      if (view) {
        const words = `${view.state}${view.trouble ? ` (${view.trouble.code})` : ""}`;
        if (words !== seen) this.#tell(words);
        seen = words;
        if (ends.has(view.state)) return view;
        const isAsleep = view.state === "hibernated" || view.state === "deleted" || view.state === "failed";
        const isDue = wanted === "wake" ? isAsleep : view.state === "running";
        if (isDue && Date.now() - askedAt > 1_000) {
          askedAt = Date.now();
          await instance.post(wanted).catch((error) => this.#tell(`${wanted}: ${String(error).slice(0, 200)}`));
        }
      }
      if (n % 25 === 24) void this.#world.cron();
      await sleep(200);
    }
    throw new Breach(
      `${what} took more than ${halfMs / 1000} s; it is ${view?.state}: ${JSON.stringify(view?.trouble)}`,
    );
  }

  /** Nothing is on its way any more, and the provider has exactly what it should. */
  async #settled(ends: readonly string[]): Promise<InstanceView> {
    const instance = this.#instance!;
    const until = Date.now() + settleMs;
    for (let n = 0; ; n++) {
      this.#world.mayGoOn();
      try {
        const view = await this.#view();
        if (!ends.includes(view.state)) throw new Breach(`it was ${ends[0]} and is ${view.state}`);
        const left = view.retiring_machines.map((one) => one.label);
        if (left.length > 0) throw new Breach(`I5: ${left} are still on their way out`);
        await checkMachines(this.#world, instance, view);
        return view;
      } catch (error) {
        if (!(error instanceof Breach) || Date.now() > until) throw error;
      }
      if (n % 10 === 9) await this.#world.cron();
      await sleep(250);
    }
  }

  /** Whether the newest sleep ended by its proof: then not a line may be missing. */
  async #fellAsleep(view: InstanceView): Promise<boolean> {
    const events = await this.#world.patiently("events", () => this.#instance!.eventsUpTo("hibernated"));
    const last = events.findLast((one) => one.event_type === "hibernated" || one.event_type === "machine_lost");
    return last?.event_type === "hibernated" && last.snapshot_id === view.snapshot_id;
  }

  async #setMode(pause_mode: "stop" | "destroy"): Promise<void> {
    const path = `/api/instances/${this.#instance!.id}/config`;
    const { status } = await this.#world.cloud.api("PUT", path, { auto_hibernation: { pause_mode } });
    if (status !== 200) throw new Error(`config: ${status}`);
  }

  #view(): Promise<InstanceView> {
    return this.#world.patiently("a view", () => this.#instance!.view());
  }

  async #machineOf(view: InstanceView): Promise<LocalMachine> {
    const machine = (await this.#world.machines()).find((one) => one.id === view.machine?.vast_instance_id);
    if (!machine) throw new Breach(`${view.state} without a machine at the provider`);
    return machine;
  }

  async #startWriter(machine: LocalMachine): Promise<string> {
    const outside = this.#path("outside");
    const program = join(this.#world.base, "writer.mjs");
    if (!existsSync(program)) writeFileSync(program, writerProgram);
    const start = `mkdir live; setsid node "$0" live/numbers.txt "$1" >/dev/null 2>&1 </dev/null &`;
    await this.#world.patiently("a writer", async () => {
      if (countWritten(outside) > 0) return;
      await this.#world.onMachine(machine.id, "exec", "POST", { argv: ["sh", "-c", start, program, outside] });
    });
    await this.#world.patiently("the first lines", async () => {
      if (countWritten(outside) < 5) throw new Error("nothing is written yet");
    });
    return outside;
  }

  #path(name: string): string {
    const folder = join(this.#world.base, "lanes");
    mkdirSync(folder, { recursive: true });
    return join(folder, `${name}-${randomUUID().slice(0, 13)}`);
  }

  #forget(kept: Kept | null): void {
    if (!kept) return;
    removeFolder(kept.folder);
    if (kept.outside) rmSync(kept.outside, { force: true });
  }

  #tell(text: string): void {
    this.story.push(`${((Date.now() - this.#startedAt) / 1000).toFixed(2).padStart(7)} s  ${text}`);
  }
}
