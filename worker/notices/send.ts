/** One try to tell one channel: never throws, never takes much longer than ten seconds, never follows anybody elsewhere. */
import type { ChannelKind, DeliveryCode, NoticeLanguage } from "../../core/protocol/notices.ts";
import type { Env } from "../env.ts";
import { openSecret } from "../sealed.ts";
import { refuseAddress } from "./address.ts";
import { buttonOf, signButton } from "./button.ts";
import type { Notice } from "./notice.ts";
import { requestOf, type Target, type Telling } from "./requests.ts";
import { messageOf } from "./words.ts";

const timeoutMs = 10_000;
const maxAnswerBytes = 1_024;
const maxAnswerChars = 300;

export interface Sent {
  /** Null: it was taken. */
  code: DeliveryCode | null;
  status: number | null;
  answer: string | null;
  tookMs: number;
  /** How long it asked to be left alone. */
  retryAfterMs: number | null;
}

export interface Receiver {
  id: string;
  userId: string;
  kind: ChannelKind;
  language: NoticeLanguage;
  buttons: boolean;
  sealed: string;
}

/** `id`: of the delivery. */
export async function sendNotice(env: Env, to: Receiver, id: string, notice: Notice): Promise<Sent> {
  const beganAt = Date.now();
  const result = await sendOnce(env, to, id, notice);
  return { status: null, answer: null, retryAfterMs: null, ...result, tookMs: Date.now() - beganAt };
}

type Result = Pick<Sent, "code"> & Partial<Sent>;

async function sendOnce(env: Env, to: Receiver, id: string, notice: Notice): Promise<Result> {
  let target: Target;
  try {
    target = JSON.parse(await openSecret(env, purposeOf(to.id), to.sealed));
  } catch {
    return { code: "secret" };
  }
  const message = messageOf(notice, to.language, env.PUBLIC_URL);
  if (to.kind === "email") return sendMail(env, target.email ?? "", message);
  // Rules may have become stricter since the channel was made.
  const refused = refuseAddress(target.url ?? "", env);
  if (refused) return { code: "address", answer: refused };
  const button = to.kind === "ntfy" && to.buttons ? await buttonFor(env, to, id, notice) : null;
  const telling: Telling = { id, notice, message, language: to.language, target, button, now: Date.now() };
  const { url, ...init } = await requestOf(to.kind, telling);
  return ask(url, init, to.kind);
}

/** What the address and secrets of a channel are sealed for. */
export function purposeOf(channelId: string): string {
  return `channel:${channelId}`;
}

async function buttonFor(env: Env, to: Receiver, id: string, notice: Notice): Promise<Telling["button"]> {
  const button = buttonOf(notice, { delivery: id, user: to.userId, channel: to.id });
  // Nothing to press where nobody could reach it, or not any more.
  if (!button || env.PUBLIC_URL === "" || button.expiresAt <= Date.now()) return null;
  const token = await signButton(env.AGENT_JWT_SECRET, button);
  return { name: button.name, url: `${env.PUBLIC_URL}/api/notices/press`, token };
}

async function ask(
  url: string,
  init: { headers: Record<string, string>; body: string },
  kind: ChannelKind,
): Promise<Result> {
  let response: Response;
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    response = await fetch(url, { ...init, method: "POST", redirect: "manual", signal });
  } catch (error) {
    const { name, message } = error as Error;
    const isLate = name === "TimeoutError" || name === "AbortError";
    return isLate ? { code: "timeout" } : { code: "unreachable", answer: clean(message) };
  }
  const { status } = response;
  const result = { status, answer: await beginningOf(response) };
  if (response.ok) return { code: null, ...result };
  if (status >= 300 && status < 400) return { code: "redirected", ...result };
  // Slack and Discord say so of a webhook that was taken away.
  const isGone = status === 410 || (status === 404 && (kind === "slack" || kind === "discord"));
  const retryAfterMs = readRetryAfter(response.headers.get("retry-after"), Date.now());
  return { code: isGone ? "gone" : "status", ...result, retryAfterMs };
}

/** Reads no more than it shows, whatever is sent. */
async function beginningOf({ body }: Response): Promise<string | null> {
  if (!body) return null;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (let bytes = 0; bytes < maxAnswerBytes; ) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes += value.byteLength;
      text += decoder.decode(value.subarray(0, maxAnswerBytes), { stream: true });
    }
  } catch {
    // The status is what counts.
  }
  await reader.cancel().catch(() => undefined);
  return clean(text);
}

function clean(text: string): string | null {
  const words = text.replace(/\p{Cc}+/gu, " ").trim();
  return words === "" ? null : words.slice(0, maxAnswerChars);
}

/** Seconds, also with a fraction, or a date; null: nothing is asked. */
export function readRetryAfter(text: string | null, now: number): number | null {
  if (text === null || text.trim() === "") return null;
  const seconds = Number(text);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(text) - now;
  return Number.isFinite(ms) && ms > 0 ? Math.ceil(ms) : null;
}

async function sendMail(env: Env, to: string, message: ReturnType<typeof messageOf>): Promise<Result> {
  if (!env.EMAIL || !env.NOTICES_EMAIL_FROM) return { code: "no_email" };
  const text = message.url === null ? message.text : `${message.text}\n\n${message.url}`;
  const mail = { from: env.NOTICES_EMAIL_FROM, to, subject: clean(message.title) ?? "Soneca", text };
  try {
    const late = scheduler.wait(timeoutMs).then(() => "late" as const);
    const sent = await Promise.race([env.EMAIL.send(mail), late]);
    return { code: sent === "late" ? "timeout" : null };
  } catch (error) {
    return { code: "email", answer: clean(String((error as Error).message)) };
  }
}
