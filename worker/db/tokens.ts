/** API tokens in D1, kept as hashes: of a person, for a team, with no more than its maker might do. */
import { and, eq, isNull, lt, or } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { BodyOf } from "../../core/protocol/api.ts";
import { AppError } from "../../core/protocol/errors.ts";
import { isUserId, type UserId } from "../../core/protocol/ids.ts";
import { isAtLeast, lesserRole, type Role } from "../../core/protocol/roles.ts";
import { type Asker, roleIn } from "../asker.ts";
import { expiryOf, freshSecret, sha256Hex } from "../fresh-secret.ts";
import { apiTokens, instanceStatus, members, users } from "./schema.ts";

export const userTokenPrefix = "snu_";
/** The time of last use is written at most once in so long, so that a busy token costs no row a request. */
const usedEveryMs = 600_000;

type Row = typeof apiTokens.$inferSelect;

/** Errors: unauthenticated, token_expired, forbidden. */
export async function askerOfToken(db: D1Database, token: string): Promise<Asker & { isUseOld: boolean }> {
  if (!token.startsWith(userTokenPrefix))
    throw new AppError(token.split(".").length === 3 ? "forbidden" : "unauthenticated");
  return readToken(db, { hash: await sha256Hex(token) });
}

/** Errors: unauthenticated: there is none, or its user left the team; token_expired. */
export async function readToken(
  db: D1Database,
  which: { hash: string } | { id: string },
): Promise<Asker & { isUseOld: boolean }> {
  const [found] = await drizzle(db)
    .select({ token: apiTokens, name: users.name, homeTeam: users.homeTeam, memberRole: members.role })
    .from(apiTokens)
    .innerJoin(users, eq(users.id, apiTokens.userId))
    .leftJoin(members, and(eq(members.userId, apiTokens.userId), eq(members.teamId, apiTokens.teamId)))
    .where("hash" in which ? eq(apiTokens.hash, which.hash) : eq(apiTokens.id, which.id))
    .limit(1);
  if (!found || !isUserId(found.token.userId)) throw new AppError("unauthenticated");
  const { token, name, homeTeam, memberRole } = found;
  const user = found.token.userId;
  const team = teamOfRow(token);
  const own = roleIn({ team, user, homeTeam, memberRole });
  if (!own) throw new AppError("unauthenticated");
  const tokenEndsAt = token.expiresAt === null ? null : Date.parse(token.expiresAt);
  if (tokenEndsAt !== null && tokenEndsAt <= Date.now()) throw new AppError("token_expired");
  return {
    user,
    name,
    team,
    role: lesserRole(own, roleOfRow(token)),
    instances: instancesOfRow(token),
    tokenId: token.id,
    tokenEndsAt,
    isUseOld: token.lastUsedAt === null || Date.parse(token.lastUsedAt) <= Date.now() - usedEveryMs,
  };
}

/** One row at most in `usedEveryMs`, however many requests come at once. */
export async function noteTokenUse(db: D1Database, id: string): Promise<void> {
  const now = Date.now();
  const before = new Date(now - usedEveryMs).toISOString();
  await drizzle(db)
    .update(apiTokens)
    .set({ lastUsedAt: new Date(now).toISOString() })
    .where(and(eq(apiTokens.id, id), or(isNull(apiTokens.lastUsedAt), lt(apiTokens.lastUsedAt, before))));
}

interface NewToken {
  user: UserId;
  team: UserId;
  name: string;
  role: Role;
  instances?: readonly string[] | null;
  expiresAt?: string | null;
}

/** The row is not written yet. */
export async function freshToken(wanted: NewToken): Promise<{ token: string; row: Row }> {
  const { token, hash } = await freshSecret(userTokenPrefix);
  const row: Row = {
    id: crypto.randomUUID(),
    userId: wanted.user,
    name: wanted.name,
    hash,
    createdAt: new Date().toISOString(),
    expiresAt: wanted.expiresAt ?? null,
    teamId: wanted.team,
    role: wanted.role,
    instances: wanted.instances ? JSON.stringify(wanted.instances) : null,
    lastUsedAt: null,
  };
  return { token, row };
}

/** Errors: forbidden: more than whoever asks may do themselves; invalid_input, instance_not_found, object_not_found. */
export async function createToken(db: D1Database, asker: Asker, body: BodyOf<"createToken">) {
  const role = body.role ?? asker.role;
  if (!isAtLeast(asker.role, role)) throw new AppError("forbidden", { detail: `your own role is ${asker.role}` });
  const user = await whoseToken(db, asker, body.user_id);
  const expiresAt = endOf(asker, body.expires_in_days);
  const instances = body.instances ? [...new Set(body.instances)] : asker.instances;
  if (body.instances) await wantInstances(db, asker, body.instances);
  const fresh = await freshToken({ user: user.id, team: asker.team, name: body.name, role, instances, expiresAt });
  await drizzle(db).insert(apiTokens).values(fresh.row);
  return { ...tokenView(fresh.row, user.name), token: fresh.token };
}

