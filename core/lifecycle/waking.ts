/**
 * Waking up.
 *
 *   (asleep) --wake--> provisioning: renting --rented--> booting --agent's first beat--> restoring --digest equal--> running
 *                          |  ^  answer lost: checking      |                                |
 *                          |  +--next machine, new epoch----+--fatal, too slow, vanished-----+--failed too often
 *                          +--no machine to be had: back to where it was, and it says so
 */
import { restoreCommandId } from "./commands.ts";
import { noteAwake, noteBooted, noteRestored, noteStillAsleep } from "./gaps.ts";
import { ignore, type PhaseOf, type Row } from "./handler.ts";
import { discardMachine, rememberLost } from "./losing.ts";
import {
  agentActor,
  andThen,
  avoidHost,
  chargeEffects,
  enter,
  goBack,
  log,
  lookEffect,
  minutesMs,
  out,
  providerActor,
  retire,
  system,
  takeIn,
  wakeful,
} from "./machines.ts";
import { endWake, rentNext, tryAnother } from "./starting.ts";
import type { Actor, Context, Outcome, RentedFacts, State } from "./types.ts";
import { graceAfterWakeMs } from "./vetoes.ts";

export const provisioning: Row<"provisioning"> = {
  beat(state, phase, _event, ctx) {
    // Spoken before the provider answered: it is asked, so that no machine is used whose bill and end nobody knows.
    if (!phase.machine.facts) {
      const next = { ...phase, checks: 0, lookAt: ctx.now + ctx.timings.labelCheckEveryMs };
      return enter(state, next, lookEffect(phase.machine));
    }
    // The agent's first word: the machine is up, whatever the provider says of it.
    const bootMs = ctx.now - phase.attemptSince;
    // An adopted machine was up before we knew of it.
    const up = out(
      phase.machine.adopted ? state : noteBooted(state, bootMs),
      log("machine_up", agentActor, { epoch: phase.machine.epoch, boot_ms: bootMs }),
    );
    return andThen(up, (next) =>
      next.snapshot && !phase.machine.adopted ? startRestore(next, phase, ctx) : run(next, phase, ctx),
    );
  },
  tick(state, phase, _event, ctx) {
    if (ctx.now >= phase.attemptSince + ctx.timings.bootLimitMs) return giveUpBoot(state, phase, ctx);
    if (phase.lookAt === null || ctx.now < phase.lookAt) return out(state);
    return enter(state, { ...phase, lookAt: ctx.now + lookEveryMs(phase, ctx) }, lookEffect(phase.machine));
  },
  rented: (state, phase, event, ctx) => takeRented(state, phase, event.facts, ctx),
  seen(state, phase, event, ctx) {
    if (phase.step === "checking" || phase.step === "renting") return takeRented(state, phase, event.facts, ctx);
    const known = { ...phase, machine: takeIn(phase.machine, event.facts) };
    // An adopted machine holds work that exists nowhere else: whatever the provider says, it is not given up here.
    if (phase.machine.adopted) return enter(state, known);
    if (event.fatal || event.phase === "lost" || event.phase === "stopped" || event.phase === "queued") {
      const why = {
        code: event.fatal === "image" ? "image_broken" : "boot_failed",
        message: event.message ?? `the machine is ${event.phase}`,
        final: event.fatal === "image",
      };
      return tryAnother(state, known, why, ctx);
    }
    return enter(state, known);
  },
  rentFailed(state, phase, event, ctx) {
    // After an answer was lost a refusal proves nothing any more: the label decides.
    if (phase.step !== "renting") return out(state);
    const avoided = event.machineId === null ? state : avoidHost(state, event.machineId, ctx);
    if (event.tryNext && phase.attempt < ctx.timings.maxAttempts) {
      return rentNext(avoided, { ...phase, attempt: phase.attempt + 1 }, ctx);
    }
    return endWake(avoided, phase, event, ctx);
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
    return tryAnother(
      state,
      phase,
      { code: "rent_unanswered", message: "the provider never answered", final: false },
      ctx,
    );
  },
  gone(state, phase, event, ctx) {
    if (phase.step !== "booting") return out(state);
    if (phase.machine.adopted) return loseAdopted(state, phase, event.at, ctx);
    return tryAnother(
      state,
      phase,
      { code: "machine_vanished", message: "the provider no longer has the machine", final: false },
      ctx,
    );
  },
  wake: (state, _phase, event) => out(state, log("wake_joined", event.wake.actor)),
  hibernate: (state, phase, event, ctx) => cancelWake(state, phase, event.actor, ctx),
  discard: (state, phase, event, ctx) =>
    phase.machine.holdsWork
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
    if (result.outcome === "restored" && result.digest === state.snapshot?.ref.digest) {
      return andThen(
        out(
          noteRestored(state, ctx.now - phase.since),
          log("restored", agentActor, { snapshot_seq: state.snapshot.ref.seq, digest: result.digest }),
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
    return tryAnother(
      state,
      phase,
      { code: "restore_stalled", message: "the restore does not move", final: false },
      ctx,
    );
  },
  gone(state, phase, _event, ctx) {
    return tryAnother(
      state,
      phase,
      { code: "machine_vanished", message: "the provider no longer has the machine", final: false },
      ctx,
    );
  },
  seen: (state, phase, event) => enter(state, { ...phase, machine: takeIn(phase.machine, event.facts) }),
  wake: (state, _phase, event) => out(state, log("wake_joined", event.wake.actor)),
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

function takeRented(state: State, phase: PhaseOf<"provisioning">, facts: RentedFacts, ctx: Context): Outcome {
  if (phase.step === "booting") return enter(state, { ...phase, machine: takeIn(phase.machine, facts) });
  return enter(
    state,
    { ...phase, step: "booting", machine: takeIn(phase.machine, facts), lookAt: ctx.now + ctx.timings.lookEveryMs },
    log("machine_rented", providerActor, {
      epoch: phase.machine.epoch,
      provider_id: facts.providerId,
      gpu_type: facts.gpuType,
      region: facts.region,
      micro_usd_per_hour: facts.microUsdPerHour,
    }),
  );
}

function startRestore(state: State, phase: PhaseOf<"provisioning">, ctx: Context): Outcome {
  return enter(
    state,
    {
      status: "restoring",
      machine: phase.machine,
      since: ctx.now,
      wake: phase.wake,
      back: phase.back,
      attempt: phase.attempt,
      tries: 1,
      progressAt: ctx.now,
      lastBeatAt: ctx.now,
    },
    log("restore_started", system, { snapshot_seq: state.snapshot?.ref.seq ?? null }),
  );
}

/** From here on the workspace on this machine is the only newest copy. */
function run(state: State, phase: PhaseOf<"provisioning"> | PhaseOf<"restoring">, ctx: Context): Outcome {
  // Grace: whoever asked for the machine gets to it before the idle window begins.
  const graceMs = phase.back === null ? minutesMs(state.config.grace_minutes) : graceAfterWakeMs(state.config);
  const awake = enter(
    { ...noteAwake(state, phase.machine, ctx.now), trouble: null },
    { ...wakeful(phase.machine, ctx.now, ctx), restlessUntil: ctx.now + graceMs },
  );
  if (phase.back === null && !state.snapshot) return awake;
  const wakeMs = ctx.now - phase.wake.askedAt;
  return {
    state: awake.state,
    effects: [log("woke_up", phase.wake.actor, { epoch: phase.machine.epoch, wake_ms: wakeMs })],
  };
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
  const final = !retryable;
  return andThen(out(state, said), (next) => tryAnother(next, phase, { code, message, final }, ctx));
}

function giveUpBoot(state: State, phase: PhaseOf<"provisioning">, ctx: Context): Outcome {
  if (!phase.machine.holdsWork) {
    return tryAnother(
      state,
      phase,
      { code: "boot_timeout", message: "the machine did not come up in time", final: false },
      ctx,
    );
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
    ...chargeEffects(phase.machine, goneAt),
  );
}

function cancelWake(
  state: State,
  phase: PhaseOf<"provisioning"> | PhaseOf<"restoring">,
  actor: Actor,
  ctx: Context,
): Outcome {
  // Cancelling must never cost work: an adopted machine that has not reported yet keeps waiting for its agent.
  if (phase.machine.holdsWork) return out(state);
  const said = out(state, log("wake_cancelled", actor));
  const given = andThen({ ...said, state: noteStillAsleep(said.state) }, (next) =>
    retire(next, phase.machine, { kind: "neverHeldWork" }, ctx),
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
