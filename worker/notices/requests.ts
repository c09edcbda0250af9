/** What each kind of channel is sent. */
import type { ChannelKind, NoticeLanguage } from "../../core/protocol/notices.ts";
import type { Notice } from "./notice.ts";
import { signWebhook } from "./signature.ts";
import { type ButtonName, buttonWord, type Message, type Tone } from "./words.ts";

/** Address and secrets of a channel, as they are sealed. */
export interface Target {
  url?: string;
  email?: string;
  /** ntfy. */
  token?: string;
  /** Webhooks: `whsec_...`. */
  secret?: string;
}

export interface Telling {
  /** The same at each try. */
  id: string;
  notice: Notice;
  message: Message;
  language: NoticeLanguage;
  target: Target;
  /** A press goes there by POST, with this token. */
  button: { name: ButtonName; url: string; token: string } | null;
  /** Epoch ms. */
  now: number;
}

export interface NoticeRequest {
  url: string;
  headers: Record<string, string>;
  body: string;
}

type HttpKind = Exclude<ChannelKind, "email">;

export async function requestOf(kind: HttpKind, telling: Telling): Promise<NoticeRequest> {
  const request = await makers[kind](telling);
  return { ...request, headers: { "content-type": "application/json", "user-agent": "soneca", ...request.headers } };
}

const makers: Record<HttpKind, (telling: Telling) => NoticeRequest | Promise<NoticeRequest>> = {
  webhook: async ({ id, notice, message, target, now }) => {
    const body = JSON.stringify(webhookBody(notice, message));
    return { url: target.url!, headers: await signWebhook(target.secret!, id, now, body), body };
  },
  slack: ({ message, target }) => ({ url: target.url!, headers: {}, body: JSON.stringify(slackBody(message)) }),
  discord: ({ notice, message, target }) => ({
    url: target.url!,
    headers: {},
    body: JSON.stringify(discordBody(notice, message)),
  }),
  ntfy: (telling) => {
    const { base, topic } = topicOf(telling.target.url!);
    const { token } = telling.target;
    const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
    return { url: base, headers, body: JSON.stringify(ntfyBody(topic, telling)) };
  },
};

/** The payload of the Standard Webhooks specification: type, timestamp, data. */
export function webhookBody(notice: Notice, message: Message) {
  const { type, at, group, instance, seq, actor, actorName = null, reason, params } = notice;
  return {
    type: type === "test" ? "channel.test" : `instance.${type}`,
    timestamp: new Date(at).toISOString(),
    data: {
      group,
      instance,
      event: seq === null ? null : { seq, actor, actor_name: actorName, reason, params },
      title: message.title,
      text: message.text,
      url: message.url,
    },
  };
}

/** Block Kit: a header holds 150 characters, a section 3,000. */
function slackBody({ title, text, url, open, tone }: Message) {
  const plain = (words: string) => ({ type: "plain_text", text: words, emoji: false });
  const button = {
    type: "button",
    text: plain(open),
    url,
    action_id: "open",
    ...(tone === "alert" && { style: "danger" }),
  };
  return {
    text: escapeSlack(`${title}\n${text}`),
    blocks: [
      { type: "header", text: plain(cut(title, 150)) },
      { type: "section", text: plain(cut(text, 3_000)) },
      ...(url === null ? [] : [{ type: "actions", elements: [button] }]),
    ],
  };
}

/** In the text that is shown where blocks are not, three characters would be read as mark-up. */
function escapeSlack(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const discordColours: Record<Tone, number> = { alert: 0xd9363e, soon: 0xd98e04, good: 0x2f9e5b, plain: 0x64748b };

/** A title holds 256 characters, a description 4,096. No name in it calls anybody. */
function discordBody({ at }: Notice, { title, text, url, tone }: Message) {
  const embed = {
    title: cut(title, 256),
    description: cut(text, 4_096),
    ...(url !== null && { url }),
    color: discordColours[tone],
    timestamp: new Date(at).toISOString(),
  };
  return { embeds: [embed], allowed_mentions: { parse: [] } };
}

/** `https://ntfy.sh/topic`: published as JSON, which goes to the server's root. */
export function topicOf(text: string): { base: string; topic: string } {
  const url = new URL(text);
  const parts = url.pathname.split("/").filter((part) => part !== "");
  const topic = parts.pop() ?? "";
  return { base: new URL(`/${parts.join("/")}`, url).href, topic };
}

const ntfyLooks: Record<Tone, { priority: number; tags: string[] }> = {
  alert: { priority: 4, tags: ["warning"] },
  soon: { priority: 4, tags: ["zzz"] },
  good: { priority: 3, tags: ["white_check_mark"] },
  plain: { priority: 2, tags: ["zzz"] },
};

function ntfyBody(topic: string, { message, button, language }: Telling) {
  const { title, text, url, open, tone } = message;
  const press = button && {
    action: "http",
    label: buttonWord(button.name, language),
    url: button.url,
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token: button.token }),
    clear: true,
  };
  const actions = [...(press ? [press] : []), ...(url === null ? [] : [{ action: "view", label: open, url }])];
  return { topic, title, message: text, ...ntfyLooks[tone], ...(url !== null && { click: url }), actions };
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
