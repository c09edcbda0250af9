/** Snapshots in workerd with a real bucket: the history, going back, forks, retention, and what takes the place of a damaged one. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { newMachine } from "../../core/lifecycle/machines.ts";
import type { State } from "../../core/lifecycle/types.ts";
import type { ErrorBody } from "../../core/protocol/errors.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { InstanceView, SnapshotView } from "../../core/protocol/views.ts";
import type { SnapshotRef } from "../../core/protocol/wire.ts";
import { parseManifest } from "../../core/snapshot/manifest.ts";
import {
  advance,
  alarmAfter,
  api,
  type FakeAgent,
  fallAsleep,
  newUser,
  outcome,
  runningInstance,
  Sleeper,
  settle,
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

const hour = 3_600_000;

async function restore(agent: FakeAgent): Promise<SnapshotRef> {
  await agent.beat({ gpu: 0 });
  const { id, snapshot } = agent.command("restore");
  await agent.beat({ gpu: 80, results: [{ commandId: id, outcome: "restored", digest: snapshot.digest }] });
  return snapshot;
}

async function wake(nest: Sleeper, json: object = {}): Promise<FakeAgent> {
  advance(61_000);
  const { status, body } = await nest.post<InstanceView | ErrorBody>("wake", json);
  if (status !== 202) throw new Error(`no wake: ${JSON.stringify(body)}`);
  await settle(nest.id);
  return nest.agent();
}

/** Asleep after so many nights. */
async function nights(count: number, config: object = {}): Promise<{ nest: Sleeper; refs: SnapshotRef[] }> {
  const { nest, agent: first } = await runningInstance(vast, user, { delete_after_pause_minutes: 600, ...config });
  let agent = first;
  const refs: SnapshotRef[] = [];
  for (let i = 0; i < count; i++) {
    if (i > 0) {
      agent = await wake(nest);
      await restore(agent);
    }
    refs.push(await fallAsleep(nest, agent));
  }
  return { nest, refs };
}

async function history(nest: Sleeper): Promise<SnapshotView[]> {
  const answer = await api<{ snapshots: SnapshotView[] }>("GET", `${nest.path}/snapshots`, { token: nest.user.token });
  return answer.body.snapshots;
}

const seqsOf = async (nest: Sleeper) => (await history(nest)).map((one) => one.seq);

async function keysUnder(prefix: string): Promise<string[]> {
  return (await env.SNAPSHOTS.list({ prefix })).objects.map((one) => one.key);
}

async function partsOf(id: string, { seq, epoch }: SnapshotRef): Promise<string[]> {
  const key = `i/${id}/manifests/${String(seq).padStart(8, "0")}-${epoch}`;
  const parsed = parseManifest(await (await env.SNAPSHOTS.get(key))!.text());
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.manifest.parts.map((part) => `i/${id}/parts/${part.key}`);
}

async function fork(from: object, change: object = {}, token = user.token) {
  const answer = await api<InstanceView & ErrorBody>("POST", "/api/instances", { token, json: { from, ...change } });
  if (answer.status === 201) await settle(answer.body.id);
  return answer;
}

