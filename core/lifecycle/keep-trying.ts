/**
 * A wake that ended without a machine and was asked to keep trying: planned again, later and later, until its end. The
 * instance is meanwhile where it was, and says when the next try is.
 */

import type { Context, Outcome } from "./events.ts";
import { andThen, log, out, system } from "./machines.ts";
import type { Actor, State, WakeRequest } from "./types.ts";

/** Codes after which trying again is useless until a person has acted. */
const needsPerson = new Set(["provider_auth", "provider_no_credit", "provider_refused"]);

/** After a wake has failed. `final`: nothing that time could heal. */
export function planRetry(
  state: State,
  wake: WakeRequest,
  why: { code: string; final: boolean },
  ctx: Context,
): Outcome {
  const { keepTrying } = wake;
  if (!keepTrying) return out(state);
  const tries = keepTrying.tries + 1;
  const at = ctx.now + Math.min(ctx.timings.retryEveryMs * 2 ** Math.min(tries - 1, 20), ctx.timings.retryMaxEveryMs);
  const ended = why.final || needsPerson.has(why.code) ? why.code : at > keepTrying.until ? "time_over" : null;
  if (ended) return out(state, log("wake_retries_ended", system, { code: ended, tries: keepTrying.tries }));
  const retry = { at, wake: { ...wake, keepTrying: { ...keepTrying, tries } } };
  return out(
    { ...state, retry },
    log("wake_retry_planned", system, { at: new Date(at).toISOString(), tries, code: why.code }),
  );
}

/** When a planned wake begins; null when there is none. */
export function retryAt(state: State): number | null {
  return state.retry && canRetry(state) ? state.retry.at : null;
}

/** Its owner wants it asleep. */
export function endRetries(state: State, actor: Actor): Outcome {
  if (!state.retry) return out(state);
  const { retry: _, ...rest } = state;
  return out(rest, log("wake_cancelled", actor, { tries: state.retry.wake.keepTrying?.tries ?? 0 }));
}

/** A second wake joins the first: it goes on for as long as either of them wants. */
export function joinWake(state: State, asked: WakeRequest): Outcome {
  const said = out(wanted(state, asked.actor), log("wake_joined", asked.actor));
  const { now } = said.state;
  if (now.status !== "provisioning" && now.status !== "restoring") return said;
  const wake = together(now.wake, asked);
  return andThen(said, (next) => out({ ...next, now: { ...now, wake } }));
}

/** The first of two, tried for as long as either of them wants, and ready when either is to be. */
export function together(wake: WakeRequest, other: WakeRequest): WakeRequest {
  const until = Math.max(wake.keepTrying?.until ?? 0, other.keepTrying?.until ?? 0);
  const readyAt = Math.max(wake.readyAt ?? 0, other.readyAt ?? 0);
  return {
    ...wake,
    ...(until > 0 && { keepTrying: { until, tries: wake.keepTrying?.tries ?? 0 } }),
    ...(readyAt > 0 && { readyAt }),
  };
}

/** A wake that begins while another one is to be tried again takes its place. Another snapshot is another wish. */
export function inPlaceOfRetry({ retry }: State, wake: WakeRequest): WakeRequest {
  return retry && retry.wake !== wake && !wake.snapshot ? together(wake, retry.wake) : wake;
}

/** What the clock or a rule had begun is a person's from here on: neither its hours' end nor its purpose ends it. */
function wanted(state: State, by: Actor): State {
  const { now } = state;
  if ((now.status !== "provisioning" && now.status !== "restoring") || by.kind !== "user") return state;
  const { toSleep: _, ...wake } = now.wake;
  return { ...state, now: { ...now, wake: { ...wake, actor: wake.actor.kind === "user" ? wake.actor : by } } };
}

export function canRetry({ now }: State): boolean {
  return now.status === "hibernated" || now.status === "deleted" || (now.status === "failed" && now.machine === null);
}
