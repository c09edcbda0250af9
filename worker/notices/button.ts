/**
 * Buttons of a notice: a JWT (HS256) that names one thing to do with one instance, for a while and once. It comes in the body of
 * a POST, so that nothing that only follows links can press it, and no log of addresses holds it.
 */
import { errors, jwtVerify, SignJWT } from "jose";
import { AppError } from "../../core/protocol/errors.ts";
import { type InstanceId, isInstanceId, isUserId, type UserId } from "../../core/protocol/ids.ts";
import { secretBytes } from "../tokens.ts";
import type { Notice } from "./notice.ts";
import type { ButtonName } from "./words.ts";

const issuer = "soneca";
const audience = "soneca-notice";

export interface Button {
  /** Of the delivery that carries it. */
  id: string;
  name: ButtonName;
  instance: InstanceId;
  user: UserId;
  channel: string;
  expiresAt: number;
}

const minuteMs = 60_000;
const offered: Partial<Record<Notice["type"], { name: ButtonName; livesMs: number }>> = {
  sleep_soon: { name: "not_now", livesMs: 30 * minuteMs },
  hibernated: { name: "wake", livesMs: 24 * 60 * minuteMs },
  deleted: { name: "wake", livesMs: 24 * 60 * minuteMs },
  wake_failed: { name: "wake", livesMs: 24 * 60 * minuteMs },
  wake_retries_ended: { name: "wake", livesMs: 24 * 60 * minuteMs },
};

/** What a notice offers; null: nothing but to open the dashboard. */
export function buttonOf(notice: Notice, of: { delivery: string; user: string; channel: string }): Button | null {
  const offer = offered[notice.type];
  if (!offer || !notice.instance) return null;
  return {
    id: of.delivery,
    name: offer.name,
    instance: notice.instance.id as InstanceId,
    user: of.user as UserId,
    channel: of.channel,
    expiresAt: notice.at + offer.livesMs,
  };
}

export async function signButton(secret: string, button: Button): Promise<string> {
  return new SignJWT({ does: button.name, owner: button.user, channel: button.channel })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(button.instance)
    .setJti(button.id)
    .setExpirationTime(Math.floor(button.expiresAt / 1000))
    .sign(secretBytes(secret));
}

/** Errors: token_expired, unauthenticated. */
export async function readButton(secret: string, token: string): Promise<Button> {
  try {
    const { payload } = await jwtVerify(token, secretBytes(secret), { issuer, audience, algorithms: ["HS256"] });
    const { sub, jti, exp, does, owner, channel } = payload;
    const isWhole = isInstanceId(sub) && isUserId(owner) && jti && exp && typeof channel === "string";
    if (!isWhole || (does !== "not_now" && does !== "wake")) throw new AppError("unauthenticated");
    return { id: jti, name: does, instance: sub, user: owner, channel, expiresAt: exp * 1000 };
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError(cause instanceof errors.JWTExpired ? "token_expired" : "unauthenticated", {}, { cause });
  }
}
