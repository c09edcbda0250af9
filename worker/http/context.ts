/** What a request carries through its handlers. */
import type { Context, Hono } from "hono";
import { AppError, type ErrorCode } from "../../core/protocol/errors.ts";
import type { UserId } from "../../core/protocol/ids.ts";
import type { Principal } from "../../core/protocol/route.ts";
import type { Asker } from "../asker.ts";
import type { Env } from "../env.ts";
import type { AgentClaims } from "../tokens.ts";

export interface Principals {
  asker: Asker | null;
  agent: AgentClaims | null;
  /** The team that a request of the deployment itself is about. */
  concerns: UserId | null;
}

/** What the log says of it, when it is over. */
interface Told {
  /** Of the errors' table, where it was answered with one. */
  errorCode: ErrorCode | null;
  /** The kind of token that let it in. */
  principal: Principal | null;
}

export type AppEnv = { Bindings: Env; Variables: Principals & Told & { requestId: string } };
export type App = Hono<AppEnv>;
export type AppContext = Context<AppEnv>;

/** Whoever the route's principal let in. */
export function askerOf(c: AppContext): Asker {
  const asker = c.get("asker");
  if (!asker) throw new AppError("unauthenticated");
  return asker;
}

/** Whose instances, policies and keys they are. */
export function teamOf(c: AppContext): UserId {
  return askerOf(c).team;
}
