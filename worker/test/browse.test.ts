/** Looking into snapshots without a machine: what the engine stored on Node comes out byte for byte, or not at all. */
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AnswerOf } from "../../core/protocol/api.ts";
import type { EntryView } from "../../core/protocol/browse.ts";
import { bytesOfPath, textOfPath } from "../../core/protocol/browse-path.ts";
import { fromHex, latin1FromBytes, toHex } from "../../core/snapshot/bytes.ts";
import { decodeFrame } from "../../core/snapshot/codec.ts";
import { manifestObjectKey, partObjectKey } from "../../core/snapshot/store.ts";
import vectors from "../../core/snapshot/vectors/planes.json";
import { decodeStored, zstd } from "../browse/frames.ts";
import { listChanges } from "../browse/list-changes.ts";
import { listFiles } from "../browse/list-files.ts";
import { changeManifest, codecsOf, inside, openAs } from "./browse-inside.ts";
import { api, newInstance, newUser, outcome, type Sleeper, send, sha256Hex, type TestUser } from "./helpers.ts";
import { storeSnapshots, type Truth, truthOf } from "./real-snapshots.ts";
import { endScene, setScene } from "./scene.ts";
import type { FakeVast } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;
let nest: Sleeper;
let truth: Truth[];

beforeAll(async () => {
  ({ vast, user } = await setScene());
  nest = await newInstance(vast, user);
  await storeSnapshots("nasty", nest.id);
  truth = await truthOf("nasty", 1);
}, 120_000);
afterAll(endScene);

const textOfHex = (hex: string) => textOfPath(latin1FromBytes(fromHex(hex)));
const filesPath = (query: Record<string, string | number>, seq = 1, id: string = nest.id) =>
  `/api/instances/${id}/snapshots/${seq}/files?${new URLSearchParams(query as Record<string, string>)}`;
const filePath = (path: string, seq = 1, id: string = nest.id) =>
  `/api/instances/${id}/snapshots/${seq}/file?${new URLSearchParams({ path })}`;
const token = () => ({ token: user.token });

async function list(query: Record<string, string | number>, seq = 1): Promise<AnswerOf<"listFiles">> {
  const { status, body } = await api<AnswerOf<"listFiles">>("GET", filesPath(query, seq), token());
  if (status !== 200) throw new Error(JSON.stringify(body));
  return body;
}

/** Every page, until there is no next one. */
async function listAll(query: Record<string, string | number>, seq = 1): Promise<EntryView[]> {
  const entries: EntryView[] = [];
  let after: string | null = null;
  do {
    const page: AnswerOf<"listFiles"> = await list({ ...query, ...(after === null ? {} : { after }) }, seq);
    entries.push(...page.entries);
    after = page.next_after;
  } while (after !== null);
  return entries;
}

async function hashOf(response: Response): Promise<{ sha256: string; bytes: number }> {
  const digest = new crypto.DigestStream("SHA-256");
  const writer = digest.getWriter();
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    await writer.write(chunk);
  }
  await writer.close();
  return { sha256: toHex(new Uint8Array(await digest.digest)), bytes };
}

const kinds = { file: "file", folder: "folder", link: "link", fifo: "fifo", device: "device" } as const;

describe("a listing", () => {
  it("of each folder has what the workspace had, folders first, each by name", async () => {
    const folders = truth.filter((one) => one.type === "folder");
    for (const folder of folders) {
      const path = textOfHex(folder.path);
      const prefix = folder.path === "" ? "" : `${folder.path}2f`;
      const own = truth.filter(
        (one) =>
          one.path !== "" &&
          one.path.startsWith(prefix) &&
          !latin1FromBytes(fromHex(one.path.slice(prefix.length))).includes("/"),
      );
      const entries = (await listAll({ path, limit: 1000 })).filter((one) => one.kind !== "other");
      const expected = own.map((one) => ({
        path: textOfHex(one.path),
        kind: kinds[one.type],
        size_bytes: one.type === "file" ? one.size : null,
        mode: one.mode,
        target: one.target === null ? null : textOfHex(one.target),
      }));
      const shown = entries.map(({ path, kind, size_bytes, mode, target }) => ({
        path,
        kind,
        size_bytes,
        mode,
        target,
      }));
      const byPath = (a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : 1);
      expect([...shown].sort(byPath), path).toEqual(expected.sort(byPath));
      const order = entries.map((one) => `${one.kind === "folder" ? 0 : 1} ${bytesOfPath(one.name)}`);
      expect(order, path).toEqual([...order].sort());
    }
  });

  it("counts what lies below a folder", async () => {
    const { entries } = await list({ path: "" });
    const crowd = entries.find((one) => one.path === "crowd")!;
    expect(crowd.entries).toBe(4000 + 90);
    const below = truth.filter((one) => textOfHex(one.path).startsWith("crowd/"));
    expect(crowd.total_bytes).toBe(below.reduce((sum, one) => sum + one.size, 0));
    expect(entries.find((one) => one.path === "empty")).toMatchObject({ entries: 0, total_bytes: 0 });
  });
});

