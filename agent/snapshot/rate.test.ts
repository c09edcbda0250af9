import { expect, test } from "vitest";
import { Rate } from "./rate.ts";

test("says nothing before two seconds, then the rate of the last two minutes", () => {
  const rate = new Rate();
  rate.add(0, 0);
  rate.add(1000, 1_000_000);
  expect(rate.perSecond).toBeNull();
  expect(rate.msFor(5)).toBeNull();
  expect(rate.msFor(0)).toBe(0);
  for (let s = 2; s <= 100; s++) rate.add(s * 1000, s * 1_000_000);
  expect(rate.perSecond).toBe(1_000_000);
  expect(rate.msFor(2_000_000)).toBe(2000);
  for (let s = 101; s <= 400; s++) rate.add(s * 1000, 100_000_000 + (s - 100) * 10_000);
  expect(rate.perSecond).toBeCloseTo(10_000, -2);
});

test("a rate of zero has no end in sight", () => {
  const rate = new Rate();
  for (let s = 0; s < 300; s++) rate.add(s * 1000, 7);
  expect(rate.perSecond).toBe(0);
  expect(rate.msFor(1)).toBeNull();
});
