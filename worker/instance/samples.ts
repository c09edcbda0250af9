/** The agent's readings, placed on the worker's clock and kept for as long as the idle rule looks back. */
import type { Sample } from "../../core/lifecycle/idle.ts";
import type { AutoHibernation } from "../../core/protocol/config.ts";
import type { StatusReport } from "../../core/protocol/wire.ts";
import type { Samples } from "./store.ts";

/** A row of SQLite holds 2 MB and a reading some 200 bytes; ten minutes of two beats a second are 2,400. */
const maxReadings = 4_000;

export interface Report {
  epoch: number;
  /** As rented; null when the provider did not say. */
  gpuCount: number | null;
  report: StatusReport;
  config: AutoHibernation;
  /** Epoch ms of the worker. */
  now: number;
}

/** Takes in what the report holds and the ring does not. A new machine begins with an empty ring. */
export function takeSamples(before: Samples, arrived: Report): Samples {
  const { epoch, report, now } = arrived;
  const samples = before.epoch === epoch ? before : { ...before, epoch, ring: [], bootId: null, lastN: -1, since: {} };
  const fresh = report.intervals ? fromIntervals(samples, report, now) : fromOneReading(arrived);
  if (fresh.length === 0 && report.agent?.bootId === samples.bootId) return samples;
  const bootId = report.agent?.bootId ?? samples.bootId;
  const known = bootId === samples.bootId ? samples.lastN : -1;
  const lastN = (report.intervals ?? []).reduce((most, one) => Math.max(most, one.n), known);
  const ring = [...samples.ring, ...fresh].sort((a, b) => a.toAt - b.toAt);
  return { ...samples, bootId, lastN, ring: newestOf(ring) };
}

/** An agent that floods its object must not make the row too large to be written. What is dropped is never idle. */
function newestOf(ring: Sample[]): Sample[] {
  let readings = 0;
  for (let i = ring.length - 1; i >= 0; i--) {
    const { gpus, signals } = ring[i]!;
    readings += 1 + gpus.length + Object.keys(signals ?? {}).length;
    if (readings > maxReadings) return ring.slice(i + 1);
  }
  return ring;
}

function fromIntervals(samples: Samples, report: StatusReport, now: number): Sample[] {
  // A restarted agent counts from 0 again; a repeated interval of the same one is dropped.
  const known = report.agent?.bootId === samples.bootId ? samples.lastN : -1;
  // The agent's clock may be wrong by hours; its durations are not.
  const skewMs = now - (report.sentAt ?? now);
  return (report.intervals ?? [])
    .filter((one) => one.n > known && one.toAt >= one.fromAt)
    .map(({ fromAt, toAt, expected, taken, gpus, sensorError, signals }) => ({
      fromAt: fromAt + skewMs,
      toAt: Math.min(toAt + skewMs, now),
      expected,
      taken,
      gpus,
      sensorError,
      ...(signals ? { signals } : {}),
    }));
}

/**
 * The plan's short report: one reading, the highest of all GPUs, that stands for the time since the last one. Without a
 * number it is unknown.
 */
function fromOneReading({ report, config, gpuCount, now }: Report): Sample[] {
  const max = report.gpu_util ?? null;
  const reading = { name: null, max, mean: max, busyShare: null, memoryUsedMb: null, memoryTotalMb: null };
  return [
    {
      fromAt: now - config.check_interval_seconds * 1000,
      toAt: now,
      expected: 1,
      taken: 1,
      gpus: Array.from({ length: gpuCount ?? 1 }, (_, index) => ({ index, ...reading })),
      sensorError: null,
    },
  ];
}
