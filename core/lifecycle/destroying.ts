/**
 * The machine is on its way out.
 *
 *   destroying --gone (provider)--> hibernated, or provisioning when a wake waits; discarded: deleted
 *       +--seal over, no destroy accepted--> snapshotting: sealing, or running when a wake waits
 */
import { leavingOf } from "./attempts.ts";
import { sealCommandId } from "./commands.ts";
import { endCallMs, reportTravelMs } from "./deadlines.ts";
import type { Context, Outcome } from "./events.ts";
import { forgetSleep, noteAsleep, noteStays } from "./gaps.ts";
import { ignore, type PhaseOf, type Row } from "./handler.ts";
import { together } from "./keep-trying.ts";
import { andThen, enter, log, minutesMs, out, ruleActor, sameSnapshot, system, wakeful } from "./machines.ts";
import { doubtRest, withoutParked } from "./parked.ts";
import { dropStanding } from "./standing.ts";
import { startWake } from "./starting.ts";
import type { Actor, SleepCause, State } from "./types.ts";
import { readyUntil } from "./vetoes.ts";

export const destroying: Row<"destroying"> = {
  beat(state, phase, event, ctx) {
    const leaving = leavingOf(state, phase.epoch);
    if (!leaving || !phase.proof) return out(state);
    const isSealed = event.seal?.commandId === phase.sealId && sameSnapshot(event.seal?.snapshot, phase.proof);
    if (leaving.acceptedAt !== null) return isSealed ? out(state) : out(doubtRest(state, phase.epoch));
    if (event.seal && isSealed) {
      // A clock that was set back must not make an old promise longer.
      const since = Math.min(phase.since, ctx.now);
      return enter(state, { ...phase, since, sealedUntil: sealedUntil(event.seal.holdsForMs, ctx) });
    }
    // The agent lives and holds no seal: what it has may be newer than the proof. No destroy is sent from now on.
    return enter(state, { ...phase, sealedUntil: Math.min(phase.sealedUntil, ctx.now) });
  },
  tick(state, phase, _event, ctx) {
    const leaving = leavingOf(state, phase.epoch);
    if (!leaving || !phase.proof || leaving.acceptedAt !== null) return out(state);
    // A destroy that was sent in time may still be on its way: only when it has landed may the seal be lifted.
    if (ctx.now < phase.sealedUntil + endCallMs) return out(state);
    return sealAgain(state, phase, ctx);
  },
  gone: (state, phase, event, ctx) => fallAsleep(state, phase, event.at, ctx),
  wake: (state, phase, event) =>
    phase.wakeAfter
      ? enter(
          state,
          { ...phase, wakeAfter: together(phase.wakeAfter, event.wake) },
          log("wake_joined", event.wake.actor),
        )
      : enter(dropStanding(state), { ...phase, wakeAfter: event.wake }, log("wake_requested", event.wake.actor)),
  hibernate(state, phase, event) {
    if (!phase.wakeAfter) return out(state);
    return enter(state, { ...phase, wakeAfter: null }, log("wake_cancelled", event.actor));
  },
  discard: ignore,
  configure: ignore,
  seen: ignore,
  rented: ignore,
  rentFailed: ignore,
  rentUnknown: ignore,
  notFound: ignore,
  endTried: ignore,
  lookFailed: ignore,
  proved: ignore,
  proofFailed: ignore,
};

/** The machine ended, or stands still, since `endedAt`. */
export function fallAsleep(state: State, phase: PhaseOf<"destroying">, endedAt: number, ctx: Context): Outcome {
  const deleteAt = ctx.now + minutesMs(state.config.delete_after_pause_minutes);
  const { proof, wakeAfter } = phase;
  const asleep: Outcome = proof
    ? enter(
        { ...noteAsleep(state, Math.min(Math.max(endedAt, phase.since), ctx.now)), trouble: null },
        { status: "hibernated", since: ctx.now, deleteAt, verifyAt: null, verifyTries: 0 },
        { kind: "history", entry: { op: "relied", ref: proof, at: endedAt } },
        log("hibernated", causeActor(phase.cause), { snapshot_seq: proof.seq, ended_at: endedAt }),
      )
    : // Discarded: what the machine held is gone, an older snapshot stays.
      enter(
        { ...forgetSleep(state), trouble: null },
        { status: "deleted", since: ctx.now },
        log("deleted", causeActor(phase.cause), { discarded: true }),
      );
  return wakeAfter ? andThen(asleep, (next) => startWake(next, wakeAfter, ctx)) : asleep;
}

/** The seal ended and no destroy was accepted: nothing is destroyed on the old proof. */
function sealAgain(state: State, phase: PhaseOf<"destroying">, ctx: Context): Outcome {
  const leaving = leavingOf(state, phase.epoch);
  if (!leaving) return out(state);
  const { rest: _, ...machine } = leaving.machine;
  const stays = noteStays(state.parked === leaving ? withoutParked(state) : state);
  const kept = { ...stays, retiring: state.retiring.filter((one) => one !== leaving) };
  const expired = log("seal_expired", system, { snapshot_seq: phase.proof?.seq ?? null });
  if (phase.wakeAfter) {
    // Somebody wants it awake, and nothing was destroyed (I4).
    const { actor } = phase.wakeAfter;
    const restlessUntil = Math.max(ctx.now, readyUntil(state, phase.wakeAfter));
    const awake = { ...wakeful(machine, ctx.now, ctx), restlessUntil, wake: phase.wakeAfter };
    return enter(kept, awake, expired, log("hibernate_cancelled", actor, { reason: "wake" }));
  }
  const seq = state.seq + 1;
  return enter(
    { ...kept, seq },
    {
      status: "snapshotting",
      machine,
      since: ctx.now,
      cause: phase.cause,
      step: "sealing",
      seq,
      candidate: null,
      proved: phase.proof,
      // The same id: an agent that still holds its seal goes on holding it without a gap.
      sealId: phase.sealId ?? sealCommandId(phase.epoch, seq),
      proveAt: null,
      progressAt: ctx.now,
      lastBeatAt: ctx.now,
    },
    expired,
  );
}

/** The agent counts from when it sent the report, and a destroy that is sent at the last moment must still find the seal. */
export function sealedUntil(holdsForMs: number, ctx: Context): number {
  return ctx.now + Math.max(0, holdsForMs - reportTravelMs - endCallMs);
}

export function causeActor(cause: SleepCause): Actor {
  return cause.kind === "asked" ? cause.actor : ruleActor;
}
