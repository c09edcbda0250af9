/**
 * Falling asleep.
 *
 *   running --idle or asked--> snapshotting: taking -> proving -> sealing --sealed digest = proved--> destroying
 *      ^  ^                                              | proved, and under `auto` not yet the time
 *      |  +--------------- idle, waits for tau ----------+
 *      ^                          |  ^                    | differs: prove again  |                      |
 *      +--busy, cancel, failure---+  +--------------------+                       |                  gone (provider)
 *                                    +----------seal lost before a destroy was accepted                  v
 *                                                                                            hibernated
 */
import type { SnapshotRef } from "../protocol/wire.ts";
import { sealCommandId, snapshotCommandId } from "./commands.ts";
import { silenceMs } from "./deadlines.ts";
import { causeActor, sealedUntil } from "./destroying.ts";
import {
  beginGap,
  dropGap,
  endGap,
  ensurePlan,
  gapOf,
  noteActivity,
  noteLeaving,
  noteUploaded,
  noteUploadStopped,
} from "./gaps.ts";
import { ignore, type PhaseOf, type Row } from "./handler.ts";
import { isDue, mayBegin } from "./idle-steps.ts";
import { discardMachine, loseMachine } from "./losing.ts";
import {
  agentActor,
  andThen,
  enter,
  log,
  lookEffect,
  out,
  retire,
  ruleActor,
  sameSnapshot,
  system,
  takeIn,
  wakeful,
} from "./machines.ts";
import { provedEntry } from "./snapshots.ts";
import type { Actor, Context, Outcome, SleepCause, State, WakeRequest } from "./types.ts";
import { quietFloorMs } from "./vetoes.ts";
import { isAnnounced } from "./warning.ts";

export const running: Row<"running"> = {
  beat(state, phase, event, ctx) {
    const { verdict } = event;
    if (verdict.kind === "busy") {
      const next = { ...phase, lastBeatAt: ctx.now, idleSince: null, wake: null };
      const noted = noteActivity(state, ctx);
      if (phase.idleSince === null) return enter(noted, next);
      const first = verdict.blockers[0];
      return enter(
        noted,
        next,
        log("active_again", ruleActor, { reason: first?.code ?? "busy", value: first?.value ?? null }),
      );
    }
    // Only what this machine did while it was ours and running counts, not its boot or its restore.
    const idleSince = Math.max(verdict.since, phase.since, phase.restlessUntil);
    if (idleSince > ctx.now) return enter(state, { ...phase, lastBeatAt: ctx.now, idleSince: null, wake: null });
    const next = { ...phase, lastBeatAt: ctx.now, idleSince, wake: null };
    const memoryHeld = event.memoryHeld ?? true;
    const gapped = beginGap(state, idleSince, memoryHeld, ctx);
    const isLongEnough = ctx.now - idleSince >= quietFloorMs(state, memoryHeld, ctx.now);
    const first = phase.idleSince === null ? [log("idle_detected", ruleActor, { idle_since: idleSince })] : [];
    if (!state.config.enabled || !verdict.ripe || !isLongEnough || !mayBegin(gapped, ctx.now))
      return enter(gapped, next, ...first);
    return andThen(out(gapped, ...first), (idle) => startSleep(idle, next, { kind: "idle", idleSince }, ctx));
  },
  tick(state, phase, _event, ctx) {
    if (ctx.now < phase.lastBeatAt + silenceMs(state, ctx.timings)) return out(state);
    return fallSilent(state, phase, phase.wake, ctx);
  },
  wake(state, phase, event, ctx) {
    // It is awake already; who asks for it wants it to stay so: the idle window starts again.
    const restlessUntil = Math.max(phase.restlessUntil, ctx.now);
    const awake = { ...phase, idleSince: null, restlessUntil, wake: phase.wake ?? event.wake };
    return enter(endGap(state, ctx.now, null), awake, log("wake_joined", event.wake.actor));
  },
  hibernate(state, phase, event, ctx) {
    return andThen(out(dropGap(state), log("hibernate_requested", event.actor)), (next) =>
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
      return cancelSleep(noteActivity(state, ctx), { ...phase, lastBeatAt: ctx.now }, ruleActor, why, null, ctx);
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
      if (sameSnapshot(seal.snapshot, phase.proved)) {
        // The setting may have been changed since the proof.
        const planned = ensurePlan(state, ctx);
        if (!mayGo(planned, phase, ctx)) return waitForTau(planned, heard);
        return destroy(planned, heard, seal.holdsForMs, ctx);
      }
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
    const said = log("snapshot_proved", system, { snapshot_seq: ref.seq, digest: ref.digest });
    const snapshot = { ref, stats, provedAt: ctx.now, kind: "sleep" as const };
    const kept = { ...state, snapshot, trouble: null };
    const known = provedEntry(snapshot, event);
    const noted = phase.proved ? kept : noteUploaded(kept, phase.since, stats, ctx);
    const planned = ensurePlan(noted, ctx);
    if (!phase.proved && !mayGo(planned, phase, ctx)) {
      return andThen(out({ ...planned, seq: Math.max(state.seq, ref.seq) }, said, known), (next) =>
        waitForTau(next, phase),
      );
    }
    const seq = Math.max(state.seq, ref.seq) + 1;
    return enter(
      { ...planned, seq },
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
      said,
      known,
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
      cancelSleep(endGap(next, ctx.now, null), phase, event.wake.actor, { reason: "wake" }, event.wake, ctx),
    );
  },
  hibernate(state, phase, event) {
    // Asked by a person now: activity no longer cancels it.
    if (phase.cause.kind === "asked") return out(state);
    return enter(
      dropGap(state),
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

function mayGo(state: State, phase: PhaseOf<"snapshotting">, ctx: Context): boolean {
  return phase.cause.kind === "asked" || (isDue(state, ctx.now) && isAnnounced(state, ctx));
}

/** The workspace is in the store and it is not yet the time: the machine runs on as it was, idle. */
function waitForTau(state: State, phase: PhaseOf<"snapshotting">): Outcome {
  const { machine, lastBeatAt, cause } = phase;
  const idleSince = cause.kind === "idle" ? cause.idleSince : phase.since;
  const plan = gapOf(state)?.plan;
  return enter(
    state,
    { status: "running", machine, since: idleSince, idleSince, lastBeatAt, restlessUntil: idleSince, wake: null },
    log("sleep_waits", ruleActor, {
      idle_minutes: plan?.tauMs ? plan.tauMs / 60_000 : null,
      why: plan?.reason ?? null,
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
    noteLeaving(state, phase.machine, phase.cause.kind === "asked", ctx.now),
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

export function cancelSleep(
  state: State,
  phase: PhaseOf<"snapshotting">,
  actor: Actor,
  params: Record<string, string | number | null>,
  wake: WakeRequest | null,
  ctx: Context,
): Outcome {
  const awake = { ...wakeful(phase.machine, phase.lastBeatAt, ctx), wake };
  const stopped = phase.proved ? state : noteUploadStopped(state, phase.since, ctx);
  return enter(stopped, awake, log("hibernate_cancelled", actor, params));
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

function fallSilent(
  state: State,
  phase: PhaseOf<"running"> | PhaseOf<"snapshotting">,
  wake: WakeRequest | null,
  ctx: Context,
): Outcome {
  const { machine, lastBeatAt } = phase;
  return enter(
    dropGap(state),
    { status: "unreachable", machine, since: ctx.now, lastBeatAt, lookAt: ctx.now, wake },
    log("unreachable", system, { last_beat_at: lastBeatAt }),
  );
}
