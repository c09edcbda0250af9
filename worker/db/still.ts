/** What somebody may do now who was let in some time ago, and is told things since. */
import { and, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { AppError } from "../../core/protocol/errors.ts";
import { lesserRole, type Role } from "../../core/protocol/roles.ts";
import { type Asker, roleIn } from "../asker.ts";
import { members, users } from "./schema.ts";
import { readToken } from "./tokens.ts";

/** Null: nothing any more. Without a token at most the role they came with: what else bounded it is not in the database. */
export async function roleStill(
  db: D1Database,
  { user, team, role, tokenId }: Pick<Asker, "user" | "team" | "role" | "tokenId">,
): Promise<Role | null> {
  if (tokenId !== null) {
    try {
      return (await readToken(db, { id: tokenId })).role;
    } catch (error) {
      // Revoked, run out, or of somebody who left the team.
      if (error instanceof AppError && error.status === 401) return null;
      throw error;
    }
  }
  const [found] = await drizzle(db)
    .select({ homeTeam: users.homeTeam, memberRole: members.role })
    .from(users)
    .leftJoin(members, and(eq(members.userId, users.id), eq(members.teamId, team)))
    .where(eq(users.id, user))
    .limit(1);
  const own = found ? roleIn({ team, user, ...found }) : null;
  return own && lesserRole(own, role);
}
