/** The books in the object: what is counted, what it costs in rows, what the routes show of it, and to whom. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { EstimateAnswer, LedgerAnswer, SavingsAnswer } from "../../core/protocol/money.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import { writeAfterMs } from "../instance/books.ts";
import { InstanceStore } from "../instance/store.ts";
import {
  advance,
  api,
  type FakeAgent,
  fallAsleep,
  newUser,
  outcome,
  runningInstance,
  type Sleeper,
  send,
  settle,
  sha256Hex,
  sqlOf,
  stubOf,
  type TestUser,
  until,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import { type FakeVast, offer } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;
let nest: Sleeper;
let agent: FakeAgent;

beforeEach(async () => {
  ({ vast, user } = await setScene());
  ({ nest, agent } = await runningInstance(vast, user));
  await settle(nest.id);
});
afterEach(endScene);

const ledger = async (query = "") =>
  (await api<LedgerAnswer>("GET", `${nest.path}/ledger${query}`, { token: user.token })).body;
const savings = async (query = "") =>
  (await api<SavingsAnswer>("GET", `/api/savings${query}`, { token: user.token })).body;
const rowsOf = (answer: LedgerAnswer, kind: string) => answer.rows.filter((one) => one.kind === kind);
const requests = (answer: LedgerAnswer, kind: string) =>
  rowsOf(answer, kind).reduce((sum, one) => sum + one.quantity, 0);

/** Once what the object counts beside its work is in. */
const counted = (name: string, isThere: (answer: LedgerAnswer) => boolean) =>
  until(name, async () => {
    const answer = await ledger();
    return isThere(answer) && answer;
  });

describe("what is counted", () => {
  it("is every byte and request of the agent's, by epoch, at the machine's prices where they are told", async () => {
    const bytes = crypto.getRandomValues(new Uint8Array(5_000));
    const key = await sha256Hex(bytes);
    await agent.put(`parts/${key}`, bytes);
    // The second one is refused by the store and had to be sent all the same.
    await agent.put(`parts/${key}`, bytes);
    await (await send("GET", `/api/agent/store/parts/${key}`, { token: agent.token })).arrayBuffer();
    const range = { range: "bytes=0-99" };
    await (await send("GET", `/api/agent/store/parts/${key}`, { token: agent.token, headers: range })).arrayBuffer();
    const answer = await counted("four requests", (one) => requests(one, "operations_b") === 3);
    // Two writes; two reads and the look at what was there already.
    expect(requests(answer, "operations_a")).toBe(2);
    expect(rowsOf(answer, "traffic_up")).toMatchObject([
      { epoch: agent.epoch, quantity: 10_000, price_micro_usd: null, micro_usd: null },
    ]);
    expect(rowsOf(answer, "traffic_down")).toMatchObject([{ epoch: agent.epoch, quantity: 5_100 }]);
    expect(answer.total.unpriced).toMatchObject({ traffic_up_bytes: 10_000, traffic_down_bytes: 5_100 });
  });

  it("is nothing of an agent that was fenced off", async () => {
    await fallAsleep(nest, agent);
    const before = await ledger();
    expect(await outcome("GET", "/api/agent/store?prefix=parts/", { token: agent.token })).toBe("403 epoch_fenced");
    expect((await ledger()).rows.length).toBe(before.rows.length);
  });

  it("is what the store holds, to the byte, from each proof on", async () => {
    await fallAsleep(nest, agent);
    await counted("the store is measured", (one) => one.storage_measured_at !== null);
    const objects = (await env.SNAPSHOTS.list({ prefix: `i/${nest.id}/` })).objects;
    const bytes = objects.reduce((sum, one) => sum + one.size, 0);
    expect(await sqlOf(nest.id, "SELECT bytes FROM stored")).toEqual([{ bytes }]);
    advance(3_600_000);
    const [row] = rowsOf(await ledger(), "storage");
    expect(row!.to).toBeNull();
    expect(row!.quantity).toBe((bytes * (Date.now() - Date.parse(row!.from))) / 1000);
  });

  it("waits in memory for what follows, and is written without any heartbeat", async () => {
    let written = (): void => undefined;
    const promise = new Promise<void>((resolve) => {
      written = resolve;
    });
    const later = vi.spyOn(scheduler, "wait").mockReturnValueOnce(promise);
    const head = () => send("HEAD", `/api/agent/store/parts/${"0".repeat(64)}`, { token: agent.token });
    for (let i = 0; i < 20; i++) await head();
    await until("it waits", async () => later.mock.calls.some(([ms]) => ms === writeAfterMs));
    const rows = () => sqlOf<{ class_b: number }>(nest.id, "SELECT class_b FROM moved WHERE class_a = 0");
    expect(await rows()).toEqual([]);
    written();
    await until("they are written", async () => (await rows())[0]?.class_b === 20);
  });
});

