import { describe, expect, it } from "vitest";
import { monthUse, type PerBeat, usdOf } from "./price.ts";

const perBeat: PerBeat = {
  requests: 1,
  cpuMs: 3,
  objectRequests: 1.125,
  objectMs: 5,
  rowsWritten: 0.2,
  rowsRead: 10,
  d1RowsWritten: 0,
  d1RowsRead: 0,
};
const usd = (instances: number) => usdOf(monthUse(perBeat, instances, 30));

describe("the cost of a month", () => {
  it("is the base fee within the allowances", () => {
    expect(monthUse(perBeat, 1, 30)).toMatchObject({ requests: 86_400, rowsWritten: 17_280 });
    expect(usd(1).total).toBe(5);
  });

  it("is what is beyond them, by list price", () => {
    const { by, total } = usd(1_000);
    expect(by.requests).toBeCloseTo((86.4 - 10) * 0.3, 6);
    expect(by.cpuMs).toBeCloseTo((259.2 - 30) * 0.02, 6);
    expect(by.objectRequests).toBeCloseTo((97.2 - 1) * 0.15, 6);
    expect(by.objectGbSeconds).toBe(0);
    expect(by.rowsWritten).toBe(0);
    expect(total).toBeCloseTo(5 + by.requests + by.cpuMs + by.objectRequests, 6);
    expect(usd(100_000).by.rowsWritten).toBeCloseTo(1_728 - 50, 6);
    expect(usd(100_000).by.objectGbSeconds).toBeCloseTo((8_640 * 0.005 * 0.128 - 0.4) * 12.5, 6);
  });
});
