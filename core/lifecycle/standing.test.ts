/** A sleep that a person asked for stands until it is done or called off. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { actionsFor } from "./abilities.ts";
import { deadlines } from "./deadlines.ts";
import { scenario } from "./testing/scenario.ts";
import { timings } from "./testing/world.ts";

const minute = 60_000;
/** Checkpoints would take their share of the failures. */
const off = { enabled: false, checkpoint: { enabled: false, interval_minutes: 30, min_change_mb: 0 } };

/** Asked for in the evening, with the rule off; the first upload fails. */
function failedOnce(config = off) {
  const world = scenario().create(config).until("running").busyFor(minute);
  world.store.uploadsFail = 1;
  world.hibernate().until("snapshotting").until("running");
  return world;
}

describe("a sleep that was asked for stands", () => {
  it("is tried again by itself after the rest, although the rule is off and the machine is busy", () => {
    const world = failedOnce();
    expect(world.state.trouble?.code).toBe("store_unreachable");
    expect(world.state.standing).toMatchObject({ tries: 1, at: world.state.trouble!.at + timings.restAfterFailureMs });
    expect(deadlines(world.state, timings).standing).toBe(world.state.standing?.at);
    expect(actionsFor(world.state)).toContain("wake");
    const failedAt = world.now;
    world.until("hibernated");
    expect(world.now - failedAt).toBeLessThan(timings.restAfterFailureMs + minute);
    expect(world.state.standing).toBeUndefined();
    expect(world.state.trouble).toBeNull();
  });

  it("is called off by a wake, a lease, a discard, and by nothing that merely happens", () => {
    for (const cancel of ["wake", "keepAwake", "discard"] as const) {
      const world = failedOnce();
      if (cancel === "keepAwake") world.keepAwake(minute);
      else world[cancel]();
      expect([cancel, world.state.standing]).toEqual([cancel, undefined]);
      world.run(3 * 3_600_000);
      expect(world.state.now.status).toBe(cancel === "discard" ? "deleted" : "running");
    }
    const world = failedOnce();
    world.letSleep().configure({ gpu_usage_threshold: 7 }).configure({ enabled: true });
    world.restartAgents();
    expect(world.state.standing).toMatchObject({ tries: 1 });
    world.until("hibernated");
  });

  it("survives silence in the middle of the sleep", () => {
    const world = scenario().create(off).until("running").hibernate();
    world.net.downUntil = world.now + 3 * minute;
    world.until("unreachable");
    expect(world.state.standing).toMatchObject({ code: "unreachable", since: expect.any(Number) });
    world.until("hibernated");
    expect(world.said()).not.toContain("hibernate_cancelled");
  });

  it("a wake while nobody hears the machine takes it back", () => {
    const world = scenario().create(off).until("running").hibernate();
    world.net.downUntil = world.now + 3 * minute;
    world.until("unreachable").wake();
    world.until("running").run(3 * 3_600_000);
    expect(world.state.now.status).toBe("running");
  });

  it("pauses grow and stay below their cap; a failure that stays is told once and waits for the longest pause", () => {
    const world = scenario().create(off).until("running");
    world.store.uploadsFail = 8;
    world.hibernate();
    const pauses: number[] = [];
    while (world.store.uploadsFail > 0) {
      world.until("snapshotting").until("running");
      pauses.push(world.state.standing!.at - world.state.trouble!.at);
    }
    expect(pauses.map((ms) => ms / minute)).toEqual([5, 10, 20, 40, 60, 60, 60, 60]);
    world.until("hibernated");

    const refused = scenario().create(off).until("running");
    refused.store.uploadsRefused = 3;
    refused.hibernate();
    for (let i = 0; i < 3; i++) {
      refused.until("snapshotting").until("running");
      expect(refused.state.standing!.at - refused.state.trouble!.at).toBe(timings.restAfterFailureMaxMs);
    }
    refused.until("hibernated");
    expect(refused.said().filter((type) => type === "snapshot_failed")).toHaveLength(1);
  });

  it("the rule's own, where the failure stays, is told once as well, and tried again as seldom", () => {
    const world = scenario().create({ checkpoint: off.checkpoint }).until("running");
    const told = () => world.said().filter((type) => type === "snapshot_failed");
    world.store.uploadsRefused = 1_000;
    world.quietFor(24 * 60 * minute);
    expect(told()).toHaveLength(1);
    expect(world.said().filter((type) => type === "snapshot_started").length).toBeLessThanOrEqual(24);
    expect(world.state.trouble?.code).toBe("store_refused");
    // Somebody who asks for it now is told.
    world.hibernate().until("snapshotting").until("running");
    expect(told()).toHaveLength(2);
    world.store.uploadsRefused = 0;
    world.until("hibernated", 2 * 60 * minute);
  });

  it("asked for once more it is tried at once, and counted anew", () => {
    const world = failedOnce();
    world.store.uploadsFail = 1;
    world.hibernate();
    expect(world.state.now.status).toBe("snapshotting");
    world.until("running");
    expect(world.state.standing).toMatchObject({ tries: 1 });
  });

  it("when the rule begins a sleep meanwhile, it is the person's: activity does not call it off", () => {
    const world = failedOnce({ ...off, enabled: true });
    world.store.uploadsFail = 2;
    world.until("snapshotting").until("running");
    world.quietFor(6 * minute);
    world.until("snapshotting");
    expect(world.state.now).toMatchObject({ cause: { kind: "asked" } });
  });

  it("property: whatever passing failures come, and however long they last, it sleeps in the end", () => {
    const trouble = fc.record({
      uploads: fc.integer({ min: 0, max: 6 }),
      storeDownMs: fc.integer({ min: 0, max: 40 * minute }),
      netDownMs: fc.integer({ min: 0, max: 20 * minute }),
      restartAfterMs: fc.integer({ min: 0, max: 10 * minute }),
      writing: fc.boolean(),
      enabled: fc.boolean(),
    });
    fc.assert(
      fc.property(trouble, ({ uploads, storeDownMs, netDownMs, restartAfterMs, writing, enabled }) => {
        const world = scenario().create({ enabled }).until("running").busyFor(10_000);
        world.store.uploadsFail = uploads;
        world.store.failsUntil = world.now + storeDownMs;
        world.writing(writing);
        world.hibernate();
        world.net.downUntil = world.now + netDownMs;
        world.run(restartAfterMs);
        world.restartAgents();
        world.until((one) => ["hibernated", "deleted"].includes(one.state.now.status), 8 * 3_600_000);
        expect(world.state.standing).toBeUndefined();
      }),
      { numRuns: 60 },
    );
  });
});
