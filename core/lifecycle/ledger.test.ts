import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addInterval, costOf, type PaidInterval } from "./ledger.ts";

const closed = fc
  .record({
    epoch: fc.integer({ min: 1, max: 4 }),
    fromAt: fc.nat(1_000_000),
    ms: fc.nat(10_000_000),
    microUsdPerHour: fc.option(fc.nat(5_000_000)),
  })
  .map(
    ({ epoch, fromAt, ms, microUsdPerHour }): PaidInterval => ({ epoch, fromAt, toAt: fromAt + ms, microUsdPerHour }),
  );

const add = (all: PaidInterval[]) => all.reduce<PaidInterval[]>((ledger, one) => addInterval(ledger, one), []);

describe("ledger", () => {
  it("I7: cost never shrinks, and no intervals of a machine overlap, whatever is added in whatever order", () => {
    fc.assert(
      fc.property(fc.array(closed), (intervals) => {
        let ledger: PaidInterval[] = [];
        for (const one of intervals) {
          const before = costOf(ledger, 0);
          ledger = addInterval(ledger, one);
          const after = costOf(ledger, 0);
          expect(after.microUsd).toBeGreaterThanOrEqual(before.microUsd);
          expect(after.paidMs).toBeGreaterThanOrEqual(before.paidMs);
          for (const [i, { epoch, fromAt }] of ledger.entries()) {
            const previous = ledger[i - 1];
            if (previous?.epoch === epoch) expect(previous.toAt).toBeLessThan(fromAt);
          }
        }
      }),
    );
  });

  it("I7: the same interval again changes nothing", () => {
    fc.assert(
      fc.property(fc.array(closed), (intervals) => {
        expect(add([...intervals, ...intervals])).toEqual(add(intervals));
      }),
    );
  });

  it("I7: the order of arrival does not change what was paid for", () => {
    fc.assert(
      fc.property(fc.array(closed), (intervals) => {
        expect(costOf(add([...intervals].reverse()), 0).paidMs).toBe(costOf(add(intervals), 0).paidMs);
      }),
    );
  });

  it("I7: an unknown price is unknown time and no money, until it is told", () => {
    const hour = { epoch: 1, fromAt: 0, toAt: 3_600_000, microUsdPerHour: null };
    const unknown = addInterval([], hour);
    expect(costOf(unknown, 0)).toEqual({ microUsd: 0, paidMs: 3_600_000, unknownMs: 3_600_000 });
    const told = addInterval(unknown, { ...hour, microUsdPerHour: 400_000 });
    expect(costOf(told, 0)).toEqual({ microUsd: 400_000, paidMs: 3_600_000, unknownMs: 0 });
  });

  it("an open interval counts until now, and takes in what was closed of a machine that came back", () => {
    const open = addInterval([], { epoch: 1, fromAt: 0, toAt: null, microUsdPerHour: 3_600_000 });
    expect(costOf(open, 1_000).microUsd).toBe(1_000);
    const ended = addInterval([], { epoch: 1, fromAt: 0, toAt: 500, microUsdPerHour: 3_600_000 });
    expect(costOf(ended, 9_000).microUsd).toBe(500);
    const later = addInterval(ended, { epoch: 1, fromAt: 700, toAt: 800, microUsdPerHour: 3_600_000 });
    expect(costOf(later, 9_000).microUsd).toBe(600);
    const back = addInterval(later, { epoch: 1, fromAt: 0, toAt: null, microUsdPerHour: 3_600_000 });
    expect(costOf(back, 9_000).microUsd).toBe(9_000);
  });
});
