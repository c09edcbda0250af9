/** What is known of an instance's snapshots beside the store: when each was proved, what was found, which ones are damaged. */
import type {
  HistoryEntry,
  ManifestName,
  ProvedSnapshot,
  SnapshotKind,
  StoredManifest,
} from "../../core/lifecycle/snapshot-types.ts";
import type { Whole } from "../proof.ts";

export interface HistoryRow {
  seq: number;
  epoch: number;
  digest: string;
  kind: SnapshotKind;
  /** Epoch ms: of the first proof, and of the newest. */
  provedAt: number;
  verifiedAt: number;
  /** What the newest proof found in the store; null where that was not noted. */
  parts: number | null;
  bytes: number | null;
  stats: ProvedSnapshot["stats"];
  damagedAt: number | null;
  damage: string | null;
  record: SnapshotRecord;
}

/** What else is noted; a field that is absent is not known. */
export interface SnapshotRecord {
  checkpoint?: NonNullable<ProvedSnapshot["checkpoint"]>;
  /** The manifest's bytes as the newest proof found them. */
  manifest?: StoredManifest;
  /** When the workspace, every process stopped, had this digest; and when the machine that went on it was gone. Epoch ms. */
  sealedAt?: number;
  goneAt?: number;
}

/** Only what is known to be one may be torn, and lets no machine be destroyed. */
export function mayBeTorn(row: { kind: SnapshotKind } | undefined): boolean {
  return row?.kind === "checkpoint" || row?.kind === "copy";
}

/** A proof with what is known of the snapshot. `at`: stands for the first proof where that is not known. */
export function provedSnapshot(
  { ref, stats, torn }: Whole,
  row: (Pick<HistoryRow, "kind" | "record"> & { provedAt: number | null }) | undefined,
  at: number,
): ProvedSnapshot {
  const provedAt = row?.provedAt ?? at;
  const checkpoint = row?.record.checkpoint ?? (torn > 0 ? { at: provedAt, torn, tornPaths: [] } : undefined);
  return { ref, stats, provedAt, kind: row?.kind ?? "sleep", ...(checkpoint && { checkpoint }) };
}

export class SnapshotHistory {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  createTable(): void {
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS snapshots (
        seq INTEGER NOT NULL, epoch INTEGER NOT NULL, digest TEXT NOT NULL, kind TEXT NOT NULL,
        proved_at INTEGER NOT NULL, verified_at INTEGER NOT NULL, parts INTEGER, bytes INTEGER, stats TEXT,
        damaged_at INTEGER, damage TEXT, PRIMARY KEY (seq, epoch));
    `);
    const columns = this.#sql.exec("SELECT name FROM pragma_table_info('snapshots')").toArray();
    if (!columns.some((one) => one.name === "record")) this.#sql.exec("ALTER TABLE snapshots ADD COLUMN record TEXT");
  }

  note(entry: HistoryEntry): void {
    switch (entry.op) {
      case "proved":
        this.#noteProved(entry);
        return;
      case "damaged":
        this.#sql.exec(
          "UPDATE snapshots SET damaged_at = ?, damage = ? WHERE seq = ? AND epoch = ?",
          entry.at,
          entry.message,
          entry.ref.seq,
          entry.ref.epoch,
        );
        return;
      case "sealed":
        this.#record(entry.ref, { sealedAt: entry.at });
        return;
      case "relied":
        this.#record(entry.ref, { goneAt: entry.at });
        return;
      case "gone":
        for (const { seq, epoch } of entry.manifests)
          this.#sql.exec("DELETE FROM snapshots WHERE seq = ? AND epoch = ?", seq, epoch);
    }
  }

  #noteProved({ snapshot, parts, bytes, manifest }: Extract<HistoryEntry, { op: "proved" }>): void {
    const { ref, stats, provedAt, kind = "sleep" } = snapshot;
    this.#sql.exec(
      `INSERT INTO snapshots (seq, epoch, digest, kind, proved_at, verified_at, parts, bytes, stats)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (seq, epoch) DO UPDATE SET digest = excluded.digest, verified_at = excluded.verified_at,
         parts = excluded.parts, bytes = excluded.bytes, damaged_at = NULL, damage = NULL`,
      ref.seq,
      ref.epoch,
      ref.digest,
      kind,
      provedAt,
      provedAt,
      parts,
      bytes,
      stats && JSON.stringify(stats),
    );
    const { checkpoint } = snapshot;
    this.#record(ref, { ...(checkpoint && { checkpoint }), ...(manifest && { manifest }) });
  }

  /** Adds to what is noted. */
  #record({ seq, epoch }: ManifestName, more: SnapshotRecord): void {
    this.#sql.exec(
      "UPDATE snapshots SET record = json_patch(coalesce(record, '{}'), ?) WHERE seq = ? AND epoch = ?",
      JSON.stringify(more),
      seq,
      epoch,
    );
  }

  /** Newest first. */
  all(): HistoryRow[] {
    return this.#sql
      .exec("SELECT * FROM snapshots ORDER BY seq DESC, epoch DESC")
      .toArray()
      .map((row) => ({
        seq: row.seq as number,
        epoch: row.epoch as number,
        digest: row.digest as string,
        kind: row.kind as SnapshotKind,
        provedAt: row.proved_at as number,
        verifiedAt: row.verified_at as number,
        parts: row.parts as number | null,
        bytes: row.bytes as number | null,
        stats: row.stats === null ? null : JSON.parse(row.stats as string),
        damagedAt: row.damaged_at as number | null,
        damage: row.damage as string | null,
        record: row.record === null ? {} : JSON.parse(row.record as string),
      }));
  }
}
