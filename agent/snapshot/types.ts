/** What the rest of the agent sees of the snapshot engine. All paths are absolute; digests and hashes are 64 hex digits. */
import type { SnapshotStore } from "../../core/snapshot/store.ts";
import type { Unlock } from "./keyring.ts";
import type { Encryption } from "./keys.ts";

/** Reported at most four times a second, and once at the end of each phase. No count ever falls. */
export interface SnapshotProgress {
  phase: string;
  entries: number;
  files: number;
  /** Bytes of all files of the tree that are known so far. */
  plainBytes: number;
  /** Bytes of them that are read (snapshot) or in place (restore). */
  doneBytes: number;
  /** Bytes that the store (snapshot) or the folder (restore) had already. */
  reusedBytes: number;
  /** Bytes after compression that this run made or needs. */
  storedBytes: number;
  /** Bytes that crossed the network. */
  sentBytes: number;
  partsDone: number;
  partsTotal: number;
  /** Of `doneBytes` without `reusedBytes`, over the last two minutes. */
  bytesPerSecond: number;
  /** At that rate and at that of sending; null when nobody knows. */
  etaMs: number | null;
}

export type OnProgress = (progress: SnapshotProgress) => void;

export interface TakeOptions {
  root: string;
  /** Names the instance in the store. */
  id: string;
  epoch: number;
  seq: number;
  store: SnapshotStore;
  /** The engine's own folder, outside `root`. Losing or damaging it costs time and nothing else. */
  stateDir: string;
  excludes?: string[];
  /** Parts in flight at most; 32 by default. A part's size and the store may ask for fewer. */
  concurrency?: number;
  /**
   * "full" (default): all cores, for a snapshot that somebody waits for, such as every one on the way to sleep.
   * "background": two threads at the lowest priority, for one beside work that must not become slower.
   */
  effort?: "background" | "full";
  /** False: no chunk is coded against a sibling's bytes (see bases.ts). */
  bases?: boolean;
  /** Encrypts it: the instance's data key, and its wrapping for the manifest. Each snapshot of an instance has the same. */
  encryption?: { dataKey: Uint8Array; wrapped: Encryption };
  /** Ends with `folder_differs` where the workspace has another digest, or does not rest. */
  expectedDigest?: string;
  /** Keys of parts that count as if they were not there, for this snapshot and for the later ones of this state folder. */
  forget?: ReadonlySet<string>;
  parentSeq?: number;
  /** Written into the manifest. */
  agentVersion?: string;
  onProgress?: OnProgress;
  signal?: AbortSignal;
  /** Stops every writer for the last round. */
  pauseWriters?: () => Promise<Pause>;
  /** Rounds at most, until one is quiet; 3 by default. */
  maxRounds?: number;
  /** The caller has stopped every writer: one round is proof. */
  alreadyQuiet?: boolean;
}

export interface Pause {
  /** Whether every writer stands still. */
  isHeld: boolean;
  /** Lets them go on; called whatever happens. */
  resume: () => Promise<void>;
}

export interface SkippedPath {
  path: string;
  reason: string;
}

export interface TakeStats {
  entries: number;
  files: number;
  plainBytes: number;
  newPlainBytes: number;
  storedBytes: number;
  newStoredBytes: number;
  /** Entries that changed under the reader or could not be read. Above 0 the snapshot is no proof for a destroy. */
  torn: number;
  skipped: SkippedPath[];
  rounds: number;
  reusedBytes: number;
  parts: number;
  newParts: number;
  wallMs: number;
  /** What this machine cannot record exactly, in words; empty where the FFI addon is loaded. */
  degraded: string[];
}

/** Something that the machine of a restore cannot keep, for one or many entries. */
export interface Loss {
  /** `owner`, `mode`, `time`, `device`, `fifo`, `hard link`, or an extended attribute's name (`soneca.flags` for inode flags). */
  what: string;
  /** The system's code or words. */
  reason: string;
  entries: number;
  example: string;
}

export interface SnapshotFailure {
  ok: false;
  code: string;
  message: string;
  retryable: boolean;
  /** The first ten paths that are concerned, where the failure is about paths. */
  paths?: string[];
  /** With `restore_inexact`: all else is in place and proved. */
  losses?: Loss[];
  /** With `restore_partial`: every path that is not restored, and the part that is to blame. */
  lost?: SkippedPath[];
}

export interface TakeSuccess {
  ok: true;
  seq: number;
  epoch: number;
  /** `00000007-2`: without the instance's prefix. */
  manifestKey: string;
  manifestSha256: string;
  digest: string;
  /** Of `stats.torn` the first hundred. */
  tornPaths: string[];
  stats: TakeStats;
}

export type TakeResult = TakeSuccess | SnapshotFailure;

export interface ScanDigestOptions {
  root: string;
  id: string;
  stateDir: string;
  excludes?: string[];
  /** To compare with an encrypted snapshot: its ids, and so its digest, are of this key. */
  dataKey?: Uint8Array;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

/** `torn`: entries that moved while they were read, or could not be read. Above 0 the digest proves nothing. */
export type ScanDigestResult = { ok: true; digest: string; torn: number } | SnapshotFailure;

/** What differs from the last scan of this state folder. */
export type ChangesResult = { ok: true; entries: number; bytes: number } | SnapshotFailure;

export interface RestoreOptions {
  id: string;
  seq: number;
  /** The epoch in the manifest's name. */
  epoch: number;
  /** Refuses a manifest of another digest with `manifest_digest_differs`. */
  expectedDigest?: string;
  root: string;
  store: SnapshotStore;
  stateDir: string;
  concurrency?: number;
  /** Removes what the snapshot does not have. Without it extra files stay and are counted in `stats.extras`. */
  deleteExtras?: boolean;
  /** False: every entry gets the owner of this process, and programs lose setuid and setgid; `stats.disowned` counts them. */
  owner?: boolean;
  /** Patterns of what is wanted (see select.ts). Then every entry is checked, but there is no digest to compare with. */
  only?: string[];
  /** Where parts are damaged or missing: restores all else and ends in `restore_partial`. */
  partial?: boolean;
  /** Asked for the data key of an encrypted snapshot; without it that ends in `key_missing`. */
  unlock?: Unlock;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

export interface RestoreStats {
  entries: number;
  files: number;
  plainBytes: number;
  /** Bytes found in place and checked by hash. */
  reusedBytes: number;
  receivedBytes: number;
  parts: number;
  extras: number;
  skipped: SkippedPath[];
  /** Entries that have another owner than in the snapshot, as the caller asked for. */
  disowned: number;
  wallMs: number;
  degraded: string[];
}

export type RestoreResult = { ok: true; digest: string; stats: RestoreStats } | SnapshotFailure;
