/** Notices: from the log of an instance to the channels of its owner, whatever they answer. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ErrorBody } from "../../core/protocol/errors.ts";
import type { ChannelView, DeliveryView } from "../../core/protocol/notices.ts";
import { runCron } from "../cron.ts";
import { queueNotice } from "../db/channels.ts";
import type { Env } from "../env.ts";
import type { Notice } from "../notices/notice.ts";
import type { NoticesObject } from "../notices/object.ts";
import { sendNotice } from "../notices/send.ts";
import { sealSecret } from "../sealed.ts";
import {
  advance,
  api,
  fallAsleep,
  newUser,
  outcome,
  runningInstance,
  send,
  settle,
  sqlOf,
  stubOf,
  type TestUser,
  until,
} from "./helpers.ts";
import { FakeReceiver } from "./receiver.ts";
import { endScene, setScene } from "./scene.ts";
import type { FakeVast } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;
let receiver: FakeReceiver;
beforeEach(async () => {
  ({ vast, user } = await setScene());
  receiver = new FakeReceiver();
  receiver.install();
});
afterEach(endScene);

type Made = ChannelView & { secret: string | null };
let made = 0;

async function channel(json: Record<string, unknown>, owner = user): Promise<Made> {
  const url = `https://c${made++}.example.com/hooks/secret-part`;
  const { status, body } = await api<Made>("POST", "/api/channels", { token: owner.token, json: { url, ...json } });
  if (status !== 201) throw new Error(JSON.stringify(body));
  return body;
}

const hostOf = (one: ChannelView) => one.target.split("/")[0]!;
const objectOf = (owner: TestUser) => env.NOTICES.getByName(owner.id);

async function logOf(one: ChannelView): Promise<DeliveryView[]> {
  const path = `/api/channels/${one.id}/deliveries`;
  return (await api<{ deliveries: DeliveryView[] }>("GET", path, { token: user.token })).body.deliveries;
}

let seq = 0;
function notice(change: Partial<Notice> = {}): Notice {
  return {
    type: "wake_failed",
    group: "wake_failed",
    at: Date.now(),
    seq: ++seq,
    actor: "system",
    reason: "No offer fits.",
    params: { code: "no_offer", message: "No offer fits.", attempts: 1 },
    instance: { id: "i-k3v7q2m4xa", name: "train", gpu_type: "RTX 4090", region: "BR" },
    ...change,
  };
}

/** Queues it and waits until everything that is due was tried. */
async function tell(one: Notice, owner = user): Promise<void> {
  if ((await queueNotice(env.DB, owner.id, one, Date.now())) > 0) await objectOf(owner).poke(owner.id);
  await tried(owner);
}

async function tried(owner = user): Promise<void> {
  await until("all that is due was tried", async () => {
    const query = "SELECT count(*) AS n FROM deliveries WHERE user_id = ? AND next_try_at <= ?";
    return (await env.DB.prepare(query).bind(owner.id, Date.now()).first<{ n: number }>())?.n === 0;
  });
  // The object sets its alarm after the last try.
  await runInDurableObject<NoticesObject, void>(objectOf(owner), () => undefined);
}

/** Time passes until the next try of a delivery, then the object's alarm rings. */
async function nextTry(one: ChannelView): Promise<void> {
  const at = Date.parse((await logOf(one))[0]!.next_try_at!);
  await until("the alarm is set", () =>
    runInDurableObject<NoticesObject, boolean>(
      objectOf(user),
      async (_, { storage }) => (await storage.getAlarm()) !== null,
    ),
  );
  advance(at - Date.now());
  await runDurableObjectAlarm(objectOf(user));
  await tried();
}

