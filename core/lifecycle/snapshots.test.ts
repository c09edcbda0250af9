/** Snapshots, told as stories: going back to an older one, making an instance from one, what retention takes, what is damaged. */
import { describe, expect, it } from "vitest";
import { actionsFor, judgeWake } from "./abilities.ts";
import { deadlines } from "./deadlines.ts";
import { inUse } from "./snapshots.ts";
import { type Scenario, scenario, step } from "./testing/scenario.ts";
import { timings } from "./testing/world.ts";

const minute = 60_000;

/** Asleep, with one snapshot for each number of writes. */
function nights(count: number, config: object = {}): Scenario {
  const world = scenario().create({ delete_after_pause_minutes: 60, ...config });
  for (let i = 0; i < count; i++) {
    world.until("running");
    world.run(6_000);
    world.writing(true);
    world.run(5_000);
    world.writing(false);
    world.run(2_000);
    world.hibernate().until("hibernated");
    if (i < count - 1) {
      world.run(minute);
      world.wake();
    }
  }
  world.run(minute);
  return world;
}

const manifests = (world: Scenario) => [...world.store.manifests.values()].map((one) => one.ref.seq);
const contentOf = (world: Scenario, seq: number) =>
  [...world.store.manifests.values()].find((one) => one.ref.seq === seq)?.content;

describe("going back to an older snapshot", () => {
  it("restores it, makes it the current one, and leaves the newer ones where they are", () => {
    const world = nights(3);
    const all = manifests(world);
    const [oldest = 0] = all;
    world.rollBack(2).until("running");
    expect(world.state.snapshot?.ref.seq).toBe(oldest);
    world.run(6_000);
    expect(world.agent?.content).toBe(contentOf(world, oldest));
    expect(manifests(world)).toEqual(all);
    expect(world.logs.find((one) => one.type === "rolled_back")?.params).toMatchObject({ snapshot_seq: oldest });
    // What comes after it has a number of its own.
    world.hibernate().until("hibernated");
    expect(world.state.snapshot?.ref.seq).toBeGreaterThan(Math.max(...all));
  });

  it("one that ends without a machine changes nothing", () => {
    const world = nights(2);
    const before = world.state.snapshot;
    world.provider.trouble.noOffer = 9;
    world.rollBack(1).until("hibernated");
    expect(world.said()).toContain("wake_failed");
    expect(world.state.snapshot).toEqual(before);
  });

  it("one that is called off while the files come back changes nothing, and the next wake brings the newest", () => {
    const world = nights(2);
    const before = world.state.snapshot!;
    world.rollBack(1).until("restoring").hibernate().until("hibernated");
    expect(world.state.snapshot).toEqual(before);
    world.run(2 * minute);
    world.wake().until("running");
    world.run(6_000);
    expect(world.agent?.content).toBe(contentOf(world, before.ref.seq));
  });

  it("what is gone back to is in use from the first moment, also while it is tried again", () => {
    const world = nights(2);
    world.provider.trouble.noOffer = 1;
    const seq = Math.min(...manifests(world));
    const snapshot = [...world.store.manifests.values()].find((one) => one.ref.seq === seq)!.ref;
    world.wake({
      snapshot: { ref: snapshot, stats: null, provedAt: world.now },
      keepTrying: { until: world.now + 3_600_000, tries: 0 },
    });
    expect(inUse(world.state, world.now)).toContainEqual({ seq, epoch: snapshot.epoch });
    world.until((w) => w.state.retry !== undefined);
    expect(inUse(world.state, world.now)).toContainEqual({ seq, epoch: snapshot.epoch });
    world.until("running");
    expect(world.state.snapshot?.ref.seq).toBe(seq);
  });
});

describe("retention", () => {
  it("takes what is beyond the newest so many, some time after a proof, and says so", () => {
    const world = nights(3, { retention: { keep_newest: 2, keep_days: null } });
    const all = manifests(world);
    world.run(2 * timings.collectEveryMs);
    expect(manifests(world)).toEqual(all.slice(-2));
    expect(world.logs.find((one) => one.type === "snapshots_removed")?.params).toMatchObject({ count: 1 });
    expect(deadlines(world.state, timings)).not.toHaveProperty("collect");
  });

  it("a smaller number lets more go at once", () => {
    const world = nights(3);
    world.configure({ retention: { keep_newest: 1, keep_days: null } });
    world.run(2 * timings.collectAfterMs);
    expect(manifests(world)).toEqual([world.state.snapshot!.ref.seq]);
  });

  it("takes neither the current one after going back, nor one that another instance is made from", () => {
    const world = nights(4);
    const all = manifests(world);
    const held = [...world.store.manifests.values()][1]!.ref;
    const by = world.state.instance;
    world.apply({ type: "hold", hold: { by, ref: held, until: world.now + 5 * 3_600_000 } });
    world
      .rollBack(3)
      .until("running")
      .configure({ retention: { keep_newest: 1, keep_days: null } })
      .busyFor(3 * timings.collectEveryMs);
    expect(manifests(world).sort()).toEqual([all[0], all[1], all[3]].sort());
    // The hold is over by itself.
    world.run(3 * timings.collectEveryMs);
    world.configure({ retention: { keep_newest: 1, keep_days: 0 } });
    world.run(2 * timings.collectAfterMs);
    expect(manifests(world).sort()).toEqual([all[0], all[3]].sort());
  });

  it("looks at nothing while a snapshot is taken or brought back", () => {
    const world = nights(2, { retention: { keep_newest: 1, keep_days: null } });
    world.wake().until("restoring");
    expect(deadlines(world.state, timings)).not.toHaveProperty("collect");
    world.until("running").hibernate().until(step("taking"));
    expect(deadlines(world.state, timings)).not.toHaveProperty("collect");
  });

  it("a store that does not answer is asked again later", () => {
    const world = nights(2, { retention: { keep_newest: 1, keep_days: null } });
    world.store.failsUntil = world.now + 90 * minute;
    world.configure({ delete_after_pause_minutes: 600 });
    world.run(80 * minute);
    expect(manifests(world)).toHaveLength(2);
    world.run(3 * timings.collectEveryMs);
    expect(manifests(world)).toHaveLength(1);
  });
});

