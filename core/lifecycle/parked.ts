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
 * something may have been written after the proof, it has none, and ends only by another sleep or by discard.
 */
import { isTooDear } from "./caps.ts";
import { reportTravelMs } from "./deadlines.ts";
import { fallAsleep } from "./destroying.ts";
import { forgetSleep } from "./gaps.ts";
import type { EventOf } from "./handler.ts";
import { rememberLost } from "./losing.ts";
import {
  andThen,
  enter,
  log,
  lookEffect,
  nextEndDelayMs,
  out,
  providerActor,
  retire,
  ruleActor,
  sameSnapshot,
  stopEffect,
  takeIn,
} from "./machines.ts";
import { chargeUntil } from "./meter.ts";
import type { Parked } from "./parked-state.ts";
import { startWake, tryAnother } from "./starting.ts";
import type { Context, LifecycleEvent, Machine, Outcome, SleepCause, State, WakeRequest } from "./types.ts";
import type { SnapshotRef } from "../protocol/wire.ts";

/** Whether this sleep stops the machine. One that stands still already is enough. */
export function parks(state: State, cause: SleepCause): boolean {
  return state.config.pause_mode === "stop" && !state.parked && !(cause.kind === "asked" && cause.ends);
}

/** The machine is to stand still. The only place that asks for it. */
export function park(state: State, machine: Machine, proof: SnapshotRef | null, ctx: Context): Outcome {
  const parked: Parked = {
    machine: { ...machine, holdsWork: true, rest: { since: ctx.now, proof } },
    since: ctx.now,
    acceptedAt: null,
    stoppedAt: null,
    tries: 0,
    nextAt: ctx.now + ctx.timings.endEveryMs,
  };
  return out({ ...state, parked }, stopEffect(machine));
}

export function withoutParked(state: State): State {
  const { parked: _, ...rest } = state;
  return rest;
}

/** A stop that was accepted did not hold its seal: something may be on the disk that no snapshot has. */
export function doubtRest(state: State, epoch: number): State {
  const { parked } = state;
  if (!parked?.machine.rest?.proof || parked.machine.epoch !== epoch) return state;
  const { machine } = parked;
  return { ...state, parked: { ...parked, machine: { ...machine, rest: { since: parked.since, proof: null } } } };
}

/**
 * Whether a stop may be sent at this moment: like a destroy, a first one of a sleep only while the seal holds. What was
 * accepted, or nobody was let in on, is stopped at any time.
 */
