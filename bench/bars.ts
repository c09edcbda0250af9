/** The bars of the engine: each a number that must not be greater than its limit. */
import { lossCount } from "./compare.ts";
import { greatestOf, type Metric, medianOf, type Results, type Sample } from "./results.ts";
import type { ToolName } from "./tools.ts";

export interface Bar {
  scenario: string;
  text: string;
  must: number | null;
  aim: number | null;
  unit: "x" | "bytes" | "ms" | "count";
  value(results: Results): number | null;
}

export type Verdict = "aim met" | "met" | "missed" | "aim missed" | "not measured";

export function judge(bar: Bar, value: number | null): Verdict {
  if (value === null || Number.isNaN(value)) return "not measured";
  if (bar.must !== null && value > bar.must) return "missed";
  if (bar.aim === null) return "met";
  if (value <= bar.aim) return "aim met";
  return bar.must === null ? "aim missed" : "met";
}

/** Infinite, and so missed, where the engine itself failed before there was a value. */
export function valueOfBar(bar: Bar, results: Results): number | null {
  const hasFailed = results.failures.some(({ scenario, tool }) => scenario === bar.scenario && tool === "soneca");
  return bar.value(results) ?? (hasFailed ? Number.POSITIVE_INFINITY : null);
}

type Of = [step: string, tool: Sample["tool"], metric: Metric];

function ratio(
  scenario: string,
  text: string,
  one: Of,
  other: Of,
  must: number | null,
  aim: number | null = null,
): Bar {
  const value = (results: Results) => {
    const [a, b] = [medianOf(results, scenario, ...one), medianOf(results, scenario, ...other)];
    return a === null || b === null ? null : a / b;
  };
  return { scenario, text, must, aim, unit: "x", value };
}

/** soneca's metric over the peer's, in the same step. */
const against = (
  scenario: string,
  text: string,
  step: string,
  peer: ToolName,
  metric: Metric,
  must: number | null,
  aim: number | null = null,
) => ratio(scenario, text, [step, "soneca", metric], [step, peer, metric], must, aim);

const kindBars = (
  [
    ["bf16", "BF16", 0.85],
    ["fp16", "FP16", 0.92],
    ["fp32", "FP32", 0.905],
    ["int8", "INT8", 0.985],
  ] as const
).flatMap(([kind, name, must]) => [
  against("kinds", `${name} stored, against restic`, kind, "restic", "storedBytes", must),
  against("kinds", `${name} stored, against tar | zstd -3`, kind, "tar-zstd", "storedBytes", must),
]);

const memoryBars = (
  [
    ["first", "first snapshot"],
    ["restore", "restore"],
    ["verify", "verify"],
    ["verify --data", "verify --data"],
  ] as const
).map(([step, name]) =>
  ratio(
    "memory-3x",
    `peak memory at three times the data, ${name}`,
    [`3x ${step}`, "soneca", "peakBytes"],
    [`1x ${step}`, "soneca", "peakBytes"],
    1.2,
  ),
);

const mixedSteps = ["first", "unchanged", "day", "restore", "verify", "verify --data"];

