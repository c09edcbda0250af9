/**
 * Waking up.
 *
 *   (asleep) --wake--> provisioning: renting --rented--> booting --agent's first beat--> restoring --digest equal--> running
 *                          |  ^  answer lost: checking      |                                |
 *                          |  +--next machine, new epoch----+--fatal, too slow, vanished-----+--failed too often
 *                          +--no machine to be had: back to where it was, and it says so
 */
import { attemptsOf, bootEndsAt, inFront } from "./attempts.ts";
import { blameHost, praiseHost } from "./avoid.ts";
import { isTooDear, tooDear } from "./caps.ts";
import { restoreCommandId } from "./commands.ts";
import type { Context, Outcome } from "./events.ts";
import { noteAwake, noteBooted, noteRestored, noteStillAsleep } from "./gaps.ts";
import { type EventOf, ignore, type PhaseOf, type Row } from "./handler.ts";
import { hookLog } from "./hooks.ts";
import { joinWake } from "./keep-trying.ts";
import { climbWords, type RungReport, type Usual } from "./ladder.ts";
import { discardMachine, rememberLost } from "./losing.ts";
import {
  agentActor,
  andThen,
  enter,
  goBack,
  log,
  lookEffect,
  minutesMs,
  out,
  providerActor,
  restoreOf,
  ruleActor,
  system,
  takeIn,
  wakeful,
} from "./machines.ts";
import { chargeUntil } from "./meter.ts";
import { startFault } from "./parked.ts";
import { restoredParams } from "./recovery.ts";
import type { ProvedSnapshot } from "./snapshot-types.ts";
import type { StandingSleep } from "./standing-state.ts";
import { endWake, giveBack, giveBackRivals, giveUp, goOn, rentRival, tryAnother, type Why } from "./starting.ts";
import type { Actor, Attempt, Machine, RentedFacts, State } from "./types.ts";
import { graceAfterWakeMs } from "./vetoes.ts";
import { noteWake } from "./wake-times.ts";

