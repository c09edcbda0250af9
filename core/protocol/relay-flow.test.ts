import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Budget, Credit, firstWindowBytes, maxWindowBytes, ReceiveWindow } from "./relay-flow.ts";

const mib = 1024 * 1024;

/** A sender that always has something, and a consumer that takes at once: the window after so many bytes. */
function stream(window: ReceiveWindow, credit: Credit, bytes: number): void {
  for (let left = bytes; left > 0; ) {
    const part = Math.min(left, 65_536, credit.left);
    expect(part).toBeGreaterThan(0);
    credit.left -= part;
    expect(window.arrive(part)).toBe(true);
    const more = window.take(part);
    if (more > 0) credit.add(more);
    left -= part;
  }
}

describe("windows", () => {
  it("grow while the consumer is quick, up to 4 MiB", () => {
    const budget = new Budget(48 * mib);
    const window = new ReceiveWindow(budget);
    expect(window.size).toBe(firstWindowBytes);
    stream(window, new Credit(), 20 * mib);
    expect(window.size).toBe(maxWindowBytes);
    expect(budget.total).toBe(maxWindowBytes);
  });

  it("never let more come than the sender was given", () => {
    const window = new ReceiveWindow(new Budget(48 * mib));
    expect(window.arrive(firstWindowBytes)).toBe(true);
    expect(window.arrive(1)).toBe(false);
  });

  it("stay small while nobody takes anything", () => {
    const window = new ReceiveWindow(new Budget(48 * mib));
    window.arrive(firstWindowBytes);
    expect(window.held).toBe(firstWindowBytes);
    expect(window.size).toBe(firstWindowBytes);
  });

  it("shrink again when others come, and never below the first", () => {
    const budget = new Budget(8 * mib);
    const first = new ReceiveWindow(budget);
    const credit = new Credit();
    stream(first, credit, 20 * mib);
    expect(first.size).toBe(maxWindowBytes);
    const others = Array.from({ length: 40 }, () => new ReceiveWindow(budget));
    expect(budget.total).toBe(maxWindowBytes + 40 * firstWindowBytes);
    stream(first, credit, 20 * mib);
    expect(first.size).toBe(firstWindowBytes);
    for (const other of others) other.close();
    first.close();
    first.close();
    expect(budget.total).toBe(0);
  });

  it("keep their sums whatever order things come in", () => {
    const step = fc.record({ who: fc.nat(4), bytes: fc.integer({ min: 1, max: 65_536 }), takes: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), fc.integer({ min: 1, max: 6 }), (steps, limitMib) => {
        const budget = new Budget(limitMib * mib);
        const all = Array.from({ length: 5 }, () => ({ window: new ReceiveWindow(budget), credit: new Credit() }));
        for (const { who, bytes, takes } of steps) {
          const { window, credit } = all[who]!;
          if (takes) {
            const taken = Math.min(bytes, window.held);
            const more = taken > 0 ? window.take(taken) : 0;
            if (more > 0) expect(credit.add(more)).toBe(true);
          } else {
            const sent = Math.min(bytes, credit.left);
            credit.left -= sent;
            expect(window.arrive(sent)).toBe(true);
          }
          // What may still come and what is held never exceed the window.
          expect(credit.left + window.held).toBeLessThanOrEqual(window.size);
          expect(window.size).toBeGreaterThanOrEqual(firstWindowBytes);
          expect(window.size).toBeLessThanOrEqual(maxWindowBytes);
          expect(budget.total).toBe(all.reduce((sum, one) => sum + one.window.size, 0));
          expect(budget.total).toBeLessThanOrEqual(Math.max(budget.limit, 5 * firstWindowBytes));
          // Whoever has nothing held may always be sent something: nothing waits for ever.
          if (window.held === 0) expect(credit.left).toBeGreaterThan(0);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("refuse credit beyond reason", () => {
    const credit = new Credit();
    let taken = 0;
    while (taken < 1_000 && credit.add(0xffff_ffff)) taken++;
    expect(taken).toBeLessThan(1_000);
  });
});
