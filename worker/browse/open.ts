/** Finds a snapshot of an instance by its number and opens it for looking into. */
import type { ManifestName, ProvedSnapshot } from "../../core/lifecycle/snapshot-types.ts";
import { AppError } from "../../core/protocol/errors.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import { instancePrefix, maxSeq, parseManifestKey } from "../../core/snapshot/store.ts";
import type { HistoryRow } from "../instance/history.ts";
import { readManifest } from "../snapshots/manifests.ts";
import { Parts, type Requests } from "./parts.ts";
import { Segments } from "./segments.ts";
import { Tree } from "./tree.ts";
import { unavailable } from "./unavailable.ts";

export interface Known {
  rows: HistoryRow[];
  current: ProvedSnapshot | null;
}

export interface Snapshot {
  parts: Parts;
  segments: Segments;
  tree: Tree;
}

/**
 * Errors: snapshot_not_found, snapshot_encrypted, snapshot_damaged (as such or as a FormatError), snapshot_too_large,
 * storage_unavailable.
 */
export async function openSnapshot(
  bucket: R2Bucket,
  instance: InstanceId,
  seq: number,
  known: Known,
  requests: Requests,
): Promise<Snapshot> {
  const name = await findManifest(bucket, instance, seq, known, requests);
  requests.spend();
  const read = await readManifest(bucket, instance, name).catch(unavailable);
  if (!read.ok) throw new AppError("snapshot_damaged", { snapshot: seq, detail: read.message });
  const { manifest } = read;
  if (manifest.encryption) throw new AppError("snapshot_encrypted", { snapshot: seq });
  const parts = new Parts(bucket, instance, manifest, requests);
  const segments = new Segments(parts, manifest.segments);
  return { parts, segments, tree: await Tree.open(parts, segments, manifest) };
}

/** Two machines may both have written this number: then the one that is known of counts, else the newer machine's. */
async function findManifest(
  bucket: R2Bucket,
  instance: InstanceId,
  seq: number,
  { rows, current }: Known,
  requests: Requests,
): Promise<ManifestName> {
  if (seq < 1 || seq > maxSeq) throw new AppError("snapshot_not_found", { snapshot: seq });
  const folder = `${instancePrefix(instance)}manifests/`;
  requests.spend();
  const { objects } = await bucket
    .list({ prefix: `${folder}${String(seq).padStart(8, "0")}-`, limit: 1000 })
    .catch(unavailable);
  const stored = objects.flatMap(({ key }) => parseManifestKey(key.slice(folder.length)) ?? []);
  stored.sort((a, b) => b.epoch - a.epoch);
  const isStored = (one: ManifestName) => stored.some(({ epoch }) => one.seq === seq && one.epoch === epoch);
  const found = (current && isStored(current.ref) ? current.ref : rows.find(isStored)) ?? stored[0];
  if (!found) throw new AppError("snapshot_not_found", { snapshot: seq });
  return { seq, epoch: found.epoch };
}
