/**
 * Tokens for the gate of a machine. The key of an instance and epoch is derived from the deployment's secret, so nothing is
 * stored, and what a machine holds opens no other machine.
 */
import { SignJWT } from "jose";
import { type GateClaims, gateAudience, gateIssuer, gateTokenLifeMs } from "../../core/protocol/gate.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import { base64Url } from "../fresh-secret.ts";
import { secretBytes } from "../tokens.ts";

/** base64url, 32 bytes. */
export async function gateKey(secret: string, instance: InstanceId, epoch: number): Promise<string> {
  return base64Url(await keyBytes(secret, instance, epoch));
}

export interface GateTarget {
  instance: InstanceId;
  epoch: number;
  /** Null: for the gate's own paths. */
  port: number | null;
  quiet?: boolean;
}

/** One serves many requests, for half of its life. */
const known = new Map<string, { token: string; untilAt: number }>();
const maxKnown = 2_000;

export async function gateToken(secret: string, { instance, epoch, port, quiet }: GateTarget): Promise<string> {
  const now = Date.now();
  const name = `${secret} ${instance} ${epoch} ${port} ${quiet ?? false}`;
  const before = known.get(name);
  if (before && now < before.untilAt) return before.token;
  const seconds = Math.floor(now / 1000);
  const claims: GateClaims = { sub: instance, epoch, port, ...(quiet && { quiet }) };
  const token = await new SignJWT({ ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(gateIssuer)
    .setAudience(gateAudience)
    .setIssuedAt(seconds)
    .setExpirationTime(seconds + gateTokenLifeMs / 1000)
    .sign(await keyBytes(secret, instance, epoch));
  if (known.size >= maxKnown) known.clear();
  known.set(name, { token, untilAt: now + gateTokenLifeMs / 2 });
  return token;
}

async function keyBytes(secret: string, instance: InstanceId, epoch: number): Promise<Uint8Array<ArrayBuffer>> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", new Uint8Array(secretBytes(secret)), algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(`gate\n${instance}\n${epoch}`)));
}
