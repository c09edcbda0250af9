/** The store routes: what an agent may write, read and list, and what is left when it is refused. */
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { agentStorePath, maxPartBytes } from "../../core/protocol/agent.ts";
import type { SnapshotView } from "../../core/protocol/views.ts";
import { formatManifest, maxManifestBytes } from "../../core/snapshot/manifest.ts";
import { manifestKey } from "../../core/snapshot/store.ts";
import { signAgentToken } from "../tokens.ts";
import {
  advance,
  api,
  type FakeAgent,
  manifestOf,
  newUser,
  outcome,
  runningInstance,
  type Sleeper,
  send,
  sha256Hex,
  startClock,
  type TestUser,
} from "./helpers.ts";
import { FakeVast, vastErrors } from "./vast.ts";

const vast = new FakeVast();
let user: TestUser;
let nest: Sleeper;
let agent: FakeAgent;
let stranger: FakeAgent;
const bytes = crypto.getRandomValues(new Uint8Array(1000));
let key: string;

beforeAll(async () => {
  startClock();
  vast.install();
  user = await newUser();
  vast.once("create", vastErrors.offerGone);
  ({ nest, agent } = await runningInstance(vast, user));
  advance(10_000);
  stranger = (await runningInstance(vast, user)).agent;
  key = await sha256Hex(bytes);
});

afterAll(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const at = (name: string) => `${agentStorePath}/${name}`;
const put = (name: string, raw: BodyInit, headers = {}, token = agent.token) =>
  outcome("PUT", at(name), { token, raw, headers });
const get = (name: string, headers = {}, token = agent.token) => send("GET", at(name), { token, headers });
const stored = async (prefix = "") => (await env.SNAPSHOTS.list({ prefix: `i/${nest.id}/${prefix}` })).objects.length;
const chunked = () => new Response(bytes).body!.pipeThrough(new TransformStream());

describe("parts", () => {
  it("are refused, and nothing is stored, when they are not what their name says", async () => {
    const other = await sha256Hex("other");
    expect(await put(`parts/${other}`, bytes)).toBe("422 part_hash_mismatch");
    expect(await put(`parts/${key}`, bytes.slice(1))).toBe("422 part_hash_mismatch");
    expect(await put(`parts/${key}`, "")).toBe("400 invalid_input");
    expect(await put(`parts/${key}`, chunked())).toBe("411 length_required");
    expect(await stored()).toBe(0);
  });

  it("are refused when they are too large, before a byte is read", async () => {
    let pulled = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(65_536));
      },
    });
    const headers = { "content-length": String(maxPartBytes + 1) };
    expect(await put(`parts/${key}`, body, headers)).toBe("413 payload_too_large");
    expect(pulled).toBeLessThan(4);
    for (const length of ["-1", "1e3", "abc", "1000, 1000"]) {
      const said = await put(`parts/${key}`, chunked(), { "content-length": length });
      expect(said, length).toBe("411 length_required");
    }
    expect(await stored()).toBe(0);
  });

  it.each([
    "parts/abc",
    `parts/${"g".repeat(64)}`,
    `parts/${"A".repeat(64)}`,
    `parts/${"a".repeat(65)}`,
    `parts/${"a".repeat(64)}%0a`,
    `parts/..%2f..%2fi-aaaaaaaaaa%2fparts%2f${"a".repeat(64)}`,
  ])("are refused under the name %s", async (name) => {
    expect(await put(name, bytes)).toBe("400 invalid_input");
    expect((await get(name)).status).toBe(400);
    expect(await stored()).toBe(0);
  });

  it.each([`${"a".repeat(64)}`, "parts/", "parts", "parts/a/b", "parts/%2e%2e", "other/a", "../health"])(
    "%s is no address",
    async (name) => {
      expect((await send("PUT", at(name), { token: agent.token, raw: bytes })).status).toBeGreaterThanOrEqual(404);
      expect(await stored()).toBe(0);
    },
  );

  it("are written once and may be sent again", async () => {
    const first = await api("PUT", at(`parts/${key}`), { token: agent.token, raw: bytes });
    expect([first.status, first.body]).toEqual([201, { created: true }]);
    const uploaded = (await env.SNAPSHOTS.head(`i/${nest.id}/parts/${key}`))?.uploaded;
    const again = await api("PUT", at(`parts/${key}`), { token: agent.token, raw: bytes });
    expect([again.status, again.body]).toEqual([200, { created: false }]);
    expect(await put(`parts/${key}`, bytes.slice(0, 500))).toBe("422 part_hash_mismatch");
    const object = await env.SNAPSHOTS.head(`i/${nest.id}/parts/${key}`);
    expect([object?.size, object?.uploaded]).toEqual([1000, uploaded]);
  });

  it("come back whole, in part, or as a head", async () => {
    const whole = await get(`parts/${key}`);
    expect(whole.status).toBe(200);
    expect(whole.headers.get("content-length")).toBe("1000");
    expect(whole.headers.get("accept-ranges")).toBe("bytes");
    expect(new Uint8Array(await whole.arrayBuffer())).toEqual(bytes);

    const head = await send("HEAD", at(`parts/${key}`), { token: agent.token });
    expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([200, "1000", ""]);
    expect((await send("HEAD", at(`parts/${"0".repeat(64)}`), { token: agent.token })).status).toBe(404);
    expect(await outcome("GET", at(`parts/${"0".repeat(64)}`), { token: agent.token })).toBe("404 object_not_found");
  });

  it.each([
    ["bytes=0-9", 0, 10],
    ["bytes=0-0", 0, 1],
    ["bytes=500-599", 500, 100],
    ["bytes=999-", 999, 1],
    ["bytes=-10", 990, 10],
    ["bytes=-5000", 0, 1000],
    ["bytes=990-5000", 990, 10],
  ])("answer the range %s", async (range, offset, length) => {
    const answer = await get(`parts/${key}`, { range });
    expect(answer.status).toBe(206);
    expect(answer.headers.get("content-range")).toBe(`bytes ${offset}-${offset + length - 1}/1000`);
    expect(answer.headers.get("content-length")).toBe(String(length));
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(bytes.slice(offset, offset + length));
  });

  it.each(["bytes=1000-", "bytes=5000-6000", "bytes=1000-1001", "bytes=-0"])(
    "refuse the range %s, which holds nothing",
    async (range) => {
      const said = await outcome("GET", at(`parts/${key}`), { token: agent.token, headers: { range } });
      expect(said).toBe("416 range_not_satisfiable");
    },
  );

  it.each(["bytes=abc", "lines=1-2", "bytes=9-1", "bytes=0-1,5-6"])(
    "give everything for the range %s",
    async (range) => {
      const answer = await get(`parts/${key}`, { range });
      expect(answer.status).toBe(200);
      expect(new Uint8Array(await answer.arrayBuffer())).toEqual(bytes);
    },
  );
});

