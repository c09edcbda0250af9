import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Sample } from "./idle.ts";
import { type DayOfSeries, dayMs, Series } from "./series.ts";
import { StepRing } from "./step-ring.ts";

const second = 1_000;
const minute = 60_000;
const hour = 60 * minute;
/** A midnight, so that steps and days begin with the hours of a test. */
const start = Date.UTC(2026, 0, 5);

function sample(fromAt: number, toAt: number, ...maxes: (number | null)[]): Sample {
  const gpus = maxes.map((max, index) => ({
    index,
    name: "RTX 4090",
    max,
    mean: max === null ? null : max / 2,
    busyShare: null,
    memoryUsedMb: 1_000 + (max ?? 0),
    memoryTotalMb: 24_564,
  }));
  return { fromAt, toAt, expected: 10, taken: 10, gpus, sensorError: null };
}

/** Every 30 s from `from` to `to`, with days handed over as an object keeps them. */
function fill(series: Series, from: number, to: number, use: (at: number) => (number | null)[], days = new Map()) {
  for (let at = from; at < to; at += 30 * second) {
    series.add(sample(at, at + 30 * second, ...use(at)), at + 30 * second);
    for (const { day, bytes } of takeDone(series)) days.set(day, bytes);
  }
  return days as Map<number, DayOfSeries["bytes"]>;
}

function takeDone(series: Series): DayOfSeries[] {
  const done = series.done();
  series.forgetDone();
  return done;
}

const kept = (days: Map<number, DayOfSeries["bytes"]>): DayOfSeries[] =>
  Array.from(days, ([day, bytes]) => ({ day, bytes }));

describe("a step", () => {
  it("has the highest of all that lies in it, and the mean by how long each lasted", () => {
    const series = new Series();
    series.add(sample(start, start + 45 * second, 10), start + minute);
    series.add(sample(start + 45 * second, start + 60 * second, 90), start + minute);
    const { gpus, usedMb, totalMb } = series.read(start + minute, minute, 1, []);
    expect(gpus).toEqual([{ index: 0, name: "RTX 4090", max: [90], mean: [(5 * 45 + 45 * 15) / 60] }]);
    expect([usedMb, totalMb]).toEqual([[1_090], 24_564]);
  });

  it("is null where nothing was measured: a gap is never a line", () => {
    const series = new Series();
    series.add(sample(start, start + minute, 50), start + minute);
    series.add(sample(start + 3 * minute, start + 4 * minute, 70), start + 4 * minute);
    series.add(sample(start + 5 * minute, start + 6 * minute, null), start + 6 * minute);
    series.add({ ...sample(start + 6 * minute, start + 7 * minute, 5), sensorError: "gone" }, start + 7 * minute);
    series.add({ ...sample(start + 7 * minute, start + 8 * minute, 5), taken: 0 }, start + 8 * minute);
    const { gpus, usedMb } = series.read(start + 8 * minute, minute, 8, []);
    expect(gpus[0]!.max).toEqual([50, null, null, 70, null, null, null, null]);
    expect(usedMb).toEqual([1_050, null, null, 1_070, null, null, null, null]);
  });

  it("takes nothing from an interval that only just reaches into it", () => {
    const series = new Series();
    series.add(sample(start + minute - 20, start + 2 * minute - 20, 80), start + 2 * minute);
    expect(series.read(start + 2 * minute, minute, 2, []).gpus[0]!.max).toEqual([null, 80]);
  });

  it("keeps fractions: a threshold lies between two whole numbers as well", () => {
    const series = new Series();
    series.add(sample(start, start + minute, 4.96), start + minute);
    expect(series.read(start + minute, minute, 1, []).gpus[0]!.max).toEqual([4.96]);
  });

  it("does not know the memory of all where that of one is not known", () => {
    const series = new Series();
    const one = sample(start, start + minute, 10, 20);
    one.gpus[1]!.memoryUsedMb = null;
    series.add(one, start + minute);
    expect(series.read(start + minute, minute, 1, [])).toMatchObject({ usedMb: [null], totalMb: 2 * 24_564 });
  });
});