describe("a cycle", () => {
  it("is recorded with what it avoided and cost, survives the object, and adds up in the savings", async () => {
    await fallAsleep(nest, agent);
    await counted("the store is measured", (one) => one.storage_measured_at !== null);
    advance(5 * 3_600_000);
    await evictDurableObject(stubOf(nest.id));
    const asleep = await ledger();
    expect(asleep.cycles).toMatchObject([{ asked: true, micro_usd_per_hour: 400_000, woken_at: null, ready_at: null }]);
    await nest.post("wake");
    await settle(nest.id);
    advance(60_000);
    const next = nest.agent();
    await next.beat({ gpu: 0 });
    const { id, snapshot } = next.command("restore");
    advance(30_000);
    await next.beat({ gpu: 0, results: [{ commandId: id, outcome: "restored", digest: snapshot.digest }] });
    await settle(nest.id);
    advance(1_000);
    const { cycles, total, rows } = await ledger();
    const [cycle] = cycles;
    const asleepMs = Date.parse(cycle!.ready_at!) - Date.parse(cycle!.slept_at);
    expect(cycle!.avoided_micro_usd).toBe(Math.round((400_000 * asleepMs) / 3_600_000));
    // The traffic of the tests' provider has no price.
    expect(cycle!.net_micro_usd).toBeNull();
    expect(cycle!.unpriced.traffic_up_bytes).toBeGreaterThan(0);
    expect(total).toMatchObject({ hibernations: 1, mean_wake_seconds: 90 });
    expect(rows.filter((one) => one.kind === "machine").map((one) => one.epoch)).toEqual([1, 2]);
    const all = await savings();
    expect(all.missing).toEqual([]);
    expect(all.instances).toMatchObject([{ id: nest.id, name: "nest", hibernations: 1 }]);
    expect(all.total).toEqual(total);
    const hours = all.days.reduce((sum, day) => sum + day.hours_hibernated, 0);
    expect(hours).toBeCloseTo(all.total.hours_hibernated, 9);
    expect(all.days.reduce((sum, day) => sum + day.hibernations, 0)).toBe(1);
  });
});

describe("the routes", () => {
  it("show nobody the books of another", async () => {
    const other = await newUser("Rui");
    expect(await outcome("GET", `${nest.path}/ledger`, { token: other.token })).toBe("404 instance_not_found");
    expect(await outcome("GET", `${nest.path}/ledger`, {})).toBe("401 unauthenticated");
    expect(await outcome("GET", "/api/savings", {})).toBe("401 unauthenticated");
    const { body } = await api<SavingsAnswer>("GET", "/api/savings", { token: other.token });
    expect(body).toMatchObject({ instances: [], missing: [], total: { hours_awake: 0, mean_wake_seconds: null } });
  });

  it("take periods as dates of a zone, and refuse what is none", async () => {
    const sao = await savings("?from=2026-11-01&to=2026-11-03&tz=America/Sao_Paulo");
    expect(sao).toMatchObject({ from: "2026-11-01T03:00:00.000Z", to: "2026-11-03T03:00:00.000Z" });
    expect(sao.days.map((day) => day.date)).toEqual(["2026-11-01", "2026-11-02"]);
    const usual = await savings("?tz=Europe/Berlin");
    expect(usual.days).toHaveLength(30);
    for (const query of [
      "?from=2026-11-03&to=2026-11-01",
      "?from=yesterday",
      "?tz=Mars/Base",
      "?from=2020-01-01&to=2026-01-01",
      "?until=2026-11-01",
      "?from=2026-11-01T10:00:00",
    ])
      expect(await outcome("GET", `/api/savings${query}`, { token: user.token })).toBe("400 invalid_input");
  });

  it("name the instances that do not answer", async () => {
    const ghost = "i-aaaaaaaaaa";
    await env.DB.prepare(
      `INSERT INTO instance_status (instance_id, user_id, status, created_at, updated_at, name, state, version)
       VALUES (?, ?, 'running', '2026-01-01', '2026-01-01', 'ghost', 'running', 1)`,
    )
      .bind(ghost, user.id)
      .run();
    const answer = await savings();
    expect(answer.missing).toEqual([ghost]);
    expect(answer.instances.map((one) => one.id)).toEqual([nest.id]);
  });
});

