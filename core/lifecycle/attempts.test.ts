/** Machines side by side for one wake, and wakes that keep trying, told as stories. */
import { describe, expect, it } from "vitest";
import { actionsFor } from "./abilities.ts";
import { attemptsOf, mayStore, speaks } from "./attempts.ts";
import type { RungReport } from "./ladder.ts";
import { type Scenario, scenario } from "./testing/scenario.ts";
import { timings } from "./testing/world.ts";
import { usualWake } from "./wake-times.ts";

const minute = 60_000;
const fast = { parallel: 2, second_after_seconds: 10 };

/** Asleep; the first machine of its wake takes `firstMs` to boot, those after it 20 s. */
function wakingSlowly(firstMs: number, rent: object = fast): Scenario {
  const world = scenario().create().until("hibernated");
  world.run(2 * minute);
  world.provider.trouble.bootLagMs = firstMs;
  world.wake({ rent }).until((w) => w.state.now.status === "provisioning" && w.state.now.step === "booting");
  world.provider.trouble.bootLagMs = 0;
  return world;
}

const attempts = (world: Scenario) => (world.state.now.status === "provisioning" ? attemptsOf(world.state.now) : []);
const epochs = (world: Scenario) => attempts(world).map((one) => one.machine.epoch);

describe("I11: machines side by side", () => {
  it("a second one is rented beside the slow one, wins, and the loser is destroyed", () => {
    const world = wakingSlowly(5 * minute);
    world.run(15_000);
    expect(epochs(world)).toEqual([2, 3]);
    expect(world.paid()).toBe(2);
    world.until("restoring");
    expect(world.state).toMatchObject({ now: { machine: { epoch: 3 } }, retiring: [{ machine: { epoch: 2 } }] });
    world.until("running").until((w) => w.state.retiring.length === 0);
    expect(world.paid()).toBe(1);
    // It never ran, so no time of its GPUs was paid.
    expect(world.effects.filter((one) => one.kind === "charge" && one.epoch === 2)).toEqual([]);
    expect(world.said()).toContain("rival_asked");
    expect(world.logs.find((one) => one.type === "machine_abandoned")?.params).toMatchObject({ code: "outrun" });
    // A host that was merely slower did not fail.
    expect(world.state.avoid).toEqual([]);
  });

  it("the slow one wins when it is up first", () => {
    const world = wakingSlowly(5_000);
    world.run(12_000);
    expect(epochs(world)).toEqual([2, 3]);
    world.until("running").until((w) => w.state.retiring.length === 0);
    expect(world.state).toMatchObject({ now: { machine: { epoch: 2 } } });
    expect(world.paid()).toBe(1);
  });

  it("by default it waits five minutes, and asks for no third", () => {
    const world = wakingSlowly(60 * minute, {});
    world.provider.trouble.bootLagMs = 60 * minute;
    world.run(4.8 * minute);
    expect(epochs(world)).toEqual([2]);
    world.run(0.5 * minute);
    expect(epochs(world)).toEqual([2, 3]);
    world.run(9 * minute);
    expect(epochs(world)).toEqual([2, 3]);
  });

  it("at most as many as are allowed, one asked for at a time; 0 begins at once", () => {
    const world = wakingSlowly(10 * minute, { parallel: 3, second_after_seconds: 0 });
    world.provider.trouble.bootLagMs = 10 * minute;
    world.run(5_000);
    expect(epochs(world)).toEqual([2, 3, 4]);
    world.run(minute);
    expect(epochs(world)).toEqual([2, 3, 4]);
    expect(world.paid()).toBe(3);
  });

  it("with one allowed there is never a second", () => {
    const world = wakingSlowly(10 * minute, { parallel: 1, second_after_seconds: 0 });
    world.run(9 * minute);
    expect(epochs(world)).toEqual([2]);
  });

  it("I3: a loser's agent is fenced, and before one has won none may touch the store", () => {
    const world = wakingSlowly(5 * minute);
    world.run(15_000);
    for (const epoch of [2, 3])
      expect([speaks(world.state, epoch), mayStore(world.state, epoch)]).toEqual([true, false]);
    world.until("restoring");
    expect([speaks(world.state, 2), mayStore(world.state, 2)]).toEqual([false, false]);
    expect([speaks(world.state, 3), mayStore(world.state, 3)]).toEqual([true, true]);
    const before = world.state;
    const verdict = { kind: "quiet", since: world.now, ripe: true } as const;
    world.apply({ type: "beat", epoch: 2, verdict, results: [], seal: null, progressed: true });
    expect(world.state).toBe(before);
  });

  it("one that fails leaves the other, which goes on", () => {
    const world = wakingSlowly(5 * minute);
    world.run(15_000);
    world.vanishNewest();
    world.until(() => !epochs(world).includes(3));
    expect(world.state).toMatchObject({ now: { status: "provisioning", machine: { epoch: 2 } } });
    expect(world.state.avoid).toHaveLength(1);
    world.until("running").until((w) => w.state.retiring.length === 0);
    expect(world.paid()).toBe(1);
  });

  it("no offer for a second machine ends nothing", () => {
    const world = wakingSlowly(minute);
    world.provider.trouble.noOffer = 1;
    world.until("running");
    expect(world.state.epoch).toBe(3);
    expect(world.state).toMatchObject({ now: { machine: { epoch: 2 } } });
    expect(world.said()).toContain("rival_not_rented");
    expect(world.said()).not.toContain("wake_failed");
  });

  it("an image that no host can start ends the wake, and gives both back", () => {
    const world = wakingSlowly(10 * minute);
    world.run(15_000);
    const { facts } = attempts(world)[1]!.machine;
    const message = "manifest unknown";
    world.apply({ type: "seen", epoch: 3, facts: facts!, phase: "loading", fatal: "image", message });
    expect(world.state).toMatchObject({ now: { status: "hibernated" }, trouble: { code: "image_broken" } });
    world.until((w) => w.state.retiring.length === 0);
    expect(world.paid()).toBe(0);
  });

  it("a wake that is called off gives every machine back", () => {
    const world = wakingSlowly(10 * minute);
    world.run(15_000);
    world.hibernate();
    expect(world.state.now.status).toBe("hibernated");
    expect(world.state.retiring.map((one) => one.machine.epoch).sort()).toEqual([2, 3]);
    world.until((w) => w.state.retiring.length === 0);
    expect(world.paid()).toBe(0);
  });
});

