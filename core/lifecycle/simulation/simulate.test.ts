import { describe, expect, it } from "vitest";
import { bestCost, cycleCost, gapCost } from "../auto.ts";
import { autoOf } from "../auto-state.ts";
import { costsOf } from "../costs.ts";
import { seeded } from "../testing/gaps.ts";
import { referenceOf, simulate } from "./simulate.ts";
import { idleTimes, type Trace, TraceWalk } from "./trace.ts";
import { costsOfWorld, type Policy, type SimulatedWorld } from "./world.ts";

const minute = 60_000;
const hour = 60 * minute;

/** A cycle: 40 s of upload, three and a half minutes of boot and restore, US$ 0.06 of traffic. */
const world: SimulatedWorld = {
  microUsdPerHour: 1_200_000,
  upMicroUsdPerGb: 3_000,
  downMicroUsdPerGb: 3_000,
  storedBytes: 10e9,
  uploadBytes: 10e9,
  changedBytesPerHour: 0,
  upBytesPerSecond: 50e6,
  downBytesPerSecond: 100e6,
  bootMs: 2 * minute,
  scanMs: 5_000,
  sealMs: 5_000,
  endMs: 10_000,
  intervalMs: 30_000,
  threshold: 5,
  memory: "free",
  isMeasured: true,
};
const auto: Policy = { kind: "auto" };
const fixed = (minutes: number): Policy => ({ kind: "fixed", minutes });
const never: Policy = { kind: "never" };

/** Blocks of use and the idle times after them, in turn. */
function traceOf(...parts: number[]): Trace {
  let atMs = 0;
  const rows = parts.map((ms, i) => {
    const row = { atMs, util: i % 2 === 0 ? 90 : 0 };
    atMs += Math.round(ms);
    return row;
  });
  return { rows, endMs: atMs };
}

describe("the trace", () => {
  it("finds every time without use", () => {
    const trace = traceOf(hour, 10 * minute, hour, 20 * minute);
    expect(idleTimes(trace, 5)).toEqual([
      { fromMs: 60 * minute, toMs: 70 * minute },
      { fromMs: 130 * minute, toMs: 150 * minute },
    ]);
  });

  it("walks in steps of any size and misses no peak", () => {
    const rows = [
      { atMs: 0, util: 0 },
      { atMs: 10_000, util: 70 },
      { atMs: 10_500, util: 2 },
      { atMs: 60_000, util: 9 },
    ];
    const walk = new TraceWalk({ rows, endMs: 90_000 }, 5);
    expect(walk.advance(10_000)).toEqual({ peak: 0, usedMs: 0 });
    expect(walk.isActive).toBe(true);
    expect(walk.advance(20_000)).toEqual({ peak: 70, usedMs: 500 });
    expect([walk.isActive, walk.untilUseMs]).toEqual([false, 30_000]);
    expect(walk.nextIdleWithin(hour)).toBeNull();
    expect(walk.advance(hour)).toEqual({ peak: 9, usedMs: 30_000 });
    expect(walk.isOver).toBe(true);
  });
});

