/**
 * Scripts of the user on the machine: one before a sleep, one after a wake.
 *
 *   snapshotting, due --exit 0--> done, the snapshot is taken
 *                        +--anything else, and it may object--> running: vetoed --rest, window over--> asked again
 *   restoring --digest equal--> run, told, and never the wake's end
 *
 * It is run once for each sleep, when the machine is to go: not for the early upload of `auto`.
 */
import { type HookCommand, type HookReport, hookVeto, type Result } from "../protocol/wire.ts";
import type { Context, Effect } from "./events.ts";
import { agentActor, log } from "./machines.ts";
import type { SleepCause, State, Veto } from "./types.ts";

export function beforeSleepHook(state: State, cause: SleepCause): HookCommand {
  const { before_sleep: run, timeout_seconds } = state.config.hooks;
  const isForced = cause.kind === "asked" && cause.force === true;
  return { run, timeoutMs: timeout_seconds * 1000, reason: cause.kind, mayVeto: !isForced };
}

export function afterWakeHook(state: State): HookCommand {
  const { after_wake: run, timeout_seconds } = state.config.hooks;
  return { run, timeoutMs: timeout_seconds * 1000, reason: "wake", mayVeto: false };
}

export function isVeto(result: Result): boolean {
  return result.outcome === "failed" && result.code === hookVeto;
}

/** A no holds for the rest after a failure, then twice as long each time, up to half an hour. */
export function vetoed(state: State, message: string, ctx: Context): Veto {
  const count = (state.veto?.count ?? 0) + 1;
  const { restAfterFailureMs, retryMaxEveryMs } = ctx.timings;
  const restMs = Math.min(restAfterFailureMs * 2 ** Math.min(count - 1, 20), retryMaxEveryMs);
  return { at: ctx.now, until: ctx.now + restMs, count, message };
}

export function dropVeto(state: State): State {
  if (!state.veto) return state;
  const { veto: _, ...rest } = state;
  return rest;
}

/** What is told of a hook that was run. */
export function hookLog(result: Result): Effect[] {
  const hook = "hook" in result ? result.hook : undefined;
  if (!hook) return [];
  const type = hook.outcome === "ok" ? "hook_ran" : "hook_failed";
  return [log(type, agentActor, hookParams(hook))];
}

function hookParams({ name, outcome, exit, ms, tail }: HookReport) {
  return { hook: name, outcome, exit, ms, tail };
}
