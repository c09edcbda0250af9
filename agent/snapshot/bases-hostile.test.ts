/** Frames with bases that no honest writer makes: each ends in a clear code, soon, and writes nothing wrong. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Base, encodeFrame, encodeFrameWithBases } from "../../core/snapshot/codec.ts";
import { limits } from "../../core/snapshot/limits.ts";
import { PartBuilder } from "../../core/snapshot/part-builder.ts";
import { file, folder, putBuilt, putHandMade } from "../testing/hand-made.ts";
import { SnapshotBrowser } from "./browse.ts";
import { nodePrimitives } from "./primitives.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { verifySnapshot } from "./verify.ts";

let dir: string;
const at = (name: string) => join(dir, name);
const shared = () => ({ id: "i-bad", seq: 1, epoch: 1, store: openFolderStore(at("store")), stateDir: at("state") });

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bases-bad-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const text = (seed: number) =>
  String.fromCharCode(
    ...Array.from({ length: 600 }, (_, i) => 32 + ((i * 37 + (i >> 5) * 11 + (i % 50 === 0 ? seed : 0)) % 90)),
  );
const [a, b, c] = [text(0), text(1), text(2)] as [string, string, string];
const idOf = (content: string) => nodePrimitives.chunkId(Buffer.from(content));

interface Frame {
  content: string;
  /** What it is coded against; none: a frame without bases. */
  against?: string;
  base?: Partial<Base>;
  /** Instead of the base's id, what the table names. */
  named?: string[];
}

async function put(frames: Frame[]): Promise<void> {
  const builder = new PartBuilder("data");
  for (const { content, against, base, named } of frames) {
    const plain = Buffer.from(content);
    const refs = [{ id: idOf(content), plainBytes: plain.length }];
    if (against === undefined) {
      builder.add(await encodeFrame(plain, nodePrimitives, 3), plain.length, refs, named);
      continue;
    }
    const bases = [{ id: idOf(against), skip: 0, take: plain.length, ...base }];
    const bytes = encodeFrameWithBases(plain, bases, Buffer.from(against.slice(0, plain.length)));
    builder.add(bytes, plain.length, refs, named ?? [bases[0]!.id]);
  }
  const store = openFolderStore(at("store"));
  const parts = [await putBuilt(store, "i-bad", builder)];
  const names = [...new Set(frames.map((frame) => frame.content))].sort();
  const entries = [folder(""), ...names.map((content, n) => file(`f${n}`, content))];
  await putHandMade(store, "i-bad", { entries, parts });
}

async function cat(): Promise<void> {
  const { id, seq, epoch, store } = shared();
  const browser = await SnapshotBrowser.open(store, id, seq, epoch);
  for await (const entry of browser.walk()) if (entry.type === "f") for await (const _ of browser.read(entry));
}

test("what an honest writer could make comes back, small files too", async () => {
  await put([{ content: b, against: a }, { content: a }, { content: c, against: a }]);
  expect(await restoreSnapshot({ ...shared(), root: at("back") })).toMatchObject({ ok: true });
  for (const [n, content] of [a, b, c].sort().entries()) expect(readFileSync(at(`back/f${n}`), "latin1")).toBe(content);
  for (const data of [false, true]) expect(await verifySnapshot({ ...shared(), data })).toMatchObject({ ok: true });
  await cat();
});

const bad: [string, Frame[]][] = [
  ["itself", [{ content: a, against: a }]],
  [
    "each other",
    [
      { content: a, against: b },
      { content: b, against: a },
    ],
  ],
  ["a frame that has bases", [{ content: a }, { content: b, against: a }, { content: c, against: b }]],
  ["a chunk that is nowhere", [{ content: a, against: b }]],
  ["more than its chunk", [{ content: a }, { content: b, against: a, base: { skip: 1 } }]],
  ["far beyond its chunk", [{ content: a }, { content: b, against: a, base: { skip: limits.chunkBytes - 600 } }]],
  [
    "other bytes than were meant",
    [{ content: a }, { content: c }, { content: b, against: a, base: { id: idOf(c) }, named: [idOf(c)] }],
  ],
  ["others than its table says", [{ content: a }, { content: c }, { content: b, against: a, named: [idOf(c)] }]],
  ["more than its table says", [{ content: a }, { content: b, against: a, named: [] }]],
  ["fewer than its table says", [{ content: a }, { content: b, against: a, named: [idOf(a), idOf(a)] }]],
  ["none, though its table says so", [{ content: a }, { content: b, named: [idOf(a)] }]],
];

test.each(bad)("a frame whose base is %s", async (_what, frames) => {
  await put(frames);
  const restored = await restoreSnapshot({ ...shared(), root: at("back") });
  expect(restored).toMatchObject({ ok: false, code: "snapshot_damaged" });
  expect(await verifySnapshot({ ...shared(), data: true })).toMatchObject({ ok: false, code: "snapshot_damaged" });
  await expect(cat()).rejects.toMatchObject({ code: "snapshot_damaged" });
  const sorted = [...new Set(frames.map((frame) => frame.content))].sort();
  for (const [n, content] of sorted.entries())
    if (existsSync(at(`back/f${n}`))) expect(readFileSync(at(`back/f${n}`), "latin1")).toBe(content);
});
