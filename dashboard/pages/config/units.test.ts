import { describe, expect, test } from "vitest";
import { rateUnitOf, readClock, readNumber, readPaths, readPorts, scaled, writeNumber } from "./units.ts";

describe("numbers", () => {
  test.each([
    ["0.5", "en", 0.5],
    ["0,5", "pt-BR", 0.5],
    ["0,5", "en", 0.5],
    ["0.5", "pt-BR", 0.5],
    ["1,000", "en", 1000],
    ["1.000", "pt-BR", 1000],
    ["1.234.567,5", "pt-BR", 1_234_567.5],
    ["0.500", "pt-BR", 0.5],
    [" 3 ", "en", 3],
    [".5", "en", 0.5],
    ["−2", "en", -2],
    ["", "en", null],
    ["3 min", "en", null],
    ["1.2.3", "en", null],
    ["1e3", "en", null],
  ] as const)("%s in %s is %s", (text, language, value) => {
    expect(readNumber(text, language)).toBe(value);
  });

  test("are written as they are read", () => {
    for (const value of [0.05, 3, 10_080, 1_234.5])
      for (const language of ["en", "pt-BR"] as const)
        expect(readNumber(writeNumber(value, language), language)).toBe(value);
    expect(writeNumber(0.1 + 0.2, "pt-BR")).toBe("0,3");
  });

  test("are kept without the dust of binary fractions", () => {
    expect(scaled(0.1, 3)).toBe(0.3);
    expect(scaled(5, 60)).toBe(300);
    expect(scaled(1.1, 1_000_000)).toBe(1_100_000);
  });

  test("a rate is shown in the larger unit once it is not below one", () => {
    expect(rateUnitOf(999_999)).toBe(0);
    expect(rateUnitOf(1_000_000)).toBe(1);
  });
});

describe("times of day", () => {
  test.each([
    ["9", "09:00"],
    ["930", "09:30"],
    ["0930", "09:30"],
    ["9:30", "09:30"],
    ["9h30", "09:30"],
    ["9h", "09:00"],
    ["23:59", "23:59"],
    ["24:00", null],
    ["9:60", null],
    ["noon", null],
    ["", null],
  ])("%s is %s", (text, clock) => {
    expect(readClock(text)).toBe(clock);
  });
});

describe("lists", () => {
  test("ports, once each", () => {
    expect(readPorts("8888, 6006 8888")).toEqual([8888, 6006]);
    expect(readPorts("")).toEqual([]);
    expect(readPorts("0")).toBeNull();
    expect(readPorts("65536")).toBeNull();
    expect(readPorts("http")).toBeNull();
  });

  test("paths, one a line", () => {
    expect(readPaths("/v1/*\n\n  *\n")).toEqual(["/v1/*", "*"]);
    expect(readPaths("v1")).toBeNull();
  });
});
