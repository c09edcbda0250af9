/** The wake proxy while there is nothing to pass through: who may call, what wakes, what is answered. */
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { InstanceView } from "../../core/protocol/views.ts";
import type { Env } from "../env.ts";
import { serviceAddressOf } from "../proxy/serve.ts";
import { type WaitingBody, waitingAnswer } from "../proxy/waiting.ts";
import {
  type Answer,
  advance,
  api,
  fallAsleep,
  newUser,
  outcome,
  runningInstance,
  type Sleeper,
  send,
  type TestUser,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import type { FakeVast } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;
beforeEach(async () => {
  ({ vast, user } = await setScene());
});
afterEach(endScene);

const auto = { wake_method: "auto" };

async function asleep(config: object = auto): Promise<Sleeper> {
  const { nest, agent } = await runningInstance(vast, user, config);
  await fallAsleep(nest, agent);
  await nest.settled();
  // A wake a minute: the first one is over.
  advance(120_000);
  return nest;
}

async function keyOf(nest: Sleeper, json: object = {}): Promise<{ id: string; key: string }> {
  const made = await nest.post<{ id: string; key: string }>("proxy-keys", { name: "app", ...json });
  expect(made.status).toBe(201);
  return made.body;
}

interface Asking {
  method?: string;
  headers?: Record<string, string>;
  token?: string;
}
const ask = (nest: Sleeper, path = "v1/models", { method = "GET", headers = {}, token }: Asking = {}) =>
  api<WaitingBody>(method, `/p/${nest.id}/${path}`, { headers, token: token ?? user.token });
const code = ({ status, body }: Answer<WaitingBody>) => `${status} ${body?.error?.code}`;
const machines = (nest: Sleeper) => vast.ofInstance(nest.id).length;

describe("who may call", () => {
  it("the owner's token and a key of the instance, each way that it may come", async () => {
    const nest = await asleep({ wake_method: "manual" });
    const { key } = await keyOf(nest);
    expect(key).toMatch(/^snp_[\w-]{43}$/);
    const basic = { authorization: `Basic ${btoa(`anybody:${key}`)}` };
    for (const headers of [
      { authorization: `Bearer ${key}` },
      { "x-soneca-key": key },
      basic,
      { "x-soneca-key": user.token },
    ]) {
      const answer = await send("GET", `/p/${nest.id}/`, { headers });
      expect(answer.status).toBe(503);
    }
  });

  it("nobody else", async () => {
    const nest = await asleep({ wake_method: "manual" });
    const other = await asleep({ wake_method: "manual" });
    const stranger = await newUser("Bia");
    const { key: ofOther } = await keyOf(other);
    const path = `/p/${nest.id}/`;
    expect(await outcome("GET", path)).toBe("401 unauthenticated");
    expect(await outcome("GET", path, { token: "snp_wrong" })).toBe("401 unauthenticated");
    expect(await outcome("GET", path, { token: "sk-of-the-service" })).toBe("401 unauthenticated");
    expect(await outcome("GET", path, { token: ofOther })).toBe("403 forbidden");
    expect(await outcome("GET", path, { token: stranger.token })).toBe("403 forbidden");
    expect(await outcome("GET", "/p/i-aaaaaaaaaa/", { token: user.token })).toBe("404 instance_not_found");
    const challenge = (headers: Record<string, string>) =>
      send("GET", path, { headers }).then((answer) => answer.headers.get("www-authenticate"));
    expect(await challenge({})).toContain("Basic");
    expect(await challenge({ "sec-fetch-mode": "cors" })).toBe("Bearer");
  });

  it("a key that has expired or was revoked opens nothing, and a key opens nothing of the API", async () => {
    const nest = await asleep({ wake_method: "manual" });
    const short = await keyOf(nest, { expires_in_days: 1 });
    const revoked = await keyOf(nest, { wakes_per_hour: 3 });
    const listed = await api<{ keys: object[] }>("GET", `${nest.path}/proxy-keys`, { token: user.token });
    expect(listed.body.keys).toHaveLength(2);
    expect(JSON.stringify(listed.body)).not.toContain(short.key);
    expect(listed.body.keys).toContainEqual(expect.objectContaining({ id: revoked.id, wakes_per_hour: 3 }));
    expect(await outcome("GET", nest.path, { token: short.key })).toBe("401 unauthenticated");
    expect((await ask(nest, "", { token: revoked.key })).status).toBe(503);
    const path = `${nest.path}/proxy-keys/${revoked.id}`;
    expect(await outcome("DELETE", path, { token: user.token })).toBe("204");
    expect(await outcome("DELETE", path, { token: user.token })).toBe("404 object_not_found");
    advance(31_000);
    expect(await outcome("GET", `/p/${nest.id}/`, { token: revoked.key })).toBe("401 unauthenticated");
    advance(86_400_000);
    expect(await outcome("GET", `/p/${nest.id}/`, { token: short.key })).toBe("401 token_expired");
  });

  it("anybody, where that was chosen", async () => {
    const nest = await asleep({ wake_method: "manual", proxy: { access: "public" } });
    expect(await outcome("GET", `/p/${nest.id}/`)).toBe("503 wake_not_automatic");
  });
});

describe("what wakes", () => {
  it("a request does, once; who asked is in the log; the next ones join", async () => {
    const nest = await asleep();
    const { id, key } = await keyOf(nest);
    const before = machines(nest);
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(nest, "v1/models", { token: key })));
    expect(new Set(answers.map(code))).toEqual(new Set(["503 waking"]));
    expect((await nest.settled()).status).toBe("waking");
    expect(machines(nest)).toBe(before + 1);
    const asked = (await nest.events()).filter((one) => one.actor === `proxy:key:${id}`);
    expect(asked.map((one) => one.event_type)).toEqual(["wake_requested"]);
  });

  it("not where requests are not to wake it, and that is said", async () => {
    const nest = await asleep({ wake_method: "manual" });
    const answer = await ask(nest);
    expect(code(answer)).toBe("503 wake_not_automatic");
    expect(answer.headers.get("retry-after")).toBeNull();
    expect(answer.headers.get("x-soneca-state")).toBe("hibernated");
    expect((await nest.settled()).state).toBe("hibernated");
  });

  it.each<[string, string, Asking]>([
    ["a health check", "health", {}],
    ["an icon", "favicon.ico", {}],
    ["a method outside of the list", "v1/models", { method: "OPTIONS" }],
    [
      "a crawler",
      "",
      { headers: { "user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)" } },
    ],
    ["an uptime monitor", "v1/models", { headers: { "user-agent": "UptimeRobot/2.0" } }],
    ["a probe", "v1/models", { headers: { "user-agent": "kube-probe/1.29" } }],
  ])("%s does not", async (_, path, asking) => {
    const nest = await asleep();
    expect(code(await ask(nest, path, asking))).toBe("503 request_does_not_wake");
    expect((await nest.settled()).state).toBe("hibernated");
  });

  it.each([
    "curl/8.5.0",
    "OpenAI/JS 7.59.0",
    "python-requests/2.32",
    "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0",
    "git/2.39",
  ])("%s does", async (agent) => {
    const nest = await asleep();
    expect(code(await ask(nest, "v1/models", { headers: { "user-agent": agent } }))).toBe("503 waking");
  });

  it("no path outside of the allow list", async () => {
    const nest = await asleep({ ...auto, proxy: { wake_paths: ["/v1/*"] } });
    expect(code(await ask(nest, "docs"))).toBe("503 request_does_not_wake");
    expect(code(await ask(nest, "v1/models"))).toBe("503 waking");
  });

  it("a browser's preflight is answered for everybody, and wakes nothing", async () => {
    const nest = await asleep();
    const headers = {
      ...{ origin: "https://app.example", "access-control-request-method": "POST" },
      "access-control-request-headers": "authorization",
    };
    const answer = await send("OPTIONS", `/p/${nest.id}/v1/chat/completions`, { headers });
    expect(answer.status).toBe(204);
    expect(answer.headers.get("access-control-allow-origin")).toBe("https://app.example");
    expect(answer.headers.get("access-control-allow-headers")).toBe("authorization");
    expect((await nest.settled()).state).toBe("hibernated");
  });
});