describe("from the log to a channel", () => {
  it("a night is told, each event once, to those who want it, and a heartbeat writes nothing for it", async () => {
    const all = await channel({ kind: "webhook", groups: ["slept", "woke", "sleep_soon", "deleted"] });
    const usual = await channel({ kind: "webhook" });
    const other = await newUser("Rui");
    const foreign = await channel({ kind: "webhook", groups: ["slept"] }, other);
    advance(1_000);
    const { nest, agent } = await runningInstance(vast, user);
    const elsewhere = await channel({ kind: "webhook", groups: ["slept"], instances: ["i-aaaaaaaaaa"] });
    await agent.beat({ gpu: 80 });
    const tasks = () => sqlOf<{ seq: number }>(nest.id, "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'");
    const before = await tasks();
    await agent.beat({ gpu: 80 });
    expect(await tasks()).toEqual(before);

    await fallAsleep(nest, agent);
    await tried();
    expect(receiver.at(hostOf(all)).map(({ body }) => body.type)).toEqual(["instance.hibernated"]);
    for (const one of [usual, foreign, elsewhere]) expect(receiver.at(hostOf(one))).toEqual([]);
    // Read once more, as after a write that was cut off: nothing is told twice.
    await runInDurableObject(stubOf(nest.id), (_, { storage }) => {
      storage.sql.exec("UPDATE noticed SET log_seq = 0");
      storage.sql.exec("INSERT INTO outbox (task, lane, next_at) VALUES ('{\"kind\":\"queueNotices\"}', 'notice', 0)");
    });
    await evictDurableObject(stubOf(nest.id));
    await stubOf(nest.id).poke();
    await settle(nest.id);
    await tried();
    expect(receiver.at(hostOf(all))).toHaveLength(1);
  });

  it("a database that fails delays the notice and nothing else; an eviction between event and delivery loses none", async () => {
    const hook = await channel({ kind: "webhook", groups: ["slept"] });
    advance(1_000);
    const { nest, agent } = await runningInstance(vast, user);
    // The rows are written with the event; what queues them fails.
    await env.DB.prepare("ALTER TABLE deliveries RENAME TO deliveries_away").run();
    try {
      await fallAsleep(nest, agent);
      expect((await nest.view()).state).toBe("hibernated");
      const mirrored = "SELECT event_type FROM hibernation_events WHERE instance_id = ? AND event_type = 'hibernated'";
      expect((await env.DB.prepare(mirrored).bind(nest.id).all()).results).toHaveLength(1);
      expect(await sqlOf(nest.id, "SELECT lane FROM outbox")).toEqual([{ lane: "notice" }]);
    } finally {
      await env.DB.prepare("ALTER TABLE deliveries_away RENAME TO deliveries").run();
    }
    await evictDurableObject(stubOf(nest.id));
    advance(61_000);
    await stubOf(nest.id).poke();
    await settle(nest.id);
    await tried();
    expect(receiver.at(hostOf(hook)).map(({ body }) => body.type)).toEqual(["instance.hibernated"]);
  });

  it("what the object of the user forgot, the cron remembers", async () => {
    const hook = await channel({ kind: "webhook" });
    await queueNotice(env.DB, user.id, notice(), Date.now());
    advance(61_000);
    await runCron("* * * * *", env as unknown as Env);
    await tried();
    expect(receiver.at(hostOf(hook))).toHaveLength(1);
  });
});

