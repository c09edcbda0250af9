/** What an instance keeps of its use over time: what is counted, what is written, and what outlives an eviction. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SeriesAnswer } from "../../core/protocol/live.ts";
import type { InstanceObject } from "../instance/object.ts";
import {
  advance,
  api,
  type FakeAgent,
  fallAsleep,
  interval,
  newUser,
  runningInstance,
  type Sleeper,
  settle,
  sqlOf,
  stubOf,
  type TestUser,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import type { FakeVast } from "./vast.ts";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

let vast: FakeVast;
let user: TestUser;

beforeEach(async () => {
  ({ vast, user } = await setScene());
  // At the beginning of an hour, so that steps begin where beats do.
  advance(hour - (Date.now() % hour));
});
afterEach(endScene);

async function seriesOf(nest: Sleeper, span = "6h", token = user.token): Promise<SeriesAnswer> {
  const { status, body } = await api<SeriesAnswer>("GET", `${nest.path}/series?span=${span}`, { token });
  if (status !== 200) throw new Error(`no series: ${status} ${JSON.stringify(body)}`);
  return body;
}

const known = (values: (number | null)[] | undefined) => (values ?? []).filter((one) => one !== null);

/** One beat each 10 s, with everything again that the worker has not confirmed. */
class Repeating {
  readonly agent: FakeAgent;
  #unconfirmed: ReturnType<typeof interval>[] = [];

  constructor(agent: FakeAgent) {
    this.agent = agent;
    agent.lastAt = Date.now();
  }

  async beat(gpu: number): Promise<void> {
    advance(10_000);
    const report = this.agent.report({ gpu });
    this.#unconfirmed.push(...(report.intervals as ReturnType<typeof interval>[]));
    const { body } = await this.agent.post({ ...report, intervals: this.#unconfirmed });
    this.#unconfirmed = this.#unconfirmed.filter((one) => one.n > body.intervalsKept);
  }
}

describe("what is counted", () => {
  it("is each interval once, however often it is told, and over evictions", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    const repeating = new Repeating(agent);
    for (let i = 0; i < 60; i++) {
      await repeating.beat(i % 6 === 3 ? 90 : 30);
      if (i % 7 === 6) await evictDurableObject(stubOf(nest.id));
      // To look changes nothing either.
      if (i % 11 === 5) await seriesOf(nest);
    }
    const { gpus, memory, step_seconds, threshold } = await seriesOf(nest);
    expect([step_seconds, threshold]).toEqual([60, 5]);
    expect(known(gpus[0]?.max).slice(-10)).toEqual(Array(10).fill(90));
    expect(known(gpus[0]?.mean).slice(-10)).toEqual(Array(10).fill(40));
    expect(gpus[0]).toMatchObject({ index: 0, name: "RTX 4090" });
    expect(memory).toMatchObject({ total_mb: 24_564 });
    expect(known((await seriesOf(nest, "1h")).gpus[0]?.mean).slice(-6)).toEqual([30, 30, 30, 90, 30, 30]);
  });

  it("is what the ring knows: what an eviction takes along and nobody repeats is a gap", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    agent.lastAt = Date.now();
    await agent.beatFor(3 * minute, 50);
    await evictDurableObject(stubOf(nest.id));
    const { lastN } = JSON.parse(
      (await sqlOf<{ samples: string }>(nest.id, "SELECT samples FROM instance"))[0]!.samples,
    );
    const steps = known((await seriesOf(nest, "1h")).gpus[0]?.max);
    expect(steps.filter((one) => one === 50).length).toBe(lastN);
    await agent.beatFor(minute, 70);
    const { gpus } = await seriesOf(nest, "1h");
    expect(known(gpus[0]?.max).filter((one) => one === 70).length).toBe(6);
    expect(gpus[0]!.max.slice(-(6 + 18 - lastN), -6).every((one) => one === null)).toBe(true);
  });

  it("goes on with another machine, with nothing in between", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    agent.lastAt = Date.now();
    await agent.beatFor(5 * minute, 60);
    await fallAsleep(nest, agent);
    advance(2 * hour);
    await nest.post("wake");
    await settle(nest.id);
    advance(20_000);
    const other = nest.agent();
    await other.beat();
    const { id, snapshot } = other.command("restore");
    await other.beat({ results: [{ commandId: id, outcome: "restored", digest: snapshot.digest }] });
    other.lastAt = Date.now();
    for (let i = 0; i < 30; i++) {
      advance(10_000);
      const report = other.report({ gpu: 20 });
      const gpus = ["H100", "H100"].map((name, index) => ({ ...interval(0, 0, 1, 20).gpus[0], index, name }));
      const [one] = report.intervals as object[];
      await other.post({ ...report, intervals: [{ ...one, gpus }] });
    }
    const { gpus, memory, phases, marks } = await seriesOf(nest);
    expect(gpus.map(({ index, name }) => [index, name])).toEqual([
      [0, "H100"],
      [1, "H100"],
    ]);
    const { max } = gpus[0]!;
    expect(max.slice(-5)).toEqual(Array(5).fill(20));
    expect(max.slice(-110, -10).every((one) => one === null)).toBe(true);
    expect(max.filter((one) => one === 60).length).toBeGreaterThanOrEqual(5);
    expect(known(gpus[1]!.max).length).toBeLessThanOrEqual(6);
    expect(known(memory.used_mb)).toContain(20);
    expect(phases.map(({ status }) => status)).toEqual(["running", "hibernating", "hibernated", "waking", "running"]);
    const types = marks.map(({ event_type }) => event_type);
    expect(types.filter((one) => ["hibernated", "woke_up"].includes(one)).at(-1)).toBe("woke_up");
    expect(types).toContain("hibernated");
    expect(types).toContain("snapshot_proved");
    expect(marks.map(({ at }) => at)).toEqual(marks.map(({ at }) => at).toSorted());
  });

