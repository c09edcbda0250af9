import { expect, it } from "vitest";
import type { Progress } from "../protocol/wire.ts";
import { Scenario, step } from "./testing/scenario.ts";
import { waitOf } from "./wait.ts";
import { usualWake } from "./wake-times.ts";

const times = { at: 0, rentMs: 2_000, bootMs: 60_000, restoreMs: 30_000, wakeMs: 92_000 };
const slow = { ...times, rentMs: 4_000, bootMs: 90_000, restoreMs: 50_000, wakeMs: 144_000 };
const usual = usualWake([times, times, times, slow])!;

function woken(): Scenario {
  const world = new Scenario();
  world.create().until("running").hibernate();
  world.until("hibernated").run(120_000);
  return world;
}

it("counts down through the phases, and never promises less than a second", () => {
  const world = woken();
  expect(waitOf(world.state, usual, null, world.now)).toMatchObject({
    ...{ phase: "asleep", retryAfterMs: 92_000, left: { p50Ms: 92_000, p95Ms: 144_000 } },
  });
  world.wake();
  let last = Number.POSITIVE_INFINITY;
  const seen = new Set<string>();
  while (world.state.now.status !== "running") {
    const { phase, retryAfterMs } = waitOf(world.state, usual, null, world.now);
    seen.add(phase);
    expect(retryAfterMs).toBeGreaterThanOrEqual(1_000);
    expect(retryAfterMs).toBeLessThanOrEqual(last);
    last = retryAfterMs;
    world.run(500);
  }
  expect(seen).toContain("booting");
  expect(waitOf(world.state, usual, null, world.now)).toMatchObject({ phase: "connecting", retryAfterMs: 1_000 });
});

it("past the P50 the P95 is what is left, and past both it is not known", () => {
  const world = woken();
  world.wake();
  world.until(step("booting"));
  const { now: phase } = world.state;
  const since = phase.status === "provisioning" ? phase.bootingSince! : 0;
  const at = (ms: number) => waitOf(world.state, usual, null, since + ms);
  expect(at(10_000)).toMatchObject({ retryAfterMs: 80_000, left: { p50Ms: 80_000, p95Ms: 130_000 } });
  expect(at(100_000)).toMatchObject({ retryAfterMs: 40_000, left: { p50Ms: 0, p95Ms: 40_000 } });
  expect(at(200_000)).toMatchObject({ retryAfterMs: 10_000, left: null });
});

it("where too few wakes are known nothing is told but when to ask again", () => {
  const world = woken();
  expect(waitOf(world.state, null, null, world.now)).toMatchObject({ left: null, retryAfterMs: 10_000 });
});

it("a restore tells by its own bytes", () => {
  const world = woken();
  world.wake();
  world.until("restoring");
  const progress = { plainBytes: 100, doneBytes: 25 } as Progress;
  const { since } = world.state.now;
  expect(waitOf(world.state, null, progress, since + 10_000)).toMatchObject({
    phase: "restoring",
    retryAfterMs: 30_000,
  });
  const begun = { plainBytes: 100, doneBytes: 5 } as Progress;
  expect(waitOf(world.state, usual, begun, since + 10_000)).toMatchObject({ retryAfterMs: 20_000 });
});
