/** What a plain verify finds, and what only one that decodes every chunk does; and that it reads each stored byte once. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { encodeFrame } from "../../core/snapshot/codec.ts";
import { headerBytes } from "../../core/snapshot/frame-table.ts";
import { footerBytes } from "../../core/snapshot/part.ts";
import { PartBuilder } from "../../core/snapshot/part-builder.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import { partObjectKey, type SnapshotStore } from "../../core/snapshot/store.ts";
import { file, folder, putBuilt, putHandMade } from "../testing/hand-made.ts";
import { Weights } from "../testing/weights.ts";
import { noise } from "../testing/workspace.ts";
import { HeldFrames } from "./held-frames.ts";
import { loadSnapshot } from "./meta.ts";
import { nodePrimitives } from "./primitives.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";
import { verifySnapshot } from "./verify.ts";

const mib = 1024 * 1024;
const id = "i-verify";
let dir: string;
let store: SnapshotStore;
const at = (name: string) => join(dir, name);
const verify = (more: object = {}) => verifySnapshot({ id, seq: 1, epoch: 1, store, ...more });
const isDamaged = { ok: false, code: "part_damaged", retryable: false };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-verify-"));
  store = openFolderStore(at("store"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A snapshot of two checkpoints, of which the second is coded against the first; of small files, and of noise. */
async function makeStored(): Promise<IndexedPart[]> {
  cpSync(made, dir, { recursive: true });
  return (await loadSnapshot(store, id, 1, 1)).index.parts;
}

let made: string;
beforeAll(async () => {
  made = mkdtempSync(join(tmpdir(), "soneca-verify-made-"));
  const root = join(made, "work");
  const weights = new Weights(2 * mib);
  for (const step of [1, 2]) {
    mkdirSync(join(root, `c-${step}`), { recursive: true });
    writeFileSync(join(root, `c-${step}/m.bin`), weights.bf16());
    weights.train(10, 1e-6);
  }
  writeFileSync(join(root, "noise"), noise(mib, 3));
  for (let n = 0; n < 30; n++) writeFileSync(join(root, `small-${n}`), `file ${n}`);
  const target = { id, seq: 1, epoch: 1, store: openFolderStore(join(made, "store")) };
  expect(await takeSnapshot({ ...target, root, stateDir: join(made, "state") })).toMatchObject({ ok: true });
}, 60_000);
afterAll(() => rmSync(made, { recursive: true, force: true }));

/** A store that says what it was asked for. */
function counted(): { store: SnapshotStore; bytes: Map<string, number> } {
  const bytes = new Map<string, number>();
  const get: SnapshotStore["get"] = async (key, range, options) => {
    const got = await store.get(key, range, options);
    bytes.set(key, (bytes.get(key) ?? 0) + got.length);
    return got;
  };
  return { store: { ...store, get }, bytes };
}

describe("a whole snapshot", () => {
  test("says what was checked, and how", { timeout: 60_000 }, async () => {
    const parts = await makeStored();
    const chunks = parts.flatMap((part) => part.frames.flatMap((frame) => [...frame.chunks])).length;
    const seen = new Set<string>();
    const onProgress = ({ phase }: { phase: string }) => seen.add(phase);
    const plain = await verify({ onProgress });
    expect(plain).toMatchObject({ ok: true, checked: "bytes", files: 33, entries: 36, chunks, torn: 0 });
    expect([...seen]).toEqual(["tree", "bytes", "done"]);
    seen.clear();
    expect(await verify({ data: true, onProgress })).toEqual({ ...plain, checked: "data" });
    expect([...seen]).toEqual(["tree", "data", "done"]);
  });

  test("ends its progress with all parts and bytes proved", async () => {
    await makeStored();
    for (const data of [false, true]) {
      let last: object = {};
      await verify({ data, onProgress: (progress: object) => (last = progress) });
      const { plainBytes, partsTotal } = last as { plainBytes: number; partsTotal: number };
      expect(plainBytes).toBeGreaterThan(9 * mib);
      expect(last).toMatchObject({ doneBytes: plainBytes, partsDone: partsTotal });
    }
  });

  test("of which every part is read once, and the bases of others with it", { timeout: 60_000 }, async () => {
    const parts = await makeStored();
    expect(parts.some((part) => part.frames.some((frame) => frame.bases.length > 0))).toBe(true);
    for (const data of [false, true]) {
      const { store: counting, bytes } = counted();
      expect(await verify({ data, store: counting })).toMatchObject({ ok: true });
      const dataParts = parts.filter((part) => part.bytes > 100_000);
      expect(dataParts.length).toBeGreaterThan(0);
      for (const part of dataParts) expect(bytes.get(partObjectKey(id, part.key))).toBe(part.bytes);
    }
  });
});

