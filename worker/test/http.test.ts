/** The HTTP face: who may ask what, what a bad request gets, and that a refused one changes nothing. */
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { agentStorePath } from "../../core/protocol/agent.ts";
import { type RouteName, routes } from "../../core/protocol/api.ts";
import { browseRoutes } from "../../core/protocol/browse.ts";
import type { ErrorBody } from "../../core/protocol/errors.ts";
import { newInstanceId, type UserId } from "../../core/protocol/ids.ts";
import { noticeRoutes } from "../../core/protocol/notices.ts";
import type { Route } from "../../core/protocol/route.ts";
import { selfTestPaths } from "../../core/protocol/self-test.ts";
import { signButton } from "../notices/button.ts";
import { makeAskers, type TestAsker } from "./askers.ts";
import {
  adminToken,
  advance,
  api,
  type FakeAgent,
  fallAsleep,
  metricsToken,
  newInstance,
  newUser,
  outcome,
  runningInstance,
  type Sleeper,
  send,
  settle,
  startClock,
  type TestUser,
} from "./helpers.ts";
import { storeSnapshots } from "./real-snapshots.ts";
import { FakeVast, vastErrors } from "./vast.ts";

const vast = new FakeVast();
let owner: TestUser;
let other: TestUser;
/** Running, on its second machine: the token of its first one is of an older epoch. */
let nest: Sleeper;
let agent: FakeAgent;
let foreign: Sleeper;
let foreignAgent: FakeAgent;

beforeAll(async () => {
  startClock();
  vast.install();
  vast.keys.set("another-key-for-tests", "another");
  // No pause between the adapter's own tries.
  vi.spyOn(Math, "random").mockReturnValue(0);
  owner = await newUser("Ana");
  other = await newUser("Rui");
  await renewNest();
  foreign = await newInstance(vast, other);
  foreignAgent = foreign.agent();
  spareMachine = vast.add(null).id;
  askers = await makeAskers({ owner, other, instance: () => nest.id, agent: () => agent, foreignAgent });
});

