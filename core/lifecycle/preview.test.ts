import { describe, expect, it } from "vitest";
import { type AutoHibernation, defaultAutoHibernation } from "../protocol/config.ts";
import { clockChangesIn } from "./calendar.ts";
import { type Known, replay, worldOf } from "./preview.ts";
import { dayMs, type Peak } from "./series.ts";
import { simulate } from "./simulation/simulate.ts";
import type { Policy } from "./simulation/world.ts";
import { seeded } from "./testing/gaps.ts";

const minute = 60_000;
const hour = 60 * minute;
const now = Date.UTC(2026, 10, 29, 12);
const start = now - 7 * dayMs;

/** A cycle costs a minute of upload, two minutes of boot, one of restore, and US$ 0.039 of traffic. */
const known: Known = {
  prices: { perHour: 1_200_000, diskPerHour: 24_000, upPerGb: 3_000, downPerGb: 3_000 },
  storedBytes: 10e9,
  uploadBytes: 3e9,
  uploadMs: minute,
  bootMs: 2 * minute,
  restoreMs: minute,
};
const config = (change: Partial<AutoHibernation> = {}): AutoHibernation => ({ ...defaultAutoHibernation, ...change });

/** As the series tells it: ten minutes at a time, and minutes of the last day. */
function peaksOf(use: (at: number) => number | null, fromAt = start): Peak[] {
  const peaks: Peak[] = [];
  for (let at = fromAt; at < now; ) {
    const toAt = at + (at >= now - dayMs ? minute : 10 * minute);
    peaks.push({ fromAt: at, toAt, max: use(at) });
    at = toAt;
  }
  return peaks;
}

/** Noon to six, each day. */
const afternoons = (at: number) => ((at - start) % dayMs < 6 * hour ? 80 : 0);

function play(use: (at: number) => number | null, asSet: Partial<AutoHibernation>, change: Partial<Known> = {}) {
  return replay(peaksOf(use), { ...known, ...change }, { asIs: config(), asSet: config(asSet) });
}

describe("a week of afternoons", () => {
  it("is slept through each night, and costs what the sleeps and the use cost", () => {
    const found = play(afternoons, { pause_after_idle_minutes: 60 })!;
    expect(found).toMatchObject({ fromAt: start, toAt: now, unknownMs: 0, microUsdPerHour: 1_200_000 });
    const { asIs, asSet } = found;
    expect([asIs.sleeps, asSet.sleeps]).toEqual([7, 7]);
    const cycle = 7 * 39_000;
    // Six hours of use, some minutes of waiting and of sleep's own, and three minutes or an hour of idle time.
    const paid = (idleMs: number) => ((7 * (6 * hour + idleMs + 4 * minute)) / hour) * 1_200_000 + cycle;
    expect(Math.abs(asIs.paid / paid(3 * minute) - 1)).toBeLessThan(0.02);
    expect(Math.abs(asSet.paid / paid(hour) - 1)).toBeLessThan(0.02);
    for (const one of [asIs, asSet]) expect(one.paid + one.saved).toBeCloseTo(7 * 24 * 1_200_000, 0);
    expect(asIs.waitedMs / (7 * 3 * minute)).toBeGreaterThan(0.99);
    expect(asIs.asleep).toHaveLength(7);
    asIs.asleep.forEach(({ fromAt, toAt }, day) => {
      const idle = start + day * dayMs + 6 * hour;
      expect(fromAt - idle).toBeGreaterThan(3 * minute);
      expect(fromAt - idle).toBeLessThan(10 * minute);
      expect(toAt).toBe(start + (day + 1) * dayMs);
    });
    expect(found.busy).toEqual(
      Array.from({ length: 7 }, (_, day) => ({
        fromAt: start + day * dayMs,
        toAt: start + day * dayMs + 6 * hour,
      })),
    );
  });

  it("without the rule costs what a machine costs that is always on", () => {
    const { asSet } = play(afternoons, { enabled: false })!;
    expect(asSet).toMatchObject({ sleeps: 0, saved: 0, asleep: [], waitedMs: 0 });
    expect(asSet.paid).toBeCloseTo(7 * 24 * 1_200_000, 0);
  });

  it("with another threshold is another use", () => {
    const use = (at: number) => ((at - start) % dayMs < 6 * hour ? 80 : 10);
    const found = play(use, { gpu_usage_threshold: 20 })!;
    expect([found.asIs.sleeps, found.asSet.sleeps]).toEqual([0, 7]);
    expect(found.busy).toHaveLength(7);
  });

  it("with a machine that is only stopped pays for its disk, and waits for no restore", () => {
    const { asIs, asSet } = play(afternoons, { pause_mode: "stop" })!;
    expect(asSet.waitedMs).toBeLessThan(asIs.waitedMs * 0.7);
    const disk = (asSet.asleepMs / hour) * 24_000;
    const traffic = 7 * (3 * 3_000);
    const awake = ((7 * 24 * hour - asSet.asleepMs + asSet.waitedMs) / hour) * 1_200_000;
    expect(Math.abs(asSet.paid / (awake + disk + traffic) - 1)).toBeLessThan(0.02);
  });

  it("under auto sleeps as well", () => {
    expect(play(afternoons, { pause_after_idle_minutes: "auto" })!.asSet.sleeps).toBe(7);
  });
});

