/** The books: exact sums, days, what sleeping avoided and what it cost. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ofBytes, ofCount, ofStorage, ofTime, toMicroUsd } from "./amount.ts";
import { type Books, kinds, paidBetween, quarterMs, totalOf } from "./books.ts";
import { daysOf, startOfDate } from "./days.ts";
import { cycleCosts, savingsBetween } from "./savings.ts";

const hour = 3_600_000;
const day = 24 * hour;
const gb = 1_000_000_000;

describe("amounts", () => {
  it("are what the prices say", () => {
    expect(toMicroUsd(ofTime(2 * hour, 400_000))).toBe(800_000);
    expect(toMicroUsd(ofBytes(70 * gb, 20_000))).toBe(1_400_000);
    expect(toMicroUsd(ofStorage(70 * gb, 730 * hour, 15_000))).toBe(1_050_000);
    expect(toMicroUsd(ofCount(1_000_000, 4_500_000))).toBe(4_500_000);
    expect(toMicroUsd(ofCount(1, 4_500_000))).toBe(5);
  });

  it("are rounded once, at the end", () => {
    const third = ofTime(hour / 3, 1);
    expect(toMicroUsd(third)).toBe(0);
    expect(toMicroUsd(third + third + third)).toBe(1);
    expect(toMicroUsd(-(third + third))).toBe(-1);
    expect(toMicroUsd(-third)).toBe(0);
  });
});

describe("days", () => {
  it("have 23 and 25 hours where the clock is changed", () => {
    const lengths = (date: string) => {
      const fromAt = startOfDate(date, "Europe/Berlin");
      return daysOf({ fromAt, toAt: fromAt + 2 * day }, "Europe/Berlin").map((one) => (one.toAt - one.fromAt) / hour);
    };
    expect(lengths("2026-03-29")[0]).toBe(23);
    expect(lengths("2026-10-25")[0]).toBe(25);
    expect(lengths("2026-11-28")).toEqual([24, 24]);
  });

  it("begin at local midnight, or where there is none at the first moment of the date", () => {
    expect(startOfDate("2026-11-28", "America/Sao_Paulo")).toBe(Date.UTC(2026, 10, 28, 3));
    expect(startOfDate("2026-11-28", "Asia/Kathmandu")).toBe(Date.UTC(2026, 10, 27, 18, 15));
    expect(startOfDate("2018-11-04", "America/Sao_Paulo")).toBe(Date.UTC(2018, 10, 4, 3));
    expect(startOfDate("2026-11-28", "Pacific/Kiritimati")).toBe(Date.UTC(2026, 10, 27, 10));
  });

  it("lie side by side and make up the whole span", () => {
    const zones = ["UTC", "America/Sao_Paulo", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"];
    const from = Date.UTC(2025, 0, 1);
    fc.assert(
      fc.property(
        fc.nat(600 * day),
        fc.integer({ min: 1, max: 60 * day }),
        fc.constantFrom(...zones),
        (at, ms, zone) => {
          const span = { fromAt: from + at, toAt: from + at + ms };
          const days = daysOf(span, zone);
          expect(days[0]!.fromAt).toBe(span.fromAt);
          expect(days.at(-1)!.toAt).toBe(span.toAt);
          for (let i = 1; i < days.length; i++) {
            expect(days[i]!.fromAt).toBe(days[i - 1]!.toAt);
            expect(days[i]!.date > days[i - 1]!.date).toBe(true);
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

/** Two hours of work on machine 1, four asleep, half an hour until machine 2 runs, which goes on. */
const wakeAt = 6 * hour;
const books: Books = {
  machines: [
    { epoch: 1, fromAt: 0, toAt: 2 * hour, microUsdPerHour: 1_000_000, diskMicroUsdPerHour: 100_000 },
    { epoch: 2, fromAt: wakeAt, toAt: null, microUsdPerHour: 1_200_000 },
  ],
  moved: [
    {
      at: 2 * hour - quarterMs,
      epoch: 1,
      upBytes: 10 * gb,
      downBytes: 0,
      classA: 600,
      classB: 0,
      upMicroUsdPerGb: 5_000,
      downMicroUsdPerGb: 5_000,
    },
    {
      at: wakeAt,
      epoch: 2,
      upBytes: 0,
      downBytes: 10 * gb,
      classA: 0,
      classB: 600,
      upMicroUsdPerGb: 5_000,
      downMicroUsdPerGb: 7_000,
    },
  ],
  stored: [{ fromAt: 2 * hour, bytes: 10 * gb }],
  cycles: [
    {
      sleptAt: 2 * hour,
      epoch: 1,
      asked: false,
      microUsdPerHour: 1_000_000,
      wokenAt: wakeAt,
      readyAt: wakeAt + hour / 2,
      readyEpoch: 2,
      endedAt: null,
    },
  ],
};

const always = { fromAt: 0, toAt: Number.MAX_SAFE_INTEGER };