afterAll(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** `nest` as a route may want it: running, and heard of just now. */
async function renewNest(): Promise<void> {
  // Whatever the account keeps for some seconds is not to serve the next test.
  advance(10_000);
  if (nest && (await nest.view()).state === "running") {
    await agent.beat({ gpu: 80 });
    return settle(nest.id);
  }
  vast.once("create", vastErrors.offerGone);
  ({ nest, agent } = await runningInstance(vast, owner));
  await settle(nest.id);
}

/** A channel of the owner, and a button in a notice to it. */
async function renewChannel(): Promise<void> {
  const json = { kind: "ntfy", url: "https://ntfy.example.com/spare" };
  spareChannelId = (await api<{ id: string }>("POST", "/api/channels", { token: owner.token, json })).body.id;
  spareButton = await signButton(env.AGENT_JWT_SECRET, {
    id: crypto.randomUUID(),
    name: "not_now",
    instance: nest.id,
    user: owner.id as UserId,
    channel: spareChannelId,
    expiresAt: Date.now() + 60_000,
  });
}

const names = Object.keys(routes) as RouteName[];
const routeOf = (name: RouteName): Route => routes[name];

/** One request of each route that its own principal may make. A route without an entry does not compile. */
const good: Record<RouteName, () => { path?: string; json?: Record<string, unknown> }> = {
  health: () => ({}),
  getMetrics: () => ({}),
  openapi: () => ({}),
  createUser: () => ({ json: { name: "New" } }),
  selfTest: () => ({ json: { part: "database" } }),
  me: () => ({}),
  listTokens: () => ({}),
  createToken: () => ({ json: { name: "ci" } }),
  revokeToken: () => ({ path: `/api/tokens/${spareTokenId}` }),
  listMembers: () => ({}),
  listAudit: () => ({}),
  getProviderKey: () => ({}),
  setProviderKey: () => ({ json: { key: "another-key-for-tests" } }),
  testProviderKey: () => ({ json: {} }),
  removeProviderKey: () => ({}),
  getSecrets: () => ({}),
  resealSecrets: () => ({ json: {} }),
  addMember: () => ({ json: { name: "Bia", role: "viewer" } }),
  changeMember: () => ({ path: `/api/members/${spareMemberId}`, json: { role: "operator" } }),
  removeMember: () => ({ path: `/api/members/${spareMemberId}` }),
  chooseTeam: () => ({ json: { team: owner.id } }),
  listInstances: () => ({}),
  createInstance: () => ({ json: { name: "second", gpu_type: "RTX 4090" } }),
  adoptInstance: () => ({ json: { vast_instance_id: spareMachine } }),
  getInstance: () => ({}),
  renameInstance: () => ({ json: { name: "renamed" } }),
  getSession: () => ({}),
  // Where the pages of services are, no session is opened.
  openSession: () => ({ path: "http://dashboard.test/api/session", json: { token: owner.token } }),
  closeSession: () => ({}),
  wakeInstance: () => ({ json: {} }),
  hibernateInstance: () => ({ json: {} }),
  keepAwake: () => ({ json: { minutes: 60 } }),
  letSleep: () => ({}),
  notNow: () => ({ json: {} }),
  discardInstance: () => ({ json: { confirm: nest.id } }),
  getConfig: () => ({}),
  putConfig: () => ({ json: { auto_hibernation: { pause_after_idle_minutes: 2 } } }),
  putSchedule: () => ({ json: { wake_time: "09:00", sleep_time: "18:00", timezone: "America/Sao_Paulo" } }),
  listProxyKeys: () => ({}),
  createProxyKey: () => ({ json: { name: "app" } }),
  revokeProxyKey: () => ({ path: `/api/instances/:id/proxy-keys/${spareKeyId}` }),
  listPolicies: () => ({}),
  putPolicy: () => ({ json: { gpu_type: "RTX 4090", auto_hibernation: { not_now_minutes: 31 } } }),
  deletePolicy: () => ({ path: "/api/policies?gpu_type=H100" }),
  listEvents: () => ({}),
  listSnapshots: () => ({}),
  listFiles: () => ({ path: "/api/instances/:id/snapshots/90/files" }),
  getFile: () => ({ path: "/api/instances/:id/snapshots/90/file?path=kept" }),
  listChanges: () => ({ path: "/api/instances/:id/snapshots/91/changes?since=90" }),
  getLedger: () => ({}),
  getSavings: () => ({}),
  estimate: () => ({ path: "/api/estimate?workspace_gb=70&uses_per_day=6&hours_per_day=6" }),
  getSeries: () => ({ path: "/api/instances/:id/series?span=24h" }),
  previewConfig: () => ({ json: {} }),
  listOffers: () => ({ path: "/api/offers?gpu_type=RTX_4090" }),
  listAdoptable: () => ({}),
  listChannels: () => ({}),
  createChannel: () => ({ json: { kind: "webhook", url: "https://hooks.example.com/one" } }),
  changeChannel: () => ({ path: `/api/channels/${spareChannelId}`, json: { name: "other" } }),
  deleteChannel: () => ({ path: `/api/channels/${spareChannelId}` }),
  // Nobody is there, which the answer says.
  testChannel: () => ({ path: `/api/channels/${spareChannelId}/test`, json: {} }),
  listDeliveries: () => ({ path: `/api/channels/${spareChannelId}/deliveries` }),
  pressButton: () => ({ json: { token: spareButton } }),
  agentStatus: () => ({ json: agent.report({ gpu: 80 }) }),
};
let spareChannelId = "none";
let spareButton = "none";
let spareTokenId = "none";
let spareKeyId = "none";
let spareMemberId = "u-aaaaaaaaaa";
let askers: Record<string, TestAsker> = {};
let spareMachine = 0;

function requestOf(name: RouteName, id: string = nest.id) {
  const { path, json } = good[name]();
  return { method: routeOf(name).method, path: (path ?? routeOf(name).path).replace(":id", id), json };
}

/** Everything that a refused request could have changed. */
async function world(): Promise<string> {
  const counts = await env.DB.prepare(
    "SELECT (SELECT COUNT(*) FROM users) AS users, (SELECT COUNT(*) FROM api_tokens) AS tokens, (SELECT group_concat(role) FROM members) AS members, (SELECT group_concat(sealed) FROM provider_keys) AS keys, (SELECT COUNT(*) FROM instance_status) AS instances",
  ).first();
  const view = await nest.view();
  const events = await nest.events();
  return JSON.stringify({ counts, view, events, calls: vast.calls.length, machines: [...vast.machines.values()] });
}

/** Of the askers that may, one with the least role that will do; else whoever may. */
function leastOf(route: Route, allowed: string[]): string {
  const exact = allowed.find((who) => askers[who]!.role !== undefined && askers[who]!.role === route.role);
  return exact ?? allowed.at(-1)!;
}

/** What a route is asked for that is there for this request alone. */
async function makeSpare(name: RouteName, token: string | null): Promise<void> {
  const make = async (path: string, json: object, by = owner.token) =>
    (await api<{ id: string; user_id: string }>("POST", path, { token: by, json })).body;
  if (name === "revokeToken") spareTokenId = (await make("/api/tokens", { name: "spare" }, token!)).id;
  if (name === "revokeProxyKey")
    spareKeyId = (await make(`/api/instances/${nest.id}/proxy-keys`, { name: "spare" })).id;
  if (name === "testProviderKey" || name === "removeProviderKey")
    await api("PUT", "/api/provider-key", { token: owner.token, json: { key: "another-key-for-tests" } });
  if (name === "changeMember" || name === "removeMember")
    spareMemberId = (await make("/api/members", { name: "spare", role: "viewer" })).user_id;
}

describe("who may ask what", () => {
  it.each(names)("%s", async (name) => {
    const route = routeOf(name);
    await renewNest();
    if (Object.hasOwn(noticeRoutes, name)) await renewChannel();
    if (Object.hasOwn(browseRoutes, name)) await storeSnapshots("small", nest.id);
    await makeSpare(name, owner.token);
    const before = await world();
    const allowed: string[] = [];
    for (const [who, asker] of Object.entries(askers)) {
      // A token of less than its owner does not see the owner's.
      const isUnseen =
        name === "revokeToken" && asker.says(route) === "ok" && who !== "owner" && who !== "second owner";
      // By a token, whose team is its own.
      const isFixed = name === "chooseTeam" && asker.says(route) === "ok";
      const said = isUnseen ? "404 object_not_found" : isFixed ? "403 forbidden" : asker.says(route);
      if (isUnseen || isFixed || said === "ok") allowed.push(who);
      if (said === "ok") continue;
      const { method, path, json } = requestOf(name);
      expect(await outcome(method, path, { token: await asker.token(), json }), who).toBe(said);
    }
    expect(await world(), "a refused request changed something").toBe(before);
    expect(allowed.length, "nobody may use this route").toBeGreaterThan(0);
    if (name === "chooseTeam") return;
    const who = leastOf(route, allowed);
    const token = await askers[who]!.token();
    await makeSpare(name, token);
    const { method, path, json } = requestOf(name);
    const { status, body, headers } = await api(method, path, { token, json });
    expect(status, `${who}: ${JSON.stringify(body)}`).toBe(route.status);
    if (route.status !== 204)
      expect(route.answer.safeParse(body).error, "the answer fits the contract").toBeUndefined();
    expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(headers.get("cache-control")).toBe("no-store");
    await settle(nest.id);
  });
});

it("what the self-test has beside its route is the admin's alone", async () => {
  for (const [what, path] of Object.entries(selfTestPaths)) {
    const method = what === "body" ? "PUT" : "GET";
    for (const [who, asker] of Object.entries(askers)) {
      const said = asker.says(routeOf("selfTest"));
      if (said === "ok") continue;
      expect(await outcome(method, path, { token: await asker.token() }), `${path} ${who}`).toBe(said);
    }
  }
});

describe("another user", () => {
  it("can neither see nor wake a sleeping instance", async () => {
    advance(10_000);
    const { nest: asleep, agent: sleeper } = await runningInstance(vast, owner);
    await fallAsleep(asleep, sleeper);
    const before = JSON.stringify([await asleep.view(), await asleep.events(), vast.calls.length]);
    for (const name of names.filter((one) => routeOf(one).path.includes(":id"))) {
      const { method, path, json } = requestOf(name, asleep.id);
      expect(await outcome(method, path, { token: other.token, json }), name).toBe("404 instance_not_found");
    }
    const list = await api<{ instances: { id: string }[] }>("GET", "/api/instances", { token: other.token });
    expect(list.body.instances.map((one) => one.id)).toEqual([foreign.id]);
    expect(JSON.stringify([await asleep.view(), await asleep.events(), vast.calls.length])).toBe(before);
  });

  it("sees an instance that is not there as one that is not theirs", async () => {
    const unknown = newInstanceId(crypto.getRandomValues(new Uint8Array(10)));
    for (const id of [unknown, "x", "i-UPPERCASE0", "i-aaaaaaaaaa%0a", "..%2fi-aaaaaaaaaa"]) {
      for (const name of names.filter((one) => routeOf(one).path.includes(":id"))) {
        const { method, path, json } = requestOf(name, id);
        expect(await outcome(method, path, { token: owner.token, json }), `${name} ${id}`).toBe(
          "404 instance_not_found",
        );
      }
    }
  });
});

describe("bad input", () => {
  beforeAll(renewNest);

  const withBody = names.filter((name) => routeOf(name).body);
  const tokenFor = (name: RouteName) =>
    ({ public: null, user: owner.token, admin: adminToken, metrics: metricsToken, agent: agent.token })[
      routeOf(name).principal
    ];
  const chunked = (bytes: number) =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (let sent = 0; sent < bytes; sent += 65_536) controller.enqueue(new Uint8Array(65_536).fill(32));
        controller.close();
      },
    });

  it("an instance that begins with nothing cannot be made asleep: what rents nothing is not taken for what rents", async () => {
    const json = { name: "not-started", gpu_type: "RTX 4090", start: false };
    const answer = await api<ErrorBody>("POST", "/api/instances", { token: tokenFor("createInstance"), json });
    expect([answer.status, answer.body.error.code]).toEqual([400, "invalid_input"]);
    expect(answer.body.error.issues?.[0]).toMatchObject({ path: "start" });
  });

  it.each(withBody)("%s: what is no JSON, too large, empty or of another shape", async (name) => {
    const { method, path, json } = requestOf(name);
    const token = tokenFor(name);
    const before = await world();
    const say = (raw: BodyInit) => outcome(method, path, { token, raw });
    for (const raw of ["{", "{'a':1}", "\u0000", "undefined"]) expect(await say(raw), raw).toBe("400 bad_json");
    for (const raw of ["[]", '"text"', "1", "null", "true"]) expect(await say(raw), raw).toBe("400 invalid_input");
    expect(await say(" ".repeat(2 * 1024 * 1024 + 1))).toBe("413 payload_too_large");
    expect(await say(chunked(2 * 1024 * 1024 + 65_536))).toBe("413 payload_too_large");
    if (!routeOf(name).bodyOptional) expect(await say("")).toBe("400 bad_json");
    // The agents' protocol grows by fields that an older worker does not know.
    if (name !== "agentStatus") {
      const answer = await api<ErrorBody>(method, path, { token, json: { ...json, surprise: 1 } });
      expect([answer.status, answer.body.error.code]).toEqual([400, "invalid_input"]);
      expect(answer.body.error.issues?.[0]?.message).toContain("surprise");
    }
    expect(await world()).toBe(before);
  });

  const long = "x".repeat(81);
  const wrong: Partial<Record<RouteName, object[]>> = {
    selfTest: [{}, { part: "all" }, { part: 1 }],
    createUser: [{}, { name: 1 }, { name: "" }, { name: "   " }, { name: long }, { name: null }],
    createToken: [
      {},
      { name: long },
      { name: "a", expires_in_days: 0 },
      { name: "a", expires_in_days: 1.5 },
      { name: "a", expires_in_days: "7" },
      { name: "a", expires_in_days: 3651 },
    ],
    createInstance: [
      { name: "" },
      { gpu_type: 4090 },
      { gpu_count: 0 },
      { gpu_count: 65 },
      { region: "Brazil" },
      { disk_gb: 7 },
      { disk_gb: 1e9 },
      { max_micro_usd_per_hour: 0 },
      { max_micro_usd_per_hour: -1 },
      { image: "x".repeat(1025) },
      { auto_hibernation: { gpu_usage_threshold: 101 } },
    ],
    adoptInstance: [{}, { vast_instance_id: 0 }, { vast_instance_id: "7" }, { vast_instance_id: 1.5 }],
    wakeInstance: [{ gpu_type: "" }, { gpu_type: 1 }, { region: "B" }, { region: "BRA" }, { region: 55 }],
    discardInstance: [{}, { confirm: true }],
    putConfig: [
      {},
      { auto_hibernation: null },
      { auto_hibernation: { pause_after_idle_minutes: 0 } },
      { auto_hibernation: { pause_after_idle_minutes: "3" } },
      { auto_hibernation: { delete_after_pause_minutes: -1 } },
      { auto_hibernation: { check_interval_seconds: 301 } },
      { auto_hibernation: { enabled: "yes" } },
      { auto_hibernation: { wake_method: "magic" } },
      { auto_hibernation: { schedule: { wake_time: "24:00" } } },
      { auto_hibernation: { schedule: { wake_time: "9:00" } } },
      { auto_hibernation: { schedule: { timezone: "Mars/Olympus" } } },
      { auto_hibernation: { unknown: 1 } },
    ],
    agentStatus: [
      {},
      { instance_id: 7 },
      { instance_id: "ID", gpu_util: 101 },
      { instance_id: "ID", gpu_util: "12" },
      { instance_id: "ID", intervals: [{ n: -1 }] },
      { instance_id: "ID", results: [{ commandId: "x", outcome: "fine" }] },
      { instance_id: "ID", seal: { commandId: "x" } },
      { instance_id: "ID", results: Array(17).fill({ commandId: "x", outcome: "restored", digest: "0".repeat(64) }) },
    ],
  };

  it.each(Object.keys(wrong) as RouteName[])("%s: wrong values", async (name) => {
    const { method, path } = requestOf(name);
    const before = await world();
    for (const value of wrong[name]!) {
      const raw = JSON.stringify(value).replaceAll('"ID"', `"${nest.id}"`);
      expect(await outcome(method, path, { token: tokenFor(name), raw }), raw).toBe("400 invalid_input");
    }
    expect(await world()).toBe(before);
  });

  it("refuses a query that is not in the contract", async () => {
    for (const query of ["after=-1", "after=x", "limit=0", "limit=1001", "limit=1.5", "before=1"]) {
      const said = await outcome("GET", `${nest.path}/events?${query}`, { token: owner.token });
      expect(said, query).toBe("400 invalid_input");
    }
  });

  it("asks for the token first: a stranger learns nothing from his bad body", async () => {
    for (const name of withBody.filter((one) => routeOf(one).principal !== "public")) {
      const { method, path } = requestOf(name);
      expect(await outcome(method, path, { raw: "{" }), name).toBe("401 unauthenticated");
    }
  });

  it("does not take a schedule that is half of one", async () => {
    await api("PUT", `${nest.path}/config`, { token: owner.token, json: { auto_hibernation: { schedule: null } } });
    const half = { auto_hibernation: { schedule: { wake_time: "08:00" } } };
    expect(await outcome("PUT", `${nest.path}/config`, { token: owner.token, json: half })).toBe("400 invalid_input");
    const { body } = await api<{ auto_hibernation: { schedule: unknown } }>("GET", `${nest.path}/config`, {
      token: owner.token,
    });
    expect(body.auto_hibernation.schedule).toBeNull();
  });

  it("does not take a report under another instance's name", async () => {
    const before = await foreign.view();
    const report = { ...agent.report({ gpu: 80 }), instance_id: foreign.id };
    expect(await outcome("POST", "/api/agent/status", { token: agent.token, json: report })).toBe("403 forbidden");
    expect(await foreign.view()).toEqual(before);
  });

  it("wants the instance's own name before a discard", async () => {
    const { nest: kept } = await freshNest();
    const calls = vast.calls.length;
    const said = await outcome("POST", `${kept.path}/discard`, { token: owner.token, json: { confirm: foreign.id } });
    expect(said).toBe("400 confirm_mismatch");
    expect((await kept.view()).state).toBe("running");
    expect(vast.calls.length).toBe(calls);
  });
});

