/** Pause mode `stop`, each way that it may go, in the small world with every invariant. */
import { describe, expect, it } from "vitest";

import { isUnsaved } from "./parked.ts";
import { ranMs } from "./testing/provider.ts";
import { timings, World } from "./testing/world.ts";
import { transition } from "./transition.ts";

const minute = 60_000;

/** Asleep with its machine stopped; the rule is off, so that nothing but what is asked for happens. */
function asleep(config: Parameters<World["create"]>[0] = {}): World {
  const settings = { enabled: false, pause_mode: "stop", delete_after_pause_minutes: 30 } as const;
  const world = new World().create({ ...settings, ...config });
  world.run(minute);
  world.writing(true);
  world.run(30_000);
  world.hibernate();
  world.run(minute);
  expect(world.state.now.status).toBe("hibernated");
  world.writing(false);
  return world;
}
/** Asleep for the second time: the store has an older snapshot as well. */
function asleepTwice(config: Parameters<World["create"]>[0] = {}): World {
  const world = asleep(config);
  world.run(minute);
  world.wake();
  world.run(minute);
  world.writing(true);
  world.run(minute);
  world.writing(false);
  world.hibernate();
  world.run(minute);
  expect(world.state).toMatchObject({ now: { status: "hibernated" }, epoch: 1 });
  expect(world.store.manifests.size).toBeGreaterThan(1);
  return world;
}
/** What a wake would bring back from the store. */
const stored = (world: World) =>
  [...world.store.manifests.values()].find((one) => one.ref.seq === world.state.snapshot?.ref.seq)?.content;
const types = (world: World) => world.logs.map((one) => one.type);
const only = (world: World) => {
  expect(world.provider.paid(world.now)).toHaveLength(1);
  return world.provider.paid(world.now)[0]!;
};

