/** A world with words for waiting: `scenario().create().until("running").quietFor("2 min").until("hibernated")`. */
import { type StatusWord, statusWord } from "../abilities.ts";
import type { Status } from "../types.ts";
import { World } from "./world.ts";

export class Scenario extends World {
  /** Lets time pass until the state or its word is this one; throws after `limitMs`. */
  until(wanted: Status | StatusWord | ((world: World) => boolean), limitMs = 2 * 3_600_000): this {
    const end = this.now + limitMs;
    const isThere = () =>
      typeof wanted === "function"
        ? wanted(this)
        : this.state.now.status === wanted || statusWord(this.state) === wanted;
    while (!isThere()) {
      if (this.now >= end) throw new Error(`never ${wanted}; now ${this.state.now.status}\n${this.story.last(40)}`);
      this.run(100);
    }
    return this;
  }

  quietFor(ms: number): this {
    this.busy(false);
    this.run(ms);
    return this;
  }

  busyFor(ms: number): this {
    this.busy(true);
    this.run(ms);
    return this;
  }

  /** Types of the log, in order. */
  said(): string[] {
    return this.logs.map((one) => one.type);
  }

  count(kind: "rent" | "end" | "prove" | "charge" | "look"): number {
    return this.effects.filter((one) => one.kind === kind).length;
  }

  paid(): number {
    return this.provider.paid(this.now).length;
  }
}

export function scenario(): Scenario {
  return new Scenario();
}

/** Until the state has this step of falling asleep or waking. */
export function step(name: string): (world: World) => boolean {
  return ({ state }) => "step" in state.now && state.now.step === name;
}
