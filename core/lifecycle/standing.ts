/**
 * A sleep that a person asked for stands until it is done: whoever went to bed must not find the machine awake in the
 * morning because the store was away for a minute.
 *
 *   asked --> snapshotting --failed, or silent--> running: stands --its time--> snapshotting ...
 *                  |                                 +--wake, keep awake, discard--> called off
 *                  +--the machine is gone--> done
 */

import type { Context, Effect } from "./events.ts";
import { dropVeto } from "./hooks.ts";
import { log, system } from "./machines.ts";
import type { StandingSleep } from "./standing-state.ts";
import type { SleepCause, State } from "./types.ts";

export interface SleepFailure {
  code: string;
  message: string;
  /** Whether it may pass by itself. What does not is tried again after the longest pause at once, and told once. */
  mayPass: boolean;
}

/** They stay until somebody does something, whatever the agent says of trying again. */
const lasting = new Set(["no_space", "store_full", "store_refused", "workspace_too_large", "command_unknown"]);

export function mayPass(code: string, retryable: boolean): boolean {
  return retryable && !lasting.has(code);
}

/** The request after a try that ended so. `notBefore`: another pause than that after failures. */
export function stand(
  state: State,
  cause: Extract<SleepCause, { kind: "asked" }>,
  why: SleepFailure,
  ctx: Context,
  notBefore?: number,
): State {
  const before = state.standing;
  const tries = (before?.tries ?? 0) + 1;
  const { restAfterFailureMs: restMs, restAfterFailureMaxMs: mostMs } = ctx.timings;
  const pauseMs = why.mayPass ? Math.min(restMs * 2 ** Math.min(tries - 1, 20), mostMs) : mostMs;
  const { actor, force, ends } = cause;
  const standing: StandingSleep = {
    actor,
    ...(force && { force }),
    ...(ends && { ends }),
    since: before?.since ?? ctx.now,
    tries,
    at: notBefore ?? ctx.now + pauseMs,
    code: why.code,
    message: why.message,
  };
  return { ...state, standing };
}

/** Whether a failure was told already: one that stays is told once, and once more to who asks for the sleep. */
export function isTold(state: State, cause: SleepCause, why: SleepFailure): boolean {
  const before = cause.kind === "asked" ? state.standing : state.trouble;
  return !why.mayPass && before?.code === why.code;
}

export function plannedLog(state: State): Effect[] {
  const { standing } = state;
  if (!standing) return [];
  const { at, tries, code } = standing;
  return [log("hibernate_retry_planned", system, { at, tries, code })];
}

/** What stands, as the cause of a sleep; null when nothing does. */
export function standingCause(state: State): Extract<SleepCause, { kind: "asked" }> | null {
  const { standing } = state;
  if (!standing) return null;
  const { actor, force, ends } = standing;
  return { kind: "asked", actor, ...(force && { force: true }), ...(ends && { ends }) };
}

/** The same, once its time has come. */
export function dueSleep(state: State, now: number): Extract<SleepCause, { kind: "asked" }> | null {
  return state.standing && now >= state.standing.at ? standingCause(state) : null;
}

/** Somebody wants it awake, or it sleeps. */
export function dropStanding(state: State): State {
  if (!state.standing) return state;
  const { standing: _, ...rest } = state;
  return rest;
}

const over = ["hibernated", "deleted", "failed", "provisioning", "restoring"];

/** Where the machine is gone, what was asked for is done or has no object. */
export function settleStanding(state: State): State {
  return over.includes(state.now.status) ? dropVeto(dropStanding(state)) : state;
}
