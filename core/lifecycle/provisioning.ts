/**
 * A wake, until a machine is up. What comes then: restoring.ts, wake-ends.ts.
 *
 *   (asleep) --wake--> provisioning: renting --rented--> booting --agent's first beat--> restoring --digest equal--> running
 *                          |  ^  answer lost: checking      |                                |
 *                          |  +--next machine, new epoch----+--fatal, too slow, vanished-----+--failed too often
 *                          +--no machine to be had: back to where it was, and it says so
 */
import { attemptsOf, bootEndsAt, inFront } from "./attempts.ts";
import { blameHost } from "./avoid.ts";
import { isTooDear, tooDear } from "./caps.ts";
import type { Context, Outcome } from "./events.ts";
import { noteBooted } from "./gaps.ts";
import { type EventOf, ignore, type PhaseOf, type Row } from "./handler.ts";
import { joinWake } from "./keep-trying.ts";
import { climbWords, type RungReport } from "./ladder.ts";
import { discardMachine, loseAll, neverKept, rememberLost } from "./losing.ts";
import {
  agentActor,
  andThen,
  enter,
  log,
  lookEffect,
  out,
  providerActor,
  restoreOf,
  system,
  takeIn,
} from "./machines.ts";
import { chargeUntil } from "./meter.ts";
import { startFault } from "./parked.ts";
import { startRestore } from "./restoring.ts";
import { endWake, giveBackRivals, goOn, rentRival, tryAnother, vanished, type Why } from "./starting.ts";
import type { Attempt, Machine, RentedFacts, State } from "./types.ts";
import { cancelWake, finishWake } from "./wake-ends.ts";

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
      restoreOf(next) && !hasWorkspace(phase.machine) ? startRestore(next, phase, ctx) : finishWake(next, phase, ctx),
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

/** It was in use before this wake: nothing is restored over it. */
function hasWorkspace(machine: Machine): boolean {
  return machine.adopted || machine.rest !== undefined;
}

const unstarted = { code: "start_failed", message: "the provider does not answer whether the machine starts" };

function tickAttempt(state: State, epoch: number, ctx: Context): Outcome {
  const phase = state.now;
  if (phase.status !== "provisioning" || phase.machine.epoch !== epoch) return out(state);
  const [attempt] = attemptsOf(phase);
  if (attempt && ctx.now >= bootEndsAt(attempt, ctx.timings)) return giveUpBoot(state, phase, ctx);
  if (phase.lookAt === null || ctx.now < phase.lookAt) return out(state);
  return enter(state, { ...phase, lookAt: ctx.now + lookEveryMs(phase, ctx) }, lookEffect(phase.machine));
}

function lookEveryMs(phase: PhaseOf<"provisioning">, ctx: Context): number {
  return phase.step === "checking" ? ctx.timings.labelCheckEveryMs : ctx.timings.lookEveryMs;
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

/** What was stopped is gone, and was asked to start. The snapshot has all of it where it was sealed. */
function loseStarting(state: State, phase: PhaseOf<"provisioning">, at: number, ctx: Context): Outcome {
  const { machine } = phase;
  const said = [
    log("machine_gone", providerActor, { epoch: machine.epoch, ended_at: at }),
    ...chargeUntil(machine, at),
  ];
  const isOnly = !machine.rest?.proof && !state.snapshot;
  return andThen(out(rememberLost(state, machine), ...said), (next) =>
    isOnly
      ? loseAll(next, neverKept, ctx)
      : phase.wake.toSleep
        ? endWake(next, phase, vanished, ctx)
        : goOn(next, phase, vanished, ctx),
  );
}

function loseAdopted(state: State, phase: PhaseOf<"provisioning">, goneAt: number, ctx: Context): Outcome {
  const message = "The provider no longer has the machine, and its agent had never reported.";
  const { epoch } = phase.machine;
  const said = [log("machine_lost", providerActor, { epoch, ended_at: goneAt }), ...chargeUntil(phase.machine, goneAt)];
  return andThen(out(rememberLost(state, phase.machine), ...said), (next) => loseAll(next, message, ctx));
}
