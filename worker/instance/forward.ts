/**
 * Versions of the tables in an instance's object. They go forward alone: each step brings a version to the next, all in one
 * transaction with the number itself. A step that was released stays as it is; what changes later is another step.
 */
import { AppError } from "../../core/protocol/errors.ts";

/** Brings version i, its place in the list, to i + 1. */
export type Step = () => void;

/**
 * Version 0 is everything that was written before there were versions, and nothing at all.
 * @throws AppError state_of_newer_version: nothing was read or changed but the number.
 */
export function moveForward(storage: DurableObjectStorage, steps: readonly Step[]): void {
  const from = versionOf(storage.sql);
  if (from === steps.length) return;
  refuseNewer(from, steps.length);
  storage.transactionSync(() => {
    for (const step of steps.slice(from)) step();
    storage.sql.exec(`
      CREATE TABLE IF NOT EXISTS schema_version (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)
    `);
    storage.sql.exec("INSERT OR REPLACE INTO schema_version (id, version) VALUES (1, ?)", steps.length);
  });
}

/** @throws AppError state_of_newer_version */
export function refuseNewer(found: number, known: number): void {
  if (found > known) throw new AppError("state_of_newer_version", { found, known });
}

/** Asked so that a table that is not there costs no read: each start of an object asks it. */
function versionOf(sql: SqlStorage): number {
  try {
    return Number(sql.exec("SELECT version FROM schema_version WHERE id = 1").toArray()[0]?.version ?? 0);
  } catch {
    return 0;
  }
}