export const provisioning: Row<"provisioning"> = {
  beat(state, phase, _event, ctx) {
    // Spoken before the provider answered: it is asked, so that no machine is used whose bill and end nobody knows.
    if (!phase.machine.facts) {
      const next = { ...phase, checks: 0, lookAt: ctx.now + ctx.timings.labelCheckEveryMs };
      return enter(state, next, lookEffect(phase.machine));
    }
    // A machine that was only stopped was dear enough before.
    if (!phase.machine.rest && isTooDear(state, phase.machine))
      return tryAnother(state, phase, tooDear(state, phase.machine), ctx);
    // The agent's first word: the machine is up, whatever the provider says of it. It wins over those beside it.
    const bootMs = ctx.now - phase.attemptSince;
    // An adopted machine was up before we knew of it.
    const up = out(
      phase.machine.adopted ? state : noteBooted(state, bootMs),
      log("machine_up", agentActor, { epoch: phase.machine.epoch, boot_ms: bootMs }),
    );
    const alone = andThen(up, (next) => giveBackRivals(next, phase, "outrun", ctx));
    const awake = andThen(alone, (next) =>
      restoreOf(next) && !hasWorkspace(phase.machine) ? startRestore(next, phase, ctx) : run(next, phase, ctx),
    );
    // Since when it runs, and costs, the provider knows better.
    return andThen(awake, (next) => out(next, { ...lookEffect(phase.machine), fresh: true }));
  },
  tick(state, phase, _event, ctx) {
    let outcome = out(state);
    if (phase.step === "starting" && ctx.now >= bootEndsAt(phase as Attempt, ctx.timings)) {
      return tryAnother(state, phase, { ...unstarted, final: false, isHost: false }, ctx);
    }
    for (const { machine } of attemptsOf(phase)) {
      outcome = andThen(outcome, (next) => inFront(next, machine.epoch, (one) => tickAttempt(one, machine.epoch, ctx)));
    }
    return andThen(outcome, (next) => rentRival(next, ctx));
  },
  rented: (state, phase, event, ctx) => takeRented(state, phase, event.facts, ctx, event.climb),
  seen(state, phase, event, ctx) {
    if (phase.step === "checking" || phase.step === "renting") return takeRented(state, phase, event.facts, ctx);
    if (phase.step === "starting") return enter(state, { ...phase, machine: takeIn(phase.machine, event.facts) });
    const upSince = event.phase === "running" ? (phase.upSince ?? ctx.now) : (phase.upSince ?? null);
    const known = { ...phase, machine: takeIn(phase.machine, event.facts), upSince };
    // An adopted machine holds work that exists nowhere else: whatever the provider says, it is not given up here.
    if (phase.machine.adopted) return enter(state, known);
    if (!phase.machine.rest && isTooDear(state, known.machine))
      return tryAnother(state, known, tooDear(state, known.machine), ctx);
    const why = phase.machine.rest ? startFault(phase, event, ctx) : bootFault(event);
    return why ? tryAnother(state, known, why, ctx) : enter(state, known);
  },
  rentFailed(state, phase, event, ctx) {
    // After an answer was lost a refusal proves nothing any more: the label decides.
    if (phase.step !== "renting") return out(state);
    const judged = event.machineId === null ? state : blameHost(state, event.machineId, ctx);
    const climb = event.climb && climbWords(event.climb);
    const why = { code: event.code, message: event.message, final: !event.tryNext, isHost: false };
    if (!phase.rivals?.length) {
      if (!event.tryNext) return endWake(judged, phase, { ...why, final: false }, ctx, climb);
      return goOn(judged, phase, why, ctx);
    }
    // Those beside it go on. What could not be rented now is not asked for again at once.
    const { epoch } = phase.machine;
    const said = log("rival_not_rented", providerActor, {
      epoch,
      code: why.code,
      message: why.message,
      ladder: climb ?? null,
    });
    const noRivalBefore = ctx.now + ctx.timings.retryEveryMs;
    return andThen(out(judged, said), (next) => goOn(next, { ...phase, noRivalBefore }, { ...why, final: false }, ctx));
  },
  rentUnknown(state, phase, _event, ctx) {
    if (phase.step !== "renting") return out(state);
    return enter(state, { ...phase, step: "checking", checks: 0, lookAt: ctx.now + ctx.timings.labelCheckEveryMs });
  },
  notFound(state, phase, _event, ctx) {
    if (phase.step !== "checking") return out(state);
    const checks = phase.checks + 1;
    if (checks < ctx.timings.labelChecks) return enter(state, { ...phase, checks });
    // It may still turn up: `retire` goes on looking for the label and ends what it finds.
    const why = { code: "rent_unanswered", message: "the provider never answered", final: false, isHost: false };
    return tryAnother(state, phase, why, ctx);
  },
  gone(state, phase, event, ctx) {
    if (phase.machine.rest) return loseStarting(state, phase, event.at, ctx);
    if (phase.step !== "booting") return out(state);
    if (phase.machine.adopted) return loseAdopted(state, phase, event.at, ctx);
    return tryAnother(state, phase, vanished, ctx);
  },
  wake: (state, _phase, event) => joinWake(state, event.wake),
  hibernate: (state, phase, event, ctx) => cancelWake(state, phase, event.actor, ctx),
  discard: (state, phase, event, ctx) =>
    phase.machine.holdsWork && !phase.machine.rest?.proof
      ? discardMachine(state, phase.machine, event.actor, ctx)
      : cancelWake(state, phase, event.actor, ctx),
  configure: ignore,
  endTried: ignore,
  lookFailed: ignore,
  proved: ignore,
  proofFailed: ignore,
};

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
        (next) => run(next, phase, ctx),
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

/** It was in use before this wake: nothing is restored over it. */
function hasWorkspace(machine: Machine): boolean {
  return machine.adopted || machine.rest !== undefined;
}

const unstarted = { code: "start_failed", message: "the provider does not answer whether the machine starts" };

/** What was stopped is gone, and was asked to start. The snapshot has all of it where it was sealed. */
function loseStarting(state: State, phase: PhaseOf<"provisioning">, at: number, ctx: Context): Outcome {
  const { machine } = phase;
  const said = [
    log("machine_gone", providerActor, { epoch: machine.epoch, ended_at: at }),
    ...chargeUntil(machine, at),
  ];
  return andThen(out(rememberLost(state, machine), ...said), (next) =>
    phase.wake.toSleep ? endWake(next, phase, vanished, ctx) : goOn(next, phase, vanished, ctx),
  );
}

