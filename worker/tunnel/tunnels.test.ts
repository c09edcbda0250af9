/** Against a small Cloudflare of this file; e2e/tunnel.test.ts has the same against the stand-in, over HTTP and with faults. */
import { beforeEach, describe, expect, it } from "vitest";
import type { InstanceId } from "../../core/protocol/ids.ts";
import { tunnelSettings } from "./settings.ts";
import { createTunnels, tunnelHostname, tunnelName, type Whose } from "./tunnels.ts";

interface Row {
  id: string;
  name: string;
  [key: string]: unknown;
}

const NOW = Date.UTC(2026, 10, 24, 12);
const OLD = new Date(NOW - 11 * 60_000).toISOString();
const YOUNG = new Date(NOW - 9 * 60_000).toISOString();
const deployment = "https://soneca.test";
const whose: Whose = { instance: "i-k3v7q2m4xa" as InstanceId, epoch: 7 };
const hostname = "t-k3v7q2m4xa-7.machines.test";
const idOf = (n: number) => `00000000-0000-0000-0000-${String(n).padStart(12, "0")}`;

let tunnels: Row[];
let records: Row[];
let ingress: Map<string, unknown[]>;
let calls: string[];
/** Answers in place of the next call of a kind, `effect` or not; by `METHOD kind`. */
let faults: Map<string, { effect: boolean; status: number; times: number }>;

beforeEach(() => {
  [tunnels, records, ingress, calls, faults] = [[], [], new Map(), [], new Map()];
});

const answer = (result: unknown, more = {}) => Response.json({ success: true, errors: [], result, ...more });
const refusal = (status: number, code = 1) =>
  Response.json({ success: false, errors: [{ code, message: "no" }], result: null }, { status });
const listed = (rows: Row[]) => answer(rows, { result_info: { total_count: rows.length } });

function tunnelCall(method: string, [id, part]: string[], query: URLSearchParams, body: Row): Response {
  const at = tunnels.findIndex((one) => one.id === id);
  if (id === undefined) {
    if (method === "GET") return listed(tunnels.filter((one) => !query.has("name") || one.name === query.get("name")));
    if (tunnels.some((one) => one.name === body.name)) return refusal(409, 1013);
    const made = { ...body, id: idOf(tunnels.length + 100), created_at: new Date(NOW).toISOString() };
    tunnels.push(made);
    return answer({ ...made, token: `token-of-${made.id}` });
  }
  if (at < 0) return refusal(404, 1003);
  if (part === "token") return answer(`token-of-${id}`);
  if (part === "connections") return answer(null);
  if (part === "configurations") {
    if (method === "PUT") ingress.set(id, (body as unknown as { config: { ingress: [] } }).config.ingress);
    return answer({ config: ingress.has(id) ? { ingress: ingress.get(id) } : null });
  }
  tunnels.splice(at, 1);
  return answer({});
}

function recordCall(method: string, [id]: string[], query: URLSearchParams, body: Row): Response {
  const times = { created_on: new Date(NOW).toISOString(), modified_on: new Date(NOW).toISOString() };
  if (method === "GET") {
    const [name, prefix] = [query.get("name.exact"), query.get("comment.startswith") ?? ""];
    return listed(records.filter((one) => (!name || one.name === name) && String(one.comment).startsWith(prefix)));
  }
  if (method === "POST") {
    if (records.some((one) => one.name === body.name)) return refusal(400, 81053);
    records.push({ ...body, ...times, id: `r${records.length + 100}` });
    return answer({});
  }
  const at = records.findIndex((one) => one.id === id);
  if (at < 0) return refusal(404, 81044);
  if (method === "PATCH") Object.assign(records[at]!, body, { modified_on: times.modified_on });
  else records.splice(at, 1);
  return answer({});
}

