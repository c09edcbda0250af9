/** What is said of a machine that stands still, or is asked to start: see parked.ts. */
import { reportTravelMs } from "./deadlines.ts";
import { fallAsleep } from "./destroying.ts";
import type { Context, Outcome } from "./events.ts";
import { dropGap, forgetSleep } from "./gaps.ts";
import type { EventOf, MachineEvent, PhaseOf } from "./handler.ts";
import { loseAll, neverKept, rememberLost } from "./losing.ts";
import {
  andThen,
  enter,
  log,
  minutesMs,
  nextEndDelayMs,
  out,
  providerActor,
  ruleActor,
  stopEffect,
  takeIn,
} from "./machines.ts";
import { chargeUntil } from "./meter.ts";
import { doubtRest, keptLog, sleepOn, toStop, withoutParked } from "./parked.ts";
import type { Parked } from "./parked-state.ts";
import { keepNewest } from "./recovery.ts";
import { startWake, tryAnother } from "./starting.ts";
import { noteStuck } from "./stuck.ts";
import type { Machine, State, WakeRequest } from "./types.ts";

/** What is said of the machine that stands still, or is to. */
export function aboutParked(state: State, parked: Parked, event: MachineEvent, ctx: Context): Outcome {
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
      const stuck = noteStuck("stop_failed", parked, event, ctx);
      const acceptedAt = event.accepted ? (parked.acceptedAt ?? ctx.now) : parked.acceptedAt;
      // But for the first one it was looked at before, and did not stand still.
      const sleep = parked.acceptedAt === null ? null : sleepOn(state, epoch);
      const known = sleep && ctx.now >= sleep.sealedUntil ? doubtRest(state, epoch) : state;
      const { machine } = known.parked ?? parked;
      const told = stuck.length > 0 ? { isTold: true as const } : {};
      return out(
        { ...known, parked: { ...parked, machine, tries, nextAt, acceptedAt, ...told } },
        ...(isFirst ? [log("stop_accepted", providerActor, { epoch })] : []),
        ...stuck,
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
  const { isLost: wasLost, ...rest } = parked.machine.rest ?? { since: ctx.now, proof: null };
  if (phase === "lost") {
    // It does not run, and may again. There is nothing to wait for: the store has all of it.
    const machine = { ...parked.machine, rest: { ...rest, isLost: true as const } };
    // It may be away for days: asked later and later.
    const away = { ...state, parked: { ...parked, machine, tries: parked.tries + 1 } };
    const sleep = parked.acceptedAt === null ? null : sleepOn(away, epoch);
    return sleep ? fallAsleep(away, sleep, ctx.now, ctx) : out(away);
  }
  if (phase === "stopped") {
    const { runsAt: _, isTold: __, ...known } = parked;
    const stoppedAt = parked.stoppedAt ?? ctx.now;
    const machine = { ...parked.machine, rest };
    const still: Parked = { ...known, machine, stoppedAt, tries: 0, nextAt: ctx.now + ctx.timings.parkedEveryMs };
    const stands = { ...state, parked: still };
    if (parked.stoppedAt !== null) return out(stands);
    return andThen(out(stands, log("machine_stopped", providerActor, { epoch })), (next) =>
      endSleepOn(next, epoch, ctx.now, ctx),
    );
  }
  if (parked.stoppedAt === null) {
    // Still on its way. Past its seal whatever runs on it may write.
    const sleep = phase === "running" && parked.acceptedAt !== null ? sleepOn(state, epoch) : null;
    return out(sleep && ctx.now >= sleep.sealedUntil ? doubtRest(state, epoch) : state);
  }
  if (phase === "queued") return stopAgain(state, parked, ctx);
  // Of one that only loads nobody knows yet what becomes of it.
  if (phase !== "running") return out(state);
  // Its host came back and started what had run.
  if (wasLost) return stopAgain(state, parked, ctx);
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
    { ...forgetSleep(withoutParked(state)), trouble: state.trouble?.code === stoppedElsewhere ? null : state.trouble },
    { status: "unreachable", machine, since: ctx.now, lastBeatAt: ctx.now, lookAt: ctx.now, wake: null },
    said,
  );
}

