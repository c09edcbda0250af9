/**
 * The proof before a destroy (I1): the manifest is read back and every part that it lists is present with its size and
 * with the SHA-256 that R2 itself verified when it was written. The tree is never parsed here.
 */

import type { ProofFacts } from "../core/lifecycle/types.ts";
import type { InstanceId } from "../core/protocol/ids.ts";
import type { SnapshotRef } from "../core/protocol/wire.ts";
import { maxManifestBytes, parseManifest } from "../core/snapshot/manifest.ts";
import { instancePrefix, manifestObjectKey } from "../core/snapshot/store.ts";

export type Proof = { ok: true; facts: ProofFacts } | { ok: false; retryable: boolean; message: string };

/** `mayBeTorn`: it is a checkpoint, complete as it was read, and lets no machine be destroyed. */
export async function proveSnapshot(
  bucket: R2Bucket,
  instance: InstanceId,
  ref: SnapshotRef,
  mayBeTorn = false,
): Promise<Proof> {
  try {
    const object = await bucket.get(manifestObjectKey(instance, ref.seq, ref.epoch));
    if (!object) return broken(`the manifest of snapshot ${ref.seq} is not in the store`);
    if (object.size > maxManifestBytes) return broken(`the manifest of snapshot ${ref.seq} is too large`);
    const bytes = await object.arrayBuffer();
    const parsed = parseManifest(new TextDecoder().decode(bytes));
    if (!parsed.ok) return broken(`the manifest of snapshot ${ref.seq} cannot be read: ${parsed.message}`);
    const manifest = parsed.manifest;
    if (manifest.instance !== instance || manifest.seq !== ref.seq || manifest.epoch !== ref.epoch) {
      return broken("the manifest belongs to another snapshot");
    }
    if (manifest.digest !== ref.digest) return broken("the manifest has another digest than the agent reported");
    if (manifest.stats.torn > 0 && !mayBeTorn)
      return broken(`${manifest.stats.torn} entries changed while they were read`);
    const checked = await checkParts(bucket, instance, manifest.parts);
    if ("ok" in checked) return checked;
    const manifestSha256 = hex(await crypto.subtle.digest("SHA-256", bytes)) ?? "";
    return { ok: true, facts: { ...checked, manifestBytes: bytes.byteLength, manifestSha256 } };
  } catch (error) {
    // A store that does not answer proves nothing, and says nothing against the snapshot either.
    return { ok: false, retryable: true, message: String(error).slice(0, 300) };
  }
}

async function checkParts(
  bucket: R2Bucket,
  instance: InstanceId,
  parts: { key: string; bytes: number }[],
): Promise<{ parts: number; partBytes: number } | Extract<Proof, { ok: false }>> {
  const wanted = new Map(parts.map((part) => [part.key, part.bytes]));
  const prefix = `${instancePrefix(instance)}parts/`;
  let cursor: string | undefined;
  let bytes = 0;
  let found = 0;
  do {
    const page = await bucket.list({ prefix, cursor, limit: 1000 });
    for (const object of page.objects) {
      const key = object.key.slice(prefix.length);
      const size = wanted.get(key);
      if (size === undefined) continue;
      if (object.size !== size) return broken(`part ${key} has ${object.size} bytes instead of ${size}`);
      if (hex(object.checksums.sha256) !== key) return broken(`part ${key} has no verified SHA-256`);
      wanted.delete(key);
      bytes += size;
      found++;
    }
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor);
  const missing = [...wanted.keys()];
  if (missing.length > 0)
    return broken(`${missing.length} of ${parts.length} parts are missing, the first is ${missing[0]}`);
  return { parts: found, partBytes: bytes };
}

function broken(message: string): Extract<Proof, { ok: false }> {
  return { ok: false, retryable: false, message };
}

function hex(buffer: ArrayBuffer | undefined): string | null {
  if (!buffer) return null;
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
