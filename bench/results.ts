/** What a run of the bench found: the JSON file, and the only thing that tables and bars are made of. */
import type { Losses } from "./compare.ts";
import type { SizeName } from "./data/sizes.ts";
import type { Machine } from "./machine.ts";
import { median } from "./statistics.ts";
import type { ToolName } from "./tools.ts";

export const metrics = [
  "wallMs",
  "cpuMs",
  "peakBytes",
  "storedBytes",
  "addedBytes",
  "plainBytes",
  "dataPartBytes",
  "count",
] as const;
export type Metric = (typeof metrics)[number];

/** One measured command of one tool, or one counted thing, in one round. */
export interface Sample extends Partial<Record<Metric, number | null>> {
  scenario: string;
  step: string;
  tool: ToolName | "data";
  round: number;
}

export interface Loss extends Losses {
  scenario: string;
  tool: ToolName;
  round: number;
}

export interface Results {
  format: 1;
  startedAt: string;
  seconds: number;
  commit: string;
  size: SizeName;
  rounds: number;
  scenarios: string[];
  /** "real", or "synthetic" and why. */
  data: { kind: "real" | "synthetic"; why: string | null; workspace: { files: number; bytes: number } | null };
  pageCache: string;
  machine: Machine;
  tools: { name: ToolName; label: string; version: string | null; missing: string | null }[];
  samples: Sample[];
  losses: Loss[];
  /** Steps that failed, in words: a tool that fails is a result too. */
  failures: { scenario: string; step: string; tool: ToolName; round: number; message: string }[];
}

/** All values of the rounds; empty when it was not measured. */
export function valuesOf(
  results: Results,
  scenario: string,
  step: string,
  tool: Sample["tool"],
  metric: Metric,
): number[] {
  return results.samples
    .filter((sample) => sample.scenario === scenario && sample.step === step && sample.tool === tool)
    .map((sample) => sample[metric])
    .filter((value): value is number => typeof value === "number");
}

/** The median of the rounds; null when it was not measured. */
export function medianOf(
  results: Results,
  scenario: string,
  step: string,
  tool: Sample["tool"],
  metric: Metric,
): number | null {
  const values = valuesOf(results, scenario, step, tool, metric);
  return values.length === 0 ? null : median(values);
}

/** Of several steps. */
export function greatestOf(
  results: Results,
  scenario: string,
  steps: readonly string[],
  tool: ToolName,
  metric: Metric,
): number | null {
  const values = steps.flatMap((step) => medianOf(results, scenario, step, tool, metric) ?? []);
  return values.length === 0 ? null : Math.max(...values);
}