describe("pause mode stop", () => {
  it("stands still, and a wake starts the same machine without a restore", () => {
    const world = asleep();
    const machine = only(world);
    expect(machine.haltedAt).not.toBeNull();
    expect(world.state.parked?.machine.rest?.proof).toEqual(world.state.snapshot?.ref);
    const { content } = machine.agent;
    world.wake();
    world.run(minute);
    expect(world.state.now).toMatchObject({ status: "running", machine: { epoch: 1 } });
    expect(world.state.parked).toBeUndefined();
    expect(only(world)).toBe(machine);
    expect(machine.agent.content).toBeGreaterThanOrEqual(content);
    expect(types(world)).not.toContain("restore_started");
    world.rest();
  });

  it("a stop that is accepted and not carried out is told of in the log, once for each trouble", () => {
    const world = new World().create({ enabled: false, pause_mode: "stop" });
    world.run(minute);
    world.provider.trouble.stopLagMs = 9 * minute;
    world.hibernate();
    world.run(4 * minute);
    const lines = () => world.logs.filter((one) => one.type === "stop_failed").map((one) => one.params);
    expect(lines()).toEqual([{ epoch: 1, message: "accepted, and still there", tries: 6 }]);
    world.run(10 * minute);
    expect(world.state.now.status).toBe("hibernated");
    expect(lines().slice(1)).toMatchObject([{ tries: 10, again: true }]);
    expect(world.state.parked?.isTold).toBeUndefined();
  });

  it("one that is asked for again past the seal did not stand still by then, and has no proof any more", () => {
    const world = new World().create({ enabled: false, pause_mode: "stop" });
    world.run(minute);
    world.provider.trouble.stopLagMs = 60 * minute;
    world.hibernate();
    for (let i = 0; i < 120 && !world.state.parked?.acceptedAt; i++) world.run(500);
    const { state } = world;
    const { sealedUntil } = state.now as { sealedUntil: number };
    const again = { type: "stopTried", epoch: 1, accepted: true, message: null } as const;
    const at = (now: number) => transition(state, again, { now, timings }).state.parked?.machine.rest?.proof;
    expect(at(sealedUntil - 1)).toEqual(state.parked?.machine.rest?.proof);
    expect(at(sealedUntil)).toBeNull();
  });

  it("while its host is away it is asked to stop later and later", () => {
    const world = asleep();
    world.hostAway(60 * minute);
    const { parked } = world.state;
    world.state = { ...world.state, parked: { ...parked!, stoppedAt: null, tries: 0, nextAt: world.now } };
    const before = world.effects.filter((one) => one.kind === "stop").length;
    world.run(20 * minute);
    expect(world.effects.filter((one) => one.kind === "stop").length - before).toBeLessThan(35);
  });

  it("is destroyed when the pause is over", () => {
    const world = asleep();
    world.run(40 * minute);
    expect(world.state.now.status).toBe("deleted");
    expect(world.provider.paid(world.now)).toEqual([]);
    world.rest();
  });

  it.each(["startQueued", "startQueuedUnsaid", "startFails"] as const)(
    "%s: the ladder goes on without it",
    (trouble) => {
      const world = asleep();
      const old = only(world);
      world.provider.trouble[trouble] = 1;
      world.wake();
      world.run(4 * minute);
      expect(world.state.now).toMatchObject({ status: "running", machine: { epoch: 2 } });
      expect(only(world)).not.toBe(old);
      expect(old).toMatchObject({ cause: "destroyed", boots: 1 });
      expect(only(world).agent.content).toBe(old.agent.content);
      world.rest();
    },
  );

  it("a snapshot that is damaged is taken anew before the machine ends", () => {
    const world = asleep();
    const machine = only(world);
    world.damage(0);
    world.run(34 * minute);
    expect(types(world)).toContain("snapshot_damaged");
    expect(types(world)).not.toContain("snapshot_replaced");
    expect(machine.boots).toBe(2);
    expect(machine.cause).toBe("destroyed");
    expect(world.state.now.status).toBe("hibernated");
    world.run(40 * minute);
    expect(world.state.now.status).toBe("deleted");
    world.rest();
  });

  it("a damaged snapshot and a machine that does not start: both are kept until it does", () => {
    const world = asleep();
    const machine = only(world);
    world.damage(0);
    world.provider.trouble.startFails = 2;
    world.run(50 * minute);
    expect(machine.cause).toBeNull();
    expect(world.state.now.status).toBe("hibernated");
    world.run(3 * 60 * minute);
    expect(machine.cause).toBe("destroyed");
    expect(world.state.now.status).toBe("deleted");
    world.rest();
  });

  it("a stop that came after its seal leaves a machine without a proof, which is saved first", () => {
    const world = new World().create({ enabled: false, pause_mode: "stop", delete_after_pause_minutes: 30 });
    world.run(minute);
    world.writing(true);
    world.provider.trouble.stopLagMs = 5 * minute;
    world.hibernate();
    for (let i = 0; i < 200 && world.state.parked?.acceptedAt == null; i++) world.run(500);
    const machine = only(world);
    // Nobody hears its agent: the seal ends, and it writes on.
    world.net.downUntil = world.now + 7 * minute;
    world.run(8 * minute);
    expect(world.state.now.status).toBe("hibernated");
    expect(world.state.parked?.machine.rest?.proof).toBeNull();
    world.provider.trouble.stopLagMs = 0;
    world.run(90 * minute);
    expect(machine).toMatchObject({ boots: 2, cause: "destroyed" });
    world.rest();
  });

  it("a wake without a start ends while nothing but the machine has what is on it", () => {
    const world = asleep();
    const { parked } = world.state;
    world.state = {
      ...world.state,
      parked: { ...parked!, machine: { ...parked!.machine, rest: { since: 0, proof: null } } },
    };
    world.provider.trouble.startFails = 1;
    world.wake();
    world.run(minute);
    expect(world.state).toMatchObject({
      now: { status: "hibernated" },
      parked: {},
      trouble: { code: "provider_refused" },
    });
    world.run(minute);
    world.wake();
    world.run(minute);
    expect(world.state.now).toMatchObject({ status: "running", machine: { epoch: 1 } });
  });

  it("a host that was away starts it when it is back: it is stopped again, and ends once another one runs", () => {
    const world = asleep();
    const old = only(world);
    world.hostAway(2 * minute);
    world.provider.trouble.startFails = 1;
    world.wake();
    world.run(10 * minute);
    expect(world.state.now).toMatchObject({ status: "running", machine: { epoch: 2 } });
    expect(old).toMatchObject({ cause: "destroyed" });
    expect(only(world)).not.toBe(old);
    world.rest();
  });

  it("started by somebody else, it is taken into use", () => {
    const world = asleep();
    world.run(minute);
    world.startElsewhere();
    world.run(minute);
    expect(world.state.now).toMatchObject({ status: "running", machine: { epoch: 1 } });
    world.rest();
  });

  it("ends at once when its owner wants machines destroyed", () => {
    const world = asleep();
    world.configure({ pause_mode: "destroy" });
    world.run(minute);
    expect(world.provider.paid(world.now)).toEqual([]);
    expect(world.state.now.status).toBe("hibernated");
    world.rest();
  });

  it("vanishes, and the snapshot is what remains", () => {
    const world = asleep();
    world.vanishStopped();
    world.run(12 * minute);
    expect(world.state.parked).toBeUndefined();
    expect(world.state).toMatchObject({ now: { status: "hibernated" }, trouble: null });
    world.wake();
    world.run(2 * minute);
    expect(world.state.now).toMatchObject({ status: "running", machine: { epoch: 2 } });
    world.rest();
  });

  it("a wake that is called off stops it again", () => {
    const world = asleep();
    world.provider.trouble.bootLagMs = minute;
    world.wake();
    world.run(3_000);
    world.hibernate();
    world.run(minute);
    expect(only(world).haltedAt).not.toBeNull();
    expect(world.state.now.status).toBe("hibernated");
    world.rest();
  });

  it("charges the GPU for as long as it ran, and the disk for the rest", () => {
    const world = asleep();
    world.run(20 * minute);
    world.wake();
    world.run(10 * minute);
    world.hibernate();
    world.run(60 * minute);
    const [machine] = world.provider.machines;
    const charges = world.effects.filter((one) => one.kind === "charge");
    const sum = (isDisk: boolean) =>
      charges.filter((one) => (one.isDisk ?? false) === isDisk).reduce((ms, one) => ms + one.toAt - one.fromAt, 0);
    expect(Math.abs(sum(false) - ranMs(machine!, world.now))).toBeLessThan(30_000);
    const isHere = machine!.endedAt! - machine!.createdAt;
    expect(Math.abs(sum(true) - (isHere - ranMs(machine!, world.now)))).toBeLessThan(30_000);
  });
});

