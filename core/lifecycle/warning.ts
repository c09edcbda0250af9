/** When the idle rule puts an instance to sleep, and when that is announced: functions of the state. */

import type { Context } from "./events.ts";
import { idleSteps, nextBeatMs } from "./idle-steps.ts";
import { minutesMs } from "./machines.ts";
import type { AwakeState, State } from "./types.ts";

export function awakeOf(state: State): AwakeState {
  return state.awake ?? { leases: [], warnedAt: null };
}

/** When the idle time is over, announced or not; null while no sleep is in sight. */
export function ripeAt(state: State): number | null {
  return idleSteps(state)?.sleepAt ?? null;
}

/** When the sleep begins if nothing happens: never before it was announced for long enough. */
export function nextSleepAt(state: State, ctx: Pick<Context, "timings">): number | null {
  const at = ripeAt(state);
  const { warnedAt } = awakeOf(state);
  return at === null || warnedAt === null ? at : Math.max(at, warnedAt + leadMs(state, at, ctx));
}

/** When the announcement is due; null while no sleep is in sight. */
export function warnAt(state: State, ctx: Pick<Context, "timings">): number | null {
  const at = ripeAt(state);
  return at === null ? null : at - leadMs(state, at, ctx);
}

/** Of a short idle time the second half is announced. */
function leadMs(state: State, at: number, { timings }: Pick<Context, "timings">): number {
  const phase = state.now;
  const idleMs = phase.status === "running" && phase.idleSince !== null ? at - phase.idleSince : 0;
  return Math.min(timings.warnBeforeMs, idleMs / 2);
}

/** Whether a sleep was announced in time whose upload may have begun long before it, by `auto` or by another number. */
export function isAnnounced(state: State, { now, timings }: Context): boolean {
  const { pause_after_idle_minutes: pause } = state.config;
  const { warnedAt } = awakeOf(state);
  const leadMs = pause === "auto" ? timings.warnBeforeMs : Math.min(timings.warnBeforeMs, minutesMs(pause) / 2);
  return warnedAt !== null && now >= warnedAt + leadMs;
}

/** When the agent should speak again: also right at a sleep that its announcement has moved. Milliseconds. */
export function untilNextBeatMs(state: State, ctx: Context): number {
  const usualMs = nextBeatMs(state, ctx.now);
  const leftMs = (nextSleepAt(state, ctx) ?? 0) - ctx.now;
  return leftMs > 0 ? Math.min(usualMs, Math.max(leftMs + 50, 250)) : usualMs;
}
