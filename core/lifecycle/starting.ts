/** How a wake begins, tries the next machine, and ends without one. */
import { noteStillAsleep, noteWoken } from "./gaps.ts";
import { andThen, avoidHost, enter, goBack, log, minutesMs, newMachine, retire, system } from "./machines.ts";
import type { Back, Context, Machine, Outcome, Phase, State, WakeRequest } from "./types.ts";

/** Rents a machine of a new epoch. From every state that has none. */
export function startWake(state: State, wake: WakeRequest, ctx: Context): Outcome {
  const back = backOf(state.now);
  const started = { ...noteWoken(state, wake.actor, wake.askedAt), lastWakeAt: ctx.now, spec: specFor(state, wake) };
  return andThen(
    { state: started, effects: [log("wake_requested", wake.actor, { gpu_type: wake.gpuType, region: wake.region })] },
    (next) => rentNext(next, { wake, back, attempt: 1, since: ctx.now }, ctx),
  );
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
  const machine = newMachine(state, epoch, ctx.now);
  const clean = avoidHost(state, null, ctx);
  return enter(
    { ...clean, epoch },
    {
      status: "provisioning",
      machine,
      since: wake.since,
      wake: wake.wake,
      back: wake.back,
      step: "renting",
      attempt: wake.attempt,
      attemptSince: ctx.now,
      checks: 0,
      lookAt: null,
    },
    { kind: "rent", epoch, label: machine.label, spec: clean.spec, avoid: clean.avoid.map((one) => one.machineId) },
  );
}

/** This machine did not come up: give it back, avoid its host, try another, or end the wake when enough were tried. */
export function tryAnother(
  state: State,
  failed: WakeUnderWay & { machine: Machine },
  why: { code: string; message: string; final: boolean },
  ctx: Context,
): Outcome {
  const avoided = avoidHost(state, failed.machine.facts?.machineId, ctx);
  const given = andThen({ state: avoided, effects: [] }, (next) =>
    retire(next, failed.machine, { kind: "neverHeldWork" }, ctx),
  );
  const abandoned: Outcome = {
    state: given.state,
    effects: [
      log("machine_abandoned", system, { epoch: failed.machine.epoch, code: why.code, message: why.message }),
      ...given.effects,
    ],
  };
  if (why.final || failed.attempt >= ctx.timings.maxAttempts)
    return andThen(abandoned, (next) => endWake(next, failed, why, ctx));
  return andThen(abandoned, (next) => rentNext(next, { ...failed, attempt: failed.attempt + 1 }, ctx));
}

/** A wake that ends without a machine goes back to where it was and says so. The machine, if any, is retiring already. */
export function endWake(
  state: State,
  wake: WakeUnderWay,
  why: { code: string; message: string },
  ctx: Context,
): Outcome {
  const troubled = { ...noteStillAsleep(state), trouble: { code: why.code, message: why.message, at: ctx.now } };
  const said = log("wake_failed", system, { code: why.code, message: why.message, attempts: wake.attempt });
  if (wake.back === null) {
    return enter(
      troubled,
      {
        status: "failed",
        machine: null,
        since: ctx.now,
        code: "wake_failed",
        message: why.message,
        kept: state.snapshot
          ? `Snapshot ${state.snapshot.ref.seq}.`
          : "Nothing was on the machine yet, so nothing is lost.",
      },
      said,
    );
  }
  return enter(troubled, goBack(wake.back, ctx.now, minutesMs(state.config.delete_after_pause_minutes)), said);
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
  };
}
