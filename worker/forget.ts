/**
 * Deletes superseded checkpoints: their manifests first, then the parts that no manifest lists any more (W4 of
 * core/snapshot/FORMAT.md). A snapshot that is made meanwhile and had found such a part in the store is not proved, and
 * the next one sends the part again; so that this is rare, nothing is deleted while one is on its way.
 */
import type { StoredCheckpoint } from "../core/lifecycle/checkpoint-state.ts";
import type { InstanceId } from "../core/protocol/ids.ts";
import { maxManifestBytes, parseManifest } from "../core/snapshot/manifest.ts";
import { instancePrefix, manifestObjectKey, partObjectKey } from "../core/snapshot/store.ts";

/** R2 takes so many keys in one call. */
const keysPerDelete = 1000;

/** Those that are gone now, with all that they alone needed; none where the store fails or `mayBegin` says no. */
export async function forgetSnapshots(
  bucket: R2Bucket,
  instance: InstanceId,
  refs: readonly StoredCheckpoint[],
  mayBegin: () => boolean,
): Promise<StoredCheckpoint[]> {
  try {
    const keys = refs.map(({ seq, epoch }) => manifestObjectKey(instance, seq, epoch));
    const unused = new Set<string>();
    for (const key of keys) for (const part of (await partsOf(bucket, key)) ?? []) unused.add(part);
    for (const key of await manifestsOf(bucket, instance)) {
      if (keys.includes(key)) continue;
      const parts = await partsOf(bucket, key);
      // What cannot be read may list anything.
      if (!parts) return [];
      for (const part of parts) unused.delete(part);
    }
    if (!mayBegin()) return [];
    await bucket.delete(keys);
    const parts = [...unused].map((part) => partObjectKey(instance, part));
    // From here on nothing lists them: what is not deleted now would stay.
    for (let i = 0; i < parts.length; i += keysPerDelete) await bucket.delete(parts.slice(i, i + keysPerDelete));
    return [...refs];
  } catch (error) {
    console.error(JSON.stringify({ event: "forget_failed", instance, error: String(error).slice(0, 300) }));
    return [];
  }
}

async function manifestsOf(bucket: R2Bucket, instance: InstanceId): Promise<string[]> {
  const prefix = `${instancePrefix(instance)}manifests/`;
  const keys: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await bucket.list({ prefix, cursor });
    keys.push(...page.objects.map((object) => object.key));
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor);
  return keys;
}

/** Empty where there is no manifest; null where there is one that cannot be read. */
async function partsOf(bucket: R2Bucket, key: string): Promise<string[] | null> {
  const object = await bucket.get(key);
  if (!object) return [];
  if (object.size > maxManifestBytes) return null;
  const parsed = parseManifest(await object.text());
  return parsed.ok ? parsed.manifest.parts.map((part) => part.key) : null;
}
