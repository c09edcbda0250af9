/** Paid time and what it cost. Money is integer micro-dollars; an unknown price stays unknown, it is never guessed (I7). */
import { ofTime, toMicroUsd } from "./amount.ts";

export interface PaidInterval {
  epoch: number;
  fromAt: number;
  /** Null while it is still being paid. */
  toAt: number | null;
  microUsdPerHour: number | null;
  /** The part of it that is the disk's, where the provider tells it. */
  diskMicroUsdPerHour?: number | null;
}

export interface Cost {
  /** Of the intervals with a known price. */
  microUsd: number;
  paidMs: number;
  /** Paid time whose price the provider never told. */
  unknownMs: number;
}

/**
 * Adds an interval. The same epoch again makes it longer, never shorter: cost never shrinks; an open one (toAt null) says
 * that it is still being paid, or again. An interval of one machine never overlaps another of the same machine; two machines at once (a replacement) are two epochs.
 */
export function addInterval(ledger: readonly PaidInterval[], interval: PaidInterval): PaidInterval[] {
  const known = ledger.find((one) => one.epoch === interval.epoch);
  if (!known) return [...ledger, interval].sort((a, b) => a.epoch - b.epoch);
  const merged: PaidInterval = {
    epoch: known.epoch,
    fromAt: Math.min(known.fromAt, interval.fromAt),
    toAt: known.toAt === null || interval.toAt === null ? interval.toAt : Math.max(known.toAt, interval.toAt),
    microUsdPerHour: known.microUsdPerHour ?? interval.microUsdPerHour,
    diskMicroUsdPerHour: known.diskMicroUsdPerHour ?? interval.diskMicroUsdPerHour,
  };
  return ledger.map((one) => (one === known ? merged : one));
}

export function costOf(ledger: readonly PaidInterval[], now: number): Cost {
  const cost: Cost = { microUsd: 0, paidMs: 0, unknownMs: 0 };
  let sum = 0n;
  for (const { fromAt, toAt, microUsdPerHour } of ledger) {
    const ms = Math.max(0, (toAt ?? now) - fromAt);
    cost.paidMs += ms;
    if (microUsdPerHour === null) cost.unknownMs += ms;
    else sum += ofTime(ms, microUsdPerHour);
  }
  return { ...cost, microUsd: toMicroUsd(sum) };
}