describe("what it costs", () => {
  it("never sleeping pays for every second, and knowing better pays less", () => {
    const trace = traceOf(hour, 5 * hour, hour, 2 * minute, hour);
    const outcome = simulate(trace, never, world);
    const reference = referenceOf(trace, world);
    expect(outcome.paid).toBeCloseTo(reference.alwaysOn, -1);
    expect(outcome).toMatchObject({ sleeps: 0, traffic: 0, storage: 0 });
    const costs = costsOfWorld(world);
    expect(reference.optimum).toBeCloseTo(3 * 1_200_000 + bestCost(costs, 5 * hour) + 40_000, 3);
    expect(reference.optimum).toBeLessThan(reference.alwaysOn / 2);
  });

  it("one sleep costs what the formula says, within the seconds of beats, seal and end", () => {
    const trace = traceOf(hour, 5 * hour, hour);
    const outcome = simulate(trace, fixed(3), world);
    const costs = costsOfWorld(world);
    const went = outcome.wentAfterMs[0]!;
    expect(went / minute).toBeGreaterThan(3 + 205 / 60);
    expect(went / minute).toBeLessThan(3 + 205 / 60 + 1.5);
    expect(outcome).toMatchObject({ sleeps: 1, falseSleeps: 0 });
    expect(outcome.traffic).toBeCloseTo(60_000, 0);
    const formula = 2 * 1_200_000 + gapCost(costs, went, 5 * hour);
    expect(Math.abs(outcome.paid - formula)).toBeLessThan(0.01 * formula);
  });

  it("an upload that is called off goes on where it was: nothing is sent twice", () => {
    const trace = traceOf(hour, 4.5 * minute, 30 * minute, 4.5 * minute, 30 * minute, 5 * hour, hour);
    const outcome = simulate(trace, fixed(3), world);
    expect(outcome.uploadsCancelled).toBe(2);
    expect(outcome.sleeps).toBe(1);
    expect(outcome.traffic).toBeCloseTo(60_000, 0);
    const changing = simulate(trace, fixed(3), { ...world, changedBytesPerHour: 100e9 });
    expect(changing.traffic).toBeGreaterThan(70_000);
  });

  it("uses wake it, and work that waited is done after", () => {
    const trace = traceOf(hour, 5 * hour, hour, 3 * hour, hour);
    const outcome = simulate(trace, fixed(3), world);
    expect(outcome.sleeps).toBe(2);
    expect(outcome.waitedMs / 2).toBeGreaterThanOrEqual(2 * minute + 100_000);
    expect(outcome.waitedMs / 2).toBeLessThan(2 * minute + 100_000 + 30_000);
  });

  it("is measured as in life: a cold start waits half an hour, then knows", () => {
    const trace = traceOf(hour, 5 * hour, hour, 5 * hour, hour);
    const outcome = simulate(trace, auto, { ...world, isMeasured: false });
    expect(outcome.wentAfterMs[0]! / minute).toBeGreaterThan(30);
    expect(outcome.wentAfterMs[1]! / minute).toBeLessThan(20);
    const { measured } = autoOf(outcome.state);
    expect(measured.bootMs).toBe(world.bootMs);
    expect(measured.uploadBytes).toBe(world.uploadBytes);
    expect(Math.abs(measured.restoreMs! - 100_000)).toBeLessThan(10_000);
    expect(Math.abs(measured.uploadMs! - costsOfWorld(world).uploadMs)).toBeLessThan(10_000);
    expect(costsOf(outcome.state, null)).toEqual({
      ok: false,
      unknown: ["machine_price", "upload_price", "download_price"],
    });
  });

  it("is the same each time", () => {
    const random = seeded(5);
    const trace = traceOf(...Array.from({ length: 60 }, () => (2 + 60 * random() ** 3) * minute));
    expect(simulate(trace, auto, world)).toEqual(simulate(trace, auto, world));
  });
});

describe("bars, through the real transition function", () => {
  it("an adversary that comes back right after the machine went pays at most twice the clairvoyant and one cycle", {
    timeout: 240_000,
  }, () => {
    // Sleeping pays after more than an hour, so that the highest floor after false sleeps still lies before it.
    const large = { ...world, microUsdPerHour: 400_000, storedBytes: 55e9, uploadBytes: 55e9, upBytesPerSecond: 100e6 };
    const costs = costsOfWorld(large);
    const parts: number[] = [];
    for (let i = 0; i < 14; i++) {
      // What the rule will do is found out by waiting for it.
      const probe = simulate(traceOf(...parts, 20 * minute, 24 * hour), auto, large);
      parts.push(20 * minute, probe.wentAfterMs.at(-1)! + 11_000);
    }
    const trace = traceOf(...parts);
    const outcome = simulate(trace, auto, large);
    const reference = referenceOf(trace, large);
    expect(outcome.falseSleeps).toBeGreaterThan(5);
    const used = 14 * (400_000 / 3);
    expect(outcome.paid - used).toBeLessThanOrEqual(2 * reference.idleOptimum + cycleCost(costs));
    expect(outcome.paid - used).toBeGreaterThan(1.2 * reference.idleOptimum);
  });

  it("never sleeps inside a data stall of up to four minutes, in 28 days, whether memory is seen or not", {
    timeout: 240_000,
  }, () => {
    const random = seeded(11);
    const parts: number[] = [];
    for (let sum = 0; sum < 28 * 24 * hour; ) {
      const [work, stall] = [(2 + 28 * random()) * minute, (1 + 3 * random()) * minute];
      parts.push(work, stall);
      sum += work + stall;
    }
    parts.push(minute);
    const trace = traceOf(...parts);
    expect(idleTimes(trace, 5).length).toBeGreaterThan(2_000);
    for (const memory of ["held", "unknown"] as const) {
      const outcome = simulate(trace, auto, { ...world, memory, upBytesPerSecond: 10e9, bootMs: 1_000 });
      expect(outcome).toMatchObject({ sleeps: 0, uploadsCancelled: 0 });
    }
  });
});
