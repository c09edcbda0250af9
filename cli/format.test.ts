import { describe, expect, test } from "vitest";
import {
  cleanDeep,
  formatAge,
  formatBytes,
  formatCountdown,
  formatDuration,
  formatFacts,
  formatGpu,
  formatMoney,
  formatRate,
  formatTable,
  formatTime,
} from "./format.ts";

test.each([
  [0, "US$ 0.00"],
  [420_000, "US$ 0.42"],
  [3_100, "US$ 0.0031"],
  [67_200, "US$ 0.07"],
  [1_216_380_000, "US$ 1,216.38"],
  [null, "-"],
])("money %s", (micro, text) => expect(formatMoney(micro)).toBe(text));

test("a rate", () => expect([formatRate(420_000), formatRate(null)]).toEqual(["US$ 0.42/h", "-"]));

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.0 kB"],
  [999_950, "1.0 MB"],
  [7_400_000_000, "7.4 GB"],
  [123_000_000_000, "123 GB"],
])("%i bytes", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [-5, "0 s"],
  [59_999, "59 s"],
  [360_000, "6 min"],
  [12_000_000, "3 h 20 min"],
  [187_200_000, "2 d 4 h"],
])("%i ms", (ms, text) => expect(formatDuration(ms)).toBe(text));

test("countdowns", () =>
  expect([formatCountdown(134_000), formatCountdown(3_729_000), formatCountdown(-1)]).toEqual([
    "2:14",
    "1:02:09",
    "0:00",
  ]));

describe("times", () => {
  const now = Date.parse("2026-11-24T17:40:00Z");

  test("stand in the local zone, with it", () => {
    const zone = "America/Sao_Paulo";
    expect(formatTime("2026-11-24T17:34:05Z", now, { zone })).toBe("24 Nov 14:34 GMT-3");
    expect(formatTime("2026-11-24T17:34:05Z", now, { zone, seconds: true })).toBe("24 Nov 14:34:05 GMT-3");
    expect(formatTime("2027-01-01T01:00:00Z", now, { zone })).toBe("31 Dec 22:00 GMT-3");
    expect(formatTime("2025-09-01T00:00:00Z", now, { zone: "UTC" })).toBe("1 Sep 2025 00:00 UTC");
  });

  test("ages", () => {
    expect(formatAge("2026-11-24T17:38:00Z", now)).toBe("2 min ago");
    expect(formatAge("2026-11-24T17:39:59.500Z", now)).toBe("now");
    expect(formatAge("2026-11-24T18:40:00Z", now)).toBe("in 1 h");
    expect(formatAge(null, now)).toBe("never");
  });
});

test("a table is aligned, colour takes no room, nothing trails", () => {
  const text = formatTable(
    ["ID", "COST", "X"],
    [
      ["\u001b[32maa\u001b[39m", "1", ""],
      ["b", "22", "c"],
    ],
    ["COST"],
  );
  expect(text).toBe("ID  COST  X\n\u001b[32maa\u001b[39m     1\nb     22  c");
});

test("facts leave out what is not there and indent what is long", () => {
  expect(
    formatFacts([
      ["A", "1\n2"],
      ["Long", null],
      ["Bcd", "3"],
    ]),
  ).toBe("A    1\n     2\nBcd  3");
});

test("a GPU", () => {
  expect([formatGpu("RTX 4090", 2), formatGpu(null, 1), formatGpu(null, 4)]).toEqual([
    "2x RTX 4090",
    "any GPU",
    "4x any GPU",
  ]);
});

test("text from outside cannot steer the terminal", () => {
  const bad = { name: "\u001b[2Jx\u0007\r\u202ey", list: ["\u009b1mz"], n: 1, none: null };
  const clean = cleanDeep(bad);
  expect(clean).toEqual({ name: "x y", list: ["z"], n: 1, none: null });
});
