/** Who sits at the browser: by Cloudflare Access, or by the cookie of a session. */
import { AppError } from "../../core/protocol/errors.ts";
import { isUserId, type UserId } from "../../core/protocol/ids.ts";
import type { SessionView, SessionWay } from "../../core/protocol/session.ts";
import type { TeamView } from "../../core/protocol/team.ts";
import type { Asker } from "../asker.ts";
import { firstUser, teamName, teamsOf, userWithEmail, userWithId } from "../db/members.ts";
import { readToken } from "../db/tokens.ts";
import type { Env } from "../env.ts";
import { accessSettings, accessUser } from "./access.ts";
import { readSession, readTeam } from "./cookie.ts";
import { isLoopback, isOfThisOrigin, sharesItsOrigin } from "./own-origin.ts";

export interface Signed {
  asker: Asker;
  way: SessionWay;
  expiresAt: number | null;
  /** When its token was last used is not known to within ten minutes. */
  isUseOld: boolean;
}

/** Null: nobody is signed in. Errors: forbidden for a page of another origin, access_unavailable, unauthenticated. */
export async function browserUser(request: Request, env: Env): Promise<Signed | null> {
  const url = new URL(request.url);
  if (sharesItsOrigin(url, env)) return null;
  const signed = (await byAccess(request, env)) ?? (await byCookie(request, env, url));
  if (signed && !isOfThisOrigin(request)) throw new AppError("forbidden", { detail: "a page of another origin asks" });
  return signed;
}

/** Errors: forbidden: they are in no team; access_service_unknown, access_unavailable, unauthenticated. */
async function byAccess(request: Request, env: Env): Promise<Signed | null> {
  const known = await accessUser(request, env);
  if (!known) return null;
  const user = "email" in known ? await userWithEmail(env.DB, known.email) : await userWithId(env.DB, known.user);
  if (!user) throw new AppError("access_service_unknown");
  const teams = await teamsOf(env.DB, user);
  const chosen = readTeam(request.headers.get("cookie"));
  const team = teams.find(({ id }) => id === chosen) ?? teams.find(({ id }) => id === user.homeTeam) ?? teams[0];
  if (!team) throw new AppError("forbidden", { detail: "you are in no team of this deployment" });
  const role = "email" in known ? team.role : known.roleIn(team.role);
  const asker = { ...withoutToken(user), team: team.id as UserId, role };
  return { asker, way: "access", expiresAt: null, isUseOld: false };
}

async function byCookie(request: Request, env: Env, url: URL): Promise<Signed | null> {
  const session = await readSession(env.AGENT_JWT_SECRET, request.headers.get("cookie"));
  if (!session) return null;
  const { expiresAt, tokenId } = session;
  if (tokenId === null) {
    const user = isLocalAllowed(url, env) ? await userWithId(env.DB, session.user) : null;
    if (!user) return null;
    const asker: Asker = { ...withoutToken(user), team: session.user, role: "owner" };
    return { asker, way: "local", expiresAt, isUseOld: false };
  }
  try {
    const { isUseOld, ...asker } = await readToken(env.DB, { id: tokenId });
    return asker.user === session.user ? { asker, way: "token", expiresAt, isUseOld } : null;
  } catch (error) {
    // It was revoked or has run out: nobody is signed in.
    if (error instanceof AppError && error.status === 401) return null;
    throw error;
  }
}

function withoutToken({ id, name }: { id: string; name: string }) {
  if (!isUserId(id)) throw new AppError("unauthenticated");
  return { user: id, name, instances: null, tokenId: null, tokenEndsAt: null };
}

/** Whoever can open a page on this machine's own address may be its user, where the deployment says so. */
export function isLocalAllowed(url: URL, env: Env): boolean {
  return env.LOCAL_SIGN_IN === "on" && isLoopback(url);
}

/** The first one that was made. Null: there is none yet. */
export async function localUser(db: D1Database): Promise<Asker | null> {
  const user = await firstUser(db);
  if (!user) return null;
  const asker = withoutToken(user);
  return { ...asker, team: asker.user, role: "owner" };
}

export function waysOf(url: URL, env: Env): SessionWay[] {
  if (sharesItsOrigin(url, env)) return [];
  const isLocal = isLocalAllowed(url, env);
  return [...(isLocal ? (["local"] as const) : []), ...(accessSettings(env) ? (["access"] as const) : []), "token"];
}

export async function sessionView(
  db: D1Database,
  signed: Signed | null,
  ways: SessionWay[],
  may: (asker: Asker) => string[],
): Promise<SessionView> {
  if (!signed) return { user: null, team: null, may: [], teams: [], way: null, expires_at: null, ways };
  const { asker, way, expiresAt } = signed;
  const user = way === "access" ? await userWithId(db, asker.user) : null;
  const teams: TeamView[] = user ? await teamsOf(db, user) : [];
  return {
    user: { id: asker.user, name: asker.name },
    team: { id: asker.team, name: await teamName(db, asker.team), role: asker.role },
    may: may(asker),
    teams,
    way,
    expires_at: expiresAt === null ? null : new Date(expiresAt).toISOString(),
    ways,
  };
}
