/** The rows of the books beside the ledger's: what was moved, what was stored, each cycle. */
import type { Moved, Span, Stored } from "../../core/lifecycle/books.ts";
import type { Cycle } from "../../core/lifecycle/cycles.ts";

export interface BookEntries {
  /** Added to what the quarter and the epoch have. */
  moved: Moved[];
  /** Written only where it differs from the newest. */
  stored: Stored | null;
  /** As it stands now; what it does not know any more stays as it was. */
  cycle: Cycle | null;
}

const everything: Span = { fromAt: 0, toAt: Number.MAX_SAFE_INTEGER };

export class BookRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Idempotent; `paid` is there. */
  createTables(): void {
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS moved (
        at INTEGER NOT NULL, epoch INTEGER NOT NULL, up_bytes INTEGER NOT NULL, down_bytes INTEGER NOT NULL,
        class_a INTEGER NOT NULL, class_b INTEGER NOT NULL, up_micro_usd_per_gb INTEGER, down_micro_usd_per_gb INTEGER,
        PRIMARY KEY (at, epoch)) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS stored (from_at INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS cycle (
        slept_at INTEGER PRIMARY KEY, epoch INTEGER, asked INTEGER NOT NULL, micro_usd_per_hour INTEGER,
        woken_at INTEGER, ready_at INTEGER, ready_epoch INTEGER, ended_at INTEGER);
    `);
    const columns = this.#sql.exec("SELECT name FROM pragma_table_info('paid')").toArray();
    if (!columns.some(({ name }) => name === "disk_micro_usd_per_hour"))
      this.#sql.exec("ALTER TABLE paid ADD COLUMN disk_micro_usd_per_hour INTEGER");
    if (!columns.some(({ name }) => name === "is_disk"))
      this.#sql.exec("ALTER TABLE paid ADD COLUMN is_disk INTEGER NOT NULL DEFAULT 0");
  }

  /** Within the transaction of the state that they belong to. */
  write({ moved, stored, cycle }: BookEntries): void {
    for (const one of moved) this.#addMoved(one);
    if (stored && this.#bytesNow() !== stored.bytes) {
      this.#sql.exec(
        "INSERT INTO stored (from_at, bytes) VALUES (?, ?) ON CONFLICT (from_at) DO UPDATE SET bytes = excluded.bytes",
        stored.fromAt,
        stored.bytes,
      );
    }
    if (cycle) this.#putCycle(cycle);
  }

  #bytesNow(): number | undefined {
    return this.#sql.exec("SELECT bytes FROM stored ORDER BY from_at DESC LIMIT 1").toArray()[0]?.bytes as
      | number
      | undefined;
  }

  #addMoved(one: Moved): void {
    this.#sql.exec(
      `INSERT INTO moved (at, epoch, up_bytes, down_bytes, class_a, class_b, up_micro_usd_per_gb, down_micro_usd_per_gb)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (at, epoch) DO UPDATE SET up_bytes = up_bytes + excluded.up_bytes,
         down_bytes = down_bytes + excluded.down_bytes, class_a = class_a + excluded.class_a,
         class_b = class_b + excluded.class_b,
         up_micro_usd_per_gb = COALESCE(up_micro_usd_per_gb, excluded.up_micro_usd_per_gb),
         down_micro_usd_per_gb = COALESCE(down_micro_usd_per_gb, excluded.down_micro_usd_per_gb)`,
      one.at,
      one.epoch,
      one.upBytes,
      one.downBytes,
      one.classA,
      one.classB,
      one.upMicroUsdPerGb,
      one.downMicroUsdPerGb,
    );
  }

  #putCycle(cycle: Cycle): void {
    this.#sql.exec(
      `INSERT INTO cycle (slept_at, epoch, asked, micro_usd_per_hour, woken_at, ready_at, ready_epoch, ended_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (slept_at) DO UPDATE SET epoch = COALESCE(epoch, excluded.epoch),
         micro_usd_per_hour = COALESCE(micro_usd_per_hour, excluded.micro_usd_per_hour), woken_at = excluded.woken_at,
         ready_at = excluded.ready_at, ready_epoch = excluded.ready_epoch, ended_at = excluded.ended_at`,
      cycle.sleptAt,
      cycle.epoch,
      cycle.asked ? 1 : 0,
      cycle.microUsdPerHour,
      cycle.wokenAt,
      cycle.readyAt,
      cycle.readyEpoch,
      cycle.endedAt,
    );
  }

  /** Of the quarters that begin within the span; of all without. */
  moved(span: Span | null): Moved[] {
    const { fromAt, toAt } = span ?? everything;
    return this.#sql
      .exec("SELECT * FROM moved WHERE at >= ? AND at < ? ORDER BY at, epoch", fromAt, toAt)
      .toArray()
      .map((row) => ({
        at: row.at as number,
        epoch: row.epoch as number,
        upBytes: row.up_bytes as number,
        downBytes: row.down_bytes as number,
        classA: row.class_a as number,
        classB: row.class_b as number,
        upMicroUsdPerGb: row.up_micro_usd_per_gb as number | null,
        downMicroUsdPerGb: row.down_micro_usd_per_gb as number | null,
      }));
  }

  /** From what was there as the span began, to the newest; all without. */
  stored(span: Span | null): Stored[] {
    return this.#sql
      .exec(
        `SELECT from_at, bytes FROM stored
         WHERE from_at >= COALESCE((SELECT MAX(from_at) FROM stored WHERE from_at <= ?), 0) ORDER BY from_at`,
        span?.fromAt ?? 0,
      )
      .toArray()
      .map((row) => ({ fromAt: row.from_at as number, bytes: row.bytes as number }));
  }

  /** Of which the beginning, the end or anything between lies within the span; all without. */
  cycles(span: Span | null): Cycle[] {
    const { fromAt, toAt } = span ?? everything;
    return this.#sql
      .exec(
        `SELECT * FROM cycle WHERE slept_at < ? AND MAX(slept_at, COALESCE(ready_at, ended_at, ?)) >= ?
         ORDER BY slept_at`,
        toAt,
        everything.toAt,
        fromAt,
      )
      .toArray()
      .map((row) => ({
        sleptAt: row.slept_at as number,
        epoch: row.epoch as number | null,
        asked: row.asked === 1,
        microUsdPerHour: row.micro_usd_per_hour as number | null,
        wokenAt: row.woken_at as number | null,
        readyAt: row.ready_at as number | null,
        readyEpoch: row.ready_epoch as number | null,
        endedAt: row.ended_at as number | null,
      }));
  }
}
