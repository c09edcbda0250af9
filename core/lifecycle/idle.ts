/**
 * When is it idle. Pure: samples and configuration in, verdict out.
 *
 * Quiet = in every interval every GPU's highest utilisation stayed below the threshold, and no signal that is switched on
 * said "busy". A missing, stale, malformed or failed reading is busy (I12). The average over GPUs is never used: one busy
 * GPU of eight is busy.
 */
import type { AutoHibernation } from "../protocol/config.ts";
import { judgeSignal, type SignalName, type SignalReadings, signalNames, worseReading } from "../protocol/signals.ts";
import type { GpuReading, Interval } from "../protocol/wire.ts";
import type { Blocker, Verdict } from "./events.ts";

/** An interval on the worker's clock. */
export type Sample = Pick<Interval, "fromAt" | "toAt" | "expected" | "taken" | "gpus" | "sensorError" | "signals">;

/** What one sample is judged by. */
export type SampleRule = Pick<AutoHibernation, "gpu_usage_threshold" | "signals">;

/** What is judged by. The window is what the setting, or the floor of `auto`, asks for now (vetoes.ts). */
export type IdleRule = SampleRule &
  Pick<AutoHibernation, "check_interval_seconds"> & {
    pause_after_idle_minutes: number;
  };

/** Share of the window that must be covered by samples that were really taken. */
export const minCoverage = 0.8;

/**
 * `samples`: ascending by time. Milliseconds and percent throughout. `gpuCount`: how many GPUs the machine is known to
 * have; a sample that tells of fewer leaves one unknown.
 */
export function judgeIdle(
  samples: readonly Sample[],
  config: IdleRule,
  now: number,
  gpuCount: number | null = null,
): Verdict {
  const threshold = config.gpu_usage_threshold;
  const intervalMs = config.check_interval_seconds * 1000;
  const newest = samples.at(-1);
  if (!newest) return busy(blocker("no_samples", null, threshold, null));
  // A sample from the future tells of a clock that was set, not of this moment.
  if (Math.abs(now - newest.toAt) > staleAfterMs(intervalMs))
    return busy(blocker("samples_stale", null, threshold, null));

  const blockers = blockersOf(newest, config, gpuCount);
  if (blockers.length > 0) return { kind: "busy", blockers };

  let since = newest.fromAt;
  for (let i = samples.length - 2; i >= 0; i--) {
    const sample = samples[i]!;
    if (since - sample.toAt > staleAfterMs(intervalMs)) break;
    if (blockersOf(sample, config, gpuCount).length > 0) break;
    since = Math.min(since, sample.fromAt);
  }
  const windowMs = config.pause_after_idle_minutes * 60_000;
  const ripe = now - since >= windowMs && coverage(samples, now - windowMs, now, jitterMs(intervalMs)) >= minCoverage;
  return { kind: "quiet", since, ripe };
}

/** A hole of two reports is a hole: what happened in it is not known. */
export function staleAfterMs(intervalMs: number): number {
  return Math.max(2.5 * intervalMs, 3_000);
}

/** What in one sample speaks against idleness; empty when nothing does. The GPUs come first. */
export function blockersOf(sample: Sample, rule: SampleRule, gpuCount: number | null = null): Blocker[] {
  const gpus = gpuBlockers(sample, rule.gpu_usage_threshold, gpuCount);
  return [...gpus, ...signalNames.flatMap((name) => signalBlocker(name, sample.signals, rule))];
}

export function gpuBlockers(sample: Sample, threshold: number, gpuCount: number | null): Blocker[] {
  if (sample.sensorError !== null) return [blocker("sensor_failed", null, threshold, sample.sensorError)];
  if (sample.taken === 0 || sample.gpus.length === 0) return [blocker("no_samples", null, threshold, null)];
  if (gpuCount !== null && sample.gpus.length < gpuCount) {
    return [blocker("gpu_unknown", null, threshold, `${sample.gpus.length} of ${gpuCount} GPUs`)];
  }
  return sample.gpus.flatMap((gpu) => gpuBlocker(gpu, threshold));
}

function signalBlocker(signal: SignalName, readings: SignalReadings | undefined, rule: SampleRule): Blocker[] {
  const { enabled, threshold } = rule.signals[signal];
  if (!enabled) return [];
  const reading = readings?.[signal];
  const state = judgeSignal(signal, reading, threshold);
  if (state === "quiet") return [];
  const value = state === "busy" ? (reading?.value ?? null) : null;
  const code = state === "busy" ? "signal_busy" : "signal_unknown";
  return [{ signal, code, value, threshold, detail: reading?.detail ?? null }];
}

