/** Every column of D1 that holds sealed secrets, and how they are moved to a new key: whoever seals something has a row here. */
import type { SecretsView } from "../core/protocol/secrets.ts";
import { keyPurpose } from "./db/provider-keys.ts";
import type { Env } from "./env.ts";
import { purposeOf } from "./notices/send.ts";
import { isSealedWithCurrent, keyVersions, openSecret, sealSecret, versionOf } from "./sealed.ts";

interface SealedColumn {
  table: string;
  /** The primary key, as text. */
  id: string;
  column: string;
  purpose(id: string): string;
}

const sealedColumns: readonly SealedColumn[] = [
  { table: "provider_keys", id: "account", column: "sealed", purpose: keyPurpose },
  { table: "channels", id: "id", column: "sealed", purpose: purposeOf },
];

const pageRows = 500;

interface SealedRow {
  of: SealedColumn;
  id: string;
  sealed: string;
}

/** Row by row, in the order of their ids. */
async function* sealedRows(db: D1Database): AsyncGenerator<SealedRow, void> {
  for (const of of sealedColumns) {
    const { table, id, column } = of;
    const query = `SELECT ${id} AS id, ${column} AS sealed FROM ${table}
      WHERE ${id} > ? AND ${column} IS NOT NULL ORDER BY ${id} LIMIT ${pageRows}`;
    let after = "";
    for (;;) {
      const { results } = await db.prepare(query).bind(after).all<{ id: string; sealed: string }>();
      for (const row of results) yield { of, ...row };
      if (results.length < pageRows) break;
      after = results.at(-1)!.id;
    }
  }
}

/**
 * Seals anew what another key than the current one sealed, at most `limit` rows. What cannot be opened stays as it is. Returns
 * how many rows were sealed anew. Errors: secrets_key_missing.
 */
export async function resealSecrets(env: Env, limit: number): Promise<number> {
  let resealed = 0;
  for await (const { of, id, sealed } of sealedRows(env.DB)) {
    if (resealed >= limit) break;
    if (versionOf(sealed) === null || isSealedWithCurrent(env, sealed)) continue;
    const purpose = of.purpose(id);
    const secret = await openSecret(env, purpose, sealed).catch(() => null);
    if (secret === null) continue;
    // Only where nobody has set another secret meanwhile.
    const { meta } = await env.DB.prepare(
      `UPDATE ${of.table} SET ${of.column} = ? WHERE ${of.id} = ? AND ${of.column} = ?`,
    )
      .bind(await sealSecret(env, purpose, secret), id, sealed)
      .run();
    resealed += meta.changes > 0 ? 1 : 0;
  }
  return resealed;
}

/** What each version of the key has sealed. A secret counts as unreadable when its key is gone or it is damaged. */
export async function countSecrets(env: Env): Promise<SecretsView> {
  const known = keyVersions(env);
  const counts = new Map<string, number>(known.map((version) => [version, 0]));
  let unreadable = 0;
  for await (const { of, id, sealed } of sealedRows(env.DB)) {
    const version = versionOf(sealed);
    if (version !== null) counts.set(version, (counts.get(version) ?? 0) + 1);
    const isOpen = await openSecret(env, of.purpose(id), sealed).then(
      () => true,
      () => false,
    );
    if (!isOpen) unreadable++;
  }
  const [current = null] = known;
  return {
    current,
    keys: [...counts].map(([version, secrets]) => ({ version, is_known: known.includes(version), secrets })),
    unreadable,
    may_remove: known.filter((version) => version !== current && counts.get(version) === 0),
  };
}
