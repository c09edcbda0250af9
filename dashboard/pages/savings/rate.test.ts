import { expect, test } from "vitest";
import { parseRate } from "./rate.ts";

test.each([
  ["5,42", 5.42],
  ["5.42", 5.42],
  [" R$ 5,42 ", 5.42],
  ["6", 6],
  ["0,000001", 0.000001],
])("%s is a rate", (text, value) => {
  expect(parseRate(text)).toEqual({ kind: "rate", value });
});

test.each(["abc", "0", "0,0", "-5", "5,4,2", "5.4.2", "1e3", "5 42", "Infinity", "1234", "5,", ",5"])(
  "%s is none",
  (text) => {
    expect(parseRate(text)).toEqual({ kind: "wrong" });
  },
);

test("nothing is no rate, and not wrong", () => {
  expect(parseRate("  ")).toEqual({ kind: "none" });
});