describe("manifests", () => {
  const manifest = (seq: number, change = {}) =>
    manifestOf(nest.id, agent.epoch, seq, [{ key, bytes: 1000 }], 0, change);
  const name = (seq: number, epoch = agent.epoch) => `manifests/${manifestKey(seq, epoch)}`;

  it("are written once: the same bytes again are welcome, others are not", async () => {
    const text = formatManifest(manifest(1));
    expect(await put(name(1), text)).toBe("201");
    expect(await put(name(1), text)).toBe("200");
    expect(await put(name(1), formatManifest(manifest(1, { digest: "0".repeat(64) })))).toBe("409 manifest_exists");
    expect(await (await get(name(1))).text()).toBe(text);
  });

  it.each([
    ["another instance", { instance: "i-aaaaaaaaaa" }, 2, undefined],
    ["another epoch in it", { epoch: 7 }, 2, undefined],
    ["another number in it", { seq: 3 }, 2, undefined],
    ["another epoch in its name", {}, 2, 1],
    ["an older epoch in both", { epoch: 1 }, 2, 1],
  ])("are refused with %s", async (_what, change, seq, epoch) => {
    const before = await stored("manifests/");
    expect(await put(name(seq, epoch), JSON.stringify(manifest(seq, change)))).toBe("422 manifest_invalid");
    expect(await stored("manifests/")).toBe(before);
  });

  it.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["another version", '{"v":2}'],
    ["no parts", "NO_PARTS"],
    ["a part twice", "TWICE"],
    ["a field too many", "EXTRA"],
  ])("are refused when they hold %s", async (_what, text) => {
    const part = { key, bytes: 1000 };
    const made: Record<string, object> = {
      NO_PARTS: { ...manifest(2), parts: [] },
      TWICE: { ...manifest(2), parts: [part, part] },
      EXTRA: { ...manifest(2), extra: 1 },
    };
    const raw = made[text] ? JSON.stringify(made[text]) : text;
    expect(await put(name(2), raw)).toBe("422 manifest_invalid");
    expect((await get(name(2))).status).toBe(404);
  });

  it("are refused when they are too large, of unknown length, or not the bytes that were announced", async () => {
    expect(await put(name(2), " ".repeat(maxManifestBytes + 1))).toBe("413 payload_too_large");
    expect(await put(name(2), chunked())).toBe("411 length_required");
    const announced = { "x-soneca-sha256": "0".repeat(64) };
    expect(await put(name(2), formatManifest(manifest(2)), announced)).toBe("422 part_hash_mismatch");
    for (const bad of ["manifests/1-1", "manifests/00000000-1", "manifests/00000001-0", "manifests/..%2fparts"]) {
      expect(await put(bad, formatManifest(manifest(2))), bad).toBe("400 invalid_input");
    }
    expect((await get(name(2))).status).toBe(404);
  });

  it("are shown to their owner as snapshots, newest first; one that cannot be read is said to be damaged", async () => {
    await put(name(5), formatManifest(manifest(5)));
    await env.SNAPSHOTS.put(`i/${nest.id}/manifests/00000006-2`, "not a manifest");
    const { body } = await api<{ snapshots: SnapshotView[] }>("GET", `${nest.path}/snapshots`, { token: user.token });
    expect(body.snapshots.map((one) => [one.seq, one.parts, one.proved_at, one.damaged !== null])).toEqual([
      [6, null, null, true],
      [5, 1, null, false],
      [1, 1, null, false],
    ]);
    await env.SNAPSHOTS.delete(`i/${nest.id}/manifests/00000006-2`);
  });
});

