/** What other settings would have done, from what an instance really keeps. */
import { evictDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ErrorBody } from "../../core/protocol/errors.ts";
import type { PreviewAnswer } from "../../core/protocol/live.ts";
import {
  advance,
  api,
  type FakeAgent,
  fallAsleep,
  newUser,
  outcome,
  runningInstance,
  type Sleeper,
  settle,
  stubOf,
  type TestUser,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import type { FakeVast } from "./vast.ts";

const minute = 60_000;
const hour = 60 * minute;

let vast: FakeVast;
let user: TestUser;

beforeEach(async () => {
  ({ vast, user } = await setScene());
  for (const one of vast.offers) Object.assign(one, { inet_up_cost: 0.003, inet_down_cost: 0.003 });
  advance(hour - (Date.now() % hour));
});
afterEach(endScene);

async function preview(nest: Sleeper, patch?: object): Promise<PreviewAnswer> {
  const json = patch === undefined ? {} : { auto_hibernation: patch };
  const { status, body } = await nest.post<PreviewAnswer>("preview", json);
  if (status !== 200) throw new Error(`no preview: ${status} ${JSON.stringify(body)}`);
  return body;
}

/** A cycle, so that its times are measured, and its agent running again. */
async function cycled(): Promise<{ nest: Sleeper; agent: FakeAgent }> {
  const { nest, agent } = await runningInstance(vast, user, {
    enabled: false,
    check_interval_seconds: 300,
    checkpoint: { enabled: false },
  });
  agent.lastAt = Date.now();
  advance(minute);
  await agent.beat({ gpu: 80 });
  await nest.post("hibernate");
  await agent.beat({ gpu: 0 });
  advance(40_000);
  await fallAsleep(nest, agent);
  advance(10 * minute);
  await nest.post("wake");
  await settle(nest.id);
  advance(2 * minute);
  const other = nest.agent();
  await other.beat();
  const { id, snapshot } = other.command("restore");
  advance(minute);
  await other.beat({ results: [{ commandId: id, outcome: "restored", digest: snapshot.digest }] });
  other.lastAt = Date.now();
  expect((await nest.view()).status).toBe("running");
  return { nest, agent: other };
}

async function use(agent: FakeAgent, hours: number, gpu: number): Promise<void> {
  await agent.beatFor(hours * hour, gpu, 5 * minute);
}

it("replays what was kept, and changes nothing", async () => {
  const { nest, agent } = await cycled();
  expect(await preview(nest)).toEqual({ replay: null, schedule: null });
  for (let i = 0; i < 3; i++) {
    await use(agent, 2, 90);
    await use(agent, 10, 0);
    await evictDurableObject(stubOf(nest.id));
    await agent.beat();
  }
  const before = await nest.view();
  const { replay } = await preview(nest, { enabled: true, pause_after_idle_minutes: 30 });
  expect(replay).toMatchObject({ micro_usd_per_hour: 400_000 });
  const { as_is, as_set, busy } = replay!;
  expect(as_is).toMatchObject({ sleeps: 0, saved_micro_usd: 0, asleep: [], waited_seconds: 0 });
  expect(as_set.sleeps).toBe(3);
  expect(as_set.asleep_seconds / 3600).toBeGreaterThan(3 * 9);
  expect(as_set.asleep_seconds / 3600).toBeLessThan(3 * 9.6);
  expect(as_set.saved_micro_usd / 400_000).toBeGreaterThan(3 * 9 - 1);
  expect(as_set.paid_micro_usd + as_set.saved_micro_usd).toBe(as_is.paid_micro_usd);
  expect(as_set.waited_seconds).toBeGreaterThan(0);
  // The first use goes on from that around the cycle.
  const hours = busy.map(({ from, to }) => Math.round((Date.parse(to) - Date.parse(from)) / hour));
  expect(hours.slice(-2)).toEqual([2, 2]);
  expect(await nest.view()).toEqual(before);
  // With what is set already there is no difference.
  const same = await preview(nest);
  expect(same.replay!.as_set).toEqual(same.replay!.as_is);
});

it("says nothing of a machine whose price nobody told", async () => {
  for (const one of vast.offers) Object.assign(one, { inet_up_cost: undefined });
  const { nest, agent } = await cycled();
  await use(agent, 26, 90);
  expect((await preview(nest)).replay).toBeNull();
});

it("says nothing before its times were measured", async () => {
  const { nest, agent } = await runningInstance(vast, user, { enabled: false, check_interval_seconds: 300 });
  await use(agent, 26, 90);
  expect((await preview(nest)).replay).toBeNull();
});

describe("the clock", () => {
  it("is that of the patch: the next three times, and when it is set within a window", async () => {
    const { nest } = await runningInstance(vast, user);
    expect((await preview(nest)).schedule).toBeNull();
    const schedule = { wake_time: "22:00", sleep_time: "06:00", timezone: "Europe/Berlin" };
    const { schedule: said } = await preview(nest, { wake_method: "scheduled", schedule });
    expect(said!.next).toHaveLength(3);
    for (const { what, local } of said!.next) expect(local.slice(11, 16)).toBe(what === "wake" ? "22:00" : "06:00");
    expect(said!.clock_changes.map((one) => one.shift_minutes).toSorted((a, b) => a - b)).toEqual([-60, 60]);
    const { schedule: none } = await preview(nest, { schedule });
    expect(none).toBeNull();
  });

  it("refuses what a change would refuse", async () => {
    const { nest } = await runningInstance(vast, user, { schedule: null });
    const half = await nest.post<ErrorBody>("preview", { auto_hibernation: { schedule: { wake_time: "09:00" } } });
    expect([half.status, half.body.error.code]).toEqual([400, "invalid_input"]);
    const change = { json: { auto_hibernation: { schedule: { wake_time: "09:00" } } }, token: user.token };
    const put = await api<ErrorBody>("PUT", `${nest.path}/config`, change);
    expect(half.body.error).toMatchObject({ ...put.body.error, request_id: expect.any(String) });
    const odd = { auto_hibernation: { pause_after_idle_minutes: -1 } };
    expect(await outcome("POST", `${nest.path}/preview`, { token: user.token, json: odd })).toBe("400 invalid_input");
    const other = await newUser("Bea");
    expect(await outcome("POST", `${nest.path}/preview`, { token: other.token, json: {} })).toBe(
      "404 instance_not_found",
    );
  });
});
