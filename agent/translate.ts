/** From the engine's words to the agent protocol's. */
import type { Progress, SnapshotRef, SnapshotStats } from "../core/protocol/wire.ts";
import type { SnapshotProgress, TakeResult } from "./snapshot/types.ts";

export function sameRef(a: SnapshotRef, b: SnapshotRef): boolean {
  return a.seq === b.seq && a.epoch === b.epoch && a.digest === b.digest;
}

export function toStats({ stats }: Extract<TakeResult, { ok: true }>): SnapshotStats {
  const { entries, files, plainBytes, storedBytes, newStoredBytes } = stats;
  return { entries, files, plainBytes, storedBytes, newStoredBytes };
}

export function toProgress(progress: SnapshotProgress): Progress {
  const { phase, entries, files, plainBytes, doneBytes, reusedBytes, storedBytes, sentBytes, partsDone, partsTotal } =
    progress;
  return {
    phase: phase.slice(0, 40),
    entries,
    files,
    plainBytes,
    doneBytes,
    reusedBytes,
    storedBytes,
    sentBytes,
    partsDone,
    partsTotal,
  };
}