const play: typeof fetch = async (input, init) => {
  const url = new URL(String(input));
  const method = init?.method ?? "GET";
  const [kind, ...rest] = url.pathname.split("/").slice(3);
  const call = `${method} ${kind === "cfd_tunnel" ? (rest[1] ?? "tunnel") : "record"}`;
  calls.push(call);
  const body = typeof init?.body === "string" ? JSON.parse(init.body) : {};
  const act = () => (kind === "cfd_tunnel" ? tunnelCall : recordCall)(method, rest, url.searchParams, body);
  const fault = faults.get(call);
  if (!fault || fault.times-- <= 0) return act();
  if (fault.effect) act();
  return refusal(fault.status);
};

const settings = tunnelSettings({
  CLOUDFLARE_ACCOUNT_ID: "acc",
  CLOUDFLARE_ZONE_ID: "zon",
  CLOUDFLARE_ZONE: "Machines.test",
  CLOUDFLARE_API_TOKEN: "token-of-the-account",
  CLOUDFLARE_API_URL: "https://cf.test",
  PUBLIC_URL: deployment,
})!;
const ours = createTunnels(settings, { fetch: play, now: () => NOW, sleep: async () => {}, random: () => 0 });
const open = (gatePort = 7070) => ours.openTunnel({ ...whose, gatePort });

const fault = (call: string, effect: boolean, status = 500, times = 1) => faults.set(call, { effect, status, times });
function addTunnel(n: number, of: Whose, change: object = {}): string {
  const metadata = { soneca: { ...of, deployment } };
  tunnels.push({ id: idOf(n), name: tunnelName(of), created_at: OLD, metadata, ...change });
  return idOf(n);
}
function addRecord(id: string, of: Whose, change: object = {}): void {
  records.push({
    id: `r${records.length}`,
    name: tunnelHostname(of, "machines.test"),
    type: "CNAME",
    content: `${id}.cfargotunnel.com`,
    proxied: true,
    comment: `soneca:${of.instance}:${of.epoch}`,
    created_on: OLD,
    modified_on: OLD,
    ...change,
  });
}

describe("settings", () => {
  it("are there only when all that is needed is there", () => {
    expect(settings).toMatchObject({ zone: "machines.test", apiUrl: "https://cf.test", edgeUrl: null, access: null });
    expect(tunnelSettings({ CLOUDFLARE_ACCOUNT_ID: "acc", CLOUDFLARE_ZONE: "z", PUBLIC_URL: deployment })).toBeNull();
    expect(tunnelSettings({})).toBeNull();
  });
});

