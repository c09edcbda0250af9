/** What is remembered of snapshots of a running machine; see checkpoints.ts. */
import type { SnapshotRef, SnapshotStats } from "../protocol/wire.ts";

/** A snapshot of a running machine that is whole in the store. */
export interface Checkpoint {
  ref: SnapshotRef;
  stats: SnapshotStats | null;
  /** The workspace as of this moment would come back; what was written later may be in it or not. */
  at: number;
  /** Entries that changed while they were read: what is kept of them may be of no one moment. */
  torn: number;
  /** The first of them. */
  tornPaths: string[];
  provedAt: number;
}

export interface CheckpointState {
  /** The machine that this is about. */
  epoch: number;
  /** Since when it runs. What it was restored from is what it held then. */
  since: number;
  latest: Checkpoint | null;
  /** The workspace was found to be still what this snapshot or checkpoint holds, as of then. */
  same: { seq: number; at: number } | null;
  /** The one that is under way. */
  work: CheckpointWork | null;
  /** No further one begins before this. */
  notBefore: number;
  /** Failures since the last success, and the newest one. */
  fails: number;
  failure: { code: string; message: string; at: number } | null;
}

export interface CheckpointWork {
  seq: number;
  since: number;
  progressAt: number;
  /** What the agent took and the store must prove; null while it is being taken. */
  candidate: Checkpoint | null;
  proveAt: number;
}
