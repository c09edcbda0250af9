/**
 * Deletes what no snapshot needs (W4): old manifests first, then the parts that no manifest lists and that are older than
 * the time of grace, since a younger one may belong to an upload in flight. Parts are listed before manifests, and those
 * that are written meanwhile are looked for before each few parts that go: a snapshot of now may need an old part again.
 * It looks for its parts once more itself, after its manifest is there.
 */
import type { Manifest } from "../../core/snapshot/manifest.ts";
import {
  instancePrefix,
  manifestObjectKey,
  parseObjectKey,
  type SnapshotStore,
  type StoreObject,
} from "../../core/snapshot/store.ts";
import { forEachInFlight } from "./in-flight.ts";
import { readManifest } from "./meta.ts";
import { Stop, throwIfAborted } from "./stop.ts";

export interface GcOptions {
  store: SnapshotStore;
  id: string;
  /** How many of the newest snapshots stay; null: all. */
  keep: number | null;
  /** Parts that no manifest lists stay for so long. */
  graceMs: number;
  isDryRun: boolean;
  /** Epoch milliseconds. */
  now: number;
  signal?: AbortSignal;
  onDelete?: (object: { kind: "manifest" | "part"; name: string; bytes: number }) => void;
}

export interface GcResult {
  manifestsKept: number;
  manifestsDeleted: number;
  partsKept: number;
  /** Not listed, but too young to delete; counted in `partsKept` as well. */
  partsInGrace: number;
  partsDeleted: number;
  bytesKept: number;
  bytesDeleted: number;
}

/** Between two looks at the manifests. */
const deletesAtOnce = 16;

interface Named {
  seq: number;
  epoch: number;
  bytes: number;
}

/** Errors: Stop, StoreError. Nothing is deleted when any manifest cannot be read. */
export async function collectGarbage(options: GcOptions): Promise<GcResult> {
  const { store, id, keep, graceMs, isDryRun, now, signal, onDelete } = options;
  const parts = await listAll(store, `${instancePrefix(id)}parts/`, signal);
  if (parts.some((object) => object.modifiedMs === null))
    throw new Stop("gc_not_possible", "The store does not tell how old its parts are; it collects by itself.", false);
  const before = await loadManifests(store, id, signal);
  const all = before.named;
  const old = keep === null ? [] : all.slice(0, Math.max(0, all.length - keep));
  const live = new Set<string>();
  for (const snapshot of all.slice(old.length)) for (const key of before.partsOf(snapshot)) live.add(key);

  for (const { seq, epoch, bytes } of old) {
    throwIfAborted(signal);
    if (!isDryRun) await store.delete(manifestObjectKey(id, seq, epoch), { signal });
    onDelete?.({ kind: "manifest", name: `${id}@${seq}`, bytes });
  }

  const result: GcResult = {
    manifestsKept: all.length - old.length,
    manifestsDeleted: old.length,
    partsKept: 0,
    partsInGrace: 0,
    partsDeleted: 0,
    bytesKept: 0,
    bytesDeleted: old.reduce((sum, { bytes }) => sum + bytes, 0),
  };
  const dead: { object: StoreObject; sha256: string }[] = [];
  for (const object of parts) {
    const name = parseObjectKey(object.key);
    if (name?.kind !== "part") continue;
    const isListed = live.has(name.sha256);
    const isYoung = !isListed && now - object.modifiedMs! < graceMs;
    if (isListed || isYoung) {
      result.partsKept++;
      result.bytesKept += object.bytes;
      if (isYoung) result.partsInGrace++;
    } else dead.push({ object, sha256: name.sha256 });
  }
  for (let from = 0; from < dead.length; from += deletesAtOnce) {
    const newer = isDryRun ? new Set<string>() : await partsOfNewManifests(store, id, all, signal);
    await forEachInFlight(dead.slice(from, from + deletesAtOnce), deletesAtOnce, async ({ object, sha256 }) => {
      throwIfAborted(signal);
      if (newer.has(sha256)) {
        result.partsKept++;
        result.bytesKept += object.bytes;
        return;
      }
      if (!isDryRun) await store.delete(object.key, { signal });
      result.partsDeleted++;
      result.bytesDeleted += object.bytes;
      onDelete?.({ kind: "part", name: sha256, bytes: object.bytes });
    });
  }
  return result;
}

async function listAll(store: SnapshotStore, prefix: string, signal: AbortSignal | undefined): Promise<StoreObject[]> {
  const objects: StoreObject[] = [];
  for await (const object of store.list(prefix, { signal })) objects.push(object);
  return objects;
}

async function listManifests(store: SnapshotStore, id: string, signal: AbortSignal | undefined): Promise<Named[]> {
  const named: Named[] = [];
  for (const { key, bytes } of await listAll(store, `${instancePrefix(id)}manifests/`, signal)) {
    const name = parseObjectKey(key);
    if (name?.kind === "manifest") named.push({ seq: name.seq, epoch: name.epoch, bytes });
  }
  return named.sort((a, b) => a.seq - b.seq || a.epoch - b.epoch);
}

async function loadManifests(store: SnapshotStore, id: string, signal: AbortSignal | undefined) {
  const named = await listManifests(store, id, signal);
  const parts = new Map<Named, string[]>();
  await forEachInFlight(named, 8, async (snapshot) => {
    const { manifest } = await readManifest(store, id, snapshot.seq, snapshot.epoch, signal);
    parts.set(snapshot, keysOf(manifest));
  });
  return { named, partsOf: (snapshot: Named) => parts.get(snapshot)! };
}

async function partsOfNewManifests(
  store: SnapshotStore,
  id: string,
  known: Named[],
  signal: AbortSignal | undefined,
): Promise<Set<string>> {
  const seen = new Set(known.map(({ seq, epoch }) => `${seq}-${epoch}`));
  const keys = new Set<string>();
  for (const { seq, epoch } of await listManifests(store, id, signal)) {
    if (seen.has(`${seq}-${epoch}`)) continue;
    const { manifest } = await readManifest(store, id, seq, epoch, signal);
    for (const key of keysOf(manifest)) keys.add(key);
  }
  return keys;
}

function keysOf(manifest: Manifest): string[] {
  return manifest.parts.map((part) => part.key);
}