describe("opening", () => {
  it("makes a tunnel with its ingress and its name", async () => {
    const opened = await open();
    const id = tunnels[0]!.id;
    expect(opened).toEqual({ ok: true, tunnel: { id, hostname, token: `token-of-${id}` } });
    expect(tunnels).toMatchObject([{ name: "soneca-i-k3v7q2m4xa-7", metadata: { soneca: { ...whose, deployment } } }]);
    expect(ingress.get(id)).toEqual([{ hostname, service: "http://127.0.0.1:7070" }, { service: "http_status:404" }]);
    expect(records).toMatchObject([
      { name: hostname, content: `${id}.cfargotunnel.com`, proxied: true, comment: "soneca:i-k3v7q2m4xa:7" },
    ]);
  });

  it("again gives the same and changes nothing", async () => {
    const first = await open();
    calls = [];
    expect(await open()).toEqual(first);
    expect(calls.filter((call) => !call.startsWith("GET"))).toEqual([]);
  });

  it("with another port writes the ingress", async () => {
    await open();
    await open(8080);
    expect(ingress.get(tunnels[0]!.id)).toMatchObject([{ service: "http://127.0.0.1:8080" }, {}]);
    expect(tunnels.length).toBe(1);
  });

  it.each([true, false])("a create without an answer makes one tunnel (had its effect: %s)", async (effect) => {
    fault("POST tunnel", effect);
    const first = await open();
    expect(first.ok).toBe(effect);
    expect(await open()).toMatchObject({ ok: true, tunnel: { hostname } });
    expect(tunnels.length).toBe(1);
    expect(calls.filter((call) => call === "POST tunnel").length).toBe(effect ? 1 : 2);
  });

  it("a record whose create had no answer is there once", async () => {
    fault("POST record", true);
    expect(await open()).toMatchObject({ ok: true });
    expect(records.length).toBe(1);
  });

  it("goes on from wherever it was cut off", async () => {
    for (const call of ["PUT configurations", "GET record", "POST record"]) {
      [tunnels, records, ingress] = [[], [], new Map()];
      fault(call, false, 500, 9);
      expect(await open()).toMatchObject({ ok: false, code: "unavailable" });
      faults.clear();
      expect(await open()).toMatchObject({ ok: true });
      expect([tunnels.length, records.length, ingress.size]).toEqual([1, 1, 1]);
    }
  });

  it("points its own record at its new tunnel", async () => {
    addRecord(idOf(1), whose);
    expect(await open()).toMatchObject({ ok: true });
    expect(records).toMatchObject([{ content: `${tunnels[0]!.id}.cfargotunnel.com` }]);
  });

  it("takes a record that points at its tunnel, whatever a person wrote beside it", async () => {
    addRecord(addTunnel(1, whose), whose, { comment: "the GPU box", proxied: false });
    expect(await open()).toMatchObject({ ok: true });
    expect(records).toMatchObject([{ proxied: true }]);
  });

  it.each([
    ["of another deployment", { metadata: { soneca: { ...whose, deployment: "https://other.test" } } }],
    ["of another epoch", { metadata: { soneca: { ...whose, epoch: 8, deployment } } }],
    ["without our metadata", { metadata: {} }],
    ["with none", { metadata: null }],
  ])("a tunnel of that name %s is not touched", async (_, change) => {
    addTunnel(1, whose, change);
    const before = structuredClone(tunnels);
    expect(await open()).toMatchObject({ ok: false, code: "conflict" });
    expect(await ours.closeTunnel(whose)).toMatchObject({ ok: false, code: "conflict" });
    expect([tunnels, records]).toEqual([before, []]);
    expect(calls.every((call) => call.startsWith("GET"))).toBe(true);
  });

  it.each([
    ["that points elsewhere", { content: "elsewhere.example.com" }],
    ["with another comment", { comment: "mine", content: `${idOf(9)}.cfargotunnel.com` }],
    ["of another type", { type: "A", content: "203.0.113.9" }],
  ])("a record of that name %s is not touched", async (_, change) => {
    addRecord(idOf(1), whose, change);
    const before = structuredClone(records);
    expect(await open()).toMatchObject({ ok: false, code: "conflict" });
    expect(await ours.closeTunnel(whose)).toMatchObject({ ok: true });
    expect(records).toEqual(before);
    expect(tunnels).toEqual([]);
  });
});

describe("closing", () => {
  it("ends connections first, then the name, then the tunnel", async () => {
    await open();
    calls = [];
    expect(await ours.closeTunnel(whose)).toEqual({ ok: true });
    expect(calls).toEqual(["GET tunnel", "DELETE connections", "GET record", "DELETE record", "DELETE tunnel"]);
    expect([tunnels, records]).toEqual([[], []]);
  });

  it("is done when there is nothing, and may be said again", async () => {
    expect(await ours.closeTunnel(whose)).toEqual({ ok: true });
    await open();
    await ours.closeTunnel(whose);
    expect(await ours.closeTunnel(whose)).toEqual({ ok: true });
  });

  it.each(["DELETE connections", "DELETE record", "DELETE tunnel"])("goes on after a lost %s", async (call) => {
    await open();
    fault(call, true, 500, 9);
    await ours.closeTunnel(whose);
    faults.clear();
    expect(await ours.closeTunnel(whose)).toEqual({ ok: true });
    expect([tunnels, records]).toEqual([[], []]);
  });

  it("a list that failed does not count as empty", async () => {
    await open();
    fault("GET tunnel", false, 500, 9);
    expect(await ours.closeTunnel(whose)).toMatchObject({ ok: false, code: "unavailable" });
    expect([tunnels.length, records.length]).toEqual([1, 1]);
  });
});

