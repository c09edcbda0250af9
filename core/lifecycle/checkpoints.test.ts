/** Checkpoints of a running machine, told as stories. */
import { describe, expect, it } from "vitest";
import type { AutoHibernation } from "../protocol/config.ts";
import { nextCheckpointAt } from "./checkpoints.ts";
import { checkpointCommandId, commandsFor } from "./commands.ts";
import { recoveryPoint } from "./recovery.ts";
import { inUse } from "./snapshots.ts";
import { digestOf } from "./testing/agent.ts";
import { type Scenario, scenario } from "./testing/scenario.ts";
import { timings, type World } from "./testing/world.ts";
import { transition } from "./transition.ts";
import type { State } from "./types.ts";

const minute = 60_000;
const every = (interval_minutes: number, more = {}) => ({
  checkpoint: { enabled: true, interval_minutes, min_change_mb: 0, ...more },
});
const working = ({ state }: World) => !!state.checkpoint?.work;
const taken = (count: number) => (world: World) =>
  world.logs.filter((one) => one.type === "checkpoint_taken").length >= count;
const count = (world: Scenario, type: string) => world.said().filter((one) => one === type).length;

/** Busy, and writing all the time, with one checkpoint in the store. */
function withCheckpoint(config: Partial<AutoHibernation> = every(5)): Scenario {
  const world = scenario().create(config).until("running");
  world.writing(true);
  world.busy(true);
  return world.until(taken(1));
}

describe("a checkpoint", () => {
  it("is due one interval after the machine began to run, and one after the last", () => {
    const world = scenario().create(every(5)).until("running");
    world.writing(true);
    world.busy(true);
    const { since } = world.state.checkpoint!;
    expect(nextCheckpointAt(world.state)).toBe(since + 5 * minute);
    expect(recoveryPoint(world.state)).toBeNull();
    world.until(working);
    const began = world.state.checkpoint!.work!.since;
    expect(began - since).toBeGreaterThanOrEqual(5 * minute);
    expect(began - since).toBeLessThan(5 * minute + 15_000);
    world.until(taken(1));
    // What was written while it was taken may not be in it.
    expect(recoveryPoint(world.state)).toMatchObject({
      kind: "checkpoint",
      at: began,
      torn: 2,
      tornPaths: ["log.txt"],
    });
    expect(nextCheckpointAt(world.state)).toBe(began + 5 * minute);
    world.until(taken(3));
    expect(world.now - began).toBeLessThan(12 * minute);
  });

  it("is none while it is switched off, and one under way ends with the switch", () => {
    const world = scenario()
      .create(every(5, { enabled: false }))
      .until("running");
    world.writing(true);
    world.busyFor(30 * minute);
    expect(world.said()).not.toContain("checkpoint_taken");
    world.configure(every(5)).until(working);
    world.configure(every(5, { enabled: false }));
    expect(world.state.checkpoint?.work).toBeNull();
    expect(commandsFor(world.state, 1, timings)).toEqual([]);
  });

  it("does not begin the idle window anew, nor an active state: it sleeps when it would have slept", () => {
    const slept = [every(0.2), every(0.2, { enabled: false })].map((config) => {
      const world = scenario()
        .create({ ...config, pause_after_idle_minutes: 5 })
        .until("running");
      world.writing(true);
      world.quietFor(5 * minute);
      world.until("snapshotting");
      return world;
    });
    expect(slept[0]!.now).toBe(slept[1]!.now);
    expect(count(slept[0]!, "checkpoint_taken")).toBeGreaterThan(1);
    expect(count(slept[0]!, "active_again")).toBe(0);
  });

  it("of a workspace that did not change takes nothing, and the recovery point is as of now", () => {
    const world = withCheckpoint();
    world.writing(false);
    world.until(taken(2));
    const { ref, at } = recoveryPoint(world.state)!;
    world.busyFor(20 * minute);
    const later = recoveryPoint(world.state)!;
    expect(later.ref.seq - ref.seq).toBeLessThanOrEqual(1);
    expect(later.at - at).toBeGreaterThan(10 * minute);
    expect(world.store.manifests.size).toBeLessThanOrEqual(3);
  });

  it("after a wake the machine holds what was restored, as of when it ran", () => {
    const world = scenario().create(every(5)).until("running").hibernate().until("hibernated");
    world.run(60 * minute);
    world.wake().until("running");
    world.run(15_000);
    const point = recoveryPoint(world.state)!;
    expect(point).toMatchObject({ kind: "snapshot", at: world.state.checkpoint!.since });
  });

  it("where too little changed nothing is taken, and the recovery point stays as old as it is", () => {
    const world = withCheckpoint(every(5));
    const state = world.until(working).state;
    const { at } = recoveryPoint(state)!;
    const id = checkpointCommandId(1, state.checkpoint!.work!.seq);
    const results = [{ commandId: id, outcome: "unchanged", changedEntries: 3, changedBytes: 9 } as const];
    const next = beat(state, world.now, { results });
    expect(recoveryPoint(next)).toMatchObject({ at });
    expect(next.checkpoint).toMatchObject({ work: null });
    expect(nextCheckpointAt(next)).toBe(state.checkpoint!.work!.since + 5 * minute);
  });

  it("the command carries what it is compared with", () => {
    const world = withCheckpoint(every(5, { min_change_mb: 1.5 })).until(working);
    const { work, latest } = world.state.checkpoint!;
    expect(commandsFor(world.state, 1, timings)).toEqual([
      {
        id: checkpointCommandId(1, work!.seq),
        kind: "checkpoint",
        seq: work!.seq,
        since: latest!.ref.digest,
        minChangeBytes: 1_500_000,
      },
    ]);
    expect(commandsFor(world.state, 2, timings)).toEqual([]);
  });
});

