/**
 * Waking and sleeping by the clock, for `wake_method: scheduled`. Occurrences are done in the object's own transition, by its
 * alarm or by the cron's poke, whichever comes first: what is done is remembered, so it is done once. Of several that were
 * missed the last one alone counts.
 */
import type { Schedule } from "../protocol/schedule.ts";
import { leasesHeld } from "./awake.ts";
import { nextOccurrence, nextOccurrences, type Occurrence } from "./calendar.ts";
import type { Effect, LifecycleEvent, Outcome } from "./events.ts";
import { log, out } from "./machines.ts";
import type { ScheduleState } from "./schedule-state.ts";
import { dropStanding } from "./standing.ts";
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

/**
 * It is to be ready at the time: earlier by what nine of ten of its own wakes took at most. Without any, at the time. What is
 * awake needs no time to wake; should it sleep before, it does.
 */
function beginsAt(state: State, occurrence: Occurrence): number {
  const isAwake = ["running", "snapshotting", "unreachable"].includes(state.now.status);
  return isAwake ? occurrence.at : fromAsleepAt(state, occurrence);
}

function fromAsleepAt({ wakes = [] }: State, { at, what }: Occurrence): number {
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
    next = nextAfter(schedule, next);
  }
  if (!due) return { state: known === state.schedule ? state : { ...state, schedule: known }, due };
  const { sleep: _, ...rest } = known;
  const passed = { ...rest, doneUntil: due.at, next };
  // Asleep it would have to wake at once: it stays.
  const isNap = due.what === "sleep" && next?.what === "wake" && fromAsleepAt(state, next) <= now;
  if (isNap) return { state: { ...state, schedule: passed }, due: null };
  const followed: ScheduleState = { ...passed, ...(due.what === "sleep" && { sleep: { dueAt: due.at } }) };
  return { state: { ...state, schedule: followed }, due };
}

/** At one moment a wake comes after a sleep. */
function nextAfter(schedule: Schedule, { at, what }: Occurrence): Occurrence | null {
  const same = what === "sleep" ? nextOccurrences(schedule, at - 1, 8) : [];
  return same.find((one) => one.at === at && one.what === "wake") ?? nextOccurrence(schedule, at);
}

/** Tries along the ladder until its window ends. */
export function scheduledWake({ at, until }: Occurrence, now: number): WakeRequest {
  const keepTrying = { until: Math.max(until ?? at, now), tries: 0 };
  return { actor: scheduleActor, gpuType: null, region: null, askedAt: now, readyAt: at, keepTrying };
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
  const { hold } = activeSchedule(state) ?? {};
  if (isLeased(state, { hold }, now)) return "waits";
  return hold?.activity && phase.idleSince === null ? "waits" : "begins";
}

/**
 * What is left of a sleep of the clock's that did not come off: it ends with the schedule, and waits for a lease as one does
 * that is due.
 */
export function settleScheduled(state: State, now: number): Outcome {
  const { standing, schedule } = state;
  if (standing?.actor.kind !== "schedule") return out(state);
  const active = activeSchedule(state);
  if (!active) return out(dropStanding(state), log("hibernate_cancelled", scheduleActor, { reason: "schedule_off" }));
  const isUp = state.now.status === "running" || state.now.status === "unreachable";
  if (!schedule || !isUp || !isLeased(state, active, now)) return out(state);
  const waiting = { ...dropStanding(state), schedule: { ...schedule, sleep: { dueAt: standing.since } } };
  return out(waiting, log("schedule_waits", scheduleActor));
}

function isLeased(state: State, { hold }: Pick<Schedule, "hold">, now: number): boolean {
  return (hold?.leases ?? true) && leasesHeld(state, now).length > 0;
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
