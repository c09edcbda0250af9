import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { SizeName } from "./data/sizes.ts";
import { type ToolName, toolNames } from "./tools.ts";

export const scenarioNames = [
  "mixed",
  "kinds",
  "small-files",
  "incompressible",
  "one-byte",
  "renamed",
  "second-checkpoint",
  "edge-cases",
  "memory-3x",
] as const;
const usual: readonly (typeof scenarioNames)[number][] = ["mixed", "kinds"];
export type ScenarioName = (typeof scenarioNames)[number];

export const usage = `npm run bench -- [options]
  --size small|full    how much data (small: 200 MB, 6,000 files; full: 2 GB, 60,000 files)
  --rounds N           rounds of "mixed" and "small-files"; medians are shown (full: 3, small: 1)
  --only NAME,...      scenarios (${usual.join(",")}); all, or of: ${scenarioNames.join(", ")}
  --tools NAME,...     of: ${toolNames.join(", ")}
  --json FILE          the results as JSON
  --write-docs         the results into docs/BENCHMARKS.md, between its markers
  --dir DIR            where it works, and keeps its cache (.soneca/bench)
  --keep DIR           works in the new folder DIR and leaves stores, sources and restored folders of the courses there
  --drop-caches        empties the page cache before each step (root only)
  --synthetic          synthetic data, without the packages
npm run bench -- control|wake --help   the control plane instead: what a heartbeat costs, what a wake takes
npm run bench -- proxy --help          the wake proxy: what it adds to calling a service directly
npm run bench -- dashboard --help      the dashboard: how soon it shows something, how a long list feels`;

export interface Options {
  size: SizeName;
  rounds: number;
  only: ScenarioName[];
  tools: ToolName[];
  json: string | null;
  writeDocs: boolean;
  dir: string;
  keep: string | null;
  dropCaches: boolean;
  synthetic: boolean;
}

export class UsageError extends Error {}

/** @throws UsageError in words. */
export function parseOptions(args: string[], repository: string): Options | "help" {
  const { values } = parse(args);
  if (values.help) return "help";
  const size = oneOf("size", values.size ?? "full", ["small", "full", "tiny"] as const);
  const rounds = values.rounds === undefined ? (size === "full" ? 3 : 1) : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 99)
    throw new UsageError(`--rounds ${values.rounds}: 1 to 99`);
  const list = <T extends string>(name: string, value: string | undefined, all: readonly T[]): T[] =>
    value === undefined
      ? [...all]
      : all.filter((item) =>
          value
            .split(",")
            .map((word) => oneOf(name, word, all))
            .includes(item),
        );
  const at = (path: string | undefined) => (path === undefined ? null : resolve(path));
  const isTiny = size === "tiny";
  return {
    size,
    rounds,
    only: values.only === "all" ? [...scenarioNames] : list("only", values.only ?? usual.join(","), scenarioNames),
    tools: list("tools", values.tools, toolNames),
    json: at(values.json),
    writeDocs: values["write-docs"] ?? false,
    dir: at(values.dir) ?? join(repository, ".soneca/bench"),
    keep: at(values.keep),
    dropCaches: values["drop-caches"] ?? false,
    synthetic: (values.synthetic ?? false) || isTiny,
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        size: { type: "string" },
        rounds: { type: "string" },
        only: { type: "string" },
        tools: { type: "string" },
        json: { type: "string" },
        "write-docs": { type: "boolean" },
        dir: { type: "string" },
        keep: { type: "string" },
        "drop-caches": { type: "boolean" },
        synthetic: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function oneOf<T extends string>(name: string, value: string, all: readonly T[]): T {
  const found = all.find((item) => item === value);
  if (found === undefined) throw new UsageError(`--${name} ${value}: one of ${all.join(", ")}`);
  return found;
}