describe("savings", () => {
  const now = 8 * hour;
  const whole = savingsBetween(books, { fromAt: 0, toAt: now }, now);

  it("tell what was paid by kind", () => {
    const { by } = whole.paid;
    expect(toMicroUsd(by.gpu)).toBe(1_800_000);
    expect(toMicroUsd(by.disk)).toBe(200_000);
    expect(toMicroUsd(by.machine)).toBe(2_400_000);
    expect(toMicroUsd(by.traffic_up)).toBe(50_000);
    expect(toMicroUsd(by.traffic_down)).toBe(70_000);
    expect(toMicroUsd(by.operations)).toBe(2_700 + 216);
    expect(toMicroUsd(by.storage)).toBe(Math.round((10 * 15_000 * 6) / 730));
  });

  it("are the price of the time asleep less what the sleep cost", () => {
    expect(toMicroUsd(whole.avoided)).toBe(4_500_000);
    // The machine boots and restores for half an hour.
    const slept = 600_000 + 50_000 + 70_000 + 2_916 + Math.round((10 * 15_000 * 6) / 730);
    expect(toMicroUsd(whole.saved)).toBe(4_500_000 - slept);
    expect(whole.alwaysOn - totalOf(whole.paid)).toBe(whole.saved);
    expect(whole).toMatchObject({ awakeMs: 4 * hour, hibernatedMs: 4 * hour, hibernations: 1, wakesMs: [hour / 2] });
  });

  it("give each cycle its own cost, a bad one below zero", () => {
    const [cycle] = cycleCosts(books, always, now);
    const storage = (10 * 15_000 * 4.5) / 730;
    expect(toMicroUsd(cycle!.net!)).toBe(Math.round(4_500_000 - 600_000 - 122_916 - storage));
    const perMs = (1_000_000 - (10 * 15_000) / 730) / hour;
    expect(cycle!.breakEvenMs).toBeCloseTo(722_916 / perMs, 0);
    const short = { ...books.cycles[0]!, sleptAt: wakeAt - hour / 10 };
    expect(toMicroUsd(cycleCosts({ ...books, cycles: [short] }, always, now)[0]!.net!)).toBeLessThan(0);
  });

  it("go on while it sleeps", () => {
    const asleep = { ...books.cycles[0]!, wokenAt: null, readyAt: null, readyEpoch: null };
    const [first] = books.machines;
    const open = { ...books, machines: [first!], moved: [books.moved[0]!], cycles: [asleep] };
    const at = (hours: number) => savingsBetween(open, { fromAt: 0, toAt: 100 * hour }, hours * hour);
    expect(toMicroUsd(at(5).avoided - at(4).avoided)).toBe(1_000_000);
    expect(at(5).hibernatedMs).toBe(3 * hour);
    expect(toMicroUsd(cycleCosts(open, always, 5 * hour)[0]!.avoided!)).toBe(3_000_000);
  });

  it("I7: what has no price is in no sum, and told apart", () => {
    const [one, two] = books.machines;
    const unpriced: Books = {
      ...books,
      machines: [one!, { ...two!, microUsdPerHour: null }],
      moved: books.moved.map((moved) => ({ ...moved, upMicroUsdPerGb: null })),
    };
    const { paid } = savingsBetween(unpriced, { fromAt: 0, toAt: now }, now);
    expect(paid.unknown).toEqual({ machineMs: 2 * hour, upBytes: 10 * gb, downBytes: 0 });
    expect(paid.by.machine).toBe(0n);
    expect(cycleCosts(unpriced, always, now)[0]).toMatchObject({ net: null, breakEvenMs: null });
    const dark = { ...books, cycles: [{ ...books.cycles[0]!, microUsdPerHour: null }] };
    expect(savingsBetween(dark, { fromAt: 0, toAt: now }, now)).toMatchObject({
      avoided: 0n,
      unknownAsleepMs: 4.5 * hour,
    });
  });

  it("of the parts of a period are those of the whole, to the last grain", () => {
    const cut = fc.nat(12 * 4).map((quarter) => quarter * quarterMs);
    fc.assert(
      fc.property(fc.array(cut, { maxLength: 6 }), fc.nat(12 * hour), (cuts, at) => {
        const edges = [...new Set([0, ...cuts, 12 * hour])].sort((a, b) => a - b);
        const parts = edges.slice(1).map((toAt, i) => savingsBetween(books, { fromAt: edges[i]!, toAt }, at));
        const all = savingsBetween(books, { fromAt: 0, toAt: 12 * hour }, at);
        const sum = (of: (one: typeof all) => bigint) => parts.reduce((total, one) => total + of(one), 0n);
        expect(sum((one) => one.saved)).toBe(all.saved);
        expect(sum((one) => one.alwaysOn)).toBe(all.alwaysOn);
        for (const kind of kinds) expect(sum((one) => one.paid.by[kind])).toBe(all.paid.by[kind]);
        expect(parts.reduce((total, one) => total + one.awakeMs, 0)).toBe(all.awakeMs);
      }),
    );
  });

  it("I7: what was paid never shrinks as time goes on", () => {
    fc.assert(
      fc.property(fc.nat(20 * hour), fc.nat(20 * hour), (a, b) => {
        const [early, late] = [Math.min(a, b), Math.max(a, b)];
        const paid = (at: number) => totalOf(paidBetween(books, { fromAt: 0, toAt: 20 * hour }, at));
        expect(paid(late) >= paid(early)).toBe(true);
      }),
    );
  });
});
