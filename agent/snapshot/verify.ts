/** Proves a stored snapshot: every part has the bytes of its name, every chunk its id, and the tree needs nothing else. */
import { ByteWriter } from "../../core/snapshot/bytes.ts";
import type { Manifest } from "../../core/snapshot/manifest.ts";
import { decodeHeader, encodeFrames, type FrameInfo } from "../../core/snapshot/part.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import type { SnapshotStore } from "../../core/snapshot/store.ts";
import { BaseFrames } from "./base-frames.ts";
import { CoderPool, ownBytes } from "./coder-pool.ts";
import { forEachInFlight, partLanes } from "./in-flight.ts";
import type { Keyring, Unlock } from "./keyring.ts";
import { getPart, loadSnapshot, loadTree, partDamaged } from "./meta.ts";
import { scanDigest } from "./scan-folder.ts";
import { Reporter } from "./setup.ts";
import { failureOf, Stop, throwIfAborted } from "./stop.ts";
import type { OnProgress, SnapshotFailure } from "./types.ts";

const treeReads = 2;
/** With bases, of one part: each is about 6 MiB with what it needs. */
const framesAtOnce = 2;

export interface VerifyOptions {
  id: string;
  seq: number;
  epoch: number;
  store: SnapshotStore;
  concurrency?: number;
  /** Also: that this folder equals the snapshot. Needs `stateDir`. */
  root?: string;
  stateDir?: string;
  /** Asked for the data key of an encrypted snapshot; without it that ends in `key_missing`. */
  unlock?: Unlock;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

export type VerifyResult =
  | { ok: true; digest: string; entries: number; parts: number; storedBytes: number; plainBytes: number; torn: number }
  | SnapshotFailure;

export async function verifySnapshot(options: VerifyOptions): Promise<VerifyResult> {
  const { id, seq, epoch, store, concurrency, unlock, signal } = options;
  const reporter = new Reporter(options.onProgress);
  const coders = new CoderPool();
  const { progress } = reporter;
  try {
    reporter.phase("tree");
    const snapshot = await loadSnapshot(store, id, seq, epoch, signal, unlock);
    const { manifest, index, keyring } = snapshot;
    coders.dataKey = keyring.dataKey;
    const storedBytes = manifest.parts.reduce((sum, part) => sum + part.bytes, 0);
    Object.assign(progress, { partsTotal: manifest.parts.length, storedBytes });
    reporter.phase("parts");
    const described = new Map(index.parts.map((part) => [part.key, part]));
    const largest = Math.max(1, ...manifest.parts.map((part) => part.bytes));
    const baseFrames = new BaseFrames({ store, id, index, keyring, signal });
    const reading = forEachInFlight(
      manifest.parts,
      partLanes(store, concurrency, largest, coders),
      async ({ key, bytes }) => {
        const part = described.get(key);
        progress.doneBytes += await verifyPart(options, coders, baseFrames, key, bytes, part ?? null);
        progress.sentBytes += bytes;
        progress.partsDone++;
        reporter.step();
      },
    );
    // The tree is looked at while the threads are busy with the parts; the first to fail ends both.
    const onEntry = () => {
      progress.entries++;
    };
    const [entries] = await Promise.all([loadTree(store, snapshot, treeReads, signal, onEntry), reading]);
    const indexed = index.parts.length + manifest.segments.length;
    if (indexed < manifest.parts.length)
      throw new Stop("snapshot_damaged", "The manifest lists parts that no segment describes.", false);
    await checkFolder(options, manifest, keyring);
    reporter.phase("done");
    const { plainBytes, torn } = manifest.stats;
    return {
      ok: true,
      digest: manifest.digest,
      entries: entries.length,
      parts: manifest.parts.length,
      storedBytes,
      plainBytes,
      torn,
    };
  } catch (error) {
    return failureOf(error);
  } finally {
    await coders.close();
  }
}

/** Wrong bytes are asked for once more. Returns how many plain bytes the part holds. */
async function verifyPart(
  { store, id, signal }: VerifyOptions,
  coders: CoderPool,
  baseFrames: BaseFrames,
  key: string,
  size: number,
  part: IndexedPart | null,
): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    throwIfAborted(signal);
    const bytes = ownBytes(await getPart(store, id, key, signal));
    try {
      if (bytes.length !== size) throw partDamaged(key);
      const frames = part ? framesOf(part) : null;
      const { plainBytes, rest } = await coders.run({ kind: "verify", bytes, key, frames });
      return plainBytes + (rest && part ? await verifyBased(coders, baseFrames, rest, part.frames) : 0);
    } catch (error) {
      if (attempt === 2 || !(error instanceof Stop) || error.code !== "part_damaged") throw error;
    }
  }
}

/** A frame whose bases this snapshot does not list is of no use to it: that its bytes are right is known already. */
async function verifyBased(
  coders: CoderPool,
  baseFrames: BaseFrames,
  bytes: Uint8Array,
  frames: FrameInfo[],
): Promise<number> {
  const { open } = decodeHeader(bytes, baseFrames.cipher);
  const based = [...frames.entries()].filter(([, frame]) => frame.bases.length > 0 && baseFrames.has(frame));
  let plainBytes = 0;
  await forEachInFlight(based, framesAtOnce, async ([n, frame]) => {
    const stored = open(n, bytes.subarray(frame.offset, frame.offset + frame.storedBytes));
    const joined = await baseFrames.join(frame, stored);
    plainBytes += (await coders.run({ kind: "check", ...joined })).plainBytes;
  });
  return plainBytes;
}

function framesOf(part: IndexedPart): Uint8Array {
  const writer = new ByteWriter(4096);
  encodeFrames(writer, part.frames);
  return writer.finish();
}

async function checkFolder(
  options: VerifyOptions,
  { digest, excludes }: Manifest,
  { dataKey }: Keyring,
): Promise<void> {
  const { root, stateDir, id, signal } = options;
  if (root === undefined || stateDir === undefined) return;
  const scan = await scanDigest({ root, stateDir, id, excludes, signal, ...(dataKey ? { dataKey } : {}) });
  if (!scan.ok) throw new Stop(scan.code, scan.message, scan.retryable, scan.paths);
  if (scan.digest !== digest) throw new Stop("folder_differs", "The folder differs from the snapshot.", false);
}
