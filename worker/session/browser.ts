/** Who sits at the browser: by Cloudflare Access, or by the cookie of a session. */
import { and, asc, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { AppError } from "../../core/protocol/errors.ts";
import { isUserId, newUserId, type UserId } from "../../core/protocol/ids.ts";
import type { SessionView, SessionWay } from "../../core/protocol/session.ts";
import { apiTokens, users } from "../db/schema.ts";
import type { Env } from "../env.ts";
import { accessEmail, accessSettings } from "./access.ts";
import { readSession } from "./cookie.ts";
import { isLoopback, isOfThisOrigin, sharesItsOrigin } from "./own-origin.ts";

export interface Signed {
  user: { id: UserId; name: string };
  way: SessionWay;
  expiresAt: number | null;
}

/** Null: nobody is signed in. Errors: forbidden for a page of another origin, access_unavailable, unauthenticated. */
export async function browserUser(request: Request, env: Env): Promise<Signed | null> {
  const url = new URL(request.url);
  if (sharesItsOrigin(url, env)) return null;
  const signed = (await byAccess(request, env)) ?? (await byCookie(request, env, url));
  if (signed && !isOfThisOrigin(request)) throw new AppError("forbidden", { detail: "a page of another origin asks" });
  return signed;
}

async function byAccess(request: Request, env: Env): Promise<Signed | null> {
  const email = await accessEmail(request, env);
  return email === null ? null : { user: await userWithEmail(env.DB, email), way: "access", expiresAt: null };
}

async function byCookie(request: Request, env: Env, url: URL): Promise<Signed | null> {
  const session = await readSession(env.AGENT_JWT_SECRET, request.headers.get("cookie"));
  if (!session) return null;
  const { expiresAt } = session;
  if (session.tokenId === null) {
    const user = isLocalAllowed(url, env) ? await userWithId(env.DB, session.user) : null;
    return user && { user, way: "local", expiresAt };
  }
  const [row] = await drizzle(env.DB)
    .select({ id: users.id, name: users.name, tokenEnds: apiTokens.expiresAt })
    .from(apiTokens)
    .innerJoin(users, eq(users.id, apiTokens.userId))
    .where(and(eq(apiTokens.id, session.tokenId), eq(users.id, session.user)))
    .limit(1);
  if (!row || !isUserId(row.id)) return null;
  if (row.tokenEnds !== null && Date.parse(row.tokenEnds) <= Date.now()) return null;
  return { user: { id: row.id, name: row.name }, way: "token", expiresAt };
}

/** Whoever can open a page on this machine's own address may be its user, where the deployment says so. */
export function isLocalAllowed(url: URL, env: Env): boolean {
  return env.LOCAL_SIGN_IN === "on" && isLoopback(url);
}

/** The first one that was made. Null: there is none yet. */
export async function localUser(db: D1Database): Promise<Signed["user"] | null> {
  const [row] = await drizzle(db).select().from(users).orderBy(asc(users.createdAt)).limit(1);
  return row && isUserId(row.id) ? { id: row.id, name: row.name } : null;
}

async function userWithId(db: D1Database, id: UserId): Promise<Signed["user"] | null> {
  const [row] = await drizzle(db).select().from(users).where(eq(users.id, id)).limit(1);
  return row ? { id, name: row.name } : null;
}

/** Who is let in by Access for the first time becomes a user. */
async function userWithEmail(db: D1Database, email: string): Promise<Signed["user"]> {
  const d1 = drizzle(db);
  const find = () => d1.select().from(users).where(eq(users.email, email)).limit(1);
  let [row] = await find();
  if (!row) {
    const id = newUserId(crypto.getRandomValues(new Uint8Array(10)));
    const fresh = { id, name: email, email, createdAt: new Date().toISOString() };
    // Two first requests at once: the second finds what the first made.
    await d1.insert(users).values(fresh).onConflictDoNothing({ target: users.email });
    [row] = await find();
  }
  if (!row || !isUserId(row.id)) throw new AppError("unauthenticated");
  return { id: row.id, name: row.name };
}

export function waysOf(url: URL, env: Env): SessionWay[] {
  if (sharesItsOrigin(url, env)) return [];
  const isLocal = isLocalAllowed(url, env);
  return [...(isLocal ? (["local"] as const) : []), ...(accessSettings(env) ? (["access"] as const) : []), "token"];
}

export function sessionView(signed: Signed | null, ways: SessionWay[]): SessionView {
  const expires_at = signed?.expiresAt == null ? null : new Date(signed.expiresAt).toISOString();
  return { user: signed?.user ?? null, way: signed?.way ?? null, expires_at, ways };
}