describe("the history", () => {
  it("tells of each snapshot its kind, sizes, digest and proof, and which one is current", async () => {
    const { nest, refs } = await nights(2);
    const [newest, oldest] = await history(nest);
    expect(newest).toMatchObject({
      snapshot_id: `${nest.id}@${refs[1]!.seq}`,
      kind: "sleep",
      is_current: true,
      digest: refs[1]!.digest,
      plain_bytes: stats.plainBytes,
      new_stored_bytes: stats.newStoredBytes,
      files: stats.files,
      parts: 2,
      proof: { parts: 2, bytes: 129 },
      damaged: null,
    });
    expect(oldest).toMatchObject({ seq: refs[0]!.seq, kind: "sleep", is_current: false, proof: { parts: 2 } });
    expect(Date.parse(newest!.proved_at!)).toBeGreaterThan(Date.parse(oldest!.proved_at!));
    expect(await outcome("GET", `${nest.path}/snapshots`, { token: (await newUser("Bea")).token })).toBe(
      "404 instance_not_found",
    );
  });

  it("an object of before there was a history shows and keeps what it has", async () => {
    const { nest, refs } = await nights(2, { retention: { keep_newest: 5 } });
    await runInDurableObject(stubOf(nest.id), (_, { storage }) => {
      storage.sql.exec("DROP TABLE snapshots");
      storage.sql.exec("DROP TABLE schema_version");
      const [row] = storage.sql.exec("SELECT state FROM instance").toArray();
      const old = JSON.parse(row!.state as string);
      delete old.collect;
      delete old.snapshot.kind;
      delete old.config.retention;
      storage.sql.exec("UPDATE instance SET state = ?", JSON.stringify(old));
    });
    await evictDurableObject(stubOf(nest.id));
    expect(await history(nest)).toMatchObject([
      { seq: refs[1]!.seq, kind: "sleep", is_current: true, proof: null },
      { seq: refs[0]!.seq, kind: null, is_current: false, proved_at: null },
    ]);
    await restore(await wake(nest, { snapshot: refs[0]!.seq }));
    expect((await nest.view()).snapshot?.seq).toBe(refs[0]!.seq);
    const agent = nest.agent();
    const third = await fallAsleep(nest, agent);
    await alarmAfter(nest.id, 2 * hour);
    expect(await seqsOf(nest)).toEqual([third.seq, refs[1]!.seq, refs[0]!.seq]);
  });
});

describe("going back", () => {
  it("wakes with the older snapshot, makes it current, and keeps the newer ones", async () => {
    const { nest, refs } = await nights(3);
    const agent = await wake(nest, { snapshot: refs[0]!.seq });
    // Until it is there, the newest is the current one.
    expect((await nest.view()).snapshot?.seq).toBe(refs[2]!.seq);
    expect(await restore(agent)).toEqual(refs[0]);
    expect(await nest.view()).toMatchObject({ state: "running", snapshot: { seq: refs[0]!.seq } });
    expect(await seqsOf(nest)).toEqual(refs.map((one) => one.seq).reverse());
    expect((await nest.events()).find((one) => one.event_type === "rolled_back")).toMatchObject({
      actor: `user:${user.id}`,
      snapshot_id: `${nest.id}@${refs[0]!.seq}`,
      params: { from_seq: refs[2]!.seq },
    });
    const next = await fallAsleep(nest, agent);
    expect(next.seq).toBeGreaterThan(refs[2]!.seq);
    expect((await nest.view()).snapshot?.seq).toBe(next.seq);
  });

  it("is refused while a stopped machine holds what no snapshot has: a wake would start that one", async () => {
    const { nest, refs } = await nights(2);
    await runInDurableObject(stubOf(nest.id), (_, { storage }) => {
      const [row] = storage.sql.exec("SELECT state FROM instance").toArray();
      const state: State = JSON.parse(row!.state as string);
      const machine = { ...newMachine(state, state.epoch, Date.now()), holdsWork: true };
      const parked = {
        machine: { ...machine, rest: { since: Date.now(), proof: null } },
        acceptedAt: Date.now(),
        stoppedAt: Date.now(),
        tries: 0,
        nextAt: Date.now() + hour,
      };
      storage.sql.exec("UPDATE instance SET state = ?", JSON.stringify({ ...state, parked }));
    });
    await evictDurableObject(stubOf(nest.id));
    advance(61_000);
    const before = vast.count("create");
    expect((await nest.view()).stopped_machine).toMatchObject({ is_saved: false });
    const refused = await nest.post<ErrorBody>("wake", { snapshot: refs[0]!.seq });
    expect(refused).toMatchObject({ status: 409, body: { error: { code: "machine_unsaved" } } });
    expect(await nest.view()).toMatchObject({ state: "hibernated", snapshot: { seq: refs[1]!.seq } });
    expect(vast.count("create")).toBe(before);
  });

  it("is refused while it runs, for a number that there is none of, and for a snapshot that is not whole; nothing is rented", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    const wakeWith = (snapshot: number) =>
      outcome("POST", `${nest.path}/wake`, { token: user.token, json: { snapshot } });
    const ref = await fallAsleep(nest, agent);
    advance(61_000);
    const second = await wake(nest);
    expect(await wakeWith(ref.seq)).toBe("409 rollback_needs_sleep");
    await restore(second);
    expect(await wakeWith(ref.seq)).toBe("409 rollback_needs_sleep");
    await fallAsleep(nest, second);
    advance(61_000);
    expect(await wakeWith(99)).toBe("404 snapshot_not_found");
    expect(await wakeWith(0)).toBe("400 invalid_input");
    const [part] = await partsOf(nest.id, ref);
    await env.SNAPSHOTS.delete(part!);
    const refused = await nest.post<ErrorBody>("wake", { snapshot: ref.seq });
    expect(refused.status).toBe(409);
    expect(refused.body.error).toMatchObject({ code: "snapshot_damaged", context: { snapshot: ref.seq } });
    expect(refused.body.error.context?.detail).toContain("1 of 2 parts are missing");
    expect(vast.count("create")).toBe(2);
    expect((await nest.view()).state).toBe("hibernated");
  });

  it("a store that does not answer is said to be away, and nothing is rented", async () => {
    const { nest, refs } = await nights(2);
    advance(61_000);
    vi.spyOn(Object.getPrototypeOf(env.SNAPSHOTS), "list").mockRejectedValue(new Error("R2 is away"));
    expect(await outcome("POST", `${nest.path}/wake`, { token: user.token, json: { snapshot: refs[0]!.seq } })).toBe(
      "503 storage_unavailable",
    );
    vi.restoreAllMocks();
    expect(vast.count("create")).toBe(2);
  });
});

