import { describe, expect, it } from "vitest";
import { createCloudflare } from "./cloudflare.ts";

interface Sent {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Headers;
  body: unknown;
  redirect: string | undefined;
}
type Step = (sent: Sent, signal: AbortSignal) => Response | Promise<Response>;

const TOKEN = "token-of-the-account-1234";
const ID = "11111111-2222-3333-4444-555555555555";
const NOW = Date.UTC(2026, 10, 24);

/** A fetch that plays the steps in turn and keeps what it was sent; the last step repeats. */
function script(...steps: Step[]) {
  const sent: Sent[] = [];
  const pauses: number[] = [];
  const play: typeof fetch = async (input, init) => {
    const url = new URL(String(input));
    sent.push({
      method: init?.method ?? "GET",
      path: url.pathname.replace("/client/v4", ""),
      query: url.searchParams,
      headers: new Headers(init?.headers),
      body: typeof init?.body === "string" ? JSON.parse(init.body) : null,
      redirect: init?.redirect,
    });
    return steps[Math.min(sent.length, steps.length) - 1]!(sent.at(-1)!, init!.signal as AbortSignal);
  };
  const api = createCloudflare(
    { apiUrl: "https://cf.test/client/v4/", accountId: "acc", zoneId: "zon", apiToken: TOKEN },
    {
      fetch: play,
      now: () => NOW,
      sleep: async (ms) => void pauses.push(ms),
      random: () => 0.5,
      timeoutMs: 50,
    },
  );
  return { api, sent, pauses };
}

const json =
  (body: unknown, status = 200, headers = {}): Step =>
  () =>
    new Response(JSON.stringify(body), { status, headers });
const good = (result: unknown, more = {}) => json({ success: true, errors: [], messages: [], result, ...more });
const bad = (status: number, code: number, message = "no", headers = {}) =>
  json({ success: false, errors: [{ code, message }], messages: [], result: null }, status, headers);
const page = (rows: unknown[], total = rows.length) => good(rows, { result_info: { total_count: total } });
const lost: Step = () => Promise.reject(new TypeError("fetch failed"));
const silent: Step = (_, signal) =>
  new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

const tunnel = (change: object = {}) => ({
  id: ID,
  name: "soneca-x",
  created_at: "2026-11-24T10:00:00.123456Z",
  deleted_at: null,
  metadata: { a: 1 },
  ...change,
});
const record = (change: object = {}) => ({
  id: "r1",
  type: "CNAME",
  name: "t-x.machines.test",
  content: `${ID}.cfargotunnel.com`,
  proxied: true,
  comment: "soneca:i-abcdefghij:1",
  created_on: "2026-11-24T10:00:00Z",
  modified_on: "2026-11-24T11:00:00Z",
  ...change,
});
const another = ID.replaceAll("1", "9");

