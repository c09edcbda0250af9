/**
 * What those who asked for something are called. A row is written when a person asks for the first time, or under another
 * name. The table is made with the first of them, and is no step of forward.ts: a version that does not know it loses nothing.
 */
import type { UserId } from "../../core/protocol/ids.ts";

export class People {
  readonly #sql: SqlStorage;
  #names: Map<string, string> | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  note(id: UserId, name: string): void {
    const names = this.#all();
    if (names.get(id) === name) return;
    this.#sql.exec("CREATE TABLE IF NOT EXISTS people (id TEXT PRIMARY KEY, name TEXT NOT NULL)");
    this.#sql.exec("INSERT OR REPLACE INTO people (id, name) VALUES (?, ?)", id, name);
    names.set(id, name);
  }

  /** Of an actor as the log has it; null for one that is no person, or who was never named. */
  nameOf(actor: string): string | null {
    return actor.startsWith("user:") ? (this.#all().get(actor.slice("user:".length)) ?? null) : null;
  }

  #all(): Map<string, string> {
    this.#names ??= this.#read();
    return this.#names;
  }

  #read(): Map<string, string> {
    try {
      const rows = this.#sql.exec("SELECT id, name FROM people").toArray();
      return new Map(rows.map(({ id, name }) => [id as string, name as string]));
    } catch {
      // There is no table yet.
      return new Map();
    }
  }
}
