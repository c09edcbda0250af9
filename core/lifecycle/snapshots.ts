/**
 * What concerns the snapshots in the store and no machine: which one a wake brings back, which ones are in use, and when
 * retention looks through the store.
 */
import { commandsFor } from "./commands.ts";
import type { Context, Effect, LifecycleEvent, Outcome } from "./events.ts";
import { currentMachine, log, out, ruleActor, sameSnapshot } from "./machines.ts";
import type { Hold, ManifestName, ProvedSnapshot, StoredManifest } from "./snapshot-types.ts";
import type { Timings } from "./timings.ts";
import type { State, WakeRequest } from "./types.ts";

type Of<T extends LifecycleEvent["type"]> = Extract<LifecycleEvent, { type: T }>;

/** Manifests that must stay whatever retention says. */
export function inUse(state: State, now: number): ManifestName[] {
  const phase = state.now;
  const wakes: (WakeRequest | null | undefined)[] = [
    "wake" in phase ? phase.wake : null,
    phase.status === "destroying" ? phase.wakeAfter : null,
    state.retry?.wake,
  ];
  const used = [
    state.snapshot?.ref,
    state.checkpoint?.latest?.ref,
    state.checkpoint?.work?.candidate?.ref,
    ...wakes.map((wake) => wake?.snapshot?.ref),
    ...(phase.status === "snapshotting" ? [phase.candidate?.ref, phase.proved] : []),
    phase.status === "destroying" ? phase.proof : null,
    ...holdsOf(state, now).map((hold) => hold.ref),
  ];
  return used.flatMap((ref) => (ref ? [{ seq: ref.seq, epoch: ref.epoch }] : []));
}

export function holdsOf(state: State, now: number): Hold[] {
  return (state.holds ?? []).filter((one) => now < one.until);
}

/** One hold for each that holds and snapshot; the newest word counts. */
export function takeHold(state: State, { hold }: Of<"hold">, ctx: Context): Outcome {
  const others = holdsOf(state, ctx.now).filter((one) => one.by !== hold.by || !sameSnapshot(one.ref, hold.ref));
  const holds = ctx.now < hold.until ? [...others, hold] : others;
  const { holds: _, ...rest } = state;
  return out(holds.length > 0 ? { ...rest, holds } : rest);
}

export function provedEntry(
  snapshot: ProvedSnapshot,
  { parts = null, bytes = null, manifest }: { parts?: number | null; bytes?: number | null; manifest?: StoredManifest },
): Effect {
  return { kind: "history", entry: { op: "proved", snapshot, parts, bytes, ...(manifest && { manifest }) } };
}

// ---- retention ---------------------------------------------------------------------------------------------------------

/** Nothing is deleted while something may be written or read: no command of an agent holds, and none is coming back. */
export function mayCollect(state: State): boolean {
  const phase = state.now;
  switch (phase.status) {
    case "running":
    case "deleted":
      break;
    case "hibernated":
      if (state.copying || phase.damaged) return false;
      break;
    case "failed":
      if (phase.machine || state.copying) return false;
      break;
    default:
      return false;
  }
  return commandsFor(state, currentMachine(state)?.epoch ?? 0, { sealHoldMs: 0 }).length === 0;
}

export function collectAt(state: State, timings: Timings): number | null {
  if (!state.collect || !mayCollect(state)) return null;
  const { wantedAt, askedAt } = state.collect;
  // Asked for again should no answer come.
  return askedAt === null ? wantedAt : askedAt + timings.collectEveryMs;
}

export function collectIfDue(state: State, ctx: Context): Outcome {
  const at = collectAt(state, ctx.timings);
  if (at === null || ctx.now < at) return out(state);
  const collect = { wantedAt: null, askedAt: ctx.now, lastAt: ctx.now };
  return out({ ...state, collect }, { kind: "collect" });
}

export function takeCollected(state: State, event: Of<"collected">, ctx: Context): Outcome {
  const { manifests, parts, bytes, nextAt } = event;
  const next = wantCollect(state, nextAt, ctx);
  if (manifests.length === 0 && parts === 0) return out(next);
  const numbers = manifests.map((one) => one.seq).sort((a, b) => a - b);
  return out(
    next,
    { kind: "history", entry: { op: "gone", manifests } },
    log("snapshots_removed", ruleActor, {
      snapshots: numbers.join(", "),
      count: manifests.length,
      parts,
      bytes,
    }),
  );
}

export function takeCollectFailed(state: State, ctx: Context): Outcome {
  return out(wantCollect(state, ctx.now + ctx.timings.collectEveryMs, ctx));
}

/** The answer is here; the next look is then, or when something asked for one meanwhile. */
function wantCollect(state: State, at: number | null, ctx: Context): State {
  const { wantedAt = null, lastAt = null } = state.collect ?? {};
  const times = [wantedAt, at].filter((one) => one !== null);
  const soonest = times.length > 0 ? Math.max(Math.min(...times), ctx.now + ctx.timings.collectAfterMs) : null;
  return { ...state, collect: { wantedAt: soonest, askedAt: null, lastAt } };
}

/** A new snapshot, or another setting, lets older ones go. */
export function planCollect(before: State, outcome: Outcome, event: LifecycleEvent, ctx: Context): Outcome {
  const { state } = outcome;
  const checkpoint = state.checkpoint?.latest?.ref;
  const isNew =
    (state.snapshot !== null && !sameSnapshot(state.snapshot.ref, before.snapshot?.ref)) ||
    (checkpoint !== undefined && !sameSnapshot(checkpoint, before.checkpoint?.latest?.ref));
  const { keep_newest, keep_days } = state.config.retention;
  const rules = before.config.retention;
  const isChanged = event.type === "configure" && (keep_newest !== rules.keep_newest || keep_days !== rules.keep_days);
  if (!isNew && !isChanged) return outcome;
  const { wantedAt = null, askedAt = null, lastAt = null } = state.collect ?? {};
  const soon = ctx.now + ctx.timings.collectAfterMs;
  const at = isChanged || lastAt === null ? soon : Math.max(soon, lastAt + ctx.timings.collectEveryMs);
  return { ...outcome, state: { ...state, collect: { wantedAt: Math.min(wantedAt ?? at, at), askedAt, lastAt } } };
}
