/** Who asks. User tokens are looked up by their hash; agent tokens are signed; the admin token is a secret of the deployment. */
import { AppError } from "../../core/protocol/errors.ts";
import { isAtLeast } from "../../core/protocol/roles.ts";
import type { RouteRule } from "../../core/protocol/route.ts";
import { type Asker, reaches } from "../asker.ts";
import { askerOfToken, noteTokenUse, userTokenPrefix } from "../db/tokens.ts";
import { isSameSecret } from "../fresh-secret.ts";
import { log } from "../log.ts";
import { browserUser } from "../session/browser.ts";
import { readAgentToken } from "../tokens.ts";
import type { AppContext } from "./context.ts";

/** Fills in the principal that the route wants. Errors: unauthenticated, token_expired, forbidden, and those of `wantRule`. */
export async function authenticate(c: AppContext, rule: RouteRule): Promise<void> {
  await letIn(c, rule);
  c.set("principal", rule.principal);
}

async function letIn(c: AppContext, rule: RouteRule): Promise<void> {
  if (rule.principal === "public") return;
  const token = bearerToken(c.req.header("authorization"));
  if (rule.principal === "user") {
    const { asker, isUseOld } = await (token ? byToken(c, token) : byBrowser(c));
    c.set("asker", asker);
    noteUse(c, { asker, isUseOld });
    return wantRule(asker, rule, c.req.param("id"));
  }
  if (!token) throw new AppError("unauthenticated");
  if (rule.principal === "admin") {
    if (!(await isSameSecret(token, c.env.ADMIN_TOKEN)))
      throw new AppError(token.startsWith(userTokenPrefix) ? "forbidden" : "unauthenticated");
    return;
  }
  if (rule.principal === "metrics") {
    const { METRICS_TOKEN, ADMIN_TOKEN } = c.env;
    const isKnown = (await isSameSecret(token, METRICS_TOKEN)) || (await isSameSecret(token, ADMIN_TOKEN));
    if (!isKnown) throw new AppError(token.startsWith(userTokenPrefix) ? "forbidden" : "unauthenticated");
    return;
  }
  if (token.startsWith(userTokenPrefix)) throw new AppError("forbidden");
  c.set("agent", await readAgentToken(c.env.AGENT_JWT_SECRET, token));
}

interface Known {
  asker: Asker;
  isUseOld: boolean;
}

async function byToken(c: AppContext, token: string): Promise<Known> {
  const { isUseOld, ...asker } = await askerOfToken(c.env.DB, token);
  return { asker, isUseOld };
}

async function byBrowser(c: AppContext): Promise<Known> {
  const signed = await browserUser(c.req.raw, c.env);
  if (!signed) throw new AppError("unauthenticated");
  return signed;
}

/** Beside the answer, which does not wait for it. */
export function noteUse(c: AppContext, { asker: { tokenId }, isUseOld }: Known): void {
  if (isUseOld && tokenId) c.executionCtx.waitUntil(noteTokenUse(c.env.DB, tokenId).catch(logUnnoted));
}

/** `id`: the instance that the path names. Errors: role_too_low, token_too_narrow, instance_not_found. */
function wantRule(asker: Asker, rule: RouteRule & { principal: "user" }, id: string | undefined): void {
  // What the token does not reach is as if it were not there.
  if (id !== undefined && !reaches(asker, id)) throw new AppError("instance_not_found");
  if (id === undefined && rule.reach === undefined && asker.instances !== null) throw new AppError("token_too_narrow");
  if (!isAtLeast(asker.role, rule.role)) throw new AppError("role_too_low", { role: asker.role, wants: rule.role });
}

function logUnnoted(error: unknown): void {
  log.error("token_use_not_noted", { error });
}

function bearerToken(header: string | undefined): string | null {
  const match = /^Bearer +([^\s]+) *$/i.exec(header ?? "");
  return match?.[1] ?? null;
}