/** Samples of this age and younger stay as they are. */
export const compactAfterMs = 10 * 60_000;
/** Reports are placed by the time they arrive: so much of a hole between two is that, and no missing sample. */
function jitterMs(intervalMs: number): number {
  return Math.min(1_000, intervalMs / 10);
}
/** Samples are merged when their coverage differs by no more than this; the merged one has the lower. */
const mergeableShare = 0.1;

/**
 * Bounds the ring for long windows. What lies before the newest sample that ends a quiet run, or before a hole, is
 * dropped; older neighbours of one quiet run become one sample with the highest of their values. judgeIdle says the
 * same of both rings; where the coverage of neighbours differed, the merged ring can only be later to be ripe.
 */
export function compactSamples(
  samples: readonly Sample[],
  config: Omit<IdleRule, "pause_after_idle_minutes">,
  now: number,
  gpuCount: number | null = null,
): Sample[] {
  const intervalMs = config.check_interval_seconds * 1000;
  const holeMs = staleAfterMs(intervalMs);
  const isOld = (sample: Sample) => sample.toAt < now - compactAfterMs;
  const isQuiet = (sample: Sample) => blockersOf(sample, config, gpuCount).length === 0;
  let kept: Sample[] = [];
  for (const sample of samples) {
    const last = kept.at(-1);
    if (!isOld(sample) || !last) {
      kept.push(sample);
    } else if (!isQuiet(sample) || sample.fromAt - last.toAt > holeMs) {
      kept = [sample];
    } else if (isQuiet(last) && isMergeable(last, sample, jitterMs(intervalMs))) {
      kept[kept.length - 1] = merge(last, sample);
    } else {
      kept.push(sample);
    }
  }
  return kept;
}

function isMergeable(a: Sample, b: Sample, jitter: number): boolean {
  const indexes = (sample: Sample) => sample.gpus.map((gpu) => gpu.index).join();
  const touch = b.fromAt - a.toAt <= jitter && b.fromAt >= a.fromAt && b.toAt >= a.toAt;
  return touch && Math.abs(share(a) - share(b)) <= mergeableShare && indexes(a) === indexes(b);
}

function merge(a: Sample, b: Sample): Sample {
  const expected = a.expected + b.expected;
  const highest = (x: number | null, y: number | null) => (x === null || y === null ? null : Math.max(x, y));
  return {
    fromAt: a.fromAt,
    toAt: b.toAt,
    expected,
    taken: Math.floor(Math.min(share(a), share(b)) * expected),
    gpus: a.gpus.map((gpu, i) => {
      const other = b.gpus[i]!;
      return {
        ...other,
        max: highest(gpu.max, other.max),
        mean: highest(gpu.mean, other.mean),
        busyShare: highest(gpu.busyShare, other.busyShare),
        memoryUsedMb: highest(gpu.memoryUsedMb, other.memoryUsedMb),
      };
    }),
    sensorError: null,
    ...mergeSignals(a.signals, b.signals),
  };
}

/** Of each signal the reading that says more for "busy": a switch may be turned later. What one lacks is not known. */
function mergeSignals(a: SignalReadings | undefined, b: SignalReadings | undefined): Pick<Sample, "signals"> {
  if (!a || !b) return {};
  const signals: SignalReadings = {};
  for (const name of Object.keys(a) as (keyof SignalReadings)[]) {
    const [one, other] = [a[name], b[name]];
    if (one && other) signals[name] = worseReading(name, one, other);
  }
  return { signals };
}

function share(sample: Sample): number {
  return sample.expected > 0 ? Math.min(1, sample.taken / sample.expected) : 0;
}

function gpuBlocker(gpu: GpuReading, threshold: number): Blocker[] {
  const detail = `GPU ${gpu.index}`;
  if (gpu.max === null) return [blocker("gpu_unknown", null, threshold, detail)];
  return gpu.max < threshold ? [] : [blocker("gpu_busy", gpu.max, threshold, detail)];
}

function coverage(samples: readonly Sample[], from: number, to: number, jitter: number): number {
  let covered = 0;
  let reached = from;
  for (const sample of samples) {
    // Overlapping reports of the same time count once.
    const start = sample.fromAt - reached <= jitter ? reached : sample.fromAt;
    const end = Math.min(sample.toAt, to);
    if (end <= start) continue;
    covered += (end - start) * share(sample);
    reached = end;
  }
  return to > from ? covered / (to - from) : 0;
}

function blocker(code: Blocker["code"], value: number | null, threshold: number, detail: string | null): Blocker {
  return { signal: "gpu", code, value, threshold, detail };
}

function busy(...blockers: Blocker[]): Verdict {
  return { kind: "busy", blockers };
}
