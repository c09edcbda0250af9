/** The store as a test sees it: manifests with their contents, which of them are damaged, and what the shell does with them. */
import type { SnapshotRef } from "../../protocol/wire.ts";
import type { LifecycleEvent } from "../events.ts";
import { restoreOf } from "../machines.ts";
import { judgeRetention } from "../retention.ts";
import type { HistoryEntry, ManifestName, SnapshotKind } from "../snapshot-types.ts";
import { inUse } from "../snapshots.ts";
import { defaultTimings } from "../timings.ts";
import type { State } from "../types.ts";

/** Manifests that were written, by `epoch.seq`; a manifest is written once (put if absent). */
export interface FakeStore {
  manifests: Map<string, { ref: SnapshotRef; content: number; at: number }>;
  proved: Set<string>;
  /** The history, as the shell keeps it. */
  kinds: Map<string, SnapshotKind>;
  failsUntil: number;
  /** So many of the next uploads end in a failure that may pass, or in one that stays. */
  uploadsFail: number;
  uploadsRefused: number;
  /** Everything in it. */
  damaged: boolean;
  /** By `epoch.seq`. */
  damagedOnes: Set<string>;
  /** Of those, which the instance was told of. */
  toldDamaged: Set<string>;
  /** What the other instance's snapshot holds; null: it is not whole. */
  other: { digest: string; content: number } | null;
}

export function newStore(): FakeStore {
  return {
    manifests: new Map(),
    proved: new Set(),
    kinds: new Map(),
    failsUntil: 0,
    uploadsFail: 0,
    uploadsRefused: 0,
    damaged: false,
    damagedOnes: new Set(),
    toldDamaged: new Set(),
    other: null,
  };
}

export function refKey(ref: SnapshotRef): string {
  return `${ref.epoch}.${ref.seq}.${ref.digest}`;
}

function nameKey({ epoch, seq }: ManifestName): string {
  return `${epoch}.${seq}`;
}

export function isWhole(store: FakeStore, ref: SnapshotRef): boolean {
  const found = store.manifests.get(nameKey(ref));
  return found?.ref.digest === ref.digest && !store.damaged && !store.damagedOnes.has(nameKey(ref));
}

/** What the instance learns of damage from this event: by a proof, by looking for another one, or by a restore. */
export function tellDamage(store: FakeStore, state: State, event: LifecycleEvent): void {
  const tell = (ref: SnapshotRef) => !isWhole(store, ref) && store.toldDamaged.add(nameKey(ref));
  if (event.type === "proofFailed" && !event.retryable) tell(event.ref);
  if (event.type === "salvaged") {
    tell(event.damaged);
    const { seq } = event.found?.ref ?? { seq: 0 };
    for (const { ref } of store.manifests.values()) if (ref.seq > seq) tell(ref);
  }
  if (event.type === "beat" && state.now.status === "restoring" && event.epoch === state.now.machine.epoch) {
    const isDamaged = event.results.some((one) => one.outcome === "failed" && one.code === "snapshot_damaged");
    const wanted = restoreOf(state);
    if (isDamaged && wanted) tell(wanted.ref);
  }
}

/** Whether it can be brought back, for all that the instance can know. */
export function isCounted(store: FakeStore, ref: SnapshotRef): boolean {
  return isWhole(store, ref) || !store.toldDamaged.has(nameKey(ref));
}

export function tellHistory(store: FakeStore, entry: HistoryEntry): void {
  if (entry.op === "proved") store.kinds.set(nameKey(entry.snapshot.ref), entry.snapshot.kind ?? "sleep");
  else if (entry.op === "gone") for (const one of entry.manifests) store.kinds.delete(nameKey(one));
}

export function proveIn(
  store: FakeStore,
  { ref, mayBeTorn }: { ref: SnapshotRef; mayBeTorn?: true },
  now: number,
): LifecycleEvent {
  if (now < store.failsUntil) return { type: "proofFailed", ref, retryable: true, message: "no answer" };
  if (!isWhole(store, ref)) return { type: "proofFailed", ref, retryable: false, message: "a part is missing" };
  // A checkpoint is no proof for a destroy.
  if (!mayBeTorn) store.proved.add(refKey(ref));
  return { type: "proved", ref, parts: 3, bytes: 300 };
}

export function salvageIn(store: FakeStore, damaged: SnapshotRef, now: number): LifecycleEvent {
  if (now < store.failsUntil) return { type: "proofFailed", ref: damaged, retryable: true, message: "no answer" };
  const others = [...store.manifests.values()].filter(
    ({ ref }) => refKey(ref) !== refKey(damaged) && store.proved.has(refKey(ref)),
  );
  const newestFirst = others.sort((a, b) => b.ref.seq - a.ref.seq);
  const index = newestFirst.findIndex(({ ref }) => isWhole(store, ref));
  const found = newestFirst[index];
  return {
    type: "salvaged",
    damaged,
    found: found ? { ref: found.ref, stats: null, provedAt: found.at } : null,
    tried: index < 0 ? newestFirst.length : index,
  };
}

export function copyIn(store: FakeStore, to: ManifestName, now: number): LifecycleEvent {
  if (now < store.failsUntil) return { type: "copyFailed", retryable: true, message: "no answer" };
  if (!store.other) return { type: "copyFailed", retryable: false, message: "a part is missing" };
  const ref = { ...to, digest: store.other.digest };
  store.manifests.set(nameKey(to), { ref, content: store.other.content, at: now });
  store.proved.add(refKey(ref));
  return { type: "copied", parts: 3, partsTotal: 3, done: { ref, stats: null, provedAt: now, kind: "copy" } };
}

export function collectIn(store: FakeStore, state: State, now: number): LifecycleEvent {
  if (now < store.failsUntil) return { type: "collectFailed", message: "no answer" };
  const stored = [...store.manifests.values()].map(({ ref: { seq, epoch }, at }) => ({
    seq,
    epoch,
    at,
    kind: store.kinds.get(nameKey({ seq, epoch })) ?? null,
  }));
  const { retention } = state.config;
  const { gone, nextAt } = judgeRetention(stored, retention, inUse(state, now), defaultTimings.partGraceMs, now);
  for (const one of gone) store.manifests.delete(nameKey(one));
  const manifests = gone.map(({ seq, epoch }) => ({ seq, epoch }));
  return { type: "collected", manifests, parts: gone.length, bytes: gone.length, nextAt };
}
