/** What a report of the agent says: its readings on the worker's clock, the verdict of the idle rule, and the event that it is. */
import type { LifecycleEvent } from "../../core/lifecycle/events.ts";
import { compactSamples, judgeIdle, type Sample } from "../../core/lifecycle/idle.ts";
import { holdsGpuMemory, idleRuleOf } from "../../core/lifecycle/vetoes.ts";
import { explainSignals, trackSince } from "../../core/lifecycle/why.ts";
import type { StatusReport } from "../../core/protocol/wire.ts";
import { takeSamples } from "./samples.ts";
import type { Samples, Saved } from "./store.ts";
import type { Live } from "./view.ts";

export interface Heard {
  samples: Samples;
  /** As they arrived, before those that the idle rule no longer needs were put together. */
  arrived: readonly Sample[];
  live: Live;
  event: Extract<LifecycleEvent, { type: "beat" }>;
}

/** `gpuCount`: as rented; one that is missing from a report is not idle. */
export function hearReport(
  { state, samples: before }: Saved,
  live: Live,
  { epoch, gpuCount, report, now }: { epoch: number; gpuCount: number | null; report: StatusReport; now: number },
): Heard {
  const { config } = state;
  const taken = takeSamples(before, { epoch, gpuCount, report, config, now });
  const ring = compactSamples(taken.ring, config, now, gpuCount);
  const memoryHeld = holdsGpuMemory(ring);
  const verdict = judgeIdle(ring, idleRuleOf(state, memoryHeld, now), now, gpuCount);
  const since = trackSince(explainSignals(ring.at(-1), config, now, gpuCount, taken.since), now);
  const lastActivityAt = verdict.kind === "busy" ? now : live.lastActivityAt;
  const progressed = report.progress != null && JSON.stringify(report.progress) !== JSON.stringify(live.progress);
  const { results = [], seal = null, held, update } = report;
  return {
    samples: { ...taken, ring, lastActivityAt, heardAt: now, since },
    arrived: taken.ring,
    live: {
      verdict,
      gpuUtil: report.gpu_util ?? null,
      lastActivityAt,
      lastBeatAt: now,
      clockSkewMs: report.sentAt === undefined ? live.clockSkewMs : Math.round(report.sentAt - now),
      progress: report.progress ?? null,
    },
    event: {
      type: "beat",
      epoch,
      verdict,
      results,
      seal,
      progressed,
      memoryHeld,
      ...(held && { held }),
      ...(update && { update }),
    },
  };
}