describe("a damaged snapshot before the pause ends", () => {
  it("is replaced by the newest that verifies; that is said in the events and as trouble", () => {
    const world = nights(3);
    const [oldest, , newest] = [...world.store.manifests.keys()];
    world.store.damagedOnes.add(newest!).add([...world.store.manifests.keys()][1]!);
    const damaged = world.state.snapshot!.ref.seq;
    world.until("deleted");
    expect(world.state.snapshot?.ref).toEqual(world.store.manifests.get(oldest!)!.ref);
    expect(world.said()).toEqual(expect.arrayContaining(["snapshot_damaged", "snapshot_replaced", "deleted"]));
    expect(world.state.trouble?.code).toBe("snapshot_replaced");
    expect(world.state.trouble?.message).toMatch(new RegExp(`Snapshot ${damaged} is damaged.*is the current one now`));
    world.wake().until("running");
    world.run(6_000);
    expect(world.agent?.content).toBe(world.store.manifests.get(oldest!)!.content);
  });

  it("with none that verifies it fails, says what is kept, and never becomes deleted", () => {
    const world = nights(2);
    world.store.damaged = true;
    world.until("failed");
    expect(world.state.now).toMatchObject({ code: "snapshot_damaged" });
    expect(world.state.trouble?.message).toContain("1 other is damaged as well");
    expect(world.said()).not.toContain("deleted");
  });

  it("I4: a wake meanwhile waits for what takes its place; a store that does not answer is asked again", () => {
    const world = nights(2, { delete_after_pause_minutes: 5 });
    world.store.damagedOnes.add([...world.store.manifests.keys()].at(-1)!);
    world.until((w) => w.state.now.status === "hibernated" && w.state.now.damaged !== undefined);
    world.store.failsUntil = world.now + minute;
    expect(judgeWake(world.state, world.now, timings)).toEqual({ kind: "join" });
    world.wake().run(30_000);
    expect(world.state.now.status).toBe("hibernated");
    world.until("running");
    expect(world.state.snapshot?.ref.seq).toBe(Math.min(...manifests(world)));
  });
});

describe("an instance from a snapshot of another", () => {
  it("copies the snapshot, then wakes from it; its machines have epochs of their own", () => {
    const world = scenario().fork(77, true);
    expect(world.state.now.status).toBe("hibernated");
    expect(actionsFor(world.state)).toContain("hibernate");
    world.until("running");
    world.run(6_000);
    expect(world.agent?.content).toBe(77);
    expect(world.state).toMatchObject({ epoch: 2, snapshot: { kind: "copy", ref: { seq: 1, epoch: 1 } } });
    expect(world.said().slice(0, 3)).toEqual(["created", "copy_started", "copied"]);
    world.hibernate().until("hibernated");
    expect(world.state.snapshot?.ref).toMatchObject({ seq: 2, epoch: 2 });
    world.rest();
  });

  it("stays asleep where that is wanted, and its pause begins when all is here", () => {
    const world = scenario().fork(77, false);
    world.store.failsUntil = world.now + 3 * minute;
    world.run(2 * minute);
    expect(world.state).toMatchObject({ snapshot: null, copying: { wake: null } });
    world.until("deleted");
    expect(world.state.snapshot?.ref.seq).toBe(1);
    expect(world.provider.machines).toHaveLength(0);
    world.wake().until("running");
  });

  it("I4: a wake waits for the copy; hibernate takes it back", () => {
    const world = scenario().fork(77, false);
    world.store.failsUntil = world.now + minute;
    world.run(1_000);
    world.wake().run(1_000);
    world.hibernate().run(5 * minute);
    expect(world.provider.machines).toHaveLength(0);
    expect(world.said()).toContain("wake_cancelled");
  });

  it("of a snapshot that is not whole fails, says so, and can be tried again", () => {
    const world = scenario().fork(null, true).until("failed");
    expect(world.state).toMatchObject({ now: { code: "copy_failed" }, trouble: { code: "copy_failed" } });
    expect(world.provider.machines).toHaveLength(0);
    world.store.other = { digest: world.state.copying!.from.ref.digest, content: 1 };
    world.wake().until("running");
    expect(world.state.trouble).toBeNull();
  });
});