describe("bases that are held", () => {
  test("come right before what needs them, stay until the last use, and within their bound", async () => {
    await makeStored();
    const { index } = await loadSnapshot(store, id, 1, 1);
    const based = index.parts.flatMap((part) => part.frames).filter((frame) => frame.bases.length > 0);
    const baseIds = based.flatMap((frame) => frame.bases);
    const base = index.frameOf(baseIds[0]!)!;
    const part = index.parts[index.partOf(baseIds[0]!)!]!;
    const bytes = await store.get(partObjectKey(id, part.key));
    const held = new HeldFrames(index);
    const order = held.order();
    expect(new Set(order)).toEqual(new Set(index.parts));
    expect(held.isNeeded(part)).toBe(true);
    held.hold(part, bytes, (_, piece) => piece);
    expect(held.get(base)).toHaveLength(base.storedBytes);
    for (const frame of based) held.done(frame);
    expect(held.get(base)).toBeUndefined();
    expect(held.isNeeded(part)).toBe(false);
    const small = new HeldFrames(index, base.storedBytes - 1);
    small.hold(part, bytes, (_, piece) => piece);
    expect(small.get(base)).toBeUndefined();
  });
});

describe("damage of stored bytes", () => {
  const ways: [string, (bytes: Buffer, part: IndexedPart) => Buffer][] = [
    ["the header", (bytes) => flip(bytes, 9)],
    ["the first chunk", (bytes) => flip(bytes, headerBytes + 20)],
    ["the last chunk", (bytes, { frames }) => flip(bytes, frames.at(-1)!.offset + frames.at(-1)!.storedBytes - 1)],
    ["the table", (bytes) => flip(bytes, bytes.length - footerBytes - 2)],
    ["the footer", (bytes) => flip(bytes, bytes.length - 20)],
    ["one byte less", (bytes) => bytes.subarray(0, -1)],
    ["a part cut in the middle", (bytes) => bytes.subarray(0, bytes.length >> 1)],
    ["nothing left", (bytes) => bytes.subarray(0, 0)],
    ["one byte more", (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])],
    ["another part's bytes", () => noise(5000, 9)],
  ];

  test("is found in every part, the bases' and the segments' too, by either", { timeout: 120_000 }, async () => {
    const described = await makeStored();
    const { manifest } = await loadSnapshot(store, id, 1, 1);
    const based = described.find((part) => part.frames.some((frame) => frame.bases.length > 0))!;
    const bases = new HeldFrames(await loadSnapshot(store, id, 1, 1).then(({ index }) => index)).partsFor(based);
    expect([...bases].map((part) => part.key)).toEqual(expect.arrayContaining([expect.any(String)]));
    const part = (key: string, bytes: number) =>
      described.find((each) => each.key === key) ?? { key, bytes, frames: [{ offset: 24, storedBytes: 3 }] };
    for (const { key, bytes } of manifest.parts) {
      const path = at(`store/${partObjectKey(id, key)}`);
      const good = readFileSync(path);
      for (const [what, change] of ways) {
        writeFileSync(path, change(Buffer.from(good), part(key, bytes) as IndexedPart));
        // The deeper one begins with the same check.
        for (const data of what === "the first chunk" ? [false, true] : [false])
          expect(await verify({ data }), `${what} of ${key}`).toMatchObject(isDamaged);
      }
      rmSync(path);
      for (const data of [false, true])
        expect(await verify({ data })).toMatchObject({ ok: false, code: "part_missing", retryable: false });
      writeFileSync(path, good);
    }
    expect(await verify()).toMatchObject({ ok: true });
  });

  test("once is no damage: wrong bytes are asked for once more", async () => {
    await makeStored();
    const wrong = new Set<string>();
    const get: SnapshotStore["get"] = async (key, range, options) => {
      const bytes = await store.get(key, range, options);
      if (key.includes("/parts/") && !wrong.has(key)) {
        wrong.add(key);
        bytes[30]! ^= 1;
      }
      return bytes;
    };
    for (const data of [false, true]) {
      wrong.clear();
      expect(await verify({ data, store: { ...store, get } })).toMatchObject({ ok: true });
    }
  });

  test("in the manifest: statistics of another tree, a part of another size, a part that no segment describes", async () => {
    const entries = [folder(""), file("a", "text")];
    const put = (n: number, manifest: object) =>
      putHandMade(openFolderStore(at(`store-${n}`)), id, { entries, texts: ["text"], manifest });
    const stats = { newPlainBytes: 0, newStoredBytes: 0, torn: 0, skipped: [] };
    await put(0, { stats: { ...stats, entries: 2, files: 1, plainBytes: 5, storedBytes: 1 } });
    const check = (n: number) => verify({ store: openFolderStore(at(`store-${n}`)) });
    expect(await check(0)).toMatchObject({ ok: false, code: "snapshot_damaged" });
    await put(1, {});
    expect(await check(1)).toMatchObject({ ok: true });
    const path = at(`store-1/i/${id}/manifests/00000001-1`);
    const manifest = JSON.parse(readFileSync(path, "utf8")) as {
      parts: { key: string; bytes: number }[];
      segments: string[];
    };
    const data = manifest.parts.find(({ key }) => !manifest.segments.includes(key))!;
    const write = (parts: object[]) => writeFileSync(path, JSON.stringify({ ...manifest, parts }));
    write(manifest.parts.map((part) => (part === data ? { ...part, bytes: part.bytes + 1 } : part)));
    expect(await check(1)).toMatchObject({ ok: false, code: "snapshot_damaged" });
    write([...manifest.parts, { key: "0".repeat(64), bytes: 100 }]);
    expect(await check(1)).toMatchObject({ ok: false, code: "snapshot_damaged" });
  });
});

