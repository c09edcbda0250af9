/** Carries the injections of half a cycle out: rules at once, everything else when its step is seen. Undoes what it did. */
import { sleep } from "../../local-cloud/processes.ts";
import type { LocalMachine } from "../../local-cloud/vast/control.ts";
import type { Instance } from "../testing/cloud.ts";
import { type Half, type Injection, nameOf, type Step } from "./plan.ts";
import type { World } from "./world.ts";

const statesOf: Record<Step, readonly string[]> = {
  running: ["running"],
  snapshot: ["snapshotting"],
  prove: ["snapshotting"],
  seal: ["snapshotting"],
  destroy: ["destroying"],
  rent: ["provisioning"],
  boot: ["provisioning"],
  restore: ["restoring"],
};

export interface Under {
  world: World;
  instance: Instance;
  half: Half;
  /** Told of each thing that was done, for the story of a failure. */
  tell: (text: string) => void;
}

export class Injector {
  readonly #under: Under;
  readonly #injections: readonly Injection[];
  readonly #done: Promise<void>[] = [];
  readonly #undo: (() => Promise<unknown>)[] = [];
  #steps = new Set<Step>();
  #watch: Promise<void> = Promise.resolve();
  #over = false;
  /** A host died during this half: what was on its machine may be lost. */
  hostDied = false;

  constructor(under: Under, injections: readonly Injection[]) {
    this.#under = under;
    this.#injections = injections;
  }