describe("before renting", () => {
  it("an estimate tells the offer and warns where sleeping will save little, and rents nothing", async () => {
    const path = (more = "") =>
      `/api/estimate?gpu_type=RTX_4090&workspace_gb=70&uses_per_day=12&hours_per_day=6${more}`;
    advance(10_000);
    const machines = vast.machines.size;
    vast.offers = [offer(7001, 1.2, { inet_up_cost: 0.02, inet_down_cost: 0.02 })];
    const { body } = await api<EstimateAnswer>("GET", path(), { token: user.token });
    expect(body).toMatchObject({
      offer: { gpu_type: "RTX 4090", micro_usd_per_hour: 1_200_000, up_micro_usd_per_gb: 20_000 },
      is_at_most: true,
      is_low: true,
      cycle_traffic_micro_usd: 2_800_000,
    });
    expect(body.saved_share).toBeLessThan(0);
    advance(10_000);
    const small = await api<EstimateAnswer>("GET", path("&upload_gb=0.1&wake_minutes=5"), { token: user.token });
    expect(small.body).toMatchObject({ is_at_most: false });
    advance(10_000);
    vast.offers = [offer(7001, 1.2)];
    const unknown = await api<EstimateAnswer>("GET", path(), { token: user.token });
    expect(unknown.body).toMatchObject({ saved_share: null, is_low: null, break_even_seconds: null });
    advance(10_000);
    vast.offers = [];
    expect(await outcome("GET", path(), { token: user.token })).toBe("409 no_offer");
    expect(vast.machines.size).toBe(machines);
    expect(await outcome("GET", "/api/estimate", { token: user.token })).toBe("400 invalid_input");
    expect(await outcome("GET", path(), {})).toBe("401 unauthenticated");
  });
});

it("an object of before there were books has them from its next start on, and what it had paid", async () => {
  for (const table of ["moved", "stored", "cycle", "schema_version"]) await sqlOf(nest.id, `DROP TABLE ${table}`);
  await sqlOf(nest.id, "ALTER TABLE paid DROP COLUMN is_disk");
  await sqlOf(nest.id, "ALTER TABLE paid DROP COLUMN disk_micro_usd_per_hour");
  await sqlOf(nest.id, "INSERT INTO paid VALUES (90, 1000, 3601000, 500000)");
  await evictDurableObject(stubOf(nest.id));
  await agent.beat({ gpu: 80 });
  const old = await ledger("?from=1970-01-01&to=1970-01-02");
  expect(old.rows).toMatchObject([{ kind: "machine", epoch: 90, quantity: 3600, micro_usd: 500_000 }]);
  await fallAsleep(nest, agent);
  advance(1_000);
  expect((await ledger()).cycles).toHaveLength(1);
});

describe("of a long life", () => {
  const hour = 3_600_000;
  const count = 2_000;
  /** Sleeps of long ago, two hours each after an hour of work at half a dollar; the agent's epoch is a later one. */
  beforeEach(async () => {
    const rows = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;
    const at = `i * ${3 * hour}`;
    for (const insert of [
      `INSERT INTO paid (epoch, from_at, to_at, micro_usd_per_hour) SELECT -i, ${at}, ${at} + ${hour}, 500000 FROM n`,
      `INSERT INTO stored SELECT ${at} + ${hour}, i FROM n`,
      `INSERT INTO cycle SELECT ${at} + ${hour}, -i, 0, 500000, NULL, ${at} + ${3 * hour}, 1 - i, NULL FROM n`,
    ])
      await sqlOf(nest.id, insert.replace(" SELECT", ` ${rows} SELECT`));
    await evictDurableObject(stubOf(nest.id));
  });
  const view = async () => (await api<InstanceView>("GET", nest.path, { token: user.token })).body;

  it("everything ever paid is in the cost, also once a machine went", async () => {
    const running = await view();
    expect(running.cost.paid_micro_usd).toBeGreaterThan(count * 500_000);
    advance(hour);
    const later = (await view()).cost;
    expect(later.paid_micro_usd - running.cost.paid_micro_usd).toBe(400_000);
    await fallAsleep(nest, agent);
    advance(hour);
    const { cost } = await view();
    const [machine] = rowsOf(await ledger(), "machine");
    expect(cost.paid_seconds).toBe(count * 3600 + machine!.quantity);
    expect(cost.paid_micro_usd).toBe(count * 500_000 + machine!.micro_usd!);
    advance(hour);
    expect((await view()).cost).toEqual(cost);
  });

  it("what is read lies in the span, with what the store held then", async () => {
    const span = { fromAt: 3 * hour * 1000, toAt: 3 * hour * 1008 };
    await runInDurableObject(stubOf(nest.id), (_object, ctx) => {
      const store = new InstanceStore(ctx.storage);
      expect(store.ledger()).toHaveLength(count);
      expect(store.ledgerWithin(span, [])).toHaveLength(8);
      expect(store.ledgerWithin(span, [-1, -2, -3])).toHaveLength(11);
      // Of the cycle before the wake lies in it.
      expect(store.books.cycles(span).map((one) => one.epoch)).toEqual([...Array(9).keys()].map((i) => -999 - i));
      expect(store.books.stored(span)[0]!.bytes).toBe(999);
      expect(store.books.stored(null)).toHaveLength(count);
    });
    const days = await savings(`?from=${new Date(span.fromAt).toISOString()}&to=${new Date(span.toAt).toISOString()}`);
    expect(days.total).toMatchObject({
      ...{ hours_awake: 8, hours_hibernated: 16, hibernations: 8, avoided_micro_usd: 8_000_000 },
      paid: { machine_micro_usd: 4_000_000 },
    });
    // The newest of all, whatever the span.
    expect(days.instances[0]!.storage_measured_at).toBe(new Date(3 * hour * count + hour).toISOString());
  });
});
