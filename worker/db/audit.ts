/** The audit log in D1. Nothing of a body is ever in it. */
import { and, asc, desc, eq, gte, lt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { type AuditLine, auditDays, type Origin } from "../../core/protocol/audit.ts";
import type { UserId } from "../../core/protocol/ids.ts";
import { log } from "../log.ts";
import { listMembers } from "./members.ts";
import { auditLog } from "./schema.ts";

export type AuditRow = Omit<typeof auditLog.$inferSelect, "id">;

const tries = 3;
const betweenMs = 200;
/** In one run of the cron; a deployment of a thousand changes an hour is kept clean by it. */
const droppedAtOnce = 500;
const dropRounds = 10;

/** Never throws: a line that cannot be kept is told to the worker's own log, with all that it says. */
export async function writeAudit(db: D1Database, row: AuditRow): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await drizzle(db).insert(auditLog).values(row);
      return;
    } catch (error) {
      if (attempt >= tries) {
        log.error("audit_not_written", { ...row, error });
        return;
      }
      await scheduler.wait(betweenMs * 2 ** attempt * (0.5 + Math.random() / 2));
    }
  }
}

interface Wanted {
  before?: number | undefined;
  limit: number;
  instance?: string | undefined;
  outcome?: "done" | "refused" | undefined;
}

export async function listAudit(
  db: D1Database,
  team: UserId,
  { before, limit, instance, outcome }: Wanted,
): Promise<{ lines: AuditLine[]; next_before: number | null }> {
  const rows = await drizzle(db)
    .select()
    .from(auditLog)
    .where(
      and(
        eq(auditLog.teamId, team),
        before === undefined ? undefined : lt(auditLog.id, before),
        instance === undefined ? undefined : eq(auditLog.instanceId, instance),
        outcome === undefined ? undefined : (outcome === "done" ? lt : gte)(auditLog.status, 400),
      ),
    )
    .orderBy(desc(auditLog.id))
    .limit(limit + 1);
  const names = new Map((await listMembers(db, team)).map((one) => [`user:${one.user_id}`, one.name]));
  const shown = rows.slice(0, limit);
  return {
    lines: shown.map((row) => ({
      id: row.id,
      at: row.at,
      actor: row.actor,
      name: names.get(row.actor) ?? null,
      token_id: row.tokenId,
      role: row.role,
      operation: row.route,
      instance_id: row.instanceId,
      target: row.target,
      status: row.status,
      code: row.code,
      request_id: row.requestId,
      origin: row.origin as Origin,
    })),
    next_before: rows.length > limit ? shown.at(-1)!.id : null,
  };
}

/** Takes the oldest lines away that are over their time. Where there are none it reads one row. */
export async function dropOldAudit(db: D1Database, now: number): Promise<number> {
  const over = new Date(now - auditDays * 86_400_000).toISOString();
  const [oldest] = await drizzle(db).select({ at: auditLog.at }).from(auditLog).orderBy(asc(auditLog.id)).limit(1);
  if (!oldest || oldest.at >= over) return 0;
  let dropped = 0;
  for (let round = 0; round < dropRounds; round++) {
    // Ids grow with time: the oldest are the first.
    const { meta } = await drizzle(db).run(
      sql`DELETE FROM audit_log WHERE id IN (
        SELECT id FROM (SELECT id, at FROM audit_log ORDER BY id LIMIT ${droppedAtOnce}) WHERE at < ${over})`,
    );
    dropped += meta.changes;
    if (meta.changes < droppedAtOnce) break;
  }
  return dropped;
}
