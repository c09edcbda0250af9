/**
 * Gives back the space that lies dead inside living parts: those of which the newest snapshot needs little are made anew
 * from the workspace's own bytes, and a next manifest of the same digest lists the new ones. Nothing is downloaded and
 * nothing deleted: the old parts go by `gc`, when no manifest lists them any more. It is a snapshot like any other, to
 * which the old parts are unknown, so a kill at any moment leaves what a killed snapshot leaves.
 */
import { decodeTreeRoot } from "../../core/snapshot/tree.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import { ChunkReader } from "./chunk-reader.ts";
import type { Unlock } from "./keyring.ts";
import { type LoadedSnapshot, loadSnapshot, loadTree } from "./meta.ts";
import { scanDigest } from "./scan-folder.ts";
import { Reporter } from "./setup.ts";
import { failureOf, Stop } from "./stop.ts";
import { takeSnapshot } from "./take.ts";
import type { SnapshotFailure, TakeOptions, TakeSuccess } from "./types.ts";

const treeReads = 2;

export interface RepackOptions
  extends Omit<TakeOptions, "seq" | "parentSeq" | "encryption" | "expectedDigest" | "forget"> {
  /** The newest snapshot; the new one gets the next number. */
  newest: { seq: number; epoch: number };
  /** Parts of which less than this share is needed are made anew; 0..1. */
  below: number;
  /** Only says what would be done. */
  isDryRun?: boolean;
  /** Asked for the data key of an encrypted snapshot. */
  unlock?: Unlock;
}

export interface SparsePart {
  key: string;
  bytes: number;
  /** Of them, what the snapshot needs: a frame's by its chunks' share of the plain bytes. */
  liveBytes: number;
}

/** `taken`: null where nothing was to be gained, or only asked. */
export type RepackResult = { ok: true; sparse: SparsePart[]; taken: TakeSuccess | null } | SnapshotFailure;

/** Errors of the result: `folder_differs` where the folder is not the newest snapshot any more, and as takeSnapshot. */
export async function repackSnapshot(options: RepackOptions): Promise<RepackResult> {
  const { newest, below, isDryRun, unlock, ...common } = options;
  const { root, id, store, stateDir, onProgress, signal } = options;
  try {
    const reporter = new Reporter(onProgress);
    reporter.phase("tree");
    const snapshot = await loadSnapshot(store, id, newest.seq, newest.epoch, signal, unlock);
    const { manifest, keyring } = snapshot;
    const live = await liveIds(snapshot, options);
    const sparse = findSparse(snapshot.index, live, below);
    if (sparse.length === 0) return { ok: true, sparse, taken: null };
    const { dataKey } = keyring;
    const { digest, excludes, encryption } = manifest;
    // Asked before a byte is sent, and once more by the snapshot itself.
    const key = dataKey ? { dataKey } : {};
    const scan = await scanDigest({ root, id, stateDir, excludes, ...key, ...withSignal(signal) });
    if (!scan.ok) return scan;
    if (scan.digest !== digest || scan.torn > 0) throw folderDiffers(id, newest.seq);
    if (isDryRun) return { ok: true, sparse, taken: null };
    const taken = await takeSnapshot({
      ...common,
      seq: newest.seq + 1,
      parentSeq: newest.seq,
      excludes,
      ...(dataKey && encryption ? { encryption: { dataKey, wrapped: encryption } } : {}),
      expectedDigest: digest,
      forget: new Set(sparse.map((part) => part.key)),
    });
    if (taken.ok) return { ok: true, sparse, taken };
    return taken.code === "folder_differs" ? failureOf(folderDiffers(id, newest.seq)) : taken;
  } catch (error) {
    return failureOf(error);
  }
}

function folderDiffers(id: string, seq: number): Stop {
  const message = `The folder is not what ${id}@${seq} holds; take a snapshot of it first, then repack.`;
  return new Stop("folder_differs", message, false);
}

const withSignal = (signal: AbortSignal | undefined) => (signal ? { signal } : {});

/** Ids of all chunks of the files and of the tree, and of their bases. */
async function liveIds(snapshot: LoadedSnapshot, { store, signal }: RepackOptions): Promise<Set<string>> {
  const chunks = new ChunkReader(store, snapshot, signal);
  const live = new Set([chunks.rootId]);
  for (const chunk of decodeTreeRoot(await chunks.root()).chunks) live.add(chunk.id);
  await loadTree(store, snapshot, treeReads, signal, (entry) => {
    if (entry.type !== "f") return;
    for (const { id } of entry.chunks) {
      live.add(id);
      for (const base of snapshot.index.frameOf(id)!.bases) live.add(base);
    }
  });
  return live;
}

/** A chunk that lies in several parts counts in the one that the index names. */
function findSparse(index: ChunkIndex, live: Set<string>, below: number): SparsePart[] {
  const sparse: SparsePart[] = [];
  for (const [n, { key, bytes, frames }] of index.parts.entries()) {
    let liveBytes = 0;
    let storedBytes = 0;
    for (const frame of frames) {
      let plainBytes = 0;
      for (const chunk of frame.chunks)
        if (live.has(chunk.id) && index.partOf(chunk.id) === n) plainBytes += chunk.plainBytes;
      liveBytes += (frame.storedBytes * plainBytes) / frame.plainBytes;
      storedBytes += frame.storedBytes;
    }
    if (liveBytes < below * storedBytes) sparse.push({ key, bytes, liveBytes: Math.round(liveBytes) });
  }
  return sparse;
}
