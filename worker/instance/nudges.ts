/** The agent is told its commands with the answer to a beat. What changes in between it is to ask for now, and not at its next one. */
import { commandsFor } from "../../core/lifecycle/commands.ts";
import type { Timings } from "../../core/lifecycle/timings.ts";
import type { State } from "../../core/lifecycle/types.ts";
import type { Command } from "../../core/protocol/wire.ts";
import { machineOf } from "./machine-of.ts";

const nudgeAfterMs = 50;

export interface NudgeHost {
  state(): State;
  timings(): Timings;
  nudge(epoch: number): void;
  keep(work: Promise<unknown>): void;
}

export class Nudges {
  readonly #host: NudgeHost;
  /** What it was last told, and by a nudge reminded of. */
  #told = "";
  #isWaiting = false;

  constructor(host: NudgeHost) {
    this.#host = host;
  }

  tell(commands: readonly Command[]): void {
    this.#told = namesOf(commands);
  }

  /** After each change. */
  look(): void {
    if (this.#isWaiting || this.#news() === null) return;
    this.#isWaiting = true;
    // Where a beat brought the news, its answer carries it.
    const work = scheduler.wait(nudgeAfterMs).then(() => {
      this.#isWaiting = false;
      const left = this.#news();
      if (!left) return;
      this.#told = left.wanted;
      this.#host.nudge(left.epoch);
    });
    this.#host.keep(work);
  }

  #news(): { epoch: number; wanted: string } | null {
    const state = this.#host.state();
    const epoch = machineOf(state)?.epoch;
    if (epoch === undefined) return null;
    const wanted = namesOf(commandsFor(state, epoch, this.#host.timings()));
    return wanted === this.#told ? null : { epoch, wanted };
  }
}

function namesOf(commands: readonly Command[]): string {
  return commands.map((one) => one.id).join();
}
