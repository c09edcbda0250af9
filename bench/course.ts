/**
 * One course: every tool gets an empty store and goes through the same steps on the same folder, one after another in
 * an order that turns with the round. A tool that fails is told of and leaves the course.
 */
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { compareTrees, describeTree, lossCount, lossesInWords, type Tree } from "./compare.ts";
import type { Size } from "./data/sizes.ts";
import type { Inputs } from "./data/workspace.ts";
import { type Command, type Measure, measure } from "./measure.ts";
import type { Results, Sample } from "./results.ts";
import { rotated } from "./statistics.ts";
import type { Place, Tool, ToolName } from "./tools.ts";

export interface Context {
  size: Size;
  rounds: number;
  tools: Tool[];
  /** The same, as they treat hard cases. */
  hardTools: Tool[];
  results: Results;
  /** Everything of this run lies below it, and is deleted with it. */
  workDir: string;
  keep: boolean;
  dropCaches: boolean;
  /** Made when first wanted. */
  inputs(): Promise<Inputs>;
  say(line: string): void;
  signal: AbortSignal;
}

export interface Course {
  /** `dir` as it is now into every store. */
  snapshot(step: string): Promise<void>;
  /** Out of every store into an empty folder, and compared with `source`. */
  restore(step: string, source: Tree): Promise<void>;
  verify(step: string): Promise<void>;
  /** The tools that have a deeper verify of their own. */
  verifyData(step: string): Promise<void>;
  /** Removes the stores. */
  end(): void;
}

export interface CourseOptions {
  scenario: string;
  round?: number;
  /** The folder that is snapshotted. */
  dir: string;
  tools?: Tool[];
  /** Whether wall time matters; if not, steps follow one another at once. */
  isTimed?: boolean;
}

export async function startCourse(context: Context, options: CourseOptions): Promise<Course> {
  const { scenario, round = 0, dir, isTimed = true } = options;
  const base = newFolder(context.workDir, scenario);
  const places = new Map<ToolName, Place>();
  let running = rotated(options.tools ?? context.tools, round);

  const forEach = async (step: string, act: (tool: Tool, place: Place) => Promise<void>) => {
    for (const tool of [...running]) {
      try {
        await act(tool, places.get(tool.name)!);
      } catch (error) {
        context.signal.throwIfAborted();
        const message = (error as Error).message;
        context.results.failures.push({ scenario, step, tool: tool.name, round, message });
        context.say(`  ${tool.label}, ${step}: FAILED. ${message}`);
        running = running.filter((other) => other !== tool);
      }
    }
  };
  const run = async (command: Command, isStep = true): Promise<Measure> => {
    if (isStep && isTimed) settle(context.dropCaches);
    return measure(command, { scratch: context.workDir, signal: context.signal });
  };
  const record = (step: string, tool: Tool, { wallMs, cpuMs, peakBytes }: Measure, more: Partial<Sample> = {}) => {
    context.results.samples.push({ scenario, step, tool: tool.name, round, wallMs, cpuMs, peakBytes, ...more });
    const bytes = more.addedBytes ?? more.storedBytes;
    const size = bytes === undefined || bytes === null ? "" : `, ${(bytes / 1e6).toFixed(2)} MB`;
    const memory = peakBytes === null ? "" : `, ${(peakBytes / 1e6).toFixed(0)} MB of memory`;
    context.say(
      `  ${tool.label}, ${step}: ${(wallMs / 1000).toFixed(2)} s, CPU ${(cpuMs / 1000).toFixed(2)} s${memory}${size}`,
    );
  };

  for (const tool of running) {
    const place = { store: join(base, tool.name, "store"), state: join(base, tool.name, "state") };
    for (const path of [place.store, place.state]) mkdirSync(path, { recursive: true });
    places.set(tool.name, place);
  }
  await forEach("prepare", async (tool, place) => {
    if (tool.prepare) await run(tool.prepare(place), false);
  });

  return {
    snapshot: (step) =>
      forEach(step, async (tool, place) => {
        const isArchive = tool.name.startsWith("tar");
        const before = isArchive ? 0 : folderBytes(place.store);
        const dataBefore = tool.dataPartBytes?.(place) ?? 0;
        const measured = await run(tool.snapshot(place, dir));
        const storedBytes = folderBytes(place.store);
        const more: Partial<Sample> = { storedBytes, addedBytes: storedBytes - before };
        if (tool.dataPartBytes) more.dataPartBytes = tool.dataPartBytes(place) - dataBefore;
        record(step, tool, measured, more);
      }),
    restore: (step, source) =>
      forEach(step, async (tool, place) => {
        const into = join(base, tool.name, "restored");
        for (const path of [into, `${into}.state`]) mkdirSync(path);
        record(step, tool, await run(tool.restore(place, dir, into)));
        const losses = compareTrees(source, describeTree(tool.restoredRoot(dir, into)));
        if (lossCount(losses) > 0) context.say(`  ${tool.label} lost: ${lossesInWords(losses)}`);
        context.results.losses.push({ scenario, tool: tool.name, round, ...losses });
        if (!context.keep) for (const path of [into, `${into}.state`]) removeFolder(path);
      }),
    verify: (step) => forEach(step, async (tool, place) => record(step, tool, await run(tool.verify(place)))),
    verifyData: (step) =>
      forEach(step, async (tool, place) => {
        if (tool.verifyData) record(step, tool, await run(tool.verifyData(place)));
      }),
    end: () => {
      if (!context.keep) removeFolder(base);
    },
  };
}

/** `name-1`, or the next number that is free: what is kept of an earlier course stays as it is. */
function newFolder(parent: string, name: string): string {
  for (let number = 1; ; number++) {
    const path = join(parent, `${name}-${number}`);
    if (existsSync(path)) continue;
    mkdirSync(path);
    return path;
  }
}

/** After files were written: old enough that no tool takes them for files that still change. */
export async function rest(context: Context): Promise<void> {
  settle(false);
  await sleep(2_500, undefined, { signal: context.signal });
}

/** Nothing of the step before is left to be written when the next one starts. */
function settle(dropCaches: boolean): void {
  spawnSync("sync");
  if (dropCaches) writeFileSync("/proc/sys/vm/drop_caches", "3");
}

/** Sum of the sizes of all files. */
export function folderBytes(dir: string): number {
  let sum = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true }))
    if (entry.isFile()) sum += lstatSync(join(entry.parentPath, entry.name)).size;
  return sum;
}

/** By `rm`, which goes below PATH_MAX; Node's own does not. */
export function removeFolder(dir: string): void {
  const run = spawnSync("rm", ["-rf", "--", dir], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`rm -rf ${dir}: ${run.stderr}`);
}
