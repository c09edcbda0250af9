/**
 * The proof before a destroy (I1): the manifest is read back and every part that it lists is present with its size and
 * with the SHA-256 that R2 itself verified when it was written. The tree is never parsed here.
 */

import type { StoredManifest } from "../core/lifecycle/snapshot-types.ts";
import type { InstanceId } from "../core/protocol/ids.ts";
import type { SnapshotRef, SnapshotStats } from "../core/protocol/wire.ts";
import { instancePrefix } from "../core/snapshot/store.ts";
import { listAll, readManifest, statsOf } from "./snapshots/manifests.ts";

export interface Whole {
  ok: true;
  ref: SnapshotRef;
  parts: number;
  bytes: number;
  stats: SnapshotStats;
  /** Above 0 only where it may be torn. */
  torn: number;
  manifest: StoredManifest;
}

export type Proof = Whole | { ok: false; retryable: boolean; message: string };

/**
 * `digest`: null where none is known beside the manifest's own. `mayBeTorn`: it is, or was, a checkpoint, whole as it was
 * read; no machine may be destroyed on such a proof.
 */
export async function proveSnapshot(
  bucket: R2Bucket,
  instance: InstanceId,
  wanted: { seq: number; epoch: number; digest: string | null },
  mayBeTorn = false,
): Promise<Proof> {
  try {
    const read = await readManifest(bucket, instance, wanted);
    if (!read.ok) return broken(read.message);
    const { manifest } = read;
    const { seq, epoch, digest } = manifest;
    if (wanted.digest !== null && digest !== wanted.digest)
      return broken("the manifest has another digest than the agent reported");
    const { torn } = manifest.stats;
    if (torn > 0 && !mayBeTorn) return broken(`${torn} entries changed while they were read`);
    const found = await checkParts(bucket, instance, manifest.parts);
    if (!found.ok) return found;
    const stored = { bytes: read.bytes.byteLength, sha256: hex(await crypto.subtle.digest("SHA-256", read.bytes)) };
    return { ...found, ref: { seq, epoch, digest }, stats: statsOf(manifest), torn, manifest: stored };
  } catch (error) {
    // A store that does not answer proves nothing, and says nothing against the snapshot either.
    return { ok: false, retryable: true, message: String(error).slice(0, 300) };
  }
}

async function checkParts(
  bucket: R2Bucket,
  instance: InstanceId,
  parts: { key: string; bytes: number }[],
): Promise<{ ok: true; parts: number; bytes: number } | Extract<Proof, { ok: false }>> {
  const wanted = new Map(parts.map((part) => [part.key, part.bytes]));
  const prefix = `${instancePrefix(instance)}parts/`;
  let bytes = 0;
  let found = 0;
  for await (const object of listAll(bucket, prefix)) {
    const key = object.key.slice(prefix.length);
    const size = wanted.get(key);
    if (size === undefined) continue;
    if (object.size !== size) return broken(`part ${key} has ${object.size} bytes instead of ${size}`);
    if (sha256Of(object) !== key) return broken(`part ${key} has no verified SHA-256`);
    wanted.delete(key);
    bytes += size;
    found++;
  }
  const missing = [...wanted.keys()];
  if (missing.length > 0)
    return broken(`${missing.length} of ${parts.length} parts are missing, the first is ${missing[0]}`);
  return { ok: true, parts: found, bytes };
}

function broken(message: string): Extract<Proof, { ok: false }> {
  return { ok: false, retryable: false, message };
}

/** As R2 verified it at the write; null where it did not. */
export function sha256Of(object: R2Object): string | null {
  const buffer = object.checksums.sha256;
  return buffer ? hex(buffer) : null;
}

function hex(buffer: ArrayBuffer): string {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
