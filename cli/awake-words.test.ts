import { expect, test } from "vitest";
import { defaultAutoHibernation } from "../core/protocol/config.ts";
import { awakeReasons, leaseWords } from "./awake-words.ts";
import { hibernatedView, instanceView } from "./testing/server.ts";

const now = Date.now();
const soon = new Date(now + 134_000).toISOString();

test("why it is awake", () => {
  expect(awakeReasons(instanceView(), now)).toEqual(["GPU 0 at 37 %, the threshold is 5 %"]);
  const off = instanceView({ auto_hibernation: { ...defaultAutoHibernation, enabled: false } });
  expect(awakeReasons(off, now)?.[0]).toContain("off");
  const newer = { signal: "disk", code: "disk_busy", value: null, threshold: null, detail: "sda" };
  expect(awakeReasons(instanceView({ awake_because: [newer] }), now)).toEqual(["disk disk_busy sda"]);
  const next = { what: "hibernate" as const, at: soon };
  expect(awakeReasons(instanceView({ status: "idle", awake_because: [], next }), now)?.[0]).toMatch(
    /^Nothing keeps it awake\. It sleeps at /,
  );
  expect(awakeReasons(hibernatedView(), now)).toBeNull();
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

test("a lease is a line", () => {
  const since = new Date(now - 300_000).toISOString();
  const lease = { id: "own", by: "user:u-1", by_name: "Ana", what: "lunch", since, until: soon };
  expect(leaseWords(lease, now)).toMatch(/^until .*, by Ana: lunch$/);
  expect(leaseWords({ ...lease, by_name: null }, now)).toMatch(/, by u-1: lunch$/);
});
