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
import type { Context, Outcome } from "./events.ts";
import { beginGap, dropGap, endGap, ensurePlan, gapOf, noteActivity, noteLeaving, noteUploaded } from "./gaps.ts";
import { ignore, type PhaseOf, type Row } from "./handler.ts";
import { dropVeto, hookLog, isVeto } from "./hooks.ts";
import { isDue, mayBegin } from "./idle-steps.ts";
import { together } from "./keep-trying.ts";
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
} from "./machines.ts";
import { park, parks } from "./parked.ts";
import { cancelSleep, failSleep, fallSilent, vetoSleep } from "./sleep-ends.ts";
import { provedEntry } from "./snapshots.ts";
import { dropStanding, dueSleep, mayPass, standingCause } from "./standing.ts";
import type { Actor, SleepCause, State } from "./types.ts";
import { quietFloorMs, readyUntil } from "./vetoes.ts";
import { isAnnounced } from "./warning.ts";

export const running: Row<"running"> = {
  beat(state, phase, event, ctx) {
    const { verdict } = event;
    const asked = dueSleep(state, ctx.now);
    // Activity does not call off what a person asked for.
    if (asked) return startSleep(dropGap(state), { ...phase, lastBeatAt: ctx.now }, asked, ctx);
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
    // Whoever asked for it before asked for this one, too: activity does not call it off.
    const cause = standingCause(state) ?? { kind: "idle", idleSince };
    return andThen(out(gapped, ...first), (idle) => startSleep(idle, next, cause, ctx));
  },
  tick(state, phase, _event, ctx) {
    if (ctx.now >= phase.lastBeatAt + silenceMs(state, ctx.timings)) return fallSilent(state, phase, phase.wake, ctx);
    const asked = dueSleep(state, ctx.now);
    return asked ? startSleep(dropGap(state), phase, asked, ctx) : out(state);
  },
  wake(state, phase, event, ctx) {
    // It is awake already; who asks for it wants it to stay so: the idle window starts again.
    const restlessUntil = Math.max(phase.restlessUntil, ctx.now, readyUntil(state, event.wake));
    const awake = {
      ...phase,
      idleSince: null,
      restlessUntil,
      wake: phase.wake ? together(phase.wake, event.wake) : event.wake,
    };
    const said = state.standing
      ? log("hibernate_cancelled", event.wake.actor, { reason: "wake" })
      : log("wake_joined", event.wake.actor);
    return enter(endGap(dropStanding(state), ctx.now, null), awake, said);
  },
  hibernate(state, phase, event, ctx) {
    // Asked for anew: at once, and counted from here.
    const fresh = dropStanding(dropGap(state));
    // What a person asked for stays theirs when the clock asks as well: it does not end with the schedule.
    const before = event.actor.kind === "schedule" ? standingCause(state) : null;
    const cause = before ?? askedBy(event);
    return andThen(out(fresh, log("hibernate_requested", event.actor)), (next) => startSleep(next, phase, cause, ctx));
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
      const { code, message, retryable } = result;
      if (isVeto(result)) return vetoSleep({ ...state, now: heard }, heard, message, hookLog(result), ctx);
      const why = { code, message, mayPass: mayPass(code, retryable) };
      return failSleep({ ...state, now: heard }, heard, why, ctx);
    }
    if (phase.step === "taking" && result?.outcome === "snapshot_taken" && isOurs(result.snapshot, phase)) {
      const asked = phase.hook === "due" ? { ...heard, hook: "done" as const } : heard;
      const proving = prove(dropVeto(state), asked, { ref: result.snapshot, stats: result.stats }, ctx);
      return { ...proving, effects: [...hookLog(result), ...proving.effects] };
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
      const message = `no progress while ${phase.step}`;
      return failSleep(state, phase, { code: "snapshot_stalled", message, mayPass: true }, ctx);
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
    if (!phase.hook) {
      // The time came while it was uploaded: the script is asked now, and what it leaves is taken as well.
      const again = { step: "taking" as const, seq, hook: "due" as const, candidate: null, proveAt: null };
      return enter({ ...planned, seq }, { ...phase, ...again, progressAt: ctx.now }, known, said);
    }
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
    return failSleep(state, phase, { code: "snapshot_not_proved", message: event.message, mayPass: true }, ctx);
  },
  wake(state, phase, event, ctx) {
    return andThen(out(state, log("wake_requested", event.wake.actor)), (next) =>
      cancelSleep(endGap(next, ctx.now, null), phase, event.wake.actor, { reason: "wake" }, event.wake, ctx),
    );
  },
  hibernate(state, phase, event) {
    // Asked by a person now: activity no longer cancels it.
    if (phase.cause.kind === "asked") {
      // What the clock began is a person's from here on: it stands although the schedule ends.
      const isTaken = phase.cause.actor.kind === "schedule" && event.actor.kind !== "schedule";
      return event.force || isTaken ? enter(state, { ...phase, cause: askedBy(event) }) : out(state);
    }
    return enter(dropGap(state), { ...phase, cause: askedBy(event) }, log("hibernate_requested", event.actor));
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
      ...((cause.kind === "asked" || isDue(state, ctx.now)) && { hook: "due" as const }),
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
  const { cause } = phase;
  if (cause.kind === "asked") return true;
  const { pause_after_idle_minutes: pause } = state.config;
  // It may have been set since the sleep began.
  const isOver = pause === "auto" || ctx.now >= cause.idleSince + minutesMs(pause);
  return isOver && isDue(state, ctx.now) && isAnnounced(state, ctx);
}

/** The workspace is in the store and it is not yet the time, or nobody was told: the machine runs on as it was, idle. */
function waitForTau(state: State, phase: PhaseOf<"snapshotting">): Outcome {
  const { machine, lastBeatAt, cause } = phase;
  const idleSince = cause.kind === "idle" ? cause.idleSince : phase.since;
  const { pause_after_idle_minutes: pause } = state.config;
  const plan = pause === "auto" ? gapOf(state)?.plan : { tauMs: minutesMs(pause), reason: null };
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

/** I1: the only way from a proof to a destroy, or to a stop. The sealed digest equals the proved one, of this very epoch. */
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
    { kind: "history", entry: { op: "sealed", ref: proof, at: ctx.now } },
    log("sealed", agentActor, { snapshot_seq: proof.seq, digest: proof.digest }),
  );
  return andThen(sealed, (next) =>
    parks(next, phase.cause)
      ? park(next, phase.machine, proof, ctx)
      : retire(next, phase.machine, { kind: "proof", snapshot: proof }, ctx),
  );
}

function askedBy(event: { actor: Actor; force?: boolean }): Extract<SleepCause, { kind: "asked" }> {
  return { kind: "asked", actor: event.actor, ...(event.force && { force: true }) };
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
