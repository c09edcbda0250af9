import { expect, test } from "vitest";
import { nextWords, statusPhrase, workPhrase } from "./status-words.ts";
import { instanceView } from "./testing/server.ts";

const now = Date.now();
const soon = new Date(now + 134_000).toISOString();

test("idle says when it sleeps", () => {
  const view = instanceView({ status: "idle", awake_because: [], next: { what: "hibernate", at: soon } });
  expect(statusPhrase(view, now)).toBe("Idle, hibernates in 2:14");
  expect(nextWords({ ...view, next: { what: "hibernate", at: new Date(now - 5).toISOString() } }, now)).toContain(
    "any moment now",
  );
});

test("silence says for how long", () => {
  const view = instanceView({ status: "unreachable", last_report_at: new Date(now - 250_000).toISOString() });
  expect(statusPhrase(view, now)).toBe("No contact for 4 min");
});

test("a machine on its way out is never said to have a snapshot: it may have been discarded", () => {
  const view = instanceView({ status: "hibernating", state: "destroying" });
  expect(`${workPhrase(view)} ${nextWords(view, now)} ${statusPhrase(view, now)}`).not.toContain("snapshot");
});

test("an announced sleep says how to put it off", () => {
  const next = { what: "hibernate" as const, at: soon, warned_at: new Date(now).toISOString() };
  expect(nextWords(instanceView({ status: "idle", next }), now)).toContain("soneca instance not-now");
});
