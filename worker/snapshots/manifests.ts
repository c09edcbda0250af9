/** The manifests of an instance in the store. */
import type { ManifestName } from "../../core/lifecycle/snapshot-types.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { SnapshotStats } from "../../core/protocol/wire.ts";
import { type Manifest, maxManifestBytes, parseManifest } from "../../core/snapshot/manifest.ts";
import { instancePrefix, manifestObjectKey, parseManifestKey } from "../../core/snapshot/store.ts";

export interface ListedManifest extends ManifestName {
  /** When it was written, the store's clock, epoch ms. */
  at: number;
}

/** Newest first. Errors: throws what the store throws. */
export async function listManifests(bucket: R2Bucket, instance: InstanceId): Promise<ListedManifest[]> {
  const prefix = `${instancePrefix(instance)}manifests/`;
  const found: ListedManifest[] = [];
  for await (const object of listAll(bucket, prefix)) {
    const name = parseManifestKey(object.key.slice(prefix.length));
    if (name) found.push({ ...name, at: object.uploaded.getTime() });
  }
  return found.sort((a, b) => b.seq - a.seq || b.epoch - a.epoch);
}

/** Errors: throws what the store throws. */
export async function* listAll(bucket: R2Bucket, prefix: string): AsyncGenerator<R2Object> {
  let cursor: string | undefined;
  do {
    const page = await bucket.list({ prefix, cursor, limit: 1000 });
    yield* page.objects;
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor);
}

export type ReadManifest = { ok: true; manifest: Manifest; bytes: ArrayBuffer } | { ok: false; message: string };

/** A manifest that is missing or cannot be read is an answer. Errors: throws what the store throws. */
export async function readManifest(
  bucket: R2Bucket,
  instance: InstanceId,
  { seq, epoch }: ManifestName,
): Promise<ReadManifest> {
  const no = (message: string): ReadManifest => ({ ok: false, message });
  const object = await bucket.get(manifestObjectKey(instance, seq, epoch));
  if (!object) return no(`the manifest of snapshot ${seq} is not in the store`);
  if (object.size > maxManifestBytes) return no(`the manifest of snapshot ${seq} is too large`);
  const bytes = await object.arrayBuffer();
  const parsed = parseManifest(new TextDecoder().decode(bytes));
  if (!parsed.ok) return no(`the manifest of snapshot ${seq} cannot be read: ${parsed.message}`);
  const { manifest } = parsed;
  if (manifest.instance !== instance || manifest.seq !== seq || manifest.epoch !== epoch) {
    return no("the manifest belongs to another snapshot");
  }
  return { ok: true, manifest, bytes };
}

export function statsOf({ stats }: Manifest): SnapshotStats {
  const { entries, files, plainBytes, storedBytes, newStoredBytes } = stats;
  return { entries, files, plainBytes, storedBytes, newStoredBytes };
}