describe("a sleep", () => {
  it("calls it off at once, whoever asked for it", () => {
    const world = withCheckpoint().until(taken(2)).until(working);
    world.writing(false);
    world.hibernate();
    expect(world.state.checkpoint?.work).toBeNull();
    expect(world.said()).toContain("checkpoint_called_off");
    expect(commandsFor(world.state, 1, timings).map((one) => one.kind)).toEqual(["snapshot"]);
    world.until("hibernated");
    expect(world.state.snapshot).toMatchObject({ kind: "sleep" });
  });

  it("I1: a checkpoint of the very same content lets no machine be destroyed", () => {
    const world = withCheckpoint();
    world.writing(false);
    world.until(taken(2));
    const { latest } = world.state.checkpoint!;
    expect(latest!.ref.digest).toBe(digestOf(world.agent!.content));
    const proofs = world.count("prove");
    world.hibernate().until("hibernated");
    expect(world.count("prove")).toBeGreaterThan(proofs);
    expect(world.state.snapshot!.ref.seq).toBeGreaterThan(latest!.ref.seq);
  });
});

describe("a machine that is lost", () => {
  it("comes back with the newest checkpoint, and it is said how old that is and what may be torn", () => {
    const world = withCheckpoint();
    const { at, ref } = recoveryPoint(world.state)!;
    const { content } = [...world.store.manifests.values()].at(-1)!;
    world.run(2 * minute);
    world.vanish();
    world.until("hibernated");
    expect(world.state.trouble).toMatchObject({ code: "machine_lost", message: expect.stringMatching(/2 min|3 min/) });
    expect(world.state.trouble!.message).toContain("2 entries changed while they were read");
    expect(world.logs.findLast((one) => one.type === "machine_lost")?.params).toMatchObject({
      recovery_point: "checkpoint",
      recovery_point_seq: ref.seq,
      recovery_point_at: at,
      torn: 2,
    });
    world.writing(false);
    world.wake().until("running");
    expect(world.agent?.content).toBe(content);
    expect(world.logs.findLast((one) => one.type === "restored")?.params).toMatchObject({ checkpoint_at: at, torn: 2 });
  });

  it("with a wake that waits it comes back by itself", () => {
    const world = withCheckpoint();
    world.net.downUntil = world.now + 2 * minute;
    world.until("unreachable").wake();
    world.vanish();
    world.until("restoring");
    expect(world.state.snapshot?.checkpoint).toBeDefined();
    world.until("running");
  });

  it("before it becomes deleted its checkpoint is proved once more, torn or not", () => {
    const world = withCheckpoint();
    world.vanish();
    world.until("deleted");
    expect(world.effects.findLast((one) => one.kind === "prove")).toMatchObject({ mayBeTorn: true });
  });

  it("given up by its owner it leaves the newest checkpoint", () => {
    const world = withCheckpoint();
    const { ref } = recoveryPoint(world.state)!;
    world.discard().until("deleted");
    expect(world.state.snapshot).toMatchObject({ ref, checkpoint: { torn: 2 } });
  });

  it("a proof that comes only afterwards still counts", () => {
    const world = withCheckpoint().until(working);
    world.store.failsUntil = world.now + 3 * minute;
    world.until(({ state }) => !!state.checkpoint?.work?.candidate);
    const { candidate } = world.state.checkpoint!.work!;
    world.vanish();
    world.until("hibernated");
    expect(world.state.snapshot!.ref.seq).toBeLessThan(candidate!.ref.seq);
    const next = transition(world.state, { type: "proved", ref: candidate!.ref }, { now: world.now, timings }).state;
    expect(next.snapshot).toMatchObject({ ref: candidate!.ref, checkpoint: { torn: 2 } });
  });
});