describe("what is sent", () => {
  it("webhook: signed by the Standard Webhooks specification, with the same id at each try", async () => {
    const hook = await channel({ kind: "webhook" });
    receiver.replies.set(hostOf(hook), () => new Response("no", { status: 500 }));
    await tell(notice());
    await nextTry(hook);
    const [first, second] = receiver.at(hostOf(hook));
    expect(first!.headers.get("webhook-id")).toBe(`msg_${hook.id}_i-k3v7q2m4xa_${seq}`);
    const verifier = new Webhook(hook.secret!);
    const read = ({ headers }: { headers: Headers }) => Object.fromEntries(headers);
    expect(verifier.verify(second!.text, read(second!))).toEqual(second!.body);
    expect(() => verifier.verify(`${second!.text} `, read(second!))).toThrow();
    expect(first!.headers.get("webhook-id")).toBe(second!.headers.get("webhook-id"));
    expect(first!.headers.get("webhook-timestamp")).not.toBe(second!.headers.get("webhook-timestamp"));
    expect([first!.init.redirect, first!.init.signal]).toEqual(["manual", expect.any(AbortSignal)]);

    const path = `/api/channels/${hook.id}`;
    const { body } = await api<Made>("PUT", path, { token: user.token, json: { new_secret: true } });
    receiver.replies.clear();
    await nextTry(hook);
    const third = receiver.at(hostOf(hook))[2]!;
    expect(new Webhook(body.secret!).verify(third.text, read(third))).toEqual(third.body);
    expect(() => verifier.verify(third.text, read(third))).toThrow();
  });

  it("Slack, Discord and ntfy in their own forms and the channel's language; names in it call nobody", async () => {
    const ill = notice({ instance: { id: "i-k3v7q2m4xa", name: "<!here> @everyone", gpu_type: null, region: null } });
    const slack = await channel({ kind: "slack" });
    const discord = await channel({ kind: "discord", language: "pt-BR" });
    const ntfy = await channel({ kind: "ntfy", url: "https://ntfy.example.com/my-topic", token: "tk_abc" });
    await tell(ill);
    const link = "http://soneca.test/i/i-k3v7q2m4xa";
    expect(receiver.at(hostOf(slack))[0]!.body).toMatchObject({
      text: expect.stringContaining("&lt;!here&gt; @everyone: Wake failed"),
      blocks: [
        { type: "header", text: { type: "plain_text", text: "<!here> @everyone: Wake failed" } },
        { type: "section", text: { type: "plain_text" } },
        { type: "actions", elements: [{ type: "button", url: link, text: { text: "Open" } }] },
      ],
    });
    expect(receiver.at(hostOf(discord))[0]!.body).toMatchObject({
      allowed_mentions: { parse: [] },
      embeds: [{ title: "<!here> @everyone: Não acordou", url: link, description: expect.stringContaining("Motivo:") }],
    });
    const [told] = receiver.at(hostOf(ntfy));
    expect(told!.url).toBe("https://ntfy.example.com/");
    expect(told!.headers.get("authorization")).toBe("Bearer tk_abc");
    expect(told!.body).toMatchObject({ topic: "my-topic", priority: 4, click: link });
    expect(told!.body.actions).toMatchObject([
      { action: "http", label: "Wake", method: "POST", url: "http://soneca.test/api/notices/press" },
      { action: "view", label: "Open", url: link },
    ]);
  });

  it("e-mail: by the binding; one that fails is tried again, and without a binding nobody can add such a channel", async () => {
    const mails: unknown[] = [];
    const EMAIL = { send: async (mail: unknown) => mails.push(mail) } as unknown as SendEmail;
    const sealed = await sealSecret(env, "channel:ch-a", JSON.stringify({ email: "ana@example.com" }));
    const to = { id: "ch-a", userId: user.id, kind: "email", language: "en", buttons: true, sealed } as const;
    const set = { ...(env as unknown as Env), EMAIL, NOTICES_EMAIL_FROM: "soneca@example.com" };
    expect(await sendNotice(set, to, "msg_1", notice())).toMatchObject({ code: null });
    expect(mails).toEqual([
      {
        from: "soneca@example.com",
        to: "ana@example.com",
        subject: "train: Wake failed",
        text: expect.stringContaining("http://soneca.test/i/i-k3v7q2m4xa"),
      },
    ]);
    const broken = { send: () => Promise.reject(new Error("E_RATE_LIMIT_EXCEEDED")) } as unknown as SendEmail;
    const failed = await sendNotice({ ...set, EMAIL: broken }, to, "msg_1", notice());
    expect(failed).toMatchObject({ code: "email", answer: "E_RATE_LIMIT_EXCEEDED" });
    expect(await sendNotice(env as unknown as Env, to, "msg_1", notice())).toMatchObject({ code: "no_email" });
    const json = { kind: "email", email: "ana@example.com" };
    expect(await outcome("POST", "/api/channels", { token: user.token, json })).toBe("409 email_not_set_up");
  });
});

