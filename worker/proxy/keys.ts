/** Proxy keys: each opens the services of one instance and nothing else. Kept as hashes. */
import { and, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { AppError } from "../../core/protocol/errors.ts";
import { type InstanceId, isInstanceId } from "../../core/protocol/ids.ts";
import { type Caller, proxyKeyPrefix } from "../../core/protocol/proxy.ts";
import { proxyKeys } from "../db/schema.ts";
import { expiryOf, freshSecret, sha256Hex } from "../fresh-secret.ts";

interface NewKey {
  name: string;
  expires_in_days?: number | undefined;
  wakes_per_hour?: number | undefined;
}

type Row = typeof proxyKeys.$inferSelect;

export async function createProxyKey(db: D1Database, instanceId: InstanceId, wanted: NewKey) {
  const { token, hash } = await freshSecret(proxyKeyPrefix);
  const row: Row = {
    id: crypto.randomUUID(),
    instanceId,
    name: wanted.name,
    hash,
    wakesPerHour: wanted.wakes_per_hour ?? null,
    createdAt: new Date().toISOString(),
    expiresAt: expiryOf(wanted.expires_in_days),
  };
  await drizzle(db).insert(proxyKeys).values(row);
  return { ...view(row), key: token };
}

export async function listProxyKeys(db: D1Database, instance: InstanceId) {
  const rows = await drizzle(db).select().from(proxyKeys).where(eq(proxyKeys.instanceId, instance)).limit(1000);
  return rows.map(view);
}

/** False: the instance has no such key. */
export async function revokeProxyKey(db: D1Database, instance: InstanceId, id: string): Promise<boolean> {
  const gone = await drizzle(db)
    .delete(proxyKeys)
    .where(and(eq(proxyKeys.id, id), eq(proxyKeys.instanceId, instance)))
    .returning({ id: proxyKeys.id });
  return gone.length > 0;
}

/** Errors: unauthenticated, token_expired. */
export async function callerOfKey(db: D1Database, key: string): Promise<Caller> {
  const [row] = await drizzle(db)
    .select()
    .from(proxyKeys)
    .where(eq(proxyKeys.hash, await sha256Hex(key)))
    .limit(1);
  if (!row || !isInstanceId(row.instanceId)) throw new AppError("unauthenticated");
  if (row.expiresAt !== null && Date.parse(row.expiresAt) <= Date.now()) throw new AppError("token_expired");
  return { kind: "key", id: row.id, instance: row.instanceId, wakesPerHour: row.wakesPerHour };
}

function view({ id, name, wakesPerHour, createdAt, expiresAt }: Row) {
  return { id, name, created_at: createdAt, expires_at: expiresAt, wakes_per_hour: wakesPerHour };
}
