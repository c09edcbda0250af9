/**
 * Waking and sleeping by the clock, for `wake_method: scheduled`. Occurrences are done in the object's own transition, by its
 * alarm or by the cron's poke, whichever comes first: what is done is remembered, so it is done once. Of several that were
 * missed the last one alone counts.
 */
import type { Schedule } from "../protocol/schedule.ts";
import { leasesHeld } from "./awake.ts";
import { nextOccurrence, type Occurrence } from "./calendar.ts";
import type { Effect, LifecycleEvent } from "./events.ts";
import { log } from "./machines.ts";
import type { ScheduleState } from "./schedule-state.ts";
import type { Actor, State, WakeRequest } from "./types.ts";
import { percentileOf } from "./wake-times.ts";

export const scheduleActor: Actor = { kind: "schedule" };
/** A wake begins at most so much earlier than its time. */
const mostLeadMs = 3_600_000;

export function activeSchedule({ config }: State): Schedule | null {
  return config.wake_method === "scheduled" ? config.schedule : null;
}

/** When something must be done; null while nothing is in sight. */
export function scheduleAt(state: State): number | null {
  const next = state.schedule?.next;
  return next && activeSchedule(state) ? beginsAt(state, next) : null;
}

/** It is to be ready at the time: earlier by what nine of ten of its own wakes took at most. Without any, at the time. */
function beginsAt({ wakes = [] }: State, { at, what }: Occurrence): number {
  if (what === "sleep" || wakes.length === 0) return at;
  const times = wakes.map((one) => one.wakeMs);
  return at - Math.min(mostLeadMs, percentileOf(times, 0.9));
}

/** Follows the settings, and takes what is due. `due` is to be done now. */
export function followSchedule(state: State, now: number): { state: State; due: Occurrence | null } {
  const schedule = activeSchedule(state);
  if (!schedule) return { state: withoutSchedule(state), due: null };
  const of = JSON.stringify(schedule);
  const known: ScheduleState =
    state.schedule?.of === of ? state.schedule : { of, doneUntil: now, next: nextOccurrence(schedule, now) };
  let next = known.next;
  let due: Occurrence | null = null;
  while (next && beginsAt(state, next) <= now) {
    due = next;
    next = nextOccurrence(schedule, next.at);
  }
  if (!due) return { state: known === state.schedule ? state : { ...state, schedule: known }, due };
  const { sleep: _, ...rest } = known;
  const followed: ScheduleState = {
    ...rest,
    doneUntil: due.at,
    next,
    ...(due.what === "sleep" && { sleep: { dueAt: due.at } }),
  };
  return { state: { ...state, schedule: followed }, due };
}

/** Tries along the ladder until its window ends. */
export function scheduledWake({ at, until }: Occurrence, now: number): WakeRequest {
  const keepTrying = { until: Math.max(until ?? at, now), tries: 0 };
  return { actor: scheduleActor, gpuType: null, region: null, askedAt: now, keepTrying };
}

/** Whether the sleep that was due may begin; `over`: there is nothing left to put to sleep. */
export function dueSleepNow(state: State, now: number): "waits" | "begins" | "over" | null {
  if (!state.schedule?.sleep) return null;
  const phase = state.now;
  if (["hibernated", "deleted", "destroying", "failed"].includes(phase.status)) return "over";
  if (phase.status === "snapshotting") return phase.cause.kind === "asked" ? "over" : "begins";
  // Who asked for it before its hours were over has not had it yet (I4).
  const wake = "wake" in phase ? phase.wake : null;
  if (wake && wake.actor.kind !== "schedule") return "over";
  if (phase.status !== "running") return "waits";
  const { leases = true, activity = false } = activeSchedule(state)?.hold ?? {};
  if (leases && leasesHeld(state, now).length > 0) return "waits";
  return activity && phase.idleSince === null ? "waits" : "begins";
}

export function withoutDueSleep(state: State): State {
  if (!state.schedule?.sleep) return state;
  const { sleep: _, ...rest } = state.schedule;
  return { ...state, schedule: rest };
}

/** Whoever asks for it after the end of its hours gets it. */
export function callsOff(event: LifecycleEvent): boolean {
  return event.type === "wake" || (event.type === "keepAwake" && event.isNotNow);
}

export function dueLog(occurrence: Occurrence, now: number): Effect {
  const { what, at } = occurrence;
  return log("schedule_due", scheduleActor, { what, at: new Date(at).toISOString(), late_ms: Math.max(0, now - at) });
}

function withoutSchedule(state: State): State {
  if (!state.schedule) return state;
  const { schedule: _, ...rest } = state;
  return rest;
}
