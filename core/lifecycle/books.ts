/**
 * The books of one instance: what was rented, moved, stored and asked of the store, and each cycle of sleep and wake. Pure;
 * the object keeps the rows. What the provider never priced is counted apart and never guessed (I7).
 */
import { type Grains, ofBytes, ofCount, ofStorage, ofTime } from "./amount.ts";
import { classAMicroUsdPerMillion, classBMicroUsdPerMillion, storageMicroUsdPerGbMonth } from "./costs.ts";
import type { Cycle } from "./cycles.ts";
import type { PaidInterval } from "./ledger.ts";
import { countUpTo, Timeline } from "./timeline.ts";

/** Counts are kept per quarter of an hour: the days of every time zone in use begin at one. */
export const quarterMs = 900_000;

/** What passed between the machine of an epoch and the store in a quarter of an hour, and what it asked of the store. */
export interface Moved {
  /** When the quarter began, epoch ms. */
  at: number;
  epoch: number;
  upBytes: number;
  downBytes: number;
  /** Requests of R2's price classes: A writes and lists, B reads. */
  classA: number;
  classB: number;
  upMicroUsdPerGb: number | null;
  downMicroUsdPerGb: number | null;
}

/** What the store held of the instance, as listed. Each lasts until the next. */
export interface Stored {
  fromAt: number;
  bytes: number;
}

export interface Books {
  machines: readonly PaidInterval[];
  /** Ascending. */
  moved: readonly Moved[];
  /** Ascending. */
  stored: readonly Stored[];
  /** Ascending. */
  cycles: readonly Cycle[];
}

export const kinds = ["gpu", "disk", "machine", "traffic_up", "traffic_down", "storage", "operations"] as const;
/** `machine` is the price of GPU and disk together, where the provider never told them apart. */
export type Kind = (typeof kinds)[number];

export interface Paid {
  by: Record<Kind, Grains>;
  /** Paid for at a price that is not known. */
  unknown: { machineMs: number; upBytes: number; downBytes: number };
}

export function emptyPaid(): Paid {
  const by = Object.fromEntries(kinds.map((kind) => [kind, 0n])) as Record<Kind, Grains>;
  return { by, unknown: { machineMs: 0, upBytes: 0, downBytes: 0 } };
}

export function totalOf({ by }: Paid): Grains {
  return kinds.reduce((sum, kind) => sum + by[kind], 0n);
}

export interface Span {
  fromAt: number;
  /** Exclusive. */
  toAt: number;
}

/** How long both last together. */
export function overlapMs(a: Span, b: Span): number {
  return Math.max(0, Math.min(a.toAt, b.toAt) - Math.max(a.fromAt, b.fromAt));
}

/** An interval that is still open ends, for now, at `now`. */
export function spanOf({ fromAt, toAt }: { fromAt: number; toAt: number | null }, now: number): Span {
  return { fromAt, toAt: Math.max(fromAt, toAt ?? now) };
}

export function addMachine(paid: Paid, interval: PaidInterval, forMs: number): void {
  if (forMs === 0) return;
  const { microUsdPerHour: price, diskMicroUsdPerHour: disk = null, isDisk } = interval;
  if (price === null) paid.unknown.machineMs += forMs;
  else if (isDisk) paid.by.disk += ofTime(forMs, price);
  else if (disk === null || disk > price) paid.by.machine += ofTime(forMs, price);
  else {
    paid.by.gpu += ofTime(forMs, price - disk);
    paid.by.disk += ofTime(forMs, disk);
  }
}

export function addTraffic(paid: Paid, moved: Moved, which: "up" | "down" | "both"): void {
  if (which !== "down") {
    if (moved.upMicroUsdPerGb === null) paid.unknown.upBytes += moved.upBytes;
    else paid.by.traffic_up += ofBytes(moved.upBytes, moved.upMicroUsdPerGb);
    paid.by.operations += ofCount(moved.classA, classAMicroUsdPerMillion);
  }
  if (which !== "up") {
    if (moved.downMicroUsdPerGb === null) paid.unknown.downBytes += moved.downBytes;
    else paid.by.traffic_down += ofBytes(moved.downBytes, moved.downMicroUsdPerGb);
    paid.by.operations += ofCount(moved.classB, classBMicroUsdPerMillion);
  }
}

export function addStorage(paid: Paid, stored: readonly Stored[], span: Span): void {
  const within = storedWithin(stored, span);
  within.forEach(({ fromAt, bytes }, i) => {
    const ms = overlapMs({ fromAt, toAt: within[i + 1]?.fromAt ?? Number.MAX_SAFE_INTEGER }, span);
    if (ms > 0) paid.by.storage += ofStorage(bytes, ms, storageMicroUsdPerGbMonth);
  });
}

/** Of the quarters that begin in the span. */
export function movedWithin(moved: readonly Moved[], { fromAt, toAt }: Span): readonly Moved[] {
  return moved.slice(
    countUpTo(moved, (one) => one.at < fromAt),
    countUpTo(moved, (one) => one.at < toAt),
  );
}

/** From what was there as the span began. */
function storedWithin(stored: readonly Stored[], { fromAt, toAt }: Span): readonly Stored[] {
  const first = Math.max(0, countUpTo(stored, (one) => one.fromAt <= fromAt) - 1);
  return stored.slice(
    first,
    countUpTo(stored, (one) => one.fromAt < toAt),
  );
}

/** The books of one span after the other, none of which looks at all the rest: what they sum up to is the same. */
export function booksBySpan({ machines, moved, stored, cycles }: Books, now: number): (span: Span) => Books {
  const machinesByTime = new Timeline(machines, (one) => spanOf(one, now));
  const cyclesByTime = new Timeline(cycles, ({ sleptAt, readyAt, endedAt }) => {
    const { fromAt, toAt } = spanOf({ fromAt: sleptAt, toAt: readyAt ?? endedAt }, now);
    // The moment of its end belongs to it: the wake is counted where that lies.
    return { fromAt, toAt: toAt + 1 };
  });
  return (span) => ({
    machines: machinesByTime.within(span),
    moved: movedWithin(moved, span),
    stored: storedWithin(stored, span),
    cycles: cyclesByTime.within(span),
  });
}

/** All that was paid between two moments; nothing after `now` is. */
export function paidBetween(books: Books, span: Span, now: number): Paid {
  const paid = emptyPaid();
  for (const one of books.machines) addMachine(paid, one, overlapMs(spanOf(one, now), span));
  for (const one of movedWithin(books.moved, span)) addTraffic(paid, one, "both");
  addStorage(paid, books.stored, { ...span, toAt: Math.min(span.toAt, now) });
  return paid;
}
