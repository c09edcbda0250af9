import { describe, expect, test } from "vitest";
import { readTrace } from "./read-trace.ts";

function rows(text: string) {
  const read = readTrace(text);
  if (!read.ok) throw new Error(`line ${read.line}: ${read.message}`);
  return [...read.trace.rows.map((row) => [row.atMs, row.util]), read.trace.endMs];
}

describe("a trace is read", () => {
  test.each([
    ["plain", "0,90\n60,0\n120,0\n"],
    ["with a header", "t,util\n0,90\n60,0\n120,0"],
    [
      "with everything that programs add",
      "\ufeff# made by hand\r\n\r\n T , Util \r\n0, 90\r\n# lunch\r\n60,0.0\r\n120,0\r\n\r\n",
    ],
    ["quoted", '"t","util"\n"0","90"\n60,0\n120,0'],
    ["with other columns and another order", "host,util,t\na,90,0\na,0,60\na,0,120"],
    ["from a later start", "1000,90\n1060,0\n1120,0"],
  ])("%s", (_, text) => {
    expect(rows(text)).toEqual([[0, 90], [60_000, 0], 120_000]);
  });

  test("fractions of seconds and of percent", () => {
    expect(rows("0.5,4.99\n1e1,.5\n11,0")).toEqual([[0, 4.99], [9_500, 0.5], 10_500]);
  });
});

describe("what cannot be read is told with its line", () => {
  test.each([
    ["", 0, /no row/],
    ["t,util\n", 1, /no row/],
    ["t,util\n0,5\n", 2, /one row.*second one/],
    ["0,90\n60,0\n30,0\n", 3, /t is 30, not after the row before it \(60\)/],
    ["0,90\n0,0\n", 2, /not after/],
    ["0,90\n\n# c\n60,much\n", 4, /util must be a number of percent, not "much"/],
    ["0,90\n60,\n", 2, /util must be a number/],
    ["0,90\nx,0\n", 2, /t must be a number of seconds, not "x"/],
    ["0,90\n60,101\n", 2, /0 to 100/],
    ["0,90\n60,-1\n", 2, /0 to 100/],
    ["0,90\n60,NaN\n", 2, /number/],
    ["-5,90\n60,0\n", 1, /t is -5/],
    ["0,90\n60\n", 2, /2 columns are expected, "60" has 1/],
    ["0,90,7\n", 1, /2 columns are expected/],
    ["time,load\n0,90\n", 1, /does not name the columns t and util/],
    ["0;90\n60;0\n", 1, /2 columns are expected/],
    ["0,90\n1764000000000,0\n", 2, /milliseconds/],
    ["0,90\n60,\u001b[31mred\n", 2, /"\?\[31mred"/],
  ])("%j", (text, line, words) => {
    const read = readTrace(text);
    expect(read).toMatchObject({ ok: false, line });
    if (!read.ok) expect(read.message).toMatch(words);
  });
});
