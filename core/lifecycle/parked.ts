/**
 * Pause mode `stop`: the machine is snapshotted, proved and sealed as for a destroy, and only stopped.
 *
 *   destroying --stands still (provider)--> hibernated, parked --wake--> provisioning: starting --first beat--> running
 *                                               |    ^                        |
 *                                               |    +--no GPU free, queued---+--> parked, and the ladder goes on without it
 *                                               +--pause over, snapshot verified--> destroyed
 *                                               +--pause over, snapshot damaged---> started, snapshotted, destroyed
 *
 * It holds work (I1) and may be destroyed while it stands still on the proof of its seal: nobody was let in since. Where
 * something may have been written after the proof, or the store lost what was proved, it has none, and ends only by
 * another sleep or by discard.
 */

import type { SnapshotRef } from "../protocol/wire.ts";
import { isTooDear } from "./caps.ts";
import type { Context, Effect, Outcome } from "./events.ts";
import type { EventOf, PhaseOf } from "./handler.ts";
import {
  andThen,
  enter,
  log,
  lookEffect,
  nextEndDelayMs,
  out,
  retire,
  sameSnapshot,
  stopEffect,
  system,
} from "./machines.ts";
import type { Parked } from "./parked-state.ts";
import type { Machine, SleepCause, State, WakeRequest } from "./types.ts";

/** Whether this sleep stops the machine. One that stands still already is enough. */
export function parks(state: State, cause: SleepCause): boolean {
  return state.config.pause_mode === "stop" && !state.parked && !(cause.kind === "asked" && cause.ends);
}

/** The machine is to stand still. The only place that asks for it. */
export function park(state: State, machine: Machine, proof: SnapshotRef | null, ctx: Context): Outcome {
  const others = machine.rest?.isOthers ? { isOthers: true as const } : {};
  const resting = { ...machine, holdsWork: true, rest: { since: ctx.now, proof, ...others } };
  return out({ ...state, parked: toStop(resting, ctx) }, stopEffect(machine));
}

/** As it is before anything is known of the stop. */
export function toStop(machine: Machine, ctx: Context): Parked {
  return { machine, acceptedAt: null, stoppedAt: null, tries: 0, nextAt: ctx.now + ctx.timings.endEveryMs };
}

export function withoutParked(state: State): State {
  const { parked: _, ...rest } = state;
  return rest;
}

/** A stop that was accepted did not hold its seal: something may be on the disk that no snapshot has. */
export function doubtRest(state: State, epoch: number): State {
  const { parked } = state;
  if (!parked?.machine.rest?.proof || parked.machine.epoch !== epoch) return state;
  return { ...state, parked: { ...parked, machine: unproven(parked.machine) } };
}

function unproven(machine: Machine): Machine {
  return machine.rest ? { ...machine, rest: { since: machine.rest.since, proof: null } } : machine;
}

/** Whether a sleep waits for the machine of this epoch to stand still. */
export function sleepOn(state: State, epoch: number): PhaseOf<"destroying"> | null {
  return state.now.status === "destroying" && state.now.epoch === epoch ? state.now : null;
}

/** Whether the call that is next stands on a seal, which ends. */
export function isOnSeal(state: State, epoch: number): boolean {
  return state.parked?.machine.epoch === epoch && state.parked.acceptedAt === null && sleepOn(state, epoch) !== null;
}

/**
 * Whether a stop may be sent at this moment: like a destroy, a first one of a sleep only while the seal holds. What was
 * accepted, or nobody was let in on, is stopped at any time.
 */
export function mayStop(state: State, epoch: number, now: number): boolean {
  if (state.parked?.machine.epoch !== epoch) return false;
  const sleep = isOnSeal(state, epoch) ? sleepOn(state, epoch) : null;
  return sleep === null || (now >= sleep.since && now < sleep.sealedUntil);
}

/** Asks again for the stop, or looks whether it holds. */
export function parkedDue(state: State, ctx: Context): Outcome {
  const { parked } = state;
  if (!parked || ctx.now < parked.nextAt) return out(state);
  const { machine, stoppedAt, tries } = parked;
  const everyMs = stoppedAt === null ? nextEndDelayMs(tries, ctx) : ctx.timings.parkedEveryMs;
  const next = { ...state, parked: { ...parked, nextAt: ctx.now + everyMs } };
  if (stoppedAt !== null) return out(next, { ...lookEffect(machine), fresh: true } as const);
  return mayStop(state, machine.epoch, ctx.now) ? out(next, stopEffect(machine)) : out(next);
}

// ---- waking --------------------------------------------------------------------------------------------------------

/**
 * Whether its disk holds what no snapshot has. A wake starts it and nothing else, so there is no going back to an older
 * snapshot: what is on it would be left aside unsaved, or the older one would not be brought back.
 */
export function isUnsaved({ parked }: State): boolean {
  return parked !== undefined && !parked.machine.rest?.proof;
}

/** Whether it was stopped at the provider, by somebody or for want of credit: then the pause has no end. */
export function isStoppedByOthers({ parked }: State): boolean {
  return parked?.machine.rest?.isOthers === true;
}

/** Whether the pause of one that is asleep ends by the clock. */
export function hasPauseEnd(state: State): boolean {
  return !state.copying && !isStoppedByOthers(state);
}

