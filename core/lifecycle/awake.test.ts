import { describe, expect, it } from "vitest";
import { awakeBlockers, leasesHeld } from "./awake.ts";
import { deadlines } from "./deadlines.ts";
import type { LifecycleEvent } from "./events.ts";
import { user } from "./testing/fixtures.ts";
import { scenario, step } from "./testing/scenario.ts";
import { timings } from "./testing/world.ts";
import { transition } from "./transition.ts";
import { nextSleepAt } from "./warning.ts";

const minute = 60_000;
const running = (config = {}) => scenario().create(config).until("running");
const idle = (config = {}) => running(config).quietFor(15_000).until("idle");
const held = (world: ReturnType<typeof scenario>) => leasesHeld(world.state, world.now);
const last = (world: ReturnType<typeof scenario>, type: string) => world.logs.findLast((one) => one.type === type);

describe("keep awake", () => {
  it("holds a quiet machine until its time is over; then a whole idle window passes", () => {
    const world = idle();
    world.keepAwake(10 * minute);
    const until = world.now + 10 * minute;
    world.quietFor(9.5 * minute);
    expect(world.state.now).toMatchObject({ status: "running", idleSince: null });
    expect(awakeBlockers(world.state, world.now)).toMatchObject([{ code: "lease", until }]);
    world.until("snapshotting");
    expect(world.now).toBeGreaterThanOrEqual(until + minute);
    expect(world.now).toBeLessThan(until + 2 * minute);
    expect(last(world, "keep_awake_ended")?.params).toMatchObject({ reason: "its time is over" });
  });

  it("is ended by a word, and the window begins there", () => {
    const world = idle().keepAwake(60 * minute);
    world.quietFor(10 * minute);
    const at = world.now;
    world.letSleep();
    expect(held(world)).toEqual([]);
    world.until("snapshotting");
    expect(world.now - at).toBeGreaterThanOrEqual(minute);
    expect(world.now - at).toBeLessThan(2 * minute);
  });

  it("replaces what was asked for before, longer or shorter", () => {
    const world = running()
      .keepAwake(60 * minute)
      .keepAwake(5 * minute);
    expect(held(world)).toMatchObject([{ until: world.now + 5 * minute }]);
  });

  it("never holds longer than the cap, and a lower cap cuts it short", () => {
    const world = running().keepAwake(100 * 60 * minute);
    expect(held(world)).toMatchObject([{ until: world.now + 24 * 60 * minute }]);
    world.configure({ keep_awake_max_hours: 1 });
    expect(held(world)).toMatchObject([{ until: world.now + 60 * minute }]);
  });

  it("calls a sleep off that is not past its seal, whoever asked for it", () => {
    for (const name of ["taking", "proving", "sealing"]) {
      for (const isAsked of [true, false]) {
        const world = idle();
        if (isAsked) world.hibernate();
        world.until(step(name)).keepAwake(5 * minute);
        expect([name, isAsked, world.state.now.status]).toEqual([name, isAsked, "running"]);
        world.quietFor(4 * minute);
        expect(world.state.now.status).toBe("running");
      }
    }
  });

  it("holds through silence, and through a wake that it was asked in", () => {
    const world = running().keepAwake(30 * minute);
    world.net.downUntil = world.now + 3 * minute;
    world
      .until("unreachable")
      .until("running")
      .quietFor(5 * minute);
    expect(world.state.now.status).toBe("running");
    const waking = scenario()
      .create()
      .until("provisioning")
      .keepAwake(20 * minute)
      .until("running");
    waking.quietFor(10 * minute);
    expect(waking.state.now.status).toBe("running");
  });

  it("does not hold against a person who says sleep now, and is over with the machine", () => {
    const world = running().keepAwake(10 * 60 * minute);
    world.hibernate().until("hibernated");
    expect(held(world)).toEqual([]);
    expect(last(world, "keep_awake_ended")?.params).toMatchObject({ reason: "the machine goes" });
    expect(world.keepAwake(minute).state.awake?.leases).toEqual([]);
  });

  it("says nothing where there is no machine to hold, and is not offered", () => {
    const world = running().hibernate().until("hibernated");
    const event = { type: "keepAwake", actor: user, until: world.now + minute, what: null, isNotNow: false } as const;
    expect(transition(world.state, event, { now: world.now, timings })).toEqual({ state: world.state, effects: [] });
  });
});

