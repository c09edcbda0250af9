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
import { countUpTo, Timeline } from "./timeline.ts";

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
  let avoided = 0n;
  for (const cycle of cycles) {
    const ms = overlapMs(asleepSpan(cycle, now), span);
    if (ms > 0 && cycle.microUsdPerHour !== null) avoided += ofTime(ms, cycle.microUsdPerHour);
  }
  return avoided;
}

export function savingsBetween(books: Books, span: Span, now: number): Savings {
  const paid = paidBetween(books, span, now);
  const avoided = avoidedBetween(books, span, now);
  let [unknownAsleepMs, hibernatedMs, hibernations] = [0, 0, 0];
  const wakesMs: number[] = [];
  const waking = emptyPaid();
  const machines = new Timeline(books.machines, (one) => spanOf(one, now));
  for (const cycle of books.cycles) {
    const asleep = asleepSpan(cycle, now);
    const ms = overlapMs(asleep, span);
    if (cycle.microUsdPerHour === null) unknownAsleepMs += ms;
    hibernatedMs += overlapMs({ ...asleep, toAt: Math.min(cycle.wokenAt ?? asleep.toAt, asleep.toAt) }, span);
    if (cycle.sleptAt >= span.fromAt && cycle.sleptAt < span.toAt) hibernations++;
    const { wokenAt, readyAt } = cycle;
    if (wokenAt !== null && readyAt !== null && readyAt >= span.fromAt && readyAt < span.toAt)
      wakesMs.push(readyAt - wokenAt);
    if (ms === 0) continue;
    const clipped = { fromAt: Math.max(asleep.fromAt, span.fromAt), toAt: Math.min(asleep.toAt, span.toAt) };
    for (const one of machines.within(clipped)) addMachine(waking, one, overlapMs(spanOf(one, now), clipped));
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

const always = Number.POSITIVE_INFINITY;

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
 * What each cycle of the span cost by itself, as long as it lasted: what the machine that went had uploaded, the machines of
 * the wake, what they downloaded, and the store meanwhile. `books` are all there are: what was uploaded lies before.
 */
export function cycleCosts(books: Books, span: Span, now: number): CycleCost[] {
  const machines = new Timeline(books.machines, (one) => spanOf(one, now));
  const moved = [...books.moved].sort((a, b) => a.epoch - b.epoch || a.at - b.at);
  /** How many of `moved` are of epochs before this one, or of this one and no later than `at`. */
  const movedUpTo = (epoch: number, at: number) =>
    countUpTo(moved, (one) => one.epoch < epoch || (one.epoch === epoch && one.at <= at));
  return books.cycles.flatMap((cycle, i) => {
    const asleep = asleepSpan(cycle, now);
    if (overlapMs(asleep, span) === 0) return [];
    const before = books.cycles[i - 1];
    const paid = emptyPaid();
    const standing = emptyPaid();
    for (const one of machines.within(asleep)) {
      // The machine that went, but for what it costs when it was only stopped.
      const isSame = one.epoch === cycle.epoch;
      if (isSame && !one.isDisk && one.fromAt <= asleep.fromAt) continue;
      addMachine(isSame && one.isDisk ? standing : paid, one, overlapMs(spanOf(one, now), asleep));
    }
    const last = cycle.epoch ?? 0;
    const next = cycle.readyEpoch ?? books.cycles[i + 1]?.epoch ?? Number.MAX_SAFE_INTEGER;
    // One that was stopped comes back in the same epoch: then the time of the sleep before tells whose it is.
    const known = before?.epoch ?? null;
    const first = known === null ? movedUpTo(0, always) : movedUpTo(known, before!.sleptAt);
    for (const one of moved.slice(first, movedUpTo(last, cycle.sleptAt))) addTraffic(paid, one, "up");
    for (const one of moved.slice(movedUpTo(last, always), movedUpTo(next, always))) addTraffic(paid, one, "down");
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
    const net = isKnown ? avoided - totalOf(paid) : null;
    return [{ cycle, paid, avoided, net, breakEvenMs: perMs > 0n ? Number(perCycle / perMs) : null }];
  });
}
