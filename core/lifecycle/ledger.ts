/** Paid GPU time and what it cost. Money is integer micro-dollars; an unknown price stays unknown, it is never guessed (I7). */
import { type Grains, ofTime, toMicroUsd } from "./amount.ts";

export interface PaidInterval {
  epoch: number;
  fromAt: number;
  /** Null while it is still being paid. */
  toAt: number | null;
  microUsdPerHour: number | null;
  /** The part of it that is the disk's, where the provider tells it. */
  diskMicroUsdPerHour?: number | null;
  /** The machine did not run: its disk alone was paid, at this price. */
  isDisk?: true;
}

export interface Cost {
  /** Of the intervals with a known price. */
  microUsd: number;
  /** Machines that run. */
  paidMs: number;
  /** Paid time whose price the provider never told. */
  unknownMs: number;
}

/**
 * Adds an interval. Those of one kind of one machine that overlap or touch become one, so none is paid twice, whatever is told
 * twice or late: cost never shrinks. An open one (toAt null) goes on. Two machines at once (a replacement) are two epochs.
 */
export function addInterval(ledger: readonly PaidInterval[], interval: PaidInterval): PaidInterval[] {
  const touches = (one: PaidInterval) =>
    one.epoch === interval.epoch &&
    one.isDisk === interval.isDisk &&
    one.fromAt <= endOf(interval) &&
    interval.fromAt <= endOf(one);
  const same = ledger.filter(touches);
  const merged = same.reduce(
    (sum, one) => ({
      epoch: one.epoch,
      fromAt: Math.min(sum.fromAt, one.fromAt),
      toAt:
        endOf(sum) === Number.POSITIVE_INFINITY || endOf(one) === Number.POSITIVE_INFINITY
          ? null
          : Math.max(endOf(sum), endOf(one)),
      ...dearer(sum, one),
      ...(interval.isDisk && { isDisk: true as const }),
    }),
    interval,
  );
  const others = ledger.filter((one) => !touches(one));
  return [...others, merged].sort((a, b) => a.epoch - b.epoch || a.fromAt - b.fromAt);
}

/** One machine has one price. Should two have been told, the dearer one holds: cost never shrinks. */
function dearer(a: PaidInterval, b: PaidInterval): Pick<PaidInterval, "microUsdPerHour" | "diskMicroUsdPerHour"> {
  const [price, other] = (b.microUsdPerHour ?? -1) > (a.microUsdPerHour ?? -1) ? [b, a] : [a, b];
  const disk = price.diskMicroUsdPerHour ?? other.diskMicroUsdPerHour;
  return { microUsdPerHour: price.microUsdPerHour, ...(disk !== undefined && { diskMicroUsdPerHour: disk }) };
}

function endOf({ toAt }: PaidInterval): number {
  return toAt ?? Number.POSITIVE_INFINITY;
}

/** Not rounded yet, so that sums may be added up. */
export interface ExactCost {
  grains: Grains;
  paidMs: number;
  unknownMs: number;
}

/** `before`: what is in it already. */
export function exactCostOf(ledger: readonly PaidInterval[], now: number, before?: ExactCost): ExactCost {
  const cost = { grains: 0n, paidMs: 0, unknownMs: 0, ...before };
  for (const { fromAt, toAt, microUsdPerHour, isDisk } of ledger) {
    const ms = Math.max(0, (toAt ?? now) - fromAt);
    if (!isDisk) cost.paidMs += ms;
    if (microUsdPerHour === null) cost.unknownMs += ms;
    else cost.grains += ofTime(ms, microUsdPerHour);
  }
  return cost;
}

export function costOf(ledger: readonly PaidInterval[], now: number, before?: ExactCost): Cost {
  const { grains, paidMs, unknownMs } = exactCostOf(ledger, now, before);
  return { microUsd: toMicroUsd(grains), paidMs, unknownMs };
}