const vanished: Why = {
  code: "machine_vanished",
  message: "the provider no longer has the machine",
  final: false,
  isHost: true,
};

function tickAttempt(state: State, epoch: number, ctx: Context): Outcome {
  const phase = state.now;
  if (phase.status !== "provisioning" || phase.machine.epoch !== epoch) return out(state);
  const [attempt] = attemptsOf(phase);
  if (attempt && ctx.now >= bootEndsAt(attempt, ctx.timings)) return giveUpBoot(state, phase, ctx);
  if (phase.lookAt === null || ctx.now < phase.lookAt) return out(state);
  return enter(state, { ...phase, lookAt: ctx.now + lookEveryMs(phase, ctx) }, lookEffect(phase.machine));
}

/** What the provider says of a first boot that will not succeed; null while it may. */
function bootFault(event: EventOf<"seen">): Why | null {
  const message = event.message ?? `the machine is ${event.phase}`;
  if (event.fatal === "image") return { code: "image_broken", message, final: true, isHost: false };
  if (event.fatal === "host") return { code: "boot_failed", message, final: false, isHost: true };
  switch (event.phase) {
    case "lost":
      return { code: "boot_failed", message, final: false, isHost: true };
    case "stopped":
      return { code: "boot_stopped", message, final: false, isHost: true };
    case "queued":
      // No GPU is free: it would start, and bill, at some later time.
      return { code: "boot_queued", message, final: false, isHost: true };
    default:
      return null;
  }
}

function takeRented(
  state: State,
  phase: PhaseOf<"provisioning">,
  facts: RentedFacts,
  ctx: Context,
  climb?: RungReport[],
): Outcome {
  const machine = takeIn(phase.machine, facts);
  if (phase.step === "booting") return enter(state, { ...phase, machine });
  const lookAt = ctx.now + ctx.timings.lookEveryMs;
  const rented = enter(
    state,
    { ...phase, step: "booting", machine, lookAt, bootingSince: ctx.now },
    log("machine_rented", providerActor, {
      epoch: phase.machine.epoch,
      provider_id: facts.providerId,
      gpu_type: facts.gpuType,
      region: facts.region,
      micro_usd_per_hour: facts.microUsdPerHour,
      rung: climb?.at(-1)?.rung ?? null,
      ladder: climb ? climbWords(climb) : null,
    }),
  );
  if (phase.machine.adopted || !isTooDear(state, machine)) return rented;
  return andThen(rented, (next) =>
    next.now.status === "provisioning" ? tryAnother(next, next.now, tooDear(next, machine), ctx) : out(next),
  );
}

function startRestore(state: State, phase: PhaseOf<"provisioning">, ctx: Context): Outcome {
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

/** From here on the workspace on this machine is the only newest copy. */
function run(state: State, phase: PhaseOf<"provisioning"> | PhaseOf<"restoring">, ctx: Context): Outcome {
  // Grace: whoever asked for the machine gets to it before the idle window begins.
  const graceMs = phase.back === null ? minutesMs(state.config.grace_minutes) : graceAfterWakeMs(state.config);
  const praised = praiseHost(state, phase.machine.facts?.machineId, ctx);
  const { retry: _, ...rest } = noteAwake(praised, phase.machine, ctx.now);
  // Only what is there again becomes the current one: a wake that ended before changes nothing.
  const older = phase.status === "restoring" ? phase.wake.snapshot : undefined;
  const standing = phase.wake.toSleep ? { standing: unsavedSleep(ctx.now) } : {};
  const awake = enter(
    { ...rest, ...standing, trouble: null, ...usualOf(phase.machine), ...(older && { snapshot: older }) },
    { ...wakeful(phase.machine, ctx.now, ctx), restlessUntil: ctx.now + graceMs },
    ...(older ? [rolledBack(phase.wake.actor, older, state.snapshot)] : []),
  );
  if (phase.back === null && !state.snapshot) return awake;
  const wakeMs = ctx.now - phase.wake.askedAt;
  const params = { epoch: phase.machine.epoch, wake_ms: wakeMs };
  if (phase.status !== "restoring" || !phase.took)
    return andThen(awake, (next) => out(next, log("woke_up", phase.wake.actor, params)));
  const { rentMs, bootMs } = phase.took;
  const restoreMs = ctx.now - phase.since;
  const times = { at: ctx.now, rentMs, bootMs, restoreMs, wakeMs: rentMs + bootMs + restoreMs };
  const said = log("woke_up", phase.wake.actor, { ...params, rent_ms: rentMs, boot_ms: bootMs, restore_ms: restoreMs });
  return andThen(awake, (next) => out(noteWake(next, times), said));
}

/** It was started for this alone. */
function unsavedSleep(at: number): StandingSleep {
  const why = { code: "machine_unsaved", message: "its stopped machine held what no snapshot has" };
  return { actor: ruleActor, ends: true, since: at, tries: 0, at, ...why };
}

function rolledBack(actor: Actor, to: ProvedSnapshot, from: ProvedSnapshot | null) {
  return log("rolled_back", actor, { snapshot_seq: to.ref.seq, from_seq: from?.ref.seq ?? null });
}

/** What this machine was, for the next wake to measure offers by. Without a price nothing is learned. */
function usualOf({ facts }: Machine): { usual?: Usual } {
  if (facts?.microUsdPerHour == null) return {};
  const { gpuType, gpuCount, gpuRamMb = null, microUsdPerHour } = facts;
  return { usual: { gpuType, gpuCount, gpuRamMb, microUsdPerHour } };
}

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
  return andThen(out(state, said), (next) => tryAnother(next, phase, why, ctx));
}

