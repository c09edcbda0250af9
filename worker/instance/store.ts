/** The rows of one instance in its object's own SQLite. Every method is synchronous; `commit` is one transaction. */

import type { Span } from "../../core/lifecycle/books.ts";
import type { WorldEffect } from "../../core/lifecycle/events.ts";
import type { Sample } from "../../core/lifecycle/idle.ts";
import { addInterval, type PaidInterval } from "../../core/lifecycle/ledger.ts";
import type { HistoryEntry } from "../../core/lifecycle/snapshot-types.ts";
import type { State } from "../../core/lifecycle/types.ts";
import type { SignalSince } from "../../core/lifecycle/why.ts";
import { fillConfig } from "../../core/protocol/config.ts";
import { MachineAccounts } from "./accounts.ts";
import { type BookEntries, BookRows } from "./book-rows.ts";
import { moveForward, refuseNewer } from "./forward.ts";
import type { GateRow } from "./gate.ts";
import { SnapshotHistory } from "./history.ts";
import { People } from "./people.ts";
import { type SeriesEntries, SeriesRows } from "./series-rows.ts";

/** What must be done outside: an effect of the lifecycle, a copy to the read model, or that its owner is told. */
export type OutboxTask = WorldEffect | { kind: "mirrorStatus" } | { kind: "mirrorEvents" } | { kind: "queueNotices" };
/** `world` asks the provider, `store` works on the snapshots, `mirror` copies to D1, `notice` queues notices: none waits for another. */
export type Lane = "world" | "store" | "mirror" | "notice";
/** How far the log is copied, and how far it was looked through for notices. */
export type LogReader = "mirrored" | "noticed";

export interface OutboxRow {
  id: number;
  task: OutboxTask;
  lane: Lane;
  attempts: number;
  nextAt: number;
}

export interface LogRow {
  seq: number;
  at: number;
  type: string;
  actor: string;
  gpuUtilization: number | null;
  snapshotSeq: number | null;
  params: Record<string, string | number | boolean | null>;
}

export interface Saved {
  state: State;
  samples: Samples;
  /** Grows with each save that is not an ordinary heartbeat. */
  version: number;
  savedAt: number;
}

export interface Samples {
  /** The machine that they are of. */
  epoch: number;
  /** Ascending, on the worker's clock. */
  ring: Sample[];
  /** The agent process that `lastN` counts. */
  bootId: string | null;
  lastN: number;
  /** When a beat last said "busy", epoch ms. */
  lastActivityAt: number | null;
  /** When an agent was last heard, epoch ms. Absent in rows of before. */
  heardAt?: number;
  /** Since when each signal has said what it says. */
  since?: SignalSince;
}

export interface Commit {
  saved: Saved;
  logs: Omit<LogRow, "seq">[];
  tasks: OutboxTask[];
  charges: PaidInterval[];
  books?: BookEntries;
  series?: SeriesEntries;
  history?: HistoryEntry[];
  /** Rows that this commit completes. */
  done?: number[];
}

/** Of the state itself: what is added to it may be absent, what changes its meaning is a version. */
const stateVersion: State["v"] = 1;

function laneOf({ kind }: OutboxTask): Lane {
  if (kind === "mirrorStatus" || kind === "mirrorEvents") return "mirror";
  if (kind === "queueNotices") return "notice";
  // What may take long; a proof is waited for by a machine that costs.
  return kind === "copy" || kind === "collect" || kind === "salvage" ? "store" : "world";
}