describe("a command under run", () => {
  it("holds from the first beat that tells of it to the first that does not", () => {
    const world = idle();
    world.runCommand("a", true);
    world.quietFor(20 * minute);
    expect(world.state.now.status).toBe("running");
    expect(held(world)).toMatchObject([{ what: "command a", actor: { kind: "agent" } }]);
    world.runCommand("a", false);
    const at = world.now;
    world.until("snapshotting");
    expect(world.now - at).toBeGreaterThanOrEqual(minute);
    expect(last(world, "keep_awake_ended")?.params).toMatchObject({ reason: "done" });
  });

  it("outlives a restart of the agent and a loss of the link", () => {
    const world = idle();
    world.runCommand("a", true);
    world.quietFor(minute).restartAgents();
    world.run(minute);
    world.net.downUntil = world.now + 2 * minute;
    world.quietFor(10 * minute);
    expect(world.state.now.status).toBe("running");
    expect(held(world)).toHaveLength(1);
    expect(world.said().filter((type) => type === "keep_awake")).toHaveLength(1);
  });

  it("is over after the cap although it runs on, and holds longer where that is configured", () => {
    const world = idle({ keep_awake_max_hours: 0.1 });
    world.runCommand("a", true);
    world.until("snapshotting");
    expect(last(world, "keep_awake_ended")?.params).toMatchObject({ reason: "its time is over" });
    const longer = idle({ keep_awake_max_hours: 0.1 });
    longer.runCommand("a", true);
    longer.quietFor(2 * minute).configure({ keep_awake_max_hours: 1 });
    longer.quietFor(50 * minute);
    expect(longer.state.now.status).toBe("running");
  });

  it("that a lower cap ends leaves a whole idle window from then on", () => {
    for (const isOwn of [true, false]) {
      const world = idle({ pause_after_idle_minutes: 30, keep_awake_max_hours: 10 });
      if (isOwn) world.keepAwake(10 * 60 * minute);
      else world.runCommand("a", true);
      world.quietFor(5 * 60 * minute).configure({ keep_awake_max_hours: 1 });
      const at = world.now;
      world.until("snapshotting", 60 * minute);
      expect(world.now - at).toBeGreaterThanOrEqual(30 * minute);
      expect(last(world, "keep_awake_ended")?.params).toMatchObject({ reason: "its time is over" });
    }
  });

  it("that its owner ended does not begin anew with the next beat; another one does hold", () => {
    const world = idle();
    world.runCommand("a", true);
    world.quietFor(minute).letSleep();
    world.quietFor(30_000);
    expect(held(world)).toEqual([]);
    world.runCommand("b", true);
    world.quietFor(5 * minute);
    expect(held(world)).toMatchObject([{ what: "command b" }]);
    expect(world.state.now.status).toBe("running");
  });

  it("calls off a sleep of the rule that is under way, not one that a person asked for", () => {
    const world = idle().until(step("taking"));
    world.runCommand("a", true);
    world.run(20_000);
    expect(world.state.now.status).toBe("running");
    expect(last(world, "hibernate_cancelled")?.params).toMatchObject({ reason: "lease" });
    world.hibernate().until("hibernated");
  });

  it("an ordinary beat with a lease changes nothing but the clock", () => {
    const world = idle();
    world.runCommand("a", true);
    world.run(minute);
    const before = { ...world.state, now: null };
    world.run(5 * minute);
    expect({ ...world.state, now: null }).toEqual(before);
  });
});

