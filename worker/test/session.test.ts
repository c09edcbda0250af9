/** Browsers that are signed in: how one gets in, what the cookie can do, and what no other page can make of it. */
import { runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, it, type MockInstance, vi } from "vitest";
import type { AnswerOf } from "../../core/protocol/api.ts";
import type { SessionView } from "../../core/protocol/session.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import type { Env } from "../env.ts";
import type { InstanceObject } from "../instance/object.ts";
import {
  advance,
  api,
  newInstance,
  newUser,
  outcome,
  runningInstance,
  send,
  stubOf,
  type TestUser,
  until,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import type { FakeVast } from "./vast.ts";

let vast: FakeVast;
let ana: TestUser;
beforeAll(async () => {
  ({ vast, user: ana } = await setScene());
});
afterAll(endScene);

/** Where the dashboard has an origin of its own, as it has through Pages. */
const own = "http://dashboard.test";
const settings = env as unknown as Env;

afterEach(() => {
  delete settings.LOCAL_SIGN_IN;
  delete settings.ACCESS_TEAM;
  delete settings.ACCESS_AUDIENCE;
  delete settings.ACCESS_SERVICES;
  delete settings.PROXY_PATHS;
});

async function signIn(token: string, origin = own): Promise<{ cookie: string; text: string; body: SessionView }> {
  const answer = await api<SessionView>("POST", `${origin}/api/session`, {
    json: { token },
    headers: { origin, "sec-fetch-site": "same-origin" },
  });
  expect(answer.status).toBe(200);
  const text = answer.headers.get("set-cookie") ?? "";
  return { cookie: text.split(";")[0] ?? "", text, body: answer.body };
}

const asPage = (cookie: string, more: Record<string, string> = {}) => ({
  headers: { cookie, "sec-fetch-site": "same-origin", ...more },
});

describe("a token becomes a cookie", () => {
  it("that no script reads, no other site sends, and that says who is here", async () => {
    const { cookie, text, body } = await signIn(ana.token);
    expect(body).toMatchObject({ user: { id: ana.id }, way: "token" });
    expect(text).toMatch(/^soneca_session=[\w.-]+; Path=\/api; HttpOnly; SameSite=Strict; Max-Age=\d+$/);
    expect(cookie).not.toContain(ana.token);
    expect((await api("GET", `${own}/api/me`, asPage(cookie))).body).toMatchObject({ id: ana.id });
    const secure = await api("POST", "https://dashboard.test/api/session", { json: { token: ana.token } });
    expect(secure.headers.get("set-cookie")).toMatch(/; Secure$/);
  });

  it("which ends with its token, and by signing out", async () => {
    const made = await api<{ id: string; token: string }>("POST", "/api/tokens", {
      token: ana.token,
      json: { name: "browser" },
    });
    const { cookie } = await signIn(made.body.token);
    expect(await outcome("GET", `${own}/api/me`, asPage(cookie))).toBe("200");
    await api("DELETE", `/api/tokens/${made.body.id}`, { token: ana.token });
    expect(await outcome("GET", `${own}/api/me`, asPage(cookie))).toBe("401 unauthenticated");
    const out = await send("DELETE", `${own}/api/session`, asPage(cookie));
    expect(out.headers.get("set-cookie")).toMatch(/^soneca_session=;.*Max-Age=0/);
  });

  it("whose use is its token's, and whose changes are the dashboard's", async () => {
    const made = await api<{ id: string; token: string }>("POST", "/api/tokens", {
      token: ana.token,
      json: { name: "b" },
    });
    const { cookie } = await signIn(made.body.token);
    const tokens = async () =>
      (await api<AnswerOf<"listTokens">>("GET", "/api/tokens", { token: ana.token })).body.tokens;
    const used = async () => (await tokens()).find(({ id }) => id === made.body.id)!.last_used_at;
    const first = await until("its use is noted", used);
    advance(11 * 60_000);
    await api("POST", `${own}/api/tokens`, { ...asPage(cookie, { origin: own }), json: { name: "by the page" } });
    await until("its later use is noted", async () => (await used()) !== first);
    const { lines } = (await api<AnswerOf<"listAudit">>("GET", "/api/audit", { token: ana.token })).body;
    const its = lines.filter((line) => line.token_id === made.body.id).map((line) => [line.operation, line.origin]);
    expect(its).toEqual([
      ["createToken", "dashboard"],
      ["openSession", "dashboard"],
    ]);
  });

  it("and ends when its token does", async () => {
    const made = await api<{ token: string }>("POST", "/api/tokens", {
      token: ana.token,
      json: { name: "day", expires_in_days: 1 },
    });
    const { cookie, body } = await signIn(made.body.token);
    expect(Date.parse(body.expires_at!) - Date.now()).toBeLessThanOrEqual(86_400_000);
    advance(86_400_000 + 1_000);
    expect(await outcome("GET", `${own}/api/me`, asPage(cookie))).toBe("401 unauthenticated");
  });

  it("not from a wrong one, nor from one that was made up", async () => {
    expect(await outcome("POST", `${own}/api/session`, { json: { token: "snu_nobody" } })).toBe("401 unauthenticated");
    expect(await outcome("POST", `${own}/api/session`, { json: {} })).toBe("401 unauthenticated");
    expect(await outcome("GET", `${own}/api/me`, asPage("soneca_session=e30.e30.e30"))).toBe("401 unauthenticated");
    const forged = await new SignJWT({})
      .setProtectedHeader({ alg: "HS256" })
      .setIssuer("soneca")
      .setAudience("soneca-agent")
      .setSubject(ana.id)
      .setExpirationTime("1h")
      .sign(new TextEncoder().encode(settings.AGENT_JWT_SECRET));
    expect(await outcome("GET", `${own}/api/me`, asPage(`soneca_session=${forged}`))).toBe("401 unauthenticated");
  });
});

describe("what no other page can make of it", () => {
  it("a request that changes something must come from the page's own origin", async () => {
    const { cookie } = await signIn(ana.token);
    const change = (headers: Record<string, string>) =>
      outcome("POST", `${own}/api/tokens`, { json: { name: "stolen" }, headers: { cookie, ...headers } });
    expect(await change({ origin: "https://evil.test", "sec-fetch-site": "cross-site" })).toBe("403 forbidden");
    expect(await change({ origin: "null" })).toBe("403 forbidden");
    expect(await change({ "sec-fetch-site": "same-site" })).toBe("403 forbidden");
    expect(await change({ origin: own })).toBe("201");
  });

  it("a WebSocket too", async () => {
    const { cookie } = await signIn(ana.token);
    const sleeper = await newInstance(vast, ana);
    const open = (origin: string) =>
      exports.default.fetch(
        new Request(`${own}/api/instances/${sleeper.id}/watch`, { headers: { cookie, origin, upgrade: "websocket" } }),
      );
    expect((await open("https://evil.test")).status).toBe(403);
    const fine = await open(own);
    expect(fine.status).toBe(101);
    fine.webSocket?.accept();
    fine.webSocket?.close();
  });

  it("where pages of services share the origin there is no session at all", async () => {
    const shared = "http://soneca.test";
    expect(await outcome("POST", "/api/session", { json: { token: ana.token }, headers: { origin: shared } })).toBe(
      "409 session_needs_own_origin",
    );
    const { cookie } = await signIn(ana.token);
    expect(await outcome("GET", "/api/me", asPage(cookie))).toBe("401 unauthenticated");
    expect((await api<SessionView>("GET", "/api/session")).body.ways).toEqual([]);
    settings.PROXY_PATHS = "off";
    expect((await signIn(ana.token, shared)).body.user?.id).toBe(ana.id);
  });
});

describe("whoever sits at the machine itself", () => {
  const local = "http://127.0.0.1:8787";

  it("is its first user, where the deployment says so, and only on loopback", async () => {
    expect(await outcome("POST", `${local}/api/session`, { json: {} })).toBe("401 unauthenticated");
    settings.LOCAL_SIGN_IN = "on";
    expect((await api<SessionView>("GET", `${local}/api/session`)).body.ways).toEqual(["local", "token"]);
    const opened = await api<SessionView>("POST", `${local}/api/session`, { json: {} });
    expect(opened.body).toMatchObject({ way: "local", user: { id: ana.id } });
    const cookie = opened.headers.get("set-cookie")!.split(";")[0]!;
    expect(await outcome("GET", `${local}/api/me`, asPage(cookie))).toBe("200");
    // A name that was made to lead here is not this machine's own address.
    expect(await outcome("POST", `${own}/api/session`, { json: {} })).toBe("401 unauthenticated");
    expect(await outcome("GET", `${own}/api/me`, asPage(cookie))).toBe("401 unauthenticated");
    expect(await outcome("POST", `${local}/api/session`, { json: {}, headers: { origin: "https://evil.test" } })).toBe(
      "403 forbidden",
    );
    delete settings.LOCAL_SIGN_IN;
    expect(await outcome("GET", `${local}/api/me`, asPage(cookie))).toBe("401 unauthenticated");
  });
});

describe("Cloudflare Access", () => {
  const issuer = "https://team.cloudflareaccess.com";
  let privateKey: CryptoKey;
  let isUp = false;
  let spy: MockInstance<typeof fetch>;
  let others: typeof fetch;

  beforeAll(async () => {
    const pair = await generateKeyPair("RS256", { extractable: true });
    privateKey = pair.privateKey;
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: "k1", alg: "RS256", use: "sig" };
    spy = vi.spyOn(globalThis, "fetch");
    others = spy.getMockImplementation()!;
    spy.mockImplementation(async (input, init) => {
      const url = String(input instanceof Request ? input.url : input);
      if (!url.startsWith(issuer)) return others(input, init);
      return isUp ? Response.json({ keys: [jwk] }) : new Response("no", { status: 503 });
    });
  });
  afterAll(() => void spy.mockImplementation(others));

  const signed = (claims: { aud?: string; iss?: string; email?: string; common_name?: string }, key = privateKey) => {
    const { aud = "aud-1", iss = issuer, ...who } = claims;
    return new SignJWT(who)
      .setProtectedHeader({ alg: "RS256", kid: "k1" })
      .setIssuer(iss)
      .setAudience(aud)
      .setIssuedAt(Math.floor(Date.now() / 1000))
      .setExpirationTime(Math.floor(Date.now() / 1000) + 3_600)
      .sign(key);
  };
  const email = "Bia@Example.com";
  const withJwt = (jwt: string, cookie = "") => ({ headers: { "cf-access-jwt-assertion": jwt, cookie } });
  const me = (jwt: string, cookie?: string) => api<AnswerOf<"me">>("GET", `${own}/api/me`, withJwt(jwt, cookie));
  const setUp = (audience = "aud-1") => {
    settings.ACCESS_TEAM = "team";
    settings.ACCESS_AUDIENCE = audience;
  };

  it("lets in whom it signed for, and nobody who only says so", async () => {
    const other = await generateKeyPair("RS256");
    const jwt = await signed({ email });
    // Not set up: what a header says counts for nothing.
    expect((await me(jwt)).status).toBe(401);
    setUp();
    expect((await me(jwt)).status).toBe(503);
    isUp = true;
    advance(60_000);
    const first = await me(jwt);
    expect(first).toMatchObject({ status: 200, body: { name: "bia@example.com", team: { role: "owner" } } });
    expect((await me(await signed({ email: "bia@example.com" }))).body.id).toBe(first.body.id);
    expect((await me(await signed({ email }, other.privateKey))).status).toBe(401);
    expect((await me(await signed({ email, aud: "another" }))).status).toBe(401);
    expect((await me(await signed({ email, iss: "https://evil.test" }))).status).toBe(401);
    const headers = { "cf-access-jwt-assertion": jwt, origin: "https://evil.test" };
    expect(await outcome("POST", `${own}/api/tokens`, { json: { name: "x" }, headers })).toBe("403 forbidden");
  });

  it("may have several applications in front of one deployment", async () => {
    setUp(" aud-1, aud-2 ,");
    for (const aud of ["aud-1", "aud-2"]) expect((await me(await signed({ email, aud }))).status).toBe(200);
    for (const aud of ["aud-3", "", " aud-1, aud-2 ,"])
      expect((await me(await signed({ email, aud }))).status, aud).toBe(401);
  });

  it("lets a service in as the user that the deployment names, with no more than that role, or not at all", async () => {
    setUp();
    const jwt = await signed({ common_name: "ci.access" });
    const refused = () => outcome("GET", `${own}/api/me`, withJwt(jwt));
    expect(await refused()).toBe("403 access_service_unknown");
    for (const wrong of [
      "other.access=u-aaaaaaaaaa:viewer",
      "ci.access=nobody:viewer",
      `ci.access=${ana.id}`,
      "ci.access=",
    ]) {
      settings.ACCESS_SERVICES = wrong;
      expect(await refused(), wrong).toBe("403 access_service_unknown");
    }
    settings.ACCESS_SERVICES = `x=u-aaaaaaaaaa:owner, ci.access=${ana.id}:operator`;
    expect((await me(jwt)).body).toMatchObject({ id: ana.id, team: { id: ana.id, role: "operator" } });
    expect(await outcome("POST", `${own}/api/members`, { ...withJwt(jwt), json: { name: "x", role: "owner" } })).toBe(
      "403 role_too_low",
    );
    // Neither a person nor a service.
    expect((await me(await signed({}))).status).toBe(401);
  });

  it("shows whoever was taken into a team that team, and others what they choose", async () => {
    setUp();
    const take = (address: string) =>
      api("POST", "/api/members", { token: ana.token, json: { name: "x", role: "operator", email: address } });
    expect((await take("Caio@example.com")).status).toBe(201);
    expect((await take("caio@example.com")).status).toBe(409);
    const caio = await signed({ email: "caio@example.com" });
    expect((await me(caio)).body.team).toMatchObject({ id: ana.id, role: "operator" });

    // Somebody with a team of their own goes on in it until they choose another.
    await take("bia@example.com");
    const bia = await signed({ email });
    const before = (await me(bia)).body;
    expect(before.team).toMatchObject({ id: before.id, role: "owner" });
    const choose = (team: string) =>
      api<SessionView>("PUT", `${own}/api/session`, {
        headers: { ...withJwt(bia).headers, origin: own },
        json: { team },
      });
    const chosen = await choose(ana.id);
    expect(chosen.body.teams.map(({ id }) => id)).toEqual([before.id, ana.id]);
    const cookie = chosen.headers.get("set-cookie")!.split(";")[0]!;
    expect((await me(bia, cookie)).body.team).toMatchObject({ id: ana.id, role: "operator" });
    const eve = await newUser("Eve");
    expect((await choose(eve.id)).status).toBe(404);
    // A cookie that names a team of others says nothing.
    expect((await me(bia, `soneca_team=${eve.id}`)).body.team.id).toBe(before.id);

    const { body } = await api<AnswerOf<"listMembers">>("GET", "/api/members", { token: ana.token });
    const caioId = body.members.find((one) => one.email === "caio@example.com")!.user_id;
    await api("DELETE", `/api/members/${caioId}`, { token: ana.token });
    expect((await me(caio)).status).toBe(403);
  });
});

