import { describe, expect, it } from "vitest";
import { buildCatalog } from "./catalog.ts";
import { checkFilters, type Filters, matchesFilters, orderRows, readOrder } from "./query.ts";

const row = { num_gpus: 2, gpu_name: "RTX 4090", dph_total: 0.4, static_ip: false, label: null };
const match = (filters: Filters) => matchesFilters(row, filters, (one, field) => one[field]);

describe("filters", () => {
  it("take text for numbers, as the official client sends it", () => {
    expect(match({ num_gpus: { eq: "2" }, dph_total: { lte: "0.5" } })).toBe(true);
    expect(match({ num_gpus: { eq: "1" } })).toBe(false);
  });

  it("know every operator", () => {
    expect(match({ num_gpus: { gt: 1, gte: 2, lt: 3, lte: 2, neq: 5, in: ["2", 4], notin: [1] } })).toBe(true);
    for (const wrong of [{ gt: 2 }, { gte: 3 }, { lt: 2 }, { lte: 1 }, { neq: 2 }, { in: [1] }, { notin: [2] }]) {
      expect(match({ num_gpus: wrong })).toBe(false);
    }
  });

  it("find a missing label by null, and nothing by an unknown field", () => {
    expect(match({ label: { in: [null] } })).toBe(true);
    expect(match({ static_ip: { eq: "False" } })).toBe(true);
    expect(match({ nothing: { gte: 1 } })).toBe(false);
  });

  it("are refused when they make no sense", () => {
    expect(checkFilters({ a: { eq: 1 } })).toBeNull();
    expect(checkFilters({ a: { like: 1 } })).toContain("like");
    expect(checkFilters({ a: 1 })).toContain("a");
  });
});

describe("order", () => {
  it("sorts by pairs, and takes null for the greatest value", () => {
    const rows = [{ a: 2 }, { a: null }, { a: 1 }];
    expect(orderRows(rows, [["a", "asc"]])).toEqual([{ a: 1 }, { a: 2 }, { a: null }]);
    expect(orderRows(rows, [["a", "desc"]])[0]).toEqual({ a: null });
  });

  it("reads pairs, one bare pair and the list form of v1", () => {
    expect(readOrder([["score", "desc"]], [])).toEqual([["score", "desc"]]);
    expect(readOrder(["score", "desc"], [])).toEqual([["score", "desc"]]);
    expect(readOrder([{ col: "id", dir: "asc" }], [])).toEqual([["id", "asc"]]);
    expect(readOrder(null, [["x", "asc"]])).toEqual([["x", "asc"]]);
  });
});

describe("the market", () => {
  it("is the same at every start, larger than an answer, and not uniform", () => {
    const offers = buildCatalog();
    expect(offers).toEqual(buildCatalog());
    expect(offers.length).toBeGreaterThan(64);
    expect(new Set(offers.map(({ id }) => id)).size).toBe(offers.length);
    expect(new Set(offers.map(({ country }) => country)).size).toBeGreaterThan(8);
    expect(offers.some(({ gpuCount }) => gpuCount === 8)).toBe(true);
    expect(offers.some(({ verification }) => verification === "unverified")).toBe(true);
  });
});