describe("the envelope of an error", () => {
  it("has code, words, hint, request id; and no stack", async () => {
    const { status, body, headers } = await api<ErrorBody>("GET", "/api/me");
    expect(status).toBe(401);
    expect(headers.get("www-authenticate")).toBe("Bearer");
    expect(headers.get("content-type")).toContain("application/json");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(body.error.request_id).toBe(headers.get("x-request-id"));
    expect(Object.keys(body)).toEqual(["error"]);
    expect(Object.keys(body.error).sort()).toEqual(["code", "hint", "message", "request_id", "retryable"]);
  });

  it("says when to come again after a 429 and a 503", async () => {
    const { nest: asleep, agent: sleeper } = await freshNest();
    await fallAsleep(asleep, sleeper);
    await asleep.post("wake");
    await settle(asleep.id);
    await asleep.post("hibernate");
    advance(20_000);
    const limited = await asleep.post<ErrorBody>("wake");
    expect([limited.status, limited.body.error.code]).toEqual([429, "wake_rate_limited"]);
    expect(limited.body.error.retryable).toBe(true);
    const seconds = Number(limited.headers.get("retry-after"));
    advance(seconds * 1000 - 1_500);
    expect((await asleep.post("wake")).status).toBe(429);
    advance(1_500);
    expect((await asleep.post("wake")).status).toBe(202);
    await settle(asleep.id);

    advance(10_000);
    vast.once("search", () =>
      Response.json({ msg: "too many requests" }, { status: 429, headers: { "retry-after": "7" } }),
    );
    const busy = await api<ErrorBody>("POST", "/api/instances", { token: owner.token, json: { gpu_type: "H100" } });
    expect([busy.status, busy.body.error.code]).toEqual([503, "provider_rate_limited"]);
    expect(busy.headers.get("retry-after")).toBe("7");
  });

  it.each([
    ["no offer at all", "409 no_offer", () => Response.json({ offers: [] })],
    ["a revoked key", "502 provider_auth", vastErrors.auth],
    ["a provider that is down", "503 provider_unavailable", vastErrors.down],
    ["an answer that makes no sense", "503 provider_unavailable", () => new Response("<html>hello</html>")],
  ] as const)("creates nothing with %s", async (_what, said, fault) => {
    advance(10_000);
    const before = await world();
    vast.always.search = fault;
    expect(await outcome("POST", "/api/instances", { token: owner.token, json: { gpu_type: "A100" } })).toBe(said);
    vast.always = {};
    const after = await world();
    const withoutCalls = (text: string) => ({ ...JSON.parse(text), calls: 0 });
    expect(withoutCalls(after)).toEqual(withoutCalls(before));
  });
});

