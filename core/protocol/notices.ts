/** Notices: what is told of an instance, to which channels of a user, and how each delivery went. */
import * as z from "zod";
import { route } from "./route.ts";
import { instanceIdSchema, time } from "./views.ts";

export const channelKinds = ["webhook", "slack", "discord", "ntfy", "email"] as const;
export type ChannelKind = (typeof channelKinds)[number];

/** What a channel may be told of: each group is some types of the event log. */
export const noticeGroups = {
  wake_failed: ["wake_failed", "wake_retries_ended"],
  snapshot_failed: ["snapshot_failed", "snapshot_damaged", "checkpoint_failed", "copy_failed"],
  machine_stuck: ["destroy_failed", "stop_failed", "orphan_found", "machine_kept"],
  trouble: ["unreachable", "reachable", "machine_lost", "failed"],
  sleep_soon: ["sleep_soon"],
  slept: ["hibernated"],
  woke: ["woke_up"],
  deleted: ["deleted"],
} as const satisfies Record<string, readonly string[]>;
export type NoticeGroup = keyof typeof noticeGroups;
export type NoticeType = (typeof noticeGroups)[NoticeGroup][number];
export const groupNames = Object.keys(noticeGroups) as [NoticeGroup, ...NoticeGroup[]];
/** Of a new channel that names none: what wants a person. */
export const defaultGroups: NoticeGroup[] = ["wake_failed", "snapshot_failed", "machine_stuck", "trouble"];

export const noticeLanguages = ["en", "pt-BR"] as const;
export type NoticeLanguage = (typeof noticeLanguages)[number];

/** `user`: its owner; `gone`: its address answered that there is nothing any more. */
const offReasons = ["user", "gone"] as const;
export type OffReason = (typeof offReasons)[number];

export const deliveryStates = ["waiting", "delivered", "failed"] as const;
/**
 * Why a try did not succeed. `status`: an answer that is no success; `redirected`: an answer that points elsewhere, which is not
 * followed; `gone`: the address is switched off at the other end; `address`: it may not be called from here; `secret`: what was
 * kept cannot be read; `no_email`: this deployment sends none; `email`: the mail was not taken.
 */
export const deliveryCodes = [
  "timeout",
  "unreachable",
  "status",
  "redirected",
  "gone",
  "address",
  "secret",
  "no_email",
  "email",
] as const;
export type DeliveryCode = (typeof deliveryCodes)[number];

const names = z.array(z.enum(groupNames)).min(1).max(groupNames.length);
const url = z.string().trim().min(1).max(2_000);
const common = {
  name: z.string().trim().min(1).max(80),
  language: z.enum(noticeLanguages),
  groups: names,
  /** Null: all, those to come too. */
  instances: z.array(instanceIdSchema).min(1).max(100).nullable(),
  /** ntfy: "Not now" and "Wake" in the notice itself. */
  buttons: z.boolean(),
};
const target = {
  /** Of a webhook, of Slack's or Discord's, or of an ntfy topic. Shown never again but for its host and end. */
  url: url.optional(),
  email: z.email().max(320).optional(),
  /** ntfy: an access token of its server. Null takes it away. */
  token: z.string().trim().min(1).max(500).nullable().optional(),
};

const channelBody = z.strictObject({ kind: z.enum(channelKinds), ...z.object(common).partial().shape, ...target });
const changeBody = z.strictObject({
  ...z.object(common).partial().shape,
  ...target,
  on: z.boolean().optional(),
  /** Webhooks: another secret to sign with, from the next delivery on. */
  new_secret: z.literal(true).optional(),
});

const deliverySchema = z.object({
  /** The same at each try; what the receiver knows it by. */
  id: z.string(),
  event_type: z.string(),
  instance_id: instanceIdSchema.nullable(),
  instance_name: z.string().nullable(),
  created_at: time,
  state: z.enum(deliveryStates),
  tries: z.number().int(),
  last_try_at: time.nullable(),
  next_try_at: time.nullable(),
  /** HTTP; null: no answer came. */
  status: z.number().int().nullable(),
  code: z.enum(deliveryCodes).nullable(),
  /** The beginning of what was answered. */
  answer: z.string().nullable(),
  took_ms: z.number().int().nullable(),
});
export type DeliveryView = z.infer<typeof deliverySchema>;

export const channelSchema = z.object({
  id: z.string(),
  kind: z.enum(channelKinds),
  ...common,
  /** Enough to know it by: `hooks.slack.com/…f3a9`. */
  target: z.string(),
  has_token: z.boolean(),
  off: z.enum(offReasons).nullable(),
  created_at: time,
  /** How the newest delivery stands; null: there was none lately. */
  last: deliverySchema.pick({ state: true, status: true, code: true, created_at: true }).nullable(),
});
export type ChannelView = z.infer<typeof channelSchema>;
/** `secret`: of a webhook, whsec_..., where it is new: shown this once. */
const channelWithSecret = channelSchema.extend({ secret: z.string().nullable() });

const channelPath = "/api/channels/:channelId";

export const noticeRoutes = {
  listChannels: route({
    method: "GET",
    path: "/api/channels",
    principal: "user",
    role: "viewer",
    summary: "Where you are told what happens, without the secrets",
    status: 200,
    answer: z.object({ channels: z.array(channelSchema) }),
  }),
  createChannel: route({
    method: "POST",
    path: "/api/channels",
    principal: "user",
    role: "owner",
    summary: "Be told by a webhook, Slack, Discord, ntfy or e-mail; the secret of a webhook is shown once",
    body: channelBody,
    status: 201,
    answer: channelWithSecret,
  }),
  changeChannel: route({
    method: "PUT",
    path: channelPath,
    principal: "user",
    role: "owner",
    summary: "Change a channel; what is not named stays",
    body: changeBody,
    status: 200,
    answer: channelWithSecret,
  }),
  deleteChannel: route({
    method: "DELETE",
    path: channelPath,
    principal: "user",
    role: "owner",
    summary: "Take a channel away, with what still waits for it",
    status: 204,
    answer: z.null(),
  }),
  testChannel: route({
    method: "POST",
    path: `${channelPath}/test`,
    principal: "user",
    role: "owner",
    summary: "Send a test notice now, once, and say what was answered",
    body: z.strictObject({}),
    bodyOptional: true,
    isOnce: true,
    status: 200,
    answer: deliverySchema,
  }),
  listDeliveries: route({
    method: "GET",
    path: `${channelPath}/deliveries`,
    principal: "user",
    role: "viewer",
    summary: "The newest hundred deliveries of a channel: how each went, and when it is tried again",
    status: 200,
    answer: z.object({ deliveries: z.array(deliverySchema) }),
  }),
  pressButton: route({
    method: "POST",
    path: "/api/notices/press",
    principal: "public",
    summary: "What a button in a notice does; its token can do this one thing, once, for a while",
    body: z.strictObject({ token: z.string().min(1).max(2_000) }),
    isOnce: true,
    status: 200,
    answer: z.object({ done: z.enum(["not_now", "wake"]), instance_id: instanceIdSchema }),
  }),
} as const;
