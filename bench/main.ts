/**
 * `npm run bench`: the snapshot engine beside restic, borg and tar | zstd, on the same data in the same run. `control` and
 * `wake` measure the control plane: control/; `proxy` the wake proxy: proxy/; `dashboard` the dashboard: dashboard/.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isControlCommand, mainOfControl } from "./control/main.ts";
import { type Context, removeFolder } from "./course.ts";
import { mainOfDashboard } from "./dashboard/main.ts";
import { loadCheckpoints } from "./data/mlp.ts";
import { installPackages } from "./data/packages.ts";
import { type Size, sizes } from "./data/sizes.ts";
import { realSources, syntheticSources } from "./data/sources.ts";
import type { Inputs } from "./data/workspace.ts";
import { describeMachine, freeBytes, gitCommit } from "./machine.ts";
import { type Options, parseOptions, type ScenarioName, UsageError, usage } from "./options.ts";
import { mainOfProxy } from "./proxy/main.ts";
import { asMarkdown, asText, withResults } from "./report.ts";
import type { Results } from "./results.ts";
import { runEdgeCases } from "./scenarios/edge-cases.ts";
import {
  runIncompressible,
  runMemory,
  runOneByte,
  runRenamed,
  runSecondCheckpoint,
  runSmallFiles,
} from "./scenarios/files.ts";
import { runKinds } from "./scenarios/kinds.ts";
import { runMixed } from "./scenarios/mixed.ts";
import { findTools } from "./tools.ts";

const repository = dirname(import.meta.dirname);
const say = (line: string) => console.error(line);

const scenarios: Record<ScenarioName, (context: Context) => Promise<void>> = {
  mixed: runMixed,
  kinds: runKinds,
  "small-files": runSmallFiles,
  incompressible: runIncompressible,
  "one-byte": runOneByte,
  renamed: runRenamed,
  "second-checkpoint": runSecondCheckpoint,
  "edge-cases": runEdgeCases,
  "memory-3x": runMemory,
};

/** 0 measured, 1 a step failed, 2 wrong usage or no room, 130 interrupted. Bars that are missed do not change it. */
async function main(args: string[]): Promise<number> {
  const options = parseOptions(args, repository);
  if (options === "help") {
    console.log(usage);
    return 0;
  }
  const abort = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => abort.abort(new Error(name)));
  const cacheDir = join(options.dir, "cache");
  mkdirSync(cacheDir, { recursive: true });
  removeStale(options.dir);
  const workDir = options.keep ?? join(options.dir, `work-${process.pid}`);
  if (existsSync(workDir)) throw new UsageError(`${workDir} is there already`);
  checkRoom(options, cacheDir);
  mkdirSync(workDir, { recursive: true });
  try {
    const results = await runAll(options, workDir, cacheDir, abort.signal);
    console.log(asText(results));
    if (options.json) writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`);
    if (options.writeDocs) {
      const page = join(repository, "docs/BENCHMARKS.md");
      writeFileSync(page, withResults(readFileSync(page, "utf8"), asMarkdown(results)));
    }
    return results.failures.length > 0 ? 1 : 0;
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    say("interrupted");
    return 130;
  } finally {
    if (!options.keep) removeFolder(workDir);
  }
}

async function runAll(options: Options, workDir: string, cacheDir: string, signal: AbortSignal): Promise<Results> {
  const started = Date.now();
  const agent = join(repository, "dist/soneca-agent.mjs");
  const found = findTools({ agent }, options.tools);
  for (const tool of found)
    say(tool.ok ? `${tool.tool.label}: ${tool.tool.version}` : `${tool.label}: MISSING. ${tool.why}`);
  const missingEngine = found.find((tool) => !tool.ok && tool.name === "soneca");
  if (missingEngine && !missingEngine.ok) throw new UsageError(`soneca: ${missingEngine.why}`);
  const toolsOf = (all: typeof found) => all.flatMap((tool) => (tool.ok ? [tool.tool] : []));
  const { sources, why } = await findSources(options, cacheDir, signal);
  const results: Results = {
    format: 1,
    startedAt: new Date(started).toISOString(),
    seconds: 0,
    commit: gitCommit(repository),
    size: options.size,
    rounds: options.rounds,
    scenarios: options.only,
    data: { kind: sources.kind, why, workspace: null },
    pageCache: options.dropCaches
      ? "Page cache: emptied before each step."
      : "Page cache: warm (sources and stores were just written).",
    machine: describeMachine(workDir),
    tools: found.map((tool) =>
      tool.ok
        ? { name: tool.tool.name, label: tool.tool.label, version: tool.tool.version, missing: null }
        : { name: tool.name, label: tool.label, version: null, missing: tool.why },
    ),
    samples: [],
    losses: [],
    failures: [],
  };
  let inputs: Promise<Inputs> | undefined;
  const size = sizes[options.size];
  const context: Context = {
    size,
    rounds: options.rounds,
    tools: toolsOf(found),
    hardTools: toolsOf(findTools({ agent, isHard: true }, options.tools)),
    results,
    workDir,
    keep: options.keep !== null,
    dropCaches: options.dropCaches,
    inputs: () => {
      inputs ??= loadInputs(size, sources, cacheDir, signal);
      return inputs;
    },
    say,
    signal,
  };
  for (const name of options.only) {
    say(`scenario ${name}`);
    await scenarios[name](context);
  }
  results.seconds = (Date.now() - started) / 1000;
  return results;
}

async function findSources(options: Options, cacheDir: string, signal: AbortSignal) {
  if (options.synthetic) return { sources: syntheticSources(), why: "It was asked for." };
  say("data: packages (the first time about a minute)");
  const packages = await installPackages(cacheDir, { signal });
  signal.throwIfAborted();
  if (packages.ok) return { sources: realSources(packages.dir), why: null };
  say(`data: SYNTHETIC, because the packages could not be had: ${packages.why}`);
  return { sources: syntheticSources(), why: `The packages could not be had: ${packages.why}` };
}

async function loadInputs(
  size: Size,
  sources: Inputs["sources"],
  cacheDir: string,
  signal: AbortSignal,
): Promise<Inputs> {
  say("data: checkpoints of a small network (trained the first time)");
  const checkpoints = await loadCheckpoints(cacheDir, size.mlp, signal);
  return { size, sources, checkpoints, cacheDir };
}

/** Folders of runs that were killed before they could clean up. */
function removeStale(dir: string): void {
  for (const name of readdirSync(dir)) {
    const pid = /^work-(\d+)$/.exec(name)?.[1];
    if (pid && !existsSync(`/proc/${pid}`)) removeFolder(join(dir, name));
  }
}

/** The greatest of what the scenarios hold at one time: the data, a store of each tool, a restored copy. */
function checkRoom({ size, only, tools, keep, dir, synthetic }: Options, cacheDir: string): void {
  const { bytes, mlp, codeFiles, bigFileBytes, memoryBytes, incompressibleBytes } = sizes[size];
  const parameters = mlp.layers.slice(1).reduce((sum, outputs, i) => sum + outputs * mlp.layers[i]!, 0);
  const workspace = Object.values(bytes).reduce((sum, count) => sum + count, 0) + parameters * 42 + codeFiles * 8192;
  const stores = 0.8 * tools.length;
  const needs: Partial<Record<ScenarioName, number>> = {
    mixed: workspace * (2.1 + stores * 1.15),
    kinds: workspace * (1 + 0.3 + 0.3 * stores),
    "memory-3x": memoryBytes * 3 * 2.8,
    "one-byte": bigFileBytes * (1 + tools.length),
    incompressible: incompressibleBytes * (1 + tools.length),
  };
  const most = only.map((name) => needs[name] ?? workspace);
  const work = keep ? most.reduce((a, b) => a + b, 0) * 3 : Math.max(...most);
  const isCached = readdirSync(cacheDir).some((name) => name.startsWith("packages-"));
  const needed = work + (isCached || synthetic ? 0 : 2e9);
  const free = freeBytes(dir);
  say(`disk: up to ${(needed / 1e9).toFixed(1)} GB needed in ${keep ?? dir}, ${(free / 1e9).toFixed(1)} GB free`);
  if (needed > free) throw new UsageError(`there is no room for it; --dir names a folder on another disk`);
}

try {
  const args = process.argv.slice(2);
  if (isControlCommand(args[0])) process.exitCode = await mainOfControl(args, repository);
  else if (args[0] === "proxy") process.exitCode = await mainOfProxy(args, repository);
  else if (args[0] === "dashboard") process.exitCode = await mainOfDashboard(args, repository);
  else process.exitCode = await main(args);
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message}\n\n${usage}` : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
