/** What the API shows of what is safe: the recovery point, checkpoints, and the record of each proof. */
import { nextCheckpointAt } from "../../core/lifecycle/checkpoints.ts";
import { recoveryPoint } from "../../core/lifecycle/recovery.ts";
import type { ProvedSnapshot, State } from "../../core/lifecycle/types.ts";
import { type InstanceId, snapshotId } from "../../core/protocol/ids.ts";
import type { InstanceView, SnapshotView } from "../../core/protocol/views.ts";
import type { Progress } from "../../core/protocol/wire.ts";
import type { LogRow } from "./store.ts";

export function keptSnapshotView(
  instance: InstanceId,
  { ref, stats, provedAt, checkpoint }: ProvedSnapshot,
): SnapshotView {
  return {
    snapshot_id: snapshotId(instance, ref.seq),
    seq: ref.seq,
    epoch: ref.epoch,
    digest: ref.digest,
    created_at: iso(checkpoint?.at ?? provedAt),
    plain_bytes: stats?.plainBytes ?? null,
    stored_bytes: stats?.storedBytes ?? null,
    entries: stats?.entries ?? null,
    parts: null,
    proved_at: iso(provedAt),
    kind: checkpoint ? "checkpoint" : "snapshot",
    torn: checkpoint?.torn ?? 0,
    proof: null,
  };
}

export function recoveryPointView(state: State, now: number): InstanceView["recovery_point"] {
  const isAtRisk = ["running", "snapshotting", "unreachable"].includes(state.now.status);
  const point = isAtRisk ? recoveryPoint(state) : null;
  if (!point) return null;
  const { kind, ref, at, torn, tornPaths } = point;
  const ageSeconds = Math.max(0, now - at) / 1000;
  const id = snapshotId(state.instance, ref.seq);
  return { kind, snapshot_id: id, at: iso(at), age_seconds: ageSeconds, torn, torn_paths: tornPaths };
}

export function checkpointsView(state: State, progress: Progress | null): InstanceView["checkpoints"] {
  const { checkpoint, now } = state;
  const isRunning = now.status === "running" && checkpoint?.epoch === now.machine.epoch;
  const work = isRunning ? checkpoint.work : null;
  const nextAt = nextCheckpointAt(state);
  const failure = isRunning ? checkpoint.failure : null;
  return {
    next_at: nextAt === null ? null : iso(nextAt),
    running_since: work ? iso(work.since) : null,
    progress: work ? progressView(progress) : null,
    failure: failure && {
      code: failure.code,
      message: failure.message,
      at: iso(failure.at),
      tries: checkpoint?.fails ?? 0,
    },
  };
}

export function progressView(progress: Progress | null): InstanceView["progress"] {
  return (
    progress && {
      phase: progress.phase,
      done_bytes: progress.doneBytes,
      plain_bytes: progress.plainBytes,
      stored_bytes: progress.storedBytes,
      sent_bytes: progress.sentBytes,
      parts_done: progress.partsDone,
      parts_total: progress.partsTotal,
    }
  );
}

/** Kinds of lines in the event log that are the record of a proof. */
export const proofLogTypes = [
  "snapshot_proved",
  "checkpoint_taken",
  "sealed",
  "hibernated",
  "snapshot_verified",
  "snapshot_damaged",
] as const;

export interface ProofRecord {
  seq: number;
  kind: SnapshotView["kind"];
  proof: NonNullable<SnapshotView["proof"]>;
}

/** `rows`: ascending, of these types alone. */
export function proofRecords(rows: LogRow[]): ProofRecord[] {
  const records = new Map<number, ProofRecord>();
  for (const { at, type, snapshotSeq, params } of rows) {
    if (snapshotSeq === null) continue;
    if (type === "snapshot_proved" || type === "checkpoint_taken") {
      const kind = type === "snapshot_proved" ? "snapshot" : "checkpoint";
      records.set(snapshotSeq, { seq: snapshotSeq, kind, proof: begun(at, params) });
    }
    const proof = records.get(snapshotSeq)?.proof;
    if (!proof) continue;
    if (type === "sealed") proof.sealed_at = iso(at);
    if (type === "hibernated") proof.machine_gone_at = iso(typeof params.ended_at === "number" ? params.ended_at : at);
    if (type === "snapshot_verified") proof.verified_at = iso(at);
    if (type === "snapshot_damaged") proof.damaged_at = iso(at);
  }
  return [...records.values()];
}

function begun(at: number, params: LogRow["params"]): ProofRecord["proof"] {
  const number = (name: string) => (typeof params[name] === "number" ? params[name] : null);
  const text = (name: string) => (typeof params[name] === "string" ? params[name] : null);
  return {
    checked_at: iso(at),
    digest: text("digest") ?? "",
    parts: number("parts"),
    part_bytes: number("part_bytes"),
    manifest_bytes: number("manifest_bytes"),
    manifest_sha256: text("manifest_sha256"),
    sealed_at: null,
    machine_gone_at: null,
    verified_at: null,
    damaged_at: null,
  };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