  /** Arms the rules and begins to watch. */
  async begin(): Promise<void> {
    const { world, instance, tell } = this.#under;
    for (const one of this.#injections) {
      if (one.kind === "rule") {
        const label = one.narrow ? { label: `soneca:${instance.id}:` } : {};
        const rule = await world.arm({ ...one.order, ...label });
        tell(`armed ${JSON.stringify({ ...one.order, ...label })}`);
        this.#undo.push(async () => {
          const struck = await world.disarm(rule);
          world.count(nameOf(one), struck);
          if (struck > 0) tell(`${nameOf(one)} struck ${struck} times`);
        });
      } else {
        this.#done.push(this.#at(one).catch((error) => tell(`${nameOf(one)} could not be done: ${error}`)));
      }
    }
    // Looking costs: nobody looks when nothing waits for a step.
    if (this.#done.length > 0) this.#watch = this.#look();
  }

  /** The half is over, well or not: what is still to come is left, and what was done is undone. */
  async end(): Promise<void> {
    this.#over = true;
    await Promise.all([this.#watch, ...this.#done]);
    for (const undo of this.#undo) await undo();
  }

  async #at(one: Exclude<Injection, { kind: "rule" }>): Promise<void> {
    while (!this.#steps.has(one.step)) {
      if (this.#over) return this.#under.world.count(`missed: ${nameOf(one)}`);
      await sleep(10);
    }
    await sleep(one.afterMs);
    if (this.#over) return this.#under.world.count(`missed: ${nameOf(one)}`);
    if (await this.#do(one)) {
      this.#under.world.count(nameOf(one));
      this.#under.tell(`${nameOf(one)} (${JSON.stringify(one)})`);
    } else this.#under.world.count(`missed: ${nameOf(one)}`);
  }

  /** False when there was nothing to do it to. */
  async #do(one: Exclude<Injection, { kind: "rule" }>): Promise<boolean> {
    const { world } = this.#under;
    if (one.kind === "kill" && one.victim !== "agent")
      return world.kill(one.victim, one.downMs, async () => !this.#over && (await this.#isAt(one.step)));
    if (!(await this.#isAt(one.step))) return false;
    const machine = (await this.#under.instance.machines()).at(-1);
    if (!machine || machine.status === "destroying") return false;
    switch (one.kind) {
      case "kill":
        await world.onMachine(machine.id, "kill", "POST");
        return true;
      case "freeze":
        return this.#lasting(
          one.forMs,
          () => this.#signal(machine, "SIGSTOP"),
          () => this.#signal(machine, "SIGCONT"),
        );
      case "network": {
        const set = (mode: string) => world.onMachine(machine.id, "network", "PUT", { mode });
        return this.#lasting(
          one.forMs,
          () => set(one.mode),
          () => set("up"),
        );
      }
      case "disk": {
        const set = (freeBytes: number | null) => world.onMachine(machine.id, "disk", "PUT", { freeBytes });
        return this.#lasting(
          one.forMs,
          () => set(one.freeBytes),
          () => set(null),
        );
      }
      case "clock": {
        const set = (offsetMs: number) => world.onMachine(machine.id, "clock", "PUT", { offsetMs });
        return this.#lasting(
          one.forMs,
          () => set(one.offsetMs),
          () => set(0),
        );
      }
      case "host":
        return this.#killHost(machine, one);
    }
  }

  #signal(machine: LocalMachine, signal: string): Promise<unknown> {
    return this.#under.world.onMachine(machine.id, "signal", "POST", { signal, whom: "agent" });
  }

  /** What ends by itself after some time, whether the half is over by then or not. The machine may be gone by then. */
  async #lasting(forMs: number, begin: () => Promise<unknown>, end: () => Promise<unknown>): Promise<boolean> {
    try {
      await begin();
    } catch (error) {
      // A stand-in that died before it answered may have done it, and nobody else would undo it.
      await this.#untilDone(end);
      throw error;
    }
    const ends = Date.now() + forMs;
    while (!this.#over && Date.now() < ends) await sleep(20);
    await this.#untilDone(end);
    return true;
  }

  async #killHost(machine: LocalMachine, one: Extract<Injection, { kind: "host" }>): Promise<boolean> {
    const { world } = this.#under;
    this.hostDied = true;
    await world.onMachine(machine.id, "host", "POST", { how: one.how === "gone" ? "gone" : "offline" });
    if (one.how === "gone") return true;
    // Also when the half is over: a host that stays away would be waited for.
    await sleep(one.forMs);
    await this.#untilDone(() =>
      world.onMachine(machine.id, "host", "POST", { how: one.how === "back" ? "back" : "gone" }),
    );
    return true;
  }

  /** The stand-in may be dead for a moment; a machine that is gone needs nothing more. */
  async #untilDone(act: () => Promise<unknown>): Promise<void> {
    for (let tries = 0; tries < 200; tries++) {
      this.#under.world.mayGoOn();
      try {
        await act();
        return;
      } catch (error) {
        if (/: (404|409) /.test(String(error))) return;
        await sleep(100);
      }
    }
  }

  /** What comes too late for its step is another thing than what was meant. */
  async #isAt(step: Step): Promise<boolean> {
    const view = await this.#under.instance.view().catch(() => null);
    return view !== null && statesOf[step].includes(view.state);
  }

  // --- which step is it -----------------------------------------------------------------------------------------------

  async #look(): Promise<void> {
    while (!this.#over) {
      const steps = await this.#present().catch(() => []);
      for (const step of steps) this.#steps.add(step);
      await sleep(30);
    }
  }

  async #present(): Promise<Step[]> {
    const view = await this.#under.instance.view();
    switch (view.state) {
      case "running":
        return this.#under.half === "sleep" ? ["running"] : [];
      case "provisioning":
        return view.machine?.vast_instance_id == null ? ["rent"] : ["rent", "boot"];
      case "restoring":
        return ["restore"];
      case "snapshotting": {
        const log = this.#under.world.agentLogOf(view.machine?.vast_instance_id ?? null).slice(-60);
        const since = log.findLastIndex((line) => line.event === "command_begun" && line.kind === "snapshot");
        const later = log.slice(Math.max(0, since));
        const isTaken = later.some((line) => line.event === "command_done");
        const isSealing = later.some((line) => line.event === "command_begun" && line.kind === "seal");
        return ["snapshot", ...(isTaken ? (["prove"] as const) : []), ...(isSealing ? (["seal"] as const) : [])];
      }
      case "destroying":
        return ["destroy"];
      default:
        return [];
    }
  }
}