describe("methods and addresses", () => {
  beforeAll(renewNest);

  const store = [
    { path: `${agentStorePath}/parts/:sha256`, methods: ["GET", "PUT"] },
    { path: `${agentStorePath}/manifests/:name`, methods: ["GET", "PUT"] },
    { path: agentStorePath, methods: ["GET"] },
  ];
  const table = new Map<string, Set<string>>();
  for (const name of names) {
    const { path, method } = routeOf(name);
    table.set(path, (table.get(path) ?? new Set()).add(method));
  }
  for (const { path, methods } of store) table.set(path, new Set(methods));

  it.each([...table.keys()])("%s: a method that it does not take", async (pattern) => {
    const path = pattern.replace(":id", nest.id).replaceAll(/:\w+/g, "a");
    const fits = (one: string) => new RegExp(`^${one.replaceAll(/:\w+/g, "[^/]+")}$`).test(path);
    const methods = new Set([...table].flatMap(([one, its]) => (fits(one) ? [...its] : [])));
    const allow = [...methods, ...(methods.has("GET") ? ["HEAD"] : [])].sort().join(", ");
    // Pages of other origins may ask of this one alone whether they may.
    const isAsked = pattern === routes.pressButton.path;
    const others = ["GET", "POST", "PUT", "PATCH", "DELETE", ...(isAsked ? [] : ["OPTIONS"])];
    for (const method of others.filter((one) => !methods.has(one))) {
      const answer = await api<ErrorBody>(method, path, { token: agent.token });
      expect([answer.status, answer.body.error.code], method).toEqual([405, "method_not_allowed"]);
      expect(answer.headers.get("allow"), method).toBe(allow);
    }
    if (!methods.has("GET")) expect((await send("HEAD", path, { token: agent.token })).status).toBe(405);
  });

  it("answers HEAD where it answers GET, without a body", async () => {
    for (const path of ["/api/health", "/api/openapi.json"]) {
      const answer = await send("HEAD", path);
      expect([answer.status, await answer.text()]).toEqual([200, ""]);
    }
  });

  it.each(["/api", "/api/", "/api/nothing", "/api/instances/a/b/c", "/api/me/", "/api/agent", "/nowhere"])(
    "%s is nothing",
    async (path) => {
      expect(await outcome("GET", path, { token: owner.token })).toBe("404 route_not_found");
    },
  );
});

