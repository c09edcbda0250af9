/** Falling asleep and being asleep, told as stories. */
import { describe, expect, it } from "vitest";
import { statusWord } from "./abilities.ts";
import type { LifecycleEvent } from "./events.ts";
import { scenario, step } from "./testing/scenario.ts";
import { timings } from "./testing/world.ts";
import { mayEnd, transition } from "./transition.ts";

const minute = 60_000;

describe("the whole circle", () => {
  it("runs, falls idle, hibernates, is deleted, wakes with the same content", () => {
    const world = scenario().create();
    world.until("running").busyFor(2 * minute);
    expect(statusWord(world.state)).toBe("running");
    world.writing(true);
    world.busyFor(minute);
    world.writing(false);
    world.quietFor(30_000);
    expect(statusWord(world.state)).toBe("idle");
    const content = world.agent?.content;
    world.until("hibernated");
    expect(world.paid()).toBe(0);
    world.until("deleted");
    world.wake().until("restoring").until("running");
    expect(world.agent?.content).toBe(content);
    const plan = ["idle_detected", "hibernated", "deleted", "woke_up"];
    expect(world.said().filter((type) => plan.includes(type))).toEqual(plan);
  });

  it("activity calls off an idle sleep, and the rule needs a whole new window", () => {
    const world = scenario().create().until("running").quietFor(minute).until("snapshotting");
    world.busy(true);
    world.until("running");
    const back = world.now;
    world.busy(false);
    world.until("snapshotting");
    expect(world.now - back).toBeGreaterThanOrEqual(minute);
    expect(world.said()).toContain("hibernate_cancelled");
  });

  it("activity does not call off a sleep that a person asked for", () => {
    const world = scenario().create().until("running");
    world.busy(true);
    world.hibernate().until("hibernated");
    expect(world.said()).not.toContain("hibernate_cancelled");
  });

  it("a sleep that was cancelled leaves `running` since now, and no command", () => {
    const world = scenario().create().until("running").hibernate();
    world.run(1_000);
    world.wake();
    expect(world.state.now).toMatchObject({ status: "running", since: world.now, idleSince: null });
  });
});

describe("I1: nothing is destroyed that is not kept", () => {
  it("I1: what is written between proof and seal is proved as well before the destroy", () => {
    const world = scenario().create().until("running");
    world.writing(true);
    world.hibernate().until("hibernated");
    expect(world.said().filter((type) => type === "snapshot_proved").length).toBeGreaterThanOrEqual(2);
  });

  it("I1: a seal that ends before any destroy was accepted is proved again under the same id", () => {
    const world = scenario().create().until("running").hibernate();
    world.provider.trouble.failsUntil = world.now + 4 * minute;
    world.until("destroying");
    const { sealId } = world.state.now as { sealId: string };
    world.net.downUntil = world.now + 3 * minute;
    world.until("snapshotting");
    expect(world.state.now).toMatchObject({ step: "sealing", sealId });
    expect(world.provider.machines[0]?.stoppedAt).toBeNull();
    world.until("hibernated");
  });

  it("I1: mayEnd refuses a first destroy after the seal may have ended, and when the clock was set back", () => {
    const world = scenario().create().until("running").hibernate();
    world.provider.trouble.failsUntil = world.now + 4 * minute;
    world.until("destroying");
    const [one] = world.state.retiring;
    const phase = world.state.now as { since: number; sealedUntil: number };
    expect(mayEnd(world.state, one!, phase.since)).toBe(true);
    expect(mayEnd(world.state, one!, phase.sealedUntil)).toBe(false);
    expect(mayEnd(world.state, one!, phase.since - 1)).toBe(false);
  });

  it("I1: a beat without the seal stops the destroy at once, and the seal is lifted only when a sent one has landed", () => {
    const world = scenario().create().until("running").hibernate();
    world.provider.trouble.failsUntil = world.now + 4 * minute;
    world.until("destroying");
    const { now, state } = world;
    const beat = {
      type: "beat" as const,
      epoch: 1,
      verdict: { kind: "quiet" as const, since: now, ripe: false },
      results: [],
      seal: null,
      progressed: false,
    } satisfies LifecycleEvent;
    const after = transition(state, beat, { now, timings }).state;
    expect(after.now.status).toBe("destroying");
    expect(mayEnd(after, after.retiring[0]!, now)).toBe(false);
    expect(transition(after, { type: "tick" }, { now: now + 9_000, timings }).state.now.status).toBe("destroying");
    expect(transition(after, { type: "tick" }, { now: now + 10_000, timings }).state.now.status).toBe("snapshotting");
  });

  it("I1: an adopted machine is kept although it never boots, is silent, or its wake is called off", () => {
    const world = scenario().adopt({}, { neverBoots: true });
    world.hibernate();
    world.run(20 * minute);
    expect(world.state.now).toMatchObject({ status: "failed", code: "agent_never_reported" });
    expect(world.count("end")).toBe(0);
    world.wake().run(20 * minute);
    expect(world.count("end")).toBe(0);
    expect(world.paid()).toBe(1);
  });

  it("I1: a machine with work that the provider wrongly called gone is taken back, not destroyed as a stray", () => {
    const world = scenario().create({ enabled: false }).until("running");
    world.run(minute);
    world.provider.trouble.saysGone = 1;
    world.net.downUntil = world.now + 3 * minute;
    world.until("failed");
    world.until("running");
    expect(world.count("end")).toBe(0);
    expect(world.state.lost).toEqual([]);
  });

  it("I1: only a person's discard destroys without a proof; one about an older machine does nothing (I3)", () => {
    const world = scenario().create().until("running");
    world.apply({ type: "discard", actor: { kind: "system" }, epoch: 7 });
    expect(world.state.now.status).toBe("running");
    world.discard().until("deleted");
    expect(world.state.trouble).toBeNull();
    expect(world.paid()).toBe(0);
  });
});

