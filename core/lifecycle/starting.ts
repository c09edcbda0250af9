/** How a wake begins, tries the next machine, and ends without one. */
import { rentRules } from "../protocol/rent.ts";
import { activeMachines, attemptsOf, rivalAt, withAttempts } from "./attempts.ts";
import { avoidedHosts, blameHost } from "./avoid.ts";
import type { Context, Effect, Outcome } from "./events.ts";
import { noteStillAsleep, noteWoken } from "./gaps.ts";
import type { PhaseOf } from "./handler.ts";
import { canRetry, inPlaceOfRetry, planRetry } from "./keep-trying.ts";
import { andThen, enter, goBack, log, minutesMs, newMachine, out, providerActor, retire, system } from "./machines.ts";
import { isUnsaved, park, parkedFor, withoutParked } from "./parked.ts";
import type { Attempt, Back, Machine, Phase, State, WakeRequest } from "./types.ts";

/** Rents a machine of a new epoch. From every state that has none. */
export function startWake(state: State, asked: WakeRequest, ctx: Context): Outcome {
  const wake = inPlaceOfRetry(state, asked);
  const back = backOf(state.now);
  const { retry: _, ...rest } = noteWoken(state, wake.actor, wake.askedAt);
  const started = { ...rest, lastWakeAt: ctx.now, spec: specFor(state, wake) };
  const tries = wake.keepTrying?.tries ?? 0;
  const params = { gpu_type: wake.gpuType, region: wake.region, ...(tries > 0 && { retry: tries }) };
  return andThen({ state: started, effects: [log("wake_requested", wake.actor, params)] }, (next) =>
    begin(next, { wake, back, attempt: 0, since: ctx.now }, ctx),
  );
}

const unsaved = {
  code: "machine_unsaved",
  message: "The stopped machine holds what no snapshot has. Wake it and let it sleep, or discard it; then go back.",
  final: true,
};

function begin(state: State, wake: WakeUnderWay, ctx: Context): Outcome {
  // Asked for before this was known, or tried again.
  if (wake.wake.snapshot && isUnsaved(state)) return endWake(state, wake, unsaved, ctx);
  const machine = parkedFor(state, wake.wake);
  return machine ? startParked(state, machine, wake, ctx) : rentNext(state, { ...wake, attempt: 1 }, ctx);
}

/** The machine that stands still, in its own epoch: what it has on its disk is the workspace. */
function startParked(state: State, machine: Machine, wake: WakeUnderWay, ctx: Context): Outcome {
  const attempt: Attempt = { ...newAttempt(machine, ctx), step: "starting" };
  const { epoch, label, facts } = machine;
  return enter(
    withoutParked(state),
    { status: "provisioning", ...wake, ...attempt, rivals: [] },
    { kind: "start", epoch, label, providerId: facts?.providerId ?? null },
  );
}

/** The next try of a wake that failed. Null when nothing is due, or the instance is not where a wake can begin. */
export function retryIfDue(state: State, ctx: Context): Outcome | null {
  const { retry } = state;
  return retry && ctx.now >= retry.at && canRetry(state) ? startWake(state, retry.wake, ctx) : null;
}

export interface WakeUnderWay {
  wake: WakeRequest;
  back: Back;
  attempt: number;
  since: number;
}

/** A new epoch for each machine that is asked for, so that two can never be taken for one (I3). */
export function rentNext(state: State, wake: WakeUnderWay, ctx: Context): Outcome {
  const epoch = state.epoch + 1;
  const attempt = newAttempt(newMachine(state, epoch, ctx.now), ctx);
  const phase: PhaseOf<"provisioning"> = {
    status: "provisioning",
    since: wake.since,
    wake: wake.wake,
    back: wake.back,
    attempt: wake.attempt,
    ...attempt,
    rivals: [],
  };
  return enter({ ...state, epoch }, phase, rentEffect(state, attempt.machine, wake.wake, ctx));
}