describe("a fork", () => {
  it("begins with the snapshot, has parts and a manifest of its own, and outlives all that the other one has", async () => {
    const { nest, refs } = await nights(2);
    const { status, body } = await fork({ instance: nest.id, snapshot: refs[0]!.seq }, { name: "branch" });
    expect(status).toBe(201);
    const child = new Sleeper(vast, user, body.id as InstanceId);
    expect(await child.settled()).toMatchObject({
      name: "branch",
      state: "provisioning",
      gpu_type: "RTX 4090",
      copying: null,
      snapshot: { seq: 1, digest: refs[0]!.digest },
    });
    const other = await keysUnder(`i/${nest.id}/`);
    await env.SNAPSHOTS.delete(other);
    const agent = child.agent();
    expect(agent.epoch).toBe(2);
    expect((await restore(agent)).digest).toBe(refs[0]!.digest);
    for (const { key, bytes } of (await listStore(agent)).filter((one) => one.key.startsWith("parts/"))) {
      const part = await api<string>("GET", `/api/agent/store/${key}`, { token: agent.token });
      expect(part.status).toBe(200);
      expect(bytes).toBeGreaterThan(0);
    }
    expect(await child.view()).toMatchObject({ state: "running", trouble: null });
    expect(await history(child)).toMatchObject([{ seq: 1, kind: "copy", is_current: true, proof: { parts: 2 } }]);
    const own = await fallAsleep(child, agent);
    expect(own).toMatchObject({ seq: 2, epoch: 2 });
  });

  it("of the current one without a number; asleep, nothing is rented; what is named differs from the other one", async () => {
    const { nest, refs } = await nights(1, { gpu_usage_threshold: 7 });
    const creates = vast.count("create");
    const { body } = await fork(
      { instance: nest.id },
      { start: false, gpu_type: "RTX 3090", auto_hibernation: { grace_minutes: 9 } },
    );
    const child = new Sleeper(vast, user, body.id as InstanceId);
    expect(await child.settled()).toMatchObject({
      state: "hibernated",
      gpu_type: "RTX 3090",
      snapshot: { digest: refs[0]!.digest },
      auto_hibernation: { gpu_usage_threshold: 7, grace_minutes: 9 },
    });
    expect(vast.count("create")).toBe(creates);
    await alarmAfter(child.id, 601 * 60_000);
    expect((await child.view()).state).toBe("deleted");
    await restore(await wake(child, { gpu_type: "RTX 4090" }));
    expect((await child.view()).state).toBe("running");
  });

  it("is refused of another's instance, of a number that there is none of, of a snapshot that is not whole, and onto a disk that is too small", async () => {
    const { nest, refs } = await nights(2);
    const bea = await newUser("Bea");
    expect((await fork({ instance: nest.id }, {}, bea.token)).body.error.code).toBe("instance_not_found");
    expect((await fork({ instance: nest.id, snapshot: 42 })).body.error.code).toBe("snapshot_not_found");
    await env.SNAPSHOTS.delete((await partsOf(nest.id, refs[0]!))[1]!);
    expect((await fork({ instance: nest.id, snapshot: refs[0]!.seq })).body.error.code).toBe("snapshot_damaged");
    vast.offers = [];
    expect((await fork({ instance: nest.id })).body.error.code).toBe("no_offer");
    const { results } = await env.DB.prepare("SELECT instance_id FROM instance_status WHERE user_id = ?")
      .bind(user.id)
      .all();
    expect(results).toHaveLength(1);
    // Nobody holds it any more.
    const held = await runInDurableObject(stubOf(nest.id), (_, { storage }) =>
      JSON.parse(storage.sql.exec("SELECT state FROM instance").one().state as string),
    );
    expect(held.holds).toBeUndefined();
  });

  it("goes on where it was cut off", async () => {
    const { nest, refs } = await nights(1);
    const put = vi.spyOn(Object.getPrototypeOf(env.SNAPSHOTS), "put").mockRejectedValueOnce(new Error("R2 is away"));
    const { body } = await fork({ instance: nest.id }, { start: false });
    const child = new Sleeper(vast, user, body.id as InstanceId);
    put.mockRestore();
    expect(await child.view()).toMatchObject({
      state: "hibernated",
      copying: { from_snapshot_id: `${nest.id}@${refs[0]!.seq}`, then_wakes: false },
      next: null,
    });
    await alarmAfter(child.id, 6 * 60_000);
    expect(await child.view()).toMatchObject({ copying: null, snapshot: { digest: refs[0]!.digest } });
  });

  it("that cannot be copied fails, says what is kept, and is tried again by a wake", async () => {
    const { nest, refs } = await nights(1);
    const [part] = await partsOf(nest.id, refs[0]!);
    const bytes = await (await env.SNAPSHOTS.get(part!))!.arrayBuffer();
    const get = Object.getPrototypeOf(env.SNAPSHOTS).get;
    // Lost between the look and the copy.
    const lost = vi.spyOn(Object.getPrototypeOf(env.SNAPSHOTS), "get").mockImplementation(function (
      this: R2Bucket,
      ...args: unknown[]
    ) {
      return args[0] === part ? Promise.resolve(null) : get.apply(this, args);
    });
    const { body } = await fork({ instance: nest.id });
    const child = new Sleeper(vast, user, body.id as InstanceId);
    expect(await child.settled()).toMatchObject({
      state: "failed",
      trouble: { code: "copy_failed", kept: expect.stringContaining("nothing of it was changed") },
    });
    expect(vast.ofInstance(child.id)).toHaveLength(0);
    lost.mockRestore();
    await env.SNAPSHOTS.put(part!, bytes, { sha256: part!.split("/").at(-1)! });
    await wake(child);
    expect(await child.view()).toMatchObject({ state: "provisioning", trouble: null });
  });
});

