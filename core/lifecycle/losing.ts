/** Machines that end without a sleep: lost by the provider, or given up by their owner. */

import type { Context, Outcome } from "./events.ts";
import { dropGap, forgetSleep } from "./gaps.ts";
import { andThen, enter, log, minutesMs, out, providerActor, retire, takeIn } from "./machines.ts";
import { chargeUntil, lastKnownAt } from "./meter.ts";
import { isUnsaved } from "./parked.ts";
import { keepNewest, type RecoveryPoint, recoveryPoint } from "./recovery.ts";
import { dropStanding } from "./standing.ts";
import { startWake } from "./starting.ts";
import type { Actor, Machine, RentedFacts, State, WakeRequest } from "./types.ts";

/** The provider says that a machine in use is gone. What was not in a snapshot is lost, and is said to be. */
export function loseMachine(
  state: State,
  machine: Machine,
  goneAt: number,
  wake: WakeRequest | null,
  ctx: Context,
): Outcome {
  const recovery = recoveryPoint(state);
  const lost = log("machine_lost", providerActor, {
    epoch: machine.epoch,
    ended_at: goneAt,
    recovery_point: recovery?.kind ?? null,
    recovery_point_seq: recovery?.ref.seq ?? null,
    recovery_point_at: recovery?.at ?? null,
    torn: recovery?.torn ?? null,
  });
  const beatAt = "lastBeatAt" in state.now ? state.now.lastBeatAt : null;
  // It ended at some moment after it was last known to run, and nobody says when.
  const charges = chargeUntil(machine, machine.meter ? Math.min(goneAt, lastKnownAt(machine, beatAt)) : goneAt);
  const left = rememberLost(keepNewest(dropGap(state)), machine);
  if (!recovery) return andThen(out(left, lost, ...charges), (next) => loseAll(next, neverKept, ctx));
  const message = `The provider no longer has the machine. ${keptWords(recovery, lastContactOf(state) ?? goneAt)}`;
  const deleteAt = ctx.now + minutesMs(state.config.delete_after_pause_minutes);
  const asleep = enter(
    { ...left, trouble: { code: "machine_lost", message, at: ctx.now } },
    { status: "hibernated", since: ctx.now, deleteAt, verifyAt: null, verifyTries: 0 },
    lost,
    ...charges,
  );
  return wake ? andThen(asleep, (next) => startWake(next, wake, ctx)) : asleep;
}

export const neverKept = "The provider no longer has the machine, and no snapshot of it was ever made.";

/** With the machine went the only copy there was. */
export function loseAll(state: State, message: string, ctx: Context): Outcome {
  const code = "machine_lost";
  return enter(
    { ...state, trouble: { code, message, at: ctx.now } },
    { status: "failed", machine: null, since: ctx.now, code, message, kept: "Nothing: no snapshot was made." },
  );
}

function lastContactOf({ now }: State): number | null {
  return "lastBeatAt" in now ? now.lastBeatAt : null;
}

/** How old the recovery point was when the machine was last heard of: so much work may be lost. */
function keptWords({ kind, ref, at, torn }: RecoveryPoint, until: number): string {
  const minutes = Math.max(0, Math.round((until - at) / 60_000));
  const age = minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
  const name = kind === "checkpoint" ? "Checkpoint" : "Snapshot";
  const doubt = torn > 0 ? ` Of it, ${torn} entries changed while they were read.` : "";
  return `${name} ${ref.seq} is the newest that is kept: what changed in the last ${age} before contact ended is lost.${doubt}`;
}

/** A provider may be wrong: a machine with work on it that turns up again is taken back, never destroyed as a stray. */
export function rememberLost(state: State, machine: Machine): State {
  return { ...state, lost: [...state.lost.filter((one) => one.epoch !== machine.epoch), machine].slice(-20) };
}

/** A lost machine is there after all. Taken back when the instance has no other; until then it is kept and told of. */
export function takeBack(state: State, lost: Machine, facts: RentedFacts, ctx: Context): Outcome {
  const machine = takeIn(lost, facts);
  const said = log("orphan_found", providerActor, {
    epoch: lost.epoch,
    provider_id: facts.providerId,
    holds_work: true,
  });
  const message = "A machine that the provider had called gone is there after all. It is kept and goes on costing.";
  const told = { ...state, trouble: { code: "machine_returned", message, at: ctx.now } };
  const isUsed = "machine" in state.now ? state.now.machine !== null : state.now.status === "destroying";
  const hasOther = isUsed || isUnsaved(state);
  if (hasOther) return out(told, said);
  return enter(
    // What had looked like a sleep was none.
    { ...forgetSleep(told), lost: state.lost.filter((one) => one !== lost) },
    { status: "unreachable", machine, since: ctx.now, lastBeatAt: ctx.now, lookAt: ctx.now, wake: null },
    said,
  );
}

/** Destroys without a proof because the user said so (I1). */
export function discardMachine(state: State, machine: Machine, actor: Actor, ctx: Context): Outcome {
  const leaving = enter(
    keepNewest(dropStanding(forgetSleep(state))),
    {
      status: "destroying",
      epoch: machine.epoch,
      since: ctx.now,
      cause: { kind: "asked", actor },
      proof: null,
      sealId: null,
      sealedUntil: ctx.now,
      wakeAfter: null,
    },
    log("discarded", actor, { snapshot_kept: recoveryPoint(state)?.ref.seq ?? null }),
  );
  return andThen(leaving, (next) => retire(next, machine, { kind: "discard", actor }, ctx));
}