describe("I5: a machine leaves the state only when the provider says so", () => {
  it("I5: a destroy that is refused is asked for again, and no failed list ends it", () => {
    const world = scenario().create().until("running").hibernate();
    world.until(step("sealing"));
    world.provider.trouble.destroyFails = 3;
    world.until("destroying");
    world.run(5_000);
    expect(world.state.retiring).toHaveLength(1);
    world.until("hibernated");
    expect(world.said()).toContain("destroy_failed");
  });

  it("I5: a destroy that is accepted and not carried out is told of once in the log, and again at each tenth try", () => {
    const world = scenario().create().until("running").hibernate();
    world.provider.trouble.destroyIgnored = 15;
    world.until("destroying").run(60_000);
    expect(world.paid()).toBe(1);
    expect(world.said()).not.toContain("destroy_failed");
    world.run(14 * minute);
    const lines = world.logs.filter((one) => one.type === "destroy_failed").map((one) => one.params);
    const message = "accepted, and still there";
    expect(lines).toEqual([
      { epoch: 1, message, tries: 6 },
      { epoch: 1, message, tries: 10, again: true },
    ]);
    world.until("hibernated");
  });

  it("I5: accepted is not gone; the sleep waits until the provider no longer has the machine", () => {
    const world = scenario().create().until("running").hibernate();
    world.provider.trouble.destroyLagMs = 50_000;
    world.until("destroying").run(40_000);
    expect(world.state.now.status).toBe("destroying");
    expect(world.paid()).toBe(1);
    world.until("hibernated");
    const charge = world.effects.find((one) => one.kind === "charge");
    // Paid until it was stopped, not for as long as it is shown.
    const { stoppedAt } = world.provider.machines[0]!;
    expect(charge).toMatchObject({ epoch: 1, toAt: expect.closeTo(stoppedAt!, -3) });
  });
});

describe("failure of a sleep", () => {
  it("keeps the machine running, says so, rests, and tries again by itself", () => {
    const world = scenario().create().until("running");
    world.store.failsUntil = world.now + 15 * minute;
    world.until(() => world.state.trouble !== null);
    expect(world.state).toMatchObject({ now: { status: "running" }, trouble: { code: "snapshot_stalled" } });
    world.until("hibernated");
    expect(world.state.trouble).toBeNull();
  });

  it("a machine that falls silent in the middle is looked for", () => {
    const world = scenario().create().until("running").hibernate();
    world.run(6_000);
    world.vanish();
    world.until("unreachable", 5 * minute).until("failed", minute);
    expect(world.state.now).toMatchObject({ code: "machine_lost" });
  });

  it("I9: a damaged snapshot is found before the pause ends; failed says what is kept", () => {
    const world = scenario().create().until("hibernated");
    world.store.damaged = true;
    world.until("failed");
    expect(world.state.now).toMatchObject({ code: "snapshot_damaged", machine: null });
    expect((world.state.now as { kept: string }).kept).toContain("nothing was removed");
  });

  it("the pause is counted from its beginning when its length is changed", () => {
    const world = scenario().create().until("hibernated");
    world.run(2 * minute);
    world.configure({ delete_after_pause_minutes: 1 });
    world.until("deleted", 5_000);
  });
});