  it("of a flood is bounded, in memory and in the row", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    for (let round = 0; round < 8; round++) {
      advance(1_000);
      const from = Date.now() - 1_000;
      const gpus = Array.from({ length: 64 }, (_, index) => ({ ...interval(0, 0, 1, 70).gpus[0], index }));
      const intervals = Array.from({ length: 256 }, (_, i) => ({
        ...interval(agent.n++, from - (i % 3) * 365 * day, from + 3 * i, 70),
        gpus,
      }));
      const { status } = await agent.post({ ...agent.report(), intervals });
      expect(status).toBe(200);
    }
    const answer = await seriesOf(nest);
    expect(answer.gpus).toHaveLength(64);
    advance(200_000);
    await agent.beat({ gpu: 50 });
    const [row] = await sqlOf<{ bytes: number }>(nest.id, "SELECT length(series) AS bytes FROM instance");
    expect(row!.bytes).toBeLessThan(200_000);
    expect((await nest.view()).state).toBe("running");
  });

  it("is its owner's alone", async () => {
    const { nest } = await runningInstance(vast, user);
    const other = await newUser("Bea");
    expect((await api("GET", `${nest.path}/series`, { token: other.token })).status).toBe(404);
    expect((await api("GET", `${nest.path}/series?span=1y`, { token: user.token })).status).toBe(400);
  });
});

