/** The two stages of an idle time and the vetoes before them, told as stories. */
import { describe, expect, it } from "vitest";
import { statusWord } from "./abilities.ts";
import { autoOf } from "./auto-state.ts";
import { costsOf } from "./costs.ts";
import { idleSteps, nextBeatMs } from "./idle-steps.ts";
import { type Scenario, scenario } from "./testing/scenario.ts";
import { timings } from "./testing/world.ts";
import { transition } from "./transition.ts";
import type { State } from "./types.ts";
import { holdsGpuMemory, maySleepAgain, quietFloorMs } from "./vetoes.ts";

const minute = 60_000;
const auto = { pause_after_idle_minutes: "auto" as const };

/** Runs under `auto` with everything measured: one cycle lies behind it, and the grace after it is over. */
function experienced(): Scenario {
  const world = scenario().create().until("running").until("hibernated");
  world.run(60 * minute);
  world.wake().until("running");
  world.configure(auto);
  world.busyFor(11 * minute);
  expect(costsOf(world.state, machineFacts(world.state)).ok).toBe(true);
  return world;
}

function machineFacts(state: State) {
  return "machine" in state.now ? (state.now.machine?.facts ?? null) : null;
}

const gap = (world: Scenario) => autoOf(world.state).gap;
const plan = (world: Scenario) => gap(world)!.plan!;