describe("what is not known", () => {
  it("makes no replay: a price, a time, a size, or less than a day", () => {
    const lacking: Partial<Known>[] = [
      { prices: { ...known.prices, perHour: null } },
      { prices: { ...known.prices, upPerGb: null } },
      { prices: { ...known.prices, downPerGb: null } },
      { storedBytes: null },
      { uploadBytes: null },
      { uploadMs: null },
      { bootMs: null },
      { restoreMs: null },
    ];
    for (const change of lacking) expect(play(afternoons, {}, change)).toBeNull();
    expect(play(afternoons, { pause_mode: "stop" }, { prices: { ...known.prices, diskPerHour: null } })).toBeNull();
    const configs = { asIs: config(), asSet: config() };
    expect(replay([], known, configs)).toBeNull();
    expect(
      replay(
        peaksOf(() => null),
        known,
        configs,
      ),
    ).toBeNull();
    expect(
      replay(
        peaksOf(() => 50, now - 23 * hour),
        known,
        configs,
      ),
    ).toBeNull();
    expect(
      replay(
        peaksOf((at) => (at < now - 23 * hour ? null : 50)),
        known,
        configs,
      ),
    ).toBeNull();
  });

  it("begins with the first sample, and is time without use where nothing ran", () => {
    const use = (at: number) => (at < start + 2 * dayMs ? null : (at - start) % dayMs < 6 * hour ? 80 : null);
    const { fromAt, unknownMs, asIs } = play(use, {})!;
    expect(fromAt).toBe(start + 2 * dayMs);
    expect(unknownMs).toBe(5 * 18 * hour);
    expect(asIs.sleeps).toBe(5);
  });
});

