import { expect, it } from "vitest";
import { defaultSignalRules, mergeSignalRules, type SignalReadings } from "../protocol/signals.ts";
import type { Sample } from "./idle.ts";
import { testConfig } from "./testing/fixtures.ts";
import { explainSignals, type SignalSince, trackSince } from "./why.ts";

const now = 2_000_000_000_000;
const signals = mergeSignalRules(defaultSignalRules, { cpu: { enabled: true } });
const config = { ...testConfig, signals };

function sample(toAt: number, max: number | null, readings?: SignalReadings): Sample {
  const gpu = { index: 2, name: null, max, mean: max, busyShare: null, memoryUsedMb: null, memoryTotalMb: null };
  const rest = { expected: 10, taken: 10, sensorError: null, ...(readings ? { signals: readings } : {}) };
  return { fromAt: toAt - 10_000, toAt, gpus: [gpu], ...rest };
}
const find = (words: ReturnType<typeof explainSignals>, name: string) => words.find((one) => one.name === name);

it("tells every signal, what it is judged by, and whether it decides", () => {
  const readings = { cpu: { value: 140, detail: "python (7)" }, terminal: { value: null, none: true as const } };
  const words = explainSignals(sample(now, 37, readings), config, now, 1);
  expect(words.map((one) => one.name)).toEqual([
    "gpu",
    "traffic",
    "cpu",
    "terminal",
    "jupyter",
    "network",
    "disk",
    "gpu_memory",
  ]);
  expect(find(words, "gpu")).toMatchObject({ enabled: true, state: "busy", value: 37, threshold: 5, detail: "GPU 2" });
  expect(find(words, "cpu")).toMatchObject({
    enabled: true,
    state: "busy",
    value: 140,
    threshold: 20,
    detail: "python (7)",
  });
  expect(find(words, "terminal")).toMatchObject({ enabled: false, state: "quiet", value: null, threshold: 300 });
  expect(find(words, "jupyter")).toMatchObject({ enabled: false, state: "unknown", value: null });
  expect(find(words, "gpu_memory")).toMatchObject({ enabled: false, threshold: null });
});

it("I12: what is stale, missing or failed is unknown", () => {
  const states = (one: Sample | undefined, gpuCount = 1) =>
    new Set(explainSignals(one, config, now, gpuCount).map((word) => word.state));
  expect(states(undefined)).toEqual(new Set(["unknown"]));
  expect(states(sample(now - 60_000, 0, { cpu: { value: 0 } }))).toEqual(new Set(["unknown"]));
  expect(find(explainSignals(sample(now, null), config, now, 1), "gpu")!.state).toBe("unknown");
  expect(find(explainSignals(sample(now, 0), config, now, 4), "gpu")!.state).toBe("unknown");
  const failed = { ...sample(now, 0), sensorError: "driver not loaded" };
  expect(find(explainSignals(failed, config, now, 1), "gpu")).toMatchObject({
    state: "unknown",
    detail: "driver not loaded",
  });
});

it("since when: kept while the word stays, begun anew when it changes", () => {
  let since: SignalSince = {};
  const beat = (at: number, cpu: number) => {
    const words = explainSignals(sample(at, 0, { cpu: { value: cpu } }), config, at, 1, since);
    since = trackSince(words, at);
    return find(words, "cpu")!;
  };
  expect(beat(now, 90)).toMatchObject({ state: "busy", since: now - 10_000 });
  expect(beat(now + 10_000, 50)).toMatchObject({ state: "busy", since: now - 10_000 });
  expect(beat(now + 3_600_000, 40)).toMatchObject({ state: "busy", since: now - 10_000 });
  expect(beat(now + 3_610_000, 1)).toMatchObject({ state: "quiet", since: now + 3_600_000 });
  expect(since.gpu).toEqual({ state: "quiet", at: now - 10_000 });
});