describe("what is sent", () => {
  it("a tunnel is created with its name, its metadata and the remote configuration", async () => {
    const { api, sent } = script(good({ id: ID, token: "t0k3n" }));
    expect(await api.createTunnel("soneca-x", { a: 1 })).toEqual({ ok: true, id: ID, token: "t0k3n" });
    expect(sent).toMatchObject([{ method: "POST", path: "/accounts/acc/cfd_tunnel", redirect: "manual" }]);
    expect(sent[0]!.body).toEqual({ name: "soneca-x", config_src: "cloudflare", metadata: { a: 1 } });
    expect(sent[0]!.headers.get("authorization")).toBe(`Bearer ${TOKEN}`);
  });

  it("tunnels are found by exact name, and deleted ones are not there", async () => {
    const rows = [tunnel(), tunnel({ id: another, name: "soneca-xx" }), tunnel({ deleted_at: "2026-11-24T10:00:00Z" })];
    const { api, sent } = script(page(rows.slice(0, 2)), page([rows[2]]));
    expect(await api.findTunnels("soneca-x")).toMatchObject({ ok: true, tunnels: [{ id: ID, metadata: { a: 1 } }] });
    expect(Object.fromEntries(sent[0]!.query)).toMatchObject({ name: "soneca-x", is_deleted: "false" });
    expect(await api.findTunnels("soneca-x")).toEqual({ ok: true, tunnels: [] });
  });

  it("the ingress is read where there is none yet, and written whole", async () => {
    const { api, sent } = script(good({ tunnel_id: ID, config: null }), good({}));
    expect(await api.readIngress(ID)).toEqual({ ok: true, ingress: [] });
    expect(await api.writeIngress(ID, [{ service: "http_status:404" }])).toEqual({ ok: true });
    expect(sent[1]).toMatchObject({
      method: "PUT",
      path: `/accounts/acc/cfd_tunnel/${ID}/configurations`,
      body: { config: { ingress: [{ service: "http_status:404" }] } },
    });
  });

  it("a record is a proxied CNAME with a comment, and has no tags", async () => {
    const { api, sent } = script(good({}));
    await api.createRecord({ name: "n.z", content: "c", comment: "soneca:i-abcdefghij:1" });
    expect(sent[0]).toMatchObject({ method: "POST", path: "/zones/zon/dns_records" });
    expect(sent[0]!.body).toEqual({
      type: "CNAME",
      name: "n.z",
      content: "c",
      comment: "soneca:i-abcdefghij:1",
      proxied: true,
      ttl: 1,
    });
  });

  it("records are found by name whatever their type, and listed by comment", async () => {
    const { api, sent } = script(
      page([record({ type: "A" })]),
      page([record(), record({ id: "r2", comment: "other" })]),
    );
    expect(await api.findRecords("t-x.machines.test")).toMatchObject({ ok: true, records: [{ type: "A" }] });
    expect(await api.listRecords("soneca:")).toMatchObject({
      ok: true,
      records: [{ id: "r1", changedAt: Date.UTC(2026, 10, 24, 11), isProxied: true }],
    });
    expect(sent[0]!.query.get("name.exact")).toBe("t-x.machines.test");
    expect(sent[1]!.query.get("comment.startswith")).toBe("soneca:");
  });
});

describe("lists", () => {
  it("are read page by page until all are there", async () => {
    const { api, sent } = script(page([tunnel()], 2), page([tunnel({ id: another })], 2));
    expect(await api.listTunnels()).toMatchObject({ ok: true, tunnels: [{ id: ID }, { id: another }] });
    expect(sent.map((one) => one.query.get("page"))).toEqual(["1", "2"]);
  });

  it.each([
    ["that is short", page([], 1)],
    ["without its number", good([tunnel()])],
    ["with a row that cannot be understood", page([tunnel({ id: 5 })])],
    ["that is none", page({} as never, 0)],
    ["that is a page of HTML", () => new Response("<html>soon back</html>")],
  ])("a list %s is a failure, never an empty one", async (_, step) => {
    expect(await script(step).api.listTunnels()).toMatchObject({ ok: false, code: "unavailable" });
  });

  it("a list without an end ends", async () => {
    let n = 0;
    const { api, sent } = script(() => {
      const id = ID.replace("11111111", String(++n).padStart(8, "0"));
      return page([tunnel({ id })], 1_000_000)(sent.at(-1)!, AbortSignal.timeout(1)) as Response;
    });
    expect(await api.listTunnels()).toMatchObject({ ok: false, code: "unavailable" });
    expect(sent.length).toBe(20);
  });
});

