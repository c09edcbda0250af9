/** Checkpoints and the records of proofs, over the API: real D1 and R2. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { InstanceSummary, SnapshotView } from "../../core/protocol/views.ts";
import type { SnapshotRef } from "../../core/protocol/wire.ts";
import type { InstanceObject } from "../instance/object.ts";
import {
  advance,
  alarmAfter,
  api,
  type FakeAgent,
  fallAsleep,
  runningInstance,
  type Sleeper,
  settle,
  sha256Hex,
  sqlOf,
  stats,
  stubOf,
  type TestUser,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import type { FakeVast } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;
beforeEach(async () => {
  ({ vast, user } = await setScene());
});
afterEach(endScene);

const minute = 60_000;
const every = (interval_minutes: number) => ({ checkpoint: { interval_minutes } });
const iso = (at: number) => new Date(at).toISOString();
const snapshotsOf = async (nest: Sleeper) =>
  (await api<{ snapshots: SnapshotView[] }>("GET", `${nest.path}/snapshots`, { token: user.token })).body.snapshots;
const keysOf = async (nest: Sleeper) =>
  (await env.SNAPSHOTS.list({ prefix: `i/${nest.id}/` })).objects.map((one) => one.key.slice(`i/${nest.id}/`.length));

/** Busy until a checkpoint is wanted, then takes it. */
async function checkpoint(nest: Sleeper, agent: FakeAgent, torn = 0): Promise<{ ref: SnapshotRef; keys: string[] }> {
  for (let i = 0; i < 60 && !agent.answer?.commands.some((one) => one.kind === "checkpoint"); i++) {
    await agent.beatFor(10_000, 80);
  }
  const { id, seq } = agent.command("checkpoint");
  const made = await agent.store(seq, {}, torn);
  const tornPaths = ["train.log"].slice(0, torn);
  const taken = { commandId: id, outcome: "snapshot_taken", snapshot: made.ref, stats, torn, tornPaths };
  await agent.beat({ gpu: 80, results: [taken] });
  await settle(nest.id);
  await agent.beat({ gpu: 80 });
  expect(agent.answer?.commands).toEqual([]);
  return made;
}

async function lose(nest: Sleeper, agent: FakeAgent): Promise<void> {
  vast.machines.delete(agent.machine.id);
  for (let i = 0; i < 20 && (await nest.view()).state !== "hibernated"; i++) await alarmAfter(nest.id, 70_000);
}

