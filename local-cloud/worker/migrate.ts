/** The steps of migrations/ that a local database has not taken yet, noted where `wrangler d1 migrations apply` notes them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Miniflare } from "miniflare";

type Database = Awaited<ReturnType<Miniflare["getD1Database"]>>;

const table = `CREATE TABLE IF NOT EXISTS d1_migrations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)`;

/** Errors: what the database says of a step; the steps before it are taken and noted, of this one nothing is. */
export async function migrate(database: Database, folder: string): Promise<void> {
  await database.prepare(table).run();
  const { results } = await database.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  const taken = new Set(results.map(({ name }) => name));
  for (const name of migrationsIn(folder)) {
    if (taken.has(name)) continue;
    const statements = readFileSync(join(folder, name), "utf8").split("--> statement-breakpoint");
    const steps = statements.map((statement) => database.prepare(statement));
    // One batch is one transaction.
    await database.batch([...steps, database.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name)]);
  }
}

/** In their order. */
export function migrationsIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .sort();
}