describe("tokens", () => {
  it("are shown once, kept as a hash, listed without their secret, and end when revoked or expired", async () => {
    const user = await newUser("Eva");
    const made = await api<{ id: string; token: string; expires_at: string }>("POST", "/api/tokens", {
      token: user.token,
      json: { name: "short", expires_in_days: 1 },
    });
    const { id, token } = made.body;
    expect(token).toMatch(/^snu_[A-Za-z0-9_-]{43}$/);
    const rows = JSON.stringify((await env.DB.prepare("SELECT * FROM api_tokens").all()).results);
    expect(rows).not.toContain(token);
    expect(rows).not.toContain(token.slice(4));
    const list = await api("GET", "/api/tokens", { token: user.token });
    expect(JSON.stringify(list.body)).toContain(id);
    expect(JSON.stringify(list.body)).not.toContain("snu_");

    expect(await outcome("GET", "/api/me", { token })).toBe("200");
    expect(await outcome("GET", "/api/me", { headers: { authorization: `bearer  ${token} ` } })).toBe("200");
    for (const authorization of [`Basic ${token}`, token, `Bearer ${token} x`, "Bearer ", `Bearer ${token}x`]) {
      expect(await outcome("GET", "/api/me", { headers: { authorization } }), authorization).toBe(
        "401 unauthenticated",
      );
    }
    advance(86_400_000);
    expect(await outcome("GET", "/api/me", { token })).toBe("401 token_expired");

    const second = await api<{ id: string; token: string }>("POST", "/api/tokens", {
      token: user.token,
      json: { name: "long" },
    });
    const path = `/api/tokens/${second.body.id}`;
    expect(await outcome("DELETE", path, { token: owner.token })).toBe("404 object_not_found");
    expect(await outcome("GET", "/api/me", { token: second.body.token })).toBe("200");
    expect(await outcome("DELETE", path, { token: user.token })).toBe("204");
    expect(await outcome("DELETE", path, { token: user.token })).toBe("404 object_not_found");
    expect(await outcome("GET", "/api/me", { token: second.body.token })).toBe("401 unauthenticated");
  });
});

