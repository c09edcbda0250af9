/**
 * Retention, in the store: the manifests that it lets go first, then the parts that no manifest lists (W4 of FORMAT.md).
 * Parts are younger than the grace while an upload may still need them; before each delete it is asked again whether an
 * agent may write now. What a delete and an upload could still do to each other, the proof before a destroy finds.
 */

import type { LifecycleEvent } from "../../core/lifecycle/events.ts";
import { judgeRetention } from "../../core/lifecycle/retention.ts";
import type { ManifestName, SnapshotKind } from "../../core/lifecycle/snapshot-types.ts";
import type { AutoHibernation } from "../../core/protocol/config.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import { instancePrefix, manifestObjectKey } from "../../core/snapshot/store.ts";
import type { HistoryRow } from "../instance/history.ts";
import { log } from "../log.ts";
import { type ListedManifest, listAll, listManifests, readManifest } from "./manifests.ts";

export interface CollectDeps {
  bucket: R2Bucket;
  instance: InstanceId;
  history(): HistoryRow[];
  retention(): AutoHibernation["retention"];
  /** Asked right before each delete: another instance may have taken hold of one meanwhile. */
  inUse(): ManifestName[];
  /** False as soon as something may be written or read. */
  mayCollect(): boolean;
  graceMs: number;
}

type Collected = Extract<LifecycleEvent, { type: "collected" }>;

const partsAtOnce = 1000;
const readsAtOnce = 4;

/** Errors: throws what the store throws; what was deleted by then stays deleted, and the next look goes on. */
export async function collectSnapshots(deps: CollectDeps): Promise<Collected> {
  const { bucket, instance, graceMs } = deps;
  const done: Collected = { type: "collected", manifests: [], parts: 0, bytes: 0, nextAt: null };
  const listed = await listManifests(bucket, instance);
  const now = Date.now();
  const stored = listed.map((one) => described(one, deps.history()));
  const verdict = judgeRetention(stored, deps.retention(), deps.inUse(), graceMs, now);
  done.nextAt = verdict.nextAt;
  for (const { seq, epoch } of verdict.gone) {
    if (!deps.mayCollect()) return { ...done, nextAt: now };
    if (deps.inUse().some((used) => used.seq === seq && used.epoch === epoch)) continue;
    await bucket.delete(manifestObjectKey(instance, seq, epoch));
    done.manifests.push({ seq, epoch });
  }
  // Of a look that was cut short: they went then.
  for (const { seq, epoch } of deps.history()) {
    const isThere = [...listed, ...deps.inUse()].some((one) => one.seq === seq && one.epoch === epoch);
    if (!isThere) done.manifests.push({ seq, epoch });
  }
  return collectParts(deps, done, now);
}

async function collectParts(deps: CollectDeps, done: Collected, now: number): Promise<Collected> {
  const { bucket, instance, graceMs } = deps;
  const prefix = `${instancePrefix(instance)}parts/`;
  const parts: { key: string; bytes: number; at: number }[] = [];
  for await (const object of listAll(bucket, prefix)) {
    parts.push({ key: object.key.slice(prefix.length), bytes: object.size, at: object.uploaded.getTime() });
  }
  // Listed after the parts, so that one that was written meanwhile is seen.
  const live = new Set<string>();
  const left = await listManifests(bucket, instance);
  for (let i = 0; i < left.length; i += readsAtOnce) {
    const few = await Promise.all(left.slice(i, i + readsAtOnce).map((name) => readManifest(bucket, instance, name)));
    for (const read of few) {
      // What it lists is not known, so no part may go.
      if (!read.ok) {
        log.warn("collect_parts_skipped", { instance, error: read.message });
        return done;
      }
      for (const part of read.manifest.parts) live.add(part.key);
    }
  }
  const unlisted = parts.filter((part) => !live.has(part.key));
  const dead = unlisted.filter((part) => now - part.at >= graceMs);
  const young = unlisted.filter((part) => now - part.at < graceMs).map((part) => part.at + graceMs);
  if (young.length > 0) done.nextAt = Math.min(done.nextAt ?? Number.POSITIVE_INFINITY, ...young);
  for (let i = 0; i < dead.length; i += partsAtOnce) {
    if (!deps.mayCollect()) return { ...done, nextAt: now };
    const few = dead.slice(i, i + partsAtOnce);
    await bucket.delete(few.map((part) => prefix + part.key));
    done.parts += few.length;
    done.bytes += few.reduce((sum, part) => sum + part.bytes, 0);
  }
  return done;
}

/** One from before there was a history is as good as proved: nothing is known against it. */
function described(one: ListedManifest, history: HistoryRow[]) {
  const row = history.find((known) => known.seq === one.seq && known.epoch === one.epoch);
  const oldest = history.at(-1)?.seq ?? Number.POSITIVE_INFINITY;
  const kind: SnapshotKind | null = row ? row.kind : one.seq < oldest ? "sleep" : null;
  return { seq: one.seq, epoch: one.epoch, at: row?.provedAt ?? one.at, kind };
}
