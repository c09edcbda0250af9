/** Finds one of an instance's snapshots by its number, keeps retention off it, and proves it before anything is built on it. */
import type { Hold, ProvedSnapshot } from "../../core/lifecycle/snapshot-types.ts";
import type { State } from "../../core/lifecycle/types.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import { proveSnapshot } from "../proof.ts";
import { listManifests } from "../snapshots/manifests.ts";
import type { Answer } from "./answer.ts";
import { type HistoryRow, mayBeTorn, provedSnapshot } from "./history.ts";

export interface LendHost {
  bucket: R2Bucket;
  state(): State;
  history(): HistoryRow[];
  hold(hold: Hold): void;
}

/** `seq`: null for the current one. The hold stays; who asked ends it. Errors: snapshot_not_found, snapshot_damaged, storage_unavailable. */
export async function lendSnapshot(
  host: LendHost,
  { by, seq, forMs }: { by: InstanceId; seq: number | null; forMs: number },
): Promise<Answer<{ snapshot: ProvedSnapshot }>> {
  const { instance } = host.state();
  const wanted = await find(host, seq).catch(() => "unavailable" as const);
  if (wanted === "unavailable") return { ok: false, code: "storage_unavailable", context: { retryAfterMs: 1_000 } };
  if (!wanted) return { ok: false, code: "snapshot_not_found", context: seq === null ? {} : { snapshot: seq } };
  const hold = (until: number, digest: string) =>
    host.hold({ by, ref: { seq: wanted.seq, epoch: wanted.epoch, digest }, until });
  // Held before it is looked at, so that what was found whole is still there afterwards.
  hold(Date.now() + forMs, wanted.digest ?? "");
  const proof = await proveSnapshot(host.bucket, instance, wanted, mayBeTorn(wanted));
  if (!proof.ok) {
    hold(0, wanted.digest ?? "");
    return proof.retryable
      ? { ok: false, code: "storage_unavailable", context: { retryAfterMs: 1_000 } }
      : { ok: false, code: "snapshot_damaged", context: { snapshot: wanted.seq, detail: proof.message } };
  }
  return { ok: true, snapshot: provedSnapshot(proof, wanted, Date.now()) };
}

async function find(host: LendHost, seq: number | null) {
  const current = host.state().snapshot;
  if (current && (seq === null || current.ref.seq === seq)) {
    const { ref, provedAt, kind = "sleep" as const, checkpoint } = current;
    return { ...ref, provedAt, kind, record: checkpoint ? { checkpoint } : {} };
  }
  if (seq === null) return null;
  const row = host.history().find((one) => one.seq === seq);
  if (row) return row;
  // One of before there was a history.
  const { instance } = host.state();
  const found = (await listManifests(host.bucket, instance)).find((one) => one.seq === seq);
  return found ? { ...found, digest: null, provedAt: null, kind: "sleep" as const, record: {} } : null;
}
