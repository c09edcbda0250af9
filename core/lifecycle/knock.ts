/**
 * A request to a service of an instance: what it may do. Pure. Traffic is no person: it wakes only what was set to be woken by
 * it, so often, and for so much money.
 *
 *   machine serves ----------------------------------------> open
 *   on its way up, or nothing could be asked ---------------> waits
 *   asleep --wake_method, kind of request--> asleep
 *          --budgets, one wake a minute----> limited
 *          ---------------------------------> wakes
 */
import { judgeWake } from "./abilities.ts";
import { msPerHour, toMicroUsd } from "./amount.ts";
import { type Books, paidBetween, totalOf } from "./books.ts";
import type { Context } from "./events.ts";
import type { State, WakeRequest } from "./types.ts";

export interface Knock {
  /** Who, as the log of events names it. */
  by: string;
  /** No health check and no robot: it counts as use. */
  isUse: boolean;
  /** Its method and its path are among those that wake. */
  fits: boolean;
  /** Of this caller alone; null: as many as the instance allows. */
  wakesPerHour: number | null;
}

export type KnockVerdict =
  | { kind: "open" }
  | { kind: "waits" }
  | { kind: "wakes" }
  | { kind: "asleep"; code: "wake_not_automatic" | "request_does_not_wake" }
  | {
      kind: "limited";
      code: "wakes_per_hour_spent" | "money_per_day_spent" | "wake_rate_limited";
      retryAfterMs: number;
    };

/** `books`: those of the last day, with what is being paid now; asked for only where they decide. */
export function judgeKnock(state: State, knock: Knock, books: () => Books, ctx: Context): KnockVerdict {
  const phase = state.now;
  switch (phase.status) {
    case "running":
      return { kind: "open" };
    case "snapshotting":
      if (phase.step !== "sealing") return { kind: "open" };
      // Everything on it stands still. What came before the end is activity, and calls the rule's sleep off.
      return { kind: phase.cause.kind === "idle" && knock.isUse ? "wakes" : "waits" };
    case "destroying":
      return phase.wakeAfter ? { kind: "waits" } : judgeStart(state, knock, books, ctx);
    case "provisioning":
    case "restoring":
      return phase.wake.toSleep ? judgeStart(state, knock, books, ctx) : { kind: "waits" };
    case "unreachable":
      return phase.wake ? { kind: "waits" } : judgeStart(state, knock, books, ctx);
    case "hibernated":
      if (state.copying?.wake || phase.damaged?.wake) return { kind: "waits" };
      return judgeStart(state, knock, books, ctx);
    case "deleted":
    case "failed":
      return judgeStart(state, knock, books, ctx);
  }
}

function judgeStart(state: State, knock: Knock, books: () => Books, ctx: Context): KnockVerdict {
  const { config } = state;
  if (config.wake_method !== "auto") return { kind: "asleep", code: "wake_not_automatic" };
  if (!knock.isUse || !knock.fits) return { kind: "asleep", code: "request_does_not_wake" };
  const hourly = hourlyWaitMs(state, knock, ctx.now);
  if (hourly > 0) return { kind: "limited", code: "wakes_per_hour_spent", retryAfterMs: hourly };
  const money = moneyWaitMs(config.proxy.max_micro_usd_per_day, books, ctx.now);
  if (money > 0) return { kind: "limited", code: "money_per_day_spent", retryAfterMs: money };
  const verdict = judgeWake(state, ctx.now, ctx.timings);
  if (verdict.kind !== "limited") return { kind: "wakes" };
  return { kind: "limited", code: "wake_rate_limited", retryAfterMs: verdict.retryAfterMs };
}

export function knockWake(knock: Knock, now: number): WakeRequest {
  return { actor: { kind: "proxy", by: knock.by }, gpuType: null, region: null, askedAt: now };
}

/** Until another wake fits into the hour; 0: now. */
function hourlyWaitMs(state: State, { by, wakesPerHour }: Knock, now: number): number {
  const all = knockedLately(state, now);
  const waits = [
    freeAfterMs(all, state.config.proxy.wakes_per_hour, now),
    ...(wakesPerHour === null
      ? []
      : [
          freeAfterMs(
            all.filter((one) => one.by === by),
            wakesPerHour,
            now,
          ),
        ]),
  ];
  return Math.max(...waits);
}

function freeAfterMs(wakes: { at: number }[], limit: number, now: number): number {
  if (wakes.length < limit) return 0;
  // With a limit of none the hour never ends; the answer to "when" is "ask again in an hour".
  const blocking = wakes.at(wakes.length - limit);
  return limit === 0 || !blocking ? msPerHour : Math.max(1, blocking.at + msPerHour - now);
}

/** Until less than the limit lies within the last day, to the hour; 0: now. */
function moneyWaitMs(limit: number | null, books: () => Books, now: number): number {
  if (limit === null) return 0;
  const known = books();
  for (let hours = 0; hours < 24; hours++) {
    const span = { fromAt: now - (24 - hours) * msPerHour, toAt: now };
    if (toMicroUsd(totalOf(paidBetween(known, span, now))) < limit) return hours * msPerHour;
  }
  return 24 * msPerHour;
}

/** Wakes that requests began within the last hour, oldest first. */
function knockedLately(state: State, now: number): { at: number; by: string }[] {
  return (state.knocked ?? []).filter((one) => one.at > now - msPerHour);
}

/** After the event: a machine is wanted now that was not before, because of a request. */
export function noteKnock(before: State, after: State, { actor }: WakeRequest, now: number): State {
  if (actor.kind !== "proxy" || wantsMachine(before) || !wantsMachine(after)) return after;
  return { ...after, knocked: [...knockedLately(after, now), { at: now, by: actor.by }] };
}

function wantsMachine({ now, copying }: State): boolean {
  switch (now.status) {
    case "destroying":
      return now.wakeAfter !== null;
    case "hibernated":
      return (now.damaged?.wake ?? copying?.wake ?? null) !== null;
    case "deleted":
    case "failed":
      return false;
    case "unreachable":
      return now.wake !== null;
    case "provisioning":
    case "restoring":
      return !now.wake.toSleep;
    default:
      return true;
  }
}
