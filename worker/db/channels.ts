/** Channels of users, and their deliveries: the queue and the log in one table. Times are epoch ms. */
import { and, asc, desc, eq, getTableColumns, inArray, isNotNull, lt, lte, ne, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { Notice } from "../notices/notice.ts";
import { channels, deliveries, pressed } from "./schema.ts";

export type ChannelRow = typeof channels.$inferSelect;
export type DeliveryRow = typeof deliveries.$inferSelect;

export async function listChannels(db: D1Database, userId: string): Promise<ChannelRow[]> {
  return drizzle(db)
    .select()
    .from(channels)
    .where(eq(channels.userId, userId))
    .orderBy(asc(channels.createdAt), asc(channels.id))
    .limit(100);
}

export async function findChannel(db: D1Database, userId: string, id: string): Promise<ChannelRow | null> {
  const rows = await drizzle(db)
    .select()
    .from(channels)
    .where(and(eq(channels.id, id), eq(channels.userId, userId)))
    .limit(1);
  return rows[0] ?? null;
}

/** False: the user has as many as `max` already. One statement: of several at once none is over it. */
export async function addChannel(db: D1Database, row: ChannelRow, max: number): Promise<boolean> {
  const columns = getTableColumns(channels);
  const names = Object.keys(columns) as (keyof ChannelRow)[];
  const into = sql.join(
    names.map((name) => sql.identifier(columns[name].name)),
    sql`, `,
  );
  const values = sql.join(
    names.map((name) => sql`${sql.param(row[name], columns[name])}`),
    sql`, `,
  );
  const held = sql`(SELECT count(*) FROM channels WHERE user_id = ${row.userId})`;
  const { meta } = await drizzle(db).run(sql`INSERT INTO channels (${into}) SELECT ${values} WHERE ${held} < ${max}`);
  return meta.changes > 0;
}

export async function changeChannel(db: D1Database, id: string, change: Partial<ChannelRow>): Promise<void> {
  if (Object.keys(change).length > 0) await drizzle(db).update(channels).set(change).where(eq(channels.id, id));
}

/** With everything that was or is to be told to it. */
export async function deleteChannel(db: D1Database, id: string): Promise<void> {
  const d1 = drizzle(db);
  await d1.batch([
    d1.delete(channels).where(eq(channels.id, id)),
    d1.delete(deliveries).where(eq(deliveries.channelId, id)),
  ]);
}

/**
 * A delivery for each channel that is to be told; how many are new. One statement, and idempotent: the id is made of the channel and the
 * event. Channels that were made after it happened are not told.
 */
export async function queueNotice(db: D1Database, userId: string, notice: Notice, now: number): Promise<number> {
  const { meta } = await db
    .prepare(
      `INSERT INTO deliveries (id, channel_id, user_id, notice, created_at, state, next_try_at)
       SELECT 'msg_' || id || '_' || ?1 || '_' || ?2, id, user_id, ?3, ?4, 'waiting', ?4 FROM channels
       WHERE user_id = ?5 AND off IS NULL AND created_at <= ?6
         AND EXISTS (SELECT 1 FROM json_each(groups) WHERE value = ?7)
         AND (instances IS NULL OR EXISTS (SELECT 1 FROM json_each(instances) WHERE value = ?1))
       ON CONFLICT (id) DO NOTHING`,
    )
    .bind(notice.instance?.id ?? "", String(notice.seq), JSON.stringify(notice), now, userId, notice.at, notice.group)
    .run();
  return meta.changes;
}

/** Those that are due, oldest first, with their channels. */
export async function dueDeliveries(
  db: D1Database,
  userId: string,
  now: number,
  limit: number,
): Promise<{ delivery: DeliveryRow; channel: ChannelRow }[]> {
  return drizzle(db)
    .select({ delivery: deliveries, channel: channels })
    .from(deliveries)
    .innerJoin(channels, eq(channels.id, deliveries.channelId))
    .where(and(eq(deliveries.userId, userId), lte(deliveries.nextTryAt, now)))
    .orderBy(asc(deliveries.nextTryAt), asc(deliveries.createdAt))
    .limit(limit);
}

/** When the next one of a user is due; null: none waits. */
export async function nextDeliveryAt(db: D1Database, userId: string): Promise<number | null> {
  const [row] = await drizzle(db)
    .select({ at: deliveries.nextTryAt })
    .from(deliveries)
    .innerJoin(channels, eq(channels.id, deliveries.channelId))
    .where(and(eq(deliveries.userId, userId), isNotNull(deliveries.nextTryAt)))
    .orderBy(asc(deliveries.nextTryAt))
    .limit(1);
  return row?.at ?? null;
}

/** Users with deliveries that should have been tried by then. */
export async function usersWithLate(db: D1Database, before: number, limit: number): Promise<string[]> {
  const rows = await drizzle(db)
    .selectDistinct({ userId: deliveries.userId })
    .from(deliveries)
    .where(lte(deliveries.nextTryAt, before))
    .limit(limit);
  return rows.map((row) => row.userId);
}

export async function addDelivery(db: D1Database, row: DeliveryRow): Promise<void> {
  await drizzle(db).insert(deliveries).values(row);
}

export async function noteTry(db: D1Database, id: string, change: Partial<DeliveryRow>): Promise<void> {
  await drizzle(db).update(deliveries).set(change).where(eq(deliveries.id, id));
}

/** What else waits for a channel that does not take anything just now: not before `at`. */
export async function postpone(db: D1Database, channelId: string, at: number): Promise<void> {
  await drizzle(db)
    .update(deliveries)
    .set({ nextTryAt: at })
    .where(and(eq(deliveries.channelId, channelId), lt(deliveries.nextTryAt, at)));
}

/** A channel that answered that it is gone: nothing more is sent to it. */
export async function switchOff(db: D1Database, channelId: string): Promise<void> {
  const d1 = drizzle(db);
  await d1.batch([
    d1.update(channels).set({ off: "gone" }).where(eq(channels.id, channelId)),
    d1
      .update(deliveries)
      .set({ state: "failed", nextTryAt: null, code: "gone" })
      .where(and(eq(deliveries.channelId, channelId), isNotNull(deliveries.nextTryAt))),
  ]);
}

/** Its owner wants no more of it. */
export async function forgetWaiting(db: D1Database, channelId: string): Promise<void> {
  await drizzle(db)
    .delete(deliveries)
    .where(and(eq(deliveries.channelId, channelId), isNotNull(deliveries.nextTryAt)));
}

/** What is over and older leaves the log. */
export async function forgetDeliveries(db: D1Database, channelIds: string[], before: number): Promise<void> {
  await drizzle(db)
    .delete(deliveries)
    .where(
      and(inArray(deliveries.channelId, channelIds), ne(deliveries.state, "waiting"), lt(deliveries.createdAt, before)),
    );
}

export async function listDeliveries(db: D1Database, channelId: string, limit: number): Promise<DeliveryRow[]> {
  return drizzle(db)
    .select()
    .from(deliveries)
    .where(eq(deliveries.channelId, channelId))
    .orderBy(desc(deliveries.createdAt), desc(deliveries.id))
    .limit(limit);
}

/** Of each of the user's channels the newest. */
export async function newestDeliveries(db: D1Database, ids: string[]): Promise<Map<string, DeliveryRow>> {
  const newest = await Promise.all(ids.map((id) => listDeliveries(db, id, 1)));
  return new Map(newest.flat().map((row) => [row.channelId, row]));
}

/** False: it was pressed before. */
export async function pressOnce(db: D1Database, id: string, expiresAt: number, now: number): Promise<boolean> {
  const d1 = drizzle(db);
  await d1.delete(pressed).where(lt(pressed.expiresAt, now));
  const made = await d1.insert(pressed).values({ id, expiresAt }).onConflictDoNothing().returning({ id: pressed.id });
  return made.length > 0;
}

/** It had no effect, so it may be pressed again. */
export async function unpress(db: D1Database, id: string): Promise<void> {
  await drizzle(db).delete(pressed).where(eq(pressed.id, id));
}
