/** Who calls a service, and the request without what said so: no credential of ours ever reaches a service. */
import { AppError } from "../../core/protocol/errors.ts";
import { type Caller, proxyKeyHeader, proxyKeyPrefix } from "../../core/protocol/proxy.ts";
import { isAtLeast } from "../../core/protocol/roles.ts";
import { askerOfToken, noteTokenUse, userTokenPrefix } from "../db/tokens.ts";
import { callerOfKey } from "./keys.ts";

export interface Called {
  caller: Caller;
  /** Whether `Authorization` was ours. */
  tookAuthorization: boolean;
}

/** A revoked token is good for as long at most. */
const rememberedMs = 30_000;
const maxRemembered = 5_000;
const remembered = new Map<string, { caller: Caller; untilAt: number }>();

/**
 * `X-Soneca-Key`, a Bearer token of ours, or one as the password of Basic (for browsers and git). Any other `Authorization` is
 * the service's own. Errors: unauthenticated, token_expired, forbidden, database_unavailable.
 */
export async function callerOf(db: D1Database, headers: Headers): Promise<Called> {
  const authorization = ourToken(headers.get("authorization"));
  const key = headers.get(proxyKeyHeader)?.trim() || authorization;
  if (!key) return { caller: { kind: "anybody" }, tookAuthorization: false };
  return { caller: await callerWith(db, key), tookAuthorization: authorization !== null };
}

async function callerWith(db: D1Database, key: string): Promise<Caller> {
  const now = Date.now();
  const before = remembered.get(key);
  if (before && now < before.untilAt) return before.caller;
  const caller = await lookUp(db, key);
  if (remembered.size >= maxRemembered) remembered.clear();
  remembered.set(key, { caller, untilAt: now + rememberedMs });
  return caller;
}

async function lookUp(db: D1Database, key: string): Promise<Caller> {
  if (key.startsWith(proxyKeyPrefix)) return callerOfKey(db, key);
  if (key.startsWith(userTokenPrefix)) return callerOfToken(db, key);
  throw new AppError("unauthenticated");
}

/** A service may be a shell: for whoever only looks there is none but what is public. */
async function callerOfToken(db: D1Database, token: string): Promise<Caller> {
  const { user, team, role, instances, tokenId, isUseOld } = await askerOfToken(db, token);
  if (isUseOld && tokenId) await noteTokenUse(db, tokenId).catch(() => {});
  return { kind: "user", id: user, team, instances: isAtLeast(role, "operator") ? instances : [] };
}

/** Null: none of ours. */
function ourToken(header: string | null): string | null {
  const bearer = /^Bearer +([^\s]+) *$/i.exec(header ?? "")?.[1];
  const basic = /^Basic +([^\s]+) *$/i.exec(header ?? "")?.[1];
  const token = bearer ?? (basic ? passwordOf(basic) : "");
  return token.startsWith(proxyKeyPrefix) || token.startsWith(userTokenPrefix) ? token : null;
}

function passwordOf(basic: string): string {
  try {
    const text = atob(basic);
    return text.slice(text.indexOf(":") + 1);
  } catch {
    return "";
  }
}
