/** A sleep that was asked for and failed, over the API: shown, tried again by itself, called off. */
import { evictDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, it } from "vitest";
import {
  alarmAfter,
  type FakeAgent,
  runningInstance,
  type Sleeper,
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

const minute = 60_000;

async function fail(agent: FakeAgent, code = "store_unreachable", retryable = true): Promise<void> {
  await agent.beat({ gpu: 80 });
  const { id } = agent.command("snapshot");
  const message = "The store does not answer.";
  await agent.beat({ gpu: 80, results: [{ commandId: id, outcome: "failed", code, message, retryable }] });
}

async function failedOnce(): Promise<{ nest: Sleeper; agent: FakeAgent }> {
  const { nest, agent } = await runningInstance(vast, user, { enabled: false });
  await nest.post("hibernate");
  await fail(agent);
  return { nest, agent };
}

it("is shown with its time, begins again by the alarm, and ends in sleep", async () => {
  const { nest, agent } = await failedOnce();
  const failed = await nest.view();
  const nextAt = new Date(Date.now() + 5 * minute).toISOString();
  expect(failed).toMatchObject({
    state: "running",
    trouble: { code: "store_unreachable" },
    sleep_request: { by: `user:${user.id}`, tries: 1, next_at: nextAt, code: "store_unreachable" },
    next: { what: "hibernate", at: nextAt },
    actions: expect.arrayContaining(["wake"]),
  });
  await agent.beatFor(4.5 * minute, 80);
  expect((await nest.view()).state).toBe("running");
  await evictDurableObject(stubOf(nest.id));
  await alarmAfter(nest.id, 31_000);
  expect(await nest.view()).toMatchObject({ state: "snapshotting", sleep_request: { tries: 1, next_at: null } });

  await agent.beat({ gpu: 80 });
  const { id, seq } = agent.command("snapshot");
  const { ref } = await agent.store(seq);
  await agent.beat({ gpu: 80, results: [{ commandId: id, outcome: "snapshot_taken", snapshot: ref, stats }] });
  await settle(nest.id);
  await agent.beat({ gpu: 80 });
  await agent.beat({ gpu: 80, seal: agent.sealOf(ref) });
  await settle(nest.id);
  await alarmAfter(nest.id, 3_500);
  expect(await nest.view()).toMatchObject({ state: "hibernated", sleep_request: null, trouble: null });
});

it("a wake calls it off, and it stays awake", async () => {
  const { nest, agent } = await failedOnce();
  expect((await nest.post("wake")).body).toMatchObject({ state: "running", sleep_request: null, next: null });
  await agent.beatFor(7 * minute, 80);
  expect((await nest.view()).state).toBe("running");
  expect((await nest.events()).at(-1)).toMatchObject({ event_type: "hibernate_cancelled", reason: "wake" });
});

it("what does not pass by itself is told once, and tried again an hour later", async () => {
  const { nest, agent } = await runningInstance(vast, user, { enabled: false });
  await nest.post("hibernate");
  await fail(agent, "store_full", false);
  await agent.beatFor(59.5 * minute, 80, 30_000);
  expect((await nest.view()).state).toBe("running");
  await agent.beatFor(minute, 80, 30_000);
  expect((await nest.view()).state).toBe("snapshotting");
  await fail(agent, "store_full", false);
  expect((await nest.view()).sleep_request).toMatchObject({ tries: 2 });
  expect((await nest.eventTypes()).filter((type) => type === "snapshot_failed")).toHaveLength(1);
});
