/**
 * What the GPUs do, from nvidia-smi. What is not a number is null ("not known"), never 0: an unknown GPU is not idle.
 * Durations come from the monotonic clock, so a clock that is set does not bend an interval.
 */
import type { SignalReadings } from "../core/protocol/signals.ts";
import type { GpuReading } from "../core/protocol/wire.ts";
import { createSmi, type Smi, shorten } from "./smi.ts";

export const smiArgs = [
  "--query-gpu=index,uuid,name,utilization.gpu,memory.used,memory.total",
  "--format=csv,noheader,nounits",
];

export interface GpuRow {
  index: number;
  name: string | null;
  utilization: number | null;
  memoryUsedMb: number | null;
  memoryTotalMb: number | null;
}

export type Sample = { ok: true; rows: GpuRow[]; problem: string | null } | { ok: false; message: string };

/** An interval on the monotonic clock; the link places it on the wall clock when it sends it. */
export interface MonotonicInterval {
  n: number;
  fromMs: number;
  toMs: number;
  expected: number;
  taken: number;
  gpus: GpuReading[];
  sensorError: string | null;
  signals?: SignalReadings;
}

export interface Monitor {
  start(): void;
  stop(): void;
  setPace(pace: { intervalMs: number; threshold: number }): void;
  /** Closes the present interval when it is long enough for the pace, otherwise null. */
  takeInterval(): MonotonicInterval | null;
}

export interface MonitorOptions {
  command?: string;
  env?: Record<string, string | undefined>;
  /** How many GPUs the machine was rented with; 0 when that is not known. */
  gpuCount?: number;
  sampleMs?: number;
  timeoutMs?: number;
  now?: () => number;
  takeSample?: () => Promise<Sample>;
}

const MAX_GPUS = 64;

/** Rows that cannot be read go into `problem`, in nvidia-smi's own words. */
export function parseSmi(stdout: string): Extract<Sample, { ok: true }> {
  const rows: GpuRow[] = [];
  const strange: string[] = [];
  for (const line of stdout.split(/\r?\n/)) {
    if (line.trim() === "") continue;
    const row = parseRow(line);
    if (row && !rows.some((one) => one.index === row.index)) rows.push(row);
    else strange.push(line.trim());
  }
  return { ok: true, rows, problem: strange.length > 0 ? shorten(strange.join(" / ")) : null };
}

function parseRow(line: string): GpuRow | null {
  const fields = line.split(",").map((field) => field.trim());
  const index = fields[0] ?? "";
  if (fields.length !== 6 || !/^\d{1,4}$/.test(index) || Number(index) > 1023) return null;
  return {
    index: Number(index),
    name: fields[2] && !fields[2].startsWith("[") ? fields[2].slice(0, 120) : null,
    utilization: parseNumber(fields[3], 100),
    memoryUsedMb: parseNumber(fields[4], Number.MAX_SAFE_INTEGER),
    memoryTotalMb: parseNumber(fields[5], Number.MAX_SAFE_INTEGER),
  };
}

/** `[N/A]`, `N/A`, `[Not Supported]`, `[Unknown Error]` and everything else that is no plain number: null. */
function parseNumber(text: string | undefined, max: number): number | null {
  if (text === undefined || !/^\d+(\.\d+)?$/.test(text)) return null;
  const value = Number(text);
  return value <= max ? value : null;
}

/** One run of the query for GPUs. Never throws. */
export async function runSmi(smi: Smi): Promise<Sample> {
  const answer = await smi.ask(smiArgs);
  return answer.ok ? checkOutput(answer.stdout) : answer;
}

function checkOutput(stdout: string): Sample {
  const parsed = parseSmi(stdout);
  if (parsed.rows.length > 0) return parsed;
  return { ok: false, message: parsed.problem ?? "nvidia-smi listed no GPU" };
}