describe("/api/openapi.json", () => {
  it("describes every route of the table, once, without leftovers", async () => {
    const { body: document } = await api<{
      openapi: string;
      servers: { url: string }[];
      paths: Record<string, Record<string, Record<string, unknown>>>;
      components: { securitySchemes: object; schemas: object };
    }>("GET", "/api/openapi.json");
    expect(document.openapi).toBe("3.1.0");
    expect(document.servers).toEqual([{ url: "http://soneca.test" }]);
    const described = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const wanted = names.map((name) => `${routeOf(name).method} ${routeOf(name).path.replaceAll(/:(\w+)/g, "{$1}")}`);
    expect(described.sort()).toEqual(wanted.sort());

    const operations = Object.values(document.paths).flatMap((one) => Object.values(one));
    expect(new Set(operations.map((one) => one.operationId)).size).toBe(names.length);
    const text = JSON.stringify(document);
    expect(text).not.toContain("$schema");
    for (const ref of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      const found = ref[1]!.split("/").reduce<unknown>((at, step) => (at as Record<string, unknown>)?.[step], document);
      expect(found, ref[1]).toBeDefined();
    }
    for (const [path, one] of Object.entries(document.paths)) {
      for (const operation of Object.values(one)) {
        const parameters = operation.parameters as { name: string; in: string }[];
        const inPath = parameters.filter((parameter) => parameter.in === "path").map((parameter) => parameter.name);
        expect(inPath).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]));
        for (const scheme of (operation.security as object[]).flatMap((each) => Object.keys(each))) {
          expect(document.components.securitySchemes).toHaveProperty(scheme);
        }
        expect(Object.keys(operation.responses as object)).toEqual(expect.arrayContaining(["4XX", "5XX"]));
      }
    }
  });
});

async function freshNest() {
  advance(10_000);
  return runningInstance(vast, owner);
}