describe("pages", () => {
  it("of a folder of thousands are as long as asked, and together the whole", async () => {
    const seen: EntryView[] = [];
    let after: string | null = null;
    let pages = 0;
    do {
      const page: AnswerOf<"listFiles"> = await list({
        path: "crowd",
        limit: 300,
        ...(after === null ? {} : { after }),
      });
      if (page.next_after !== null) expect(page.entries.length).toBe(300);
      seen.push(...page.entries);
      after = page.next_after;
      pages++;
    } while (after !== null);
    expect(pages).toBe(14);
    const names = seen.map((one) => one.name);
    const files = Array.from({ length: 4000 }, (_, i) => `file-${i}`).sort();
    const folders = Array.from({ length: 30 }, (_, i) => `sub-${i}`).sort();
    expect(names).toEqual([...folders, ...files]);
  });

  it("that end with the last folder are followed by the rest", async () => {
    const { entries, next_after } = await list({ path: "crowd", limit: 30 });
    expect(entries.map((one) => one.kind)).toEqual(Array(30).fill("folder"));
    const rest = await list({ path: "crowd", limit: 2, after: next_after! });
    expect(rest.entries.map((one) => one.name)).toEqual(["file-0", "file-1"]);
  });

  it("of one entry each lose none and show none twice", async () => {
    const whole = await listAll({ path: "" });
    expect(await listAll({ path: "", limit: 1 })).toEqual(whole);
    const found = await listAll({ path: "", search: "e", limit: 1000 });
    expect((await listAll({ path: "a", search: "e", limit: 1 })).length).toBeGreaterThan(1);
    expect((await listAll({ path: "", search: "e", limit: 333 })).length).toBe(found.length);
  });

  it.each(["nonsense", "folders/%zz", "files/x", "rest/a/b"])("do not begin at %s", async (after) => {
    expect(await outcome("GET", filesPath({ path: "", after }), token())).toBe("400 invalid_input");
  });
});

describe("a search", () => {
  const found = async (search: string, path = "") => (await listAll({ path, search })).map((one) => one.path);

  it("finds text in paths, whatever its case, below one folder or everywhere", async () => {
    expect(await found("FILE-77", "crowd")).toEqual([
      "crowd/file-77",
      ...Array.from({ length: 10 }, (_, i) => `crowd/file-77${i}`),
    ]);
    expect(await found("crowd/file-3999")).toEqual(["crowd/file-3999"]);
    expect(await found("crowd/file-3999", "many")).toEqual([]);
    expect(await found("ÜNÏCÖ")).toEqual(["ünïcödé-日本"]);
  });

  it("finds what the API spells otherwise, in both spellings", async () => {
    expect(await found("100% OF")).toEqual(["100%25 of it"]);
    expect(await found("100%25")).toEqual(["100%25 of it"]);
    expect(await found("%ff%fe")).toEqual(["%FF%FE%80 "]);
  });
});

