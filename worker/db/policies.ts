/** The settings that a user gives to all of its instances, or to those of one GPU type. */
import { and, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { gpuKey, type Policies } from "../../core/lifecycle/policy.ts";
import { type AutoHibernationPatch, autoHibernationPatchSchema } from "../../core/protocol/config.ts";
import { AppError } from "../../core/protocol/errors.ts";
import { instanceStatus, policies, users } from "./schema.ts";

export interface PolicyRow {
  /** Null: for all. */
  gpuType: string | null;
  settings: AutoHibernationPatch;
  updatedAt: string;
}

/** Of all GPU types. */
const forAll = "";

export async function listPolicies(db: D1Database, userId: string): Promise<PolicyRow[]> {
  const rows = await drizzle(db).select().from(policies).where(eq(policies.userId, userId)).limit(1000);
  return rows
    .map((row) => ({
      gpuType: row.gpuKey === forAll ? null : row.gpuType,
      settings: readSettings(row.settings),
      updatedAt: row.updatedAt,
    }))
    .sort((a, b) => (a.gpuType ?? "").localeCompare(b.gpuType ?? ""));
}

/** As an instance takes them in. */
export async function policiesOf(db: D1Database, userId: string): Promise<Policies> {
  const d1 = drizzle(db);
  // The version first: a change in between makes what is read newer than it says, and is told once more.
  const [user] = await d1.select({ version: users.policyVersion }).from(users).where(eq(users.id, userId)).limit(1);
  const rows = await listPolicies(db, userId);
  return {
    version: user?.version ?? 0,
    user: rows.find((row) => row.gpuType === null)?.settings ?? {},
    gpuTypes: Object.fromEntries(
      rows.flatMap((row) => (row.gpuType === null ? [] : [[gpuKey(row.gpuType), row.settings]])),
    ),
  };
}

/** Each time somebody else was quicker, so it is their number that matters. */
const changeTries = 20;

/**
 * `change`: from the settings that are there; once more where others changed them meanwhile. Empty ones take the policy away. Returns
 * what is there now. Errors: database_unavailable where others are always quicker.
 */
export async function changePolicy(
  db: D1Database,
  userId: string,
  gpuType: string | null,
  change: (settings: AutoHibernationPatch) => AutoHibernationPatch,
): Promise<PolicyRow> {
  for (let i = 0; i < changeTries; i++) {
    const changed = await tryChange(db, userId, gpuType, change);
    if (changed) return changed;
  }
  throw new AppError("database_unavailable");
}

/** Null: between reading and writing somebody else wrote. */
async function tryChange(
  db: D1Database,
  userId: string,
  gpuType: string | null,
  change: (settings: AutoHibernationPatch) => AutoHibernationPatch,
): Promise<PolicyRow | null> {
  const key = gpuType === null ? forAll : gpuKey(gpuType);
  const d1 = drizzle(db);
  const which = and(eq(policies.userId, userId), eq(policies.gpuKey, key));
  const [before] = await d1.select().from(policies).where(which).limit(1);
  const settings = change(before ? readSettings(before.settings) : {});
  const updatedAt = new Date().toISOString();
  const row = { userId, gpuKey: key, gpuType: gpuType ?? "", settings: JSON.stringify(settings), updatedAt };
  const isEmpty = Object.keys(settings).length === 0;
  if (!before && isEmpty) return { gpuType, settings, updatedAt };
  const asRead = before && and(which, eq(policies.settings, before.settings));
  const written = { key: policies.gpuKey };
  const write = !asRead
    ? d1.insert(policies).values(row).onConflictDoNothing().returning(written)
    : isEmpty
      ? d1.delete(policies).where(asRead).returning(written)
      : d1.update(policies).set(row).where(asRead).returning(written);
  // The version goes up with it, also where nothing is written: instances are told once more then.
  const newer = d1
    .update(users)
    .set({ policyVersion: sql`${users.policyVersion} + 1` })
    .where(eq(users.id, userId));
  const [rows] = await d1.batch([write, newer]);
  return rows.length > 0 ? { gpuType, settings, updatedAt } : null;
}

/** Instances that were not told of the newest policies of their owner; of one owner, or of all. */
export async function untoldInstances(
  db: D1Database,
  userId: string | null,
  limit: number,
): Promise<{ id: string; userId: string }[]> {
  const isBehind = sql`${instanceStatus.policyVersion} < ${users.policyVersion}`;
  return drizzle(db)
    .select({ id: instanceStatus.instanceId, userId: instanceStatus.userId })
    .from(instanceStatus)
    .innerJoin(users, eq(users.id, instanceStatus.userId))
    .where(userId === null ? isBehind : and(isBehind, eq(instanceStatus.userId, userId)))
    .limit(limit);
}

/** A value of before that no longer fits is as good as not set: an instance is never without settings. */
function readSettings(text: string): AutoHibernationPatch {
  const values = JSON.parse(text) as Record<string, unknown>;
  const whole = autoHibernationPatchSchema.safeParse(values);
  if (whole.success) return whole.data;
  const fitting = Object.entries(values).filter(
    ([key, value]) => autoHibernationPatchSchema.safeParse({ [key]: value }).success,
  );
  return autoHibernationPatchSchema.parse(Object.fromEntries(fitting));
}
