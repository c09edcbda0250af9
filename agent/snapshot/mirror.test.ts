import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { manifestObjectKey, partObjectKey, type SnapshotStore, StoreError } from "../../core/snapshot/store.ts";
import { testStore } from "../../core/snapshot/testing/store-conformance.ts";
import { describeWorkspace, type HardWorkspace, makeHardWorkspace, noise } from "../testing/workspace.ts";
import { openMirroredStore } from "./mirror.ts";
import { sha256Hex } from "./primitives.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";

testStore("mirrored", async () => {
  const dir = mkdtempSync(join(tmpdir(), "soneca-mirror-"));
  const { store } = openMirroredStore({
    main: openFolderStore(join(dir, "main")),
    mirror: openFolderStore(join(dir, "near")),
    onTrouble: (words) => {
      throw new Error(words);
    },
  });
  return { store, trustsCaller: true, close: async () => rmSync(dir, { recursive: true }) };
});

const id = "i-near";
const part = noise(200_000, 1);
const hash = sha256Hex(part);
const key = partObjectKey(id, hash);
let dir: string;
let main: SnapshotStore;
let near: SnapshotStore;
let asked: string[];
let trouble: string[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-mirror-"));
  main = counted("main", openFolderStore(join(dir, "main")));
  near = openFolderStore(join(dir, "near"));
  asked = [];
  trouble = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = (mirror: SnapshotStore, timeoutMs = 60_000) =>
  openMirroredStore({ main, mirror, timeoutMs, onTrouble: (words) => trouble.push(words) });

function counted(name: string, store: SnapshotStore): SnapshotStore {
  return {
    ...store,
    get: (at, range, call) => {
      asked.push(`${name} ${range ? "range" : "whole"}`);
      return store.get(at, range, call);
    },
  };
}

const fileOf = (store: string, name = hash) => join(dir, store, "i", id, "parts", name);
const fails = (code: ConstructorParameters<typeof StoreError>[0]) => async () => {
  throw new StoreError(code);
};
const hangs = () => new Promise<never>(() => {});

describe("one part", () => {
  test("a put lands in both, a get then costs the main store nothing", async () => {
    const { store, stats } = open(near);
    expect(await store.put(key, part, hash)).toBe("created");
    expect(readFileSync(fileOf("near")).equals(part)).toBe(true);
    expect(Buffer.from(await store.get(key)).equals(part)).toBe(true);
    expect([asked, stats.hits, stats.stored]).toEqual([[], 1, 1]);
  });

  test("what the mirror lacks is fetched once and left there", async () => {
    await main.put(key, part, hash);
    const { store, stats } = open(near);
    await store.get(key);
    await store.get(key);
    expect([asked, stats]).toEqual([
      ["main whole"],
      { hits: 1, hitBytes: part.length, misses: 1, damaged: 0, stored: 1 },
    ]);
  });

  test.each([
    ["other bytes of the same size", () => Buffer.from(part).fill(1)],
    ["a shorter part", () => part.subarray(0, 1000)],
    ["nothing", () => Buffer.alloc(0)],
  ])("%s in the mirror is replaced", async (_, spoilt) => {
    await open(near).store.put(key, part, hash);
    writeFileSync(fileOf("near"), spoilt());
    const { store, stats } = open(near);
    expect(Buffer.from(await store.get(key)).equals(part)).toBe(true);
    expect(readFileSync(fileOf("near")).equals(part)).toBe(true);
    expect(stats).toMatchObject({ hits: 0, damaged: 1, stored: 1 });
    expect(trouble).toEqual([]);
  });

  test("a range is trusted once; asked for again, the whole part is fetched and put right", async () => {
    await open(near).store.put(key, part, hash);
    writeFileSync(fileOf("near"), Buffer.from(part).fill(1));
    const { store } = open(near);
    const range = { offset: 100, length: 50 };
    expect(Buffer.from(await store.get(key, range))).toEqual(Buffer.alloc(50, 1));
    expect(Buffer.from(await store.get(key, range)).equals(part.subarray(100, 150))).toBe(true);
    expect(readFileSync(fileOf("near")).equals(part)).toBe(true);
    expect(asked).toEqual(["main whole"]);
  });

  test("a range that a cut-off part no longer has comes from main", async () => {
    await open(near).store.put(key, part, hash);
    writeFileSync(fileOf("near"), "short");
    const { store } = open(near);
    expect(Buffer.from(await store.get(key, { offset: 1000, length: 5 })).equals(part.subarray(1000, 1005))).toBe(true);
    expect(asked).toEqual(["main range"]);
  });

  test("damage in the main store is not copied, and not hidden", async () => {
    await main.put(key, part, hash);
    writeFileSync(fileOf("main"), Buffer.from(part).fill(2));
    const { store } = open(near);
    expect(Buffer.from(await store.get(key)).equals(part)).toBe(false);
    expect(await near.head(key)).toBeNull();
  });

  test("the main store's errors are errors", async () => {
    const { store } = open(near);
    await expect(store.get(key)).rejects.toMatchObject({ code: "object_not_found" });
    main.put = fails("store_full");
    await expect(open(near).store.put(key, part, hash)).rejects.toMatchObject({ code: "store_full" });
    expect(await near.head(key)).toBeNull();
  });

  test("manifests are the main store's alone", async () => {
    const manifest = manifestObjectKey(id, 1, 1);
    const bytes = Buffer.from("{}");
    const { store } = open(near);
    await store.put(manifest, bytes, sha256Hex(bytes));
    expect(await near.head(manifest)).toBeNull();
    await near.put(manifest, Buffer.from("other"), sha256Hex(Buffer.from("other")));
    expect(Buffer.from(await store.get(manifest)).toString()).toBe("{}");
    expect(asked).toEqual(["main whole"]);
  });
});

describe("a mirror that fails does not fail the run", () => {
  const brokenMirrors: [string, Partial<SnapshotStore>, RegExp][] = [
    ["full", { put: fails("store_full") }, /no space/],
    ["read-only", { put: fails("store_refused") }, /refused/],
    ["unreachable", { get: fails("store_unreachable"), put: fails("store_unreachable") }, /did not answer/],
    ["broken", { get: fails("store_failed"), put: fails("store_failed") }, /failed/],
    ["hanging", { get: hangs, put: hangs }, /in time/],
    [
      "buggy",
      {
        get: () => {
          throw new TypeError("a bug");
        },
      },
      /a bug/,
    ],
  ];
  test.each(brokenMirrors)("%s: told once", async (how, broken, words) => {
    const { store } = open({ ...near, ...broken }, how === "hanging" ? 20 : undefined);
    for (let n = 0; n < 8; n++) {
      const bytes = noise(1000 + n, n);
      const name = partObjectKey(id, sha256Hex(bytes));
      expect(await store.put(name, bytes, sha256Hex(bytes))).toBe("created");
      expect(Buffer.from(await store.get(name)).equals(bytes)).toBe(true);
    }
    expect(trouble).toEqual([expect.stringMatching(words)]);
  });

  test("after three hangs it is not waited for any more", async () => {
    let calls = 0;
    const slow = () => {
      calls++;
      return hangs();
    };
    await main.put(key, part, hash);
    const { store } = open({ ...near, get: slow, put: slow }, 20);
    for (let n = 0; n < 20; n++) await store.get(key);
    expect(calls).toBe(3);
  });

  test("one that takes no more is still asked", async () => {
    await near.put(key, part, hash);
    const other = noise(500, 9);
    const { store, stats } = open({ ...near, put: fails("store_full") });
    await store.put(partObjectKey(id, sha256Hex(other)), other, sha256Hex(other));
    await store.get(key);
    expect(stats.hits).toBe(1);
  });

  test("an abort does not wait for a mirror that hangs, and is no trouble of its", async () => {
    const abort = new AbortController();
    const { store } = open({ ...near, get: hangs }, 60_000);
    setTimeout(() => abort.abort(), 20);
    await expect(store.get(key, undefined, { signal: abort.signal })).rejects.toMatchObject({ code: "aborted" });
    expect(trouble).toEqual([]);
  });

  test("bytes that the caller uses again after a put do not reach a slow mirror", async () => {
    const { promise, release } = gate();
    const slow: SnapshotStore = {
      ...near,
      put: async (at, bytes, sha256) => {
        await promise;
        return near.put(at, bytes, sha256);
      },
    };
    const { store } = open(slow, 20);
    const bytes = Buffer.from(part);
    await store.put(key, bytes, hash);
    bytes.fill(0);
    release();
    await expect.poll(() => near.head(key)).not.toBeNull();
    expect(readFileSync(fileOf("near")).equals(part)).toBe(true);
  });
});

function gate(): { promise: Promise<void>; release: () => void } {
  let release = () => {};
  const promise = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { promise, release };
}

describe("whole runs", () => {
  let workspace: HardWorkspace;
  const at = (name: string) => join(dir, name);
  beforeEach(async () => {
    workspace = await makeHardWorkspace(at("work"));
  });
  afterEach(() => workspace.close());
  const take = (store: SnapshotStore) =>
    takeSnapshot({ root: at("work"), id, epoch: 1, seq: 1, store, stateDir: at("state") });
  const restore = (store: SnapshotStore) =>
    restoreSnapshot({ id, seq: 1, epoch: 1, root: at("back"), store, stateDir: at("state2") });

  test("a restore from a mirror with all parts takes none from main", async () => {
    expect(await take(open(near).store)).toMatchObject({ ok: true });
    asked = [];
    expect(await restore(open(near).store)).toMatchObject({ ok: true });
    expect(asked).toEqual(["main whole"]);
    expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));
  });

  test("a restore through a mirror of which every part is damaged is exact, and heals it", async () => {
    expect(await take(open(near).store)).toMatchObject({ ok: true });
    const folder = join(dir, "near", "i", id, "parts");
    for (const name of readdirSync(folder)) {
      const bytes = readFileSync(join(folder, name));
      for (let i = 30; i < bytes.length; i += 997) bytes[i] = bytes[i]! ^ 1;
      writeFileSync(join(folder, name), bytes);
    }
    const { store, stats } = open(near);
    expect(await restore(store)).toMatchObject({ ok: true });
    expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));
    expect(stats.damaged).toBeGreaterThan(0);
    const healed = readdirSync(folder).filter((name) => sha256Hex(readFileSync(join(folder, name))) === name);
    expect(healed.length).toBe(stats.stored);
    expect(trouble).toEqual([]);
  });
});
