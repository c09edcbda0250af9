import { describe, expect, it } from "vitest";
import type { SeriesAnswer } from "../../core/protocol/live.ts";
import { createFormats, zoneWords } from "../i18n/format.ts";
import { spansOf, timesOf } from "../pages/instance/series.ts";
import { shareOf, wakeTimes } from "./progress.ts";
import { addReading, rateOf } from "./rate.ts";
import { readDollars } from "./wake/money-field.tsx";

const plain = (text: string) => text.replaceAll("\u00a0", " ");

describe("formats", () => {
  const en = createFormats("en", "America/Sao_Paulo");
  const pt = createFormats("pt-BR", "America/Sao_Paulo");

  it("money is told as it is: fine below ten cents, never as nothing with many digits", () => {
    const said = (microUsd: number) => plain(en.money(microUsd, true));
    expect([0, 12, 499, 500, 6_000, 99_499, 360_000, 1_234_500_000, -160_880_000].map(said)).toEqual([
      "US$ 0.00",
      "US$ 0.00",
      "US$ 0.00",
      "US$ 0.001",
      "US$ 0.006",
      "US$ 0.099",
      "US$ 0.36",
      "US$ 1,234.50",
      "−US$ 160.88",
    ]);
    expect(plain(pt.money(1_234_500_000))).toBe("US$ 1.234,50");
    expect(plain(en.money(-3))).toBe("US$ 0.00");
  });

  it("amounts, durations and countdowns", () => {
    expect([0, 999, 1_000, 999_499, 52_400_000_000].map((bytes) => plain(en.bytes(bytes)))).toEqual([
      "0 B",
      "999 B",
      "1.0 KB",
      "999 KB",
      "52.4 GB",
    ]);
    expect([0, 46_000, 81_000, 408_000, 5_460_000, 327_600_000].map((ms) => plain(en.duration(ms)))).toEqual([
      "0 s",
      "46 s",
      "1 min 21 s",
      "6 min 48 s",
      "1 h 31 min",
      "3 d 19 h",
    ]);
    expect([134_000, 3_734_000, -5].map((ms) => en.countdown(ms))).toEqual(["2:14", "1:02:14", "0:00"]);
  });

  it("moments are of the reader's zone; another day says so", () => {
    const now = Date.UTC(2026, 10, 24, 17, 32);
    expect(en.moment(now, now)).toBe("14:32");
    expect(en.moment(now - 86_400_000, now)).toBe("Mon 14:32");
    expect(en.moment("2026-11-03T12:00:00.000Z", now)).toBe("Nov 3");
    expect(zoneWords("America/Sao_Paulo", "en", now)).toBe("São Paulo (UTC−3)");
  });
});

describe("a rate that does not jump", () => {
  it("is of two minutes, says nothing at first, and begins anew where the count does", () => {
    const readings: { at: number; bytes: number }[] = [];
    addReading(readings, { at: 0, bytes: 0 });
    expect(rateOf(readings)).toBeNull();
    for (let s = 1; s <= 300; s++) addReading(readings, { at: s * 1000, bytes: s * 1_000_000 });
    expect(rateOf(readings)).toBeCloseTo(1_000_000, 0);
    expect(readings.length).toBeLessThan(130);
    addReading(readings, { at: 301_000, bytes: 5 });
    expect(rateOf(readings)).toBeNull();
  });
});

describe("how far it is", () => {
  const progress = {
    phase: "send",
    done_bytes: 30,
    plain_bytes: 60,
    stored_bytes: 0,
    sent_bytes: 0,
    parts_done: 0,
    parts_total: 0,
  };

  it("by bytes, else by parts, else not known", () => {
    expect(shareOf(progress)).toBe(0.5);
    expect(shareOf({ ...progress, plain_bytes: 0, parts_done: 1, parts_total: 4 })).toBe(0.25);
    expect(shareOf({ ...progress, plain_bytes: 0 })).toBeNull();
  });

  it("a wake by what its earlier ones took: P50 is left, P95 is the latest; without them nothing is said", () => {
    const since = Date.UTC(2026, 10, 24, 16, 5);
    const phase = { p50_seconds: 100, p95_seconds: 120 };
    const wake = {
      ...{
        phase: "booting" as const,
        phase_since: new Date(since).toISOString(),
        since: new Date(since).toISOString(),
        machines_asked: 1,
      },
      usual: {
        of: "instance" as const,
        wakes: 5,
        renting: phase,
        booting: phase,
        restoring: phase,
        total: { p50_seconds: 408, p95_seconds: 492 },
      },
    };
    const at = wakeTimes(wake, since + 252_000);
    expect(at).toMatchObject({ inMs: 252_000, usual: { leftMs: 156_000, latestAt: since + 492_000, isLate: false } });
    expect(wakeTimes(wake, since + 500_000).usual).toMatchObject({ leftMs: 0, isLate: true });
    expect(wakeTimes({ ...wake, usual: null }, since + 1_000)).toEqual({ inMs: 1_000, usual: null });
  });
});

describe("series", () => {
  const at = (minutes: number) => new Date(Date.UTC(2026, 10, 24, 10, minutes)).toISOString();
  const series: SeriesAnswer = {
    from: at(0),
    to: at(10),
    step_seconds: 60,
    gpus: [
      { index: 0, name: null, max: new Array(10).fill(null), mean: new Array(10).fill(null) },
      { index: 1, name: null, max: new Array(10).fill(7), mean: new Array(10).fill(7) },
    ],
    memory: { used_mb: new Array(10).fill(null), total_mb: null },
    phases: [
      { at: new Date(Date.UTC(2026, 10, 24, 9)).toISOString(), status: "running" },
      { at: at(4), status: "idle" },
      { at: at(20), status: "hibernated" },
    ],
    marks: [],
    threshold: 5,
  };

  it("a point stands in the middle of its step; states are cut to what is shown", () => {
    const times = timesOf(series);
    expect(times).toHaveLength(10);
    expect(times[0]).toBe(Date.parse(at(0)) / 1000 + 30);
    expect(spansOf(series)).toEqual([
      { from: Date.parse(at(0)) / 1000, to: Date.parse(at(4)) / 1000, status: "running" },
      { from: Date.parse(at(4)) / 1000, to: Date.parse(at(10)) / 1000, status: "idle" },
    ]);
  });
});

describe("an amount that is typed", () => {
  it("has a point or a comma, and may name its currency", () => {
    const ways = ["0.40", "0,40", " 0.4 ", "$0.40", "US$ 0,40", "us$0.40", "0,40 $", "0.40 USD", "US$\u00a00,40"];
    expect(ways.map(readDollars)).toEqual(ways.map(() => 400_000));
    expect(readDollars("12")).toBe(12_000_000);
  });

  it("is none where it is something else, or nothing", () => {
    const others = ["", "US$", "0", "-1", "forty", "0.40 or so", "R$ 0,40", "1.2.3", "1e3", "0.40 EUR"];
    expect(others.map(readDollars)).toEqual(others.map(() => null));
  });
});