describe("a checkpoint", () => {
  it("is asked for after the interval, proved although it is torn, and shown with its age in view and list", async () => {
    const { nest, agent } = await runningInstance(vast, user, every(5));
    const startAt = Date.now();
    expect(await nest.view()).toMatchObject({
      recovery_point: null,
      checkpoints: { next_at: iso(startAt + 5 * minute), running_since: null, failure: null },
    });
    await agent.beatFor(5 * minute, 80);
    const { seq, since, minChangeBytes } = agent.command("checkpoint") as {
      seq: number;
      since: null;
      minChangeBytes: number;
    };
    expect([seq, since, minChangeBytes]).toEqual([1, null, 0]);
    const began = Date.now();
    const progress = { commandId: "checkpoint.1.1", phase: "read", ...zero, doneBytes: 5 };
    await agent.beat({ gpu: 80, extra: { progress } });
    expect(await nest.view()).toMatchObject({
      state: "running",
      progress: null,
      checkpoints: { next_at: null, running_since: iso(began), progress: { done_bytes: 5 } },
    });
    const { ref } = await checkpoint(nest, agent, 3);
    advance(90_000);
    expect(await nest.view()).toMatchObject({
      state: "running",
      trouble: null,
      snapshot: null,
      recovery_point: {
        kind: "checkpoint",
        snapshot_id: `${nest.id}@${ref.seq}`,
        at: iso(began),
        age_seconds: (Date.now() - began) / 1000,
        torn: 3,
        torn_paths: ["train.log"],
      },
      checkpoints: { next_at: iso(began + 5 * minute), running_since: null },
    });
    await settle(nest.id);
    const { body } = await api<{ instances: InstanceSummary[] }>("GET", "/api/instances", { token: user.token });
    expect(body.instances[0]?.recovery_point_at).toBe(iso(began));
    expect(await snapshotsOf(nest)).toMatchObject([
      {
        seq: 1,
        kind: "checkpoint",
        torn: 3,
        proof: { digest: ref.digest, parts: 2, bytes: 129, sealed_at: null, machine_gone_at: null },
      },
    ]);
  });

  it("costs its beats few rows: what moves while it is taken is not written", async () => {
    const { nest, agent } = await runningInstance(vast, user, every(5));
    await agent.beatFor(5 * minute, 80);
    await settle(nest.id);
    const saved = () => sqlOf<{ saved_at: number }>(nest.id, "SELECT saved_at FROM instance");
    const [before] = await saved();
    for (let i = 1; i <= 8; i++) {
      advance(10_000);
      const progress = { commandId: "checkpoint.1.1", phase: "read", ...zero, doneBytes: i };
      await agent.beat({ gpu: 80, extra: { progress } });
    }
    expect(await saved()).toEqual([before]);
  });

  it("ends with a sleep", async () => {
    const { nest, agent } = await runningInstance(vast, user, every(5));
    await checkpoint(nest, agent);
    await agent.beatFor(5 * minute, 80);
    expect(agent.command("checkpoint").seq).toBe(2);
    await nest.post("hibernate");
    await agent.beat({ gpu: 80 });
    expect(agent.answer?.commands.map((one) => one.kind)).toEqual(["snapshot"]);
    const ref = await fallAsleep(nest, agent);
    expect(await nest.view()).toMatchObject({
      state: "hibernated",
      recovery_point: null,
      snapshot: { seq: ref.seq, kind: "sleep" },
    });
    expect((await snapshotsOf(nest)).map((one) => one.kind)).toEqual(["sleep", "checkpoint"]);
  });

  it("of a running machine as many stay as retention says, with every part that a kept one lists", async () => {
    const { nest, agent } = await runningInstance(vast, user, { ...every(5), retention: { keep_newest: 2 } });
    const made: { ref: SnapshotRef; keys: string[] }[] = [];
    for (let i = 0; i < 15; i++) made.push(await checkpoint(nest, agent));
    await alarmAfter(nest.id, 10_000);
    await settle(nest.id);
    const left = await keysOf(nest);
    const manifests = left.filter((key) => key.startsWith("manifests/"));
    // Looked through once an hour.
    expect(manifests.length).toBeLessThan(made.length);
    for (const { ref, keys } of made.slice(-2)) {
      expect(left).toContain(`manifests/${String(ref.seq).padStart(8, "0")}-1`);
      for (const key of keys) expect(left).toContain(`parts/${key}`);
    }
  });

  it("is switched off and on, and set, by name", async () => {
    const { nest, agent } = await runningInstance(vast, user, every(1));
    const put = (change: object) =>
      api("PUT", `${nest.path}/config`, { token: user.token, json: { auto_hibernation: { checkpoint: change } } });
    expect((await put({ enabled: false })).body).toMatchObject({
      auto_hibernation: { checkpoint: { enabled: false, interval_minutes: 1, min_change_mb: 0 } },
    });
    await agent.beatFor(3 * minute, 80);
    expect(agent.answer?.commands).toEqual([]);
    await put({ enabled: true, min_change_mb: 250 });
    await agent.beatFor(10_000, 80);
    expect(agent.command("checkpoint")).toMatchObject({ minChangeBytes: 250_000_000 });
    for (const change of [{ interval_minutes: 0 }, { min_change_mb: -1 }, { enabled: 1 }, { often: 2 }]) {
      expect([change, (await put(change)).status]).toEqual([change, 400]);
    }
  });
});