describe("failures", () => {
  it("are told once, tried again later and later, and leave the machine alone; then they are trouble", () => {
    const world = withCheckpoint();
    world.store.uploadsFail = 4;
    const running = JSON.stringify({ ...world.state.now, lastBeatAt: 0, machine: 0 });
    const pauses: number[] = [];
    for (let i = 1; i <= 4; i++) {
      world.until(({ state }) => state.checkpoint?.fails === i);
      pauses.push(world.state.checkpoint!.notBefore - world.state.checkpoint!.failure!.at);
      expect([i, world.state.trouble?.code]).toEqual([i, i < 3 ? undefined : "checkpoints_fail"]);
    }
    expect(pauses.map((ms) => ms / minute)).toEqual([5, 10, 20, 40]);
    expect(JSON.stringify({ ...world.state.now, lastBeatAt: 0, machine: 0 })).toBe(running);
    expect(count(world, "checkpoint_failed")).toBe(1);
    world.until(taken(2));
    expect(world.state).toMatchObject({ trouble: null, checkpoint: { fails: 0, failure: null } });
  });

  it("one that does not move is given up", () => {
    const world = withCheckpoint().until(working);
    const { state } = world;
    const silent = (now: number) => beat(state, now, {});
    expect(silent(world.now + 29 * minute).checkpoint?.work).not.toBeNull();
    expect(silent(world.now + 31 * minute).checkpoint).toMatchObject({
      work: null,
      failure: { code: "checkpoint_stalled" },
    });
    const moved = beat(state, world.now + 29 * minute, { progressed: true });
    expect(beat(moved, world.now + 31 * minute, {}).checkpoint?.work).not.toBeNull();
  });

  it("one that the store does not hold whole is no recovery point", () => {
    const world = withCheckpoint();
    const before = recoveryPoint(world.state)!;
    world.store.damaged = true;
    world.until(({ state }) => state.checkpoint?.fails === 1);
    expect(world.state.checkpoint?.failure?.code).toBe("checkpoint_not_proved");
    expect(recoveryPoint(world.state)).toEqual(before);
  });

  it("an agent of before, which does not know them, is not asked again", () => {
    const world = withCheckpoint().until(working);
    const commandId = checkpointCommandId(1, world.state.checkpoint!.work!.seq);
    const message = "This agent does not know it.";
    const results = [{ commandId, outcome: "failed", code: "command_unknown", message, retryable: false } as const];
    const next = beat(world.state, world.now, { results });
    expect(next).toMatchObject({ trouble: null, checkpoint: { work: null } });
    expect(nextCheckpointAt(next)).toBeNull();
  });
});

describe("the store", () => {
  it("holds as many of a machine that runs on as retention says, and one that is to come back stays", () => {
    const world = withCheckpoint({ ...every(10), retention: { keep_newest: 3, keep_days: null } });
    world.store.uploadsFail = 3;
    world.run(10 * 60 * minute);
    expect(count(world, "checkpoint_taken")).toBeGreaterThan(40);
    // Looked through once an hour.
    expect(world.store.manifests.size).toBeLessThanOrEqual(3 + 6);
    expect(inUse(world.state, world.now)).toContainEqual(
      expect.objectContaining({ seq: recoveryPoint(world.state)!.ref.seq }),
    );
    const names = [...world.store.manifests.values()].map((one) => one.ref.seq);
    expect(names).toContain(recoveryPoint(world.state)!.ref.seq);
  });
});

it("a state of before has none, and begins with its next beat", () => {
  const world = scenario().create(every(5)).until("running");
  const { checkpoint: _, ...old } = world.state;
  expect(recoveryPoint(old)).toBeNull();
  expect(beat(old, world.now + 1_000, {}).checkpoint).toMatchObject({ epoch: 1, since: world.now + 1_000, work: null });
});

function beat(state: State, now: number, more: object): State {
  const blockers = [{ signal: "gpu", code: "gpu_busy", value: 80, threshold: 5, detail: null }] as const;
  const event = {
    type: "beat" as const,
    epoch: 1,
    verdict: { kind: "busy" as const, blockers: [...blockers] },
    results: [],
    seal: null,
    progressed: false,
    ...more,
  };
  return transition(state, event, { now, timings }).state;
}