async function whoseToken(
  db: D1Database,
  asker: Asker,
  wanted: string | undefined,
): Promise<{ id: UserId; name: string }> {
  if (wanted === undefined || wanted === asker.user) return { id: asker.user, name: asker.name };
  if (asker.role !== "owner" || asker.instances !== null) throw new AppError("forbidden");
  const [member] = await drizzle(db)
    .select({ name: members.name })
    .from(members)
    .where(and(eq(members.teamId, asker.team), eq(members.userId, wanted)))
    .limit(1);
  if (!member || !isUserId(wanted)) throw new AppError("object_not_found");
  return { id: wanted, name: member.name };
}

/** A token that ends makes none that outlives it. */
function endOf({ tokenEndsAt }: Asker, days: number | undefined): string | null {
  if (tokenEndsAt === null) return expiryOf(days);
  const end = new Date(tokenEndsAt).toISOString();
  const wanted = expiryOf(days) ?? end;
  if (wanted <= end) return wanted;
  const message = `the token that asks ends at ${end}, and so does what it makes`;
  throw new AppError("invalid_input", { issues: [{ path: "expires_in_days", message }] });
}

async function wantInstances(db: D1Database, asker: Asker, wanted: string[]): Promise<void> {
  const rows = await drizzle(db)
    .select({ id: instanceStatus.instanceId })
    .from(instanceStatus)
    .where(eq(instanceStatus.userId, asker.team))
    .limit(10_000);
  const known = new Set(rows.map(({ id }) => id));
  for (const id of wanted) {
    if (!known.has(id) || (asker.instances && !asker.instances.includes(id)))
      throw new AppError("instance_not_found", { instance_id: id });
  }
}

export async function listTokens(db: D1Database, asker: Asker) {
  const found = await rowsOf(db, asker);
  return found.map(({ token, name, role }) => ({ ...tokenView(token, name), role }));
}

/** False: none that the asker sees. */
export async function revokeToken(db: D1Database, asker: Asker, id: string): Promise<boolean> {
  const found = await rowsOf(db, asker);
  if (!found.some(({ token }) => token.id === id)) return false;
  await drizzle(db).delete(apiTokens).where(eq(apiTokens.id, id));
  return true;
}

interface Shown {
  token: Row;
  name: string;
  /** What it may do now: at most its own role, and at most its user's. */
  role: Role;
}

/** Of the team for an owner; else one's own, and none of them that may do more than the one that asks. */
async function rowsOf(db: D1Database, asker: Asker): Promise<Shown[]> {
  const ofTeam = or(eq(apiTokens.teamId, asker.team), and(isNull(apiTokens.teamId), eq(apiTokens.userId, asker.team)));
  const rows = await drizzle(db)
    .select({ token: apiTokens, name: users.name, memberRole: members.role })
    .from(apiTokens)
    .innerJoin(users, eq(users.id, apiTokens.userId))
    .leftJoin(members, and(eq(members.userId, apiTokens.userId), eq(members.teamId, asker.team)))
    .where(ofTeam)
    .limit(5_000);
  const shown = rows.map(({ token, name, memberRole }) => {
    // Whom the team began with is no member of it, and owns it.
    const own = (memberRole as Role | null) ?? "owner";
    return { token, name, role: lesserRole(own, roleOfRow(token)) };
  });
  return shown.filter((one) => isSeenBy(asker, one));
}

function isSeenBy(asker: Asker, { token, role }: Shown): boolean {
  if (asker.role === "owner" && asker.instances === null) return true;
  if (token.userId !== asker.user || !isAtLeast(asker.role, role)) return false;
  if (asker.instances === null) return true;
  const its = instancesOfRow(token);
  return its?.every((id) => asker.instances!.includes(id)) === true;
}

function teamOfRow({ teamId, userId }: Row): UserId {
  return (teamId ?? userId) as UserId;
}

function roleOfRow({ role }: Row): Role {
  return (role as Role | null) ?? "owner";
}

function instancesOfRow({ instances }: Row): string[] | null {
  return instances === null ? null : (JSON.parse(instances) as string[]);
}

export function tokenView(row: Row, userName: string) {
  const { id, name, userId, createdAt, expiresAt, lastUsedAt } = row;
  return {
    id,
    name,
    user: { id: userId, name: userName },
    role: roleOfRow(row),
    instances: instancesOfRow(row),
    created_at: createdAt,
    expires_at: expiresAt,
    last_used_at: lastUsedAt,
  };
}
