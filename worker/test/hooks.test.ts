/** Scripts before a sleep and after a wake, over the API. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { api, fallAsleep, runningInstance, settle, stats, type TestUser } from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import type { FakeVast } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;
beforeEach(async () => {
  ({ vast, user } = await setScene());
});
afterEach(endScene);

const minute = 60_000;
const hook = { name: "before_sleep", outcome: "failed", exit: 9, ms: 40, tail: "epoch 7 of 9" };

it("a no is shown as what keeps it awake, until when, and a forced sleep goes through", async () => {
  const { nest, agent } = await runningInstance(vast, user, { hooks: { before_sleep: "save.sh" } });
  await nest.post("hibernate");
  await agent.beat({ gpu: 0 });
  const { id, hook: carried } = agent.command("snapshot");
  expect(carried).toEqual({ run: "save.sh", timeoutMs: 60_000, reason: "asked", mayVeto: true });
  const message = "The before-sleep script ended with 9: epoch 7 of 9";
  const vetoed = { commandId: id, outcome: "failed", code: "hook_veto", message, retryable: true, hook };
  await agent.beat({ gpu: 0, results: [vetoed] });
  const until = new Date(Date.now() + 5 * minute).toISOString();
  expect(await nest.view()).toMatchObject({
    state: "running",
    trouble: null,
    awake_because: [{ signal: "hook", code: "hook_veto", detail: message, until }],
    sleep_request: { code: "hook_veto", next_at: until },
  });
  const events = await nest.events();
  expect(events.find((one) => one.event_type === "hook_failed")?.params).toMatchObject({
    exit: 9,
    tail: "epoch 7 of 9",
  });
  expect(events.find((one) => one.event_type === "sleep_vetoed")?.reason).toBe(message);

  expect((await nest.post("hibernate", { force: "yes" })).status).toBe(400);
  await nest.post("hibernate", { force: true });
  await agent.beat({ gpu: 0 });
  const forced = agent.command("snapshot");
  expect(forced.hook?.mayVeto).toBe(false);
  const { ref } = await agent.store(forced.seq);
  const taken = { commandId: forced.id, outcome: "snapshot_taken", snapshot: ref, stats, hook };
  await agent.beat({ gpu: 0, results: [taken] });
  await settle(nest.id);
  expect((await nest.view()).state).toBe("snapshotting");
  expect((await nest.eventTypes()).filter((type) => type === "hook_failed")).toHaveLength(2);
});

it("after a wake a failure is told, and it wakes", async () => {
  const { nest, agent } = await runningInstance(vast, user, { hooks: { after_wake: "serve.sh", timeout_seconds: 20 } });
  const ref = await fallAsleep(nest, agent);
  await nest.post("wake");
  await settle(nest.id);
  const next = nest.agent();
  await next.beat();
  const restore = next.command("restore");
  expect(restore.hook).toEqual({ run: "serve.sh", timeoutMs: 20_000, reason: "wake", mayVeto: false });
  const failed = { ...hook, name: "after_wake", outcome: "timed_out", exit: null };
  await next.beat({ results: [{ commandId: restore.id, outcome: "restored", digest: ref.digest, hook: failed }] });
  expect(await nest.view()).toMatchObject({ state: "running", trouble: null });
  expect((await nest.events()).find((one) => one.event_type === "hook_failed")?.params).toMatchObject({
    hook: "after_wake",
    outcome: "timed_out",
  });
});

it("is set and unset by name, within its bounds", async () => {
  const { nest } = await runningInstance(vast, user);
  const put = (hooks: object) =>
    api("PUT", `${nest.path}/config`, { token: user.token, json: { auto_hibernation: { hooks } } });
  expect((await put({ before_sleep: "a" })).body).toMatchObject({
    auto_hibernation: { hooks: { before_sleep: "a", after_wake: null, timeout_seconds: 60 } },
  });
  expect((await put({ before_sleep: null })).body).toMatchObject({
    auto_hibernation: { hooks: { before_sleep: null } },
  });
  for (const hooks of [{ before_sleep: "" }, { timeout_seconds: 301 }, { timeout_seconds: 0 }, { later: "x" }])
    expect([hooks, (await put(hooks)).status]).toEqual([hooks, 400]);
});
