/**
 * What is to be written into the books. Counts wait in memory for the next save of the state, and at most `writeAfterMs`, so
 * that neither a heartbeat nor a part costs a row of its own. An object that is killed loses at most those.
 */
import { machineWith } from "../../core/lifecycle/attempts.ts";
import { type Moved, quarterMs } from "../../core/lifecycle/books.ts";
import { cycleChange } from "../../core/lifecycle/cycles.ts";
import type { State } from "../../core/lifecycle/types.ts";
import type { BookEntries } from "./book-rows.ts";

export interface Counts {
  upBytes: number;
  downBytes: number;
  classA: number;
  classB: number;
}

export const writeAfterMs = 5_000;

export class PendingBooks {
  #moved = new Map<string, Moved>();
  #stored: BookEntries["stored"] = null;

  count(state: State, epoch: number, counts: Counts, now: number): void {
    const at = now - (now % quarterMs);
    const facts = machineWith(state, epoch)?.facts;
    const old = this.#moved.get(`${at}.${epoch}`);
    this.#moved.set(`${at}.${epoch}`, {
      at,
      epoch,
      upBytes: (old?.upBytes ?? 0) + counts.upBytes,
      downBytes: (old?.downBytes ?? 0) + counts.downBytes,
      classA: (old?.classA ?? 0) + counts.classA,
      classB: (old?.classB ?? 0) + counts.classB,
      upMicroUsdPerGb: facts?.upMicroUsdPerGb ?? old?.upMicroUsdPerGb ?? null,
      downMicroUsdPerGb: facts?.downMicroUsdPerGb ?? old?.downMicroUsdPerGb ?? null,
    });
  }

  measured(bytes: number, now: number): void {
    this.#stored = { fromAt: now, bytes };
  }

  /** What the save that goes from one state to the other takes along; undefined for nothing. */
  take(before: State, after: State, now: number): BookEntries | undefined {
    const cycle = cycleChange(before, after, now);
    if (!cycle && !this.#stored && this.#moved.size === 0) return undefined;
    const entries = { moved: [...this.#moved.values()], stored: this.#stored, cycle };
    this.#moved.clear();
    this.#stored = null;
    return entries;
  }
}