/** Another machine beside those that take long to come up. */
export function rentRival(state: State, ctx: Context): Outcome {
  const due = rivalAt(state, ctx.timings);
  const phase = state.now;
  if (phase.status !== "provisioning" || due === null || ctx.now < due) return out(state);
  const epoch = state.epoch + 1;
  const attempt = newAttempt(newMachine(state, epoch, ctx.now), ctx);
  const next = { ...phase, attempt: phase.attempt + 1, rivals: [...(phase.rivals ?? []), attempt] };
  const waited = ctx.now - phase.attemptSince;
  return enter(
    { ...state, epoch },
    next,
    log("rival_asked", system, { epoch, beside: phase.machine.epoch, after_ms: waited }),
    rentEffect(state, attempt.machine, phase.wake, ctx),
  );
}

function newAttempt(machine: Machine, ctx: Context): Attempt {
  const blank = { checks: 0, lookAt: null, bootingSince: null, upSince: null };
  return { machine, step: "renting", attemptSince: ctx.now, ...blank };
}

function rentEffect(state: State, machine: Machine, wake: WakeRequest, ctx: Context): Effect {
  // A second machine of the same host would share its fate.
  const besides = state.now.status === "provisioning" ? activeMachines(state) : [];
  const taken = besides.flatMap((one) => one.facts?.machineId ?? []);
  const { stats } = wake.snapshot ?? state.snapshot ?? { stats: null };
  return {
    kind: "rent",
    epoch: machine.epoch,
    label: machine.label,
    spec: state.spec,
    avoid: [...avoidedHosts(state, ctx.now), ...taken],
    facts: {
      reach: wake.reach ?? rentRules(state.spec.rent).reach,
      usual: state.usual ?? null,
      workspaceBytes: stats?.storedBytes ?? 0,
    },
  };
}

export interface Why {
  code: string;
  message: string;
  /** Another machine would fail as well. */
  final: boolean;
  /** Whether the host is at fault, and avoided. */
  isHost: boolean;
}

export const vanished: Why = {
  code: "machine_vanished",
  message: "the provider no longer has the machine",
  final: false,
  isHost: true,
};

/** This machine did not come up: give it back, go on with the others or try another, or end the wake after enough. */
export function tryAnother(
  state: State,
  failed: PhaseOf<"provisioning"> | PhaseOf<"restoring">,
  why: Why,
  ctx: Context,
): Outcome {
  const judged = why.isHost ? blameHost(state, failed.machine.facts?.machineId, ctx) : state;
  const { rest } = failed.machine;
  if (rest) return startElse(judged, failed, why, ctx);
  const given = retire(judged, failed.machine, { kind: "neverHeldWork" }, ctx);
  const abandoned: Outcome = {
    state: given.state,
    effects: [
      log("machine_abandoned", system, { epoch: failed.machine.epoch, code: why.code, message: why.message }),
      ...given.effects,
    ],
  };
  return andThen(abandoned, (next) => goOn(next, failed, why, ctx));
}

/**
 * A stopped machine that did not come up stands still again, a start that waits for a GPU called off. The wake goes on
 * without it where a snapshot has all that is on it.
 */
function startElse(
  state: State,
  failed: PhaseOf<"provisioning"> | PhaseOf<"restoring">,
  why: Why,
  ctx: Context,
): Outcome {
  const { epoch, rest } = failed.machine;
  const said = out(state, log("start_failed", providerActor, { epoch, code: why.code, message: why.message }));
  const parked = andThen(said, (next) => giveUp(next, failed.machine, ctx));
  const isAlone = failed.wake.toSleep || !rest?.proof;
  return andThen(parked, (next) => (isAlone ? endWake(next, failed, why, ctx) : goOn(next, failed, why, ctx)));
}

/** A machine of a wake that nobody needs any more: it ends, or stands still as before. */
export function giveUp(state: State, machine: Machine, ctx: Context): Outcome {
  if (machine.rest) return park(state, machine, machine.rest.proof, ctx);
  return retire(state, machine, { kind: "neverHeldWork" }, ctx);
}