describe("a machine that is lost", () => {
  it("wakes with the newest checkpoint, and says how old it was", async () => {
    const { nest, agent } = await runningInstance(vast, user, every(5));
    const { ref } = await checkpoint(nest, agent, 1);
    const { recovery_point } = await nest.view();
    await agent.beatFor(minute, 80);
    await settle(nest.id);
    await evictDurableObject(stubOf(nest.id));
    await lose(nest, agent);
    const lost = await nest.view();
    expect(lost).toMatchObject({
      state: "hibernated",
      trouble: { code: "machine_lost", message: expect.stringContaining(`Checkpoint ${ref.seq}`) },
      snapshot: { seq: ref.seq, kind: "checkpoint", torn: 1, created_at: recovery_point!.at },
    });
    expect((await nest.events()).find((one) => one.event_type === "machine_lost")?.params).toMatchObject({
      recovery_point: "checkpoint",
      recovery_point_seq: ref.seq,
      recovery_point_at: Date.parse(recovery_point!.at),
    });
    await nest.post("wake");
    await settle(nest.id);
    const next = nest.agent();
    await next.beat();
    const restore = next.command("restore");
    expect(restore.snapshot).toEqual(ref);
    await next.beat({ results: [{ commandId: restore.id, outcome: "restored", digest: ref.digest }] });
    expect(await nest.view()).toMatchObject({ state: "running", recovery_point: { at: iso(Date.now()) } });
    expect((await nest.events()).find((one) => one.event_type === "restored")?.params).toMatchObject({
      torn: 1,
      torn_paths: "train.log",
    });
  });

  it("its torn checkpoint is checked once more before it becomes deleted, and kept", async () => {
    const { nest, agent } = await runningInstance(vast, user, every(5));
    await checkpoint(nest, agent, 1);
    await lose(nest, agent);
    await alarmAfter(nest.id, 6 * minute);
    expect(await nest.view()).toMatchObject({ state: "deleted", snapshot: { kind: "checkpoint" } });
    const [kept] = await snapshotsOf(nest);
    expect(kept).toMatchObject({ torn: 1, damaged: null });
    expect(Date.parse(kept!.proof!.at)).toBeGreaterThan(Date.parse(kept!.proved_at!));
  });
});

describe("the record of a proof", () => {
  it("says what was checked, when, and what came of it", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    const ref = await fallAsleep(nest, agent);
    await alarmAfter(nest.id, 6 * minute);
    expect((await nest.view()).state).toBe("deleted");
    const [stored] = await snapshotsOf(nest);
    const manifest = await env.SNAPSHOTS.get(`i/${nest.id}/manifests/0000000${ref.seq}-1`);
    const bytes = await manifest!.arrayBuffer();
    const sha256 = await sha256Hex(new Uint8Array(bytes));
    const proof = stored!.proof!;
    expect(proof).toMatchObject({
      digest: ref.digest,
      parts: 2,
      bytes: 129,
      manifest_bytes: bytes.byteLength,
      manifest_sha256: sha256,
    });
    const times = [stored!.proved_at, proof.sealed_at, proof.machine_gone_at, proof.at].map((at) => Date.parse(at!));
    expect(times.every(Number.isFinite)).toBe(true);
    expect(times).toEqual([...times].sort());
    expect(stored).toMatchObject({ kind: "sleep", torn: 0, damaged: null });
  });

  it("of an object of before there was one has nothing to say of it, and takes the next one in", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await runInDurableObject(stubOf(nest.id), (_object: InstanceObject, ctx) => {
      ctx.storage.sql.exec("ALTER TABLE snapshots DROP COLUMN record");
      ctx.storage.sql.exec("DROP TABLE schema_version");
    });
    await evictDurableObject(stubOf(nest.id));
    await fallAsleep(nest, agent);
    expect((await snapshotsOf(nest))[0]?.proof?.sealed_at).not.toBeNull();
  });
});

const zero = {
  entries: 0,
  files: 0,
  plainBytes: 0,
  doneBytes: 0,
  reusedBytes: 0,
  storedBytes: 0,
  sentBytes: 0,
  partsDone: 0,
  partsTotal: 0,
};
