import { describe, expect, it } from "vitest";
import type { SeriesAnswer } from "../core/protocol/live.ts";
import { showOffers } from "./offers-words.ts";
import { showSeries, sparkline } from "./series-words.ts";
import { offersAnswer, seriesAnswer } from "./testing/series.ts";

const now = Date.parse("2026-11-28T12:00:00Z");

describe("a line of blocks", () => {
  it("rises with the value, and is blank where nothing was measured", () => {
    expect(sparkline([0, 50, 100, null, 0], 100)).toBe("▁▅█ ▁");
    expect(sparkline([null, null], 100)).toBe("  ");
    expect(sparkline([3, 7], 0)).toBe("▁▁");
    expect(sparkline([250], 100)).toBe("█");
  });

  it("shows the highest of what shares a block, and fits a terminal", () => {
    const values = Array.from({ length: 360 }, (_, i) => (i === 180 ? 100 : i < 90 ? null : 0));
    const line = sparkline(values, 100);
    expect([...line]).toHaveLength(72);
    expect(line.slice(0, 18)).toBe(" ".repeat(18));
    expect([...line][36]).toBe("█");
    expect([...line].filter((one) => one === "█")).toHaveLength(1);
  });
});

describe("a series", () => {
  it("names each GPU, its most and its mean, the memory, the states and the turning points", () => {
    const text = showSeries(seriesAnswer(), now);
    expect(text).toContain("GPU 0 RTX 4090  [");
    expect(text).toContain("most 97 %, mean 40 %");
    expect(text).toContain("GPU 1");
    expect(text).toMatch(/Memory .*most 12.0 GB of 24.6 GB/);
    expect(text).toMatch(/States +running 4 h, hibernated 2 h/);
    expect(text).toContain("busy from 5 % on");
    expect(text).toContain("Turning points");
    expect(text.split("\n").every((line) => [...line].length <= 130)).toBe(true);
  });

  it("says that there is nothing", () => {
    const nothing: SeriesAnswer = {
      ...seriesAnswer(),
      gpus: [],
      memory: { used_mb: [null], total_mb: null },
      phases: [],
      marks: [],
    };
    expect(showSeries(nothing, now)).toContain("nothing was measured");
    expect(showSeries(nothing, now)).not.toContain("Memory");
    expect(showSeries(nothing, now)).not.toContain("Turning points");
  });

  it("shows the newest turning points", () => {
    const marks = Array.from({ length: 40 }, (_, i) => ({
      at: new Date(now - (40 - i) * 60_000).toISOString(),
      event_type: i === 39 ? "hibernated" : "some_new_word",
      actor: "rule",
    }));
    const text = showSeries({ ...seriesAnswer(), marks }, now);
    expect(text).toContain("and 28 before them");
    expect(text).toContain("some new word");
  });
});

it("offers say what is unknown, what is usual, and what is over the price", () => {
  const lines = showOffers(offersAnswer(), now).split("\n");
  expect(lines[0]).toMatch(/^GPU +MEMORY +REGION +PRICE/);
  expect(lines[1]).toMatch(/1x RTX 4090 +24.6 GB +SE +US\$ 0.30\/h +US\$ 0.0030 +US\$ 0.0030 +99.1 % +as usual$/);
  expect(lines[2]).toMatch(/2x RTX A6000 .*unknown +unknown +unknown +over its price, not verified$/);
  expect(showOffers({ offers: [], at: new Date(now).toISOString() }, now)).toMatch(/^Nothing fits/);
});
