/** Agent tokens: a JWT (HS256) that names one instance and one epoch. A new machine is a new epoch and a new token. */
import { errors, jwtVerify, SignJWT } from "jose";
import { AppError } from "../core/protocol/errors.ts";
import { type InstanceId, isInstanceId } from "../core/protocol/ids.ts";

const issuer = "soneca";
const audience = "soneca-agent";
/** Long enough for a night without a control plane, short enough for a token that leaked. */
export const agentTokenLifeMs = 7 * 24 * 3_600_000;

export interface AgentClaims {
  instance: InstanceId;
  epoch: number;
  issuedAt: number;
}

export async function signAgentToken(
  secret: string,
  instance: InstanceId,
  epoch: number,
  now: number,
): Promise<string> {
  const seconds = Math.floor(now / 1000);
  return new SignJWT({ epoch })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(instance)
    .setIssuedAt(seconds)
    .setExpirationTime(seconds + agentTokenLifeMs / 1000)
    .sign(secretBytes(secret));
}

/** Errors: token_expired, unauthenticated. */
export async function readAgentToken(secret: string, token: string): Promise<AgentClaims> {
  try {
    const { payload } = await jwtVerify(token, secretBytes(secret), { issuer, audience, algorithms: ["HS256"] });
    const epoch = payload.epoch;
    if (!isInstanceId(payload.sub) || typeof epoch !== "number" || !Number.isInteger(epoch) || epoch < 1) {
      throw new AppError("unauthenticated");
    }
    return { instance: payload.sub, epoch, issuedAt: (payload.iat ?? 0) * 1000 };
  } catch (error) {
    if (error instanceof AppError) throw error;
    if (error instanceof errors.JWTExpired) throw new AppError("token_expired");
    throw new AppError("unauthenticated", {}, { cause: error });
  }
}

/** @throws where the deployment has none. */
export function secretBytes(secret: string): Uint8Array {
  // An empty secret would make every token valid for whoever reads this file.
  if (!secret || secret.length < 32) throw new Error("AGENT_JWT_SECRET must have at least 32 characters");
  return new TextEncoder().encode(secret);
}
