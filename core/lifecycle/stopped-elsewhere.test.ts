/** A machine in use that is stopped at the provider, and not by Soneca: in the small world with every invariant. */
import { describe, expect, it } from "vitest";
import { actionsFor } from "./abilities.ts";
import { deadlines } from "./deadlines.ts";
import { timings, World } from "./testing/world.ts";

const minute = 60_000;

/** In use, with work on it; the rule is off, so that nothing but what is asked for happens. */
function running(config: Parameters<World["create"]>[0] = {}): World {
  const world = new World().create({ enabled: false, delete_after_pause_minutes: 10, ...config });
  world.run(minute);
  world.writing(true);
  world.run(30_000);
  world.writing(false);
  expect(world.state.now.status).toBe("running");
  return world;
}

function stopped(config: Parameters<World["create"]>[0] = {}): World {
  const world = running(config);
  world.stopElsewhere();
  world.run(3 * minute);
  expect(world.state).toMatchObject({
    now: { status: "hibernated" },
    parked: { machine: { epoch: 1, holdsWork: true, rest: { proof: null, isOthers: true } } },
  });
  return world;
}

const types = (world: World) => world.logs.map((one) => one.type);
const machine = (world: World) => world.provider.machines[0]!;

describe("a machine that is stopped at the provider", () => {
  it("is asleep with its disk, which is told of, and costs no GPU time from when it was last heard", () => {
    const world = stopped();
    expect(types(world)).toEqual(expect.arrayContaining(["unreachable", "machine_stopped", "machine_kept"]));
    expect(world.state.trouble?.code).toBe("machine_stopped");
    expect(actionsFor(world.state)).toEqual(["wake", "configure", "discard"]);
    const bills = world.effects.flatMap((one) => (one.kind === "charge" && !one.isDisk ? [one] : []));
    expect(bills).toHaveLength(1);
    expect(Math.abs(bills[0]!.toAt - machine(world).haltedAt!)).toBeLessThanOrEqual(11_000);
  });

  it("a wake starts it, and what was on its disk is there: there is no snapshot, and none is needed", () => {
    const world = stopped();
    const { content } = machine(world).agent;
    world.wake();
    world.run(minute);
    expect(world.state).toMatchObject({ now: { status: "running", machine: { epoch: 1 } }, trouble: null });
    expect(world.state.parked).toBeUndefined();
    expect(machine(world).agent.content).toBeGreaterThanOrEqual(content);
    expect(world.provider.machines).toHaveLength(1);
    world.rest();
  });

  it("I4: a wake that was asked for while nobody knew starts it", () => {
    const world = running();
    world.stopElsewhere();
    while (world.state.now.status !== "unreachable") world.run(1_000);
    world.wake();
    world.run(2 * minute);
    expect(world.state.now).toMatchObject({ status: "running", machine: { epoch: 1 } });
    world.rest();
  });

  it("one old list is no word: nothing changes until a second one says so", () => {
    const world = running();
    world.stopElsewhere();
    while (world.state.now.status !== "unreachable") world.run(1_000);
    world.run(1_000);
    expect(world.state.now).toMatchObject({ status: "unreachable", stoppedAt: expect.any(Number) });
    machine(world).haltedAt = null;
    world.run(20_000);
    expect(world.state.now.status).not.toBe("hibernated");
  });

  it("stays as it is for as long as its owner likes: the end of the pause neither starts nor ends it", () => {
    const world = stopped();
    world.run(48 * 60 * minute);
    expect(world.state.now.status).toBe("hibernated");
    expect(deadlines(world.state, timings)).not.toHaveProperty("delete");
    expect(machine(world)).toMatchObject({ stoppedAt: null, boots: 1 });
    world.rest();
  });

  it("still stays after a wake that found no GPU free on its host", () => {
    const world = stopped();
    world.provider.trouble.startQueued = 1;
    world.wake();
    world.run(minute);
    expect(world.state).toMatchObject({ now: { status: "hibernated" }, trouble: { code: "start_queued" } });
    world.run(60 * minute);
    expect(machine(world)).toMatchObject({ stoppedAt: null, boots: 1 });
    world.wake();
    world.run(minute);
    expect(world.state.now).toMatchObject({ status: "running", machine: { epoch: 1 } });
    world.rest();
  });

  it("started again over there, it is taken into use, and the word of it goes", () => {
    const world = stopped();
    world.startElsewhere();
    world.run(15 * minute);
    expect(world.state).toMatchObject({ now: { status: "running", machine: { epoch: 1 } }, trouble: null });
    world.rest();
  });

  it("given up by its owner, it ends, and with no snapshot nothing is left", () => {
    const world = stopped();
    world.discard();
    world.run(minute);
    expect(world.state.now.status).toBe("deleted");
    expect(machine(world).cause).toBe("destroyed");
    world.rest();
  });

  it("gone over there, it was the only copy: failed, and it says so", () => {
    const world = stopped();
    world.vanishStopped();
    world.run(30 * minute);
    expect(world.state).toMatchObject({
      now: { status: "failed", code: "machine_lost", kept: "Nothing: no snapshot was made." },
      trouble: { code: "machine_lost" },
    });
    world.rest();
  });

  it("gone while a wake starts it: no empty machine takes its place", () => {
    const world = stopped();
    world.provider.trouble.bootLagMs = 5 * minute;
    world.wake();
    world.run(5_000);
    expect(world.state.now).toMatchObject({ status: "provisioning", step: "booting" });
    world.provider.vanish(machine(world), world.now);
    world.run(minute);
    expect(world.state.now).toMatchObject({ status: "failed", code: "machine_lost" });
    expect(world.provider.machines).toHaveLength(1);
  });

  it("with a snapshot in the store that snapshot is what is left", () => {
    const world = running();
    world.hibernate();
    world.run(minute);
    world.wake();
    world.run(2 * minute);
    expect(world.state.now).toMatchObject({ status: "running", machine: { epoch: 2 } });
    world.stopElsewhere();
    world.run(3 * minute);
    expect(world.state.parked?.machine.epoch).toBe(2);
    world.discard();
    world.run(5 * minute);
    expect(world.state).toMatchObject({ now: { status: "hibernated" }, snapshot: { ref: { epoch: 1 } } });
    world.run(20 * minute);
    expect(world.state.now.status).toBe("deleted");
    world.rest();
  });

  it("does not take the place of another that stands still with work that nothing else has", () => {
    const world = stopped();
    const { parked } = world.state;
    const facts = { ...parked!.machine.facts!, providerId: 999 };
    world.state = { ...world.state, epoch: 2, lost: [{ ...parked!.machine, epoch: 2, label: "called gone", facts }] };
    world.apply({ type: "seen", epoch: 2, facts, phase: "running", fatal: null, message: null });
    expect(world.state).toMatchObject({ now: { status: "hibernated" }, trouble: { code: "machine_returned" } });
    expect(world.state.parked).toBe(parked);
  });
});
