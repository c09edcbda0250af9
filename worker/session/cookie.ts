/**
 * The cookie of a browser that is signed in: a JWT (HS256) that names the user and the API token it was opened with. Revoking
 * the token ends the session.
 */
import { jwtVerify, SignJWT } from "jose";
import { isUserId, type UserId } from "../../core/protocol/ids.ts";
import { secretBytes } from "../tokens.ts";

export const cookieName = "soneca_session";
export const teamCookieName = "soneca_team";
const issuer = "soneca";
const audience = "soneca-dashboard";
export const sessionLifeMs = 30 * 24 * 3_600_000;

export interface Session {
  user: UserId;
  /** Null: whoever sits at the machine, without a token. */
  tokenId: string | null;
  expiresAt: number;
}

export async function signSession(secret: string, { user, tokenId, expiresAt }: Session): Promise<string> {
  return new SignJWT(tokenId === null ? {} : { tid: tokenId })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(user)
    .setExpirationTime(Math.floor(expiresAt / 1000))
    .sign(secretBytes(secret));
}

/** Null: there is none, or none that holds. */
export async function readSession(secret: string, header: string | null): Promise<Session | null> {
  const value = cookieIn(header, cookieName);
  if (!value) return null;
  try {
    const { payload } = await jwtVerify(value, secretBytes(secret), { issuer, audience, algorithms: ["HS256"] });
    if (!isUserId(payload.sub) || payload.exp === undefined) return null;
    const tokenId = typeof payload.tid === "string" ? payload.tid : null;
    return { user: payload.sub, tokenId, expiresAt: payload.exp * 1000 };
  } catch {
    return null;
  }
}

/** Which of their teams somebody asks for whom Access knows. It says nothing of whether they may. */
export function readTeam(header: string | null): string | null {
  return cookieIn(header, teamCookieName);
}

function cookieIn(header: string | null, name: string): string | null {
  for (const pair of (header ?? "").split(";")) {
    const at = pair.indexOf("=");
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return null;
}

/** `value` empty: the browser forgets it. */
export function cookieText(value: string, maxAgeMs: number, isSecure: boolean, name = cookieName): string {
  const parts = [`${name}=${value}`, "Path=/api", "HttpOnly", "SameSite=Strict"];
  parts.push(`Max-Age=${value === "" ? 0 : Math.max(1, Math.floor(maxAgeMs / 1000))}`);
  if (isSecure) parts.push("Secure");
  return parts.join("; ");
}
