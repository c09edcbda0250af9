/**
 * A fork: an instance that is made from a snapshot of another. Its parts are copied into its own place in the store, so
 * that nothing that happens to the other one can ever harm it (docs/adr/0014). Until then it is asleep.
 *
 *   createFork --> hibernated, copying --every part here, proved--> hibernated, or provisioning when a wake waits
 *                                      +--the snapshot is not whole--> failed --wake--> copying
 */

import type { Context, Effect, LifecycleEvent, Outcome } from "./events.ts";
import { andThen, enter, log, minutesMs, out, system } from "./machines.ts";
import { provedEntry } from "./snapshots.ts";
import { startWake } from "./starting.ts";
import type { Actor, State, WakeRequest } from "./types.ts";

/** Where the copy lies: the first of the fork's own. Its machines begin with the epoch after it. */
export const copyName = { seq: 1, epoch: 1 };

export function copyEffect(from: NonNullable<State["copying"]>["from"]): Effect {
  return { kind: "copy", from, to: copyName };
}

/** When it is asked for again, should no answer come. */
export function copyAt(state: State): number | null {
  return state.copying && state.now.status === "hibernated" ? state.copying.nextAt : null;
}

export function copyIfDue(state: State, ctx: Context): Outcome {
  const at = copyAt(state);
  const { copying } = state;
  if (!copying || at === null || ctx.now < at) return out(state);
  return out(
    { ...state, copying: { ...copying, nextAt: ctx.now + ctx.timings.copyEveryMs } },
    copyEffect(copying.from),
  );
}

export function takeCopied(state: State, event: Extract<LifecycleEvent, { type: "copied" }>, ctx: Context): Outcome {
  const { copying } = state;
  if (!copying || state.now.status !== "hibernated") return out(state);
  const { parts, partsTotal, done } = event;
  if (!done) {
    const nextAt = ctx.now + ctx.timings.copyEveryMs;
    return out({ ...state, copying: { ...copying, parts, partsTotal, tries: 0, nextAt } }, copyEffect(copying.from));
  }
  const { copying: _, ...rest } = state;
  const deleteAt = ctx.now + minutesMs(state.config.delete_after_pause_minutes);
  const made = enter(
    { ...rest, snapshot: done, seq: Math.max(state.seq, done.ref.seq), trouble: null },
    { status: "hibernated", since: ctx.now, deleteAt, verifyAt: null, verifyTries: 0 },
    provedEntry(done, { parts: partsTotal, ...(done.stats && { bytes: done.stats.storedBytes }) }),
    log("copied", system, { snapshot_seq: done.ref.seq, from: fromWords(copying.from), parts: partsTotal }),
  );
  const { wake } = copying;
  return wake ? andThen(made, (next) => startWake(next, wake, ctx)) : made;
}

export function takeCopyFailed(
  state: State,
  event: Extract<LifecycleEvent, { type: "copyFailed" }>,
  ctx: Context,
): Outcome {
  const { copying } = state;
  if (!copying || state.now.status !== "hibernated") return out(state);
  if (event.retryable) {
    const tries = copying.tries + 1;
    const nextAt = ctx.now + Math.min(ctx.timings.proveEveryMs * 2 ** Math.min(tries, 20), ctx.timings.copyEveryMs);
    return out({ ...state, copying: { ...copying, tries, nextAt } });
  }
  const message = `Snapshot ${fromWords(copying.from)} could not be copied: ${event.message}`;
  return enter(
    { ...state, copying: { ...copying, wake: null }, trouble: { code: "copy_failed", message, at: ctx.now } },
    {
      status: "failed",
      machine: null,
      since: ctx.now,
      code: "copy_failed",
      message,
      kept: "The instance that it was to be made from, as it was; nothing of it was changed.",
    },
    log("copy_failed", system, { message, from: fromWords(copying.from) }),
  );
}

/** A wake of one that is not here yet waits for it (I4); after a failure the copy is tried again. */
export function wakeWhenCopied(state: State, wake: WakeRequest, ctx: Context): Outcome {
  const { copying } = state;
  if (!copying) return out(state);
  const said = log(copying.wake ? "wake_joined" : "wake_requested", wake.actor);
  const next = { ...state, copying: { ...copying, wake: copying.wake ?? wake } };
  if (state.now.status === "hibernated") return out(next, said);
  const deleteAt = ctx.now + minutesMs(state.config.delete_after_pause_minutes);
  const nextAt = ctx.now + ctx.timings.copyEveryMs;
  return enter(
    { ...next, trouble: null, copying: { ...next.copying, tries: 0, nextAt } },
    { status: "hibernated", since: ctx.now, deleteAt, verifyAt: null, verifyTries: 0 },
    said,
    copyEffect(copying.from),
  );
}

export function stayAsleep(state: State, actor: Actor): Outcome {
  const { copying } = state;
  if (!copying?.wake) return out(state);
  return out({ ...state, copying: { ...copying, wake: null } }, log("wake_cancelled", actor));
}

function fromWords(from: NonNullable<State["copying"]>["from"]): string {
  return `${from.instance}@${from.ref.seq}`;
}