export const bars: Bar[] = [
  against("mixed", "first snapshot, wall, against restic", "first", "restic", "wallMs", 0.75),
  against("mixed", "first snapshot, CPU, against restic", "first", "restic", "cpuMs", 0.65),
  against("mixed", "first snapshot, wall, against tar | zstd -3 -T0", "first", "tar-zstd-T0", "wallMs", null, 1),
  against("mixed", "first snapshot, CPU, against tar | zstd -3 -T0", "first", "tar-zstd-T0", "cpuMs", null, 1.2),
  against("mixed", "stored bytes, against restic", "first", "restic", "storedBytes", 0.92, 0.865),
  against("mixed", "stored bytes, against tar | zstd -3", "first", "tar-zstd", "storedBytes", 0.97, 0.92),
  against("mixed", "unchanged, wall, against restic", "unchanged", "restic", "wallMs", 0.4, 0.15),
  against("mixed", "after a day's work, added bytes, against borg", "day", "borg", "addedBytes", 0.93, 0.75),
  against("mixed", "after a day's work, wall, against restic", "day", "restic", "wallMs", 1, 0.5),
  against("mixed", "restore, wall, against restic", "restore", "restic", "wallMs", 1, 0.8),
  against("mixed", "verify every stored byte, wall, against restic", "verify", "restic", "wallMs", 0.5, 0.33),
  ratio(
    "mixed",
    "verify every stored byte and decode every chunk, wall, against restic",
    ["verify --data", "soneca", "wallMs"],
    ["verify", "restic", "wallMs"],
    null,
    0.5,
  ),
  {
    scenario: "mixed",
    text: "peak memory, folder store, all steps",
    must: 400e6,
    aim: 250e6,
    unit: "bytes",
    value: (results) => greatestOf(results, "mixed", mixedSteps, "soneca", "peakBytes"),
  },
  ...kindBars,
  ratio(
    "kinds",
    "code stored, against one zstd -3 frame a file",
    ["code", "soneca", "storedBytes"],
    ["code: one zstd -3 frame a file", "data", "storedBytes"],
    0.62,
  ),
  ratio(
    "kinds",
    "code stored, against tar | zstd -3 --long",
    ["code", "soneca", "storedBytes"],
    ["code: tar | zstd -3 --long", "data", "storedBytes"],
    1,
  ),
  ratio(
    "incompressible",
    "incompressible files, stored over plain",
    ["first", "soneca", "storedBytes"],
    ["plain", "data", "plainBytes"],
    1.001,
    1.0002,
  ),
  ...memoryBars,
  {
    scenario: "edge-cases",
    text: "edge cases: things lost (inode flags apart)",
    must: 0,
    aim: null,
    unit: "count",
    value: (results) => edgeLosses(results, false),
  },
  {
    scenario: "edge-cases",
    text: "edge cases: inode flags lost",
    must: null,
    aim: 0,
    unit: "count",
    value: (results) => edgeLosses(results, true),
  },
  ratio(
    "second-checkpoint",
    "second BF16 checkpoint, 10 steps later, added over the first alone",
    ["10 steps later", "soneca", "addedBytes"],
    ["first", "soneca", "storedBytes"],
    0.35,
  ),
  ratio(
    "second-checkpoint",
    "second BF16 checkpoint, 50 steps later, added over the first alone",
    ["50 steps later", "soneca", "addedBytes"],
    ["first", "soneca", "storedBytes"],
    0.35,
  ),
  against("small-files", "small files, first snapshot, CPU, against restic", "first", "restic", "cpuMs", 0.3),
  {
    scenario: "small-files",
    text: "small files unchanged, wall for 50,000",
    must: 1000,
    aim: null,
    unit: "ms",
    value: (results) => {
      const [wall, files] = [
        medianOf(results, "small-files", "unchanged", "soneca", "wallMs"),
        medianOf(results, "small-files", "plain", "data", "count"),
      ];
      return wall === null || files === null ? null : wall * (50_000 / files);
    },
  },
  against("small-files", "small files unchanged, wall, against restic", "unchanged", "restic", "wallMs", 0.15),
  against("small-files", "small files unchanged, wall, against borg", "unchanged", "borg", "wallMs", 0.15),
  against("small-files", "small files, restore, CPU, against restic", "restore", "restic", "cpuMs", 0.8),
  against("small-files", "small files, restore, CPU, against borg", "restore", "borg", "cpuMs", 0.5),
  against("small-files", "small files, restore, CPU, against zstd -d | tar -x", "restore", "tar-zstd", "cpuMs", 2),
  {
    scenario: "one-byte",
    text: "one byte of a big file changed: bytes added",
    must: 9 * 1024 * 1024,
    aim: null,
    unit: "bytes",
    value: (results) => medianOf(results, "one-byte", "one byte changed", "soneca", "addedBytes"),
  },
  {
    scenario: "renamed",
    text: "renamed and moved: bytes of new data parts",
    must: 0,
    aim: null,
    unit: "bytes",
    value: (results) => medianOf(results, "renamed", "renamed", "soneca", "dataPartBytes"),
  },
];

function edgeLosses(results: Results, areFlags: boolean): number | null {
  const loss = results.losses.find(({ scenario, tool }) => scenario === "edge-cases" && tool === "soneca");
  if (!loss) return null;
  const flags = loss.differing["inode flags"] ?? 0;
  return areFlags ? flags : lossCount(loss) - flags;
}
