import { describe, expect, test } from "vitest";
import type { Bar } from "./bars.ts";
import { decimalsOf, draw, labelEvery, niceScale } from "./scale.ts";

const bar = (machine: number, storage: number, saved: number): Bar => ({
  date: "2026-11-01",
  from: "2026-11-01T00:00:00Z",
  machine,
  storage,
  saved,
  alwaysOn: machine + storage + saved,
  hoursAwake: 0,
  hoursAsleep: 0,
});
const box = { width: 340, height: 220, left: 40, top: 20, bottom: 20 };

describe("scale", () => {
  test.each([
    [103, [0, 30, 60, 90, 120]],
    [100, [0, 25, 50, 75, 100]],
    [80, [0, 20, 40, 60, 80]],
    [0.74, [0, 0.25, 0.5, 0.75]],
  ])("%d has round ticks, the last above it", (most, ticks) => {
    expect(niceScale(most).ticks).toEqual(ticks);
  });

  test("every amount has one, from a micro-dollar to a million", () => {
    for (let most = 0.000001; most < 2_000_000; most *= 1.07) {
      const { top, ticks } = niceScale(most);
      expect(ticks.length).toBeGreaterThanOrEqual(4);
      expect(ticks.length).toBeLessThanOrEqual(6);
      expect(top).toBeGreaterThanOrEqual(most * (1 - 1e-9));
      expect(top).toBeLessThanOrEqual(most * 1.51);
    }
  });

  test("nothing has a scale too", () => {
    expect(niceScale(0)).toEqual({ top: 1, ticks: [0, 1], step: 1 });
    expect(niceScale(Number.NaN).top).toBe(1);
  });

  test("ticks have as many decimals as their step", () => {
    expect(decimalsOf(20)).toBe(0);
    expect(decimalsOf(0.25)).toBe(2);
    expect(decimalsOf(0.00005)).toBe(5);
  });

  test("labels never touch", () => {
    expect(labelEvery(40, 26)).toBe(1);
    expect(labelEvery(10, 26)).toBe(3);
    expect(labelEvery(3, 58)).toBe(30);
    expect(labelEvery(1, 58)).toBe(58);
  });
});

describe("bars", () => {
  const scale = niceScale(10);

  test("stand on each other up to the line of 24/7", () => {
    const { shapes, line } = draw([bar(5_000_000, 2_500_000, 2_500_000)], 30, scale, box);
    expect(shapes[0]).toEqual({
      x: 40.75,
      width: 8.5,
      lamp: { y: 110, height: 90 },
      store: { y: 65, height: 45 },
      hatch: { y: 20, height: 45 },
    });
    expect(line).toBe("M40 20H50");
  });

  test("storage that costs next to nothing is still seen", () => {
    const [shape] = draw([bar(5_000_000, 10, 1_000_000)], 30, scale, box).shapes;
    expect(shape!.store!.height).toBe(2);
    expect(shape!.hatch!.y + shape!.hatch!.height).toBe(shape!.store!.y);
  });

  test("a day that lost stands above the line, without a hatch", () => {
    const { shapes, line } = draw([bar(6_000_000, 0, -2_000_000)], 1, scale, box);
    expect(shapes[0]!.hatch).toBeNull();
    expect(shapes[0]!.lamp.y).toBe(92);
    expect(line).toBe("M40 128H340");
  });

  test("a year fits into a phone", () => {
    const { shapes } = draw(
      Array.from({ length: 90 }, () => bar(1, 1, 1)),
      90,
      scale,
      box,
    );
    const last = shapes.at(-1)!;
    expect(last.x + last.width).toBeLessThanOrEqual(box.width);
    expect(last.width).toBeGreaterThan(1);
  });
});