describe("two stages", () => {
  it("the upload begins at the floor, the machine stays idle until tau and goes then", () => {
    const world = experienced();
    world.busy(false);
    world.until((w) => gap(w as Scenario) !== null);
    const { startAt } = gap(world)!;
    world.until("snapshotting");
    expect(world.now - startAt).toBeGreaterThanOrEqual(3 * minute);
    expect(world.now - startAt).toBeLessThan(3 * minute + 15_000);
    world.until("running");
    expect(statusWord(world.state)).toBe("idle");
    expect(world.said().at(-1)).toBe("sleep_waits");
    const { tauMs, breakEvenMs } = plan(world);
    // Traffic of US$ 0.10 at US$ 0.40 an hour: it pays after a quarter of an hour and some seconds.
    expect(breakEvenMs! / minute).toBeGreaterThan(15);
    expect(tauMs!).toBeGreaterThan(4 * minute);
    expect(idleSteps(world.state)).toEqual({ uploadAt: null, sleepAt: startAt + tauMs! });
    world.until("destroying");
    expect(world.now - startAt).toBeGreaterThanOrEqual(tauMs!);
    expect(world.now - startAt).toBeLessThan(tauMs! + 45_000);
    world.until("hibernated");
    expect(world.paid()).toBe(0);
  });

  it("with a number the machine goes as soon as the upload is done", () => {
    const world = scenario().create().until("running").until("snapshotting");
    world.until("hibernated", minute);
    expect(world.said()).not.toContain("sleep_waits");
  });

  it("activity before tau keeps the machine, and the next idle time plans anew", () => {
    const world = experienced()
      .quietFor(3 * minute)
      .until("snapshotting")
      .until("running");
    world.busyFor(minute);
    expect(gap(world)).toBeNull();
    expect(statusWord(world.state)).toBe("running");
    expect(autoOf(world.state).gaps.at(-1)![1]).toBeGreaterThanOrEqual(180);
    world.quietFor(minute);
    expect(gap(world)!.uploadedAt).toBeNull();
  });

  it("what a called-off upload took counts for the next one", () => {
    const world = experienced()
      .quietFor(3 * minute)
      .until("snapshotting");
    world.run(2_000);
    world.busyFor(minute);
    expect(world.said()).toContain("hibernate_cancelled");
    expect(autoOf(world.state).uploadSoFarMs).toBeGreaterThan(0);
    const before = autoOf(world.state).measured.uploadMs;
    world.quietFor(4 * minute).until((w) => autoOf(w.state).uploadSoFarMs === 0);
    expect(autoOf(world.state).measured.uploadMs).toBeGreaterThan(before!);
  });

  it("a change of the setting takes hold in the middle of an idle time, both ways", () => {
    const waits = experienced()
      .quietFor(3 * minute)
      .until("snapshotting")
      .until("running");
    waits.configure({ pause_after_idle_minutes: 1 });
    waits.until("hibernated", 2 * minute);
    const sealing = experienced();
    const ends = sealing.count("end");
    sealing.configure({ pause_after_idle_minutes: 1 });
    sealing
      .quietFor(minute)
      .until("snapshotting")
      .until((w) => "step" in w.state.now && w.state.now.step === "sealing");
    sealing.configure(auto);
    sealing.until("running", minute);
    expect(sealing.said().at(-1)).toBe("sleep_waits");
    expect(sealing.count("end")).toBe(ends);
  });

  it("a number that takes the place of auto during the upload is waited for, and announced", () => {
    for (const minutes of [20, 1]) {
      const world = experienced();
      world.busy(false);
      world.until((w) => gap(w as Scenario) !== null);
      const { startAt } = gap(world)!;
      world.until("snapshotting");
      expect(world.said().slice(world.said().lastIndexOf("active_again"))).not.toContain("sleep_soon");
      const changedAt = world.now;
      world.configure({ pause_after_idle_minutes: minutes }).until("running");
      const waits = world.logs.findLast((one) => one.type === "sleep_waits");
      expect(waits?.params).toMatchObject({ idle_minutes: minutes, why: null });
      world.until("destroying", 30 * minute);
      expect(world.now - startAt).toBeGreaterThanOrEqual(minutes * minute);
      const told = world.logs.findLast((one) => one.type === "sleep_soon")!;
      expect(told.at).toBeGreaterThanOrEqual(changedAt);
      expect(world.now - told.at).toBeGreaterThanOrEqual(Math.min(timings.warnBeforeMs, (minutes * minute) / 2));
      expect(world.now - Math.max(startAt + minutes * minute, changedAt)).toBeLessThan(2 * minute);
    }
  });

  it("a longer number during the upload is waited for, too", () => {
    const world = experienced();
    world.configure({ pause_after_idle_minutes: 3 }).quietFor(minute).until("snapshotting");
    const from = world.now;
    world.configure({ pause_after_idle_minutes: 10 }).until("destroying", 30 * minute);
    expect(world.now - from).toBeGreaterThanOrEqual(7 * minute - 15_000);
    expect(world.now - world.logs.findLast((one) => one.type === "sleep_soon")!.at).toBeLessThan(2 * minute);
  });

  it("a person's wish needs no tau, and no floor", () => {
    const world = experienced();
    world.hibernate().until("hibernated", minute);
    expect(gap(world)).toBeNull();
  });

  it("beats come when a step is due", () => {
    const world = experienced().quietFor(minute);
    const steps = idleSteps(world.state)!;
    expect(nextBeatMs(world.state, steps.uploadAt! - 2_000)).toBe(2_050);
    expect(nextBeatMs(world.state, steps.uploadAt! - minute)).toBe(10_000);
  });
});

describe("hysteresis", () => {
  it("one active sample calls the upload off and the gap goes on; tau counts from its beginning", () => {
    const world = experienced()
      .quietFor(3 * minute)
      .until("snapshotting");
    const { startAt } = gap(world)!;
    world.busy(true);
    world.until("running");
    world.busy(false);
    world.run(30_000);
    expect(gap(world)).toMatchObject({ startAt, activeAt: null });
    world.until("snapshotting");
    world.until("hibernated");
    expect(world.now - startAt).toBeGreaterThanOrEqual(autoOf(world.state).gap!.plan!.tauMs!);
  });

  it("two in a row end it, and it ended with the first", () => {
    const world = experienced().quietFor(2 * minute);
    const { startAt } = gap(world)!;
    const before = autoOf(world.state).gaps.length;
    world.busy(true);
    world.until((w) => autoOf(w.state).gap?.activeAt != null);
    const { activeAt } = gap(world)!;
    world.until((w) => autoOf(w.state).gap === null);
    const { gaps } = autoOf(world.state);
    expect(gaps).toHaveLength(before + 1);
    expect(gaps.at(-1)![1]).toBe(Math.round((activeAt! - startAt) / 1000));
  });
});

