/**
 * Snapshots of a running machine, so that the last upload of a sleep is small and a host that dies loses minutes.
 *
 *   running, interval over --> taking --agent: taken--> proving --store: whole--> latest; older ones go by retention.ts
 *                                |  |        |               +--not whole--> failed
 *                                |  |        +--agent: nothing, or too little, changed--> none
 *                                |  +--failed, no progress--> tried again, later and later
 *                                +--a sleep begins, silence--> called off; its parts stay for the next one
 *
 * It stands beside the table of transition.ts and never moves a phase: a checkpoint makes nothing busy, begins no idle
 * window anew, and proves no destroy (I1).
 */
import type { Result } from "../protocol/wire.ts";
import type { Checkpoint, CheckpointState, CheckpointWork } from "./checkpoint-state.ts";
import { checkpointCommandId } from "./commands.ts";
import type { Context, Effect, LifecycleEvent, Outcome } from "./events.ts";
import { agentActor, log, out, sameSnapshot, system } from "./machines.ts";
import { asSnapshot, keepNewest, recoveryPoint } from "./recovery.ts";
import { provedEntry } from "./snapshots.ts";
import type { State } from "./types.ts";

type Beat = Extract<LifecycleEvent, { type: "beat" }>;
type ProofEvent = Extract<LifecycleEvent, { type: "proved" | "proofFailed" }>;

/** Failures in a row from which on `trouble` says so. */
const troublingFails = 3;
/** At low priority it may stand still for longer than a snapshot that somebody waits for. */
const stallFactor = 3;
const failingCode = "checkpoints_fail";
const unknownCommand = "command_unknown";

// ---- when the next one is due ------------------------------------------------------------------------------------------

export function intervalMs(state: State): number {
  return state.config.checkpoint.interval_minutes * 60_000;
}

/** When the next one begins if the machine runs on; null where none will, or one is under way. */
export function nextCheckpointAt(state: State): number | null {
  const { checkpoint, config } = state;
  if (state.now.status !== "running" || !config.checkpoint.enabled) return null;
  if (!checkpoint || checkpoint.epoch !== state.now.machine.epoch || checkpoint.work) return null;
  // An agent of before never will: it is asked again when another machine runs.
  if (checkpoint.failure?.code === unknownCommand) return null;
  const last = Math.max(checkpoint.since, recoveryPoint(state)?.at ?? 0);
  return Math.max(last + intervalMs(state), checkpoint.notBefore);
}

// ---- events ------------------------------------------------------------------------------------------------------------

/** After a beat of the machine in use. */
export function beatCheckpoint(state: State, event: Beat, ctx: Context): Outcome {
  const phase = state.now;
  if (phase.status !== "running" || phase.machine.epoch !== event.epoch) return out(state);
  const begun = state.checkpoint?.epoch === event.epoch ? state : withCheckpoint(state, blank(event.epoch, ctx));
  const { work } = begun.checkpoint as CheckpointState;
  if (work) return hear(begun, work, event, ctx);
  const at = nextCheckpointAt(begun);
  return at !== null && ctx.now >= at ? start(begun, ctx) : out(begun);
}

/** The answer of the store, where it is about a checkpoint; null where it is about something else. */
export function proofOfCheckpoint(state: State, event: ProofEvent, ctx: Context): Outcome | null {
  const { checkpoint } = state;
  const candidate = checkpoint?.work?.candidate;
  if (!checkpoint || !candidate || !sameSnapshot(event.ref, candidate.ref)) return null;
  if (event.type === "proofFailed") {
    // A store that does not answer says nothing: asked again with a later beat.
    if (event.retryable) return out(state);
    return fail(state, { code: "checkpoint_not_proved", message: event.message }, ctx);
  }
  const { trouble } = state;
  const latest = { ...candidate, provedAt: ctx.now };
  const done = withCheckpoint(
    // Its own trouble is over.
    { ...state, trouble: trouble?.code === failingCode ? null : trouble },
    { ...checkpoint, latest, work: null, fails: 0, failure: null, notBefore: 0 },
  );
  const said = log("checkpoint_taken", agentActor, {
    snapshot_seq: candidate.ref.seq,
    digest: candidate.ref.digest,
    new_stored_bytes: candidate.stats?.newStoredBytes ?? null,
    torn: candidate.torn,
    torn_paths: candidate.tornPaths.join(", ") || null,
  });
  // The machine was lost while the store was asked: this is what there is.
  const isGone = ["hibernated", "deleted"].includes(done.now.status) && candidate.ref.epoch === done.epoch;
  return out(isGone ? keepNewest(done) : done, provedEntry(asSnapshot(latest), event), said);
}