export function createMonitor(options: MonitorOptions = {}): Monitor {
  const { command = "nvidia-smi", timeoutMs = 8_000, gpuCount = 0, now = () => performance.now() } = options;
  const smi = createSmi({ command, env: withoutSecrets(options.env ?? process.env), timeoutMs });
  const takeSample = options.takeSample ?? (() => runSmi(smi));
  const wishedMs = options.sampleMs ?? 1_000;
  /** Every GPU that was ever listed: one that is no longer listed is unknown, not gone. */
  const known = new Map<number, GpuReading>();
  for (let index = 0; index < Math.min(gpuCount, MAX_GPUS); index++) known.set(index, emptyReading(index));

  let running = false;
  let timer: NodeJS.Timeout | undefined;
  let pace = { intervalMs: 30_000, threshold: 5 };
  let n = 0;
  /** How long a run takes: where nvidia-smi itself needs longer than the pace, fewer samples are due. */
  let runMs = 0;
  let current = newTally(now());

  // A fifth, so that one sample that comes late does not make a hole in a short interval.
  const sampleMs = () => Math.max(100, Math.min(wishedMs, pace.intervalMs / 5));
  /** What is due since the last call, at the pace that held since then. */
  const countDue = () => {
    const at = now();
    current.due += (at - current.countedToMs) / Math.max(sampleMs(), Math.min(runMs, pace.intervalMs / 2));
    current.countedToMs = at;
  };

  let nextAtMs = 0;
  const sleepUntil = (atMs: number) => {
    clearTimeout(timer);
    nextAtMs = atMs;
    timer = setTimeout(loop, Math.max(0, atMs - now()));
  };

  const loop = async () => {
    timer = undefined;
    const startedAt = now();
    const sample = await takeSample();
    if (!running) return;
    const tookMs = now() - startedAt;
    if (sample.ok) runMs = runMs === 0 ? tookMs : runMs * 0.7 + tookMs * 0.3;
    addSample(current, sample, known, pace.threshold);
    sleepUntil(startedAt + sampleMs());
  };

  return {
    start() {
      if (running) return;
      running = true;
      current = newTally(now());
      void loop();
    },
    stop() {
      running = false;
      clearTimeout(timer);
    },
    setPace(next) {
      countDue();
      pace = { intervalMs: Math.max(500, next.intervalMs), threshold: next.threshold };
      if (running && timer && nextAtMs - now() > sampleMs()) sleepUntil(now() + sampleMs());
    },
    takeInterval() {
      const toMs = now();
      if (toMs - current.fromMs < pace.intervalMs * 0.9) return null;
      countDue();
      const done = current;
      current = newTally(toMs);
      return {
        n: n++,
        fromMs: done.fromMs,
        toMs,
        // Where the interval is cut between two samples decides about one of them.
        expected: Math.max(1, Math.floor(done.due)),
        taken: done.taken,
        gpus: readings(done, known),
        sensorError: done.sensorError,
      };
    },
  };
}

interface Tally {
  fromMs: number;
  countedToMs: number;
  due: number;
  taken: number;
  sensorError: string | null;
  gpus: Map<number, { max: number; sum: number; busy: number; count: number; unknown: boolean }>;
}

function newTally(fromMs: number): Tally {
  return { fromMs, countedToMs: fromMs, due: 0, taken: 0, sensorError: null, gpus: new Map() };
}

function addSample(tally: Tally, sample: Sample, known: Map<number, GpuReading>, threshold: number): void {
  if (!sample.ok) {
    tally.sensorError ??= sample.message;
    return;
  }
  tally.taken++;
  if (sample.problem) tally.sensorError ??= sample.problem;
  for (const row of sample.rows) {
    if (!known.has(row.index) && known.size >= MAX_GPUS) continue;
    const { index, name, memoryUsedMb, memoryTotalMb } = row;
    known.set(index, {
      ...emptyReading(index),
      name: name ?? known.get(index)?.name ?? null,
      memoryUsedMb,
      memoryTotalMb,
    });
  }
  const values = new Map(sample.rows.map((row) => [row.index, row.utilization]));
  for (const index of known.keys()) {
    const gpu = tally.gpus.get(index) ?? { max: 0, sum: 0, busy: 0, count: 0, unknown: false };
    const value = values.get(index) ?? null;
    tally.gpus.set(index, gpu);
    if (value === null) {
      gpu.unknown = true;
      continue;
    }
    gpu.max = Math.max(gpu.max, value);
    gpu.sum += value;
    gpu.count++;
    if (value >= threshold) gpu.busy++;
  }
}

/** A GPU with one unknown sample is unknown for the interval: what it did then could be the work that counts. */
function readings(tally: Tally, known: Map<number, GpuReading>): GpuReading[] {
  return [...known.values()]
    .sort((a, b) => a.index - b.index)
    .map((reading) => {
      const gpu = tally.gpus.get(reading.index);
      if (!gpu || gpu.unknown || gpu.count === 0) return { ...reading, max: null, mean: null, busyShare: null };
      return { ...reading, max: gpu.max, mean: round(gpu.sum / gpu.count), busyShare: round(gpu.busy / gpu.count, 4) };
    });
}

/** The highest utilisation of all GPUs, or null where an unknown one could change the verdict. */
export function highestUtilization(
  interval: Pick<MonotonicInterval, "gpus" | "sensorError">,
  threshold: number,
): number | null {
  const values = interval.gpus.map((gpu) => gpu.max);
  const highest = Math.max(-1, ...values.filter((value) => value !== null));
  if (highest >= threshold) return highest;
  if (interval.sensorError !== null || values.length === 0 || values.includes(null)) return null;
  return highest;
}

function emptyReading(index: number): GpuReading {
  return { index, name: null, max: null, mean: null, busyShare: null, memoryUsedMb: null, memoryTotalMb: null };
}

export function withoutSecrets(env: Record<string, string | undefined>): Record<string, string | undefined> {
  const { SONECA_TOKEN: _, CONTAINER_API_KEY: __, ...rest } = env;
  return rest;
}

function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}
