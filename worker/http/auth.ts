/** Who asks. User tokens are looked up by their hash; agent tokens are signed; the admin token is a secret of the deployment. */
import { and, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { AppError } from "../../core/protocol/errors.ts";
import { isUserId, newUserId, type UserId } from "../../core/protocol/ids.ts";
import type { Principal } from "../../core/protocol/route.ts";
import { apiTokens, users } from "../db/schema.ts";
import { browserUser } from "../session/browser.ts";
import { readAgentToken } from "../tokens.ts";
import type { AppContext } from "./context.ts";

export const userTokenPrefix = "snu_";

/** Fills in the principal that the route wants, or throws unauthenticated, token_expired or forbidden. */
export async function authenticate(c: AppContext, wanted: Principal): Promise<void> {
  await letIn(c, wanted);
  c.set("principal", wanted);
}

async function letIn(c: AppContext, wanted: Principal): Promise<void> {
  if (wanted === "public") return;
  const token = bearerToken(c.req.header("authorization"));
  if (!token && wanted === "user") {
    const signed = await browserUser(c.req.raw, c.env);
    if (!signed) throw new AppError("unauthenticated");
    c.set("user", signed.user);
    return;
  }
  if (!token) throw new AppError("unauthenticated");
  if (wanted === "admin") {
    if (!(await isSame(token, c.env.ADMIN_TOKEN)))
      throw new AppError(token.startsWith(userTokenPrefix) ? "forbidden" : "unauthenticated");
    return;
  }
  if (wanted === "metrics") {
    const isKnown = (await isSame(token, c.env.METRICS_TOKEN)) || (await isSame(token, c.env.ADMIN_TOKEN));
    if (!isKnown) throw new AppError(token.startsWith(userTokenPrefix) ? "forbidden" : "unauthenticated");
    return;
  }
  if (wanted === "agent") {
    if (token.startsWith(userTokenPrefix)) throw new AppError("forbidden");
    c.set("agent", await readAgentToken(c.env.AGENT_JWT_SECRET, token));
    return;
  }
  const { id, name } = await userOfToken(c.env.DB, token);
  c.set("user", { id, name });
}

/** Errors: unauthenticated, token_expired, forbidden. */
export async function userOfToken(
  db: D1Database,
  token: string,
): Promise<{ id: UserId; name: string; tokenId: string; expiresAt: string | null }> {
  if (!token.startsWith(userTokenPrefix))
    throw new AppError(token.split(".").length === 3 ? "forbidden" : "unauthenticated");
  const [row] = await drizzle(db)
    .select({ id: users.id, name: users.name, tokenId: apiTokens.id, expiresAt: apiTokens.expiresAt })
    .from(apiTokens)
    .innerJoin(users, eq(users.id, apiTokens.userId))
    .where(eq(apiTokens.hash, await sha256Hex(token)))
    .limit(1);
  if (!row || !isUserId(row.id)) throw new AppError("unauthenticated");
  if (row.expiresAt !== null && Date.parse(row.expiresAt) <= Date.now()) throw new AppError("token_expired");
  return { ...row, id: row.id };
}

export async function createUser(db: D1Database, name: string): Promise<{ id: UserId; name: string; token: string }> {
  const id = newUserId(crypto.getRandomValues(new Uint8Array(10)));
  const fresh = await freshToken(id, "first token", null);
  const d1 = drizzle(db);
  await d1.batch([
    d1.insert(users).values({ id, name, createdAt: new Date().toISOString() }),
    d1.insert(apiTokens).values(fresh.row),
  ]);
  return { id, name, token: fresh.token };
}

export async function createToken(db: D1Database, userId: UserId, name: string, expiresInDays: number | undefined) {
  const expiresAt = expiryOf(expiresInDays);
  const fresh = await freshToken(userId, name, expiresAt);
  await drizzle(db).insert(apiTokens).values(fresh.row);
  const { id, createdAt } = fresh.row;
  return { id, name, created_at: createdAt, expires_at: expiresAt, token: fresh.token };
}

export async function listTokens(db: D1Database, userId: UserId) {
  const rows = await drizzle(db).select().from(apiTokens).where(eq(apiTokens.userId, userId)).limit(1000);
  return rows.map((row) => ({ id: row.id, name: row.name, created_at: row.createdAt, expires_at: row.expiresAt }));
}

/** False when the user has no such token. */
export async function revokeToken(db: D1Database, userId: UserId, id: string): Promise<boolean> {
  const gone = await drizzle(db)
    .delete(apiTokens)
    .where(and(eq(apiTokens.id, id), eq(apiTokens.userId, userId)))
    .returning({ id: apiTokens.id });
  return gone.length > 0;
}

async function freshToken(userId: UserId, name: string, expiresAt: string | null) {
  const { token, hash } = await freshSecret(userTokenPrefix);
  const row = {
    id: crypto.randomUUID(),
    userId,
    name,
    hash,
    createdAt: new Date().toISOString(),
    expiresAt,
  };
  return { token, row };
}

function bearerToken(header: string | undefined): string | null {
  const match = /^Bearer +([^\s]+) *$/i.exec(header ?? "");
  return match?.[1] ?? null;
}

/** Compares hashes, so that the time it takes says nothing of the secret. An unset secret equals nothing. */
async function isSame(given: string, secret: string | undefined): Promise<boolean> {
  if (!secret || secret.length < 16) return false;
  return (await sha256Hex(given)) === (await sha256Hex(secret));
}

export function expiryOf(days: number | undefined): string | null {
  return days === undefined ? null : new Date(Date.now() + days * 86_400_000).toISOString();
}

/** Shown once; what is kept is its hash. */
export async function freshSecret(prefix: string): Promise<{ token: string; hash: string }> {
  const token = prefix + base64Url(crypto.getRandomValues(new Uint8Array(32)));
  return { token, hash: await sha256Hex(token) };
}

export async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
