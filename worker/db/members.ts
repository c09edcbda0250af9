/** Users, the team that each begins with, and who else is in it. */
import { and, asc, eq, isNull } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { BodyOf } from "../../core/protocol/api.ts";
import { AppError } from "../../core/protocol/errors.ts";
import { isUserId, newUserId, type UserId } from "../../core/protocol/ids.ts";
import type { Role } from "../../core/protocol/roles.ts";
import type { MemberView, TeamView } from "../../core/protocol/team.ts";
import { apiTokens, members, users } from "./schema.ts";
import { freshToken } from "./tokens.ts";

type User = typeof users.$inferSelect;

/** A user with a team of their own, and the first token for it. */
export async function createUser(db: D1Database, name: string): Promise<{ id: UserId; name: string; token: string }> {
  const id = freshUserId();
  const fresh = await freshToken({ user: id, team: id, name: "first token", role: "owner" });
  const d1 = drizzle(db);
  await d1.batch([
    d1.insert(users).values({ id, name, createdAt: new Date().toISOString() }),
    d1.insert(apiTokens).values(fresh.row),
  ]);
  return { id, name, token: fresh.token };
}

/** Who is let in by Access for the first time becomes a user with a team of their own. */
export async function userWithEmail(db: D1Database, email: string): Promise<User> {
  const d1 = drizzle(db);
  const find = () => d1.select().from(users).where(eq(users.email, email)).limit(1);
  let [row] = await find();
  if (!row) {
    const fresh = { id: freshUserId(), name: email, email, createdAt: new Date().toISOString() };
    // Two first requests at once: the second finds what the first made.
    await d1.insert(users).values(fresh).onConflictDoNothing({ target: users.email });
    [row] = await find();
  }
  if (!row || !isUserId(row.id)) throw new AppError("unauthenticated");
  return row;
}

/** All that they may ask for, their own first. */
export async function teamsOf(db: D1Database, user: Pick<User, "id" | "name" | "homeTeam">): Promise<TeamView[]> {
  const rows = await drizzle(db)
    .select({ id: members.teamId, name: users.name, role: members.role })
    .from(members)
    .innerJoin(users, eq(users.id, members.teamId))
    .where(eq(members.userId, user.id))
    .orderBy(asc(members.createdAt))
    .limit(200);
  const others = rows.map((row) => ({ ...row, role: row.role as Role }));
  return user.homeTeam === null ? [{ id: user.id, name: user.name, role: "owner" }, ...others] : others;
}

export async function teamName(db: D1Database, team: UserId): Promise<string> {
  const [row] = await drizzle(db).select({ name: users.name }).from(users).where(eq(users.id, team)).limit(1);
  return row?.name ?? team;
}

export async function listMembers(db: D1Database, team: UserId): Promise<MemberView[]> {
  const d1 = drizzle(db);
  const [founder] = await d1.select().from(users).where(eq(users.id, team)).limit(1);
  const rows = await d1
    .select({ member: members, email: users.email })
    .from(members)
    .innerJoin(users, eq(users.id, members.userId))
    .where(eq(members.teamId, team))
    .orderBy(asc(members.createdAt))
    .limit(1000);
  const first: MemberView[] = founder
    ? [{ ...viewOf(team, founder.name, founder.email, "owner", founder.createdAt), is_founder: true }]
    : [];
  return [
    ...first,
    ...rows.map(({ member, email }) => viewOf(member.userId, member.name, email, member.role, member.createdAt)),
  ];
}

/** With an e-mail: whoever Access knows by it. Without: somebody new, with a token. Errors: member_exists. */
export async function addMember(
  db: D1Database,
  team: UserId,
  { name, role, email }: BodyOf<"addMember">,
): Promise<MemberView & { token: string | null }> {
  const d1 = drizzle(db);
  const createdAt = new Date().toISOString();
  if (email === undefined) {
    const id = freshUserId();
    // No bound of its own: what they may do is their role in the team, whatever it becomes.
    const fresh = await freshToken({ user: id, team, name: "first token", role: "owner" });
    await d1.batch([
      d1.insert(users).values({ id, name, createdAt, homeTeam: team }),
      d1.insert(members).values({ teamId: team, userId: id, role, name, createdAt }),
      d1.insert(apiTokens).values(fresh.row),
    ]);
    return { ...viewOf(id, name, null, role, createdAt), token: fresh.token };
  }
  // Whom nobody knows yet has no team but this one.
  const fresh = { id: freshUserId(), name, email, createdAt, homeTeam: team };
  await d1.insert(users).values(fresh).onConflictDoNothing({ target: users.email });
  const { id } = await userWithEmail(db, email);
  const added =
    id === team
      ? []
      : await d1
          .insert(members)
          .values({ teamId: team, userId: id, role, name, createdAt })
          .onConflictDoNothing()
          .returning({ id: members.userId });
  if (added.length === 0) throw new AppError("member_exists", { user_id: id });
  return { ...viewOf(id, name, email, role, createdAt), token: null };
}

/** Errors: object_not_found, founder_stays. */
export async function changeMember(db: D1Database, team: UserId, user: string, role: Role): Promise<MemberView> {
  if (user === team) throw new AppError("founder_stays");
  const changed = await drizzle(db).update(members).set({ role }).where(memberIs(team, user)).returning();
  if (changed.length === 0) throw new AppError("object_not_found");
  return (await listMembers(db, team)).find((one) => one.user_id === user)!;
}

/** With their tokens for this team. Errors: object_not_found, founder_stays. */
export async function removeMember(db: D1Database, team: UserId, user: string): Promise<void> {
  if (user === team) throw new AppError("founder_stays");
  const d1 = drizzle(db);
  const [gone] = await d1.batch([
    d1.delete(members).where(memberIs(team, user)).returning({ id: members.userId }),
    d1.delete(apiTokens).where(and(eq(apiTokens.userId, user), eq(apiTokens.teamId, team))),
  ]);
  if (gone.length === 0) throw new AppError("object_not_found");
}

/** The first one that was made. Null: there is none yet. */
export async function firstUser(db: D1Database): Promise<User | null> {
  const [row] = await drizzle(db)
    .select()
    .from(users)
    .where(isNull(users.homeTeam))
    .orderBy(asc(users.createdAt))
    .limit(1);
  return row ?? null;
}

export async function userWithId(db: D1Database, id: UserId): Promise<User | null> {
  const [row] = await drizzle(db).select().from(users).where(eq(users.id, id)).limit(1);
  return row ?? null;
}

function memberIs(team: UserId, user: string) {
  return and(eq(members.teamId, team), eq(members.userId, user));
}

function freshUserId(): UserId {
  return newUserId(crypto.getRandomValues(new Uint8Array(10)));
}

function viewOf(user: string, name: string, email: string | null, role: string, since: string): MemberView {
  return { user_id: user, name, email, role: role as Role, is_founder: false, since };
}