describe("repeats", () => {
  it.each([
    ["a lost answer", lost],
    ["silence", silent],
    ["a 500", bad(500, 1000)],
    ["a 429", bad(429, 10429)],
    ["a page of HTML", () => new Response("<h1>502</h1>", { status: 502 })],
  ])("after %s reads, stated changes and deletes are tried again, creates are not", async (_, step) => {
    const calls = [
      (api: ReturnType<typeof createCloudflare>) => api.readToken(ID),
      (api: ReturnType<typeof createCloudflare>) => api.writeIngress(ID, []),
      (api: ReturnType<typeof createCloudflare>) => api.changeRecord("r", { name: "n", content: "c", comment: "x" }),
      (api: ReturnType<typeof createCloudflare>) => api.deleteTunnel(ID),
    ];
    for (const call of calls) {
      const { api, sent } = script(step, step, good("t0k3n"));
      expect(await call(api)).toMatchObject({ ok: true });
      expect(sent.length).toBe(3);
    }
    const { api, sent } = script(step, good({ id: ID }));
    expect(await api.createTunnel("n", {})).toMatchObject({ ok: false, code: "unavailable" });
    expect(sent.length).toBe(1);
  });

  it("are three tries with growing pauses, of at least what Retry-After says", async () => {
    const { api, sent, pauses } = script(bad(429, 1, "slow", { "retry-after": "2" }), bad(500, 1));
    expect(await api.readToken(ID)).toMatchObject({ ok: false, code: "unavailable" });
    expect(sent.length).toBe(3);
    expect(pauses).toEqual([2_000, 600]);
  });

  it("a long Retry-After is the caller's to wait for", async () => {
    const { api, sent } = script(bad(429, 1, "slow", { "retry-after": "300" }));
    expect(await api.readToken(ID)).toMatchObject({ ok: false, code: "unavailable", retryAfterMs: 300_000 });
    expect(sent.length).toBe(1);
  });

  it("what is refused is not tried again", async () => {
    const { api, sent } = script(bad(403, 10000, "Authentication error"));
    expect(await api.listTunnels()).toEqual({
      ok: false,
      code: "refused",
      message: "GET: HTTP 403: 10000 Authentication error",
    });
    expect(sent.length).toBe(1);
  });
});

describe("what answers mean", () => {
  it("a name that is taken is a conflict, for tunnels and for records", async () => {
    expect(await script(bad(409, 1013)).api.createTunnel("n", {})).toMatchObject({ code: "conflict" });
    for (const code of [81053, 81054, 81057, 81058]) {
      const made = await script(bad(400, code)).api.createRecord({ name: "n", content: "c", comment: "x" });
      expect(made).toMatchObject({ ok: false, code: "conflict" });
    }
  });

  it("what is gone is deleted, but only by the API's own word", async () => {
    for (const call of ["endConnections", "deleteTunnel", "deleteRecord"] as const) {
      expect(await script(bad(404, 1003)).api[call](ID)).toEqual({ ok: true });
      const html = await script(() => new Response("<h1>Not Found</h1>", { status: 404 })).api[call](ID);
      expect(html).toMatchObject({ ok: false, code: "unavailable" });
    }
  });

  it("what was listed and is gone by its id is to be looked for again", async () => {
    expect(await script(bad(404, 1003)).api.readToken(ID)).toMatchObject({ ok: false, code: "unavailable" });
    expect(await script(bad(404, 7003)).api.listTunnels()).toMatchObject({ ok: false, code: "refused" });
  });

  it("a tunnel that is still connected is deleted later", async () => {
    const { api, sent } = script(bad(400, 1022), good({}));
    expect(await api.deleteTunnel(ID)).toEqual({ ok: true });
    expect(sent[0]!.query.get("cascade")).toBe("true");
  });

  it("a success without its result is unclear", async () => {
    expect(await script(good({ id: "../x" })).api.createTunnel("n", {})).toMatchObject({ code: "unavailable" });
    expect(await script(good(null)).api.readToken(ID)).toMatchObject({ code: "unavailable" });
  });

  it("the token is in no message", async () => {
    const said = await script(bad(400, 1, `bad header Bearer ${TOKEN}`)).api.readToken(ID);
    expect(JSON.stringify(said)).not.toContain(TOKEN);
    const thrown = await script(() => Promise.reject(new Error(`cannot send ${TOKEN}`))).api.readToken(ID);
    expect(JSON.stringify(thrown)).not.toContain(TOKEN);
  });
});
