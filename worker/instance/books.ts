/**
 * The books of an instance in its object. Counts wait in memory for the next save of the state, and at most `writeAfterMs`,
 * so that neither a heartbeat nor a part costs a row of its own. An object that is killed loses at most those.
 */

import type { Grains } from "../../core/lifecycle/amount.ts";
import { allMachines, machineWith } from "../../core/lifecycle/attempts.ts";
import { type Books, type Moved, paidBetween, quarterMs, type Span } from "../../core/lifecycle/books.ts";
import { cycleChange } from "../../core/lifecycle/cycles.ts";
import { type Cost, costOf, type ExactCost, exactCostOf, type PaidInterval } from "../../core/lifecycle/ledger.ts";
import { avoidedBetween } from "../../core/lifecycle/savings.ts";
import type { State } from "../../core/lifecycle/types.ts";
import { instancePrefix } from "../../core/snapshot/store.ts";
import { storedBytes, type Tally } from "../counted-bucket.ts";
import { log } from "../log.ts";
import type { BookEntries } from "./book-rows.ts";
import type { InstanceStore } from "./store.ts";
import { openIntervals } from "./view.ts";

export interface Counts {
  upBytes: number;
  downBytes: number;
  classA: number;
  classB: number;
}

export const writeAfterMs = 5_000;
const dayMs = 86_400_000;
/** A machine's end may be learned of days later, and changes what was paid until then. */
const settledMs = 14 * dayMs;

/** Exact sums; `storage` has the requests to the store in it. */
export interface Totals {
  machine: Grains;
  traffic: Grains;
  storage: Grains;
  avoided: Grains;
}

function totalsBetween(books: Books, span: Span, now: number): Totals {
  const { by } = paidBetween(books, span, now);
  return {
    machine: by.machine + by.gpu + by.disk,
    traffic: by.traffic_up + by.traffic_down,
    storage: by.storage + by.operations,
    avoided: avoidedBetween(books, span, now),
  };
}

export interface BooksHost {
  state(): State;
  /** Work that nobody waits for. */
  keep(work: Promise<void>): void;
}

export class InstanceBooks {
  readonly #store: InstanceStore;
  readonly #host: BooksHost;
  #moved = new Map<string, Moved>();
  #stored: BookEntries["stored"] = null;
  #written: Promise<void> | null = null;
  #settled: { at: number; totals: Totals } | null = null;
  #gone: { key: string; sum: ExactCost; open: PaidInterval[] } | null = null;

  constructor(store: InstanceStore, host: BooksHost) {
    this.#store = store;
    this.#host = host;
  }

  /** What the machine of this epoch moved, and asked of the store. */
  count(epoch: number, counts: Counts): void {
    this.#add(epoch, counts);
    // It keeps the object in memory until then: one that rests is evicted after some seconds.
    this.#written ??= scheduler.wait(writeAfterMs).then(() => {
      this.#written = null;
      this.#write();
    });
    this.#host.keep(this.#written);
  }

  /** After work on the store of its own: what that cost, and what the store holds now. Nothing waits for it. */
  countStore(bucket: R2Bucket, tally: Tally): void {
    if (tally.classA + tally.classB > 0) this.#host.keep(this.#measure(bucket, tally));
  }

  async #measure(bucket: R2Bucket, tally: Tally): Promise<void> {
    const state = this.#host.state();
    if (tally.classA > 0) {
      const root = instancePrefix(state.instance);
      const bytes = await storedBytes(bucket, tally, [`${root}parts/`, `${root}manifests/`]).catch((error: unknown) => {
        log.warn("store_not_measured", { instance: state.instance, error });
        return null;
      });
      if (bytes !== null) this.#stored = { fromAt: Date.now(), bytes };
    }
    const { classA, classB } = tally;
    this.#add(state.epoch, { upBytes: 0, downBytes: 0, classA, classB });
    this.#write();
  }

  #add(epoch: number, counts: Counts): void {
    const now = Date.now();
    const at = now - (now % quarterMs);
    const facts = machineWith(this.#host.state(), epoch)?.facts;
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

  /** What the save that goes from one state to the other takes along; nothing where there is nothing. */
  take(before: State | undefined, after: State): { books?: BookEntries } {
    const cycle = before ? cycleChange(before, after, Date.now()) : null;
    if (!cycle && !this.#stored && this.#moved.size === 0) return {};
    const books = { moved: [...this.#moved.values()], stored: this.#stored, cycle };
    this.#moved.clear();
    this.#stored = null;
    return { books };
  }

  #write(): void {
    const { books } = this.take(undefined, this.#host.state());
    if (books) this.#store.books.write(books);
  }

  /** All that was ever paid and avoided. What lies further back than `settledMs` is added up once, and not each time. */
  totals(now: number): Totals {
    const at = now - (now % dayMs) - settledMs;
    if (this.#settled?.at !== at)
      this.#settled = { at, totals: totalsBetween(this.read({ fromAt: 0, toAt: at }), { fromAt: 0, toAt: at }, now) };
    const { totals } = this.#settled;
    const span = { fromAt: at, toAt: now };
    const since = totalsBetween(this.read({ ...span, toAt: now + 1 }), span, now);
    return {
      machine: totals.machine + since.machine,
      traffic: totals.traffic + since.traffic,
      storage: totals.storage + since.storage,
      avoided: totals.avoided + since.avoided,
    };
  }

  /** All that was ever paid for machines. Those of before the oldest that there is are added up once, and not each time. */
  cost(now: number): Cost {
    const state = this.#host.state();
    const since = Math.min(Number.MAX_SAFE_INTEGER, ...epochsOf(state));
    const key = `${since}.${this.#store.charges}`;
    if (this.#gone?.key !== key) {
      const all = this.#store.ledgerBefore(since);
      const isOpen = ({ toAt }: PaidInterval) => toAt === null;
      const sum = exactCostOf(
        all.filter((one) => !isOpen(one)),
        now,
      );
      this.#gone = { key, sum, open: all.filter(isOpen) };
    }
    const { sum, open } = this.#gone;
    const there = openIntervals(state, this.#store.ledgerSince(since));
    return costOf([...open, ...there], now, sum);
  }

  /** `span`: only what its sums need, and what the store held since. */
  read(span: Span | null): Books {
    this.#write();
    const state = this.#host.state();
    const { books } = this.#store;
    // What is paid of a machine that there is may be one with what was.
    const ledger = span ? this.#store.ledgerWithin(span, epochsOf(state)) : this.#store.ledger();
    return {
      machines: openIntervals(state, ledger),
      moved: books.moved(span),
      stored: books.stored(span),
      cycles: books.cycles(span),
    };
  }
}

function epochsOf(state: State): number[] {
  return allMachines(state).map(({ epoch }) => epoch);
}