describe("bytes that are those stored, and were wrong when they were", () => {
  const wrong = async (texts: string[], plain: string): Promise<IndexedPart> => {
    const builder = new PartBuilder("data");
    for (const text of texts) {
      const bytes = Buffer.from(plain);
      const frame = await encodeFrame(bytes, nodePrimitives, 3);
      builder.add(frame, bytes.length, [{ id: nodePrimitives.chunkId(Buffer.from(text)), plainBytes: bytes.length }]);
    }
    return putBuilt(store, id, builder);
  };

  test.each([
    ["a small part", 4],
    ["a part for the threads", 200_000],
  ])("are found by decoding alone: %s", async (_, length) => {
    const text = noise(length, 1)
      .toString("latin1")
      .replace(/[^a-z]/g, "x");
    const parts = [await wrong([text], text.replace(/.$/, "?"))];
    await putHandMade(store, id, { entries: [folder(""), file("a", text)], parts });
    expect(await verify()).toMatchObject({ ok: true, checked: "bytes" });
    expect(await verify({ data: true })).toMatchObject({ ok: false, code: "snapshot_damaged" });
  });

  test("a chunk of another length than its file says is found by either", async () => {
    const parts = [await wrong(["text"], "texts")];
    await putHandMade(store, id, { entries: [folder(""), file("a", "text")], parts });
    for (const data of [false, true])
      expect(await verify({ data })).toMatchObject({ ok: false, code: "snapshot_damaged" });
  });

  test("a chunk that no table has is found by either", async () => {
    await putHandMade(store, id, { entries: [folder(""), file("a", "text")] });
    for (const data of [false, true])
      expect(await verify({ data })).toMatchObject({ ok: false, code: "snapshot_damaged" });
  });
});

test("a file in place of a part that is longer than any part is not read into memory", async () => {
  const [part] = await makeStored();
  truncateSync(at(`store/${partObjectKey(id, part!.key)}`), 3 * 1024 * mib);
  for (const data of [false, true]) expect(await verify({ data })).toMatchObject({ ok: false, code: "store_failed" });
});

function flip(bytes: Buffer, offset: number): Buffer {
  bytes[offset]! ^= 1;
  return bytes;
}
