/** The settings that a user gives to all of its instances, or to those of one GPU type. */
import { and, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { gpuKey, type Policies } from "../../core/lifecycle/policy.ts";
import { type AutoHibernationPatch, autoHibernationPatchSchema } from "../../core/protocol/config.ts";
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

/** `change`: from the settings that are there. Empty ones take the policy away. Returns what is there now. */
export async function changePolicy(
  db: D1Database,
  userId: string,
  gpuType: string | null,
  change: (settings: AutoHibernationPatch) => AutoHibernationPatch,
): Promise<PolicyRow> {
  const key = gpuType === null ? forAll : gpuKey(gpuType);
  const d1 = drizzle(db);
  const which = and(eq(policies.userId, userId), eq(policies.gpuKey, key));
  const [before] = await d1.select().from(policies).where(which).limit(1);
  const settings = change(before ? readSettings(before.settings) : {});
  const row = {
    userId,
    gpuKey: key,
    gpuType: gpuType ?? "",
    settings: JSON.stringify(settings),
    updatedAt: new Date().toISOString(),
  };
  const isEmpty = Object.keys(settings).length === 0;
  await d1.batch([
    isEmpty
      ? d1.delete(policies).where(which)
      : d1
          .insert(policies)
          .values(row)
          .onConflictDoUpdate({ target: [policies.userId, policies.gpuKey], set: row }),
    d1
      .update(users)
      .set({ policyVersion: sql`${users.policyVersion} + 1` })
      .where(eq(users.id, userId)),
  ]);
  return { gpuType, settings, updatedAt: row.updatedAt };
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
