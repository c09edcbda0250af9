/** Schedules over the API, and the two that may carry them out: the object's alarm and the cron. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AnswerOf } from "../../core/protocol/api.ts";
import { runCron } from "../cron.ts";
import {
  advance,
  api,
  fallAsleep,
  newInstance,
  outcome,
  runningInstance,
  type Sleeper,
  settle,
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

const plan = { wake_time: "09:00", sleep_time: "18:00", timezone: "America/Sao_Paulo" };
const put = (nest: Sleeper, json: object) =>
  api<AnswerOf<"putSchedule">>("PUT", `${nest.path}/schedule`, { token: nest.user.token, json });

describe("PUT /api/instances/{id}/schedule", () => {
  it("takes the plan's object, turns it on, and says what comes next in its zone", async () => {
    const nest = await newInstance(vast, user);
    expect((await nest.view()).schedule).toBeNull();
    const { status, body } = await put(nest, plan);
    expect(status).toBe(200);
    expect(body.auto_hibernation).toMatchObject({ wake_method: "scheduled", schedule: plan });
    expect(body.sources).toMatchObject({ wake_method: "instance", "schedule.wake_time": "instance" });
    expect(body.schedule).toMatchObject({ timezone: plan.timezone, sleep_due_since: null });
    expect(body.schedule?.next).toHaveLength(3);
    for (const { what, at, local } of body.schedule!.next) {
      expect(local).toMatch(what === "wake" ? /T09:00:00-03:00$/ : /T18:00:00-03:00$/);
      expect(Date.parse(local)).toBe(Date.parse(at));
    }
    expect(await nest.view()).toMatchObject({ schedule: body.schedule });
  });

  it("keeps times and zone that are not named, and forgets the rest", async () => {
    const nest = await newInstance(vast, user);
    const windows = [{ days: ["mon", "fri"], start: "08:00", end: "12:00" }];
    await put(nest, { ...plan, windows, exceptions: [{ date: "2027-01-01" }], hold: { activity: true } });
    const { body } = await put(nest, { wake_time: "10:00", windows });
    expect(body.auto_hibernation.schedule).toEqual({ ...plan, wake_time: "10:00", windows });
    const off = await put(nest, { enabled: false });
    expect(off.body.auto_hibernation).toMatchObject({
      wake_method: "manual",
      schedule: { ...plan, wake_time: "10:00" },
    });
    expect(off.body.schedule).toBeNull();
  });

  it.each([
    { wake_time: "9" },
    { wake_time: "24:00" },
    { timezone: "Mars/Olympus" },
    { windows: [{ start: "09:00", end: "09:00" }] },
    { windows: [{ days: [], start: "09:00", end: "10:00" }] },
    { windows: [{ days: ["someday"], start: "09:00", end: "10:00" }] },
    { exceptions: [{ date: "2026-02-30" }] },
    { once: [{ at: "2026-12-24 20:00", do: "wake" }] },
    { once: [{ at: "2026-12-24T20:00", do: "dance" }] },
    { surprise: 1 },
  ])("refuses %o, and changes nothing", async (json) => {
    const nest = await newInstance(vast, user);
    expect(await outcome("PUT", `${nest.path}/schedule`, { token: user.token, json })).toBe("400 invalid_input");
    expect((await nest.view()).auto_hibernation.wake_method).toBe("manual");
  });

  it("a time that no day has is refused", async () => {
    const nest = await newInstance(vast, user);
    const json = { once: [{ at: "2026-02-30T20:00", do: "wake" }] };
    expect(await outcome("PUT", `${nest.path}/schedule`, { token: user.token, json })).toBe("400 invalid_input");
  });
});

it("the alarm and the cron at the same minute make one machine, and neither makes another", async () => {
  const { nest, agent } = await runningInstance(vast, user, { enabled: false, delete_after_pause_minutes: 60 });
  await fallAsleep(nest, agent);
  await settle(nest.id);
  expect((await nest.view()).state).toBe("hibernated");
  const at = new Date(Math.ceil(Date.now() / 60_000) * 60_000 + 120_000);
  const { body } = await put(nest, {
    timezone: "UTC",
    windows: [],
    once: [{ at: at.toISOString().slice(0, 19), do: "wake" }],
  });
  expect(body.schedule?.next).toMatchObject([{ what: "wake", at: at.toISOString() }]);
  const before = vast.ofInstance(nest.id).length;
  advance(at.getTime() - Date.now() + 60_000);
  await Promise.all([runCron("* * * * *", env), runDurableObjectAlarm(stubOf(nest.id)), runCron("* * * * *", env)]);
  await settle(nest.id);
  expect((await nest.view()).state).toBe("provisioning");
  await runCron("* * * * *", env);
  await settle(nest.id);
  expect(vast.ofInstance(nest.id)).toHaveLength(before + 1);
  const events = (await nest.events()).filter((one) => one.event_type === "schedule_due");
  expect(events).toMatchObject([{ actor: "schedule", params: { what: "wake", at: at.toISOString() } }]);
});
