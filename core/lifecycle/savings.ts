/**
 * What sleeping avoided, cost and saved against a machine that is never let go.
 *
 *   asleep    from the moment the machine was gone to the moment the next one runs
 *   avoided   the price of the machine that went, for that long
 *   slept     what was paid for the sleep: machines that boot and restore, traffic both ways, storage, requests
 *   saved     avoided - slept; below zero: lost
 *
 * The upload's own machine time is no cost of the sleep: it falls into idle time that would have been paid anyway.
 */
import { type Grains, ofTime } from "./amount.ts";
import {
  addMachine,
  addStorage,
  addTraffic,
  type Books,
  emptyPaid,
  kinds,
  overlapMs,
  type Paid,
  paidBetween,
  type Span,
  spanOf,
  totalOf,
} from "./books.ts";
import type { Cycle } from "./cycles.ts";

/** From the end of the machine to the beginning of the next. */
export function asleepSpan({ sleptAt, readyAt, endedAt }: Cycle, now: number): Span {
  return spanOf({ fromAt: sleptAt, toAt: readyAt ?? endedAt }, now);
}

export interface Savings {
  paid: Paid;
  /** A machine was paid: two at once count once. */
  awakeMs: number;
  /** No machine was wanted: until somebody asked for one. */
  hibernatedMs: number;
  avoided: Grains;
  /** Asleep at a price that is not known: avoided, and nobody can say how much. */
  unknownAsleepMs: number;
  saved: Grains;
  /** What it would have cost without a single sleep. */
  alwaysOn: Grains;
  hibernations: number;
  /** From being asked for to running, of the wakes that ended in the span. */
  wakesMs: number[];
}

/** What machines would have cost that were asleep instead; sleeps at a price that is not known are not in it. */
export function avoidedBetween({ cycles }: Pick<Books, "cycles">, span: Span, now: number): Grains {
  return cycles.reduce(
    (sum, cycle) => sum + ofTime(overlapMs(asleepSpan(cycle, now), span), cycle.microUsdPerHour ?? 0),
    0n,
  );
}

export function savingsBetween(books: Books, span: Span, now: number): Savings {
  const paid = paidBetween(books, span, now);
  const avoided = avoidedBetween(books, span, now);
  let [unknownAsleepMs, hibernatedMs, hibernations] = [0, 0, 0];
  const wakesMs: number[] = [];
  const waking = emptyPaid();
  for (const cycle of books.cycles) {
    const asleep = asleepSpan(cycle, now);
    const ms = overlapMs(asleep, span);
    if (cycle.microUsdPerHour === null) unknownAsleepMs += ms;
    hibernatedMs += overlapMs({ ...asleep, toAt: Math.min(cycle.wokenAt ?? asleep.toAt, asleep.toAt) }, span);
    if (cycle.sleptAt >= span.fromAt && cycle.sleptAt < span.toAt) hibernations++;
    const { wokenAt, readyAt } = cycle;
    if (wokenAt !== null && readyAt !== null && readyAt >= span.fromAt && readyAt < span.toAt)
      wakesMs.push(readyAt - wokenAt);
    const clipped = { fromAt: Math.max(asleep.fromAt, span.fromAt), toAt: Math.min(asleep.toAt, span.toAt) };
    for (const one of books.machines) addMachine(waking, one, overlapMs(spanOf(one, now), clipped));
  }
  const awake = machineOf(paid) - machineOf(waking);
  const alwaysOn = awake + avoided;
  return {
    paid,
    awakeMs: unionMs(
      books.machines.filter((one) => !one.isDisk).map((one) => spanOf(one, now)),
      span,
    ),
    hibernatedMs,
    avoided,
    unknownAsleepMs,
    saved: alwaysOn - totalOf(paid),
    alwaysOn,
    hibernations,
    wakesMs,
  };
}

function machineOf({ by }: Paid): Grains {
  return by.gpu + by.disk + by.machine;
}

function unionMs(spans: Span[], within: Span): number {
  let [sum, until] = [0, within.fromAt];
  for (const { fromAt, toAt } of [...spans].sort((a, b) => a.fromAt - b.fromAt)) {
    const end = Math.min(toAt, within.toAt);
    sum += Math.max(0, end - Math.max(fromAt, until));
    until = Math.max(until, end);
  }
  return sum;
}

export interface CycleCost {
  cycle: Cycle;
  paid: Paid;
  avoided: Grains | null;
  /** Null where a price that belongs to it is not known. */
  net: Grains | null;
  /** Idle time from which on this very cycle paid for itself; null where it never does or a price is not known. */
  breakEvenMs: number | null;
}

/**
 * What one cycle cost by itself: what the machine that went had uploaded, the machines of the wake, what they downloaded,
 * and the store meanwhile.
 */
export function cycleCosts(books: Books, now: number): CycleCost[] {
  return books.cycles.map((cycle, i) => {
    const asleep = asleepSpan(cycle, now);
    const before = books.cycles[i - 1];
    const paid = emptyPaid();
    const standing = emptyPaid();
    for (const one of books.machines) {
      // The machine that went, but for what it costs when it was only stopped.
      const isSame = one.epoch === cycle.epoch;
      if (isSame && !one.isDisk && one.fromAt <= asleep.fromAt) continue;
      addMachine(isSame && one.isDisk ? standing : paid, one, overlapMs(spanOf(one, now), asleep));
    }
    const last = cycle.epoch ?? 0;
    const next = cycle.readyEpoch ?? books.cycles[i + 1]?.epoch ?? Number.MAX_SAFE_INTEGER;
    for (const one of books.moved) {
      // One that was stopped comes back in the same epoch: then the time of the sleep before tells whose it is.
      const isAfter = one.epoch > (before?.epoch ?? 0) || (one.epoch === before?.epoch && one.at > before.sleptAt);
      if (isAfter && (one.epoch < last || (one.epoch === last && one.at <= cycle.sleptAt))) addTraffic(paid, one, "up");
      if (one.epoch > last && one.epoch <= next) addTraffic(paid, one, "down");
    }
    const perCycle = totalOf(paid);
    addStorage(standing, books.stored, asleep);
    const perTime = totalOf(standing);
    for (const kind of kinds) paid.by[kind] += standing.by[kind];
    paid.unknown.machineMs += standing.unknown.machineMs;
    const price = cycle.microUsdPerHour;
    const avoided = price === null ? null : ofTime(asleep.toAt - asleep.fromAt, price);
    const { machineMs, upBytes, downBytes } = paid.unknown;
    const isKnown = avoided !== null && cycle.epoch !== null && machineMs + upBytes + downBytes === 0;
    const ms = asleep.toAt - asleep.fromAt;
    const perMs = isKnown && ms > 0 ? (avoided - perTime) / BigInt(ms) : 0n;
    return {
      cycle,
      paid,
      avoided,
      net: isKnown ? avoided - totalOf(paid) : null,
      breakEvenMs: perMs > 0n ? Number(perCycle / perMs) : null,
    };
  });
}