describe("vetoes", () => {
  it("GPU memory that is held, or not known, makes the floor five minutes", () => {
    const world = experienced();
    expect(quietFloorMs(world.state, false, world.now)).toBe(3 * minute);
    expect(quietFloorMs(world.state, true, world.now)).toBe(5 * minute);
    world.memory(true);
    world.quietFor(5 * minute - 30_000);
    expect(world.state.now.status).toBe("running");
    world.until("snapshotting", minute);
    const gpu = { index: 0, name: null, max: 0, mean: 0, busyShare: 0, memoryTotalMb: 80_000 };
    const sample = (memoryUsedMb: number | null) => ({
      fromAt: 0,
      toAt: 1,
      expected: 1,
      taken: 1,
      sensorError: null,
      gpus: [
        { ...gpu, memoryUsedMb: 3 },
        { ...gpu, memoryUsedMb },
      ],
    });
    expect([3, 700, null].map((used) => holdsGpuMemory([sample(used)]))).toEqual([false, true, true]);
    expect(holdsGpuMemory([])).toBe(true);
  });

  it("a false sleep doubles the floor for a day, up to half an hour; a good one halves it", () => {
    const world = experienced();
    const floors: number[] = [];
    for (let i = 0; i < 5; i++) {
      world.quietFor(minute).until("hibernated");
      world.run(2_000);
      world.wake().until("running");
      floors.push(quietFloorMs(world.state, false, world.now) / minute);
      world.busyFor(11 * minute);
    }
    expect(floors).toEqual([6, 12, 24, 30, 30]);
    expect(autoOf(world.state).falseSleeps).toBe(5);
    world.quietFor(minute).until("hibernated");
    world.run(3 * 60 * minute);
    world.wake().until("running");
    expect(quietFloorMs(world.state, false, world.now)).toBe(15 * minute);
    expect(quietFloorMs(world.state, false, world.now + 25 * 60 * minute)).toBe(3 * minute);
  });

  it("at most six sleeps an hour", () => {
    const { state, now } = experienced();
    const slept = (count: number): State => ({
      ...state,
      auto: { ...autoOf(state), recentSleeps: Array.from({ length: count }, (_, i) => now - i * minute) },
    });
    expect([maySleepAgain(slept(5), now), maySleepAgain(slept(6), now)]).toEqual([true, false]);
    expect(maySleepAgain(slept(6), now + 56 * minute)).toBe(true);
    const world = experienced();
    world.state = slept(6);
    world.quietFor(20 * minute);
    expect(statusWord(world.state)).toBe("idle");
  });

  it("ten minutes of grace after a wake", () => {
    const world = experienced().quietFor(minute).until("hibernated");
    world.run(60 * minute);
    world.wake().until("running");
    const awake = world.now;
    world.quietFor(5 * minute);
    expect(gap(world)).toBeNull();
    world.until((w) => autoOf(w.state).gap !== null);
    expect(world.now - awake).toBeGreaterThanOrEqual(10 * minute);
  });
});

