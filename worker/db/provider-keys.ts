/** Teams' own keys to the provider, in D1. Each names the account object that asks with it. */
import { and, eq, isNotNull, isNull } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { ProviderKeyView } from "../../core/protocol/provider-key.ts";
import { providerKeys } from "./schema.ts";

type KeyRow = typeof providerKeys.$inferSelect;

/** The deployment's own account: its key is a secret of the worker. */
export const deploymentAccount = "default";

export function keyPurpose(account: string): string {
  return `provider_key:${account}`;
}

/** Null: the team has none of its own. */
export async function keyOfTeam(db: D1Database, team: string): Promise<KeyRow | null> {
  const [row] = await drizzle(db)
    .select()
    .from(providerKeys)
    .where(and(eq(providerKeys.teamId, team), isNull(providerKeys.retiredAt)))
    .limit(1);
  return row ?? null;
}

/** With which the team's next machine is rented. */
export async function accountOfTeam(db: D1Database, team: string): Promise<string> {
  return (await keyOfTeam(db, team))?.account ?? deploymentAccount;
}

export async function keyOfAccount(db: D1Database, account: string): Promise<KeyRow | null> {
  const [row] = await drizzle(db).select().from(providerKeys).where(eq(providerKeys.account, account)).limit(1);
  return row ?? null;
}

/** Retired ones too: machines may still be rented with them. */
export async function allKeys(db: D1Database): Promise<Pick<KeyRow, "account" | "retiredAt">[]> {
  return drizzle(db)
    .select({ account: providerKeys.account, retiredAt: providerKeys.retiredAt })
    .from(providerKeys)
    .limit(10_000);
}

/** False: another one was set at the same moment. */
export async function insertKey(
  db: D1Database,
  row: Pick<KeyRow, "account" | "teamId" | "sealed" | "hint">,
): Promise<boolean> {
  const now = new Date().toISOString();
  const made = await drizzle(db)
    .insert(providerKeys)
    .values({ ...row, createdAt: now, lastUsedAt: now })
    .onConflictDoNothing()
    .returning({ account: providerKeys.account });
  return made.length > 0;
}

export async function updateKey(
  db: D1Database,
  account: string,
  set: Partial<Omit<KeyRow, "account" | "teamId">>,
): Promise<void> {
  await drizzle(db).update(providerKeys).set(set).where(eq(providerKeys.account, account));
}

export async function deleteKey(db: D1Database, account: string): Promise<void> {
  await drizzle(db)
    .delete(providerKeys)
    .where(and(eq(providerKeys.account, account), isNotNull(providerKeys.retiredAt)));
}

export function keyView({ hint, createdAt, lastUsedAt, trouble, troubleAt }: KeyRow): ProviderKeyView {
  return {
    hint,
    created_at: createdAt,
    last_used_at: lastUsedAt,
    trouble: trouble === null || troubleAt === null ? null : { message: trouble, at: troubleAt },
  };
}
