import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFaults } from "./fault-rules.ts";
import { FAULTS } from "./faults.ts";

const on = (operation: string, more: object = {}) => ({ on: operation, ...more });

describe("a rule", () => {
  it("strikes so often as asked, then is spent", () => {
    const faults = createFaults();
    faults.arm({ name: "offer_taken", times: 5 });
    const variants = Array.from({ length: 6 }, () => faults.strike("offer_taken", on("create"))?.variant ?? null);
    expect(variants).toEqual(["400", "404", "410", "403", "400", null]);
  });

  it("lets so many chances pass as asked", () => {
    const faults = createFaults();
    faults.arm({ name: "html_502", after: 2, times: 1, on: "list" });
    expect(faults.strike("html_502", on("create"))).toBeNull();
    expect([1, 2, 3, 4].map(() => faults.strike("html_502", on("list")) !== null)).toEqual([false, false, true, false]);
    expect(faults.list()).toMatchObject([{ rule: 1, chances: 3, struck: 1 }]);
  });

  it("strikes until cleared without a number, and is cleared by name or by its own number", () => {
    const faults = createFaults();
    faults.arm({ name: "boot_never" });
    const second = faults.arm({ name: "boot_never", label: "x" });
    faults.clear("boot_gpu_error");
    expect([1, 2, 3].every(() => faults.strike("boot_never", on("boot")))).toBe(true);
    faults.clear(String(second.ok && second.rule));
    expect(faults.list().map(({ rule }) => rule)).toEqual([1]);
    faults.clear("boot_never");
    expect(faults.strike("boot_never", on("boot"))).toBeNull();
  });

  it("falls the same way for the same seed, and not in step with its neighbours", () => {
    const roll = (seed: number) => {
      const faults = createFaults();
      faults.replace(
        [
          { name: "html_502", probability: 0.5 },
          { name: "error_5xx", probability: 0.5 },
        ],
        seed,
      );
      const one = (name: "html_502" | "error_5xx") =>
        Array.from({ length: 64 }, () => (faults.strike(name, on("list")) ? 1 : 0)).join("");
      return [one("html_502"), one("error_5xx")];
    };
    expect(roll(7)).toEqual(roll(7));
    expect(roll(7)[0]).not.toBe(roll(8)[0]);
    expect(roll(7)[0]).not.toBe(roll(7)[1]);
    expect(roll(7)[0]).toMatch(/0.*1|1.*0/);
  });

  it("strikes only what it names", () => {
    const faults = createFaults();
    faults.arm({ name: "html_502", on: "create", label: "soneca:a" });
    expect(faults.strike("html_502", on("list", { label: "soneca:a:1" }))).toBeNull();
    expect(faults.strike("html_502", on("create", { label: "other" }))).toBeNull();
    expect(faults.strike("html_502", on("create", { label: "soneca:a:1" }))).not.toBeNull();
    faults.replace([{ name: "flap", id: 7 }]);
    expect(faults.strike("flap", on("list", { id: 8 }))).toBeNull();
    expect(faults.strike("flap", on("list", { id: 7 }))).not.toBeNull();
  });

  it("is refused when it is wrong, with what there is", () => {
    const faults = createFaults();
    const answer = faults.arm({ name: "nope" });
    for (const name of Object.keys(FAULTS)) expect(answer.ok ? "" : answer.message).toContain(name);
    for (const [odd, words] of [
      [null, "JSON object"],
      [[], "JSON object"],
      [{ name: "slow", ms: -1 }, "ms"],
      [{ name: "slow", probability: 2 }, "probability"],
      [{ name: "slow", colour: 1 }, "colour"],
      [{ name: "list_fails", variant: "x" }, "bad_json"],
      [{ name: "list_fails", on: "create" }, "it can on list"],
      [{ name: "slow", on: "nowhere" }, "it can on search"],
      [{ name: "html_502", ms: 3 }, "takes no ms"],
      [{ name: "slow", amount: 3 }, "takes no amount"],
      [{ name: "list_pages", amount: 1.5 }, "amount"],
    ] as const) {
      expect(faults.arm(odd)).toMatchObject({ ok: false, message: expect.stringContaining(words) });
    }
    expect(faults.list()).toEqual([]);
  });

  it("comes in a list as a whole or not at all", () => {
    const faults = createFaults();
    expect(faults.replace([{ name: "slow" }], 3)).toEqual({ ok: true });
    expect(faults.replace([{ name: "flap" }, { name: "nope" }])).toMatchObject({
      ok: false,
      message: expect.stringContaining("rule 2"),
    });
    expect(faults.replace("all")).toMatchObject({ ok: false });
    expect(faults.replace([], -1)).toMatchObject({ ok: false, message: expect.stringContaining("seed") });
    expect(faults.list()).toMatchObject([{ name: "slow" }]);
  });
});

it("counts say what struck, by operation, and outlive the rules", () => {
  const faults = createFaults();
  faults.arm({ name: "html_502", times: 3 });
  for (const operation of ["list", "list", "create", "create"]) faults.strike("html_502", on(operation));
  faults.clear();
  expect(faults.counts()).toEqual({ html_502: { struck: 3, on: { list: 2, create: 1 } } });
  faults.clearCounts();
  expect(faults.counts()).toEqual({});
});

describe("rules on disk", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "soneca-rules-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("go on where they were after a death: what is spent, the dice, the counts", () => {
    const file = join(folder, "faults.json");
    const given = JSON.stringify({
      seed: 5,
      rules: [
        { name: "html_502", probability: 0.5 },
        { name: "flap", times: 1 },
      ],
    });
    const play = (many: number, die: number) => {
      let faults = createFaults({ file: join(folder, `${die}.json`), given });
      return Array.from({ length: many }, (_, n) => {
        if (n === die) faults = createFaults({ file: join(folder, `${die}.json`), given });
        return faults.strike("html_502", on("list")) ? 1 : 0;
      }).join("");
    };
    expect(play(40, 17)).toBe(play(40, 1000));
    createFaults({ file, given }).strike("flap", on("list"));
    const again = createFaults({ file, given });
    expect(again.strike("flap", on("list"))).toBeNull();
    expect(again.counts().flap!.struck).toBe(1);
    expect(createFaults({ file, given: `[{"name":"flap"}]` }).strike("flap", on("list"))).not.toBeNull();
  });

  it("to begin with are refused in words when they are wrong", () => {
    expect(() => createFaults({ given: "{" })).toThrow("not JSON");
    expect(() => createFaults({ given: `[{"name":"nope"}]` })).toThrow("no fault named");
  });
});
