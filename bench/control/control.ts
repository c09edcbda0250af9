/** `npm run bench -- control`: what an ordinary heartbeat uses, and what an instance costs a month by that. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeMachine, gitCommit, type Machine } from "../machine.ts";
import { quantile } from "../statistics.ts";
import { runAgent } from "./agents.ts";
import { CountedCloud } from "./cloud.ts";
import { monthUse, type PerBeat, usdOf } from "./price.ts";

export interface ControlOptions {
  agents: number;
  /** Of each agent, that are counted. */
  beats: number;
  intervalSeconds: number;
}

export interface ControlResults {
  startedAt: string;
  commit: string;
  machine: Machine;
  options: ControlOptions;
  beats: number;
  errors: string[];
  perBeat: PerBeat;
  alarmsPerBeat: number;
  /** Rows written per heartbeat, by statement. */
  rowsBy: Record<string, number>;
  /** Of the object and, beyond it, as the agent sees it: ms. */
  object: Quantiles;
  seen: Quantiles;
}

interface Quantiles {
  mean: number;
  p50: number;
  p95: number;
}

export const maxRowsPerBeat = 0.2;
/** The first ones are not ordinary: the machine comes up, and each row is written for the first time. */
const warmUpBeats = 3;

export async function runControl(
  repository: string,
  options: ControlOptions,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<ControlResults> {
  const startedAt = new Date().toISOString();
  const dir = mkdtempSync(join(tmpdir(), "soneca-bench-"));
  let cloud: CountedCloud | null = null;
  try {
    cloud = await CountedCloud.start(dir);
    const { url } = cloud;
    say(`${options.agents} instances come up`);
    const agents = await cloud.births(options.agents, options.intervalSeconds);
    const everyMs = options.intervalSeconds * 1000;
    const round = (beats: number) =>
      Promise.all(
        agents.map((agent, i) =>
          runAgent(url, agent, { beats, everyMs, offsetMs: (i * everyMs) / agents.length, signal }),
        ),
      );
    say(`${warmUpBeats} heartbeats each that are not counted`);
    await round(warmUpBeats);
    await cloud.takeCounts();
    const cpuBefore = cloud.cpuSeconds();
    const minutes = ((options.beats * everyMs) / 60_000).toFixed(1);
    say(`${options.beats} heartbeats each, one per ${options.intervalSeconds} s: ${minutes} min`);
    const results = (await round(options.beats)).flat();
    const cpuSeconds = cloud.cpuSeconds() - cpuBefore;
    const used = await cloud.takeCounts();
    const beats = results.length;
    const per = (count: number) => count / beats;
    const object = quantilesOf(used.beatMs);
    return {
      startedAt,
      commit: gitCommit(repository),
      machine: describeMachine(dir),
      options,
      beats,
      errors: results.flatMap(({ error }) => error ?? []),
      perBeat: {
        requests: per(used.requests),
        cpuMs: per(cpuSeconds * 1000),
        objectRequests: per(used.objectRequests),
        objectMs: object.mean,
        rowsWritten: per(used.rowsWritten),
        rowsRead: per(used.rowsRead),
        d1RowsWritten: per(used.d1RowsWritten),
        d1RowsRead: per(used.d1RowsRead),
      },
      alarmsPerBeat: per(used.alarms),
      rowsBy: Object.fromEntries(Object.entries(used.rowsBy).map(([name, rows]) => [name, per(rows)])),
      object,
      seen: quantilesOf(results.map(({ ms }) => ms)),
    };
  } finally {
    await cloud?.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

function quantilesOf(values: readonly number[]): Quantiles {
  const mean = values.reduce((sum, one) => sum + one, 0) / values.length;
  return { mean, p50: quantile(values, 0.5), p95: quantile(values, 0.95) };
}

/** Heartbeats that failed, or rows beyond the bar. */
export function breachesOf({ errors, perBeat }: ControlResults): string[] {
  const rows = perBeat.rowsWritten + perBeat.d1RowsWritten;
  return [
    ...(errors.length > 0 ? [`${errors.length} heartbeats failed, the first: ${errors[0]}`] : []),
    ...(rows <= maxRowsPerBeat ? [] : [`${rows.toFixed(3)} rows written per heartbeat; at most ${maxRowsPerBeat}`]),
  ];
}

export function controlMarkdown(results: ControlResults): string {
  const { options, perBeat, object, seen, machine } = results;
  const row = (name: string, value: string) => `| ${name} | ${value} |`;
  const usd = (count: number) => {
    const { total, by } = usdOf(monthUse(perBeat, count, options.intervalSeconds));
    const most = Object.entries(by)
      .filter(([, one]) => one > 0)
      .sort(([, a], [, b]) => b - a)
      .map(([name, one]) => `${names[name as keyof typeof names]} ${money(one)}`);
    return `| ${count.toLocaleString("en-US")} | ${money(total)} | ${money(total / count)} | ${most.join(", ") || "within the allowances"} |`;
  };
  const rows = perBeat.rowsWritten + perBeat.d1RowsWritten;
  return [
    `${options.agents.toLocaleString("en-US")} agents, ${options.beats} heartbeats each, one per ${options.intervalSeconds} s; ${results.errors.length} failed. ${results.startedAt.slice(0, 10)}, commit ${results.commit}, ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}.`,
    "",
    "| of one ordinary heartbeat | |",
    "|---|---|",
    row(`rows written, moved alarms included (at most ${maxRowsPerBeat})`, rows.toFixed(3)),
    row("rows read", (perBeat.rowsRead + perBeat.d1RowsRead).toFixed(1)),
    row("requests of the worker", perBeat.requests.toFixed(3)),
    row("requests of the object, alarms included", perBeat.objectRequests.toFixed(3)),
    row("object's time, ms: mean, P50, P95", threeOf(object)),
    row("as the agent sees it, ms: mean, P50, P95", threeOf(seen)),
    row("CPU of workerd in all, ms", perBeat.cpuMs.toFixed(2)),
    "",
    "| instances that run all month | US$ a month | each | beyond the allowances |",
    "|---|---|---|---|",
    ...[1, 1_000, 100_000].map(usd),
    "",
  ].join("\n");
}

const names = {
  requests: "requests",
  cpuMs: "CPU",
  objectRequests: "object requests",
  objectGbSeconds: "object time",
  rowsWritten: "rows written",
  rowsRead: "rows read",
  d1RowsWritten: "D1 rows written",
  d1RowsRead: "D1 rows read",
};

function threeOf({ mean, p50, p95 }: Quantiles): string {
  return [mean, p50, p95].map((one) => one.toFixed(1)).join(", ");
}

function money(usd: number): string {
  const digits = usd >= 100 ? 0 : usd >= 0.1 ? 2 : 4;
  return `$${usd.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}
