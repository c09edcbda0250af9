import { describe, expect, test } from "vitest";
import { defaultAutoHibernation } from "../core/protocol/config.ts";
import { signalRows } from "./signal-words.ts";
import { eventOf, hibernatedView, instanceView } from "./testing/server.ts";
import {
  awakeReasons,
  burnWords,
  costWords,
  discardWords,
  eventPhrase,
  leaseWords,
  nextWords,
  recoveryWords,
  statusPhrase,
  workPhrase,
} from "./words.ts";

const now = Date.now();
const soon = new Date(now + 134_000).toISOString();

test("idle says when it sleeps", () => {
  const view = instanceView({ status: "idle", awake_because: [], next: { what: "hibernate", at: soon } });
  expect(statusPhrase(view, now)).toBe("Idle, hibernates in 2:14");
  expect(awakeReasons(view, now)?.[0]).toMatch(/^Nothing keeps it awake\. It sleeps at /);
  expect(nextWords({ ...view, next: { what: "hibernate", at: new Date(now - 5).toISOString() } }, now)).toContain(
    "any moment now",
  );
});

test("silence says for how long", () => {
  const view = instanceView({ status: "unreachable", last_report_at: new Date(now - 250_000).toISOString() });
  expect(statusPhrase(view, now)).toBe("No contact for 4 min");
});

test("why it is awake", () => {
  expect(awakeReasons(instanceView(), now)).toEqual(["GPU 0 at 37 %, the threshold is 5 %"]);
  const off = instanceView({ auto_hibernation: { ...defaultAutoHibernation, enabled: false } });
  expect(awakeReasons(off, now)?.[0]).toContain("off");
  const newer = { signal: "disk", code: "disk_busy", value: null, threshold: null, detail: "sda" };
  expect(awakeReasons(instanceView({ awake_because: [newer] }), now)).toEqual(["disk disk_busy sda"]);
  expect(awakeReasons(hibernatedView(), now)).toBeNull();
});

test("what it costs now counts machines on their way out, each once", () => {
  const view = instanceView();
  expect(burnWords(view)).toBe("US$ 0.42/h");
  expect(burnWords({ ...view, retiring_machines: [view.machine!] })).toBe("US$ 0.42/h");
  expect(burnWords({ ...view, retiring_machines: [{ ...view.machine!, epoch: 2 }] })).toBe("US$ 0.84/h");
  expect(burnWords({ ...view, machine: { ...view.machine!, micro_usd_per_hour: null } })).toBe("price unknown");
  expect(burnWords(hibernatedView())).toContain("nothing is rented");
});

test("an unknown price is named, not guessed", () => {
  const view = instanceView({ cost: { paid_micro_usd: 10_000, paid_seconds: 60, unknown_price_seconds: 120 } });
  expect(costWords(view)).toBe("US$ 0.01 for 1 min of rented time\nplus 2 min at an unknown price, so not counted");
});

test("a machine on its way out is never said to have a snapshot: it may have been discarded", () => {
  const view = instanceView({ status: "hibernating", state: "destroying" });
  expect(`${workPhrase(view)} ${nextWords(view, now)} ${statusPhrase(view, now)}`).not.toContain("snapshot");
});

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

test("events in words, newer ones by their own name", () => {
  expect(eventPhrase(eventOf(1, { event_type: "wake_failed", reason: "no_offer", gpu_utilization: null }))).toBe(
    "Wake failed (no_offer)",
  );
  expect(eventPhrase(eventOf(1, { event_type: "moon_rose" }))).toBe("moon rose");
});

test("every signal is a row, and a lease a line", () => {
  const since = new Date(now - 300_000).toISOString();
  const signal = { enabled: true, state: "busy" as const, since, detail: null };
  const rows = signalRows(
    [
      { ...signal, name: "cpu", value: 140, threshold: 20, unit: "percent", detail: "python (7)" },
      { ...signal, name: "terminal", enabled: false, value: 12, threshold: 300, unit: "seconds" },
      { ...signal, name: "network", state: "unknown", value: null, threshold: 100_000, unit: "bytes_per_second" },
      { ...signal, name: "terminal", state: "quiet", value: null, threshold: 300, unit: "seconds" },
      { ...signal, name: "gpu_memory", enabled: false, value: 8012, threshold: null, unit: "megabytes" },
    ],
    now,
  );
  expect(rows.map((row) => row.join(" | "))).toEqual([
    "CPU of the workspace | 140 % of a core | busy for 5 min | busy from 20 % of a core | decides | python (7)",
    "Terminals | 12 s ago | busy for 5 min | busy under 5 min | off | ",
    expect.stringMatching(/^Network \| unknown \| unknown for 5 min \| busy from .*\/s \| decides \| $/),
    "Terminals | none | quiet for 5 min | busy under 5 min | decides | ",
    expect.stringMatching(/^GPU memory \| .* held \| {2}\| {2}\| shown only \| $/),
  ]);
  const lease = { id: "own", by: "user:u-1", by_name: "Ana", what: "lunch", since, until: soon };
  expect(leaseWords(lease, now)).toMatch(/^until .*, by Ana: lunch$/);
  expect(leaseWords({ ...lease, by_name: null }, now)).toMatch(/, by u-1: lunch$/);
});

test("what holds it awake beside the GPUs has words", () => {
  const because = (one: object) =>
    awakeReasons(
      instanceView({ awake_because: [{ signal: "", code: "", value: null, threshold: null, detail: null, ...one }] }),
      now,
    )?.[0];
  expect(because({ signal: "cpu", code: "signal_busy", value: 140, threshold: 20, detail: "python (7)" })).toBe(
    "CPU of the workspace at 140 % of a core, the threshold is 20 % of a core (python (7))",
  );
  expect(because({ signal: "terminal", code: "signal_busy", value: 12, threshold: 300 })).toBe(
    "The last input to a terminal was 12 s ago, the threshold is 5 min",
  );
  expect(because({ signal: "jupyter", code: "signal_unknown", detail: "HTTP 403" })).toBe(
    "Jupyter gives no reading, which counts as busy: HTTP 403",
  );
  expect(because({ signal: "lease", code: "lease", until: soon, detail: "lunch" })).toMatch(
    /^Held awake until .* \(lunch\)$/,
  );
  expect(because({ signal: "grace", code: "grace", until: soon })).toMatch(/^It is left alone until/);
});

test("an announced sleep says how to put it off", () => {
  const next = { what: "hibernate" as const, at: soon, warned_at: new Date(now).toISOString() };
  expect(nextWords(instanceView({ status: "idle", next }), now)).toContain("soneca instance not-now");
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
