/**
 * The script after a wake, where no restore carries it: the machine was only stopped, or the script before a sleep was run
 * and the sleep came to nothing. What that one stopped would otherwise stay stopped.
 */

import type { Context, LifecycleEvent, Outcome } from "./events.ts";
import { hookLog } from "./hooks.ts";
import { andThen, out } from "./machines.ts";
import type { State } from "./types.ts";

/** Owed to the machine of this epoch; `at` makes the command's id. */
export interface OwedHook {
  epoch: number;
  at: number;
  reason: "wake" | "called_off";
}

export function afterWakeCommandId({ epoch, at }: OwedHook): string {
  return `hook.${epoch}.${at}`;
}

/** Around every event: what is owed from here on, and what was done. */
export function settleHook(before: State, event: LifecycleEvent, outcome: Outcome, ctx: Context): Outcome {
  return andThen(outcome, (state) => {
    const owed = owedAfter(before, state, ctx.now);
    if (owed) return out({ ...state, afterWake: owed });
    if (!state.afterWake) return out(state);
    const done = event.type === "beat" ? doneIn(state.afterWake, event) : null;
    if (done) return out(withoutHook(state), ...hookLog(done));
    // The next sleep asks its own script, and a machine that goes needs none.
    return out(["running", "unreachable"].includes(state.now.status) ? state : withoutHook(state));
  });
}

function owedAfter(before: State, after: State, at: number): OwedHook | null {
  const [from, to] = [before.now, after.now];
  if (to.status === "running" && from.status === "provisioning" && from.machine.rest && !after.standing?.ends)
    return { epoch: to.machine.epoch, at, reason: "wake" };
  const isBack = to.status === "running" || to.status === "unreachable";
  const wasAsked =
    (from.status === "snapshotting" && from.hook !== undefined) || (from.status === "destroying" && from.proof);
  // A script that said no knows what it left behind.
  const isVetoed = after.veto !== undefined && after.veto.at === at;
  return isBack && wasAsked && !isVetoed ? { epoch: to.machine.epoch, at, reason: "called_off" } : null;
}

function doneIn(owed: OwedHook, { results }: Extract<LifecycleEvent, { type: "beat" }>) {
  return results.find((one) => one.commandId === afterWakeCommandId(owed)) ?? null;
}

function withoutHook(state: State): State {
  const { afterWake: _, ...rest } = state;
  return rest;
}