describe("what does not arrive", () => {
  const huge = () =>
    new Response(
      new ReadableStream({ pull: (controller) => controller.enqueue(new TextEncoder().encode("x".repeat(65_536))) }),
      { status: 500 },
    );
  it.each([
    ["a timeout", () => Promise.reject(new DOMException("late", "TimeoutError")), { code: "timeout", status: null }],
    ["no such host", () => Promise.reject(new TypeError("dns failed")), { code: "unreachable", answer: "dns failed" }],
    ["an error of theirs", () => new Response("oh\u0007no", { status: 500 }), { code: "status", answer: "oh no" }],
    [
      "a redirect",
      () => new Response(null, { status: 302, headers: { location: "http://169.254.169.254/" } }),
      { code: "redirected", status: 302 },
    ],
    ["an answer without end", huge, { code: "status", answer: "x".repeat(300) }],
  ])("%s: tried again, and then taken", async (_what, reply, says) => {
    const hook = await channel({ kind: "webhook" });
    receiver.replies.set(hostOf(hook), reply);
    await tell(notice());
    const [row] = await logOf(hook);
    expect(row).toMatchObject({ state: "waiting", tries: 1, ...says });
    const waitMs = Date.parse(row!.next_try_at!) - Date.parse(row!.last_try_at!);
    expect(waitMs).toBeGreaterThanOrEqual(10_000);
    expect(waitMs).toBeLessThanOrEqual(20_000);
    receiver.replies.clear();
    await nextTry(hook);
    expect((await logOf(hook))[0]).toMatchObject({ state: "delivered", tries: 2, status: 204, code: null });
    expect(receiver.at(hostOf(hook))).toHaveLength(2);
  });

  it("429: left alone for as long as it asks, and what else waits for it too", async () => {
    const hook = await channel({ kind: "webhook" });
    receiver.replies.set(hostOf(hook), () => new Response(null, { status: 429, headers: { "retry-after": "600" } }));
    await queueNotice(env.DB, user.id, notice(), Date.now());
    await tell(notice());
    const rows = await logOf(hook);
    expect(rows.map(({ tries }) => tries).sort()).toEqual([0, 1]);
    for (const row of rows) expect(Date.parse(row.next_try_at!) - Date.now()).toBe(600_000);
    expect(receiver.at(hostOf(hook))).toHaveLength(1);
  });

  it("410: the channel is switched off with what waits for it, and on again by its owner", async () => {
    const hook = await channel({ kind: "webhook" });
    receiver.replies.set(hostOf(hook), () => new Response("gone", { status: 410 }));
    await queueNotice(env.DB, user.id, notice(), Date.now());
    await tell(notice());
    expect((await logOf(hook)).map(({ state, code }) => [state, code])).toEqual([
      ["failed", "gone"],
      ["failed", "gone"],
    ]);
    await tell(notice());
    expect(receiver.at(hostOf(hook))).toHaveLength(1);
    const list = () => api<{ channels: ChannelView[] }>("GET", "/api/channels", { token: user.token });
    expect((await list()).body.channels).toMatchObject([{ off: "gone", last: { state: "failed", code: "gone" } }]);
    receiver.replies.clear();
    await api("PUT", `/api/channels/${hook.id}`, { token: user.token, json: { on: true } });
    await tell(notice());
    expect(receiver.at(hostOf(hook))).toHaveLength(2);
  });

  it("two channels, one of them down: the other is told at once, and the one is given up after a day", async () => {
    const down = await channel({ kind: "webhook" });
    const up = await channel({ kind: "slack" });
    receiver.replies.set(hostOf(down), () => Promise.reject(new TypeError("refused")));
    await tell(notice());
    expect((await logOf(up))[0]).toMatchObject({ state: "delivered", tries: 1 });
    expect((await logOf(down))[0]).toMatchObject({ state: "waiting", tries: 1 });
    await env.DB.prepare("UPDATE deliveries SET created_at = created_at - 86400000 WHERE channel_id = ?")
      .bind(down.id)
      .run();
    await nextTry(down);
    expect((await logOf(down))[0]).toMatchObject({
      state: "failed",
      code: "unreachable",
      tries: 2,
      next_try_at: null,
    });
    expect(receiver.at(hostOf(up))).toHaveLength(1);
  });
});

describe("a channel", () => {
  it("keeps its secrets: neither the API nor the database shows them", async () => {
    const hook = await channel({ kind: "webhook" });
    const ntfy = await channel({ kind: "ntfy", url: "https://ntfy.example.com/topic-nobody-knows", token: "tk_abc" });
    expect([hook.target, ntfy.target, ntfy.has_token]).toEqual([
      expect.stringMatching(/^c\d+\.example\.com\/…part$/),
      "ntfy.example.com/…nows",
      true,
    ]);
    const rows = JSON.stringify((await env.DB.prepare("SELECT * FROM channels").all()).results);
    const shown = JSON.stringify((await api("GET", "/api/channels", { token: user.token })).body);
    for (const secret of ["secret-part", "tk_abc", "topic-nobody", hook.secret!.slice(6)]) {
      expect(rows).not.toContain(secret);
      expect(shown).not.toContain(secret);
    }
    expect(shown).not.toContain("whsec_");
  });

  it("is tested with a real message, and says what was answered; not more often than each five seconds", async () => {
    const hook = await channel({ kind: "webhook" });
    const path = `/api/channels/${hook.id}/test`;
    expect((await api("POST", path, { token: user.token })).body).toMatchObject({ state: "delivered", status: 204 });
    expect(receiver.at(hostOf(hook))[0]!.body).toMatchObject({ type: "channel.test", data: { instance: null } });
    expect(await outcome("POST", path, { token: user.token })).toBe("429 too_many_requests");
    advance(5_000);
    receiver.replies.set(hostOf(hook), () => new Response("invalid_payload", { status: 400 }));
    const said = await api("POST", path, { token: user.token });
    expect(said.body).toMatchObject({ state: "failed", status: 400, answer: "invalid_payload", next_try_at: null });
    expect((await logOf(hook)).map(({ event_type }) => event_type)).toEqual(["test", "test"]);
  });

  it.each([
    [{ kind: "webhook" }, "url"],
    [{ kind: "webhook", url: "http://hooks.example.com/" }, "url"],
    [{ kind: "webhook", url: "https://hooks.example.com/", token: "t" }, "token"],
    [{ kind: "slack", email: "ana@example.com" }, "email"],
    [{ kind: "ntfy", url: "https://ntfy.example.com/" }, "url"],
  ])("is refused with the field that is wrong: %j", async (json, path) => {
    const { status, body } = await api<ErrorBody>("POST", "/api/channels", { token: user.token, json });
    expect([status, body.error.issues?.[0]?.path]).toEqual([400, path]);
  });

  it("goes with everything that waits for it; there are at most twenty", async () => {
    const hook = await channel({ kind: "webhook" });
    receiver.replies.set(hostOf(hook), () => new Response(null, { status: 500 }));
    await tell(notice());
    expect(await outcome("DELETE", `/api/channels/${hook.id}`, { token: user.token })).toBe("204");
    expect(await outcome("GET", `/api/channels/${hook.id}/deliveries`, { token: user.token })).toBe(
      "404 object_not_found",
    );
    expect(
      (await env.DB.prepare("SELECT id FROM deliveries WHERE channel_id = ?").bind(hook.id).all()).results,
    ).toEqual([]);
    const json = { kind: "webhook", url: "https://hooks.example.com/" };
    for (let i = 0; i < 18; i++) await channel({ kind: "webhook" });
    const atOnce = [1, 2, 3, 4, 5].map(() => outcome("POST", "/api/channels", { token: user.token, json }));
    expect((await Promise.all(atOnce)).filter((one) => one === "201")).toHaveLength(2);
    expect(await outcome("POST", "/api/channels", { token: user.token, json })).toBe("409 too_many_channels");
  });
});

