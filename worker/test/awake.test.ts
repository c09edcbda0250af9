/** What keeps an instance awake, over the API: leases, the word before a sleep, signals and their reasons. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ErrorBody } from "../../core/protocol/errors.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import type { InstanceObject } from "../instance/object.ts";
import {
  advance,
  alarmAfter,
  api,
  type FakeAgent,
  fallAsleep,
  interval,
  runningInstance,
  type Sleeper,
  settle,
  sqlOf,
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
const remove = (nest: Sleeper) => api<InstanceView>("DELETE", `${nest.path}/keep-awake`, { token: user.token });
const put = (nest: Sleeper, patch: object) =>
  api("PUT", `${nest.path}/config`, { token: user.token, json: { auto_hibernation: patch } });
const calm = {
  terminal: { value: null, none: true },
  jupyter: { value: 0 },
  network: { value: 0 },
  disk: { value: 0 },
};

/** Quiet beats that carry these signals and leases. */
async function beatFor(agent: FakeAgent, ms: number, signals?: object, extra: Record<string, unknown> = {}) {
  for (let passed = 0; passed < ms; passed += 10_000) {
    advance(10_000);
    const one = interval(agent.n++, agent.lastAt, Date.now(), 0);
    agent.lastAt = Date.now();
    const intervals = [{ ...one, ...(signals ? { signals } : {}) }];
    await agent.beat({ extra: { intervals, ...extra } });
  }
}

describe("keep awake", () => {
  it("holds it for so long, is shown, and ends", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    const asked = await nest.post("keep-awake", { minutes: 5, reason: "a long download" });
    expect(asked.status).toBe(200);
    const until = new Date(Date.now() + 5 * minute).toISOString();
    expect(asked.body.leases).toMatchObject([{ by: `user:${user.id}`, what: "a long download", until }]);
    await agent.beatFor(4 * minute, 0);
    expect(await nest.view()).toMatchObject({
      state: "running",
      status: "running",
      next: null,
      awake_because: [{ signal: "lease", code: "lease", detail: "a long download", until }],
    });
    await agent.beatFor(3 * minute, 0);
    expect(await nest.view()).toMatchObject({ state: "snapshotting", leases: [] });
    expect(await nest.eventTypes()).toEqual(expect.arrayContaining(["keep_awake", "keep_awake_ended"]));
  });

  it("is ended by a DELETE, and a second one changes nothing", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await nest.post("keep-awake", { minutes: 60 });
    expect((await remove(nest)).body.leases).toEqual([]);
    const events = await nest.eventTypes();
    expect((await remove(nest)).status).toBe(200);
    expect(await nest.eventTypes()).toEqual(events);
    await agent.beatFor(80_000, 0);
    expect((await nest.view()).state).toBe("snapshotting");
  });

  it("has a cap, that can be configured, and sane input", async () => {
    const { nest } = await runningInstance(vast, user);
    const long = await nest.post<ErrorBody>("keep-awake", { minutes: 24 * 60 + 1 });
    expect(long.status).toBe(400);
    expect(long.body.error).toMatchObject({ code: "lease_too_long", context: { max_minutes: 1440 } });
    expect((await nest.view()).leases).toEqual([]);
    await put(nest, { keep_awake_max_hours: 48 });
    expect((await nest.post("keep-awake", { minutes: 24 * 60 + 1 })).status).toBe(200);
    for (const json of [
      {},
      { minutes: 0 },
      { minutes: -5 },
      { minutes: "2h" },
      { minutes: 5, x: 1 },
      { minutes: 5, reason: "" },
    ]) {
      expect([json, (await nest.post<ErrorBody>("keep-awake", json)).status]).toEqual([json, 400]);
    }
  });

  it("is refused where no machine can be held", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await fallAsleep(nest, agent);
    for (const act of ["keep-awake", "not-now"]) {
      const answer = await nest.post<ErrorBody>(act, act === "not-now" ? {} : { minutes: 5 });
      expect(answer.status).toBe(409);
      expect(answer.body.error.code).toBe("action_not_allowed");
    }
  });

  it("outlives an eviction", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await nest.post("keep-awake", { minutes: 30 });
    await beatFor(agent, 20_000, calm, { held: [{ id: "a", what: "train.py" }] });
    await settle(nest.id);
    await evictDurableObject(stubOf(nest.id));
    expect((await nest.view()).leases).toMatchObject([{ id: "own" }, { id: "run.a", what: "train.py", by: "agent" }]);
    await beatFor(agent, 5 * minute, calm, { held: [] });
    expect(await nest.view()).toMatchObject({ state: "running", leases: [{ id: "own" }] });
  });
});

