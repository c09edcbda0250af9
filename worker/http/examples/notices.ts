/** Examples of the routes of notices. */
import type { ChannelView, DeliveryView } from "../../../core/protocol/notices.ts";
import type { Examples } from "./example.ts";

const delivery: DeliveryView = {
  id: "msg_ch-m4xaq2k3v7_i-k3v7q2m4xa_42",
  event_type: "wake_failed",
  instance_id: "i-k3v7q2m4xa",
  instance_name: "train",
  created_at: "2026-11-29T17:48:00.000Z",
  state: "waiting",
  tries: 2,
  last_try_at: "2026-11-29T17:48:31.000Z",
  next_try_at: "2026-11-29T17:49:04.000Z",
  status: 503,
  code: "status",
  answer: "upstream connect error",
  took_ms: 212,
};

const channel: ChannelView = {
  id: "ch-m4xaq2k3v7",
  kind: "webhook",
  name: "on-call",
  language: "en",
  groups: ["wake_failed", "snapshot_failed", "machine_stuck", "trouble"],
  instances: null,
  buttons: true,
  target: "hooks.example.com/…-gpu",
  has_token: false,
  off: null,
  created_at: "2026-11-29T17:40:00.000Z",
  last: { state: "waiting", status: 503, code: "status", created_at: "2026-11-29T17:48:00.000Z" },
};

export const noticeExamples: Examples = {
  listChannels: { answer: { channels: [channel] } },
  createChannel: {
    body: { kind: "webhook", name: "on-call", url: "https://hooks.example.com/soneca-gpu" },
    answer: { ...channel, last: null, secret: "whsec_EXAMPLE" },
  },
  changeChannel: {
    body: { groups: ["wake_failed", "sleep_soon"], instances: ["i-k3v7q2m4xa"] },
    answer: { ...channel, secret: null },
  },
  testChannel: {
    body: {},
    answer: {
      ...delivery,
      id: "msg_ch-m4xaq2k3v7_test_1795974480000",
      event_type: "test",
      instance_id: null,
      instance_name: null,
      state: "delivered",
      tries: 1,
      next_try_at: null,
      status: 204,
      code: null,
      answer: null,
    },
  },
  listDeliveries: { answer: { deliveries: [delivery] } },
  pressButton: {
    body: { token: "eyJhbGciOiJIUzI1NiJ9.EXAMPLE.EXAMPLE" },
    answer: { done: "wake", instance_id: "i-k3v7q2m4xa" },
  },
};
