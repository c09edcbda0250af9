/** The sums of the books are those of the plain formulas, which look at everything each time, and do not grow with them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ofStorage, ofTime } from "./amount.ts";
import {
  addMachine,
  addTraffic,
  type Books,
  booksBySpan,
  emptyPaid,
  kinds,
  overlapMs,
  type Paid,
  type Span,
  spanOf,
  totalOf,
} from "./books.ts";
import { storageMicroUsdPerGbMonth } from "./costs.ts";
import type { Cycle } from "./cycles.ts";
import type { PaidInterval } from "./ledger.ts";
import { asleepSpan, type CycleCost, cycleCosts, type Savings, savingsBetween } from "./savings.ts";

const hour = 3_600_000;
const machineOf = ({ by }: Paid) => by.gpu + by.disk + by.machine;

function plainStorage(paid: Paid, { stored }: Books, span: Span): void {
  stored.forEach(({ fromAt, bytes }, i) => {
    const ms = overlapMs({ fromAt, toAt: stored[i + 1]?.fromAt ?? Number.MAX_SAFE_INTEGER }, span);
    paid.by.storage += ofStorage(bytes, ms, storageMicroUsdPerGbMonth);
  });
}

function plainSavings(books: Books, span: Span, now: number): Savings {
  const isIn = (at: number) => at >= span.fromAt && at < span.toAt;
  const paid = emptyPaid();
  for (const one of books.machines) addMachine(paid, one, overlapMs(spanOf(one, now), span));
  for (const one of books.moved) if (isIn(one.at)) addTraffic(paid, one, "both");
  plainStorage(paid, books, { ...span, toAt: Math.min(span.toAt, now) });
  const waking = emptyPaid();
  let avoided = 0n;
  let [unknownAsleepMs, hibernatedMs] = [0, 0];
  for (const cycle of books.cycles) {
    const asleep = asleepSpan(cycle, now);
    avoided += ofTime(overlapMs(asleep, span), cycle.microUsdPerHour ?? 0);
    if (cycle.microUsdPerHour === null) unknownAsleepMs += overlapMs(asleep, span);
    const until = Math.min(cycle.wokenAt ?? asleep.toAt, asleep.toAt);
    hibernatedMs += overlapMs({ fromAt: asleep.fromAt, toAt: until }, span);
    const both = { fromAt: Math.max(asleep.fromAt, span.fromAt), toAt: Math.min(asleep.toAt, span.toAt) };
    for (const one of books.machines) addMachine(waking, one, overlapMs(spanOf(one, now), both));
  }
  const alwaysOn = machineOf(paid) - machineOf(waking) + avoided;
  // Of all the hours there are, whose edges every machine of these tests has.
  const runs = (at: number) => books.machines.some((one) => !one.isDisk && overlapMs(spanOf(one, now), hourAt(at)) > 0);
  const hours = Array.from({ length: (span.toAt - span.fromAt) / hour }, (_, i) => span.fromAt + i * hour);
  return {
    paid,
    awakeMs: hours.filter(runs).length * hour,
    hibernatedMs,
    avoided,
    unknownAsleepMs,
    saved: alwaysOn - totalOf(paid),
    alwaysOn,
    hibernations: books.cycles.filter((one) => isIn(one.sleptAt)).length,
    wakesMs: books.cycles.flatMap(({ wokenAt, readyAt }) =>
      wokenAt !== null && readyAt !== null && isIn(readyAt) ? [readyAt - wokenAt] : [],
    ),
  };
}

function hourAt(at: number): Span {
  return { fromAt: at, toAt: at + hour };
}

function plainCycleCosts(books: Books, span: Span, now: number): CycleCost[] {
  const all = books.cycles.map((cycle, i): CycleCost => {
    const asleep = asleepSpan(cycle, now);
    const before = books.cycles[i - 1];
    const [paid, standing] = [emptyPaid(), emptyPaid()];
    for (const one of books.machines) {
      const isSame = one.epoch === cycle.epoch;
      if (isSame && !one.isDisk && one.fromAt <= asleep.fromAt) continue;
      addMachine(isSame && one.isDisk ? standing : paid, one, overlapMs(spanOf(one, now), asleep));
    }
    const last = cycle.epoch ?? 0;
    const next = cycle.readyEpoch ?? books.cycles[i + 1]?.epoch ?? Number.MAX_SAFE_INTEGER;
    for (const one of books.moved) {
      const isAfter = one.epoch > (before?.epoch ?? 0) || (one.epoch === before?.epoch && one.at > before.sleptAt);
      if (isAfter && (one.epoch < last || (one.epoch === last && one.at <= cycle.sleptAt))) addTraffic(paid, one, "up");
      if (one.epoch > last && one.epoch <= next) addTraffic(paid, one, "down");
    }
    const perCycle = totalOf(paid);
    plainStorage(standing, books, asleep);
    const perTime = totalOf(standing);
    for (const kind of kinds) paid.by[kind] += standing.by[kind];
    paid.unknown.machineMs += standing.unknown.machineMs;
    const ms = asleep.toAt - asleep.fromAt;
    const avoided = cycle.microUsdPerHour === null ? null : ofTime(ms, cycle.microUsdPerHour);
    const { machineMs, upBytes, downBytes } = paid.unknown;
    const isKnown = avoided !== null && cycle.epoch !== null && machineMs + upBytes + downBytes === 0;
    const perMs = isKnown && ms > 0 ? (avoided - perTime) / BigInt(ms) : 0n;
    const breakEvenMs = perMs > 0n ? Number(perCycle / perMs) : null;
    return { cycle, paid, avoided, net: isKnown ? avoided - totalOf(paid) : null, breakEvenMs };
  });
  return all.filter(({ cycle }) => overlapMs(asleepSpan(cycle, now), span) > 0);
}

const hours = fc.nat(60).map((count) => count * hour);
const price = fc.option(fc.integer({ min: 0, max: 2_000_000 }));
const epoch = fc.nat(6);
const machine: fc.Arbitrary<PaidInterval> = fc
  .record({
    ...{ epoch, fromAt: hours, forMs: fc.option(hours), microUsdPerHour: price, diskMicroUsdPerHour: price },
    isDisk: fc.boolean(),
  })
  .map(({ forMs, isDisk, ...one }) => ({
    ...one,
    toAt: forMs === null ? null : one.fromAt + forMs,
    ...(isDisk && { isDisk: true as const }),
  }));
const cycle: fc.Arbitrary<Cycle> = fc
  .record({
    ...{ sleptAt: hours, epoch: fc.option(epoch), asked: fc.boolean(), microUsdPerHour: price },
    ...{
      wokenMs: fc.option(hours),
      readyMs: fc.option(hours),
      readyEpoch: fc.option(epoch),
      endedMs: fc.option(hours),
    },
  })
  .map(({ wokenMs, readyMs, endedMs, ...one }) => ({
    ...one,
    wokenAt: wokenMs === null ? null : one.sleptAt + wokenMs,
    readyAt: readyMs === null ? null : one.sleptAt + readyMs,
    endedAt: endedMs === null ? null : one.sleptAt + endedMs,
  }));
const moved = fc.record({
  ...{ at: hours, epoch, upBytes: fc.nat(1e9), downBytes: fc.nat(1e9), classA: fc.nat(999), classB: fc.nat(999) },
  ...{ upMicroUsdPerGb: price, downMicroUsdPerGb: price },
});
const anyBooks: fc.Arbitrary<Books> = fc.record({
  machines: fc.array(machine, { maxLength: 12 }),
  moved: fc.array(moved, { maxLength: 12 }).map((all) => all.sort((a, b) => a.at - b.at || a.epoch - b.epoch)),
  stored: fc
    .uniqueArray(fc.record({ fromAt: hours, bytes: fc.nat(1e12) }), { selector: (one) => one.fromAt, maxLength: 12 })
    .map((all) => all.sort((a, b) => a.fromAt - b.fromAt)),
  cycles: fc
    .uniqueArray(cycle, { selector: (one) => one.sleptAt, maxLength: 12 })
    .map((all) => all.sort((a, b) => a.sleptAt - b.sleptAt)),
});
const anySpan = fc.tuple(hours, hours).map(([fromAt, ms]): Span => ({ fromAt, toAt: fromAt + ms }));

it("are those of the plain formulas, to the last grain, of any books", () => {
  fc.assert(
    fc.property(anyBooks, anySpan, hours, (books, span, now) => {
      const savings = plainSavings(books, span, now);
      expect(savingsBetween(books, span, now)).toEqual(savings);
      expect(savingsBetween(booksBySpan(books, now)(span), span, now)).toEqual(savings);
      expect(cycleCosts(books, span, now)).toEqual(plainCycleCosts(books, span, now));
    }),
    { numRuns: 2000 },
  );
});

/** Decades of sleeps, three a day: whoever looks at every machine for every sleep never ends. */
describe("of very many sleeps", () => {
  const count = 40_000;
  const each = 8 * hour;
  const now = count * each;
  const all = Array.from({ length: count }, (_, i) => ({ epoch: i + 1, at: i * each }));
  const books: Books = {
    machines: all.flatMap(({ epoch, at }) => [
      { epoch, fromAt: at, toAt: at + each / 2, microUsdPerHour: 400_000, diskMicroUsdPerHour: 30_000 },
      { epoch, fromAt: at + each - hour, toAt: at + each, microUsdPerHour: 30_000, isDisk: true as const },
    ]),
    moved: all.map(({ epoch, at }) => ({
      ...{ at, epoch, upBytes: 1e9, downBytes: 1e9, classA: 10, classB: 10 },
      ...{ upMicroUsdPerGb: 1_000, downMicroUsdPerGb: 2_000 },
    })),
    stored: all.map(({ epoch, at }) => ({ fromAt: at + each / 2, bytes: epoch })),
    cycles: all.map(({ epoch, at }) => ({
      ...{ sleptAt: at + each / 2, epoch, asked: false, microUsdPerHour: 400_000, endedAt: null },
      ...{ wokenAt: at + each - hour, readyAt: at + each, readyEpoch: epoch + 1 },
    })),
  };
  const whole = { fromAt: 0, toAt: now };

  it("the whole is added up", () => {
    expect(savingsBetween(books, whole, now)).toMatchObject({ hibernations: count, awakeMs: (count * each) / 2 });
  });

  it("so is each day", () => {
    const within = booksBySpan(books, now);
    let hibernations = 0;
    for (let fromAt = 0; fromAt < now; fromAt += 3 * each) {
      const day = { fromAt, toAt: Math.min(now, fromAt + 3 * each) };
      hibernations += savingsBetween(within(day), day, now).hibernations;
    }
    expect(hibernations).toBe(count);
  });

  it("and each sleep", () => {
    expect(cycleCosts(books, whole, now)).toHaveLength(count);
  });
});