describe("what is written", () => {
  it("is a row more a day, and none more for a heartbeat", async () => {
    advance(day - (Date.now() % day) - 100 * 10_000);
    const { nest, agent } = await runningInstance(vast, user, { checkpoint: { enabled: false } });
    await agent.beatFor(20_000, 80);
    await settle(nest.id);
    const counted = await countRows(nest);
    await agent.beatFor(320 * 10_000, 80);
    const { states, others } = counted;
    expect(states).toBe(20);
    expect(others).toEqual({ series_days: 1 });
    const [row] = await sqlOf<{ day: number; bytes: number }>(
      nest.id,
      "SELECT day, length(bytes) AS bytes FROM series_days",
    );
    expect(row!.day).toBe(Math.floor(Date.now() / day) - 1);
    expect(row!.bytes).toBeLessThan(3_000);
  });

  it("of days that are over comes back in the longer spans", async () => {
    const { nest, agent } = await runningInstance(vast, user, { enabled: false });
    for (let i = 0; i < 5; i++) {
      agent.lastAt = Date.now() - 10_000;
      await agent.beatFor(6 * minute, 20 + i);
      await evictDurableObject(stubOf(nest.id));
      advance(day);
    }
    agent.lastAt = Date.now() - 10_000;
    await agent.beat({ gpu: 99 });
    const week = await seriesOf(nest, "7d");
    expect([week.step_seconds, week.gpus[0]!.max.length]).toEqual([1_800, 336]);
    expect([...new Set(known(week.gpus[0]!.max))]).toEqual([80, 20, 21, 22, 23, 24, 99]);
    const quarter = await seriesOf(nest, "90d");
    expect([quarter.step_seconds, quarter.gpus[0]!.max.length]).toEqual([21_600, 360]);
    expect(known(quarter.gpus[0]!.max)).toEqual([80, 21, 22, 23, 24, 99]);
    expect(Date.parse(quarter.to)).toBeGreaterThanOrEqual(Date.now());
  });

  it("is written by the next save where one fails", async () => {
    advance(day - (Date.now() % day) - 5 * minute);
    const { nest, agent } = await runningInstance(vast, user, { checkpoint: { enabled: false } });
    await agent.beatFor(4 * minute, 30);
    await sqlOf(nest.id, "CREATE TRIGGER broken BEFORE UPDATE ON instance BEGIN SELECT RAISE(ABORT, 'no room'); END");
    for (let i = 0; i < 16; i++) {
      advance(10_000);
      await agent.post(agent.report({ gpu: 30 }));
    }
    await sqlOf(nest.id, "DROP TRIGGER broken");
    await agent.beatFor(30_000, 30);
    await evictDurableObject(stubOf(nest.id));
    expect(await sqlOf(nest.id, "SELECT day FROM series_days")).toEqual([{ day: Math.floor(Date.now() / day) - 1 }]);
    const known_ = known((await seriesOf(nest, "6h")).gpus[0]?.max);
    expect(known_.length).toBeGreaterThanOrEqual(6);
  });

  it("of states goes after 90 days, but for the one that still held", async () => {
    const { nest, agent } = await runningInstance(vast, user, { pause_after_idle_minutes: 30 });
    const from = Date.now();
    for (const [days, status] of [
      [200, "waking"],
      [100, "running"],
      [40, "idle"],
    ] as const)
      await sqlOf(nest.id, "INSERT INTO phases (at, status) VALUES (?, ?)", from - days * day, status);
    await agent.beatFor(minute, 0);
    expect((await nest.view()).status).toBe("idle");
    const rows = await sqlOf<{ at: number; status: string }>(nest.id, "SELECT at, status FROM phases ORDER BY at");
    expect(rows[0]).toEqual({ at: from - 100 * day, status: "running" });
    const { phases } = await seriesOf(nest, "1h");
    expect(phases.map(({ status }) => status).at(-1)).toBe("idle");
    expect(Date.parse(phases[0]!.at)).toBeLessThanOrEqual(Date.now() - hour);
  });
});

it("an object of before has nothing yet, and goes on as it was", async () => {
  const { nest, agent } = await runningInstance(vast, user);
  await agent.beatFor(minute, 80);
  await sqlOf(nest.id, "ALTER TABLE instance DROP COLUMN series");
  await sqlOf(nest.id, "DROP TABLE series_days");
  await sqlOf(nest.id, "DROP TABLE phases");
  await sqlOf(nest.id, "DROP TABLE schema_version");
  await evictDurableObject(stubOf(nest.id));
  const before = await seriesOf(nest);
  expect(before.gpus).toEqual([]);
  expect(before.phases).toMatchObject([{ status: "running" }]);
  // Long enough that they are written once, whenever that was before.
  await agent.beatFor(9 * minute, 40);
  await evictDurableObject(stubOf(nest.id));
  expect(known((await seriesOf(nest, "1h")).gpus[0]?.max).length).toBeGreaterThan(10);
  await nest.post("hibernate");
  expect((await seriesOf(nest)).phases.map(({ status }) => status)).toEqual(["running", "hibernating"]);
});

/** Rows written from now on: of the state, and by table of all others. */
async function countRows(nest: Sleeper): Promise<{ states: number; others: Record<string, number> }> {
  return runInDurableObject<InstanceObject, { states: number; others: Record<string, number> }>(
    stubOf(nest.id),
    (_object, ctx) => {
      const counts = { states: 0, others: {} as Record<string, number> };
      const { sql } = ctx.storage;
      const exec = sql.exec.bind(sql);
      sql.exec = ((query: string, ...args: unknown[]) => {
        const cursor = exec(query, ...args);
        const rows = cursor.rowsWritten;
        const [, verb, table = query] = /(INTO|UPDATE|FROM) (\w+)/.exec(query) ?? [];
        // What a beat asks for is counted as it goes in; what was asked for before may still be under way.
        const fromBefore = table === "outbox" && verb !== "INTO";
        if (table === "instance") counts.states += rows;
        else if (rows > 0 && !fromBefore) counts.others[table] = (counts.others[table] ?? 0) + rows;
        return cursor;
      }) as typeof sql.exec;
      return counts;
    },
  );
}
