/** What the newest wakes of a user's instances took, as their event logs tell. */
import { and, desc, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import * as z from "zod";
import type { WakeTimes } from "../../core/lifecycle/types.ts";
import { hibernationEvents, instanceStatus } from "./schema.ts";

const newest = 50;
const ms = z.number().min(0);
const params = z.object({ rent_ms: ms, boot_ms: ms, restore_ms: ms });

export async function recentWakes(db: D1Database, userId: string): Promise<WakeTimes[]> {
  const rows = await drizzle(db)
    .select({ at: hibernationEvents.timestamp, params: hibernationEvents.params })
    .from(hibernationEvents)
    .innerJoin(instanceStatus, eq(instanceStatus.instanceId, hibernationEvents.instanceId))
    .where(and(eq(instanceStatus.userId, userId), eq(hibernationEvents.eventType, "woke_up")))
    .orderBy(desc(hibernationEvents.timestamp))
    .limit(newest);
  return rows.flatMap((row) => {
    // A wake without a restore has no such times.
    const read = params.safeParse(JSON.parse(row.params)).data;
    if (!read) return [];
    const { rent_ms: rentMs, boot_ms: bootMs, restore_ms: restoreMs } = read;
    return [{ at: Date.parse(row.at), rentMs, bootMs, restoreMs, wakeMs: rentMs + bootMs + restoreMs }];
  });
}