/** The store lost what the stopped machine was sealed with: it is the only one that has it. */
describe("a stopped machine whose snapshot is damaged", () => {
  /** A wake to another GPU, of which there is none: the epoch counts on, and nothing ran. */
  function wakeInVain(world: World): void {
    world.run(minute);
    world.provider.trouble.noOffer = 1;
    world.wake({ gpuType: "H100" });
    world.run(minute);
    expect(world.state).toMatchObject({ now: { status: "hibernated" }, epoch: 2, parked: { machine: { epoch: 1 } } });
  }

  it.each(["startQueued", "otherGpu"] as const)("I1: a wake before that found nothing (%s) changes nothing", (how) => {
    const world = asleepTwice();
    const { content } = only(world).agent;
    world.run(minute);
    world.provider.trouble.noOffer = 1;
    if (how === "startQueued") world.provider.trouble.startQueued = 1;
    world.wake(how === "startQueued" ? {} : { gpuType: "H100" });
    world.run(2 * minute);
    expect(world.state).toMatchObject({ now: { status: "hibernated" }, epoch: 2 });
    world.damage(0);
    world.run(100 * minute);
    expect(types(world)).not.toContain("snapshot_replaced");
    expect(world.state).toMatchObject({ now: { status: "deleted" }, snapshot: { ref: { epoch: 1 } } });
    expect(stored(world)).toBe(content);
    world.rest();
  });

  it("is kept, shown as unsaved and told of while it does not start; a wake of any kind takes it", () => {
    const world = asleepTwice();
    const machine = only(world);
    world.damage(0);
    world.provider.trouble.startFails = 1;
    world.run(32 * minute);
    expect(world.state).toMatchObject({
      now: { status: "hibernated" },
      parked: { machine: { rest: { proof: null } } },
    });
    expect(types(world)).toEqual(expect.arrayContaining(["snapshot_damaged", "machine_kept", "wake_failed"]));
    world.run(minute);
    world.wake({ gpuType: "H100" });
    world.run(minute);
    expect(world.state.now).toMatchObject({ status: "running", machine: { epoch: 1 } });
    expect(only(world)).toBe(machine);
  });

  it("stays when its owner wants machines destroyed, until it is saved", () => {
    const world = asleepTwice();
    const machine = only(world);
    const { content } = machine.agent;
    world.damage(0);
    world.provider.trouble.startFails = 1;
    world.run(32 * minute);
    world.configure({ pause_mode: "destroy" });
    world.run(5_000);
    expect(machine.cause).toBeNull();
    world.run(60 * minute);
    expect(machine.cause).toBe("destroyed");
    expect(stored(world)).toBe(content);
    world.rest();
  });

  it("is given up by its owner; then an older snapshot takes the place", () => {
    const world = asleepTwice();
    world.damage(0);
    world.provider.trouble.startFails = 1;
    world.run(32 * minute);
    world.discard();
    world.run(60 * minute);
    expect(types(world)).toEqual(expect.arrayContaining(["discarded", "snapshot_replaced"]));
    expect(world.state.now.status).toBe("deleted");
    world.rest();
  });

  it("is found out by a restore on another machine: the next wake takes the stopped one", () => {
    const world = asleepTwice();
    const machine = only(world);
    world.run(minute);
    world.damage(0);
    world.wake({ gpuType: "H100" });
    world.run(2 * minute);
    expect(world.state).toMatchObject({
      now: { status: "hibernated" },
      trouble: { code: "snapshot_damaged" },
      parked: { machine: { epoch: 1, rest: { proof: null } } },
    });
    world.wake();
    world.run(minute);
    expect(world.state.now).toMatchObject({ status: "running", machine: { epoch: 1 } });
    expect(only(world)).toBe(machine);
  });

  it.each([
    ["none verifies", false],
    ["only an older one verifies", true],
  ])("a newer snapshot is damaged as well, and %s: the machine is what there is", (_, hasOlder) => {
    const world = asleepTwice();
    const content = only(world).agent.content;
    const { parked } = world.state;
    const { ref } = world.state.snapshot!;
    // Another one ran and slept, and the stop of this one took as long.
    const newer = { seq: ref.seq + 1, epoch: 2, digest: "f".repeat(64) };
    const snapshot = { ref: newer, stats: null, provedAt: world.now };
    world.state = { ...world.state, epoch: 2, seq: newer.seq, snapshot, parked: { ...parked!, stoppedAt: null } };
    const [oldest, ...others] = world.store.manifests.keys();
    world.store.manifests.set(`2.${newer.seq}`, { ref: newer, content: 0, at: world.now });
    world.store.damagedOnes.add(`2.${newer.seq}`);
    for (const key of hasOlder ? others : [oldest!, ...others]) world.store.damagedOnes.add(key);
    world.run(100 * minute);
    expect(types(world)).not.toContain("snapshot_replaced");
    expect(types(world)).not.toContain("failed");
    expect(world.state.now.status).toBe("deleted");
    expect(stored(world)).toBe(content);
  });

  it("I4: a wake that waits for what takes its place takes the machine", () => {
    const world = asleepTwice();
    wakeInVain(world);
    const phase = world.state.now;
    if (phase.status !== "hibernated") throw new Error(phase.status);
    const { ref } = world.state.snapshot!;
    // As a state of before has it: salvage was asked for although the machine is there.
    const damaged = { ref, message: "a part is missing", wake: null };
    world.damage(0);
    world.state = { ...world.state, now: { ...phase, verifyAt: world.now + 5_000, damaged } };
    world.wake();
    world.run(minute);
    expect(types(world)).not.toContain("snapshot_replaced");
    expect(world.state.now).toMatchObject({ status: "running", machine: { epoch: 1 } });
  });
});

