/** What those who asked for something are called. A row is written when a person asks for the first time, or under another name. */
import type { UserId } from "../../core/protocol/ids.ts";

export class People {
  readonly #sql: SqlStorage;
  #names: Map<string, string> | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  createTable(): void {
    this.#sql.exec("CREATE TABLE IF NOT EXISTS people (id TEXT PRIMARY KEY, name TEXT NOT NULL)");
  }

  note(id: UserId, name: string): void {
    if (this.#all().get(id) === name) return;
    this.#sql.exec("INSERT OR REPLACE INTO people (id, name) VALUES (?, ?)", id, name);
    this.#all().set(id, name);
  }

  /** Of an actor as the log has it; null for one that is no person, or who was never named. */
  nameOf(actor: string): string | null {
    return actor.startsWith("user:") ? (this.#all().get(actor.slice("user:".length)) ?? null) : null;
  }

  #all(): Map<string, string> {
    this.#names ??= new Map(
      this.#sql
        .exec("SELECT id, name FROM people")
        .toArray()
        .map((row) => [row.id as string, row.name as string]),
    );
    return this.#names;
  }
}
