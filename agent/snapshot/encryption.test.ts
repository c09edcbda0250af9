/** Encryption through the whole engine: what comes back, what shows in the store, and what happens without the key. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { headerBytes } from "../../core/snapshot/frame-table.ts";
import { type Manifest, parseManifest } from "../../core/snapshot/manifest.ts";
import { footerBytes } from "../../core/snapshot/part.ts";
import { instancePrefix, manifestObjectKey, type SnapshotStore } from "../../core/snapshot/store.ts";
import { describeWorkspace, makeHardWorkspace, noise } from "../testing/workspace.ts";
import { SnapshotBrowser } from "./browse.ts";
import { newDataKey, wrapDataKey } from "./keys.ts";
import { nodePrimitives } from "./primitives.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";
import type { TakeOptions } from "./types.ts";
import { verifySnapshot } from "./verify.ts";

const id = "i-secret";
const dataKey = newDataKey();
let encryption: NonNullable<TakeOptions["encryption"]>;
let dir: string;
let store: SnapshotStore;
const unlock = async () => dataKey;
const at = (name: string) => join(dir, name);

const take = (seq: number, more: Partial<TakeOptions> = {}) =>
  takeSnapshot({ root: at("work"), id, epoch: 1, seq, store, stateDir: at("state"), encryption, ...more });
const takePlain = (seq: number, into = store) =>
  takeSnapshot({ root: at("work"), id, epoch: 1, seq, store: into, stateDir: at("state") });
const restore = (seq: number, more: object = {}) =>
  restoreSnapshot({ id, seq, epoch: 1, root: at("back"), store, stateDir: at("state2"), unlock, ...more });
const verify = (seq: number, more: object = {}) =>
  verifySnapshot({ id, seq, epoch: 1, store, unlock, data: true, ...more });

const partsFolder = (folder = "store") => at(`${folder}/${instancePrefix(id)}parts`);
const partNames = (folder = "store") => readdirSync(partsFolder(folder)).filter((name) => !name.startsWith("."));
const allBytes = (folder = "store") =>
  Buffer.concat(partNames(folder).map((name) => readFileSync(join(partsFolder(folder), name))));
function manifestOf(seq: number): Manifest {
  const parsed = parseManifest(readFileSync(at(`store/${manifestObjectKey(id, seq, 1)}`), "utf8"));
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.manifest;
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "soneca-crypt-"));
  store = openFolderStore(at("store"));
  encryption ??= { dataKey, wrapped: await wrapDataKey(dataKey, "secret") };
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe("with the key", () => {
  test("everything comes back, is proved, and is sent once", { timeout: 120_000 }, async () => {
    const workspace = await makeHardWorkspace(at("work"));
    try {
      const before = describeWorkspace(at("work"));
      const taken = await take(1);
      expect(taken).toMatchObject({ ok: true, stats: { torn: 0, skipped: [{ path: "socket", reason: "socket" }] } });
      // The manifest is in clear: it names no path.
      expect(manifestOf(1)).toMatchObject({
        encryption: encryption.wrapped,
        stats: { skipped: [{ path: "", reason: "socket: 1" }] },
      });
      expect(await restore(1)).toMatchObject({ ok: true, digest: taken.ok && taken.digest });
      expect(describeWorkspace(at("back"))).toEqual(before);
      expect(await verify(1, { root: at("back"), stateDir: at("state3") })).toMatchObject({ ok: true });
      expect(await restore(1)).toMatchObject({ ok: true, stats: { parts: 0, receivedBytes: 0 } });
      expect(await take(2)).toMatchObject({ ok: true, stats: { newPlainBytes: 0, newParts: 0 } });
      // What was restored is known by the caches that the restore wrote.
      const again = await take(3, { root: at("back"), stateDir: at("state2") });
      expect(again).toMatchObject({ ok: true, stats: { newPlainBytes: 0 } });
    } finally {
      await workspace.close();
    }
  });

  test("a lost state folder is read back from the parts", async () => {
    makeSmallWorkspace();
    expect(await take(1)).toMatchObject({ ok: true });
    rmSync(at("state"), { recursive: true });
    expect(await take(2)).toMatchObject({ ok: true, stats: { newPlainBytes: 0 } });
    expect(await verify(2)).toMatchObject({ ok: true });
  });

  test("one file of a large part comes by ranges, to a reader and to a restore", async () => {
    makeSmallWorkspace();
    writeFileSync(at("work/large"), noise(10 * 1024 * 1024, 9));
    expect(await take(1)).toMatchObject({ ok: true });
    const ranges: string[] = [];
    const watched: SnapshotStore = {
      ...store,
      get: (key, range, options) => {
        if (range) ranges.push(key);
        return store.get(key, range, options);
      },
    };
    const browser = await SnapshotBrowser.open(watched, id, 1, 1, undefined, unlock);
    const entry = await browser.find("notes.txt");
    const pieces: Uint8Array[] = [];
    if (entry?.type === "f") for await (const piece of browser.read(entry)) pieces.push(piece);
    expect(Buffer.concat(pieces).toString()).toBe(words);
    expect(await restore(1, { only: ["notes.txt"], store: watched })).toMatchObject({ ok: true });
    expect(readFileSync(at("back/notes.txt"), "utf8")).toBe(words);
    expect(ranges.length).toBeGreaterThan(3);
  });

  test("a plain instance becomes an encrypted one and a plain one again; each snapshot stays what it is", async () => {
    makeSmallWorkspace();
    expect(await takePlain(1)).toMatchObject({ ok: true });
    const plainParts = new Set(partNames());
    // All is read and sent again: not an id of the plain snapshot is of use.
    const encrypted = await take(2);
    expect(encrypted).toMatchObject({ ok: true, stats: { reusedBytes: 0 } });
    expect(manifestOf(2).parts.some(({ key }) => plainParts.has(key))).toBe(false);
    let gets = 0;
    const counted: SnapshotStore = {
      ...store,
      get: (...args) => {
        gets++;
        return store.get(...args);
      },
    };
    // Parts of the other sort were looked at once, and are left alone from then on.
    expect(await take(3, { store: counted })).toMatchObject({ ok: true, stats: { newParts: 0 } });
    expect(gets).toBe(0);
    expect(await takePlain(4, counted)).toMatchObject({ ok: true, stats: { newPlainBytes: 0 } });
    expect(await takePlain(5, counted)).toMatchObject({ ok: true, stats: { newParts: 0 } });
    for (const seq of [1, 2, 3, 4, 5]) {
      expect(await verify(seq)).toMatchObject({ ok: true });
      expect(await restore(seq, { root: at(`back${seq}`) })).toMatchObject({ ok: true });
      expect(describeWorkspace(at(`back${seq}`))).toEqual(describeWorkspace(at("work")));
    }
    expect(manifestOf(1).digest).toBe(manifestOf(4).digest);
    expect(manifestOf(1).digest).not.toBe(manifestOf(2).digest);
  });
});

test("nothing in the store shows what is in it", async () => {
  makeSmallWorkspace();
  expect(await take(1)).toMatchObject({ ok: true });
  expect(await takePlain(1, openFolderStore(at("plain")))).toMatchObject({ ok: true });
  const random = readFileSync(at("work/random"));
  const traces = {
    content: random.subarray(1000, 1032),
    id: Buffer.from(nodePrimitives.sha256(random)),
    name: Buffer.from("an-unusual-name-of-a-file"),
  };
  const [plain, sealed] = [allBytes("plain"), allBytes()];
  const manifest = readFileSync(at(`store/${manifestObjectKey(id, 1, 1)}`));
  for (const [what, bytes] of Object.entries<Buffer>(traces)) {
    expect(plain.includes(bytes), what).toBe(true);
    expect(sealed.includes(bytes), what).toBe(false);
    expect(manifest.includes(bytes), what).toBe(false);
  }
  expect(Buffer.concat([sealed, manifest]).includes(Buffer.from(dataKey))).toBe(false);
});

describe("without the key", () => {
  beforeEach(async () => {
    makeSmallWorkspace();
    expect(await take(1)).toMatchObject({ ok: true });
  });

  test.each([
    ["none", undefined, "key_missing"],
    ["another", async () => newDataKey(), "key_wrong"],
  ])("%s: nothing is read, nothing is made", async (_, other, code) => {
    expect(await verify(1, { unlock: other })).toMatchObject({ ok: false, code });
    expect(await restore(1, { unlock: other })).toMatchObject({ ok: false, code });
    expect(readdirSync(at("back"))).toEqual([]);
    await expect(SnapshotBrowser.open(store, id, 1, 1, undefined, other)).rejects.toMatchObject({ code });
  });

  test("a snapshot is not taken with a key that its manifest would not name", async () => {
    const wrong = await take(2, { encryption: { ...encryption, dataKey: newDataKey() } });
    expect(wrong).toMatchObject({ ok: false, code: "key_wrong" });
  });

  test("a plain part in place of an encrypted one, and the other way round, is damage", async () => {
    const manifest = manifestOf(1);
    const file = at(`store/${manifestObjectKey(id, 1, 1)}`);
    writeFileSync(file, JSON.stringify({ ...manifest, encryption: null }));
    expect(await verify(1)).toMatchObject({ ok: false, code: "snapshot_damaged" });
    expect(await takePlain(2)).toMatchObject({ ok: true });
    const plain = manifestOf(2);
    writeFileSync(
      at(`store/${manifestObjectKey(id, 2, 1)}`),
      JSON.stringify({ ...plain, encryption: encryption.wrapped }),
    );
    expect(await verify(2)).toMatchObject({ ok: false, code: "snapshot_damaged" });
  });
});

test("altered parts are found by a restore, which does not compute their hash", { timeout: 60_000 }, async () => {
  makeSmallWorkspace();
  expect(await take(1)).toMatchObject({ ok: true });
  const { segments, parts } = manifestOf(1);
  const isDamage = { ok: false, code: expect.stringMatching(/^(snapshot|part)_damaged$/) };
  for (const { key, bytes } of parts) {
    const file = join(partsFolder(), key);
    const good = readFileSync(file);
    // Kind, salt, the first frame and its tag, the table.
    for (const offset of [5, 9, headerBytes, headerBytes + 40, bytes - footerBytes - 3]) {
      const bad = Buffer.from(good);
      bad[offset]! ^= 1;
      writeFileSync(file, bad);
      const result = await restore(1, { root: at(`back-${key}-${offset}`) });
      // The table of a data part is no business of a restore: the index says the same.
      if (segments.includes(key) || offset < bytes - footerBytes - 3)
        expect(result, `${offset} of ${bytes}`).toMatchObject(isDamage);
      expect(await verify(1, { data: offset === headerBytes }), `${offset} of ${bytes}`).toMatchObject(isDamage);
    }
    writeFileSync(file, good);
    truncateSync(file, bytes - 1);
    expect(await verify(1)).toMatchObject({ ok: false });
    writeFileSync(file, good);
  }
  expect(await restore(1, { root: at("whole") })).toMatchObject({ ok: true });
});

const words = "a few words that everybody would recognise\n".repeat(40);

function makeSmallWorkspace(): void {
  mkdirSync(at("work"));
  writeFileSync(at("work/notes.txt"), words);
  writeFileSync(at("work/an-unusual-name-of-a-file"), "one");
  writeFileSync(
    at("work/random"),
    noise(700 * 1024, 5).map((byte, i) => byte ^ ((i * 2654435761) >>> 13)),
  );
}
