/** The log: one line for each thing that was done, and no secret in any of them. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type LogLevel, logLevels } from "../../core/protocol/log.ts";
import { runCron } from "../cron.ts";
import type { Env } from "../env.ts";
import { log, setLogLevel } from "../log.ts";
import {
  adminToken,
  advance,
  alarmAfter,
  type FakeAgent,
  fallAsleep,
  metricsToken,
  outcome,
  runningInstance,
  type Sleeper,
  send,
  settle,
  stubOf,
  type TestUser,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import { type FakeVast, vastErrors } from "./vast.ts";

type Line = Record<string, unknown> & { time: string; level: LogLevel; event: string };

let vast: FakeVast;
let user: TestUser;
let nest: Sleeper;
let agent: FakeAgent;
/** All that any console method was given since the test began. */
let written: string[] = [];

beforeAll(async () => {
  ({ vast, user } = await setScene());
  ({ nest, agent } = await runningInstance(vast, user));
  await settle(nest.id);
  setLogLevel("info");
});
afterAll(() => {
  setLogLevel("warn");
  endScene();
});

beforeEach(() => {
  written = [];
  for (const name of ["log", "info", "warn", "error", "debug", "trace"] as const)
    vi.spyOn(console, name).mockImplementation((...words: unknown[]) => void written.push(words.map(String).join(" ")));
});
afterEach(() => {
  for (const text of written) {
    const line = JSON.parse(text) as Line;
    expect(logLevels).toContain(line.level);
    expect(new Date(line.time).toISOString()).toBe(line.time);
    expect(line.event).toMatch(/^[a-z_]+$/);
  }
});

const lines = (event?: string) =>
  written.map((text) => JSON.parse(text) as Line).filter((line) => event === undefined || line.event === event);

describe("one line", () => {
  it("for a request: what was asked, by whom, of what, and what came of it", async () => {
    const { headers } = await nest.post("keep-awake", { minutes: 5 });
    await settle(nest.id);
    expect(lines("request")).toEqual([
      {
        time: new Date().toISOString(),
        level: "info",
        event: "request",
        request_id: headers.get("x-request-id"),
        method: "POST",
        route: "/api/instances/:id/keep-awake",
        principal: "user",
        user: user.id,
        team: user.id,
        instance: nest.id,
        status: 200,
        ms: 0,
      },
    ]);
  });

  it("for a refused one, with the code of its error; an address that is none is not repeated", async () => {
    expect(await outcome("GET", "/api/instances", {})).toBe("401 unauthenticated");
    expect(await outcome("GET", `/api/snu_secret-in-the-path-of-it/x?token=hunter2`, {})).toBe("404 route_not_found");
    expect(await outcome("GET", `${nest.path}/snapshots/7/files`, { token: user.token })).toBe(
      "404 snapshot_not_found",
    );
    expect(lines().map(({ route, principal, status, code }) => [route, principal, status, code])).toEqual([
      ["/api/instances", null, 401, "unauthenticated"],
      [null, null, 404, "route_not_found"],
      ["/api/instances/:id/snapshots/:seq/files", "user", 404, "snapshot_not_found"],
    ]);
  });

  it("for a heartbeat, and none beside it", async () => {
    advance(10_000);
    await agent.beat({ gpu: 80 });
    await settle(nest.id);
    expect(lines()).toMatchObject([
      { event: "request", route: "/api/agent/status", principal: "agent", instance: nest.id, epoch: 1, status: 200 },
    ]);
  });

  it("for a part that is stored", async () => {
    expect((await agent.put(`parts/${"0".repeat(64)}`, "x")).status).toBe(422);
    expect(lines()).toMatchObject([
      { route: "/api/agent/store/parts/:sha256", code: "part_hash_mismatch", status: 422 },
    ]);
  });

  it("for each alarm and each effect of a sleep, and none for its copies", async () => {
    const { nest: other, agent: its } = await runningInstance(vast, user);
    await settle(other.id);
    written = [];
    await fallAsleep(other, its);
    expect(lines("effect").map(({ instance, task, outcome: came }) => [instance, task, came])).toEqual([
      [other.id, "prove", "proved"],
      [other.id, "end", "endTried"],
      [other.id, "end", "gone"],
    ]);
    expect(lines("alarm").length).toBeGreaterThan(0);
    for (const line of lines("alarm")) expect(line).toMatchObject({ instance: other.id, outcome: "ok", level: "info" });
  });

  it("for each duty of the cron, with what came of it", async () => {
    await runCron("*/5 * * * *", env as Env);
    expect(lines("cron").map(({ duty, outcome: came }) => [duty, came])).toEqual([
      ["sweep", "ok"],
      ["policies", "ok"],
      ["notices", "ok"],
      ["provider", "ok"],
      ["tunnels", "ok"],
      ["audit", "ok"],
      ["secrets", "ok"],
    ]);
  });

  it("for a duty that was done and could not be noted: the note failed, not the duty", async () => {
    const DB = new Proxy(env.DB, {
      get: (db, name) =>
        name === "prepare"
          ? (sql: string) => {
              if (sql.includes("cron_runs")) throw new Error("D1_ERROR: full");
              return db.prepare(sql);
            }
          : Reflect.get(db, name).bind(db),
    });
    await runCron("* * * * *", { ...(env as Env), INSTANCE: env.INSTANCE, ACCOUNT: env.ACCOUNT, DB });
    expect(lines().map(({ event, duty, outcome: came, level }) => [event, duty, came, level])).toEqual([
      ["cron", "sweep", "ok", "info"],
      ["cron_not_noted", "sweep", undefined, "error"],
      ["cron", "policies", "ok", "info"],
      ["cron", "notices", "ok", "info"],
    ]);
  });

  it("for a request to a service, and its path and query are not in it", async () => {
    const path = `/p/${nest.id}/v1/private-path?key=hunter2`;
    expect((await send("GET", path, {})).status).toBe(401);
    expect(lines("service_request")).toMatchObject([
      { method: "GET", instance: nest.id, principal: "anybody", status: 401, code: "unauthenticated" },
    ]);
    expect(written.join()).not.toMatch(/private-path|hunter2/);
  });
});

