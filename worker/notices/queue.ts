/** From the log of an instance to the queue of its owner's channels. */
import type { State } from "../../core/lifecycle/types.ts";
import type { EventView } from "../../core/protocol/views.ts";
import { queueNotice, usersWithLate } from "../db/channels.ts";
import type { Env } from "../env.ts";
import { giveUpAfterMs } from "./deliver.ts";
import { noticesOf } from "./notice.ts";

const lateMs = 60_000;

/** `events`: as they follow each other in the log. Idempotent. Errors: those of D1. */
export async function queueNotices(env: Env, state: State, events: EventView[]): Promise<void> {
  const now = Date.now();
  // What happened long ago is no news; a log of before there were notices is full of it.
  const notices = noticesOf(state, events).filter(({ at }) => now - at < giveUpAfterMs);
  let queued = 0;
  for (const notice of notices) queued += await queueNotice(env.DB, state.owner, notice, now);
  if (queued > 0) await env.NOTICES.getByName(state.owner).poke(state.owner);
}

/** Cron: an alarm can be lost; a notice must not be. */
export async function pokeLateNotices(env: Env): Promise<void> {
  const users = await usersWithLate(env.DB, Date.now() - lateMs, 100);
  await Promise.all(users.map((user) => env.NOTICES.getByName(user).poke(user)));
}
