/** The routes of notices: channels, their test, their deliveries, and the buttons in notices. */
import { type AnswerOf, type BodyOf, routes } from "../../core/protocol/api.ts";
import { AppError } from "../../core/protocol/errors.ts";
import { newChannelId } from "../../core/protocol/ids.ts";
import {
  type ChannelKind,
  type ChannelView,
  type DeliveryCode,
  type DeliveryView,
  defaultGroups,
  type NoticeLanguage,
  type OffReason,
} from "../../core/protocol/notices.ts";
import type { By } from "../asker.ts";
import {
  addChannel,
  addDelivery,
  type ChannelRow,
  changeChannel,
  type DeliveryRow,
  deleteChannel,
  findChannel,
  forgetWaiting,
  listChannels,
  listDeliveries,
  newestDeliveries,
  pressOnce,
  unpress,
} from "../db/channels.ts";
import type { Env } from "../env.ts";
import { refuseAddress } from "../notices/address.ts";
import { readButton } from "../notices/button.ts";
import { receiverOf } from "../notices/deliver.ts";
import type { Notice } from "../notices/notice.ts";
import { type Target, topicOf } from "../notices/requests.ts";
import { purposeOf, sendNotice } from "../notices/send.ts";
import { newWebhookSecret } from "../notices/signature.ts";
import { openSecret, sealSecret } from "../sealed.ts";
import { orThrow } from "./ask.ts";
import { type App, type AppContext, teamOf } from "./context.ts";
import { mount } from "./mount.ts";

const maxChannels = 20;
const testEveryMs = 5_000;
const shownDeliveries = 100;

type TargetInput = Pick<BodyOf<"changeChannel">, "url" | "email" | "token">;

export function mountNotices(app: App): void {
  mount(app, "listChannels", async (c) => {
    const rows = await listChannels(c.env.DB, teamOf(c));
    const newest = await newestDeliveries(
      c.env.DB,
      rows.map(({ id }) => id),
    );
    return { channels: rows.map((row) => channelView(row, newest.get(row.id))) };
  });
  mount(app, "createChannel", async (c, { body }) => createChannel(c.env, teamOf(c), body));
  mount(app, "changeChannel", async (c, { body }) => change(c.env, await channelOf(c), body));
  mount(app, "deleteChannel", async (c) => {
    await deleteChannel(c.env.DB, (await channelOf(c)).id);
    return null;
  });
  mount(app, "testChannel", async (c) => deliveryView(await sendTest(c.env, await channelOf(c))));
  mount(app, "listDeliveries", async (c) => {
    const rows = await listDeliveries(c.env.DB, (await channelOf(c)).id, shownDeliveries);
    return { deliveries: rows.map(deliveryView) };
  });
  letAnyPagePress(app);
  mount(app, "pressButton", async (c, { body }) => press(c.env, body.token));
}

/** ntfy's web app presses from a page of its own. No cookie is of use there: the token in the body is all that counts. */
function letAnyPagePress(app: App): void {
  const { path, method } = routes.pressButton;
  app.use(path, async (c, next) => {
    if (c.req.method === "OPTIONS") {
      c.header("access-control-allow-methods", method);
      c.header("access-control-allow-headers", "content-type");
      c.res = c.body(null, 204);
    } else await next();
    c.header("access-control-allow-origin", "*");
  });
}

/** Errors: object_not_found, also for another user's. */
async function channelOf(c: AppContext): Promise<ChannelRow> {
  const row = await findChannel(c.env.DB, teamOf(c), c.req.param("channelId") ?? "");
  if (!row) throw new AppError("object_not_found");
  return row;
}