export function mayStop(state: State, epoch: number, now: number): boolean {
  const { parked } = state;
  if (!parked || parked.machine.epoch !== epoch) return false;
  const phase = state.now;
  if (phase.status !== "destroying" || phase.epoch !== epoch || parked.acceptedAt !== null) return true;
  return now >= phase.since && now < phase.sealedUntil;
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

type ParkedEvent = Extract<
  LifecycleEvent,
  {
    type:
      | "rented"
      | "rentFailed"
      | "rentUnknown"
      | "notFound"
      | "seen"
      | "gone"
      | "endTried"
      | "lookFailed"
      | "stopTried"
      | "started"
      | "startFailed";
  }
>;

/** What is said of the machine that stands still, or is to. */
export function aboutParked(state: State, parked: Parked, event: ParkedEvent, ctx: Context): Outcome {
  const { epoch } = parked.machine;
  switch (event.type) {
    case "gone":
      return loseParked(state, parked, event.at, ctx);
    case "seen": {
      const machine = takeIn(parked.machine, event.facts);
      return seeParked({ ...state, parked: { ...parked, machine } }, { ...parked, machine }, event.phase, ctx);
    }
    case "stopTried": {
      const tries = parked.tries + 1;
      const nextAt = ctx.now + nextEndDelayMs(event.accepted && tries === 1 ? 0 : tries, ctx);
      const isFirst = event.accepted && parked.acceptedAt === null;
      const isTold = !event.accepted && (tries === 1 || tries % 10 === 0);
      const acceptedAt = event.accepted ? (parked.acceptedAt ?? ctx.now) : parked.acceptedAt;
      return out(
        { ...state, parked: { ...parked, tries, nextAt, acceptedAt } },
        ...(isFirst ? [log("stop_accepted", providerActor, { epoch })] : []),
        ...(isTold ? [log("stop_failed", providerActor, { epoch, message: event.message, tries })] : []),
      );
    }
    case "lookFailed": {
      const tries = parked.tries + 1;
      const everyMs = parked.stoppedAt === null ? nextEndDelayMs(tries, ctx) : ctx.timings.parkedEveryMs;
      return out({ ...state, parked: { ...parked, tries, nextAt: ctx.now + everyMs } });
    }
    default:
      return out(state);
  }
}

function seeParked(state: State, parked: Parked, phase: EventOf<"seen">["phase"], ctx: Context): Outcome {
  const { epoch } = parked.machine;
  const isStill = phase === "stopped" || (phase === "lost" && parked.acceptedAt !== null);
  if (isStill) {
    const { runsAt: _, ...rest } = parked;
    const stoppedAt = parked.stoppedAt ?? ctx.now;
    const still: Parked = { ...rest, stoppedAt, tries: 0, nextAt: ctx.now + ctx.timings.parkedEveryMs };
    const stands = { ...state, parked: still };
    if (parked.stoppedAt !== null) return out(stands);
    return andThen(out(stands, log("machine_stopped", providerActor, { epoch })), (next) =>
      next.now.status === "destroying" && next.now.epoch === epoch ? fallAsleep(next, next.now, ctx.now, ctx) : out(next),
    );
  }
  if (parked.stoppedAt === null) {
    // Still on its way. Past its seal whatever runs on it may write.
    const { now } = state;
    const isOpen =
      phase === "running" && now.status === "destroying" && now.epoch === epoch && parked.acceptedAt !== null;
    return out(isOpen && ctx.now >= now.sealedUntil ? doubtRest(state, epoch) : state);
  }
  if (phase === "queued") return stopAgain(state, parked, ctx);
  if (phase === "lost") return out(state);
  // A list may be old: it runs when a second look says so.
  if (parked.runsAt === undefined || ctx.now < parked.runsAt + ctx.timings.goneAgainMs) {
    const runsAt = parked.runsAt ?? ctx.now;
    return out({ ...state, parked: { ...parked, runsAt, nextAt: runsAt + ctx.timings.goneAgainMs } });
  }
  return takeStarted(state, parked, ctx);
}

/** Somebody started it at the provider. It is taken into use where the instance has no other, and stopped again where it has. */
function takeStarted(state: State, parked: Parked, ctx: Context): Outcome {
  const { rest: _, ...machine } = parked.machine;
  const said = log("machine_started", providerActor, { epoch: machine.epoch, by: "somebody at the provider" });
  if (!["hibernated", "deleted", "failed"].includes(state.now.status) || state.copying) {
    return andThen(out(doubtRest(state, machine.epoch), said), (next) => stopAgain(next, next.parked!, ctx));
  }
  return enter(
    forgetSleep(withoutParked(state)),
    { status: "unreachable", machine, since: ctx.now, lastBeatAt: ctx.now, lookAt: ctx.now, wake: null },
    said,
  );
}

/** The agent of a machine that stood still speaks. What was on its way when it stopped says nothing. */
export function hearParked(state: State, parked: Parked, ctx: Context): Outcome {
  if (parked.stoppedAt === null || ctx.now < parked.stoppedAt + reportTravelMs) return out(state);
  return takeStarted(state, parked, ctx);
}

function stopAgain(state: State, parked: Parked, ctx: Context): Outcome {
  const { runsAt: _, ...rest } = parked;
  const again: Parked = { ...rest, stoppedAt: null, tries: 0, nextAt: ctx.now + ctx.timings.endEveryMs };
  return out({ ...state, parked: again }, stopEffect(parked.machine));
}

/** The provider no longer has it. Its snapshot is what remains. */
function loseParked(state: State, parked: Parked, at: number, ctx: Context): Outcome {
  const { machine, acceptedAt, stoppedAt } = parked;
  const isUnsaved = !machine.rest?.proof;
  // "Gone" without an accepted stop may be a mistake: should it turn up, it is kept.
  const isDoubtful = (acceptedAt === null && stoppedAt === null) || isUnsaved;
  const left = isDoubtful ? rememberLost(withoutParked(state), machine) : withoutParked(state);
  const message = "The provider no longer has the stopped machine. What was written after its snapshot is lost.";
  const troubled = isUnsaved ? { ...left, trouble: { code: "machine_lost", message, at: ctx.now } } : left;
  const gone = out(
    troubled,
    log("machine_gone", providerActor, { epoch: machine.epoch, ended_at: at }),
    ...chargeUntil(machine, at),
  );
  return andThen(gone, (next) =>
    next.now.status === "destroying" && next.now.epoch === machine.epoch
      ? fallAsleep(next, next.now, at, ctx)
      : out(next),
  );
}

// ---- waking --------------------------------------------------------------------------------------------------------

/** Whether a wake may take the machine that stands still. One whose disk has no proof is the only one there is. */
export function fitsParked(state: State, wake: WakeRequest): boolean {
  const { parked } = state;
  if (!parked?.machine.facts) return false;
  if (!parked.machine.rest?.proof) return true;
  const { gpuType, region } = parked.machine.facts;
  return (
    !wake.snapshot &&
    (wake.gpuType === null || wake.gpuType === gpuType) &&
    (wake.region === null || wake.region === region) &&
    sameSnapshot(parked.machine.rest.proof, state.snapshot?.ref) &&
    !isTooDear(state, parked.machine)
  );
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

export function takeStart(state: State, event: EventOf<"started">, ctx: Context): Outcome {
  const phase = state.now;
  if (phase.status !== "provisioning" || phase.step !== "starting" || phase.machine.epoch !== event.epoch)
    return out(state);
  const lookAt = ctx.now + ctx.timings.endEveryMs;
  return enter(
    state,
    { ...phase, step: "booting", bootingSince: ctx.now, lookAt },
    log("machine_started", providerActor, { epoch: event.epoch }),
  );
}

export function takeStartFailed(state: State, event: EventOf<"startFailed">, ctx: Context): Outcome {
  const phase = state.now;
  if (phase.status !== "provisioning" || phase.step !== "starting" || phase.machine.epoch !== event.epoch)
    return out(state);
  const { code, message } = event;
  return tryAnother(state, phase, { code, message, final: false, isHost: false }, ctx);
}

// ---- the end of the pause ------------------------------------------------------------------------------------------

/** Whether the disk holds what this snapshot holds, and nothing else. */
export function isOf(parked: Parked, ref: SnapshotRef | undefined): boolean {
  return sameSnapshot(parked.machine.rest?.proof, ref);
}

/** A stopped machine that holds more than the store does is started, snapshotted, and only then destroyed. */
export function rescue(state: State, ctx: Context): Outcome {
  const wake: WakeRequest = { actor: ruleActor, gpuType: null, region: null, askedAt: ctx.now, toSleep: true };
  return startWake(state, wake, ctx);
}

/** Whether only its newest machine may hold what no snapshot has: an older one's work was left behind by a wake. */
export function canRescue(state: State, parked: Parked): boolean {
  return parked.machine.facts !== null && parked.machine.epoch === state.epoch;
}

/** What happens to it follows from where the instance stands: once nobody needs it, it ends on the proof of its seal. */
export function settleParked(outcome: Outcome, ctx: Context): Outcome {
  return andThen(outcome, (state) => {
    const { parked } = state;
    if (!parked || parked.stoppedAt === null || parked.runsAt !== undefined) return out(state);
    const { rest } = parked.machine;
    if (!rest?.proof || !isUnwanted(state, parked)) return out(state);
    return retire(withoutParked(state), parked.machine, { kind: "proof", snapshot: rest.proof }, ctx, true);
  });
}

function isUnwanted(state: State, parked: Parked): boolean {
  const { status } = state.now;
  if (status === "deleted") return true;
  // Another one runs, and has all of it.
  if (status === "running" || status === "snapshotting" || status === "unreachable") return true;
  return status === "hibernated" && state.config.pause_mode === "destroy" && isOf(parked, state.snapshot?.ref);
}

/** Stopped by us and still there: it ends when it does not run. */
export function takeUnstopped(state: State, machine: Machine, ctx: Context): Outcome {
  const parked: Parked = {
    machine,
    since: machine.rest?.since ?? ctx.now,
    acceptedAt: ctx.now,
    stoppedAt: ctx.now,
    runsAt: ctx.now,
    tries: 0,
    nextAt: ctx.now + ctx.timings.goneAgainMs,
  };
  return out({ ...state, parked });
}

/** The user gives it up, whatever is on it (I1). */
export function discardParked(state: State, parked: Parked, event: EventOf<"discard">, ctx: Context): Outcome {
  const { actor } = event;
  const said = out(withoutParked(state), log("discarded", actor, { epoch: parked.machine.epoch }));
  return andThen(said, (next) => retire(next, parked.machine, { kind: "discard", actor }, ctx));
}
