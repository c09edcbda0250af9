/** What the API shows of what is safe: the snapshot that is kept, the recovery point, checkpoints. */
import { nextCheckpointAt } from "../../core/lifecycle/checkpoints.ts";
import { recoveryPoint } from "../../core/lifecycle/recovery.ts";
import type { ProvedSnapshot } from "../../core/lifecycle/snapshot-types.ts";
import type { State } from "../../core/lifecycle/types.ts";
import { type InstanceId, snapshotId } from "../../core/protocol/ids.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import type { Progress } from "../../core/protocol/wire.ts";

export function keptSnapshotView(
  instance: InstanceId,
  { ref, stats, provedAt, kind = "sleep", checkpoint }: ProvedSnapshot,
): NonNullable<InstanceView["snapshot"]> {
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
    kind,
    torn: checkpoint?.torn ?? 0,
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

function iso(at: number): string {
  return new Date(at).toISOString();
}
