/**
 * Cloudflare Access in front of the dashboard: each request carries a JWT that Access signed. It is checked here too, so that
 * a way around Access is no way in. https://developers.cloudflare.com/cloudflare-one/access-controls/applications/http-apps/authorization-cookie/validating-json/
 */
import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from "jose";
import { AppError } from "../../core/protocol/errors.ts";
import type { Env } from "../env.ts";

/** What `ACCESS_TEAM` and `ACCESS_AUDIENCE` name; null where Access is not set up. */
export function accessSettings(env: Env): { issuer: string; audience: string } | null {
  const team = (env.ACCESS_TEAM ?? "")
    .trim()
    .replace(/^https?:\/\//, "")
    .replace(/\/+$/, "");
  const audience = (env.ACCESS_AUDIENCE ?? "").trim();
  if (team === "" || audience === "") return null;
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

/** The address of whom Access let in; null: the request carries nothing of Access. Errors: unauthenticated, access_unavailable. */
export async function accessEmail(request: Request, env: Env): Promise<string | null> {
  const settings = accessSettings(env);
  const token = request.headers.get("cf-access-jwt-assertion");
  if (!settings || !token) return null;
  try {
    const { payload } = await jwtVerify(token, keysFor(settings.issuer), { ...settings, algorithms: ["RS256"] });
    if (typeof payload.email !== "string" || payload.email === "") throw new AppError("unauthenticated");
    return payload.email.toLowerCase();
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const isTheirs =
      cause instanceof errors.JWKSTimeout || !(cause instanceof errors.JOSEError) || cause.code === "ERR_JOSE_GENERIC";
    throw new AppError(isTheirs ? "access_unavailable" : "unauthenticated", {}, { cause });
  }
}
