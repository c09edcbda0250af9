/** In place of a snapshot that is damaged: the newest other one that verifies. */
import type { LifecycleEvent } from "../../core/lifecycle/events.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { SnapshotRef } from "../../core/protocol/wire.ts";
import { type HistoryRow, mayBeTorn, provedSnapshot } from "../instance/history.ts";
import { proveSnapshot } from "../proof.ts";
import { listManifests } from "./manifests.ts";

export async function salvage(
  bucket: R2Bucket,
  instance: InstanceId,
  damaged: SnapshotRef,
  history: HistoryRow[],
): Promise<LifecycleEvent> {
  let tried = 0;
  try {
    for (const { seq, epoch, at } of await listManifests(bucket, instance)) {
      if (seq === damaged.seq && epoch === damaged.epoch) continue;
      const row = history.find((one) => one.seq === seq && one.epoch === epoch);
      const wanted = { seq, epoch, digest: row?.digest ?? null };
      const proof = await proveSnapshot(bucket, instance, wanted, mayBeTorn(row));
      if (proof.ok) return { type: "salvaged", damaged, found: provedSnapshot(proof, row, at), tried };
      // One that cannot be looked at now may be the newest that is whole: an older one must not take its place.
      if (proof.retryable) return { type: "proofFailed", ref: damaged, retryable: true, message: proof.message };
      tried++;
    }
    return { type: "salvaged", damaged, found: null, tried };
  } catch (error) {
    return { type: "proofFailed", ref: damaged, retryable: true, message: String(error).slice(0, 300) };
  }
}