export class InstanceStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly books: BookRows;
  readonly history: SnapshotHistory;
  readonly series: SeriesRows;
  readonly accounts: MachineAccounts;
  readonly people: People;
  /** How often the ledger was added to, since this began. */
  charges = 0;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.books = new BookRows(storage.sql);
    this.history = new SnapshotHistory(storage.sql);
    this.series = new SeriesRows(storage.sql);
    this.accounts = new MachineAccounts(storage.sql);
    this.people = new People(storage.sql);
  }

  /** Called once an instance is born here: an object that was only asked about keeps no table. */
  createTables(): void {
    moveForward(this.#storage, [() => this.#firstTables(), () => this.accounts.createTable()]);
  }

  /** Also from what was written before there were versions, whatever it lacks. */
  #firstTables(): void {
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS instance (
        id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL, samples TEXT NOT NULL,
        version INTEGER NOT NULL, saved_at INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS log (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, type TEXT NOT NULL, actor TEXT NOT NULL,
        gpu_utilization REAL, snapshot_seq INTEGER, params TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL, lane TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, next_at INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS mirrored (id INTEGER PRIMARY KEY CHECK (id = 1), log_seq INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS noticed (id INTEGER PRIMARY KEY CHECK (id = 1), log_seq INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS gate (id INTEGER PRIMARY KEY CHECK (id = 1), row TEXT NOT NULL);
    `);
    this.#createLedger();
    this.books.createTables();
    this.history.createTable();
    this.series.createTables();
  }

  /** Objects of before have `ledger`, with one interval for each machine. */
  #createLedger(): void {
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS paid (
        epoch INTEGER NOT NULL, from_at INTEGER NOT NULL, to_at INTEGER, micro_usd_per_hour INTEGER,
        disk_micro_usd_per_hour INTEGER, is_disk INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (epoch, from_at));
    `);
    if (this.#hasTable("ledger")) {
      this.#sql.exec(
        "INSERT OR IGNORE INTO paid SELECT epoch, from_at, to_at, micro_usd_per_hour, NULL, 0 FROM ledger",
      );
      this.#sql.exec("DROP TABLE ledger");
    }
  }

  loadGate(): GateRow | null {
    const row = this.#hasTable("gate") ? this.#sql.exec("SELECT row FROM gate").toArray()[0] : undefined;
    return row ? (JSON.parse(row.row as string) as GateRow) : null;
  }

  saveGate(row: GateRow): void {
    this.#sql.exec("INSERT OR REPLACE INTO gate (id, row) VALUES (1, ?)", JSON.stringify(row));
  }

  #hasTable(name: string): boolean {
    const query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?";
    return this.#sql.exec(query, name).toArray().length > 0;
  }

  /** @throws AppError state_of_newer_version: by code that knows more than this. */
  load(): Saved | null {
    if (!this.#hasTable("instance")) return null;
    this.createTables();
    const row = this.#sql.exec("SELECT state, samples, version, saved_at FROM instance WHERE id = 1").toArray()[0];
    if (!row) return null;
    const state = JSON.parse(row.state as string) as State;
    refuseNewer(state.v, stateVersion);
    return {
      state: { ...state, config: fillConfig(state.config) },
      samples: JSON.parse(row.samples as string),
      version: row.version as number,
      savedAt: row.saved_at as number,
    };
  }

  /** `series`: null leaves it as it was. */
  save(saved: Saved, series: Uint8Array<ArrayBuffer> | null = null): void {
    this.#sql.exec(
      `INSERT INTO instance (id, state, samples, version, saved_at, series) VALUES (1, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET state = excluded.state, samples = excluded.samples,
         version = excluded.version, saved_at = excluded.saved_at, series = coalesce(excluded.series, series)`,
      JSON.stringify(saved.state),
      JSON.stringify(saved.samples),
      saved.version,
      saved.savedAt,
      series?.buffer ?? null,
    );
  }

  /** State, log, outbox and ledger in one transaction: none of them can be there without the others. */
  commit(commit: Commit): void {
    this.#storage.transactionSync(() => {
      this.save(commit.saved, commit.series?.bytes);
      for (const id of commit.done ?? []) this.deleteTask(id);
      for (const row of commit.logs) {
        this.#sql.exec(
          "INSERT INTO log (at, type, actor, gpu_utilization, snapshot_seq, params) VALUES (?, ?, ?, ?, ?, ?)",
          row.at,
          row.type,
          row.actor,
          row.gpuUtilization,
          row.snapshotSeq,
          JSON.stringify(row.params),
        );
      }
      for (const charge of commit.charges) this.#addCharge(charge);
      if (commit.books) this.books.write(commit.books);
      if (commit.series) this.series.write(commit.series);
      for (const entry of commit.history ?? []) this.history.note(entry);
      for (const task of commit.tasks) this.#addTask(task, commit.saved.savedAt);
    });
  }

  dueTasks(lane: Lane, now: number): OutboxRow[] {
    return this.#sql
      .exec(
        "SELECT id, task, lane, attempts, next_at FROM outbox WHERE lane = ? AND next_at <= ? ORDER BY id",
        lane,
        now,
      )
      .toArray()
      .map((row) => ({
        id: row.id as number,
        task: JSON.parse(row.task as string),
        lane: row.lane as Lane,
        attempts: row.attempts as number,
        nextAt: row.next_at as number,
      }));
  }

  nextTaskAt(): number | null {
    const row = this.#sql.exec("SELECT MIN(next_at) AS at FROM outbox").one();
    return row.at as number | null;
  }

  /** Written before the call goes out: a row that was tried and is still here was cut off in the middle. */
  markTried(id: number, retryAt: number): void {
    this.#sql.exec("UPDATE outbox SET attempts = attempts + 1, next_at = ? WHERE id = ?", retryAt, id);
  }

  deleteTask(id: number): void {
    this.#sql.exec("DELETE FROM outbox WHERE id = ?", id);
  }

  lastTaskId(): number {
    return (this.#sql.exec("SELECT MAX(id) AS id FROM outbox").one().id as number | null) ?? 0;
  }

  /** Copies that waited while one like them was made: it holds what they would have told. */
  deleteLike(task: OutboxTask, upToId: number): void {
    this.#sql.exec("DELETE FROM outbox WHERE task = ? AND id <= ?", JSON.stringify(task), upToId);
  }

  logAfter(seq: number, limit: number): LogRow[] {
    return this.#sql.exec("SELECT * FROM log WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit).toArray().map(toLogRow);
  }

  readTo(reader: LogReader): number {
    const row = this.#sql.exec(`SELECT log_seq FROM ${reader} WHERE id = 1`).toArray()[0];
    return (row?.log_seq as number | undefined) ?? 0;
  }

  setReadTo(reader: LogReader, seq: number): void {
    this.#sql.exec(
      `INSERT INTO ${reader} (id, log_seq) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET log_seq = excluded.log_seq`,
      seq,
    );
  }

  ledger(): PaidInterval[] {
    return this.#paid("TRUE");
  }

  ledgerOf(epoch: number): PaidInterval[] {
    return this.#paid("epoch = ?", epoch);
  }

  /** Of all epochs before this one. */
  ledgerBefore(epoch: number): PaidInterval[] {
    return this.#paid("epoch < ?", epoch);
  }

  ledgerSince(epoch: number): PaidInterval[] {
    return this.#paid("epoch >= ?", epoch);
  }

  /** What was paid in the span, and all of these epochs. */
  ledgerWithin({ fromAt, toAt }: Span, epochs: readonly number[]): PaidInterval[] {
    const isOfThese = epochs.map(() => "epoch = ? OR ").join("");
    const isWithin = "(from_at < ? AND (to_at IS NULL OR to_at > ?))";
    return this.#paid(`${isOfThese}${isWithin}`, ...epochs, toAt, fromAt);
  }

  #paid(where: string, ...values: number[]): PaidInterval[] {
    return this.#sql
      .exec(
        `SELECT epoch, from_at, to_at, micro_usd_per_hour, disk_micro_usd_per_hour, is_disk FROM paid
         WHERE ${where} ORDER BY epoch, from_at`,
        ...values,
      )
      .toArray()
      .map((row) => ({
        epoch: row.epoch as number,
        fromAt: row.from_at as number,
        toAt: row.to_at as number | null,
        microUsdPerHour: row.micro_usd_per_hour as number | null,
        diskMicroUsdPerHour: row.disk_micro_usd_per_hour as number | null,
        ...(row.is_disk === 1 && { isDisk: true as const }),
      }));
  }

  #addCharge(charge: PaidInterval): void {
    this.charges++;
    const all = addInterval(this.ledgerOf(charge.epoch), charge);
    this.#sql.exec("DELETE FROM paid WHERE epoch = ?", charge.epoch);
    for (const { epoch, fromAt, toAt, microUsdPerHour, diskMicroUsdPerHour = null, isDisk } of all) {
      const values = [epoch, fromAt, toAt, microUsdPerHour, diskMicroUsdPerHour, isDisk ? 1 : 0];
      this.#sql.exec(
        `INSERT INTO paid (epoch, from_at, to_at, micro_usd_per_hour, disk_micro_usd_per_hour, is_disk)
         VALUES (?, ?, ?, ?, ?, ?)`,
        ...values,
      );
    }
  }

  #addTask(task: OutboxTask, now: number): void {
    const json = JSON.stringify(task);
    const lane = laneOf(task);
    if (lane === "mirror" || lane === "notice") {
      // One that still waits and was not begun will carry the newest state anyway.
      const waiting = this.#sql.exec("SELECT id FROM outbox WHERE task = ? AND attempts = 0", json).toArray();
      if (waiting.length > 0) return;
    }
    this.#sql.exec("INSERT INTO outbox (task, lane, next_at) VALUES (?, ?, ?)", json, lane, now);
  }
}

function toLogRow(row: Record<string, SqlStorageValue>): LogRow {
  return {
    seq: row.seq as number,
    at: row.at as number,
    type: row.type as string,
    actor: row.actor as string,
    gpuUtilization: row.gpu_utilization as number | null,
    snapshotSeq: row.snapshot_seq as number | null,
    params: JSON.parse(row.params as string),
  };
}
