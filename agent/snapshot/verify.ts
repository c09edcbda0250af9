/** Proves a stored snapshot: every part has the bytes of its name, every chunk its id, and the tree needs nothing else. */
import { decodePart, openFrame } from "../../core/snapshot/part.ts";
import type { SnapshotStore } from "../../core/snapshot/store.ts";
import { Breather } from "./breather.ts";
import { forEachInFlight, Gate } from "./in-flight.ts";
import { fetchPart, loadSnapshot, loadTree } from "./meta.ts";
import { nodePrimitives } from "./primitives.ts";
import { Reporter } from "./setup.ts";
import { failureOf, Stop } from "./stop.ts";
import { scanDigest } from "./take.ts";
import type { OnProgress, SnapshotFailure } from "./types.ts";

export interface VerifyOptions {
  id: string;
  seq: number;
  epoch: number;
  store: SnapshotStore;
  concurrency?: number;
  /** Also: that this folder equals the snapshot. Needs `stateDir`. */
  root?: string;
  stateDir?: string;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

export type VerifyResult =
  | { ok: true; digest: string; entries: number; parts: number; storedBytes: number; plainBytes: number; torn: number }
  | SnapshotFailure;

export async function verifySnapshot(options: VerifyOptions): Promise<VerifyResult> {
  const { id, seq, epoch, store, concurrency = 32, signal } = options;
  const reporter = new Reporter(options.onProgress);
  const { progress } = reporter;
  try {
    reporter.phase("tree");
    const snapshot = await loadSnapshot(store, id, seq, epoch, signal);
    const { manifest, index } = snapshot;
    const entries = await loadTree(store, snapshot, concurrency, signal);
    const storedBytes = manifest.parts.reduce((sum, part) => sum + part.bytes, 0);
    Object.assign(progress, { entries: entries.length, partsTotal: manifest.parts.length, storedBytes });

    reporter.phase("parts");
    const decoding = new Gate(2);
    const breather = new Breather(signal);
    await forEachInFlight(manifest.parts, concurrency, async ({ key, bytes: size }) => {
      const bytes = await fetchPart(store, id, key, size, signal);
      await decoding.run(async () => {
        const { table } = await decodePart(bytes, nodePrimitives);
        for (const frame of table.frames) {
          await openFrame(bytes.subarray(frame.offset, frame.offset + frame.storedBytes), frame, nodePrimitives);
          progress.doneBytes += frame.plainBytes;
          if (breather.due) await breather.rest();
        }
      });
      progress.sentBytes += size;
      progress.partsDone++;
      reporter.step();
    });
    const indexed = index.parts.length + manifest.segments.length;
    if (indexed < manifest.parts.length)
      throw new Stop("snapshot_damaged", "The manifest lists parts that no segment describes.", false);
    await checkFolder(options, manifest.digest, manifest.excludes);
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
  }
}

async function checkFolder(options: VerifyOptions, digest: string, excludes: string[]): Promise<void> {
  const { root, stateDir, id, signal } = options;
  if (root === undefined || stateDir === undefined) return;
  const scan = await scanDigest({ root, stateDir, id, excludes, signal });
  if (!scan.ok) throw new Stop(scan.code, scan.message, scan.retryable, scan.paths);
  if (scan.digest !== digest) throw new Stop("folder_differs", "The folder differs from the snapshot.", false);
}
