/** A machine is up, and the files come back to it. */
import { restoreCommandId } from "./commands.ts";
import type { Context, Outcome } from "./events.ts";
import { noteRestored } from "./gaps.ts";
import { ignore, type PhaseOf, type Row } from "./handler.ts";
import { hookLog } from "./hooks.ts";
import { joinWake } from "./keep-trying.ts";
import { agentActor, andThen, enter, log, lookEffect, out, restoreOf, system, takeIn } from "./machines.ts";
import { keepOnlyCopy } from "./parked.ts";
import { restoredParams } from "./recovery.ts";
import { tryAnother, vanished } from "./starting.ts";
import type { State } from "./types.ts";
import { cancelWake, finishWake } from "./wake-ends.ts";

export function startRestore(state: State, phase: PhaseOf<"provisioning">, ctx: Context): Outcome {
  const wanted = restoreOf(state);
  return enter(
    state,
    {
      status: "restoring",
      machine: phase.machine,
      since: ctx.now,
      wake: phase.wake,
      back: phase.back,
      attempt: phase.attempt,
      took: tookSoFar(state, phase, ctx),
      tries: 1,
      progressAt: ctx.now,
      lastBeatAt: ctx.now,
    },
    log("restore_started", system, { snapshot_seq: wanted?.ref.seq ?? null }),
  );
}

/** Counted from the beginning of the wake, machines that did not come up included. */
function tookSoFar(state: State, phase: PhaseOf<"provisioning">, ctx: Context): { rentMs: number; bootMs: number } {
  const rentedAt = phase.bootingSince ?? phase.attemptSince;
  return { rentMs: Math.max(0, rentedAt - (state.lastWakeAt ?? phase.since)), bootMs: ctx.now - rentedAt };
}

export const restoring: Row<"restoring"> = {
  beat(state, phase, event, ctx) {
    const heard: PhaseOf<"restoring"> = {
      ...phase,
      lastBeatAt: ctx.now,
      progressAt: event.progressed ? ctx.now : phase.progressAt,
    };
    const id = restoreCommandId(phase.machine.epoch, phase.tries);
    const result = event.results.find((one) => one.commandId === id);
    if (!result) return enter(state, heard);
    const wanted = restoreOf(state);
    if (result.outcome === "restored" && result.digest === wanted?.ref.digest) {
      return andThen(
        out(
          noteRestored(state, ctx.now - phase.since),
          log("restored", agentActor, restoredParams(wanted)),
          ...hookLog(result),
        ),
        (next) => finishWake(next, phase, ctx),
      );
    }
    if (result.outcome === "failed")
      return retryRestore(state, heard, result.code, result.message, result.retryable, ctx);
    return retryRestore(
      state,
      heard,
      "restore_digest_mismatch",
      "the restored workspace has another digest",
      true,
      ctx,
    );
  },
  tick(state, phase, _event, ctx) {
    if (ctx.now < phase.progressAt + ctx.timings.progressLimitMs) return out(state);
    const why = { code: "restore_stalled", message: "the restore does not move", final: false, isHost: true };
    return tryAnother(state, phase, why, ctx);
  },
  gone(state, phase, _event, ctx) {
    return tryAnother(state, phase, vanished, ctx);
  },
  seen: (state, phase, event) => enter(state, { ...phase, machine: takeIn(phase.machine, event.facts) }),
  wake: (state, _phase, event) => joinWake(state, event.wake),
  hibernate: (state, phase, event, ctx) => cancelWake(state, phase, event.actor, ctx),
  discard: (state, phase, event, ctx) => cancelWake(state, phase, event.actor, ctx),
  configure: ignore,
  // The agent may speak before the provider's answer to the rental is in.
  rented: (state, phase, event) => enter(state, { ...phase, machine: takeIn(phase.machine, event.facts) }),
  rentFailed: ignore,
  rentUnknown: (state, phase) => out(state, lookEffect(phase.machine)),
  notFound: ignore,
  endTried: ignore,
  lookFailed: ignore,
  proved: ignore,
  proofFailed: ignore,
};

function retryRestore(
  state: State,
  phase: PhaseOf<"restoring">,
  code: string,
  message: string,
  retryable: boolean,
  ctx: Context,
): Outcome {
  const said = log("restore_failed", agentActor, { code, message, tries: phase.tries });
  if (retryable && phase.tries < ctx.timings.maxRestores) {
    return enter(state, { ...phase, tries: phase.tries + 1, progressAt: ctx.now }, said);
  }
  // A snapshot that is damaged is damaged on every machine.
  const why = { code, message, final: !retryable, isHost: retryable };
  const wanted = restoreOf(state);
  const isLost = code === "snapshot_damaged" && !retryable && wanted !== null;
  const kept = isLost ? keepOnlyCopy(state, wanted.ref, ctx) : out(state);
  return andThen(
    andThen(out(state, said), () => kept),
    (next) => tryAnother(next, phase, why, ctx),
  );
}
