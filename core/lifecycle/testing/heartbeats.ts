/** What agents say and are told, over a net that loses and delays both. */
import { machineWith, speaks } from "../attempts.ts";
import { commandsFor } from "../commands.ts";
import type { EventOf } from "../handler.ts";
import { defaultTimings } from "../timings.ts";
import type { State } from "../types.ts";
import { quietFloorMs } from "../vetoes.ts";
import { type FakeAgent, obey, runAgent, sealReport } from "./agent.ts";
import type { Clock } from "./clock.ts";
import { type FakeMachine, isAlive, takeOne } from "./provider.ts";
import type { FakeStore } from "./store.ts";

/** Counters are used up one by one. */
export interface Net {
  downUntil: number;
  beatsLost: number;
  answersLost: number;
  /** The next beat is late by. */
  delayMs: number;
}

interface HeartbeatsWorld {
  readonly clock: Clock;
  readonly net: Net;
  readonly state: State;
  readonly store: FakeStore;
  apply(event: EventOf<"beat">): void;
}

export class Heartbeats {
  readonly #world: HeartbeatsWorld;
  readonly #clock: Clock;

  constructor(world: HeartbeatsWorld) {
    this.#world = world;
    this.#clock = world.clock;
  }

  get #now(): number {
    return this.#clock.now;
  }

  /** It speaks from then on, until it is started anew. */
  follow(machine: FakeMachine, at: number | null): void {
    const { boots } = machine;
    if (at !== null) this.#clock.at(at, () => machine.boots === boots && this.#beat(machine));
  }

  #beat(machine: FakeMachine): void {
    if (!isAlive(machine)) return;
    const { agent } = machine;
    const { net } = this.#world;
    const now = this.#now;
    runAgent(agent, now);
    this.follow(machine, now + (this.#world.state.now.status === "running" ? 10_000 : 5_000));
    if (now < agent.silentUntil || now < net.downUntil || takeOne(net, "beatsLost")) return;
    agent.quietSince = agent.busy ? null : (agent.quietSince ?? now);
    const event: EventOf<"beat"> = {
      type: "beat",
      epoch: machine.epoch,
      verdict: this.#verdict(agent),
      results: structuredClone(agent.results),
      seal: sealReport(agent, now),
      progressed: agent.job !== null,
      held: structuredClone(agent.held),
      memoryHeld: agent.memoryHeld,
    };
    const delayMs = net.delayMs;
    net.delayMs = 0;
    this.#clock.at(now + 100 + delayMs, () => this.#hear(machine, event));
  }

  #hear(machine: FakeMachine, event: EventOf<"beat">): void {
    if (!speaks(this.#world.state, event.epoch)) return;
    machine.heard ||= machineWith(this.#world.state, event.epoch)?.facts != null;
    this.#world.apply(event);
    if (this.#now < this.#world.net.downUntil || takeOne(this.#world.net, "answersLost")) return;
    const commands = commandsFor(this.#world.state, event.epoch, defaultTimings);
    const { status } = this.#world.state.now;
    const kept = event.results.map((one) => one.commandId);
    this.#clock.at(this.#now + 50, () => {
      if (!isAlive(machine)) return;
      runAgent(machine.agent, this.#now);
      obey(machine.agent, status, commands, kept, this.#world.store, this.#now);
    });
  }

  #verdict(agent: FakeAgent): EventOf<"beat">["verdict"] {
    if (agent.quietSince === null) {
      return {
        kind: "busy",
        blockers: [{ signal: "gpu", code: "gpu_busy", value: 80, threshold: 5, detail: "GPU 0" }],
      };
    }
    const ripe = this.#now - agent.quietSince >= quietFloorMs(this.#world.state, agent.memoryHeld, this.#now);
    return { kind: "quiet", since: agent.quietSince, ripe };
  }
}
