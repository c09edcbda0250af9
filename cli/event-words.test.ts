import { expect, test } from "vitest";
import { eventPhrase } from "./event-words.ts";
import { eventOf } from "./testing/server.ts";

test("events in words, newer ones by their own name", () => {
  expect(eventPhrase(eventOf(1, { event_type: "wake_failed", reason: "no_offer", gpu_utilization: null }))).toBe(
    "Wake failed (no_offer)",
  );
  expect(eventPhrase(eventOf(1, { event_type: "moon_rose" }))).toBe("moon rose");
});