describe("going back while the stopped machine holds what no snapshot has", () => {
  function unsaved(): World {
    const world = asleepTwice();
    const { parked } = world.state;
    const machine = { ...parked!.machine, rest: { since: 0, proof: null } };
    world.state = { ...world.state, parked: { ...parked!, machine } };
    world.run(minute);
    return world;
  }
  const older = (world: World) => {
    const [first] = world.store.manifests.values();
    return { ref: first!.ref, stats: null, provedAt: first!.at };
  };

  it("ends at once and says so, and the machine stays as it is", () => {
    const world = unsaved();
    expect(isUnsaved(world.state)).toBe(true);
    world.wake({ snapshot: older(world), keepTrying: { until: world.now + 60 * minute, tries: 0 } });
    world.run(5_000);
    expect(world.state).toMatchObject({
      now: { status: "hibernated" },
      trouble: { code: "machine_unsaved" },
      epoch: 1,
    });
    expect(world.state.retry).toBeUndefined();
    expect(only(world).boots).toBe(2);
  });

  it("is possible once the machine is saved", () => {
    const world = unsaved();
    world.wake();
    world.run(minute);
    world.hibernate();
    world.run(2 * minute);
    expect(isUnsaved(world.state)).toBe(false);
    const { ref } = older(world);
    world.rollBack(9);
    world.run(2 * minute);
    expect(world.state).toMatchObject({ now: { status: "running" }, snapshot: { ref } });
    world.rest();
  });
});