describe("machines", () => {
  it("go on with the same lines, whatever their number of GPUs", () => {
    const series = new Series();
    series.add(sample(start, start + minute, 10, 20, 30), start + minute);
    const other = sample(start + 2 * minute, start + 3 * minute, 90);
    other.gpus[0]!.name = "H100 SXM";
    series.add(other, start + 3 * minute);
    const { gpus } = series.read(start + 3 * minute, minute, 3, []);
    expect(gpus.map(({ index, name, max }) => [index, name, max])).toEqual([
      [0, "H100 SXM", [10, null, 90]],
      [1, "RTX 4090", [20, null, null]],
      [2, "RTX 4090", [30, null, null]],
    ]);
    // Those that are gone are no lines any more once nothing of them is shown.
    expect(series.read(start + 3 * minute, minute, 1, []).gpus).toHaveLength(1);
  });

  it("may leave one out: its line is not known, and no other takes its place", () => {
    const series = new Series();
    const one = sample(start, start + minute, 10, 20, 30);
    series.add({ ...one, gpus: [one.gpus[0]!, one.gpus[2]!] }, start + minute);
    expect(series.read(start + minute, minute, 1, []).gpus.map(({ index }) => index)).toEqual([0, 2]);
  });
});

describe("time", () => {
  it("is kept in steps of 10 s, minutes and ten minutes, and the days are handed out when they are over", () => {
    const series = new Series();
    const use = (at: number) => [Math.floor((at - start) / hour) % 24];
    const now = start + 100 * hour;
    const days = fill(series, start, now, use);
    expect([...days.keys()]).toEqual([0, 1, 2, 3].map((day) => start / dayMs + day));
    expect(series.read(now, 10 * second, 360, []).gpus[0]!.max).toEqual(Array(360).fill(3));
    const day = series.read(now, 5 * minute, 288, []).gpus[0]!;
    expect(day.max).toEqual(Array.from({ length: 288 }, (_, i) => (4 + Math.floor(i / 12)) % 24));
    const week = series.read(now, 30 * minute, 336, kept(days)).gpus[0]!;
    expect(week.max.slice(-200)).toEqual(Array.from({ length: 200 }, (_, i) => Math.floor(i / 2) % 24));
    expect(week.max.slice(0, -200).every((one) => one === null)).toBe(true);
    expect(week.mean.at(-1)).toBe(1.5);
    const quarter = series.read(now, 6 * hour, 360, kept(days)).gpus[0]!;
    expect(quarter.max.slice(-8)).toEqual([11, 17, 23, 5, 11, 17, 23, 3]);
  });

  it("is the same after a sleep of days, and the day before it is whole", () => {
    const series = new Series();
    const days = fill(series, start + 10 * hour, start + 12 * hour, () => [80]);
    expect(days.size).toBe(0);
    const later = start + 5 * dayMs;
    fill(series, later, later + hour, () => [40], days);
    expect([...days.keys()]).toEqual([start / dayMs]);
    const { max } = series.read(later + hour, 6 * hour, 24, kept(days)).gpus[0]!;
    expect(max.map((one, i) => [i, one]).filter(([, one]) => one !== null)).toEqual([
      [4, 80],
      [23, 40],
    ]);
  });

  it("takes what comes late for yesterday, and hands that day out again", () => {
    const series = new Series();
    const days = fill(series, start + 20 * hour, start + 25 * hour, () => [10]);
    series.add(sample(start + 21 * hour, start + 21 * hour + minute, 99), start + 25 * hour);
    for (const { day, bytes } of takeDone(series)) days.set(day, bytes);
    expect(series.read(start + 25 * hour, hour, 5, kept(days)).gpus[0]!.max).toEqual([10, 99, 10, 10, 10]);
    const other = Series.fromBytes(null);
    fill(other, start + 3 * dayMs, start + 3 * dayMs + minute, () => [1]);
    expect(other.read(start + 2 * dayMs, hour, 48, kept(days)).gpus[0]!.max).toContain(99);
  });

  it("of clocks that are wrong does no harm", () => {
    const series = new Series();
    const now = start + hour;
    series.add(sample(now + hour, now + 2 * hour, 100), now);
    series.add(sample(-1e15, -1e15 + minute, 100), now);
    series.add(sample(now - minute, now - 2 * minute, 100), now);
    series.add(sample(now, now, 100), now);
    expect(series.read(now, minute, 60, []).gpus).toEqual([]);
    // What claims to have lasted for a year is believed for its last hour alone.
    series.add(sample(now - 365 * dayMs, now, 100), now);
    const { max } = series.read(now, minute, 120, []).gpus[0]!;
    expect([max.indexOf(100), max.filter((one) => one === 100).length]).toEqual([60, 60]);
  });

  it("that is told twice makes no step longer than it is", () => {
    const series = new Series();
    for (let i = 0; i < 50; i++) series.add(sample(start, start + minute, 20), start + minute);
    series.add(sample(start, start + minute, 100), start + minute);
    expect(series.read(start + minute, minute, 1, []).gpus[0]).toMatchObject({ max: [100], mean: [10] });
  });
});

