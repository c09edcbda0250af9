/** The rows of an instance's past beside its state: days of its series, and since when it was what. */
import type { StatusWord } from "../../core/lifecycle/abilities.ts";
import { type DayOfSeries, dayMs, seriesDays } from "../../core/lifecycle/series.ts";

export interface PhaseRow {
  /** Epoch ms; it lasts until the next. */
  at: number;
  status: StatusWord;
}

/** What one save takes along. */
export interface SeriesEntries {
  /** Of the newest steps; null: as they were. */
  bytes: Uint8Array<ArrayBuffer> | null;
  days: DayOfSeries[];
  phases: PhaseRow[];
}

export interface Mark {
  at: number;
  type: string;
  actor: string;
}

/** So many rows of the log are looked at for marks, and no more. */
const mostLogRows = 5_000;

export class SeriesRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Idempotent, and no row is written where all is there: called at each start of an object. */
  createTables(): void {
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS series_days (slot INTEGER PRIMARY KEY, day INTEGER NOT NULL, bytes BLOB NOT NULL);
      CREATE TABLE IF NOT EXISTS phases (at INTEGER PRIMARY KEY, status TEXT NOT NULL);
    `);
    // The last column, so that the rest of the row is read without it.
    if (!this.#hasColumn()) this.#sql.exec("ALTER TABLE instance ADD COLUMN series BLOB");
  }

  /** Asked in a way that reads no row: each start of an object asks it. */
  #hasColumn(): boolean {
    try {
      this.#sql.exec("SELECT series FROM instance WHERE 0").toArray();
      return true;
    } catch {
      return false;
    }
  }

  newest(): Uint8Array | null {
    const row = this.#sql.exec("SELECT series FROM instance WHERE id = 1").toArray()[0];
    return row?.series ? new Uint8Array(row.series as ArrayBuffer) : null;
  }

  /** Within the transaction of the state that they belong to; the newest steps are in its row. */
  write({ days, phases }: SeriesEntries): void {
    for (const { day, bytes } of days) {
      // A slot is used again once its day is too old to be shown.
      this.#sql.exec(
        `INSERT INTO series_days (slot, day, bytes) VALUES (?, ?, ?)
         ON CONFLICT (slot) DO UPDATE SET day = excluded.day, bytes = excluded.bytes`,
        day % (seriesDays + 2),
        day,
        bytes.buffer,
      );
    }
    for (const { at, status } of phases) {
      this.#sql.exec(
        "INSERT INTO phases (at, status) VALUES (?, ?) ON CONFLICT (at) DO UPDATE SET status = excluded.status",
        at,
        status,
      );
      this.#sql.exec(
        "DELETE FROM phases WHERE at < (SELECT MAX(at) FROM phases WHERE at <= ?)",
        at - seriesDays * dayMs,
      );
    }
  }

  /** From the day of this moment on, ascending. */
  days(fromAt: number): DayOfSeries[] {
    return this.#sql
      .exec("SELECT day, bytes FROM series_days WHERE day >= ? ORDER BY day", Math.floor(fromAt / dayMs))
      .toArray()
      .map((row) => ({ day: row.day as number, bytes: new Uint8Array(row.bytes as ArrayBuffer) }));
  }

  hasPhases(): boolean {
    return this.#sql.exec("SELECT at FROM phases LIMIT 1").toArray().length > 0;
  }

  /** Ascending; the first is the one that holds at `fromAt`, where that is known. */
  phases(fromAt: number): PhaseRow[] {
    return this.#sql
      .exec(
        "SELECT at, status FROM phases WHERE at >= coalesce((SELECT MAX(at) FROM phases WHERE at <= ?), 0) ORDER BY at",
        fromAt,
      )
      .toArray() as unknown as PhaseRow[];
  }

  /** The newest so many of these types since then, oldest first. */
  marks(fromAt: number, types: ReadonlySet<string>, most: number): Mark[] {
    const marks: Mark[] = [];
    // Newest first, and no further than needed: the log has no index by time, and grows for ever.
    const rows = this.#sql.exec("SELECT at, type, actor FROM log ORDER BY seq DESC LIMIT ?", mostLogRows);
    for (const row of rows.toArray() as unknown as Mark[]) {
      if (row.at < fromAt || marks.length === most) break;
      if (types.has(row.type)) marks.push(row);
    }
    return marks.reverse();
  }
}