describe("what is learned", () => {
  it("a sleep's gap reaches to the wish that ended it, and what it saved is told", () => {
    const world = experienced().quietFor(minute);
    const { startAt } = gap(world)!;
    world.until("hibernated");
    world.run(4 * 60 * minute);
    const asked = world.now;
    world.wake();
    expect(autoOf(world.state).gaps.at(-1)![1]).toBe(Math.round((asked - startAt) / 1000));
    world.until("running");
    const { last, savedMicroUsd } = autoOf(world.state);
    expect(last).toMatchObject({ isFalse: false, wokenAt: asked });
    // Four hours at US$ 0.40, less US$ 0.10 of traffic and half a minute of boot and restore.
    expect(last!.savedMicroUsd! / 1e6).toBeGreaterThan(1.45);
    expect(last!.savedMicroUsd! / 1e6).toBeLessThan(1.5);
    expect(savedMicroUsd).toBe(last!.savedMicroUsd);
  });

  it("a false sleep is told as lost", () => {
    const world = experienced().quietFor(minute).until("hibernated");
    world.wake().until("running");
    expect(autoOf(world.state).last).toMatchObject({ isFalse: true });
    expect(autoOf(world.state).last!.savedMicroUsd).toBeLessThan(-95_000);
  });

  it("sleeps that a person asked for and wakes by schedule are no samples", () => {
    const asked = experienced();
    const before = autoOf(asked.state).gaps.length;
    asked.quietFor(2 * minute);
    asked.hibernate().until("hibernated");
    asked.run(60 * minute);
    asked.wake().until("running");
    expect(autoOf(asked.state).gaps).toHaveLength(before);
    expect(autoOf(asked.state).last).not.toBeNull();
    const scheduled = experienced().quietFor(minute).until("hibernated");
    const count = autoOf(scheduled.state).gaps.length;
    const wake = { actor: { kind: "schedule" as const }, gpuType: null, region: null, askedAt: scheduled.now };
    scheduled.apply({ type: "wake", wake });
    scheduled.until("running");
    expect(autoOf(scheduled.state)).toMatchObject({ gap: null, falseSleeps: 0 });
    expect(autoOf(scheduled.state).gaps).toHaveLength(count);
  });

  it("the credit starts at one cycle and moves by `2 opt - cost`", () => {
    const world = experienced().quietFor(2 * minute);
    const { cycleMicroUsd } = plan(world);
    expect(autoOf(world.state).creditMicroUsd).toBe(cycleMicroUsd);
    world.busyFor(minute);
    const [, lengthS] = autoOf(world.state).gaps.at(-1)!;
    const gained = autoOf(world.state).creditMicroUsd! - cycleMicroUsd!;
    // Ended before the machine went: the clairvoyant had stayed as well.
    expect(Math.abs(gained - (400_000 * lengthS) / 3600)).toBeLessThan(100);
  });

  it("before anything is measured it waits half an hour, and says what is missing", () => {
    const world = scenario().create(auto).until("running").quietFor(minute);
    expect(plan(world)).toMatchObject({ reason: "costs_unknown", tauMs: 30 * minute, costs: null });
    expect(plan(world).unknown).toEqual(["snapshot_size", "upload_time", "restore_time"]);
    world.until("hibernated");
    expect(autoOf(world.state).creditMicroUsd).toBeNull();
  });

  it("a state that was written before there was anything to remember is empty, and goes on", () => {
    const world = scenario().create().until("running").quietFor(30_000);
    const { auto: _, ...rest } = structuredClone(world.state);
    const old: State = rest;
    const config = { ...old.config, pause_after_idle_minutes: "auto" as const };
    const quiet = { kind: "quiet" as const, since: world.now - 5 * minute, ripe: true };
    const beat = { type: "beat" as const, epoch: 1, verdict: quiet, results: [], seal: null, progressed: false };
    const { state } = transition({ ...old, config }, beat, { now: world.now, timings });
    expect(autoOf(state).gap?.plan?.reason).toBe("costs_unknown");
    expect(autoOf(old)).toMatchObject({ gaps: [], sleeps: 0 });
  });

  it("the memory of a full ring stays small", () => {
    const world = experienced();
    const gaps = Array.from({ length: 256 }, (_, i) => [1_800_000_000 + i * 9_000, 86_400 + i, 23.9] as const);
    world.state = { ...world.state, auto: { ...autoOf(world.state), gaps: [...gaps] } };
    world.quietFor(2 * minute).busyFor(minute);
    expect(autoOf(world.state).gaps).toHaveLength(256);
    expect(JSON.stringify(world.state.auto).length).toBeLessThan(8_000);
  });
});
