import { describe, expect, test } from "vitest";
import { discardWords, recoveryWords } from "./loss-words.ts";
import { hibernatedView, instanceView } from "./testing/server.ts";

const now = Date.now();

describe("a discard says first", () => {
  test("that the whole workspace goes when there is no snapshot", () => {
    const { lost, kept } = discardWords(instanceView(), now);
    expect(lost[0]).toContain("the whole workspace");
    expect(kept[0]).toBe("Nothing of the workspace.");
  });

  test("that what came after the snapshot goes", () => {
    const { lost, kept } = discardWords({ ...instanceView(), snapshot: hibernatedView().snapshot }, Date.now());
    expect(lost[0]).toContain("since the snapshot of 6 min ago");
    expect(kept[0]).toContain("i-aaaaaaaaaa@3");
  });

  test("that a machine that only starts holds nothing, but an adopted one does", () => {
    const starting = instanceView({ status: "waking", state: "provisioning" });
    expect(discardWords(starting, now).lost[0]).toContain("Nothing of yours is on it yet");
    const adopted = { ...starting, machine: { ...starting.machine!, adopted: true } };
    expect(discardWords(adopted, now).lost[0]).toContain("the whole workspace");
  });
});

test("the recovery point: how old, what is torn, what comes next", () => {
  const at = new Date(now - 12 * 60_000).toISOString();
  const next_at = new Date(now + 18 * 60_000).toISOString();
  const recovery_point = {
    kind: "checkpoint" as const,
    snapshot_id: "i-aaaaaaaaaa@7",
    at,
    age_seconds: 720,
    torn: 2,
    torn_paths: ["train.log"],
  };
  const none = { next_at: null, running_since: null, progress: null, failure: null };
  const words = recoveryWords(instanceView({ recovery_point, checkpoints: { ...none, next_at } }), now);
  expect(words).toMatch(/^12 min old \(i-aaaaaaaaaa@7.*\n.*2 \(train\.log, \.\.\.\)\nnext checkpoint in 18/);
  expect(recoveryWords(instanceView(), now)).toContain("would be lost");
  const failure = { code: "store_full", message: "The store is full.", at, tries: 4 };
  expect(recoveryWords(instanceView({ recovery_point, checkpoints: { ...none, failure } }), now)).toContain(
    "the last try failed (4): The store is full.",
  );
  expect(recoveryWords(instanceView({ status: "hibernated", state: "hibernated" }), now)).toBeNull();
});