describe("the sweep", () => {
  const of = (epoch: number): Whose => ({ ...whose, epoch });

  it("closes what nobody wants any more, oldest first, and nothing else", async () => {
    addRecord(addTunnel(1, of(1)), of(1));
    addRecord(addTunnel(2, of(2)), of(2));
    addTunnel(3, of(3), { created_at: YOUNG });
    addTunnel(4, of(4), { metadata: { soneca: { ...of(4), deployment: "https://other.test" } } });
    addTunnel(5, of(5), { name: "soneca-something" });
    tunnels.push({ id: idOf(6), name: "office", created_at: OLD, metadata: null });
    const report = await ours.sweepTunnels(({ epoch }) => epoch === 2);
    expect(report).toEqual({ ok: true, seen: 3, closed: [of(1)], recordsDeleted: 0, left: 0, failed: [] });
    expect(tunnels.map((one) => one.id)).toEqual([2, 3, 4, 5, 6].map(idOf));
    expect(records).toMatchObject([{ comment: "soneca:i-k3v7q2m4xa:2" }]);
  });

  it("deletes records whose tunnel is gone", async () => {
    addRecord(idOf(1), of(1));
    addRecord(idOf(2), of(2));
    addRecord(idOf(3), of(3), { modified_on: YOUNG });
    addRecord(idOf(4), of(4), { content: "elsewhere.example.com" });
    addRecord(idOf(5), of(5), { name: "www.machines.test" });
    addRecord(addTunnel(6, of(6), { name: "office", metadata: null }), of(6));
    const report = await ours.sweepTunnels(({ epoch }) => epoch === 2);
    expect(report).toMatchObject({ ok: true, recordsDeleted: 1, failed: [] });
    expect(records.map((one) => one.comment)).toEqual([2, 3, 4, 5, 6].map((n) => `soneca:i-k3v7q2m4xa:${n}`));
  });

  it("does so much in one run, and the rest in the next", async () => {
    for (let n = 1; n <= 25; n++) addTunnel(n, of(n), { created_at: new Date(NOW - 3_600_000 - n).toISOString() });
    const report = await ours.sweepTunnels(() => false);
    expect(report).toMatchObject({ ok: true, left: 5 });
    expect(report.ok && report.closed[0]).toEqual(of(25));
    expect(tunnels.length).toBe(5);
    expect(await ours.sweepTunnels(() => false)).toMatchObject({ ok: true, left: 0 });
    expect(tunnels).toEqual([]);
  });

  it.each(["GET tunnel", "GET record"])("ends when %s fails, and has done nothing", async (call) => {
    addTunnel(1, of(1));
    fault(call, false, 500, 9);
    expect(await ours.sweepTunnels(() => false)).toMatchObject({ ok: false, code: "unavailable" });
    expect(tunnels.length).toBe(1);
  });

  it("keeps a tunnel whose owner does not answer, and tells of it", async () => {
    addTunnel(1, of(1));
    addTunnel(2, of(2));
    const report = await ours.sweepTunnels(async ({ epoch }) => {
      if (epoch === 1) throw new Error("the object is overloaded");
      return false;
    });
    expect(report).toMatchObject({ ok: true, closed: [of(2)], failed: [{ what: tunnelName(of(1)) }] });
    expect(tunnels.length).toBe(1);
  });

  it("goes on after one that cannot be closed", async () => {
    addTunnel(1, of(1), { created_at: new Date(NOW - 3_600_000).toISOString() });
    addTunnel(2, of(2));
    fault("DELETE connections", false, 403);
    const report = await ours.sweepTunnels(() => false);
    expect(report).toMatchObject({ ok: true, closed: [of(2)], failed: [{ what: tunnelName(of(1)), code: "refused" }] });
  });
});
