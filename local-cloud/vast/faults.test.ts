import { describe, expect, it } from "vitest";
import { createFaults, FAULTS } from "./faults.ts";

describe("faults", () => {
  it("strike so often as asked, then are spent", () => {
    const faults = createFaults();
    expect(faults.strike("offer_taken")).toBeNull();
    faults.arm({ name: "offer_taken", times: 4 });
    const variants = [1, 2, 3, 4, 5].map(() => faults.strike("offer_taken")?.variant ?? null);
    expect(variants).toEqual(["400", "404", "410", "400", null]);
  });

  it("strike until cleared without a number", () => {
    const faults = createFaults();
    faults.arm({ name: "boot_never" });
    expect([1, 2, 3].every(() => faults.strike("boot_never"))).toBe(true);
    faults.clear("boot_gpu_error");
    expect(faults.strike("boot_never")).not.toBeNull();
    faults.clear();
    expect(faults.strike("boot_never")).toBeNull();
  });

  it("fall the same way for the same seed", () => {
    const roll = (seed: number) => {
      const faults = createFaults();
      faults.arm({ name: "html_502", probability: 0.5, seed });
      return Array.from({ length: 64 }, () => (faults.strike("html_502", { on: "list" }) ? 1 : 0)).join("");
    };
    expect(roll(7)).toBe(roll(7));
    expect(roll(7)).not.toBe(roll(8));
    expect(roll(7)).toMatch(/0/);
    expect(roll(7)).toMatch(/1/);
  });

  it("strike only what they name", () => {
    const faults = createFaults();
    faults.arm({ name: "html_502", on: "create", label: "soneca:a" });
    expect(faults.strike("html_502", { on: "list", label: "soneca:a:1" })).toBeNull();
    expect(faults.strike("html_502", { on: "create", label: "other" })).toBeNull();
    expect(faults.strike("html_502", { on: "create", label: "soneca:a:1" })).not.toBeNull();
  });

  it("are refused when unknown, with the names there are", () => {
    const faults = createFaults();
    const answer = faults.arm({ name: "nope" });
    expect(answer.ok).toBe(false);
    for (const name of Object.keys(FAULTS)) expect(answer.ok ? "" : answer.message).toContain(name);
    for (const odd of [
      null,
      [],
      { name: "slow", ms: -1 },
      { name: "slow", probability: 2 },
      { name: "slow", colour: 1 },
      { name: "list_fails", variant: "x" },
    ]) {
      expect(faults.arm(odd).ok).toBe(false);
    }
    expect(faults.list()).toEqual([]);
  });
});