/** The machine that stands still, where a wake may take it. One whose disk has no proof is the only one there is. */
export function parkedFor(state: State, wake: WakeRequest): Machine | null {
  const machine = state.parked?.machine;
  if (!machine?.facts) return null;
  if (!machine.rest?.proof) return machine;
  const { gpuType, region } = machine.facts;
  const fits =
    !wake.snapshot &&
    (wake.gpuType === null || wake.gpuType === gpuType) &&
    (wake.region === null || wake.region === region) &&
    sameSnapshot(machine.rest.proof, state.snapshot?.ref) &&
    !isTooDear(state, machine);
  return fits ? machine : null;
}

/** What the provider says of a start that will not come up; null while it may. */
export function startFault(attempt: { attemptSince: number }, event: EventOf<"seen">, ctx: Context) {
  const message = event.message ?? `the machine is ${event.phase}`;
  if (event.phase === "queued") return { code: "start_queued", message, final: false, isHost: false };
  if (event.phase === "lost" || event.fatal) return { code: "start_failed", message, final: false, isHost: true };
  // The list may not know of the start yet.
  if (event.phase === "stopped" && ctx.now >= attempt.attemptSince + ctx.timings.startLagMs)
    return { code: "start_failed", message: "the machine stays stopped", final: false, isHost: false };
  return null;
}

// ---- the end of the pause ------------------------------------------------------------------------------------------

/** Whether the disk holds what this snapshot holds, and nothing else. */
export function isOf(parked: Parked, ref: SnapshotRef | undefined): boolean {
  return sameSnapshot(parked.machine.rest?.proof, ref);
}

/**
 * Whether it holds what no snapshot has, and no newer work is kept: what a wake left behind does not take the place of
 * that. Machines that were only asked for since say nothing.
 */
export function canRescue(state: State, { machine }: Parked): boolean {
  return machine.facts !== null && !machine.rest?.proof && (state.snapshot?.ref.epoch ?? 0) <= machine.epoch;
}

/**
 * The store lost this snapshot. A machine that was sealed with it is the only one that has it, and has no proof any more:
 * also one that is being started, and one whose end nobody has accepted yet.
 */
export function keepOnlyCopy(state: State, ref: SnapshotRef, ctx: Context): Outcome {
  const { now, parked } = state;
  const isOnly = ({ rest }: Machine) => sameSnapshot(rest?.proof, ref);
  if (parked && isOnly(parked.machine)) {
    return out(doubtRest(state, parked.machine.epoch), keptLog(parked.machine));
  }
  if (now.status === "provisioning" && isOnly(now.machine)) {
    return enter(state, { ...now, machine: unproven(now.machine) }, keptLog(now.machine));
  }
  const ending = state.retiring.find((one) => one.isStopped && one.acceptedAt === null && isOnly(one.machine));
  if (!ending || parked) return out(state);
  const retiring = state.retiring.filter((one) => one !== ending);
  const still = { ...toStop(unproven(ending.machine), ctx), acceptedAt: ctx.now, stoppedAt: ctx.now };
  return out({ ...state, retiring, parked: still }, keptLog(ending.machine));
}

/** It goes on costing its disk until it is woken or discarded. */
export function keptLog({ epoch, facts }: Machine): Effect {
  return log("machine_kept", system, { epoch, provider_id: facts?.providerId ?? null });
}

/** What happens to it follows from where the instance stands: once nobody needs it, it ends on the proof of its seal. */
export function settleParked(outcome: Outcome, ctx: Context): Outcome {
  return andThen(outcome, (state) => {
    const { parked } = state;
    if (!parked || !isStill(parked)) return out(state);
    const { rest } = parked.machine;
    if (!rest?.proof || !isUnwanted(state, parked)) return out(state);
    return retire(withoutParked(state), parked.machine, { kind: "proof", snapshot: rest.proof }, ctx, true);
  });
}

/** It does not run, by the provider's last word. */
export function isStill({ machine, stoppedAt, runsAt }: Parked): boolean {
  return machine.rest?.isLost === true || (stoppedAt !== null && runsAt === undefined);
}

function isUnwanted(state: State, parked: Parked): boolean {
  const { status } = state.now;
  if (status === "deleted") return true;
  // Another one runs, and has all of it.
  if (status === "running" || status === "snapshotting" || status === "unreachable") return true;
  return status === "hibernated" && state.config.pause_mode === "destroy" && isOf(parked, state.snapshot?.ref);
}

/** It was to end and runs: of a host that came back it is stopped again, else somebody may have started it. */
export function takeUnstopped(state: State, machine: Machine, ctx: Context): Outcome {
  const parked: Parked = {
    ...toStop(machine, ctx),
    acceptedAt: ctx.now,
    ...(!machine.rest?.isLost && { stoppedAt: ctx.now, runsAt: ctx.now }),
    nextAt: ctx.now + ctx.timings.goneAgainMs,
  };
  return out({ ...state, parked });
}

/** The user gives it up, whatever is on it (I1). */
export function discardParked(state: State, parked: Parked, event: EventOf<"discard">, ctx: Context): Outcome {
  const { actor } = event;
  const said = out(withoutParked(state), log("discarded", actor, { epoch: parked.machine.epoch }));
  const given = andThen(said, (next) => retire(next, parked.machine, { kind: "discard", actor }, ctx));
  if (state.snapshot) return given;
  const deleted = log("deleted", actor, { discarded: true });
  return andThen(given, (next) => enter(next, { status: "deleted", since: ctx.now }, deleted));
}
