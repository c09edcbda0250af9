/** What a request carries through its handlers. */
import type { Context, Hono } from "hono";
import type { UserId } from "../../core/protocol/ids.ts";
import type { Env } from "../env.ts";
import type { AgentClaims } from "../tokens.ts";

export interface Principals {
  user: { id: UserId; name: string } | null;
  agent: AgentClaims | null;
}

export type AppEnv = { Bindings: Env; Variables: Principals & { requestId: string } };
export type App = Hono<AppEnv>;
export type AppContext = Context<AppEnv>;
