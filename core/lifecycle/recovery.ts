/** What would come back if the machine vanished now: the newest snapshot, or a checkpoint that is newer. */
import type { SnapshotRef } from "../protocol/wire.ts";
import type { Checkpoint } from "./checkpoint-state.ts";
import type { Effect } from "./events.ts";
import { currentMachine } from "./machines.ts";
import type { ProvedSnapshot } from "./snapshot-types.ts";
import type { State } from "./types.ts";

export interface RecoveryPoint {
  kind: "snapshot" | "checkpoint";
  ref: SnapshotRef;
  /** The workspace as of this moment would come back. */
  at: number;
  torn: number;
  tornPaths: string[];
}

/** What would be restored if the machine vanished now. Null: nothing would. */
export function recoveryPoint(state: State): RecoveryPoint | null {
  const { snapshot, checkpoint } = state;
  const latest = newerCheckpoint(state);
  const found = latest ?? snapshot?.checkpoint ?? null;
  const ref = latest?.ref ?? snapshot?.ref;
  if (!ref) return null;
  const machine = currentMachine(state);
  const isOfMachine = machine !== null && checkpoint?.epoch === machine.epoch;
  // What was restored is what the machine held when it began to run.
  const restoredAt = isOfMachine && !machine.adopted && ref.epoch < machine.epoch ? checkpoint.since : 0;
  const sameAt = isOfMachine && checkpoint.same?.seq === ref.seq ? checkpoint.same.at : 0;
  const at = Math.max(found?.at ?? snapshot?.provedAt ?? 0, restoredAt, sameAt);
  return {
    kind: latest || snapshot?.kind === "checkpoint" ? "checkpoint" : "snapshot",
    ref,
    at,
    torn: found?.torn ?? 0,
    tornPaths: found?.tornPaths ?? [],
  };
}

/** The newest checkpoint where it is newer than the snapshot that is kept. */
function newerCheckpoint({ checkpoint, snapshot }: State): Checkpoint | null {
  const latest = checkpoint?.latest ?? null;
  return latest && latest.ref.seq > (snapshot?.ref.seq ?? 0) ? latest : null;
}

/** The machine is gone without a sleep: the newest checkpoint, where it is the newest thing there is, is what is kept. */
export function keepNewest(state: State): State {
  const latest = newerCheckpoint(state);
  if (!latest) return state;
  return { ...state, snapshot: asSnapshot({ ...latest, at: recoveryPoint(state)?.at ?? latest.at }) };
}

export function asSnapshot({ ref, stats, provedAt, at, torn, tornPaths }: Checkpoint): ProvedSnapshot {
  return { ref, stats, provedAt, kind: "checkpoint", checkpoint: { at, torn, tornPaths } };
}

/** What is said of a restore, and of what a checkpoint may lack. */
export function restoredParams({ ref, checkpoint }: ProvedSnapshot): Extract<Effect, { kind: "log" }>["params"] {
  const { seq, digest } = ref;
  if (!checkpoint) return { snapshot_seq: seq, digest };
  const { at, torn, tornPaths } = checkpoint;
  return { snapshot_seq: seq, digest, checkpoint_at: at, torn, torn_paths: tornPaths.join(", ") || null };
}
