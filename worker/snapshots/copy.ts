/**
 * Brings a snapshot of another instance into the place of this one: parts first, each under the hash that the store
 * verifies, then the manifest under this instance's name, then the proof. Some parts at a time; what is here already is
 * not copied again, so that it goes on wherever it was cut off.
 */

import type { LifecycleEvent } from "../../core/lifecycle/events.ts";
import type { Copying, ManifestName } from "../../core/lifecycle/snapshot-types.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import { formatManifest, type Manifest } from "../../core/snapshot/manifest.ts";
import { instancePrefix, manifestObjectKey, partObjectKey } from "../../core/snapshot/store.ts";
import { proveSnapshot, sha256Of } from "../proof.ts";
import { listAll, readManifest, statsOf } from "./manifests.ts";

/** Of one call: a part has up to 64 MiB, and each is two requests to the store. */
const partsPerCall = 200;
const partsAtOnce = 4;

type CopyEvent = Extract<LifecycleEvent, { type: "copied" | "copyFailed" }>;

export async function copySnapshot(
  bucket: R2Bucket,
  instance: InstanceId,
  from: Copying["from"],
  to: ManifestName,
): Promise<CopyEvent> {
  try {
    const read = await readManifest(bucket, from.instance, from.ref);
    if (!read.ok) return failed(read.message);
    const { manifest } = read;
    if (manifest.digest !== from.ref.digest) return failed("its manifest has another digest than was known");
    const missing = await missingParts(bucket, instance, manifest);
    const batch = missing.slice(0, partsPerCall);
    for (let i = 0; i < batch.length; i += partsAtOnce) {
      const few = batch.slice(i, i + partsAtOnce).map((part) => copyPart(bucket, from.instance, instance, part));
      const bad = (await Promise.all(few)).find((message) => message !== null);
      if (bad) return failed(bad);
    }
    const partsTotal = manifest.parts.length;
    const parts = partsTotal - missing.length + batch.length;
    if (parts < partsTotal) return { type: "copied", parts, partsTotal, done: null };
    return await finish(bucket, instance, manifest, to);
  } catch (error) {
    return { type: "copyFailed", retryable: true, message: String(error).slice(0, 300) };
  }
}

/** Those that are not here with their size and their verified hash. */
async function missingParts(bucket: R2Bucket, instance: InstanceId, manifest: Manifest): Promise<Manifest["parts"]> {
  const prefix = `${instancePrefix(instance)}parts/`;
  const here = new Map<string, number>();
  for await (const object of listAll(bucket, prefix)) {
    const key = object.key.slice(prefix.length);
    if (sha256Of(object) === key) here.set(key, object.size);
  }
  return manifest.parts.filter((part) => here.get(part.key) !== part.bytes);
}

/** What is wrong with it; null when it is here now. */
async function copyPart(
  bucket: R2Bucket,
  from: InstanceId,
  to: InstanceId,
  { key, bytes }: Manifest["parts"][number],
): Promise<string | null> {
  const object = await bucket.get(partObjectKey(from, key));
  if (!object) return `part ${key} is not in the store`;
  if (object.size !== bytes) {
    await object.body.cancel();
    return `part ${key} has ${object.size} bytes instead of ${bytes}`;
  }
  try {
    await bucket.put(partObjectKey(to, key), object.body, { sha256: key });
    return null;
  } catch (error) {
    // R2 tells by a number that the bytes have another hash.
    if (String(error).includes("(10037)")) return `part ${key} does not hold the bytes of its name`;
    throw error;
  }
}

async function finish(
  bucket: R2Bucket,
  instance: InstanceId,
  manifest: Manifest,
  to: ManifestName,
): Promise<CopyEvent> {
  const own = formatManifest({ ...manifest, ...to, instance, parent: null });
  await bucket.put(manifestObjectKey(instance, to.seq, to.epoch), own, { onlyIf: { etagDoesNotMatch: "*" } });
  const ref = { ...to, digest: manifest.digest };
  // What it was copied from was proved; a checkpoint's copy lacks what the checkpoint lacks.
  const proof = await proveSnapshot(bucket, instance, ref, true);
  if (!proof.ok) return { type: "copyFailed", retryable: proof.retryable, message: proof.message };
  const done = { ref, stats: statsOf(manifest), provedAt: Date.now(), kind: "copy" as const };
  return { type: "copied", parts: proof.parts, partsTotal: manifest.parts.length, done };
}

function failed(message: string): CopyEvent {
  return { type: "copyFailed", retryable: false, message };
}
