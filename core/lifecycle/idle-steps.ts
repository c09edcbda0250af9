/** The two stages of an idle time: the upload begins at the floor, the machine goes at tau. With a number both are one moment. */
import { gapOf } from "./gaps.ts";
import { minutesMs } from "./machines.ts";
import type { State } from "./types.ts";
import { maySleepAgain } from "./vetoes.ts";

/** Whether the machine may go now, once its work is in the store. */
export function isDue(state: State, now: number): boolean {
  if (state.config.pause_after_idle_minutes !== "auto") return true;
  const gap = gapOf(state);
  if (!gap?.plan || gap.plan.tauMs === null || gap.activeAt !== null) return false;
  return now - gap.startAt >= gap.plan.tauMs && maySleepAgain(state, now);
}

/** Whether the upload of this gap, or the sleep itself, may begin once the floor is reached. */
export function mayBegin(state: State, now: number): boolean {
  const gap = gapOf(state);
  // Where a sleep never pays, an upload pays even less.
  const isWanted = state.config.pause_after_idle_minutes !== "auto" || (gap?.plan ?? { tauMs: null }).tauMs !== null;
  return isWanted && (!gap?.uploadedAt || isDue(state, now));
}

export interface IdleSteps {
  /** When the upload begins; null when it is done. */
  uploadAt: number | null;
  sleepAt: number;
}

/** When the next steps come if it stays as quiet as it is; null when none will. */
export function idleSteps(state: State): IdleSteps | null {
  const phase = state.now;
  if (phase.status !== "running" || phase.idleSince === null || !state.config.enabled) return null;
  const { pause_after_idle_minutes: pause } = state.config;
  if (pause !== "auto") {
    const at = phase.idleSince + minutesMs(pause);
    return { uploadAt: at, sleepAt: at };
  }
  const gap = gapOf(state);
  if (!gap?.plan || gap.plan.tauMs === null) return null;
  const floorAt = phase.idleSince + gap.plan.floorMs;
  return {
    uploadAt: gap.uploadedAt === null ? floorAt : null,
    sleepAt: Math.max(floorAt, gap.startAt + gap.plan.tauMs),
  };
}

/** At rest the configured interval; quicker in a transition; right at the next step of an idle time. Milliseconds. */
export function nextBeatMs(state: State, now: number): number {
  const intervalMs = state.config.check_interval_seconds * 1000;
  if (state.now.status !== "running") return Math.min(intervalMs, 5_000);
  const steps = idleSteps(state);
  const next = [steps?.uploadAt, steps?.sleepAt].find((at) => at != null && at > now);
  return next == null ? intervalMs : Math.min(intervalMs, Math.max(next - now + 50, 250));
}
