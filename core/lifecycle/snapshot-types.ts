/** Words of the lifecycle that concern snapshots: what is known of one, what needs one, what the history tells. */
import type { InstanceId } from "../protocol/ids.ts";
import type { SnapshotRef, SnapshotStats } from "../protocol/wire.ts";
import type { Checkpoint } from "./checkpoint-state.ts";
import type { WakeRequest } from "./types.ts";

/** Why a snapshot was taken: for a sleep, while the machine ran, or as a copy of another instance's. */
export type SnapshotKind = "sleep" | "checkpoint" | "copy";

/** A snapshot that was proved complete in the store. */
export interface ProvedSnapshot {
  ref: SnapshotRef;
  stats: SnapshotStats | null;
  provedAt: number;
  /** Absent: of a sleep. */
  kind?: SnapshotKind;
  /** Of a checkpoint: what it may lack. It never lets a machine be destroyed (I1). */
  checkpoint?: Pick<Checkpoint, "at" | "torn" | "tornPaths">;
}

/** The manifest's own bytes, as a proof found them. */
export interface StoredManifest {
  bytes: number;
  sha256: string;
}

/** A snapshot that must stay although nothing of this state needs it: another instance is made from it. */
export interface Hold {
  by: InstanceId;
  ref: SnapshotRef;
  /** It ends by itself: who holds says so again in time. */
  until: number;
}

/** This instance is being made from another one's snapshot; see copying.ts. */
export interface Copying {
  from: { instance: InstanceId; ref: SnapshotRef };
  /** What it wakes with once every part is here; null: it stays asleep. */
  wake: WakeRequest | null;
  since: number;
  nextAt: number;
  tries: number;
  parts: number;
  partsTotal: number | null;
}

/** Names a manifest in the store of an instance. */
export interface ManifestName {
  seq: number;
  epoch: number;
}

/** A line of the history: proved (once more), found damaged, or gone from the store. */
export type HistoryEntry =
  | {
      op: "proved";
      snapshot: ProvedSnapshot;
      parts: number | null;
      bytes: number | null;
      manifest?: StoredManifest;
    }
  /** The workspace of a machine with every process stopped had exactly this digest; then, that the machine is gone. */
  | { op: "sealed"; ref: SnapshotRef; at: number }
  | { op: "relied"; ref: SnapshotRef; at: number }
  | { op: "damaged"; ref: SnapshotRef; at: number; message: string }
  | { op: "gone"; manifests: ManifestName[] };