describe("the word before a sleep", () => {
  it("comes a minute before, once, and says when", () => {
    const world = idle({ pause_after_idle_minutes: 5 });
    const { idleSince } = world.state.now as { idleSince: number };
    expect(deadlines(world.state, timings).warn).toBe(idleSince + 4 * minute);
    world.until("snapshotting");
    const told = world.logs.filter((one) => one.type === "sleep_soon");
    expect(told).toHaveLength(1);
    expect(told[0]!.at).toBe(idleSince + 4 * minute);
    expect(told[0]!.params).toEqual({ sleeps_at: idleSince + 5 * minute });
    expect(world.now).toBeLessThan(idleSince + 5 * minute + 15_000);
  });

  it("is taken back by activity, and comes anew", () => {
    const world = idle({ pause_after_idle_minutes: 5 });
    world.until((one) => one.state.awake?.warnedAt != null);
    world.busyFor(30_000);
    expect(world.state.awake?.warnedAt).toBeNull();
    world.quietFor(minute);
    world.until("snapshotting");
    expect(world.said().filter((type) => type === "sleep_soon")).toHaveLength(2);
  });

  it("no sleep comes without it, though the window is long over when the samples arrive", () => {
    const world = idle({ pause_after_idle_minutes: 5 });
    const quietSince = world.now;
    // One late beat brings the whole window at once.
    const { now } = world.state;
    if (now.status !== "running") throw new Error("not running");
    const hourAgo = quietSince - 60 * minute;
    const state = { ...world.state, now: { ...now, since: hourAgo, restlessUntil: hourAgo, idleSince: null } };
    const verdict = { kind: "quiet", since: quietSince - 30 * minute, ripe: true } as const;
    const beat: LifecycleEvent = { type: "beat", epoch: 1, verdict, results: [], seal: null, progressed: false };
    const first = transition(state, beat, { now: world.now, timings });
    expect(first.state.now.status).toBe("running");
    expect(first.effects.map((one) => one.kind === "log" && one.type)).toContain("sleep_soon");
    expect(nextSleepAt(first.state, { timings })).toBe(world.now + minute);
    const soon = transition(first.state, beat, { now: world.now + 59_000, timings });
    expect(soon.state.now.status).toBe("running");
    expect(transition(first.state, beat, { now: world.now + minute, timings }).state.now.status).toBe("snapshotting");
  });

  it("that a longer number has overtaken comes anew before the sleep that comes then", () => {
    const world = idle({ pause_after_idle_minutes: 3 });
    const { idleSince } = world.state.now as { idleSince: number };
    world.until((one) => one.state.awake?.warnedAt != null);
    world.configure({ pause_after_idle_minutes: 30 });
    expect(world.state.awake?.warnedAt).toBeNull();
    expect(deadlines(world.state, timings).warn).toBe(idleSince + 29 * minute);
    world.until("snapshotting", 40 * minute);
    const told = world.logs.filter((one) => one.type === "sleep_soon");
    expect(told.map((one) => one.params.sleeps_at)).toEqual([3, 30].map((minutes) => idleSince + minutes * minute));
    expect(told[1]!.at).toBe(idleSince + 29 * minute);
  });

  it("is not said where the rule is off, or a person asks for the sleep", () => {
    const off = idle({ enabled: false }).quietFor(10 * minute);
    expect(off.said()).not.toContain("sleep_soon");
    expect(running().hibernate().until("hibernated").said()).not.toContain("sleep_soon");
  });

  it("not now puts the sleep off, and never shortens a lease", () => {
    const world = idle();
    world.until((one) => one.state.awake?.warnedAt != null).keepAwake(10 * minute, true);
    const at = world.now;
    expect(world.said()).toContain("sleep_postponed");
    world.until("snapshotting");
    expect(world.now - at).toBeGreaterThanOrEqual(11 * minute);
    const longer = running()
      .keepAwake(60 * minute)
      .keepAwake(minute, true);
    expect(held(longer)).toMatchObject([{ until: longer.now + 60 * minute }]);
  });
});

describe("grace", () => {
  it("is not shortened by a network that is away meanwhile", () => {
    const world = running({ grace_minutes: 30 });
    const at = world.state.now.since;
    world.quietFor(2 * minute);
    world.net.downUntil = world.now + 5 * minute;
    world.until("unreachable").until("running");
    expect(awakeBlockers(world.state, world.now)).toMatchObject([{ code: "grace", until: at + 30 * minute }]);
    world.until("snapshotting", 60 * minute);
    expect(world.now - at).toBeGreaterThanOrEqual(31 * minute);
  });

  it("a first start and a restore have it; the idle window begins after it", () => {
    const world = running({ grace_minutes: 4 });
    const at = world.state.now.since;
    world.quietFor(2 * minute);
    expect(awakeBlockers(world.state, world.now)).toMatchObject([{ code: "grace", until: at + 4 * minute }]);
    world.until("snapshotting");
    expect(world.now - at).toBeGreaterThanOrEqual(5 * minute);
    expect(world.now - at).toBeLessThan(6 * minute);
    world.until("hibernated").run(2 * minute);
    world.wake().until("running");
    const again = world.state.now.since;
    world.quietFor(1000).until("snapshotting");
    expect(world.now - again).toBeGreaterThanOrEqual(5 * minute);
  });
});
