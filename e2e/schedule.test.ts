/** By the real clock: it wakes and sleeps at times that are seconds away, and the API says what comes next. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { AnswerOf } from "../core/protocol/api.ts";
import { Instance, keepCopy, mustBeEqual, startTestCloud, type TestCloud, workspaceOf } from "./testing/cloud.ts";
import { writeLargeWorkspace } from "./testing/workspace.ts";

let test: TestCloud;
beforeAll(async () => {
  test = await startTestCloud({ timings: { endEveryMs: 500, goneAgainMs: 300, listLagMs: 2_000, lookEveryMs: 500 } });
});
afterAll(async () => {
  await test?.end();
});

it("wakes and sleeps when the clock says so, with nobody's hand in it", async () => {
  const { cloud, base } = test;
  const instance = await Instance.create(cloud, {
    name: "by the clock",
    gpu_type: "RTX 4090",
    auto_hibernation: { enabled: false, check_interval_seconds: 0.5 },
  });
  await instance.untilState("running");
  const first = workspaceOf(await instance.machine());
  writeLargeWorkspace(first, { files: 10, fileBytes: 20_000, seed: 3 });
  const kept = keepCopy(first, `${base}/kept`);
  await instance.post("hibernate");
  await instance.untilState("hibernated");

  // Local times of a zone that is not this machine's.
  const zone = "Australia/Lord_Howe";
  const local = (at: number) =>
    new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" })
      .format(at)
      .replace(" ", "T");
  const second = 1_000;
  const wakeAt = Math.ceil((Date.now() + 4 * second) / second) * second;
  // A busy machine takes its time to wake, and is to be seen awake.
  const sleepAt = wakeAt + 30 * second;
  const answer = await cloud.api<AnswerOf<"putSchedule">>("PUT", `/api/instances/${instance.id}/schedule`, {
    timezone: zone,
    windows: [],
    once: [
      { at: local(wakeAt), do: "wake" },
      { at: local(sleepAt), do: "hibernate" },
    ],
  });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  expect(answer.body.auto_hibernation.wake_method).toBe("scheduled");
  expect(answer.body.schedule?.next.map(({ what, at }) => [what, Date.parse(at)])).toEqual([
    ["wake", wakeAt],
    ["sleep", sleepAt],
  ]);
  expect(answer.body.schedule?.next[0]?.local.slice(0, 19)).toBe(local(wakeAt));
  expect((await instance.view()).next).toMatchObject({ what: "wake", at: new Date(wakeAt).toISOString() });

  await instance.untilState("running");
  expect(Date.now()).toBeGreaterThanOrEqual(wakeAt);
  mustBeEqual(kept, workspaceOf(await instance.machine()));
  await instance.untilState("hibernated");
  expect(Date.now()).toBeGreaterThanOrEqual(sleepAt);
  const events = await instance.eventsUpTo("woke_up");
  const by = (type: string) => events.filter((one) => one.event_type === type).map((one) => one.actor);
  expect([by("wake_requested"), by("hibernate_requested").at(-1)]).toEqual([["schedule"], "schedule"]);
  expect((await instance.view()).schedule).toMatchObject({ next: [], wake_begins_at: null });
});
