/**
 * Cloudflare Access in front of the dashboard: each request carries a JWT that Access signed. It is checked here too, so that
 * a way around Access is no way in. https://developers.cloudflare.com/cloudflare-one/access-controls/applications/http-apps/authorization-cookie/validating-json/
 */
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import { AppError } from "../../core/protocol/errors.ts";
import { isUserId, type UserId } from "../../core/protocol/ids.ts";
import { lesserRole, type Role, roles } from "../../core/protocol/roles.ts";
import type { Env } from "../env.ts";

/** What `ACCESS_TEAM` and `ACCESS_AUDIENCE` name; null where Access is not set up. One application of several is enough. */
export function accessSettings(env: Env): { issuer: string; audience: string[] } | null {
  const team = (env.ACCESS_TEAM ?? "")
    .trim()
    .replace(/^https?:\/\//, "")
    .replace(/\/+$/, "");
  const audience = listOf(env.ACCESS_AUDIENCE);
  if (team === "" || audience.length === 0) return null;
  return { issuer: `https://${team.includes(".") ? team : `${team}.cloudflareaccess.com`}`, audience };
}

/** Kept from request to request: the keys change every six weeks. */
const keysOf = new Map<string, JWTVerifyGetKey>();

function keysFor(issuer: string): JWTVerifyGetKey {
  let keys = keysOf.get(issuer);
  if (!keys) {
    keys = createRemoteJWKSet(new URL(`${issuer}/cdn-cgi/access/certs`), { timeoutDuration: 5_000 });
    keysOf.set(issuer, keys);
  }
  return keys;
}

/** Whom Access let in: a person, or a service that stands for a user with at most this role. */
export type AccessUser = { email: string } | { user: UserId; roleIn(own: Role): Role };

/** Null: the request carries nothing of Access. Errors: unauthenticated, access_unavailable, access_service_unknown. */
export async function accessUser(request: Request, env: Env): Promise<AccessUser | null> {
  const settings = accessSettings(env);
  const token = request.headers.get("cf-access-jwt-assertion");
  if (!settings || !token) return null;
  const payload = await verified(token, settings);
  if (typeof payload.email === "string" && payload.email !== "") return { email: payload.email.toLowerCase() };
  const service = payload.common_name;
  if (typeof service !== "string" || service === "") throw new AppError("unauthenticated");
  return serviceUser(env, service);
}

async function verified(token: string, settings: { issuer: string; audience: string[] }): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, keysFor(settings.issuer), { ...settings, algorithms: ["RS256"] });
    return payload;
  } catch (cause) {
    const isTheirs =
      cause instanceof errors.JWKSTimeout || !(cause instanceof errors.JOSEError) || cause.code === "ERR_JOSE_GENERIC";
    throw new AppError(isTheirs ? "access_unavailable" : "unauthenticated", {}, { cause });
  }
}

/** A service token has no e-mail: `ACCESS_SERVICES` says as whom it comes, `CLIENT_ID=USER:ROLE`, or it does not come in. */
function serviceUser(env: Env, service: string): AccessUser {
  for (const line of listOf(env.ACCESS_SERVICES)) {
    const at = line.lastIndexOf("=");
    if (line.slice(0, at).trim() !== service) continue;
    const [user = "", role = ""] = line.slice(at + 1).split(":");
    const most = roles.find((one) => one === role.trim());
    if (isUserId(user.trim()) && most) return { user: user.trim() as UserId, roleIn: (own) => lesserRole(own, most) };
  }
  throw new AppError("access_service_unknown", { service });
}

function listOf(text: string | undefined): string[] {
  return (text ?? "")
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
}