describe("in few steps", () => {
  const policies: Policy[] = [{ kind: "fixed", minutes: 3 }, { kind: "fixed", minutes: 90 }, { kind: "auto" }];

  it("is what every beat would have found, but for minutes", () => {
    const world = worldOf(known, config())!;
    const random = seeded(7);
    const rows: { atMs: number; util: number }[] = [];
    let atMs = 0;
    for (let i = 0; i < 80; i++) {
      rows.push({ atMs, util: i % 2 === 0 ? 90 : 0 });
      atMs += Math.round((2 + 200 * random() ** 3) * minute);
    }
    for (const policy of policies) {
      const [whole, few] = [false, true].map((isCoarse) =>
        simulate({ rows, endMs: atMs }, policy, world, { isCoarse }),
      );
      // An idle time as long as the rule waits may be found on either side of it.
      expect(Math.abs(few!.sleeps - whole!.sleeps)).toBeLessThanOrEqual(1);
      expect(Math.abs(few!.paid / whole!.paid - 1)).toBeLessThan(0.01);
      expect(Math.abs(few!.asleepMs - whole!.asleepMs)).toBeLessThan((whole!.sleeps + 1) * 2 * minute);
    }
  });

  it("comes to an end, whatever was measured and set", () => {
    const random = seeded(3);
    const upTo = (most: number) => Math.round(random() ** 3 * most);
    const pauses = [0.05, 3, 30, 600, 10_080, "auto"] as const;
    for (let i = 0; i < 60; i++) {
      const odd: Known = {
        prices: { perHour: upTo(4_000_000), diskPerHour: upTo(50_000), upPerGb: upTo(50_000), downPerGb: upTo(50_000) },
        storedBytes: upTo(200e9),
        uploadBytes: upTo(200e9),
        uploadMs: upTo(2 * hour),
        bootMs: upTo(2 * hour),
        restoreMs: upTo(2 * hour),
      };
      const busyMs = minute + upTo(5 * hour);
      const idleMs = minute + upTo(20 * hour);
      const asSet = config({
        pause_after_idle_minutes: pauses[i % pauses.length]!,
        check_interval_seconds: 0.5 + upTo(299),
        grace_minutes: upTo(1_440),
        pause_mode: i % 4 === 0 ? "stop" : "destroy",
      });
      const peaks = peaksOf((at) => (at % (busyMs + idleMs) < busyMs ? 80 : null), now - 3 * dayMs - upTo(4 * dayMs));
      const found = replay(peaks, odd, { asIs: config(), asSet });
      if (!found) continue;
      for (const one of [found.asIs, found.asSet]) {
        expect(one.asleep).toHaveLength(one.sleeps);
        for (const { fromAt, toAt } of one.asleep) {
          expect(fromAt).toBeGreaterThanOrEqual(found.fromAt);
          expect(toAt).toBeGreaterThanOrEqual(fromAt);
          expect(toAt).toBeLessThanOrEqual(found.toAt);
        }
      }
    }
  });

  it("of a week that was in use every few minutes takes the newest part", () => {
    const found = play((at) => (Math.floor(at / (10 * minute)) % 2 === 0 ? 80 : 0), { grace_minutes: 4 })!;
    expect(found.toAt - found.fromAt).toBeGreaterThanOrEqual(dayMs);
    expect(found.toAt - found.fromAt).toBeLessThan(3 * dayMs);
    expect(found.asIs.sleeps).toBeGreaterThan(50);
  });
});

describe("the clock", () => {
  const daily = (timezone: string, start_: string, end: string) => ({
    wake_time: start_,
    sleep_time: end,
    timezone,
  });
  const from = Date.UTC(2026, 0, 1);
  const changes = (...of: [string, string, string]) => clockChangesIn(daily(...of), from, from + 365 * dayMs);

  it("is set within a window, or it is not", () => {
    expect(changes("Europe/Berlin", "22:00", "06:00")).toEqual([
      { date: "2026-03-29", shiftMinutes: 60 },
      { date: "2026-10-25", shiftMinutes: -60 },
    ]);
    expect(changes("Europe/Berlin", "09:00", "18:00")).toEqual([]);
    // In spring the window's end is skipped, and it ends at that very moment; in autumn it ends an hour after it.
    expect(changes("America/New_York", "23:00", "02:00")).toEqual([{ date: "2026-11-01", shiftMinutes: -60 }]);
    expect(changes("Australia/Lord_Howe", "01:00", "05:00").map((one) => one.shiftMinutes)).toEqual([-30, 30]);
  });

  it("is not set in every zone", () => {
    expect(changes("America/Sao_Paulo", "22:00", "06:00")).toEqual([]);
    expect(changes("UTC", "00:00", "23:59")).toEqual([]);
  });

  it("counts the windows of that day alone", () => {
    const windows = [{ days: ["mon" as const], start: "22:00", end: "06:00" }];
    expect(clockChangesIn({ ...daily("Europe/Berlin", "09:00", "18:00"), windows }, from, from + 365 * dayMs)).toEqual(
      [],
    );
    const weekend = [{ days: ["sat" as const], start: "22:00", end: "06:00" }];
    const found = clockChangesIn(
      { ...daily("Europe/Berlin", "09:00", "18:00"), windows: weekend },
      from,
      from + 365 * dayMs,
    );
    expect(found).toHaveLength(2);
  });
});
