/** The stand-in's API: Cloudflare's rules, and what goes wrong on demand. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FaultName } from "./faults.ts";
import { createTunnelServer, type TunnelServer, type TunnelServerOptions } from "./server.ts";

const apiToken = "token-of-the-account";
let folder: string;
let server: TunnelServer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "soneca-cloudflare-"));
  server = await createTunnelServer({ apiToken });
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function reopen(change: Partial<TunnelServerOptions>): Promise<void> {
  await server.close();
  server = await createTunnelServer({ apiToken, ...change });
}

// biome-ignore lint/suspicious/noExplicitAny: answers are looked at, not used
type Answer = { status: number; headers: Headers; text: string; json: any; code: number | undefined };
async function ask(method: string, path: string, body?: unknown, token = apiToken): Promise<Answer> {
  const response = await fetch(server.apiUrl + path, {
    method,
    headers: { authorization: `Bearer ${token}` },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(3_000),
  });
  const text = await response.text();
  const json = text.startsWith("{") ? JSON.parse(text) : null;
  return { status: response.status, headers: response.headers, text, json, code: json?.errors?.[0]?.code };
}
const tunnels = (rest = "") => `/accounts/${server.accountId}/cfd_tunnel${rest}`;
const records = (rest = "") => `/zones/${server.zoneId}/dns_records${rest}`;
const create = (name = "soneca-a") => ask("POST", tunnels(), { name, config_src: "cloudflare", metadata: { a: 1 } });
const point = (change: object = {}) =>
  ask("POST", records(), {
    type: "CNAME",
    name: "t-a.machines.test",
    content: "x.cfargotunnel.com",
    proxied: true,
    ...change,
  });

describe("who may ask", () => {
  it("only the token, and only with the scope", async () => {
    expect(await ask("GET", tunnels(), undefined, "another")).toMatchObject({ status: 401, code: 10000 });
    await reopen({ scopes: ["dns"] });
    expect(await ask("GET", tunnels())).toMatchObject({ status: 403, code: 10000 });
    expect(await ask("GET", records())).toMatchObject({ status: 200 });
  });

  it("another account or zone is no route", async () => {
    expect(await ask("GET", "/accounts/other/cfd_tunnel")).toMatchObject({ status: 404, code: 7003 });
  });
});

describe("tunnels", () => {
  it("are made, listed by name and prefix, and deleted", async () => {
    const made = await create();
    const { id } = made.json.result;
    expect(made.json).toMatchObject({ success: true, errors: [], result: { name: "soneca-a", metadata: { a: 1 } } });
    await create("other");
    expect((await ask("GET", tunnels("?name=soneca-a"))).json.result).toMatchObject([{ id, deleted_at: null }]);
    expect((await ask("GET", tunnels("?include_prefix=sonec"))).json.result.length).toBe(1);
    expect((await ask("GET", tunnels("?page=2&per_page=1"))).json).toMatchObject({
      result: [{ name: "other" }],
      result_info: { page: 2, per_page: 1, count: 1, total_count: 2 },
    });
    expect((await ask("DELETE", tunnels(`/${id}`))).status).toBe(200);
    expect(await ask("DELETE", tunnels(`/${id}`))).toMatchObject({ status: 404 });
    expect((await ask("GET", tunnels("?is_deleted=false"))).json.result.length).toBe(1);
    expect((await ask("GET", tunnels())).json.result.length).toBe(2);
  });

  it("have names of their own, and a name is free again after its tunnel", async () => {
    const { id } = (await create()).json.result;
    expect(await create()).toMatchObject({ status: 409, code: 1013 });
    await ask("DELETE", tunnels(`/${id}`));
    expect(await create()).toMatchObject({ status: 200 });
    expect(await create("")).toMatchObject({ status: 400 });
    expect(await create(id)).toMatchObject({ status: 400 });
  });

  it("give the token that was made with them, until they are gone", async () => {
    const { id, token } = (await create()).json.result;
    expect((await ask("GET", tunnels(`/${id}/token`))).json.result).toBe(token);
    await ask("DELETE", tunnels(`/${id}`));
    expect(await ask("GET", tunnels(`/${id}/token`))).toMatchObject({ status: 404 });
  });

  it("have an ingress whose last rule is for everything", async () => {
    const { id } = (await create()).json.result;
    const path = tunnels(`/${id}/configurations`);
    expect((await ask("GET", path)).json.result.config).toBeNull();
    const rule = { hostname: "h.machines.test", service: "http://127.0.0.1:1" };
    expect(await ask("PUT", path, { config: { ingress: [rule] } })).toMatchObject({ status: 400, code: 1056 });
    const ingress = [rule, { service: "http_status:404" }];
    await ask("PUT", path, { config: { ingress } });
    expect((await ask("GET", path)).json.result).toMatchObject({ version: 1, config: { ingress } });
  });
});

describe("records", () => {
  it("are made, found, changed and deleted", async () => {
    const made = await point({ comment: "soneca:i-abcdefghij:1" });
    const { id } = made.json.result;
    expect((await ask("GET", records("?name.exact=t-a.machines.test"))).json.result).toMatchObject([{ id }]);
    expect((await ask("GET", records("?type=CNAME&comment.startswith=SONECA%3A"))).json.result.length).toBe(1);
    expect((await ask("GET", records("?comment.startswith=other"))).json.result).toEqual([]);
    await ask("PATCH", records(`/${id}`), { content: "y.cfargotunnel.com" });
    expect((await ask("GET", records())).json.result).toMatchObject([{ content: "y.cfargotunnel.com", proxied: true }]);
    expect((await ask("DELETE", records(`/${id}`))).status).toBe(200);
    expect(await ask("DELETE", records(`/${id}`))).toMatchObject({ status: 404, code: 81044 });
  });

  it.each([
    ["an identical one", {}, 81058],
    ["a second CNAME of a name", { content: "other.cfargotunnel.com" }, 81053],
    ["an address beside a CNAME", { type: "A", content: "203.0.113.9" }, 81053],
    ["a name outside of the zone", { name: "t-b.other.test" }, 9000],
    ["a label that is too long", { name: `${"a".repeat(64)}.machines.test` }, 9000],
    ["tags without Enterprise", { name: "t-b.machines.test", tags: ["soneca:x"] }, 9300],
    ["a comment that is too long", { name: "t-b.machines.test", comment: "a".repeat(101) }, 9313],
  ])("%s is refused", async (_, change, code) => {
    await point();
    expect(await point(change)).toMatchObject({ status: 400, code });
  });

  it("are as many as the plan has, and have tags with Enterprise", async () => {
    await reopen({ maxRecords: 1, isEnterprise: true });
    expect(await point({ tags: ["soneca:x"] })).toMatchObject({ status: 200 });
    expect(await point({ name: "t-b.machines.test" })).toMatchObject({ status: 400, code: 81045 });
  });
});

describe("faults", () => {
  const struck = async (name: FaultName, work: () => Promise<unknown>, more: object = {}) => {
    server.faults.arm({ name, times: 1, ...more });
    return work().catch(() => "no answer");
  };

  it.each([
    ["timeout", false, "no answer"],
    ["error_500", false, { status: 500 }],
    ["html_502", false, { status: 502, json: null }],
    ["rate_limited", false, { status: 429 }],
    ["answer_lost", true, "no answer"],
    ["error_after", true, { status: 500 }],
    ["garbled", true, { status: 200, json: null }],
  ] as const)("%s: the call has its effect: %s", async (name, effect, answer) => {
    const got = await struck(name, create, name === "timeout" ? { ms: 20 } : {});
    if (typeof answer === "string") expect(got).toBe(answer);
    else expect(got).toMatchObject(answer);
    expect((await ask("GET", tunnels())).json.result.length).toBe(effect ? 1 : 0);
    expect(await create("next")).toMatchObject({ status: 200 });
  });

  it("429 says when to come again", async () => {
    const limited = (await struck("rate_limited", create, { seconds: 7 })) as Answer;
    expect(limited.headers.get("retry-after")).toBe("7");
  });

  it("a short list counts what it leaves out, a stale one does not", async () => {
    await create();
    const short = (await struck("list_short", () => ask("GET", tunnels()))) as Answer;
    expect(short.json).toMatchObject({ result: [], result_info: { total_count: 1 } });
    const stale = (await struck("list_stale", () => ask("GET", tunnels()))) as Answer;
    expect(stale.json).toMatchObject({ result: [], result_info: { total_count: 0 } });
  });

  it("strike where and when they are meant to", async () => {
    server.faults.arm({ name: "error_500", on: "tunnel_create", after: 1, times: 1 });
    expect(await ask("GET", tunnels())).toMatchObject({ status: 200 });
    expect(await create("a")).toMatchObject({ status: 200 });
    expect(await create("b")).toMatchObject({ status: 500 });
    expect(await create("b")).toMatchObject({ status: 200 });
    expect(server.calls).toEqual(["tunnel_list", "tunnel_create", "tunnel_create", "tunnel_create"]);
    expect(() => server.faults.arm({ name: "nonsense" as FaultName })).toThrow("no fault");
  });

  it("are armed from another process too", async () => {
    const local = (method: string, body?: object) =>
      fetch(`${server.edgeUrl}/local/faults`, {
        method,
        headers: { authorization: `Bearer ${apiToken}` },
        body: body && JSON.stringify(body),
      });
    expect((await local("POST", { name: "error_500" })).status).toBe(200);
    expect(await create()).toMatchObject({ status: 500 });
    await local("DELETE");
    expect(await create()).toMatchObject({ status: 200 });
    expect((await local("POST", { name: "x" })).status).toBe(400);
  });
});

it("with a file, what there is outlives the program", async () => {
  const stateFile = join(folder, "cloudflare.json");
  await reopen({ stateFile });
  const { id, token } = (await create()).json.result;
  await point();
  await reopen({ stateFile });
  expect((await ask("GET", tunnels(`/${id}/token`))).json.result).toBe(token);
  expect((await ask("GET", records())).json.result.length).toBe(1);
});
