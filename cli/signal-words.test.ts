import { expect, test } from "vitest";
import { signalRows } from "./signal-words.ts";

const now = Date.now();

test("every signal is a row", () => {
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
});