describe("a button", () => {
  type Action = { action: string; url: string; body: string; label: string };
  async function asleep() {
    const ntfy = await channel({ kind: "ntfy", url: `https://n${made++}.example.com/topic`, groups: ["slept"] });
    advance(1_000);
    const { nest, agent } = await runningInstance(vast, user);
    await fallAsleep(nest, agent);
    await tried();
    const [action] = receiver.at(hostOf(ntfy))[0]!.body.actions as Action[];
    const press = () => outcome("POST", new URL(action!.url).pathname, { raw: action!.body });
    return { ntfy, nest, action: action!, press };
  }

  it("wakes, once, by POST alone and without any other token", async () => {
    const { nest, action, press } = await asleep();
    for (const method of ["GET", "PUT"]) {
      expect(await outcome(method, `${new URL(action.url).pathname}?token=${JSON.parse(action.body).token}`)).toMatch(
        /^405/,
      );
    }
    expect((await nest.view()).state).toBe("hibernated");
    expect(await press()).toBe("200");
    await settle(nest.id);
    expect(["provisioning", "restoring"]).toContain((await nest.view()).state);
    expect((await nest.events()).find((one) => one.event_type === "wake_requested")?.actor).toBe(`user:${user.id}`);
    expect(await press()).toBe("409 button_spent");
  });

  it("is pressed from ntfy's own page too, which asks first and reads every answer; nothing else is open to other pages", async () => {
    const headers = { origin: "https://ntfy.sh" };
    const asks = {
      ...headers,
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type",
    };
    const asked = await send("OPTIONS", "/api/notices/press", { headers: asks });
    expect(asked.status).toBe(204);
    expect(Object.fromEntries(asked.headers)).toMatchObject({
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "POST",
      "access-control-allow-headers": "content-type",
    });
    const { action } = await asleep();
    const pressed = () => send("POST", "/api/notices/press", { raw: action.body, headers });
    for (const status of [200, 409]) {
      const answer = await pressed();
      expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([status, "*"]);
      expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
      await answer.text();
    }
    for (const [method, path] of [
      ["OPTIONS", "/api/channels"],
      ["GET", "/api/health"],
    ] as const) {
      const answer = await send(method, path, { headers: asks });
      expect(answer.headers.get("access-control-allow-origin")).toBeNull();
      await answer.text();
    }
  });

  it("may be pressed again where it had no effect; ends with its time and with its channel", async () => {
    const { ntfy, nest, press } = await asleep();
    await nest.post("wake");
    await settle(nest.id);
    await nest.post("hibernate");
    await settle(nest.id);
    expect(await press()).toBe("429 wake_rate_limited");
    expect(await press()).toBe("429 wake_rate_limited");
    await api("PUT", `/api/channels/${ntfy.id}`, { token: user.token, json: { buttons: false } });
    expect(await press()).toBe("401 unauthenticated");
    advance(25 * 3_600_000);
    expect(await press()).toBe("401 token_expired");
  });
});