describe("the word before a sleep", () => {
  it("comes by the alarm, is shown with its time, and not-now puts the sleep off", async () => {
    const { nest, agent } = await runningInstance(vast, user, { pause_after_idle_minutes: 3, not_now_minutes: 5 });
    await agent.beatFor(110_000, 0);
    const idle = await nest.view();
    expect(idle.next).toMatchObject({ what: "hibernate" });
    expect(idle.next!.warned_at).toBeUndefined();
    const sleepsAt = Date.parse(idle.next!.at);
    await alarmAfter(nest.id, sleepsAt - minute - Date.now() + 10);
    const warned = await nest.view();
    expect(warned).toMatchObject({
      status: "idle",
      next: { warned_at: new Date(sleepsAt - minute + 10).toISOString() },
    });
    expect((await nest.events()).at(-1)).toMatchObject({
      event_type: "sleep_soon",
      params: { sleeps_at: sleepsAt + 10 },
    });

    const spared = await nest.post("not-now");
    expect(spared.body).toMatchObject({ status: "running", next: null, leases: [{ id: "own" }] });
    const until = Date.now() + 5 * minute;
    await agent.beatFor(7 * minute, 0);
    expect((await nest.view()).state).toBe("running");
    await agent.beatFor(90_000, 0);
    expect((await nest.view()).state).toBe("snapshotting");
    expect(Date.now()).toBeGreaterThan(until + 3 * minute);
    const types = await nest.eventTypes();
    expect(types.filter((type) => type === "sleep_soon")).toHaveLength(2);
    expect(types).toContain("sleep_postponed");
  });

  it("not-now in the middle of a snapshot calls the sleep off", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await agent.beatFor(70_000, 0);
    expect((await nest.view()).state).toBe("snapshotting");
    expect((await nest.post("not-now")).body).toMatchObject({ state: "running" });
    expect((await agent.beat({ gpu: 0 })).commands).toMatchObject([{ kind: "hook", hook: { reason: "called_off" } }]);
  });
});