async function createChannel(
  env: Env,
  userId: string,
  { kind, ...body }: BodyOf<"createChannel">,
): Promise<AnswerOf<"createChannel">> {
  const target = { ...checkTarget(env, kind, body, {}), ...(kind === "webhook" && { secret: newWebhookSecret() }) };
  const id = newChannelId(crypto.getRandomValues(new Uint8Array(10)));
  const row: ChannelRow = {
    id,
    userId,
    kind,
    name: body.name ?? kind,
    language: body.language ?? "en",
    groups: JSON.stringify(body.groups ?? defaultGroups),
    instances: body.instances ? JSON.stringify(body.instances) : null,
    buttons: body.buttons ?? true,
    target: shownTarget(target),
    hasToken: target.token !== undefined,
    sealed: await sealSecret(env, purposeOf(id), JSON.stringify(target)),
    off: null,
    createdAt: Date.now(),
  };
  if (!(await addChannel(env.DB, row, maxChannels))) throw new AppError("too_many_channels", { max: maxChannels });
  return { ...channelView(row, undefined), secret: target.secret ?? null };
}

async function change(env: Env, row: ChannelRow, body: BodyOf<"changeChannel">): Promise<AnswerOf<"changeChannel">> {
  const { url, email, token, new_secret, on } = body;
  const kind = row.kind as ChannelKind;
  if (new_secret && kind !== "webhook") throw wrong("new_secret", "only a webhook has a secret of ours");
  let target: Partial<ChannelRow> = {};
  let secret: string | null = null;
  if (url !== undefined || email !== undefined || token !== undefined || new_secret) {
    const before = await openOrNothing(env, row);
    const given = { url: url ?? before.url, email: email ?? before.email, token };
    const next = checkTarget(env, kind, given, before);
    // A secret that cannot be read any more is replaced: nobody could sign with it.
    if (kind === "webhook" && (new_secret || !next.secret)) secret = next.secret = newWebhookSecret();
    const sealed = await sealSecret(env, purposeOf(row.id), JSON.stringify(next));
    target = { target: shownTarget(next), hasToken: next.token !== undefined, sealed };
  }
  const changes: Partial<ChannelRow> = {
    ...target,
    ...(body.name !== undefined && { name: body.name }),
    ...(body.language !== undefined && { language: body.language }),
    ...(body.groups !== undefined && { groups: JSON.stringify(body.groups) }),
    ...(body.instances !== undefined && { instances: body.instances && JSON.stringify(body.instances) }),
    ...(body.buttons !== undefined && { buttons: body.buttons }),
    ...(on !== undefined && { off: on ? null : "user" }),
  };
  await changeChannel(env.DB, row.id, changes);
  if (on === false) await forgetWaiting(env.DB, row.id);
  const newest = await newestDeliveries(env.DB, [row.id]);
  return { ...channelView({ ...row, ...changes }, newest.get(row.id)), secret };
}

async function openOrNothing(env: Env, row: ChannelRow): Promise<Target> {
  try {
    return JSON.parse(await openSecret(env, purposeOf(row.id), row.sealed)) as Target;
  } catch (error) {
    if (error instanceof AppError && error.code === "secret_unreadable") return {};
    throw error;
  }
}

/** Errors: invalid_input, which names the field; email_not_set_up. */
function checkTarget(env: Env, kind: ChannelKind, { url, email, token }: TargetInput, before: Target): Target {
  if (token && kind !== "ntfy") throw wrong("token", "only a channel of ntfy has a token");
  if (kind === "email") {
    if (url !== undefined) throw wrong("url", "a channel by e-mail has an address: email");
    if (!env.EMAIL || !env.NOTICES_EMAIL_FROM) throw new AppError("email_not_set_up");
    if (email === undefined) throw wrong("email", "an e-mail address");
    return { email };
  }
  if (email !== undefined) throw wrong("email", "only a channel by e-mail has one: url");
  if (url === undefined) throw wrong("url", "the address to send to");
  const refused = refuseAddress(url, env);
  if (refused) throw wrong("url", refused);
  if (kind === "ntfy" && !/^[-_A-Za-z0-9]{1,64}$/.test(topicOf(url).topic))
    throw wrong("url", "the address of a topic, such as https://ntfy.sh/your-topic");
  const kept = token === undefined ? before.token : (token ?? undefined);
  return { url, ...(kept && { token: kept }), ...(before.secret && { secret: before.secret }) };
}

function wrong(path: string, message: string): AppError {
  return new AppError("invalid_input", { issues: [{ path, message }] });
}