describe("a file", () => {
  it("comes out byte for byte, whatever its chunks were coded as", { timeout: 300_000 }, async () => {
    const files = truth.filter((one) => one.type === "file");
    const some = files.filter((one, i) => !textOfHex(one.path).startsWith("crowd/") || i % 400 === 0);
    for (const { path, size, sha256 } of some) {
      const response = await send("GET", filePath(textOfHex(path)), token());
      expect(response.status, textOfHex(path)).toBe(200);
      expect(response.headers.get("content-length"), textOfHex(path)).toBe(String(size));
      expect(await hashOf(response), textOfHex(path)).toEqual({ sha256, bytes: size });
    }
    const codecs = await codecsOf(nest.id);
    expect(codecs).toMatchObject({
      raw: expect.any(Number),
      zstd: expect.any(Number),
      planes: expect.any(Number),
      zero: expect.any(Number),
      based: expect.any(Number),
    });
  });

  it("of seventy megabytes takes few requests to the store", async () => {
    const { requests, parts } = await inside(nest.id, 1, "seventy");
    expect(parts).toBeGreaterThan(1);
    expect(requests).toBeLessThan(40);
  });

  it("is a download, never a page", async () => {
    const { headers } = await send("HEAD", filePath("ünïcödé-日本"), token());
    expect(headers.get("content-disposition")).toBe(
      "attachment; filename=\"_n_c_d_-__\"; filename*=UTF-8''%C3%BCn%C3%AFc%C3%B6d%C3%A9-%E6%97%A5%E6%9C%AC",
    );
    expect(headers.get("content-type")).toBe("application/octet-stream");
    expect(headers.get("content-length")).toBe("10");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("cache-control")).toBe("no-store");
    const odd = await send("GET", filePath('new\nline "quoted" \\ back'), token());
    expect(odd.headers.get("content-disposition")).toBe(
      "attachment; filename=\"new_line _quoted_ _ back\"; filename*=UTF-8''new%0Aline%20%22quoted%22%20%5C%20back",
    );
    expect((await odd.arrayBuffer()).byteLength).toBe("odd name".length);
    const raw = await send("GET", filePath("%FF%FE%80 "), token());
    expect(raw.headers.get("content-disposition")).toContain("filename*=UTF-8''%25FF%25FE%2580%20");
    expect((await raw.arrayBuffer()).byteLength).toBe("name that is not utf-8".length);
  });

  it.each(["a", "link", "fifo", "", "nowhere", "a/x/y", "A/X", "crowd/"])("%j is none", async (path) => {
    expect(await outcome("GET", filePath(path), token())).toMatch(
      path === "" || path.endsWith("/") ? "400 invalid_input" : "404 object_not_found",
    );
  });

  it.each(["../a/x", "/a/x", "a/../a/x", "./a/x", "a//x", "a\0x", "a%00x", "%2e%2e/x", "%2Fa", "a%", "%zz", ".."])(
    "the path %j leads nowhere",
    async (path) => {
      expect(await outcome("GET", filePath(path), token())).toBe("400 invalid_input");
      expect(await outcome("GET", filesPath({ path }), token())).toBe("400 invalid_input");
    },
  );
});

it("every frame of planes that there may be is decoded here as elsewhere", async () => {
  const info = (plainBytes: number) => ({ offset: 0, storedBytes: 0, plainBytes, bases: [], chunks: null as never });
  for (const { name, frame, plainBytes, plainSha256, reference } of vectors as {
    name: string;
    frame: string;
    plainBytes: number;
    plainSha256: string;
    reference?: string;
  }[]) {
    const bytes = fromHex(frame);
    const plain = reference
      ? await decodeFrame(bytes, plainBytes, zstd, fromHex(reference))
      : await decodeStored(bytes, info(plainBytes));
    expect(await sha256Hex(plain as Uint8Array<ArrayBuffer>), name).toBe(plainSha256);
  }
});

