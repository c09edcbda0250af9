import { describe, expect, test } from "vitest";
import { Failure } from "./failure.ts";
import { readRent } from "./rent.ts";

describe("the options of a rental", () => {
  test("nothing asked for is nothing sent", () => {
    expect(readRent({})).toBeUndefined();
  });

  test("each is one field of the contract", () => {
    const flags = {
      reach: "elsewhere",
      "min-reliability": "0.97",
      "min-cuda": "12.8",
      "max-traffic": "US$ 0.005",
      unverified: "on",
      parallel: "3",
      "second-after": "2m",
    };
    expect(readRent(flags)).toEqual({
      reach: "elsewhere",
      min_reliability: 0.97,
      min_cuda: 12.8,
      max_traffic_micro_usd_per_gb: 5_000,
      verified_only: false,
      parallel: 3,
      second_after_seconds: 120,
    });
    expect(readRent({ "second-after": "0", unverified: "off" })).toEqual({
      second_after_seconds: 0,
      verified_only: true,
    });
  });

  test.each([
    [{ reach: "moon" }],
    [{ parallel: "4" }],
    [{ parallel: "two" }],
    [{ "min-reliability": "97" }],
    [{ "max-traffic": "-1" }],
    [{ unverified: "maybe" }],
    [{ "second-after": "soon" }],
  ])("%o is refused with a usage error", (flags) => {
    expect(() => readRent(flags)).toThrow(Failure);
  });
});
