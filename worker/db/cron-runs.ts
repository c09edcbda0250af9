/** When the cron last did what it is there for: `sweep` (overdue instances are poked), `provider` (its list was compared). */
import { drizzle } from "drizzle-orm/d1";
import { cronRuns } from "./schema.ts";

export type CronDuty = "sweep" | "provider";

export async function noteCronRun(db: D1Database, duty: CronDuty): Promise<void> {
  const at = new Date().toISOString();
  await drizzle(db).insert(cronRuns).values({ duty, at }).onConflictDoUpdate({ target: cronRuns.duty, set: { at } });
}

/** Null for a duty that was never done. */
export async function readCronRuns(db: D1Database): Promise<Record<CronDuty, string | null>> {
  const rows = await drizzle(db).select().from(cronRuns).limit(10);
  const at = (duty: CronDuty) => rows.find((row) => row.duty === duty)?.at ?? null;
  return { sweep: at("sweep"), provider: at("provider") };
}