interface Looking {
  socket: WebSocket;
  told: InstanceView[];
  closed: number[];
}

async function lookAt(id: string, token: string): Promise<Looking> {
  const headers = { authorization: `Bearer ${token}`, upgrade: "websocket" };
  const { webSocket } = await exports.default.fetch(
    new Request(`http://soneca.test/api/instances/${id}/watch`, { headers }),
  );
  const looking: Looking = { socket: webSocket!, told: [], closed: [] };
  webSocket!.accept();
  webSocket!.addEventListener("message", ({ data }) => {
    looking.told.push((JSON.parse(String(data)) as { instance: InstanceView }).instance);
  });
  webSocket!.addEventListener("close", ({ code }) => looking.closed.push(code));
  return looking;
}

describe("watching an instance", () => {
  it("each change is told, the machine reports more often, and nobody else may look", async () => {
    const { nest, agent } = await runningInstance(vast, ana);
    const eve = await newUser("Eve");
    const watch = (token: string) =>
      exports.default.fetch(
        new Request(`http://soneca.test/api/instances/${nest.id}/watch`, {
          headers: { authorization: `Bearer ${token}`, upgrade: "websocket" },
        }),
      );
    expect((await watch(eve.token)).status).toBe(404);
    expect(await outcome("GET", `/api/instances/${nest.id}/watch`, { token: ana.token })).toBe("426 upgrade_required");
    const before = await agent.beat({ gpu: 80 });
    const { webSocket } = await watch(ana.token);
    const told: InstanceView[] = [];
    webSocket!.accept();
    webSocket!.addEventListener("message", ({ data }) => {
      if (data !== "pong") told.push((JSON.parse(String(data)) as { instance: InstanceView }).instance);
    });
    await until("the first is told", async () => told.length > 0);
    const after = await agent.beat({ gpu: 80 });
    expect(before.nextBeatMs).toBe(10_000);
    expect(after.nextBeatMs).toBe(5_000);
    await api("PUT", `/api/instances/${nest.id}`, { token: ana.token, json: { name: "another name" } });
    await until("the name is told", async () => told.some((view) => view.name === "another name"));
    webSocket!.close();
    await until("it is no longer hurried", async () => (await agent.beat({ gpu: 80 })).nextBeatMs === 10_000);
  });

  it("ends soon for a token that was revoked and for who was removed, and a role that was lowered is offered less", async () => {
    const owner = await newUser("Olga");
    const { nest } = await runningInstance(vast, owner);
    const call = (method: string, path: string, json?: object) => api(method, path, { token: owner.token, json });
    const newMember = async (name: string) => {
      const { body } = await api<AnswerOf<"addMember">>("POST", "/api/members", {
        token: owner.token,
        json: { name, role: "operator" },
      });
      return { id: body.user_id, token: body.token! };
    };
    const [rui, bia] = [await newMember("Rui"), await newMember("Bia")];
    const made = await api<AnswerOf<"createToken">>("POST", "/api/tokens", {
      token: owner.token,
      json: { name: "ci" },
    });
    const watchers = await Promise.all([made.body.token, rui.token, bia.token].map((one) => lookAt(nest.id, one)));
    const [byToken, ofRemoved, ofLowered] = watchers as [Looking, Looking, Looking];
    await until("all are told", async () => watchers.every(({ told }) => told.length > 0));
    expect(ofLowered.told.at(-1)?.actions).toContain("hibernate");

    await call("DELETE", `/api/tokens/${made.body.id}`);
    await call("DELETE", `/api/members/${rui.id}`);
    await call("PUT", `/api/members/${bia.id}`, { role: "viewer" });
    advance(31_000);
    await call("PUT", `/api/instances/${nest.id}`, { name: "secret" });
    await until("she is told", async () => ofLowered.told.at(-1)?.name === "secret");
    await until("two are closed", async () => byToken.closed.length + ofRemoved.closed.length === 2);
    expect(ofLowered.told.at(-1)?.actions).not.toContain("hibernate");
    expect([byToken, ofRemoved].map(({ closed }) => closed)).toEqual([[1008], [1008]]);
    expect([...byToken.told, ...ofRemoved.told].map((one) => one.name)).not.toContain("secret");
    ofLowered.socket.close();
  });

  it("goes on while the database is away, for some minutes", async () => {
    const owner = await newUser("Olga");
    const { nest, agent } = await runningInstance(vast, owner);
    const looking = await lookAt(nest.id, owner.token);
    await until("it is told", async () => looking.told.length > 0);
    const within = (act: (own: { DB: D1Database }) => void) =>
      runInDurableObject<InstanceObject, void>(stubOf(nest.id), (object) =>
        act((object as unknown as { env: { DB: D1Database } }).env),
      );
    const { DB } = env as Env;
    await within((own) => {
      const prepare = () => {
        throw new Error("D1_ERROR: away");
      };
      own.DB = { prepare } as unknown as D1Database;
    });
    advance(31_000);
    await agent.beat({ gpu: 61 });
    await until("it is told all the same", async () => looking.told.at(-1)?.gpu_utilization === 61);
    advance(270_000);
    await agent.beat({ gpu: 62 });
    await until("it is to connect again", async () => looking.closed.length > 0);
    expect(looking.closed).toEqual([4000]);
    await within((own) => {
      own.DB = DB;
    });
  });
});

describe("the list", () => {
  it("shows what is awake as it is now, and a new name at once", async () => {
    // In the middle of a minute: both beats are of the same one.
    advance(90_000 - (Date.now() % 60_000));
    const { nest, agent } = await runningInstance(vast, ana);
    await agent.beat({ gpu: 63 });
    const listed = async (live: boolean) => {
      const { body } = await api<{
        instances: { id: string; name: string; gpu_utilization: number; glance: { use: number[] } }[];
      }>("GET", `/api/instances?live=${live}`, { token: ana.token });
      return body.instances.find((one) => one.id === nest.id)!;
    };
    expect((await listed(true)).gpu_utilization).toBe(63);
    // The highest of the minute: before this beat came one of 80.
    expect((await listed(true)).glance.use.at(-1)).toBe(80);
    await api("PUT", `/api/instances/${nest.id}`, { token: ana.token, json: { name: "llama" } });
    expect((await listed(true)).name).toBe("llama");
    await until("the read model follows", async () => (await listed(false)).name === "llama");
    expect(await outcome("PUT", `/api/instances/${nest.id}`, { token: ana.token, json: { name: " " } })).toBe(
      "400 invalid_input",
    );
  });
});