describe("changes", () => {
  const changesOf = async (seq: number, since: number, more: Record<string, string> = {}) => {
    const path = `/api/instances/${nest.id}/snapshots/${seq}/changes?${new URLSearchParams({ since: String(since), ...more })}`;
    return (await api<AnswerOf<"listChanges">>("GET", path, token())).body;
  };
  const expectedOf = async (since: number, seq: number) => {
    const [before, after] = await Promise.all([truthOf("nasty", since), truthOf("nasty", seq)]);
    const old = new Map(before.map((one) => [one.path, one]));
    const now = new Map(after.map((one) => [one.path, one]));
    const size = (one: Truth | undefined) => (one?.type === "file" ? one.size : null);
    const same = (a: Truth, b: Truth) => JSON.stringify(a) === JSON.stringify(b);
    return [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((path) => {
      const [a, b] = [old.get(path), now.get(path)];
      if (a && b && same(a, b)) return [];
      const what = !a ? ("added" as const) : !b ? ("removed" as const) : ("changed" as const);
      const kind = kinds[(b ?? a)!.type];
      return [{ path: textOfHex(path), what, kind, size_before_bytes: size(a), size_after_bytes: size(b) }];
    });
  };

  it("are what the workspaces differed in, in both directions, and none of a snapshot to itself", async () => {
    const expected = await expectedOf(1, 2);
    expect(expected.length).toBeGreaterThan(6);
    const answer = await changesOf(2, 1);
    expect(answer.changes).toEqual(expected);
    expect(answer).toMatchObject({ snapshot_id: `${nest.id}@2`, since_snapshot_id: `${nest.id}@1`, next_after: null });
    const count = (what: string) => expected.filter((one) => one.what === what).length;
    expect(answer.totals).toEqual({ added: count("added"), removed: count("removed"), changed: count("changed") });
    expect((await changesOf(1, 2)).changes).toEqual(await expectedOf(2, 1));
    expect(await changesOf(1, 1)).toMatchObject({ changes: [], totals: { added: 0, removed: 0, changed: 0 } });
  });

  it("come in pages, each of which knows how many there are in all", async () => {
    const { changes, totals } = await changesOf(2, 1);
    const paged: unknown[] = [];
    let after: string | null = null;
    do {
      const page: AnswerOf<"listChanges"> = await changesOf(2, 1, { limit: "2", ...(after === null ? {} : { after }) });
      expect(page.totals).toEqual(totals);
      paged.push(...page.changes);
      after = page.next_after;
    } while (after !== null);
    expect(paged).toEqual(changes);
  });
});

describe("a request that may read no more", () => {
  /** As if all but what is kept for the end were spent: a few groups of entries are read, whatever is left. */
  async function spent(seq: number) {
    const snapshot = await openAs(nest.id, seq);
    snapshot.parts.requests.left = 100;
    return snapshot.tree;
  }

  /** Pages of one request each, and how many there were. */
  async function eachPage<T>(ask: (after: string | undefined) => Promise<{ items: T[]; next: string | null }>) {
    const all: T[] = [];
    let pages = 0;
    for (let after: string | null | undefined; after !== null; pages++) {
      const page: { items: T[]; next: string | null } = await ask(after);
      all.push(...page.items);
      after = page.next;
    }
    return { all, pages };
  }

  it("answers with short pages, which together are the whole", async () => {
    const queries: { path: string; search?: string }[] = [
      { path: "crowd" },
      { path: "", search: "file-39" },
      { path: "", search: "nowhere at all" },
    ];
    for (const query of queries) {
      const whole = await listAll({ ...query, limit: 1000 } as Record<string, string | number>);
      const { all, pages } = await eachPage(async (after) => {
        const page = await listFiles(await spent(1), { ...query, after, limit: 1000 });
        return { items: page.entries, next: page.next_after };
      });
      expect(pages, JSON.stringify(query)).toBeGreaterThan(1);
      expect(all.map((one) => one.path)).toEqual(whole.map((one) => one.path));
    }
  });

  it("compares as far as it gets, and says no totals that it does not know", async () => {
    const path = `/api/instances/${nest.id}/snapshots/2/changes?since=1&limit=1000`;
    const whole = (await api<AnswerOf<"listChanges">>("GET", path, token())).body;
    const seen: unknown[] = [];
    const { all, pages } = await eachPage(async (after) => {
      const page = await listChanges(await spent(1), await spent(2), { since: 1, after, limit: 1000 });
      seen.push(page.totals);
      return { items: page.changes, next: page.next_after };
    });
    expect(pages).toBeGreaterThan(1);
    expect(all).toEqual(whole.changes);
    expect([seen[0], seen.at(-1)]).toEqual([null, whole.totals]);
  });

  it("does not count what lies below a folder", async () => {
    const { entries } = await listFiles(await spent(1), { path: "", limit: 200 });
    expect(entries.find((one) => one.path === "crowd")).toMatchObject({ entries: null, total_bytes: null });
  });
});

describe("who asks", () => {
  it("sees nothing of another's instance, and no snapshot that is not there", async () => {
    const bea = await newUser("Bea");
    for (const path of [
      filesPath({ path: "" }),
      filePath("one"),
      `/api/instances/${nest.id}/snapshots/2/changes?since=1`,
    ]) {
      expect(await outcome("GET", path, { token: bea.token })).toBe("404 instance_not_found");
      expect(await outcome("GET", path)).toBe("401 unauthenticated");
    }
    for (const seq of ["3", "0", "x", "1e0", "-1", "99999999", "100000000", "00000001"])
      expect(await outcome("GET", `/api/instances/${nest.id}/snapshots/${seq}/files`, token()), seq).toBe(
        "404 snapshot_not_found",
      );
    expect(await outcome("GET", `/api/instances/${nest.id}/snapshots/2/changes?since=3`, token())).toBe(
      "404 snapshot_not_found",
    );
  });

  it("is told that an encrypted snapshot cannot be read here", async () => {
    await changeManifest(nest.id, 2, 7, { encryption: { kdf: "scrypt", wrappedKey: "00", keyId: "00" } });
    for (const path of [
      filesPath({ path: "" }, 7),
      filePath("one", 7),
      `/api/instances/${nest.id}/snapshots/2/changes?since=7`,
    ])
      expect(await outcome("GET", path, token())).toBe("409 snapshot_encrypted");
  });
});

describe("damage", { timeout: 180_000 }, () => {
  let intact: string;
  beforeAll(async () => {
    intact = await damaged(async () => {});
  });

  /** An instance of its own, so that nothing of what was read before is known of it. */
  async function damaged(change: (id: string) => Promise<void>, from: "small" | "nasty" = "small"): Promise<string> {
    const { id } = await newInstance(vast, user);
    await storeSnapshots(from, id);
    await change(id);
    return id;
  }

  /** What of a download came before it broke; null where it did not. */
  async function broken(path: string, id: string): Promise<Uint8Array | null> {
    const response = await send("GET", filePath(path, 90, id), token());
    expect(response.status).toBe(200);
    const pieces: Uint8Array[] = [];
    try {
      for await (const piece of response.body!) pieces.push(piece);
      return null;
    } catch {
      return new Uint8Array(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer());
    }
  }

  const whole = async (path: string) =>
    new Uint8Array(await (await send("GET", filePath(path, 90, intact), token())).arrayBuffer());

  async function flip(key: string, at: number): Promise<void> {
    const bytes = new Uint8Array(await (await env.SNAPSHOTS.get(key))!.arrayBuffer());
    bytes[at]! ^= 1;
    await env.SNAPSHOTS.put(key, bytes);
  }

  it("of one byte breaks the download before any wrong byte is sent", async () => {
    const { places } = await inside(intact, 90, "pieces");
    const exact = await whole("pieces");
    for (const n of [1, Math.floor(places.length / 3), places.length - 1]) {
      const { part, offset, storedBytes, at } = places[n]!;
      const id = await damaged((own) => flip(partObjectKey(own, part), offset + storedBytes - 1));
      const got = await broken("pieces", id);
      expect(got, `chunk ${n}`).not.toBeNull();
      expect(got!.length).toBeLessThanOrEqual(at);
      expect(got!.every((byte, i) => byte === exact[i])).toBe(true);
    }
  });

  it("of the first chunk, of a tree, of an index or of a manifest is said before anything is sent", async () => {
    const { places, treePart, segmentPart } = await inside(intact, 90, "pieces");
    const { part, offset, storedBytes } = places[0]!;
    const first = await damaged((id) => flip(partObjectKey(id, part), offset + storedBytes - 1));
    expect(await outcome("GET", filePath("pieces", 90, first), token())).toBe("409 snapshot_damaged");
    expect(await outcome("GET", filePath("kept", 90, first), token())).toBe("200");
    const tree = await damaged((id) => flip(partObjectKey(id, treePart.key), treePart.offset + 20));
    expect(await outcome("GET", filesPath({ path: "" }, 90, tree), token())).toBe("409 snapshot_damaged");
    const index = await damaged((id) => flip(partObjectKey(id, segmentPart), 40));
    expect(await outcome("GET", filesPath({ path: "" }, 90, index), token())).toBe("409 snapshot_damaged");
    const manifest = await damaged(async (id) => void (await env.SNAPSHOTS.put(manifestObjectKey(id, 90, 1), "{}")));
    expect(await outcome("GET", filesPath({ path: "" }, 90, manifest), token())).toBe("409 snapshot_damaged");
    const cut = await damaged(async (id) => {
      const key = partObjectKey(id, part);
      const bytes = await (await env.SNAPSHOTS.get(key))!.arrayBuffer();
      await env.SNAPSHOTS.put(key, bytes.slice(0, -1));
    });
    expect(await outcome("GET", filePath("pieces", 90, cut), token())).toBe("409 snapshot_damaged");
    const lost = await damaged((id) => env.SNAPSHOTS.delete(partObjectKey(id, part)));
    expect(await outcome("GET", filePath("pieces", 90, lost), token())).toBe("409 snapshot_damaged");
  });

  it("is none where retention took the snapshot meanwhile, but the download breaks all the same", async () => {
    const id = await damaged(async () => {}, "nasty");
    const response = await send("GET", filePath("seventy", 1, id), token());
    const reader = response.body!.getReader();
    expect((await reader.read()).done).toBe(false);
    const { objects } = await env.SNAPSHOTS.list({ prefix: `i/${id}/` });
    await env.SNAPSHOTS.delete(objects.map((one) => one.key));
    await expect(
      (async () => {
        while (!(await reader.read()).done);
      })(),
    ).rejects.toThrow();
    expect(await outcome("GET", filePath("seventy", 1, id), token())).toBe("404 snapshot_not_found");
  });
});