/** The host and the last four characters; of a mail the whole address. */
function shownTarget({ url, email }: Target): string {
  if (url === undefined) return email ?? "";
  const { host, pathname } = new URL(url);
  return pathname.length > 8 ? `${host}/…${url.slice(-4)}` : `${host}/…`;
}

/** Once, now, whatever the channel's filters say; written into its log. Errors: too_many_requests. */
async function sendTest(env: Env, row: ChannelRow): Promise<DeliveryRow> {
  const now = Date.now();
  const [last] = (await listDeliveries(env.DB, row.id, 5)).filter(({ notice }) => parseNotice(notice).type === "test");
  const waitMs = last ? last.createdAt + testEveryMs - now : 0;
  if (waitMs > 0) throw new AppError("too_many_requests", { retryAfterMs: waitMs });
  const notice: Notice = {
    type: "test",
    group: null,
    at: now,
    seq: null,
    actor: `user:${row.userId}`,
    reason: null,
    params: {},
    instance: null,
  };
  const id = `msg_${row.id}_test_${now}`;
  const { code, status, answer, tookMs } = await sendNotice(env, receiverOf(row), id, notice);
  const delivery: DeliveryRow = {
    id,
    channelId: row.id,
    userId: row.userId,
    notice: JSON.stringify(notice),
    createdAt: now,
    state: code === null ? "delivered" : "failed",
    tries: 1,
    lastTryAt: Date.now(),
    nextTryAt: null,
    status,
    code,
    answer,
    tookMs,
  };
  await addDelivery(env.DB, delivery);
  return delivery;
}

/** Errors: token_expired, unauthenticated, button_spent, and what the instance says to it. */
async function press(env: Env, token: string): Promise<AnswerOf<"pressButton">> {
  const button = await readButton(env.AGENT_JWT_SECRET, token);
  const channel = await findChannel(env.DB, button.user, button.channel);
  // Who takes a channel away, or its buttons, ends those that were sent.
  if (!channel || channel.off !== null || !channel.buttons) throw new AppError("unauthenticated");
  if (!(await pressOnce(env.DB, button.id, button.expiresAt, Date.now()))) throw new AppError("button_spent");
  const object = env.INSTANCE.getByName(button.instance);
  const by: By = { user: button.user, name: null, team: button.user, role: "operator" };
  try {
    const act = button.name === "wake" ? object.wake(by, null, null) : object.keepAwake(by, null, null);
    orThrow(await act);
  } catch (error) {
    await unpress(env.DB, button.id);
    throw error;
  }
  return { done: button.name, instance_id: button.instance };
}

function channelView(row: ChannelRow, last: DeliveryRow | undefined): ChannelView {
  return {
    id: row.id,
    kind: row.kind as ChannelKind,
    name: row.name,
    language: row.language as NoticeLanguage,
    groups: JSON.parse(row.groups),
    instances: row.instances === null ? null : JSON.parse(row.instances),
    buttons: row.buttons,
    target: row.target,
    has_token: row.hasToken,
    off: row.off as OffReason | null,
    created_at: iso(row.createdAt)!,
    last: last ? pick(deliveryView(last)) : null,
  };
}

function pick({ state, status, code, created_at }: DeliveryView): NonNullable<ChannelView["last"]> {
  return { state, status, code, created_at };
}

function deliveryView(row: DeliveryRow): DeliveryView {
  const { type, instance } = parseNotice(row.notice);
  return {
    id: row.id,
    event_type: type,
    instance_id: instance?.id ?? null,
    instance_name: instance?.name ?? null,
    created_at: iso(row.createdAt)!,
    state: row.state as DeliveryView["state"],
    tries: row.tries,
    last_try_at: iso(row.lastTryAt),
    next_try_at: iso(row.nextTryAt),
    status: row.status,
    code: row.code as DeliveryCode | null,
    answer: row.answer,
    took_ms: row.tookMs,
  };
}

function parseNotice(text: string): Notice {
  return JSON.parse(text) as Notice;
}

function iso(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
