/** `soneca channel`: the real program against canned answers. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ChannelView, DeliveryView } from "../core/protocol/notices.ts";
import { deliveryWords } from "./channel-words.ts";
import { runProgram } from "./testing/program.ts";
import { startTestServer, summary, type TestServer, testId } from "./testing/server.ts";

let server: TestServer;
beforeEach(async () => {
  server = await startTestServer();
});
afterEach(() => server.close());

const channel: ChannelView = {
  id: "ch-m4xaq2k3v7",
  kind: "webhook",
  name: "on-call",
  language: "en",
  groups: ["wake_failed", "slept"],
  instances: null,
  buttons: true,
  target: "hooks.example.com/…-gpu",
  has_token: false,
  off: null,
  created_at: "2026-11-29T17:40:00.000Z",
  last: null,
};
const delivery: DeliveryView = {
  id: "msg_1",
  event_type: "wake_failed",
  instance_id: testId,
  instance_name: "train",
  created_at: "2026-11-29T17:48:00.000Z",
  state: "delivered",
  tries: 1,
  last_try_at: "2026-11-29T17:48:00.000Z",
  next_try_at: null,
  status: 204,
  code: null,
  answer: null,
  took_ms: 80,
};

function soneca(...args: string[]) {
  const env = { PATH: process.env.PATH, HOME: "/nowhere", TZ: "UTC", SONECA_URL: server.url, SONECA_TOKEN: "snu_x" };
  return runProgram(["channel", ...args], { env });
}

test("adds one: the secret alone is on stdout, and names of instances become ids", async () => {
  server.on("GET /api/instances", { json: { instances: [summary()] } });
  server.on("POST /api/channels", { status: 201, json: { ...channel, secret: "whsec_abc" } });
  const url = "https://hooks.example.com/soneca-gpu";
  const { code, out, err } = await soneca(
    "add",
    "webhook",
    url,
    "--events",
    "wake_failed, slept",
    "--instances",
    "train",
  );
  expect([code, out]).toEqual([0, "whsec_abc\n"]);
  expect(err).toContain("failed wakes, sleeps");
  expect(server.asked.at(-1)!.body).toEqual({
    kind: "webhook",
    url,
    groups: ["wake_failed", "slept"],
    instances: [testId],
  });
  const wrong = await soneca("add", "webhook", url, "--events", "everything");
  expect(wrong.code).toBe(2);
});

test("lists, changes and tests by name; a test that does not arrive is a failure", async () => {
  server.on("GET /api/channels", { json: { channels: [{ ...channel, off: "gone" }] } });
  const path = `/api/channels/${channel.id}`;
  server.on(`PUT ${path}`, { json: { ...channel, secret: null } });
  server.on(`POST ${path}/test`, {
    json: { ...delivery, event_type: "test", state: "failed", status: 400, code: "status", answer: "invalid_payload" },
  });
  server.on(`GET ${path}/deliveries`, { json: { deliveries: [delivery] } });
  const [listed, changed, tested, told] = await Promise.all([
    soneca("list"),
    soneca("set", "on-call", "--enabled", "on", "--buttons", "off", "--access-token", "none"),
    soneca("test", "ch-m4x"),
    soneca("deliveries", "on-call", "--json"),
  ]);
  expect(listed.out).toMatch(/ch-m4xaq2k3v7 +on-call +webhook .*off: its address is gone/);
  expect(changed.code).toBe(0);
  expect(server.asked.find((one) => one.method === "PUT")!.body).toEqual({ on: true, buttons: false, token: null });
  expect([tested.code, tested.out]).toEqual([1, "on-call: refused (400): invalid_payload\n"]);
  expect(JSON.parse(told.out)).toEqual({ deliveries: [delivery] });
});

test("says how each delivery went", () => {
  const now = Date.parse(delivery.created_at);
  const words = (change: Partial<DeliveryView>) => deliveryWords({ ...delivery, ...change }, now);
  const again = { state: "waiting", next_try_at: "2026-11-29T17:49:04.000Z", status: null } as const;
  expect(words({})).toBe("delivered (204) in 80 ms");
  expect(words({ ...again, code: "timeout", tries: 2 })).toMatch(/^no answer within ten seconds; again at /);
  expect(words({ ...again, tries: 0 })).toMatch(/^waits until /);
  expect(words({ state: "failed", code: "gone", status: 410 })).toBe(
    "gone; the channel is switched off (410); given up",
  );
});