/**
 * Somebody stopped the silent machine at the provider, or its credit ran out. Only its disk has what it held: it is kept,
 * costs no GPU time, and a wake starts it.
 */
export function takeStopped(state: State, phase: PhaseOf<"unreachable">, ctx: Context): Outcome {
  const { machine, wake } = phase;
  const resting: Machine = { ...machine, holdsWork: true, rest: { since: ctx.now, proof: null, isOthers: true } };
  const parked: Parked = {
    ...toStop(resting, ctx),
    acceptedAt: ctx.now,
    stoppedAt: ctx.now,
    nextAt: ctx.now + ctx.timings.parkedEveryMs,
  };
  const message =
    "The machine was stopped at the provider, and not by Soneca: by somebody there, or because the credit ran out. It is kept, and a wake starts it.";
  const deleteAt = ctx.now + minutesMs(state.config.delete_after_pause_minutes);
  const asleep = enter(
    { ...keepNewest(dropGap(state)), parked, trouble: { code: stoppedElsewhere, message, at: ctx.now } },
    { status: "hibernated", since: ctx.now, deleteAt, verifyAt: null, verifyTries: 0 },
    log("machine_stopped", providerActor, { epoch: machine.epoch, by: "somebody at the provider" }),
    keptLog(resting),
  );
  return wake ? andThen(asleep, (next) => startWake(next, wake, ctx)) : asleep;
}

const stoppedElsewhere = "machine_stopped";

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
  const { machine } = parked;
  const isUnsaved = !machine.rest?.proof;
  // The provider may be wrong: should it turn up, it is no stray.
  const left = rememberLost(withoutParked(state), machine);
  const message = "The provider no longer has the stopped machine. What was written after its snapshot is lost.";
  const troubled = isUnsaved ? { ...left, trouble: { code: "machine_lost", message, at: ctx.now } } : left;
  const gone = out(
    troubled,
    log("machine_gone", providerActor, { epoch: machine.epoch, ended_at: at }),
    ...chargeUntil(machine, at),
  );
  if (isUnsaved && !state.snapshot && state.now.status === "hibernated")
    return andThen(gone, (next) => loseAll(next, neverKept, ctx));
  return andThen(gone, (next) => endSleepOn(next, machine.epoch, at, ctx));
}

function endSleepOn(state: State, epoch: number, endedAt: number, ctx: Context): Outcome {
  const sleep = sleepOn(state, epoch);
  return sleep ? fallAsleep(state, sleep, endedAt, ctx) : out(state);
}

/** The answer to a start; of one that is not asked for any more it says nothing. */
export function takeStart(state: State, event: EventOf<"started" | "startFailed">, ctx: Context): Outcome {
  const phase = state.now;
  const { epoch } = event;
  if (phase.status !== "provisioning" || phase.step !== "starting" || phase.machine.epoch !== epoch) return out(state);
  if (event.type === "startFailed") {
    const { code, message } = event;
    return tryAnother(state, phase, { code, message, final: false, isHost: false }, ctx);
  }
  const lookAt = ctx.now + ctx.timings.endEveryMs;
  const booting = { ...phase, step: "booting" as const, bootingSince: ctx.now, lookAt };
  return enter(state, booting, log("machine_started", providerActor, { epoch }));
}

/** A stopped machine that holds more than the store does is started, snapshotted, and only then destroyed. */
export function rescue(state: State, ctx: Context): Outcome {
  const wake: WakeRequest = { actor: ruleActor, gpuType: null, region: null, askedAt: ctx.now, toSleep: true };
  return startWake(state, wake, ctx);
}

/** It was said to be gone, and is there. */
export function takeParkedBack(state: State, lost: Machine, event: EventOf<"rented" | "seen">, ctx: Context): Outcome {
  const parked = toStop(lost, ctx);
  const found = { ...state, parked, lost: state.lost.filter((one) => one !== lost) };
  const said = log("orphan_found", providerActor, { epoch: lost.epoch, provider_id: event.facts.providerId });
  return andThen(out(found, said), (next) => aboutParked(next, parked, event, ctx));
}
