/** The history of an instance's snapshots: what the store holds, with what is known of each. */
import type { ProvedSnapshot } from "../../core/lifecycle/snapshot-types.ts";
import { type InstanceId, snapshotId } from "../../core/protocol/ids.ts";
import type { SnapshotView } from "../../core/protocol/views.ts";
import type { HistoryRow } from "../instance/history.ts";
import { type ListedManifest, listManifests, readManifest } from "./manifests.ts";

const most = 100;
/** A manifest may have megabytes, and they are all held at once. */
const readsAtOnce = 4;

interface Known {
  rows: HistoryRow[];
  current: ProvedSnapshot | null;
}

/** The newest hundred, newest first. One whose manifest cannot be read is shown as damaged, not left out. */
export async function pastSnapshots(bucket: R2Bucket, instance: InstanceId, known: Known): Promise<SnapshotView[]> {
  const listed = (await listManifests(bucket, instance)).slice(0, most);
  const views: SnapshotView[] = [];
  for (let i = 0; i < listed.length; i += readsAtOnce) {
    const few = listed.slice(i, i + readsAtOnce).map((one) => pastSnapshot(bucket, instance, one, known));
    views.push(...(await Promise.all(few)));
  }
  return views;
}

async function pastSnapshot(
  bucket: R2Bucket,
  instance: InstanceId,
  { seq, epoch, at }: ListedManifest,
  { rows, current }: Known,
): Promise<SnapshotView> {
  const row = rows.find((one) => one.seq === seq && one.epoch === epoch) ?? null;
  const read = await readManifest(bucket, instance, { seq, epoch });
  const manifest = read.ok ? read.manifest : null;
  const stats = manifest?.stats ?? row?.stats ?? null;
  const isCurrent = current?.ref.seq === seq && current.ref.epoch === epoch;
  const provedAt = row?.provedAt ?? (isCurrent ? current.provedAt : null);
  const digest = manifest?.digest ?? row?.digest ?? "";
  const damage = read.ok ? null : { at: iso(Date.now()), message: read.message };
  return {
    snapshot_id: snapshotId(instance, seq),
    seq,
    epoch,
    kind: row?.kind ?? (isCurrent ? (current.kind ?? "sleep") : null),
    is_current: isCurrent,
    digest,
    created_at: iso(manifest?.createdAt ?? at),
    proved_at: provedAt === null ? null : iso(provedAt),
    plain_bytes: stats?.plainBytes ?? null,
    stored_bytes: stats?.storedBytes ?? null,
    new_stored_bytes: stats?.newStoredBytes ?? null,
    entries: stats?.entries ?? null,
    files: stats?.files ?? null,
    parts: manifest?.parts.length ?? row?.parts ?? null,
    torn: manifest?.stats.torn ?? row?.record.checkpoint?.torn ?? null,
    proof: row && proofView(row),
    damaged: row?.damagedAt != null ? { at: iso(row.damagedAt), message: row.damage ?? "" } : damage,
  };
}

function proofView({ verifiedAt, parts, bytes, digest, record }: HistoryRow): NonNullable<SnapshotView["proof"]> {
  const { manifest, sealedAt, goneAt } = record;
  return {
    at: iso(verifiedAt),
    digest,
    parts,
    bytes,
    manifest_bytes: manifest?.bytes ?? null,
    manifest_sha256: manifest?.sha256 ?? null,
    sealed_at: sealedAt === undefined ? null : iso(sealedAt),
    machine_gone_at: goneAt === undefined ? null : iso(goneAt),
  };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