function giveUpBoot(state: State, phase: PhaseOf<"provisioning">, ctx: Context): Outcome {
  if (!phase.machine.holdsWork || phase.machine.rest) {
    const why = phase.upSince
      ? { code: "agent_silent", message: "the machine runs, and its agent does not speak" }
      : { code: "boot_timeout", message: "the machine did not come up in time" };
    return tryAnother(state, phase, { ...why, final: false, isHost: true }, ctx);
  }
  const message = "The agent was never heard from. The machine is kept and goes on costing.";
  return enter(
    { ...state, trouble: { code: "agent_never_reported", message, at: ctx.now } },
    {
      status: "failed",
      machine: phase.machine,
      since: ctx.now,
      code: "agent_never_reported",
      message,
      kept: "The machine and everything on it: nothing was destroyed.",
    },
    log("failed", system, { code: "agent_never_reported" }),
  );
}

function loseAdopted(state: State, phase: PhaseOf<"provisioning">, goneAt: number, ctx: Context): Outcome {
  const message = "The provider no longer has the machine, and its agent had never reported.";
  return enter(
    { ...rememberLost(state, phase.machine), trouble: { code: "machine_lost", message, at: ctx.now } },
    {
      status: "failed",
      machine: null,
      since: ctx.now,
      code: "machine_lost",
      message,
      kept: "Nothing: no snapshot was made.",
    },
    log("machine_lost", providerActor, { epoch: phase.machine.epoch, ended_at: goneAt }),
    ...chargeUntil(phase.machine, goneAt),
  );
}

function cancelWake(
  state: State,
  phase: PhaseOf<"provisioning"> | PhaseOf<"restoring">,
  actor: Actor,
  ctx: Context,
): Outcome {
  // Cancelling must never cost work: an adopted machine that has not reported yet keeps waiting for its agent.
  if (phase.machine.holdsWork && !phase.machine.rest) return out(state);
  const said = out(state, log("wake_cancelled", actor));
  const others = phase.status === "provisioning" ? attemptsOf(phase).slice(1) : [];
  const given = andThen(
    andThen({ ...said, state: noteStillAsleep(said.state) }, (next) => giveBack(next, others, "wake_cancelled", ctx)),
    (next) => giveUp(next, phase.machine, ctx),
  );
  if (phase.back === null) {
    return andThen(given, (next) =>
      enter(
        next,
        { status: "deleted", since: ctx.now },
        log("deleted", actor, { snapshot_seq: next.snapshot?.ref.seq ?? null }),
      ),
    );
  }
  const { back } = phase;
  return andThen(given, (next) =>
    enter(next, goBack(back, ctx.now, minutesMs(state.config.delete_after_pause_minutes))),
  );
}

function lookEveryMs(phase: PhaseOf<"provisioning">, ctx: Context): number {
  return phase.step === "checking" ? ctx.timings.labelCheckEveryMs : ctx.timings.lookEveryMs;
}