describe("budgets", () => {
  it("wakes within the hour, of the instance and of a key", async () => {
    const none = await asleep({ ...auto, proxy: { wakes_per_hour: 0 } });
    const spent = await ask(none);
    expect(code(spent)).toBe("429 wakes_per_hour_spent");
    expect(spent.headers.get("retry-after")).toBe("3600");
    const nest = await asleep();
    const { key } = await keyOf(nest, { wakes_per_hour: 0 });
    expect(code(await ask(nest, "", { token: key }))).toBe("429 wakes_per_hour_spent");
    expect(code(await ask(nest))).toBe("503 waking");
  });

  it("money within the day", async () => {
    const nest = await asleep({ ...auto, proxy: { max_micro_usd_per_day: 0 } });
    const answer = await ask(nest);
    expect(code(answer)).toBe("429 money_per_day_spent");
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(3600);
    expect((await nest.settled()).state).toBe("hibernated");
  });
});

describe("what is answered meanwhile", () => {
  it("JSON that clients of OpenAI-like services understand, and when to ask again", async () => {
    const nest = await asleep();
    const { headers, body } = await ask(nest);
    expect(headers.get("content-type")).toBe("application/json");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("access-control-expose-headers")).toContain("retry-after");
    expect(body.error).toMatchObject({ code: "waking", type: "service_unavailable", param: null, retryable: true });
    expect(body.error.context).toMatchObject({ instance_id: nest.id, status: "waking", phase: "renting" });
    expect(headers.get("retry-after")).toBe(String(body.error.context.retry_after_seconds));
  });

  it("a page for a person, which runs nothing but its own script", async () => {
    const nest = await asleep();
    const answer = await send("GET", `/p/${nest.id}/lab`, { token: user.token, headers: { accept: "text/html,*/*" } });
    expect(answer.status).toBe(503);
    expect(answer.headers.get("content-type")).toContain("text/html");
    expect(answer.headers.get("content-security-policy")).toMatch(/^default-src 'none'.*script-src 'nonce-/);
    const page = await answer.text();
    expect(page).toContain(nest.id);
    expect(page).toContain("Finding a machine");
  });

  it("the page speaks two languages, and takes no name for markup", () => {
    const wait = { phase: "booting", since: 0, left: null, retryAfterMs: 5_000 } as const;
    const closed = { instance: "i-aaaaaaaaaa" as never, name: '</script><b title="x">', status: "waking", wait };
    const page = (code: "waking" | "wake_not_automatic", language: string) => {
      const headers = { accept: "text/html", "accept-language": language };
      return waitingAnswer(new Request("http://x/", { headers }), { ...closed, code }, null).text();
    };
    return Promise.all([
      page("waking", "pt-BR,en;q=0.5"),
      page("waking", "de, en"),
      page("wake_not_automatic", ""),
    ]).then(([pt, en, asleep]) => {
      expect(pt).toMatch(/lang="pt-BR"[\s\S]*está acordando[\s\S]*A máquina está ligando/);
      expect(en).toContain("is waking up");
      expect(asleep).not.toContain("<script");
      for (const one of [pt, en, asleep]) expect(one).not.toContain("<b title");
      expect(en.match(/<\/script>/g)).toHaveLength(1);
    });
  });

  it("events that follow the wake, and a head alone for HEAD", async () => {
    const nest = await asleep();
    const head = await send("HEAD", `/p/${nest.id}/`, { token: user.token });
    expect([head.status, await head.text()]).toEqual([503, ""]);
    expect(Number(head.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    const answer = await send("GET", `/p/${nest.id}/`, { token: user.token, headers: { accept: "text/event-stream" } });
    expect([answer.status, answer.headers.get("content-type")]).toEqual([503, "text/event-stream"]);
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    const { value } = await reader.read();
    expect(value).toMatch(/^event: progress\ndata: \{"error":\{"code":"waking"/);
    await reader.cancel();
  });

  it("one that runs and has no gate yet is on its way as well", async () => {
    const { nest } = await runningInstance(vast, user, auto);
    const answer = await ask(nest);
    expect(code(answer)).toBe("503 waking");
    expect(answer.body.error.context.phase).toBe("connecting");
  });

  it("Retry-After counts down by the instance's own wakes", async () => {
    const nest = await asleep({ ...auto, proxy: { wakes_per_hour: 60 } });
    for (let i = 0; i < 3; i++) {
      await nest.post("wake");
      await nest.settled();
      advance(40_000);
      const agent = nest.agent();
      await agent.beat({ gpu: 80 });
      advance(20_000);
      const restore = agent.command("restore");
      await agent.beat({
        results: [{ commandId: restore.id, outcome: "restored", digest: restore.snapshot.digest }],
      });
      await fallAsleep(nest, agent);
      await nest.settled();
      advance(120_000);
    }
    const first = (await ask(nest)).body.error.context;
    expect(first.left_seconds).not.toBeNull();
    expect(first.retry_after_seconds).toBeGreaterThan(30);
    await nest.settled();
    advance(15_000);
    const later = (await ask(nest)).body.error.context;
    expect(later.phase).toBe("booting");
    expect(later.retry_after_seconds).toBeLessThan(first.retry_after_seconds);
    expect(later.retry_after_seconds).toBeGreaterThan(0);
  });
});

describe("addresses", () => {
  it("a port that is not shown, the folder without its slash", async () => {
    const nest = await asleep({ ...auto, proxy: { access: "public", more_ports: [8888] } });
    expect(await outcome("GET", `/p/${nest.id}:22/`)).toBe("404 port_not_shown");
    expect((await nest.settled()).state).toBe("hibernated");
    expect(await outcome("GET", `/p/${nest.id}:8888/`)).toBe("503 waking");
    const bare = await exports.default.fetch(
      new Request(`http://soneca.test/p/${nest.id}?a=1`, { redirect: "manual" }),
    );
    expect([bare.status, bare.headers.get("location")]).toEqual([308, `/p/${nest.id}/?a=1`]);
  });

  it("by host where there is a zone, and by path unless that is off", () => {
    const zoned = { ...env, PROXY_ZONE: "example.com", PROXY_PATHS: "off" } as Env;
    const at = (url: string, bindings: Env = zoned) => serviceAddressOf(new Request(url), bindings);
    expect(at("https://i-k3v7q2m4xa.example.com/v1")).toMatchObject({
      instance: "i-k3v7q2m4xa",
      path: "/v1",
      prefix: "",
    });
    expect(at("https://i-k3v7q2m4xa-8888.example.com/")).toMatchObject({ port: 8888 });
    expect(at("https://app.example.com/p/i-k3v7q2m4xa/")).toBeNull();
    expect(at("https://app.example.com/p/i-k3v7q2m4xa/", env as Env)).toMatchObject({ prefix: "/p/i-k3v7q2m4xa" });
  });

  it("the instance tells its own", async () => {
    const { nest } = await runningInstance(vast, user, auto);
    const { proxy }: InstanceView = await nest.view();
    expect(proxy).toEqual({ url: `http://soneca.test/p/${nest.id}/`, pipe: null, is_open: false, trouble: null });
  });
});

describe("the gate of the machine", () => {
  const report = (change: object = {}) => ({
    extra: { gate: { port: 4711, keyed: false, pipe: null, isOpen: false, ...change } },
  });

  it("is given its key and its pipe, until it has both", async () => {
    const { nest, agent } = await runningInstance(vast, user, auto);
    const ordered = await agent.beat(report());
    expect(ordered.gate?.key).toMatch(/^[\w-]{43}$/);
    expect(ordered.gate?.pipe).toEqual({ kind: "relay" });
    expect((await agent.beat(report({ keyed: true, pipe: "relay" }))).gate).toBeUndefined();
    // One that restarted lost it, and gets the same.
    expect((await agent.beat(report())).gate?.key).toBe(ordered.gate?.key);
    expect((await nest.view()).proxy).toMatchObject({ pipe: "relay", is_open: false });
    const other = await runningInstance(vast, user, auto);
    expect((await other.agent.beat(report())).gate?.key).not.toBe(ordered.gate?.key);
  });

  it("one that cannot be passed says why", async () => {
    const { nest, agent } = await runningInstance(vast, user, auto);
    await agent.beat(report({ keyed: true, pipe: "relay", trouble: "the relay is not open yet" }));
    expect((await nest.view()).proxy.trouble).toBe("the relay is not open yet");
    expect(code(await ask(nest))).toBe("503 waking");
  });

  it("is forgotten with its machine", async () => {
    const { nest, agent } = await runningInstance(vast, user, auto);
    await agent.beat(report({ keyed: true, pipe: "relay" }));
    await fallAsleep(nest, agent);
    expect((await nest.settled()).proxy).toMatchObject({ pipe: null, is_open: false, trouble: null });
  });

  it("traffic through it keeps the machine awake, and calls a sleep of the rule off", async () => {
    const { nest, agent } = await runningInstance(vast, user, auto);
    const beat = async (ms: number, value: number) => {
      for (let passed = 0; passed < ms; passed += 10_000) {
        advance(10_000);
        const known = agent.report({ gpu: 0, ...report({ keyed: true, pipe: "relay" }) });
        const [one] = known.intervals as object[];
        await agent.post({ ...known, intervals: [{ ...one, signals: { traffic: { value } } }] });
      }
    };
    await beat(120_000, 1);
    expect(await nest.view()).toMatchObject({
      state: "running",
      awake_because: [{ signal: "traffic", code: "signal_busy" }],
    });
    await beat(80_000, 0);
    expect((await nest.view()).state).toBe("snapshotting");
    await beat(10_000, 2);
    expect((await nest.view()).state).toBe("running");
  });
});
