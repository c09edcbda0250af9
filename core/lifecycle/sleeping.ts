/**
 * Falling asleep.
 *
 *   running --idle or asked--> snapshotting: taking -> proving -> sealing --sealed digest = proved--> destroying
 *      ^                          |  ^                    | differs: prove again  |                      |
 *      +--busy, cancel, failure---+  +--------------------+                       |                  gone (provider)
 *                                    +----------seal lost before a destroy was accepted                  v
 *                                                                                            hibernated
 */
import type { SnapshotRef } from "../protocol/wire.ts";
import { sealCommandId, snapshotCommandId } from "./commands.ts";
import { endCallMs, reportTravelMs, silenceMs } from "./deadlines.ts";
import { ignore, type PhaseOf, type Row } from "./handler.ts";
import { discardMachine, loseMachine } from "./losing.ts";
import {
  agentActor,
  andThen,
  enter,
  log,
  lookEffect,
  minutesMs,
  out,
  retire,
  ruleActor,
  sameSnapshot,
  system,
  takeIn,
  wakeful,
} from "./machines.ts";
import { startWake } from "./starting.ts";
import type { Actor, Context, Outcome, SleepCause, State, WakeRequest } from "./types.ts";

export const running: Row<"running"> = {
  beat(state, phase, event, ctx) {
    const { verdict } = event;
    if (verdict.kind === "busy") {
      const next = { ...phase, lastBeatAt: ctx.now, idleSince: null, wake: null };
      if (phase.idleSince === null) return enter(state, next);
      const first = verdict.blockers[0];
      return enter(
        state,
        next,
        log("active_again", ruleActor, { reason: first?.code ?? "busy", value: first?.value ?? null }),
      );
    }
    // Only what this machine did while it was ours and running counts, not its boot or its restore.
    const idleSince = Math.max(verdict.since, phase.since, phase.restlessUntil);
    if (idleSince > ctx.now) return enter(state, { ...phase, lastBeatAt: ctx.now, idleSince: null, wake: null });
    const next = { ...phase, lastBeatAt: ctx.now, idleSince, wake: null };
    const isLongEnough = ctx.now - idleSince >= minutesMs(state.config.pause_after_idle_minutes);
    const first = phase.idleSince === null ? [log("idle_detected", ruleActor, { idle_since: idleSince })] : [];
    if (!state.config.enabled || !verdict.ripe || !isLongEnough) return enter(state, next, ...first);
    return andThen(out(state, ...first), (idle) => startSleep(idle, next, { kind: "idle", idleSince }, ctx));
  },
  tick(state, phase, _event, ctx) {
    if (ctx.now < phase.lastBeatAt + silenceMs(state, ctx.timings)) return out(state);
    return fallSilent(state, phase, phase.wake, ctx);
  },
  wake(state, phase, event, ctx) {
    // It is awake already; who asks for it wants it to stay so: the idle window starts again.
    const restlessUntil = Math.max(phase.restlessUntil, ctx.now);
    const awake = { ...phase, idleSince: null, restlessUntil, wake: phase.wake ?? event.wake };
    return enter(state, awake, log("wake_joined", event.wake.actor));
  },
  hibernate(state, phase, event, ctx) {
    return andThen(out(state, log("hibernate_requested", event.actor)), (next) =>
      startSleep(next, phase, { kind: "asked", actor: event.actor }, ctx),
    );
  },
  discard: (state, phase, event, ctx) => discardMachine(state, phase.machine, event.actor, ctx),
  gone: (state, phase, event, ctx) => loseMachine(state, phase.machine, event.at, phase.wake, ctx),
  seen: (state, phase, event) => enter(state, { ...phase, machine: takeIn(phase.machine, event.facts) }),
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

export const snapshotting: Row<"snapshotting"> = {
  beat(state, phase, event, ctx) {
    if (event.verdict.kind === "busy" && phase.cause.kind === "idle" && isActivity(event.verdict.blockers)) {
      const first = event.verdict.blockers[0];
      const why = { reason: first?.code ?? "busy", value: first?.value ?? null };
      return cancelSleep(state, { ...phase, lastBeatAt: ctx.now }, ruleActor, why, null, ctx);
    }
    const heard: PhaseOf<"snapshotting"> = {
      ...phase,
      lastBeatAt: ctx.now,
      progressAt: event.progressed ? ctx.now : phase.progressAt,
    };
    const result = event.results.find((one) => one.commandId === wantedId(phase));
    if (result?.outcome === "failed") {
      return failSleep({ ...state, now: heard }, heard, result.code, result.message, ctx);
    }
    if (phase.step === "taking" && result?.outcome === "snapshot_taken" && isOurs(result.snapshot, phase)) {
      return prove(state, heard, { ref: result.snapshot, stats: result.stats }, ctx);
    }
    const seal = event.seal;
    if (phase.step === "sealing" && seal && seal.commandId === phase.sealId && isOurs(seal.snapshot, phase)) {
      if (sameSnapshot(seal.snapshot, phase.proved)) return destroy(state, heard, seal.holdsForMs, ctx);
      // Something was written between the proof and the seal: what is sealed now must be proved as well.
      return prove(state, heard, { ref: seal.snapshot, stats: seal.stats }, ctx);
    }
    return enter(state, heard);
  },
  tick(state, phase, _event, ctx) {
    if (ctx.now >= phase.progressAt + ctx.timings.progressLimitMs) {
      return failSleep(state, phase, "snapshot_stalled", `no progress while ${phase.step}`, ctx);
    }
    // Who does not speak takes no snapshot: the provider is asked what became of the machine.
    if (ctx.now >= phase.lastBeatAt + silenceMs(state, ctx.timings)) return fallSilent(state, phase, null, ctx);
    if (phase.proveAt === null || ctx.now < phase.proveAt || !phase.candidate) return out(state);
    return enter(
      state,
      { ...phase, proveAt: ctx.now + ctx.timings.proveEveryMs },
      { kind: "prove", ref: phase.candidate.ref },
    );
  },
  proved(state, phase, event, ctx) {
    if (phase.step !== "proving" || !phase.candidate || !sameSnapshot(event.ref, phase.candidate.ref))
      return out(state);
    const { ref, stats } = phase.candidate;
    const seq = Math.max(state.seq, ref.seq) + 1;
    return enter(
      { ...state, seq, snapshot: { ref, stats, provedAt: ctx.now }, trouble: null },
      {
        ...phase,
        step: "sealing",
        seq,
        candidate: null,
        proved: ref,
        sealId: phase.sealId ?? sealCommandId(phase.machine.epoch, ref.seq),
        proveAt: null,
        progressAt: ctx.now,
      },
      log("snapshot_proved", system, { snapshot_seq: ref.seq, digest: ref.digest }),
    );
  },
  proofFailed(state, phase, event, ctx) {
    if (phase.step !== "proving" || !phase.candidate || !sameSnapshot(event.ref, phase.candidate.ref))
      return out(state);
    // A store that does not answer says nothing: asked again until the progress deadline.
    if (event.retryable) return enter(state, { ...phase, proveAt: ctx.now + ctx.timings.proveEveryMs });
    return failSleep(state, phase, "snapshot_not_proved", event.message, ctx);
  },
  wake(state, phase, event, ctx) {
    return andThen(out(state, log("wake_requested", event.wake.actor)), (next) =>
      cancelSleep(next, phase, event.wake.actor, { reason: "wake" }, event.wake, ctx),
    );
  },
  hibernate(state, phase, event) {
    // Asked by a person now: activity no longer cancels it.
    if (phase.cause.kind === "asked") return out(state);
    return enter(
      state,
      { ...phase, cause: { kind: "asked", actor: event.actor } },
      log("hibernate_requested", event.actor),
    );
  },
  configure(state, phase, event, ctx) {
    if (event.config.enabled || phase.cause.kind !== "idle") return out(state);
    return cancelSleep(state, phase, event.actor, { reason: "disabled" }, null, ctx);
  },
  discard: (state, phase, event, ctx) => discardMachine(state, phase.machine, event.actor, ctx),
  gone: (state, phase, event, ctx) => loseMachine(state, phase.machine, event.at, null, ctx),
  seen: (state, phase, event) => enter(state, { ...phase, machine: takeIn(phase.machine, event.facts) }),
  // The agent may speak before the provider's answer to the rental is in.
  rented: (state, phase, event) => enter(state, { ...phase, machine: takeIn(phase.machine, event.facts) }),
  rentFailed: ignore,
  rentUnknown: (state, phase) => out(state, lookEffect(phase.machine)),
  notFound: ignore,
  endTried: ignore,
  lookFailed: ignore,
};

export const destroying: Row<"destroying"> = {
  beat(state, phase, event, ctx) {
    const retiring = state.retiring.find((one) => one.machine.epoch === phase.epoch);
    if (!retiring || !phase.proof || retiring.acceptedAt !== null) return out(state);
    if (event.seal && event.seal.commandId === phase.sealId && sameSnapshot(event.seal.snapshot, phase.proof)) {
      // A clock that was set back must not make an old promise longer.
      const since = Math.min(phase.since, ctx.now);
      return enter(state, { ...phase, since, sealedUntil: sealedUntil(event.seal.holdsForMs, ctx) });
    }
    // The agent lives and holds no seal: what it has may be newer than the proof. No destroy is sent from now on.
    return enter(state, { ...phase, sealedUntil: Math.min(phase.sealedUntil, ctx.now) });
  },
  tick(state, phase, _event, ctx) {
    const retiring = state.retiring.find((one) => one.machine.epoch === phase.epoch);
    if (!retiring || !phase.proof || retiring.acceptedAt !== null) return out(state);
    // A destroy that was sent in time may still be on its way: only when it has landed may the seal be lifted.
    if (ctx.now < phase.sealedUntil + endCallMs) return out(state);
    return sealAgain(state, phase, ctx);
  },
  gone(state, phase, event, ctx) {
    const deleteAt = ctx.now + minutesMs(state.config.delete_after_pause_minutes);
    const asleep: Outcome = phase.proof
      ? enter(
          { ...state, trouble: null },
          { status: "hibernated", since: ctx.now, deleteAt, verifyAt: null, verifyTries: 0 },
          log("hibernated", causeActor(phase.cause), { snapshot_seq: phase.proof.seq, ended_at: event.at }),
        )
      : // Discarded: what the machine held is gone, an older snapshot stays.
        enter(
          { ...state, trouble: null },
          { status: "deleted", since: ctx.now },
          log("deleted", causeActor(phase.cause), { discarded: true }),
        );
    if (!phase.wakeAfter) return asleep;
    const wake = phase.wakeAfter;
    return andThen(asleep, (next) => startWake(next, wake, ctx));
  },
  wake: (state, phase, event) =>
    phase.wakeAfter
      ? out(state, log("wake_joined", event.wake.actor))
      : enter(state, { ...phase, wakeAfter: event.wake }, log("wake_requested", event.wake.actor)),
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

function startSleep(state: State, phase: PhaseOf<"running">, cause: SleepCause, ctx: Context): Outcome {
  const seq = state.seq + 1;
  return enter(
    { ...state, seq },
    {
      status: "snapshotting",
      machine: phase.machine,
      since: ctx.now,
      cause,
      step: "taking",
      seq,
      candidate: null,
      proved: null,
      sealId: null,
      proveAt: null,
      progressAt: ctx.now,
      lastBeatAt: phase.lastBeatAt,
    },
    log("snapshot_started", causeActor(cause), {
      snapshot_seq: seq,
      idle_since: cause.kind === "idle" ? cause.idleSince : null,
    }),
  );
}

function prove(
  state: State,
  phase: PhaseOf<"snapshotting">,
  candidate: NonNullable<PhaseOf<"snapshotting">["candidate"]>,
  ctx: Context,
): Outcome {
  return enter(
    { ...state, seq: Math.max(state.seq, candidate.ref.seq) },
    { ...phase, step: "proving", candidate, proveAt: ctx.now + ctx.timings.proveEveryMs, progressAt: ctx.now },
    log("snapshot_taken", agentActor, {
      snapshot_seq: candidate.ref.seq,
      digest: candidate.ref.digest,
      stored_bytes: candidate.stats?.storedBytes ?? null,
      plain_bytes: candidate.stats?.plainBytes ?? null,
    }),
    { kind: "prove", ref: candidate.ref },
  );
}

/** I1: the only way from a proof to a destroy. The sealed digest equals the proved one, of this very epoch. */
function destroy(state: State, phase: PhaseOf<"snapshotting">, holdsForMs: number, ctx: Context): Outcome {
  const proof = phase.proved;
  if (!proof || proof.epoch !== phase.machine.epoch) return out(state);
  const sealed = enter(
    state,
    {
      status: "destroying",
      epoch: phase.machine.epoch,
      since: ctx.now,
      cause: phase.cause,
      proof,
      sealId: phase.sealId,
      sealedUntil: sealedUntil(holdsForMs, ctx),
      wakeAfter: null,
    },
    log("sealed", agentActor, { snapshot_seq: proof.seq, digest: proof.digest }),
  );
  return andThen(sealed, (next) => retire(next, phase.machine, { kind: "proof", snapshot: proof }, ctx));
}

/** The seal ended and no destroy was accepted: nothing is destroyed on the old proof. */
function sealAgain(state: State, phase: PhaseOf<"destroying">, ctx: Context): Outcome {
  const retiring = state.retiring.find((one) => one.machine.epoch === phase.epoch);
  if (!retiring) return out(state);
  const { machine } = retiring;
  const kept = { ...state, retiring: state.retiring.filter((one) => one !== retiring) };
  const expired = log("seal_expired", system, { snapshot_seq: phase.proof?.seq ?? null });
  if (phase.wakeAfter) {
    // Somebody wants it awake, and nothing was destroyed (I4).
    const { actor } = phase.wakeAfter;
    const awake = { ...wakeful(machine, ctx.now, ctx), wake: phase.wakeAfter };
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

export function cancelSleep(
  state: State,
  phase: PhaseOf<"snapshotting">,
  actor: Actor,
  params: Record<string, string | number | null>,
  wake: WakeRequest | null,
  ctx: Context,
): Outcome {
  const awake = { ...wakeful(phase.machine, phase.lastBeatAt, ctx), wake };
  return enter(state, awake, log("hibernate_cancelled", actor, params));
}

/** The machine is kept and goes on costing; the log and `trouble` say so. */
function failSleep(state: State, phase: PhaseOf<"snapshotting">, code: string, message: string, ctx: Context): Outcome {
  const awake = wakeful(phase.machine, phase.lastBeatAt, ctx);
  return enter(
    { ...state, trouble: { code, message, at: ctx.now } },
    { ...awake, restlessUntil: ctx.now + ctx.timings.restAfterFailureMs },
    log("snapshot_failed", system, { code, message, snapshot_seq: phase.seq }),
  );
}

/** A hole in the samples is no activity: while the machine is busy with our own snapshot it must not call the sleep off. */
function isActivity(blockers: { code: string }[]): boolean {
  return blockers.some((one) => one.code !== "no_samples" && one.code !== "samples_stale");
}

function wantedId(phase: PhaseOf<"snapshotting">): string | null {
  return phase.sealId ?? (phase.step === "taking" ? snapshotCommandId(phase.machine.epoch, phase.seq) : null);
}

function isOurs(ref: SnapshotRef, phase: PhaseOf<"snapshotting">): boolean {
  return ref.epoch === phase.machine.epoch;
}

/** The agent counts from when it sent the report, and a destroy that is sent at the last moment must still find the seal. */
function sealedUntil(holdsForMs: number, ctx: Context): number {
  return ctx.now + Math.max(0, holdsForMs - reportTravelMs - endCallMs);
}

function fallSilent(
  state: State,
  phase: PhaseOf<"running"> | PhaseOf<"snapshotting">,
  wake: WakeRequest | null,
  ctx: Context,
): Outcome {
  const { machine, lastBeatAt } = phase;
  return enter(
    state,
    { status: "unreachable", machine, since: ctx.now, lastBeatAt, lookAt: ctx.now, wake },
    log("unreachable", system, { last_beat_at: lastBeatAt }),
  );
}

function causeActor(cause: SleepCause): Actor {
  return cause.kind === "asked" ? cause.actor : ruleActor;
}
