/** How often the provider was asked, and refused or failed, for metrics: written some seconds later, all at once. */
import { addCounts, type Count, labelOf } from "../db/counters.ts";
import { log } from "../log.ts";

const writeAfterMs = 5_000;

export class CallTally {
  readonly #db: D1Database;
  readonly #keep: (work: Promise<void>) => void;
  #counts = new Map<string, Count>();
  #written: Promise<void> | null = null;

  /** `keep`: work that nobody waits for. An object that is killed loses at most what was counted since. */
  constructor(db: D1Database, keep: (work: Promise<void>) => void) {
    this.#db = db;
    this.#keep = keep;
  }

  /** `failure`: its code; null for an answer that was one. */
  count(call: string, failure: string | null): void {
    this.#add({ name: "provider_call", label: call, by: 1 });
    if (failure !== null) this.#add({ name: "provider_failure", label: labelOf(call, failure), by: 1 });
    this.#written ??= scheduler.wait(writeAfterMs).then(() => this.#write());
    this.#keep(this.#written);
  }

  #add(count: Count): void {
    const key = labelOf(count.name, count.label);
    this.#counts.set(key, { ...count, by: (this.#counts.get(key)?.by ?? 0) + count.by });
  }

  async #write(): Promise<void> {
    this.#written = null;
    const counts = [...this.#counts.values()];
    this.#counts.clear();
    try {
      await addCounts(this.#db, counts);
    } catch (error) {
      log.warn("calls_not_counted", { error });
      for (const count of counts) this.#add(count);
    }
  }
}
