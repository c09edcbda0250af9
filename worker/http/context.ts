/** What a request carries through its handlers. */
import type { Context, Hono } from "hono";
import { AppError, type ErrorCode } from "../../core/protocol/errors.ts";
import type { UserId } from "../../core/protocol/ids.ts";
import type { Principal } from "../../core/protocol/route.ts";
import type { Env } from "../env.ts";
import type { AgentClaims } from "../tokens.ts";

export interface Principals {
  user: { id: UserId; name: string } | null;
  agent: AgentClaims | null;
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
export function userOf(c: AppContext): { id: UserId; name: string } {
  const user = c.get("user");
  if (!user) throw new AppError("unauthenticated");
  return user;
}