describe("limits of a boot", () => {
  it("a machine that runs and whose agent never speaks is given up sooner than one that loads", () => {
    const world = wakingSlowly(60 * minute, { parallel: 1 });
    const { facts } = attempts(world)[0]!.machine;
    world.apply({ type: "seen", epoch: 2, facts: facts!, phase: "running", fatal: null, message: null });
    world.run(timings.agentLimitMs - 1_000);
    expect(world.state.epoch).toBe(2);
    world.run(2_000);
    expect(world.state.epoch).toBe(3);
    expect(world.logs.findLast((one) => one.type === "machine_abandoned")?.params).toMatchObject({
      code: "agent_silent",
    });
    expect(world.state.avoid).toHaveLength(1);
  });

  it.each([
    ["queued", null, "boot_queued", 1],
    ["stopped", null, "boot_stopped", 1],
    ["lost", null, "boot_failed", 1],
    ["loading", "host", "boot_failed", 1],
  ] as const)("%s %s: the next machine, %s", (phase, fatal, code, avoided) => {
    const world = wakingSlowly(60 * minute, { parallel: 1 });
    const { facts } = attempts(world)[0]!.machine;
    world.apply({ type: "seen", epoch: 2, facts: facts!, phase, fatal, message: null });
    expect(world.state.epoch).toBe(3);
    expect(world.logs.at(-1)?.params).toMatchObject({ code });
    expect(world.state.avoid).toHaveLength(avoided);
    world.until((w) => w.state.retiring.length === 0);
  });
});

describe("the price cap", () => {
  it("a machine whose price turns out to be higher is given back at once, and its host is avoided", () => {
    const world = scenario().create().until("hibernated");
    world.run(2 * minute);
    world.provider.trouble.microUsdPerHour = 500_000;
    world.wake({ maxMicroUsdPerHour: 450_000 }).run(150);
    world.provider.trouble.microUsdPerHour = 440_000;
    world.until("running").until((w) => w.state.retiring.length === 0);
    expect(world.logs.filter((one) => one.params.code === "price_above_cap").length).toBeGreaterThan(0);
    expect(world.state.usual).toMatchObject({ microUsdPerHour: 440_000 });
    expect(world.state.avoid.length).toBeGreaterThan(0);
    expect(world.state.now).toMatchObject({ machine: { facts: { microUsdPerHour: 440_000 } } });
  });

  it("holds when the price rises while it boots", () => {
    const world = scenario().create().until("hibernated");
    world.run(2 * minute);
    world.wake({ maxMicroUsdPerHour: 450_000 }).run(5_000);
    world.provider.reprice(460_000);
    world.until("hibernated", 20 * minute);
    expect(world.state.trouble).toMatchObject({ code: "price_above_cap" });
    world.until((w) => w.state.retiring.length === 0);
    expect(world.paid()).toBe(0);
  });
});