describe("retention", () => {
  it("deletes the manifests that it lets go, then the parts that no manifest lists, and says so", async () => {
    const { nest, refs } = await nights(3, { retention: { keep_newest: 2 } });
    const dead = await partsOf(nest.id, refs[0]!);
    const kept = [...(await partsOf(nest.id, refs[1]!)), ...(await partsOf(nest.id, refs[2]!))];
    await alarmAfter(nest.id, 2 * hour);
    expect(await seqsOf(nest)).toEqual([refs[2]!.seq, refs[1]!.seq]);
    const left = await keysUnder(`i/${nest.id}/parts/`);
    expect(left).toEqual(expect.arrayContaining(kept));
    for (const key of dead) expect(left).not.toContain(key);
    expect((await nest.events()).findLast((one) => one.event_type === "snapshots_removed")).toMatchObject({
      actor: "rule",
      params: { snapshots: String(refs[0]!.seq), count: 1, parts: 2, bytes: 129 },
    });
  });

  it("keeps what is gone back to, what is forked, and everything while an unreadable manifest hides what it lists", async () => {
    const { nest, refs } = await nights(4, { retention: { keep_newest: 4 } });
    const holder = "i-aaaaaaaaaa" as InstanceId;
    await stubOf(nest.id).hold({ by: holder, ref: refs[1]!, until: Date.now() + 100 * hour });
    const agent = await wake(nest, { snapshot: refs[0]!.seq });
    await restore(agent);
    const collected = async () => {
      await agent.beatFor(6 * 60_000, 80, 60_000);
      await settle(nest.id);
    };
    await api("PUT", `${nest.path}/config`, {
      token: user.token,
      json: { auto_hibernation: { retention: { keep_newest: 1 } } },
    });
    await collected();
    expect(await seqsOf(nest)).toEqual([refs[3]!.seq, refs[1]!.seq, refs[0]!.seq]);
    const parts = await keysUnder(`i/${nest.id}/parts/`);
    const unreadable = { seq: 99, epoch: 9, digest: "" };
    await env.SNAPSHOTS.put(`i/${nest.id}/manifests/00000099-9`, "no manifest");
    await stubOf(nest.id).hold({ by: holder, ref: unreadable, until: Date.now() + hour });
    await stubOf(nest.id).hold({ by: holder, ref: refs[1]!, until: 0 });
    const days = (keep_days: number) =>
      api("PUT", `${nest.path}/config`, {
        token: user.token,
        json: { auto_hibernation: { retention: { keep_days } } },
      });
    await days(0);
    await collected();
    expect(await seqsOf(nest)).toEqual([99, refs[3]!.seq, refs[0]!.seq]);
    expect((await history(nest))[0]!.damaged?.message).toContain("cannot be read");
    expect(await keysUnder(`i/${nest.id}/parts/`)).toEqual(parts);
    await stubOf(nest.id).hold({ by: holder, ref: unreadable, until: 0 });
    await days(0.001);
    await collected();
    expect(await seqsOf(nest)).toEqual([refs[3]!.seq, refs[0]!.seq]);
    expect((await keysUnder(`i/${nest.id}/parts/`)).length).toBe(parts.length - 2);
    for (const key of await partsOf(nest.id, refs[0]!)) expect(await env.SNAPSHOTS.head(key)).not.toBeNull();
  });
});