describe("signals", () => {
  const withCpu = { signals: { cpu: { enabled: true } } };

  it("every one is told with value, threshold and since when; one that is switched on decides", async () => {
    const { nest, agent } = await runningInstance(vast, user, withCpu);
    const busySince = Date.now();
    const busy = { ...calm, cpu: { value: 140, detail: "python (7)" }, terminal: { value: 12, detail: "pts/0" } };
    await beatFor(agent, 5 * minute, busy);
    const view = await nest.view();
    expect(view).toMatchObject({ state: "running", status: "running", next: null });
    expect(view.awake_because).toEqual([
      { signal: "cpu", code: "signal_busy", value: 140, threshold: 20, detail: "python (7)" },
    ]);
    const since = new Date(busySince).toISOString();
    expect(view.signals).toEqual(
      expect.arrayContaining([
        { name: "gpu", enabled: true, state: "quiet", value: 0, threshold: 5, unit: "percent", since, detail: "GPU 0" },
        {
          name: "cpu",
          enabled: true,
          state: "busy",
          value: 140,
          threshold: 20,
          unit: "percent",
          since,
          detail: "python (7)",
        },
        {
          name: "terminal",
          enabled: false,
          state: "busy",
          value: 12,
          threshold: 300,
          unit: "seconds",
          since,
          detail: "pts/0",
        },
      ]),
    );
    expect(view.signals).toHaveLength(8);
    await settle(nest.id);
    await evictDurableObject(stubOf(nest.id));
    await beatFor(agent, 70_000, { ...calm, cpu: { value: 1 } });
    expect((await nest.view()).state).toBe("snapshotting");
  });

  it("I12: an agent that does not look, a failed or an odd reading is never idle while it is on, and nothing while it is off", async () => {
    const { nest, agent } = await runningInstance(vast, user, withCpu);
    const bad = [undefined, {}, calm, { ...calm, cpu: { value: null, detail: "no answer" } }, { cpu: { none: false } }];
    for (const signals of bad.slice(0, 4)) {
      await beatFor(agent, 2 * minute, signals);
      expect(await nest.view()).toMatchObject({
        status: "running",
        awake_because: [{ signal: "cpu", code: "signal_unknown" }],
      });
    }
    const malformed = { ...interval(agent.n, agent.lastAt, Date.now() + 1, 0), signals: bad[4] };
    expect((await agent.post({ ...agent.report(), intervals: [malformed] })).status).toBe(400);
    await put(nest, { signals: { cpu: { enabled: false } } });
    await beatFor(agent, 80_000);
    expect((await nest.view()).state).toBe("snapshotting");
  });

  it("a signal of a newer agent is dropped, not refused", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await beatFor(agent, 20_000, { ...calm, gravity: { value: 9.81 } });
    expect((await nest.view()).status).toBe("idle");
  });

  it("activity of one calls a sleep of the rule off", async () => {
    const { nest, agent } = await runningInstance(vast, user, withCpu);
    await beatFor(agent, 80_000, { ...calm, cpu: { value: 1 } });
    expect((await nest.view()).state).toBe("snapshotting");
    await beatFor(agent, 10_000, { ...calm, cpu: { value: 300 } });
    expect(await nest.view()).toMatchObject({ state: "running", awake_because: [{ signal: "cpu" }] });
  });

  it("an ordinary beat with signals and a lease costs no row", async () => {
    const { nest, agent } = await runningInstance(vast, user, withCpu);
    const signals = () => ({ ...calm, cpu: { value: 90 + Math.floor(agent.n % 7), detail: `python (${agent.n})` } });
    const held = { held: [{ id: "a", what: "train.py" }] };
    await beatFor(agent, 20_000, signals(), held);
    await settle(nest.id);
    const counted = await runInDurableObject<InstanceObject, { rows: number }>(stubOf(nest.id), (_object, ctx) => {
      const counts = { rows: 0 };
      const sql = ctx.storage.sql;
      const exec = sql.exec.bind(sql);
      sql.exec = ((query: string, ...args: unknown[]) => {
        const cursor = exec(query, ...args);
        counts.rows += cursor.rowsWritten;
        return cursor;
      }) as typeof sql.exec;
      return counts;
    });
    for (let i = 0; i < 50; i++) await beatFor(agent, 10_000, signals(), held);
    expect(counted.rows).toBeGreaterThan(0);
    expect(counted.rows).toBeLessThanOrEqual(10);
  });
});

it("what was stored before there were signals and leases has their defaults", async () => {
  const { nest, agent } = await runningInstance(vast, user);
  await settle(nest.id);
  const [row] = await sqlOf<{ state: string }>(nest.id, "SELECT state FROM instance");
  const state = JSON.parse(row!.state);
  for (const name of ["signals", "grace_minutes", "not_now_minutes", "keep_awake_max_hours"]) delete state.config[name];
  delete state.awake;
  await sqlOf(nest.id, "UPDATE instance SET state = ?", JSON.stringify(state));
  await evictDurableObject(stubOf(nest.id));
  await agent.beatFor(30_000, 0);
  expect(await nest.view()).toMatchObject({
    status: "idle",
    leases: [],
    auto_hibernation: { grace_minutes: 3, keep_awake_max_hours: 24, signals: { cpu: { enabled: false } } },
  });
});
