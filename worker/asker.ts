/** Who asks, for which team, and what they may do. */
import type { UserId } from "../core/protocol/ids.ts";
import type { Role } from "../core/protocol/roles.ts";

/** What an instance's object needs to know of them. */
export interface By {
  /** The person. */
  user: UserId;
  /** What they are called; null where only the id is known. */
  name: string | null;
  /** Whose instances they ask about. */
  team: UserId;
  /** At most the role in the team, at most that of the token. */
  role: Role;
}

export interface Asker extends By {
  name: string;
  /** The only instances that the token reaches; null: all of the team. */
  instances: readonly string[] | null;
  /** Null: without a token, as whom Cloudflare Access or the machine itself says. */
  tokenId: string | null;
  /** When the token ends, epoch ms; null: never. */
  tokenEndsAt: number | null;
}

export function reaches(asker: Pick<Asker, "instances">, instance: string): boolean {
  return asker.instances === null || asker.instances.includes(instance);
}

interface Belonging {
  team: UserId;
  user: UserId;
  /** The team that they were taken into, where they have none of their own. */
  homeTeam: string | null;
  /** As their row among its members says. */
  memberRole: string | null;
}

/** Null: they are not in it. Whoever a team began with owns it. */
export function roleIn({ team, user, homeTeam, memberRole }: Belonging): Role | null {
  if (team === user) return homeTeam === null ? "owner" : null;
  return memberRole as Role | null;
}
