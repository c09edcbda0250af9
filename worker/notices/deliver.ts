/** Sends what waits for a user's channels: each channel by itself, so that one that is down delays no other. */
import type { ChannelKind, NoticeLanguage } from "../../core/protocol/notices.ts";
import {
  type ChannelRow,
  type DeliveryRow,
  dueDeliveries,
  forgetDeliveries,
  nextDeliveryAt,
  noteTry,
  postpone,
  switchOff,
} from "../db/channels.ts";
import type { Env } from "../env.ts";
import { log } from "../log.ts";
import { type Receiver, type Sent, sendNotice } from "./send.ts";

const hourMs = 3_600_000;
/** After this time a notice is given up. */
export const giveUpAfterMs = 24 * hourMs;
const firstWaitMs = 20_000;
const maxWaitMs = hourMs;
const keepLogMs = 14 * 24 * hourMs;
/** Calls at once: an invocation has six connections. */
const atOnce = 4;
const perRound = 50;

/** Tries everything that is due. When the next one is; null: nothing waits. Errors: those of D1. */
export async function deliverDue(env: Env, userId: string): Promise<number | null> {
  for (;;) {
    const due = await dueDeliveries(env.DB, userId, Date.now(), perRound);
    if (due.length === 0) break;
    const ids = [...new Set(due.map(({ channel }) => channel.id))];
    const left = [...ids];
    const work = async () => {
      for (let id = left.shift(); id !== undefined; id = left.shift()) {
        await deliverTo(
          env,
          due.filter(({ channel }) => channel.id === id),
        );
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
    await forgetDeliveries(env.DB, ids, Date.now() - keepLogMs);
  }
  return nextDeliveryAt(env.DB, userId);
}

export function receiverOf(channel: ChannelRow): Receiver {
  const { id, userId, kind, language, buttons, sealed } = channel;
  return { id, userId, kind: kind as ChannelKind, language: language as NoticeLanguage, buttons, sealed };
}

/** In their order, until one is not taken. */
async function deliverTo(env: Env, waiting: { delivery: DeliveryRow; channel: ChannelRow }[]): Promise<void> {
  for (const { delivery, channel } of waiting) {
    const sent = await sendNotice(env, receiverOf(channel), delivery.id, JSON.parse(delivery.notice));
    const next = afterTry(delivery, sent, Date.now(), Math.random());
    await noteTry(env.DB, delivery.id, next);
    logTry(channel, delivery.id, sent, next);
    if (sent.code === "gone") return switchOff(env.DB, channel.id);
    // The others would fare like this one: they wait as long.
    if (next.nextTryAt !== null) return postpone(env.DB, channel.id, next.nextTryAt);
  }
}

type Tried = Omit<DeliveryRow, "id" | "channelId" | "userId" | "notice" | "createdAt">;

/** What a try makes of a delivery. `random`: from 0 to 1. */
export function afterTry(
  before: Pick<DeliveryRow, "tries" | "createdAt">,
  { code, status, answer, tookMs, retryAfterMs }: Sent,
  now: number,
  random: number,
): Tried {
  const tries = before.tries + 1;
  const tried = { tries, lastTryAt: now, status, code, answer, tookMs };
  if (code === null) return { ...tried, state: "delivered", nextTryAt: null };
  const waitMs = Math.min(firstWaitMs * 2 ** Math.min(tries - 1, 20), maxWaitMs) * (0.5 + random / 2);
  const nextTryAt = Math.round(now + Math.max(waitMs, retryAfterMs ?? 0));
  // Nothing that time could heal, or no time left.
  const isOver = code === "gone" || code === "address" || code === "no_email";
  if (isOver || nextTryAt > before.createdAt + giveUpAfterMs) return { ...tried, state: "failed", nextTryAt: null };
  return { ...tried, state: "waiting", nextTryAt };
}

function logTry(channel: ChannelRow, id: string, { code, status, tookMs }: Sent, { state, tries }: Tried): void {
  if (code === null) return;
  log.warn("notice_not_delivered", { channel: channel.id, id, code, status, ms: tookMs, state, tries });
}