/** Without the machine in front: the others go on, or the next one is asked for, or the wake ends. */
export function goOn(
  state: State,
  failed: PhaseOf<"provisioning"> | PhaseOf<"restoring">,
  why: Why,
  ctx: Context,
): Outcome {
  const others = failed.status === "provisioning" ? (failed.rivals ?? []) : [];
  if (why.final) return andThen(giveBack(state, others, why.code, ctx), (next) => endWake(next, failed, why, ctx));
  if (failed.status === "provisioning" && others.length > 0) return enter(state, withAttempts(failed, others));
  if (failed.attempt >= ctx.timings.maxAttempts) return endWake(state, failed, why, ctx);
  return rentNext(state, { ...failed, attempt: failed.attempt + 1 }, ctx);
}

/** Machines that nobody needs any more: another was quicker, or the wake is over. Each stays on the bill until gone (I5). */
export function giveBack(state: State, attempts: readonly Attempt[], code: string, ctx: Context): Outcome {
  return attempts.reduce<Outcome>(
    (outcome, { machine }) =>
      andThen(outcome, (next) =>
        andThen(out(next, log("machine_abandoned", system, { epoch: machine.epoch, code })), (last) =>
          retire(last, machine, { kind: "neverHeldWork" }, ctx),
        ),
      ),
    out(state),
  );
}

/** Gives back every machine of a wake but the one in front. */
export function giveBackRivals(state: State, phase: PhaseOf<"provisioning">, code: string, ctx: Context): Outcome {
  return giveBack(state, attemptsOf(phase).slice(1), code, ctx);
}

/** A wake that ends without a machine goes back to where it was and says so. The machine, if any, is retiring already. */
export function endWake(
  state: State,
  wake: WakeUnderWay,
  why: { code: string; message: string; final: boolean },
  ctx: Context,
  ladder?: string,
): Outcome {
  const troubled = { ...noteStillAsleep(state), trouble: { code: why.code, message: why.message, at: ctx.now } };
  const params = { code: why.code, message: why.message, attempts: wake.attempt, ...(ladder && { ladder }) };
  const said = log("wake_failed", system, params);
  return andThen(enter(troubled, backTo(state, wake, why, ctx), said), (next) => planRetry(next, wake.wake, why, ctx));
}

function backTo(state: State, wake: WakeUnderWay, why: { message: string }, ctx: Context): Phase {
  const { back } = wake;
  // What is only started to be saved is tried again after a while.
  if (back?.status === "hibernated" && wake.wake.toSleep) {
    const deleteAt = Math.max(back.deleteAt, ctx.now + ctx.timings.retryMaxEveryMs);
    return goBack({ ...back, deleteAt }, ctx.now, 0);
  }
  if (back !== null) return goBack(back, ctx.now, minutesMs(state.config.delete_after_pause_minutes));
  return {
    status: "failed",
    machine: null,
    since: ctx.now,
    code: "wake_failed",
    message: why.message,
    kept: state.snapshot
      ? `Snapshot ${state.snapshot.ref.seq}.`
      : "Nothing was on the machine yet, so nothing is lost.",
  };
}

function backOf(phase: Phase): Back {
  if (phase.status === "hibernated") return { status: "hibernated", since: phase.since, deleteAt: phase.deleteAt };
  if (phase.status === "deleted") return { status: "deleted", since: phase.since };
  return null;
}

function specFor(state: State, wake: WakeRequest): State["spec"] {
  return {
    ...state.spec,
    gpuType: wake.gpuType ?? state.spec.gpuType,
    region: wake.region ?? state.spec.region,
    ...(wake.maxMicroUsdPerHour !== undefined && { maxMicroUsdPerHour: wake.maxMicroUsdPerHour }),
    ...(wake.rent && { rent: { ...state.spec.rent, ...wake.rent } }),
  };
}
