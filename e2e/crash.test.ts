/**
 * The crash campaign, small: SIGKILL to each program in each step of a life, while somebody works in the workspace, and
 * then whatever the seed draws, ten cycles in all where the machine does them in four minutes. `npm run crash` does it by
 * the hundred.
 */
import { expect, it } from "vitest";
import type { FaultName } from "../local-cloud/vast/faults.ts";
import { runCampaign } from "./crash/campaign.ts";
import { type CyclePlan, type Injection, nameOf, planOf } from "./crash/plan.ts";
import { allNames, leftOut, orderedNames } from "./crash/rules.ts";

type Kill = Extract<Injection, { kind: "kill" }>;
const victims = ["worker", "agent", "vast"] as const;
const means = { disks: false, only: null };
const seed = 20_261_129;

/** The kill, and what keeps its step open for as long as it takes to kill somebody. */
function killAt(victim: Kill["victim"], step: Kill["step"]): Injection[] {
  // A quick machine is through with a step before an agent that waits for anything is killed.
  const kill: Kill = { kind: "kill", victim, step, afterMs: victim === "agent" ? 0 : 150, downMs: 200 };
  const slow = (name: FaultName, on: string): Injection => {
    return { kind: "rule", order: { name, on, ms: 2_000, times: 1 }, narrow: true };
  };
  if (step === "rent") return [slow("answer_slow", "create"), kill];
  if (step === "destroy") return [slow("slow", "destroy"), kill];
  if (step === "boot") return [kill];
  return [{ kind: "network", mode: "stalled", forMs: 1_500, step, afterMs: 0 }, kill];
}

const asleep = victims.flatMap((victim) => [killAt(victim, "snapshot"), killAt(victim, "destroy")]);
const awake = victims.flatMap((victim) => [
  // No agent is there before a machine is.
  ...(victim === "agent" ? [] : [killAt(victim, "rent")]),
  killAt(victim, "boot"),
  killAt(victim, "restore"),
]);
const drawn = 2;

function plan(cycle: number): CyclePlan {
  if (cycle >= awake.length) return planOf(seed, cycle, means);
  const injections = { sleep: asleep[cycle] ?? [], wake: awake[cycle] ?? [] };
  return { cycle, changeSeed: `kills ${cycle}`, changes: 4, writes: true, stops: false, injections };
}

it("nothing is lost, nothing is paid unseen, whoever is killed in whichever step", { timeout: 900_000 }, async ({
  signal,
}) => {
  const told: string[] = [];
  const report = await runCampaign(
    {
      ...{ cycles: awake.length + drawn, seed, from: 0, lanes: 4, only: null, most: 1, forMs: 240_000, planOf: plan },
      onEvent: (event) => event.event !== "step" && told.push(JSON.stringify(event)),
    },
    // A test that takes too long ends what it started.
    signal,
  );
  expect(report.failed).toEqual([]);
  expect(report.left).toEqual([]);
  expect(report.leakedSeconds).toBe(0);
  expect(report.cycles).toBeGreaterThanOrEqual(awake.length);
  expect(report.bytesCompared).toBeGreaterThan(1_000_000);
  const kills = [...asleep, ...awake].map((one) => nameOf(one.at(-1)!));
  const landed = (name: string) => (report.injected[name] ?? 0) > 0;
  // Some come too late for their step; e2e/kill-*.test.ts hold each step open for theirs.
  expect(kills.filter((name) => !landed(name)).length).toBeLessThanOrEqual(kills.length / 4);
  for (const victim of victims)
    expect(kills.filter((name) => name.startsWith(`kill ${victim}`) && landed(name)).length).toBeGreaterThan(1);
});

it("what a cycle does follows from its seed and number alone", () => {
  const plans = Array.from({ length: 50 }, (_, cycle) => planOf(7, cycle, { disks: true, only: null }));
  expect(Array.from({ length: 50 }, (_, cycle) => planOf(7, cycle, { disks: true, only: null }))).toEqual(plans);
  expect(planOf(8, 3, means)).not.toEqual(planOf(7, 3, means));
  const kinds = new Set(
    plans.flatMap(({ injections }) => [...injections.sleep, ...injections.wake].map((one) => one.kind)),
  );
  expect([...kinds].sort()).toEqual(["clock", "disk", "freeze", "host", "kill", "network", "rule"]);
  const without = planOf(7, 3, { disks: true, only: [] });
  expect(without.injections).toEqual({ sleep: [], wake: [] });
});

it("each fault of the stand-in is ordered, or left out for a reason", () => {
  const ordered = orderedNames();
  expect(allNames.filter((name) => ordered.has(name) === (leftOut[name] !== undefined))).toEqual([]);
});