describe("a damaged snapshot before the pause ends", () => {
  it("an older one takes its place: in the events, as trouble, in the view and in the history", async () => {
    const { nest, refs } = await nights(3);
    await env.SNAPSHOTS.delete((await partsOf(nest.id, refs[2]!))[0]!);
    await alarmAfter(nest.id, 601 * 60_000);
    const view = await nest.settled();
    expect(view).toMatchObject({
      state: "deleted",
      snapshot: { seq: refs[1]!.seq, digest: refs[1]!.digest },
      trouble: { code: "snapshot_replaced" },
    });
    expect(view.trouble?.message).toContain(`Snapshot ${refs[2]!.seq} is damaged`);
    const types = await nest.eventTypes();
    expect(types.slice(-3)).toEqual(["snapshot_damaged", "snapshot_replaced", "deleted"]);
    expect((await history(nest))[0]).toMatchObject({
      seq: refs[2]!.seq,
      is_current: false,
      damaged: { message: expect.stringContaining("parts are missing") },
    });
    expect(await restore(await wake(nest))).toEqual(refs[1]);
  });

  it("with none that is whole it fails and says so; a store that does not answer decides nothing", async () => {
    const { nest } = await nights(2);
    await env.SNAPSHOTS.delete(await keysUnder(`i/${nest.id}/parts/`));
    const list = vi.spyOn(Object.getPrototypeOf(env.SNAPSHOTS), "list").mockRejectedValue(new Error("R2 is away"));
    await alarmAfter(nest.id, 601 * 60_000);
    expect((await nest.view()).state).toBe("hibernated");
    list.mockRestore();
    await alarmAfter(nest.id, 61_000);
    await settle(nest.id);
    const view = await nest.view();
    expect(view).toMatchObject({ state: "failed", status: "failed", trouble: { code: "snapshot_damaged" } });
    expect(view.trouble?.message).toContain("1 other is damaged as well");
    expect(await nest.eventTypes()).not.toContain("deleted");
  });
});

async function listStore(agent: FakeAgent): Promise<{ key: string; bytes: number }[]> {
  const answer = await api<{ objects: { key: string; bytes: number }[] }>("GET", "/api/agent/store", {
    token: agent.token,
  });
  return answer.body.objects;
}