describe("a wake that keeps trying", () => {
  const trying = (forMs: number) => {
    const world = scenario().create().until("hibernated");
    world.run(2 * minute);
    world.provider.trouble.noOffer = 99;
    world.wake({ keepTrying: { until: world.now + forMs, tries: 0 } }).run(1_000);
    return world;
  };

  it("goes back, says when it tries again, later each time, and wakes when there is an offer", () => {
    const world = trying(2 * 60 * minute);
    expect(world.state.now.status).toBe("hibernated");
    const times = [];
    for (let i = 0; i < 4; i++) {
      const { at } = world.state.retry!;
      times.push(Math.round((at - world.now) / minute));
      world.run(at - world.now + 1_000);
    }
    expect(times).toEqual([2, 4, 8, 16]);
    expect(world.said().filter((one) => one === "wake_failed")).toHaveLength(5);
    // The pause went on: the instance became deleted meanwhile, and is woken from there.
    expect(world.state.now.status).toBe("deleted");
    world.provider.trouble.noOffer = 0;
    world.until("running");
    expect(world.state.retry).toBeUndefined();
    expect(world.state.trouble).toBeNull();
  });

  it("ends at its time, and says so", () => {
    const world = trying(5 * minute);
    world.run(60 * minute);
    expect(world.state.retry).toBeUndefined();
    expect(world.logs.findLast((one) => one.type === "wake_retries_ended")?.params).toMatchObject({
      code: "time_over",
    });
    const rents = world.count("rent");
    world.run(10 * 60 * minute);
    expect(world.count("rent")).toBe(rents);
  });

  it("is called off by a hibernate", () => {
    const world = trying(60 * minute);
    expect(actionsFor(world.state)).toContain("hibernate");
    world.hibernate();
    expect(world.state.retry).toBeUndefined();
    expect(world.said()).toContain("wake_cancelled");
    const rents = world.count("rent");
    world.run(2 * 60 * minute);
    expect(world.count("rent")).toBe(rents);
  });

  it("is not planned for what only a person can mend", () => {
    const world = scenario().create().until("hibernated");
    world.store.damaged = true;
    world.run(2 * minute);
    world
      .wake({ keepTrying: { until: world.now + 60 * minute, tries: 0 } })
      .until("restoring")
      .until("hibernated");
    expect(world.state.retry).toBeUndefined();
    expect(world.logs.findLast((one) => one.type === "wake_retries_ended")?.params).toMatchObject({
      code: "snapshot_damaged",
    });
  });

  it("a wake that joins makes it go on for longer", () => {
    const world = scenario().create().until("hibernated");
    world.run(2 * minute);
    world.wake();
    const until = world.now + 60 * minute;
    world.wake({ keepTrying: { until, tries: 0 } });
    expect(world.state.now).toMatchObject({ wake: { keepTrying: { until } } });
    expect(world.count("rent")).toBe(2);
  });
});

describe("what is learned", () => {
  it("the event log says which rung, and what the rungs before held", () => {
    const world = wakingSlowly(10 * minute);
    const climb: RungReport[] = [
      { rung: "same", offers: 0, tooDear: 1, avoided: 0, skipped: null },
      { rung: "elsewhere", offers: 3, tooDear: 0, avoided: 0, skipped: null },
    ];
    world.run(12_000);
    world.until((w) => epochs(w as Scenario).length === 2);
    world.hibernate();
    world.run(2 * minute);
    world.provider.trouble.failsUntil = world.now + 5_000;
    world.wake();
    const { epoch } = world.state;
    const facts = attempts(wakingSlowly(minute))[0]!.machine.facts!;
    world.apply({ type: "rented", epoch, facts: { ...facts, providerId: 9_999 }, climb });
    expect(world.logs.at(-1)).toMatchObject({
      type: "machine_rented",
      params: { rung: "elsewhere", ladder: "same: no offers, 1 dearer than is usual; elsewhere: 3 offers" },
    });
  });

  it("times of the phases, and their percentiles once there are three", () => {
    const world = scenario().create().until("hibernated");
    for (const boot of [20_000, 40_000, 60_000]) {
      expect(usualWake(world.state.wakes ?? [])).toBeNull();
      world.run(2 * minute);
      world.provider.bootMs = boot;
      world.wake().until("running").hibernate().until("hibernated");
    }
    const wakes = world.state.wakes ?? [];
    expect(wakes).toHaveLength(3);
    for (const one of wakes) expect(one.rentMs + one.bootMs + one.restoreMs).toBe(one.wakeMs);
    const usual = usualWake(wakes)!;
    expect(usual.samples).toBe(3);
    expect(Math.round(usual.boot.p50Ms / 1000)).toBe(40);
    expect(Math.round(usual.boot.p95Ms / 1000)).toBe(60);
    expect(usual.restore.p50Ms).toBeGreaterThan(3_000);
  });

  it("a ring of twenty", () => {
    const world = scenario().create().until("hibernated");
    for (let i = 0; i < 22; i++) {
      world.run(2 * minute);
      world.wake().until("running").hibernate().until("hibernated");
    }
    expect(world.state.wakes).toHaveLength(20);
  });
});