describe("no secret", () => {
  const { AGENT_JWT_SECRET, VAST_API_KEY, SECRETS_KEYS = "" } = env as unknown as Env;

  it("stands in any line, whatever is asked and whatever fails", async () => {
    const made = await nest.post<{ key: string }>("proxy-keys", { name: "app" });
    const session = await send("POST", "http://dashboard.test/api/session", {
      json: { token: user.token },
      headers: { origin: "http://dashboard.test", "sec-fetch-site": "same-origin" },
    });
    const cookie = (session.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
    const { key } = made.body;
    expect([cookie, key, agent.token].map((one) => one.length > 20)).toEqual([true, true, true]);
    const secrets = [user.token, key, agent.token, cookie.split("=")[1]!, adminToken, metricsToken, AGENT_JWT_SECRET];
    secrets.push(VAST_API_KEY, SECRETS_KEYS.split(":")[1]!);
    const all = secrets.join(" ");
    // Nobody knows it for one.
    secrets.push("hunter2-hunter2");

    // Everything that may be shown a secret is shown all of them.
    for (const token of [user.token, agent.token, adminToken, metricsToken, key, "hunter2-hunter2"]) {
      for (const path of ["/api/me", nest.path, "/api/metrics", "/api/agent/status", "/api/health", "/api/nothing"]) {
        const query = `?token=${token}&key=${encodeURIComponent(all)}`;
        await send("GET", path + query, { token, headers: { cookie, "x-soneca-key": key, "user-agent": all } });
      }
      await send("POST", "/api/agent/status", { token, json: { instance_id: all, note: all } });
      await send("PUT", `${nest.path}/config`, { token, json: { auto_hibernation: { [all]: all } } });
      await send("GET", `/p/${nest.id}/${token}?access_token=${token}`, { token, headers: { cookie } });
      await send("GET", `/api/${token}`, { token });
      const basic = btoa(`user:${token}`);
      await send("GET", `/p/${nest.id}/`, { headers: { authorization: `Basic ${basic}` } });
    }
    await send("POST", "/api/tokens", { token: user.token, json: { name: all.slice(0, 80) } });

    // What fails tells all that it knows.
    const leak = new Error(`cannot reach https://user:${VAST_API_KEY}@vast.test/?api_key=${VAST_API_KEY} with ${all}`);
    vast.always = { list: () => Promise.reject(leak), search: () => Promise.reject(leak) };
    await runCron("*/5 * * * *", env as Env);
    await send("POST", "/api/instances", { token: user.token, json: { gpu_type: "A100" } });
    vast.always = { list: vastErrors.auth };
    await runCron("*/5 * * * *", env as Env);
    vast.always = {};
    const DB = {
      prepare: () => {
        throw leak;
      },
      batch: () => Promise.reject(leak),
    } as unknown as D1Database;
    await runCron("*/5 * * * *", { ...(env as Env), INSTANCE: env.INSTANCE, ACCOUNT: env.ACCOUNT, DB });
    await runInDurableObject(stubOf(nest.id), (_object, ctx) => {
      ctx.storage.sql.exec(`CREATE TRIGGER leak BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'broken: ${all}'); END`);
    });
    await nest.post("hibernate");
    await alarmAfter(nest.id, 600_000);
    await runInDurableObject(stubOf(nest.id), (_object, ctx) => void ctx.storage.sql.exec("DROP TRIGGER leak"));
    log.error("request_failed", { error: leak, authorization: `Bearer ${user.token}`, nested: [{ cookie }] });

    const text = written.join("\n");
    expect(lines().filter((line) => line.level === "error").length, "something failed").toBeGreaterThan(3);
    expect(text).toContain("broken: ");
    for (const secret of secrets) expect(text.includes(secret), secret.slice(0, 12)).toBe(false);
    expect(text.includes(btoa(`user:${key}`))).toBe(false);
  });
});
