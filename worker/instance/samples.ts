/** The agent's readings, placed on the worker's clock and kept for as long as the idle rule looks back. */
import type { Sample } from "../../core/lifecycle/idle.ts";
import type { AutoHibernation } from "../../core/protocol/config.ts";
import type { StatusReport } from "../../core/protocol/wire.ts";
import type { Samples } from "./store.ts";

/** Takes in what the report holds and the ring does not. `now`: epoch ms of the worker. */
export function takeSamples(samples: Samples, report: StatusReport, config: AutoHibernation, now: number): Samples {
  const fresh = report.intervals ? fromIntervals(samples, report, now) : fromOneReading(report, config, now);
  if (fresh.length === 0 && report.agent?.bootId === samples.bootId) return samples;
  const bootId = report.agent?.bootId ?? samples.bootId;
  const lastN = report.intervals?.reduce(
    (most, one) => Math.max(most, one.n),
    bootId === samples.bootId ? samples.lastN : -1,
  );
  return { bootId, lastN: lastN ?? samples.lastN, ring: [...samples.ring, ...fresh].sort((a, b) => a.toAt - b.toAt) };
}

function fromIntervals(samples: Samples, report: StatusReport, now: number): Sample[] {
  // A restarted agent counts from 0 again; a repeated interval of the same one is dropped.
  const known = report.agent?.bootId === samples.bootId ? samples.lastN : -1;
  // The agent's clock may be wrong by hours; its durations are not.
  const skewMs = now - (report.sentAt ?? now);
  return (report.intervals ?? [])
    .filter((one) => one.n > known && one.toAt >= one.fromAt)
    .map(({ fromAt, toAt, expected, taken, gpus, sensorError }) => ({
      fromAt: fromAt + skewMs,
      toAt: Math.min(toAt + skewMs, now),
      expected,
      taken,
      gpus,
      sensorError,
    }));
}

/** The plan's short report: one reading that stands for the time since the last one. Without a number it is unknown. */
function fromOneReading(report: StatusReport, config: AutoHibernation, now: number): Sample[] {
  const max = report.gpu_util ?? null;
  const reading = { index: 0, name: null, max, mean: max, busyShare: null, memoryUsedMb: null, memoryTotalMb: null };
  return [
    {
      fromAt: now - config.check_interval_seconds * 1000,
      toAt: now,
      expected: 1,
      taken: max === null ? 0 : 1,
      gpus: [reading],
      sensorError: null,
    },
  ];
}