describe("as bytes", () => {
  it("is the same when it comes back, in any use", () => {
    const reading = fc.option(fc.double({ min: 0, max: 100, noNaN: true }), { nil: null });
    const step = fc.record({
      waitMs: fc.oneof(fc.integer({ min: 0, max: 90 * second }), fc.integer({ min: 0, max: 40 * hour })),
      ms: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 5 * minute })),
      gpus: fc.array(reading, { maxLength: 9 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat({ max: 59 }), (steps, cut) => {
        let [series, twin] = [new Series(), new Series()];
        let now = start;
        steps.forEach(({ waitMs, ms, gpus }, i) => {
          const from = now + waitMs;
          now = from + ms;
          series.add(sample(from, now, ...gpus), now);
          twin.add(sample(from, now, ...gpus), now);
          if (i !== cut) return;
          expect(takeDone(series)).toEqual(takeDone(twin));
          series = Series.fromBytes(series.toBytes());
        });
        expect(takeDone(series).map(({ day }) => day)).toEqual(takeDone(twin).map(({ day }) => day));
        for (const [stepMs, count] of [
          [10 * second, 360],
          [minute, 360],
          [5 * minute, 288],
        ] as const)
          expect(series.read(now, stepMs, count, [])).toEqual(twin.read(now, stepMs, count, []));
        expect(series.toBytes()).toEqual(twin.toBytes());
      }),
      { numRuns: 60 },
    );
  });

  it("is small for one machine, and bounded whatever is sent", () => {
    const one = new Series();
    fill(one, start, start + 2 * dayMs - hour, () => [50]);
    expect(one.toBytes().length).toBeLessThan(32_000);
    const all = new Series();
    const gpus = Array.from({ length: 64 }, () => 50);
    fill(all, start, start + 2 * dayMs - hour, () => gpus);
    const odd = sample(start, start + 2 * dayMs - hour, 5);
    odd.gpus[0]!.index = 1_023;
    all.add(odd, start + 2 * dayMs);
    expect(all.toBytes().length).toBeLessThan(600_000);
    expect(Series.fromBytes(all.toBytes()).read(start + 2 * dayMs - hour, minute, 1, []).gpus).toHaveLength(64);
  });

  it("of something else is an empty series", () => {
    const whole = new Series();
    fill(whole, start, start + hour, () => [50]);
    const bytes = whole.toBytes();
    for (const broken of [new Uint8Array(0), bytes.slice(0, 40), bytes.slice(1), new Uint8Array(64).fill(7)])
      expect(Series.fromBytes(broken).read(start + hour, minute, 60, []).gpus).toEqual([]);
    const ring = new StepRing(minute, 10);
    ring.load(new Uint8Array([1, 2, 3]));
    ring.load(new Uint8Array(12).fill(9));
    expect(ring.newest).toBeNull();
  });
});

it("peaks are minutes of the last day, and ten minutes at a time before", () => {
  const series = new Series();
  const now = start + 60 * hour;
  const days = fill(series, start, now, (at) => [Math.floor(at / minute) % 7 === 0 ? 95 : 1, 3]);
  const peaks = series.peaks(start - hour, now, kept(days));
  expect(peaks[0]).toEqual({ fromAt: start - hour, toAt: start - hour + 10 * minute, max: null });
  const fine = peaks.filter(({ fromAt, toAt }) => toAt - fromAt === minute);
  expect(fine.length).toBe(24 * 60 + 10);
  expect(fine.every(({ fromAt, max }) => max === (Math.floor(fromAt / minute) % 7 === 0 ? 95 : 3))).toBe(true);
  expect(peaks.slice(6, -fine.length).every(({ max }) => max === 95)).toBe(true);
  for (let i = 1; i < peaks.length; i++) expect(peaks[i]!.fromAt).toBe(peaks[i - 1]!.toAt);
  expect(peaks.at(-1)!.toAt).toBe(now);
});
