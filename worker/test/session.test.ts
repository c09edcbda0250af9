/** Browsers that are signed in: how one gets in, what the cookie can do, and what no other page can make of it. */
import { env, exports } from "cloudflare:workers";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { SessionView } from "../../core/protocol/session.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import type { Env } from "../env.ts";
import { advance, api, newInstance, newUser, outcome, runningInstance, send, type TestUser, until } from "./helpers.ts";
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
  it("lets in whom it signed for, and nobody who only says so", async () => {
    const { publicKey, privateKey } = await generateKeyPair("RS256", { extractable: true });
    const other = await generateKeyPair("RS256");
    const issuer = "https://team.cloudflareaccess.com";
    const jwk = { ...(await exportJWK(publicKey)), kid: "k1", alg: "RS256", use: "sig" };
    let isUp = false;
    const spy = vi.spyOn(globalThis, "fetch");
    const others = spy.getMockImplementation()!;
    spy.mockImplementation(async (input, init) => {
      const url = String(input instanceof Request ? input.url : input);
      if (!url.startsWith(issuer)) return others(input, init);
      return isUp ? Response.json({ keys: [jwk] }) : new Response("no", { status: 503 });
    });
    const signed = (key: CryptoKey, claims: { aud?: string; email?: string; iss?: string } = {}) =>
      new SignJWT({ email: claims.email ?? "Bia@Example.com" })
        .setProtectedHeader({ alg: "RS256", kid: "k1" })
        .setIssuer(claims.iss ?? issuer)
        .setAudience(claims.aud ?? "aud-1")
        .setIssuedAt(Math.floor(Date.now() / 1000))
        .setExpirationTime(Math.floor(Date.now() / 1000) + 3_600)
        .sign(key);
    const me = async (jwt: string) =>
      api<{ id: string; name: string }>("GET", `${own}/api/me`, { headers: { "cf-access-jwt-assertion": jwt } });

    const jwt = await signed(privateKey);
    // Not set up: what a header says counts for nothing.
    expect((await me(jwt)).status).toBe(401);
    settings.ACCESS_TEAM = "team";
    settings.ACCESS_AUDIENCE = "aud-1";
    expect((await me(jwt)).status).toBe(503);
    isUp = true;
    advance(60_000);
    const first = await me(jwt);
    expect(first).toMatchObject({ status: 200, body: { name: "bia@example.com" } });
    expect((await me(await signed(privateKey, { email: "bia@example.com" }))).body.id).toBe(first.body.id);
    expect((await me(await signed(other.privateKey))).status).toBe(401);
    expect((await me(await signed(privateKey, { aud: "another" }))).status).toBe(401);
    expect((await me(await signed(privateKey, { iss: "https://evil.test" }))).status).toBe(401);
    const change = await outcome("POST", `${own}/api/tokens`, {
      json: { name: "x" },
      headers: { "cf-access-jwt-assertion": jwt, origin: "https://evil.test" },
    });
    expect(change).toBe("403 forbidden");
    spy.mockImplementation(others);
  });
});

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
});

describe("the list", () => {
  it("shows what is awake as it is now, and a new name at once", async () => {
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
