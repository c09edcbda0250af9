/** Data moves forward by itself: what the first version wrote is loaded, shown, and lived on with. */
import { applyD1Migrations, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { EventView, InstanceSummary, InstanceView } from "../../core/protocol/views.ts";
import { runCron } from "../cron.ts";
import type { Env } from "../env.ts";
import { InstanceStore } from "../instance/store.ts";
import fixture from "./fixtures/first-version.json" with { type: "json" };
import {
  advance,
  alarmAfter,
  api,
  FakeAgent,
  outcome,
  Sleeper,
  send,
  settle,
  sqlOf,
  startClock,
  stubOf,
} from "./helpers.ts";
import { FakeVast, type VastMachine } from "./vast.ts";

type Row = Record<string, string | number | null>;
const { made, user } = fixture;
const vast = new FakeVast();
const nestOf = (name: keyof typeof made) => new Sleeper(vast, user, made[name] as InstanceId);

/** The database as the first migration left it, with its rows, and then whatever came after. */
async function loadDatabase(): Promise<void> {
  const tables = await env.DB.prepare(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%'",
  ).all<{ name: string }>();
  await env.DB.batch([
    env.DB.prepare("PRAGMA defer_foreign_keys = on"),
    ...tables.results.map(({ name }) => env.DB.prepare(`DROP TABLE ${name}`)),
  ]);
  await applyD1Migrations(env.DB, env.TEST_MIGRATIONS.slice(0, 1));
  for (const [name, rows] of Object.entries(fixture.database as Record<string, Row[]>)) {
    await env.DB.batch(rows.map((row) => insert(name, row)));
  }
  await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
}

function insert(table: string, row: Row): D1PreparedStatement {
  const names = Object.keys(row);
  const places = names.map(() => "?").join(", ");
  return env.DB.prepare(`INSERT INTO ${table} (${names.join(", ")}) VALUES (${places})`).bind(...Object.values(row));
}

async function loadObjects(): Promise<void> {
  for (const [id, { alarm, tables }] of Object.entries(fixture.objects)) {
    await runInDurableObject(stubOf(id), async (_object, ctx) => {
      for (const { name, sql, rows } of tables as { name: string; sql: string; rows: Row[] }[]) {
        ctx.storage.sql.exec(sql);
        for (const row of rows) {
          const names = Object.keys(row);
          const places = names.map(() => "?").join(", ");
          ctx.storage.sql.exec(`INSERT INTO ${name} (${names.join(", ")}) VALUES (${places})`, ...Object.values(row));
        }
      }
      if (alarm !== null) await ctx.storage.setAlarm(alarm);
    });
    await evictDurableObject(stubOf(id));
  }
}

async function loadBucket(): Promise<void> {
  for (const [key, hex] of Object.entries(fixture.bucket)) {
    const bytes = Uint8Array.from(hex.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
    const sha256 = await crypto.subtle.digest("SHA-256", bytes);
    await env.SNAPSHOTS.put(key, bytes, { sha256 });
  }
}

beforeAll(async () => {
  startClock();
  vi.setSystemTime(fixture.at);
  vast.install();
  vi.spyOn(Math, "random").mockReturnValue(0);
  for (const machine of fixture.machines as unknown as Omit<VastMachine, "account">[])
    vast.machines.set(machine.id, { ...machine, account: "deployment" });
  await loadDatabase();
  await loadObjects();
  await loadBucket();
});

afterAll(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("a state of the first version", () => {
  it("is seen as it was: lists, instances, events, money", async () => {
    const { body } = await api<{ instances: InstanceSummary[] }>("GET", "/api/instances", { token: user.token });
    const before = fixture.views as unknown as Record<string, InstanceView>;
    expect(body.instances.map(({ id, state }) => [id, state]).sort()).toEqual(
      Object.values(before)
        .map(({ id, state }) => [id, state])
        .sort(),
    );
    for (const [id, was] of Object.entries(before)) {
      const { body: now } = await api<InstanceView>("GET", `/api/instances/${id}`, { token: user.token });
      for (const name of ["id", "name", "user_id", "status", "state", "epoch", "snapshot_id", "created_at"] as const)
        expect(now[name], `${id} ${name}`).toEqual(was[name]);
      expect(now.auto_hibernation, id).toMatchObject(was.auto_hibernation);
      expect(now.machine, id).toEqual(was.machine === null ? null : expect.objectContaining(was.machine));
      // The money of what is over is exactly the same; of what runs, both say what it cost up to this moment.
      expect(now.cost, id).toMatchObject(was.cost);
      const { body: log } = await api<{ events: EventView[] }>("GET", `/api/instances/${id}/events?limit=1000`, {
        token: user.token,
      });
      // Nobody noted then what a person is called.
      const events = (fixture.events as unknown as Record<string, EventView[]>)[id]!;
      expect(log.events, id).toEqual(events.map((event) => ({ ...event, actor_name: null })));
    }
    const metrics = await (await send("GET", "/api/metrics", { token: "a-metrics-token-for-tests" })).text();
    expect(metrics).toContain('soneca_instances{state="running"} 1\n');
    expect(metrics).toContain('soneca_instances{state="hibernated"} 1\n');
  });

  it("one that runs goes on: its agent speaks, it falls asleep and comes back with what it had", async () => {
    const nest = nestOf("running");
    const agent = new FakeAgent(nest.id, vast.ofInstance(nest.id)[0]!);
    advance(10_000);
    await agent.beat({ gpu: 80 });
    expect((await nest.view()).auto_hibernation).toMatchObject({ gpu_usage_threshold: 7, pause_after_idle_minutes: 2 });
    await agent.beatFor(180_000, 0);
    const { id, seq } = agent.command("snapshot");
    const { ref } = await agent.store(seq);
    const taken = { commandId: id, outcome: "snapshot_taken", snapshot: ref, stats: fixtureStats };
    await agent.beat({ gpu: 0, results: [taken] });
    await settle(nest.id);
    await agent.beat({ gpu: 0 });
    await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
    await settle(nest.id);
    await alarmAfter(nest.id, 3_500);
    expect(await nest.view()).toMatchObject({ state: "hibernated", snapshot_id: `${nest.id}@${ref.seq}` });
    expect(vast.ofInstance(nest.id)).toEqual([]);
    await wakeUp(nest);
  });

  it("one that sleeps wakes with its snapshot, and becomes deleted when its time is over", async () => {
    await wakeUp(nestOf("deleted"));
    const nest = nestOf("hibernated");
    const { snapshot_id } = await nest.view();
    await alarmAfter(nest.id, 300_000);
    expect(await nest.view()).toMatchObject({ state: "deleted", snapshot_id });
    await wakeUp(nest);
  });

  it("one in the middle of a sleep loses nothing: the snapshot that was proved is asked for again, and its machine stays", async () => {
    const nest = nestOf("sealing");
    const agent = new FakeAgent(nest.id, vast.ofInstance(nest.id)[0]!);
    const answer = await agent.beat({ gpu: 0 });
    expect(answer.status).toBe("snapshotting");
    expect(answer.commands.map((one) => one.kind)).toContain("seal");
    await nest.post("keep-awake", { minutes: 10 });
    expect(await nest.view()).toMatchObject({ state: "running", snapshot_id: `${nest.id}@1` });
    expect(vast.ofInstance(nest.id)).toHaveLength(1);
  });

  it("one on its way up arrives", async () => {
    const nest = nestOf("waking");
    expect((await nest.view()).state).toBe("provisioning");
    await restore(nest);
  });

  it("is found by the cron where its alarm was lost, and its copies in the database are of today's shape", async () => {
    advance(400_000);
    vi.spyOn(console, "error").mockImplementation(() => {});
    await runCron("*/5 * * * *", env as Env);
    for (const id of Object.values(made)) await settle(id);
    const rows = await env.DB.prepare("SELECT glance, machines FROM instance_status").all();
    for (const row of rows.results) {
      expect(row.machines).not.toBeNull();
      expect(row.glance).not.toBeNull();
    }
    expect(await sqlOf(made.deleted, "SELECT version FROM schema_version")).toEqual([{ version: 2 }]);
  });
});

describe("a state of a newer version", () => {
  const everything = (sql: SqlStorage) =>
    JSON.stringify(["instance", "log", "outbox", "paid"].map((name) => sql.exec(`SELECT * FROM ${name}`).toArray()));

  it.each([
    ["its tables", "hibernated", "UPDATE schema_version SET version = 99"],
    ["its words", "deleted", "UPDATE instance SET state = json_set(state, '$.v', 2)"],
  ] as const)("is refused and left as it is: %s", async (_what, name, change) => {
    const nest = nestOf(name);
    await settle(nest.id);
    await runInDurableObject(stubOf(nest.id), async (_object, ctx) => {
      await ctx.storage.deleteAlarm();
      ctx.storage.sql.exec(change);
      const before = everything(ctx.storage.sql);
      expect(() => new InstanceStore(ctx.storage).load()).toThrow("newer version");
      expect(everything(ctx.storage.sql)).toBe(before);
    });
    await evictDurableObject(stubOf(nest.id));
    const token = user.token;
    vi.spyOn(console, "warn").mockImplementation(() => {});
    for (const [method, path] of [
      ["GET", nest.path],
      ["POST", `${nest.path}/wake`],
      ["GET", `/p/${nest.id}/`],
    ] as const)
      expect(await outcome(method, path, { token }), path).toBe("503 state_of_newer_version");
    expect(await outcome("GET", "/api/instances", { token })).toBe("200");
  });
});

const fixtureStats = { entries: 3, files: 2, plainBytes: 200, storedBytes: 129, newStoredBytes: 129 };

async function wakeUp(nest: Sleeper): Promise<void> {
  advance(61_000);
  const answer = await nest.post("wake");
  expect(answer.status, JSON.stringify(answer.body)).toBe(202);
  await settle(nest.id);
  await restore(nest);
}

/** The machine comes up, and its agent restores the very snapshot that the instance had. */
async function restore(nest: Sleeper): Promise<void> {
  const { snapshot_id } = await nest.view();
  const agent = nest.agent();
  await agent.beat({ gpu: 0 });
  const { id, snapshot } = agent.command("restore");
  expect(`${nest.id}@${snapshot.seq}`).toBe(snapshot_id);
  const name = `${String(snapshot.seq).padStart(8, "0")}-${snapshot.epoch}`;
  const manifest = await send("GET", `/api/agent/store/manifests/${name}`, { token: agent.token });
  expect(manifest.status, "its manifest").toBe(200);
  const { parts } = JSON.parse(new TextDecoder().decode(await manifest.arrayBuffer()));
  for (const part of parts) {
    const answer = await send("GET", `/api/agent/store/parts/${part.key}`, { token: agent.token });
    expect((await answer.arrayBuffer()).byteLength).toBe(part.bytes);
  }
  await agent.beat({ gpu: 0, results: [{ commandId: id, outcome: "restored", digest: snapshot.digest }] });
  await settle(nest.id);
  expect((await nest.view()).state).toBe("running");
}