describe("other agents", () => {
  it("of another instance read, list and write only their own", async () => {
    expect((await get(`parts/${key}`, {}, stranger.token)).status).toBe(404);
    expect((await get(`manifests/${manifestKey(1, agent.epoch)}`, {}, stranger.token)).status).toBe(404);
    const list = await api<{ objects: unknown[] }>("GET", agentStorePath, { token: stranger.token });
    expect(list.body.objects).toEqual([]);
    const before = await stored();
    expect(await put(`parts/${key}`, bytes, {}, stranger.token)).toBe("201");
    expect(await stored()).toBe(before);
    expect(await env.SNAPSHOTS.head(`i/${stranger.instance}/parts/${key}`)).not.toBeNull();
  });

  it("of an older epoch, of an unknown instance or without a token are kept out of all of it", async () => {
    const old = await signAgentToken(env.AGENT_JWT_SECRET, nest.id, agent.epoch - 1, Date.now());
    const unknown = await signAgentToken(env.AGENT_JWT_SECRET, "i-zzzzzzzzzz" as never, 1, Date.now());
    const before = await stored();
    const fresh = new Uint8Array([1, 2, 3]);
    const calls: [string, string, BodyInit?][] = [
      ["PUT", `parts/${await sha256Hex(fresh)}`, fresh],
      ["PUT", `manifests/${manifestKey(9, agent.epoch)}`, "{}"],
      ["GET", `parts/${key}`],
      ["GET", `manifests/${manifestKey(1, agent.epoch)}`],
      ["GET", "?prefix=parts/"],
    ];
    for (const [method, name, raw] of calls) {
      const path = name.startsWith("?") ? agentStorePath + name : at(name);
      expect(await outcome(method, path, { token: old, raw }), `${method} ${name}`).toBe("403 epoch_fenced");
      expect(await outcome(method, path, { token: unknown, raw }), name).toBe("404 instance_not_found");
      expect(await outcome(method, path, { raw }), name).toBe("401 unauthenticated");
      expect(await outcome(method, path, { token: user.token, raw }), name).toBe("403 forbidden");
    }
    expect(await stored()).toBe(before);
  });
});

describe("the list", () => {
  interface Page {
    objects: { key: string; bytes: number; sha256: string | null }[];
    cursor: string | null;
  }
  const list = (query: string) => api<Page>("GET", `${agentStorePath}?${query}`, { token: agent.token });

  it("names objects without the instance's own front, with size and hash", async () => {
    const { body } = await list("prefix=parts/");
    expect(body).toEqual({ objects: [{ key: `parts/${key}`, bytes: 1000, sha256: key }], cursor: null });
    const manifests = await list("prefix=manifests/");
    expect(manifests.body.objects.map((one) => one.key)).toEqual(["manifests/00000001-2", "manifests/00000005-2"]);
    expect((await list("")).body.objects.length).toBe(3);
    expect((await list(`prefix=parts/${key.slice(0, 2)}`)).body.objects.length).toBe(1);
  });

  it("comes in pages that together hold each object once", async () => {
    const keys = Array.from({ length: 1001 }, (_, i) => `${i}`.padStart(64, "0"));
    for (let i = 0; i < keys.length; i += 100) {
      const some = keys.slice(i, i + 100);
      await Promise.all(some.map((one) => env.SNAPSHOTS.put(`i/${nest.id}/parts/${one}`, "x")));
    }
    const first = await list("prefix=parts/0");
    expect(first.body.objects.length).toBe(1000);
    expect(first.body.cursor).not.toBeNull();
    const second = await list(`prefix=parts/0&cursor=${encodeURIComponent(first.body.cursor!)}`);
    expect(second.body.cursor).toBeNull();
    const all = [...first.body.objects, ...second.body.objects].map((one) => one.key);
    expect(new Set(all).size).toBe(all.length);
    expect(keys.filter((one) => !all.includes(`parts/${one}`))).toEqual([]);
  });

  it.each(["prefix=../", "prefix=i/", "prefix=parts/XYZ", "prefix=other/", "prefix=parts/.."])(
    "refuses %s",
    async (query) => {
      expect(await outcome("GET", `${agentStorePath}?${query}`, { token: agent.token })).toBe("400 invalid_input");
    },
  );
});