/** After every event: none goes on while the machine does not simply run. */
export function settleCheckpoint(state: State): Outcome {
  const { checkpoint, now } = state;
  const work = checkpoint?.work;
  const isUnwanted = now.status !== "running" || !state.config.checkpoint.enabled;
  if (!work || work.candidate || !isUnwanted) return out(state);
  const called = withCheckpoint(state, { ...checkpoint, work: null });
  return out(called, log("checkpoint_called_off", system, { snapshot_seq: work.seq, reason: now.status }));
}

// ---- steps -------------------------------------------------------------------------------------------------------------

function start(state: State, ctx: Context): Outcome {
  const seq = state.seq + 1;
  const { checkpoint } = state;
  if (!checkpoint) return out(state);
  const work = { seq, since: ctx.now, progressAt: ctx.now, candidate: null, proveAt: 0 };
  return out(withCheckpoint({ ...state, seq }, { ...checkpoint, work }));
}

function hear(state: State, work: CheckpointWork, event: Beat, ctx: Context): Outcome {
  const { checkpoint } = state;
  if (!checkpoint) return out(state);
  const keep = (change: Partial<CheckpointWork>) =>
    withCheckpoint(state, { ...checkpoint, work: { ...work, ...change } });
  if (work.candidate) {
    if (ctx.now < work.proveAt) return out(state);
    return out(keep({ proveAt: ctx.now + ctx.timings.verifyEveryMs }), prove(work.candidate));
  }
  const id = checkpointCommandId(checkpoint.epoch, work.seq);
  const result = event.results.find((one) => one.commandId === id);
  if (result) return takeResult(state, work, result, ctx);
  if (event.progressed) return out(keep({ progressAt: ctx.now }));
  if (ctx.now < work.progressAt + stallFactor * ctx.timings.progressLimitMs) return out(state);
  return fail(state, { code: "checkpoint_stalled", message: "the checkpoint does not move" }, ctx);
}

function takeResult(state: State, work: CheckpointWork, result: Result, ctx: Context): Outcome {
  const checkpoint = state.checkpoint as CheckpointState;
  switch (result.outcome) {
    case "snapshot_taken": {
      if (result.snapshot.epoch !== checkpoint.epoch) return out(state);
      const { snapshot: ref, stats, torn = 0, tornPaths = [] } = result;
      const candidate = { ref, stats, at: work.since, torn, tornPaths, provedAt: ctx.now };
      const proveAt = ctx.now + ctx.timings.verifyEveryMs;
      return out(withCheckpoint(state, { ...checkpoint, work: { ...work, candidate, proveAt } }), prove(candidate));
    }
    case "unchanged": {
      const point = recoveryPoint(state);
      const isSame = result.changedEntries === 0 && point !== null;
      return out(
        withCheckpoint(state, {
          ...checkpoint,
          work: null,
          fails: 0,
          failure: null,
          same: isSame ? { seq: point.ref.seq, at: work.since } : checkpoint.same,
          notBefore: work.since + intervalMs(state),
        }),
      );
    }
    case "failed":
      return fail(state, result, ctx);
    case "restored":
    case "hook_ended":
      return out(state);
  }
}

/** Told once, tried again later and later. The machine runs on as if nothing were. */
function fail(state: State, { code, message }: { code: string; message: string }, ctx: Context): Outcome {
  const checkpoint = state.checkpoint as CheckpointState;
  const fails = checkpoint.fails + 1;
  const { restAfterFailureMs, restAfterFailureMaxMs } = ctx.timings;
  const restMs = Math.min(restAfterFailureMs * 2 ** Math.min(fails - 1, 20), restAfterFailureMaxMs);
  const failure = { code, message, at: ctx.now };
  const said = checkpoint.failure?.code === code ? [] : [log("checkpoint_failed", agentActor, { code, message })];
  const isTroubling = fails >= troublingFails && state.trouble === null;
  const words = `The last ${fails} checkpoints failed: ${message}`;
  const trouble = isTroubling ? { code: failingCode, message: words, at: ctx.now } : state.trouble;
  const next = withCheckpoint(
    { ...state, trouble },
    { ...checkpoint, work: null, fails, failure, notBefore: ctx.now + restMs },
  );
  return out(next, ...said);
}

function prove({ ref }: Checkpoint): Effect {
  return { kind: "prove", ref, mayBeTorn: true };
}

function blank(epoch: number, ctx: Context): CheckpointState {
  const nothing = { latest: null, same: null, work: null, failure: null };
  return { epoch, since: ctx.now, ...nothing, notBefore: 0, fails: 0 };
}

function withCheckpoint(state: State, checkpoint: CheckpointState): State {
  return { ...state, checkpoint };
}
