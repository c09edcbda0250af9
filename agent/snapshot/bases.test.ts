/** Checkpoints against their siblings: what is stored, and that every reader brings it back. */
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Manifest, parseManifest } from "../../core/snapshot/manifest.ts";
import { manifestObjectKey } from "../../core/snapshot/store.ts";
import { checkpointOf, Weights } from "../testing/weights.ts";
import { describeWorkspace, noise } from "../testing/workspace.ts";
import { SnapshotBrowser } from "./browse.ts";
import { CoderPool } from "./coder-pool.ts";
import { collectGarbage } from "./gc.ts";
import { newDataKey, wrapDataKey } from "./keys.ts";
import { type LoadedSnapshot, loadSnapshot } from "./meta.ts";
import { nodePrimitives } from "./primitives.ts";
import type { PlacedBase } from "./reference.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";
import type { TakeSuccess } from "./types.ts";
import { verifySnapshot } from "./verify.ts";

const mib = 1024 * 1024;
let dir: string;
const at = (name: string) => join(dir, name);
const store = () => openFolderStore(at("store"));
const shared = (seq: number) => ({ id: "i-base", seq, epoch: 1, store: store() });

async function take(seq: number, more: object = {}): Promise<TakeSuccess> {
  const result = await takeSnapshot({ ...shared(seq), root: at("work"), stateDir: at("state"), ...more });
  if (!result.ok) throw new Error(result.message);
  return result;
}
const restore = (seq: number, more: object = {}) =>
  restoreSnapshot({ ...shared(seq), root: at("back"), stateDir: at("state2"), ...more });
const verify = (seq: number) => verifySnapshot({ ...shared(seq), data: true });
const load = (seq: number) => loadSnapshot(store(), "i-base", seq, 1);
const gc = (keep: number) =>
  collectGarbage({ store: store(), id: "i-base", keep, graceMs: 0, isDryRun: false, now: Date.now() + 3_600_000 });

function manifestOf(seq: number): Manifest {
  const parsed = parseManifest(readFileSync(at(`store/${manifestObjectKey("i-base", seq, 1)}`), "utf8"));
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.manifest;
}

/** Bytes of the chunks that are read with bases. */
function basedBytes({ index }: LoadedSnapshot): number {
  let bytes = 0;
  for (const part of index.parts)
    for (const frame of part.frames)
      if (frame.bases.length > 0 && index.frameOf(frame.chunks.idAt(0)) === frame) bytes += frame.plainBytes;
  return bytes;
}

/** Old enough that no later scan reads it again. */
function write(path: string, bytes: Buffer): void {
  mkdirSync(join(at("work"), path, ".."), { recursive: true });
  writeFileSync(at(`work/${path}`), bytes);
  utimesSync(at(`work/${path}`), 1_600_000_000, 1_600_000_000);
}

async function expectRestored(seq: number): Promise<void> {
  expect(await restore(seq, { deleteExtras: true })).toMatchObject({ ok: true });
  expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bases-"));
  mkdirSync(at("work"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe("a second checkpoint", () => {
  test.each([10, 100])(
    "%i small steps later is at most 0.35 of the first (BF16)",
    { timeout: 60_000 },
    async (steps) => {
      const weights = new Weights(4 * mib);
      write("checkpoint-1100/model.safetensors", checkpointOf(weights.bf16(), "{head of 1100}"));
      const first = await take(1);
      weights.train(steps, 3e-6);
      // A longer head: what is the same lies at the same distance from the end.
      write("checkpoint-1200/model.safetensors", checkpointOf(weights.bf16(), "{a somewhat longer head of 1200}"));
      const second = await take(2);
      expect(second.stats.newStoredBytes).toBeLessThanOrEqual(0.35 * first.stats.newStoredBytes);
      expect(basedBytes(await load(2))).toBeGreaterThan(7 * mib);
      await expectRestored(2);
      expect(await verify(2)).toMatchObject({ ok: true, plainBytes: second.stats.plainBytes });

      // Without the option: about as large as the first.
      const alone = await take(3, { id: "i-alone", bases: false, stateDir: at("state3") });
      expect(alone.stats.storedBytes).toBeGreaterThan(1.8 * first.stats.storedBytes);
    },
  );

  test("in the same scan, as FP32, in a folder with numbers in its names", async () => {
    const weights = new Weights(mib);
    write("step_0900.pt", weights.fp32());
    weights.train(10, 1e-6);
    write("step_1000.pt", weights.fp32());
    const { stats } = await take(1);
    expect(stats.storedBytes).toBeLessThan(0.75 * stats.plainBytes);
    expect(basedBytes(await load(1))).toBeGreaterThan(3 * mib);
    await expectRestored(1);
    expect(await verify(1)).toMatchObject({ ok: true });
  });

  test("is read by cat", async () => {
    const weights = new Weights(2 * mib);
    write("c-1/m.bin", weights.bf16());
    weights.train(10, 1e-6);
    write("c-2/m.bin", weights.bf16());
    await take(1);
    expect(basedBytes(await load(1))).toBeGreaterThan(3 * mib);
    const browser = await SnapshotBrowser.open(store(), "i-base", 1, 1);
    const entry = await browser.find("c-2/m.bin");
    if (entry?.type !== "f") throw new Error("no file");
    const pieces: Uint8Array[] = [];
    for await (const piece of browser.read(entry)) pieces.push(piece);
    expect(Buffer.concat(pieces).equals(readFileSync(at("work/c-2/m.bin")))).toBe(true);
  });

  test("with nothing in common but the name is stored alone", async () => {
    write("c-1/m.bin", new Weights(mib, 1).bf16());
    write("c-2/m.bin", new Weights(mib, 2).bf16());
    write("c-1/noise", noise(2 * mib, 1));
    write("c-2/noise", noise(2 * mib, 2));
    await take(1);
    expect(basedBytes(await load(1))).toBe(0);
    await expectRestored(1);
  });

  test("is stored alone where the sibling is another size, or shorter", async () => {
    const weights = new Weights(mib);
    write("c-1/m.bin", weights.bf16().subarray(0, 1.5 * mib));
    weights.train(10, 1e-6);
    write("c-2/m.bin", weights.bf16());
    await take(1);
    expect(basedBytes(await load(1))).toBe(0);
    await expectRestored(1);
  });
});

test("an encrypted checkpoint is coded, proved and read the same way", { timeout: 60_000 }, async () => {
  const dataKey = newDataKey();
  const unlock = async () => dataKey;
  const encryption = { dataKey, wrapped: await wrapDataKey(dataKey, "secret") };
  const weights = new Weights(2 * mib);
  write("c-1/m.bin", weights.bf16());
  weights.train(10, 1e-6);
  write("c-2/m.bin", weights.bf16());
  const { stats } = await take(1, { encryption });
  expect(stats.storedBytes).toBeLessThan(0.45 * stats.plainBytes);
  expect(await restore(1, { unlock })).toMatchObject({ ok: true });
  expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));
  const only = await restoreSnapshot({ ...shared(1), root: at("only"), stateDir: at("state3"), only: ["c-2"], unlock });
  expect(only).toMatchObject({ ok: true });
  expect(readFileSync(at("only/c-2/m.bin")).equals(readFileSync(at("work/c-2/m.bin")))).toBe(true);
  expect(await verifySnapshot({ ...shared(1), unlock, data: true })).toMatchObject({
    ok: true,
    plainBytes: stats.plainBytes,
  });
  const browser = await SnapshotBrowser.open(store(), "i-base", 1, 1, undefined, unlock);
  const entry = await browser.find("c-2/m.bin");
  if (entry?.type !== "f") throw new Error("no file");
  const pieces: Uint8Array[] = [];
  for await (const piece of browser.read(entry)) pieces.push(piece);
  expect(Buffer.concat(pieces).equals(readFileSync(at("work/c-2/m.bin")))).toBe(true);
});

test("a chain stays one step deep", { timeout: 60_000 }, async () => {
  const weights = new Weights(2 * mib);
  for (let n = 1; n <= 4; n++) {
    write(`checkpoint-${n}00/model.bin`, weights.bf16());
    weights.train(10, 1e-6);
    await take(n);
  }
  const { index } = await load(4);
  for (const part of index.parts)
    for (const frame of part.frames) for (const base of frame.bases) expect(index.frameOf(base)?.bases).toEqual([]);
  expect(basedBytes(await load(4))).toBeGreaterThan(9 * mib);
  await expectRestored(4);
});

describe("when the sibling is gone", () => {
  let weights: Weights;
  beforeEach(async () => {
    weights = new Weights(2 * mib);
    write("c-1/m.bin", weights.bf16());
    await take(1);
    weights.train(10, 1e-6);
    write("c-2/m.bin", weights.bf16());
    await take(2);
    rmSync(at("work/c-1"), { recursive: true });
  });

  test("its chunks stay as long as something is coded against them", async () => {
    await take(3);
    const needed = new Set(manifestOf(3).parts.map((part) => part.key));
    const { index } = await load(3);
    expect(basedBytes({ index } as LoadedSnapshot)).toBeGreaterThan(3 * mib);
    await gc(1);
    expect(new Set(readdirSync(at("store/i/i-base/parts")))).toEqual(needed);
    expect(await verify(3)).toMatchObject({ ok: true });
    await expectRestored(3);
  });

  test("and little of its part is used, the file is stored without bases", async () => {
    // Much else lies in the part of the third checkpoint, and goes with it.
    weights.train(10, 1e-6);
    write("c-3/m.bin", weights.bf16());
    write("c-3/other.bin", noise(7 * mib, 5));
    await take(3);
    weights.train(10, 1e-6);
    write("c-4/m.bin", weights.bf16());
    rmSync(at("work/c-2"), { recursive: true });
    await take(4);
    expect(basedBytes(await load(4))).toBeGreaterThan(3 * mib);
    rmSync(at("work/c-3"), { recursive: true });
    const { stats } = await take(5);
    expect(stats.newPlainBytes).toBeGreaterThan(3 * mib);
    expect(basedBytes(await load(5))).toBe(0);
    await gc(1);
    expect(await verify(5)).toMatchObject({ ok: true });
    await expectRestored(5);
    expect((await take(6)).stats).toMatchObject({ newPlainBytes: 0, newStoredBytes: 0 });
  });

  test("a third checkpoint is stored alone, since no base may have bases", async () => {
    weights.train(10, 1e-6);
    write("c-3/m.bin", weights.bf16());
    const { stats } = await take(3);
    expect(stats.newStoredBytes).toBeGreaterThan(0.6 * stats.newPlainBytes);
    await expectRestored(3);
  });

  test("and the store has lost its part, the file is sent again", async () => {
    const first = new Set(manifestOf(1).parts.map((part) => part.key));
    for (const key of first) rmSync(at(`store/i/i-base/parts/${key}`));
    const { stats } = await take(3);
    expect(stats.newPlainBytes).toBeGreaterThan(3 * mib);
    expect(basedBytes(await load(3))).toBe(0);
    expect(await verify(3)).toMatchObject({ ok: true });
    await expectRestored(3);
  });
});

describe("a reference that a coder thread reads", () => {
  let pool: CoderPool;
  beforeEach(() => {
    pool = new CoderPool();
  });
  afterEach(() => pool.close());

  const encode = (plain: Buffer, path: string, piece: Partial<PlacedBase>) => {
    const buffer = new SharedArrayBuffer(plain.length + 64);
    new Uint8Array(buffer).set(plain);
    const id = nodePrimitives.chunkId(readFileSync(at("work/c-1")));
    const base = { id, skip: 0, take: plain.length, plainBytes: plain.length, places: [{ path, offset: 0 }], ...piece };
    const against = { root: realpathSync(at("work")), bases: [base] };
    return pool.run({ kind: "encode", buffer, plainBytes: plain.length, level: 3, against });
  };

  test("is used only with the bytes of its ids", async () => {
    const weights = new Weights(mib / 2);
    const before = weights.bf16();
    weights.train(10, 1e-6);
    const after = weights.bf16();
    write("c-1", before);
    symlinkSync("c-1", at("work/link"));
    mkdirSync(at("work/folder"));
    const good = await encode(after, "c-1", {});
    expect(good.bases).toHaveLength(1);
    const changed = Buffer.from(before);
    changed[70_000]! ^= 1;
    write("changed", changed);
    write("short", before.subarray(0, mib / 2));
    execFileSync("mkfifo", [at("work/fifo")]);
    for (const path of ["changed", "short", "link", "folder", "fifo", "nothing"]) {
      const fresh = new CoderPool();
      await pool.close();
      pool = fresh;
      expect(await encode(after, path, {}), path).toMatchObject({ bases: [] });
    }
    // A thread that holds a chunk already knows that it is the right one.
    expect((await encode(after, "c-1", {})).storedBytes).toBe(good.storedBytes);
  });
});

test("a damaged base is named for every file that needs it, and the rest comes back", async () => {
  const weights = new Weights(mib);
  write("c-1/m.bin", weights.bf16());
  await take(1);
  weights.train(10, 1e-6);
  write("c-2/m.bin", weights.bf16());
  write("other", noise(mib, 3));
  await take(2);
  const [frame, key] = await (async () => {
    const { index } = await load(2);
    const id = index.parts.flatMap((part) => part.frames).find((each) => each.bases.length > 0)!.bases[0]!;
    return [index.frameOf(id)!, index.parts[index.partOf(id)!]!.key] as const;
  })();
  const bytes = readFileSync(at(`store/i/i-base/parts/${key}`));
  bytes[frame.offset + 100]! ^= 1;
  writeFileSync(at(`store/i/i-base/parts/${key}`), bytes);
  const restored = await restore(2);
  expect(restored).toMatchObject({ ok: false, code: "snapshot_damaged" });
  expect(!restored.ok && new Set(restored.paths)).toEqual(new Set(["c-1/m.bin", "c-2/m.bin"]));
  expect(readFileSync(at("back/other")).equals(readFileSync(at("work/other")))).toBe(true);
  for (const data of [false, true])
    expect(await verifySnapshot({ ...shared(2), data })).toMatchObject({ ok: false, code: "part_damaged" });
});

test("a restore goes on where it was, with bases in place or gone", async () => {
  const weights = new Weights(2 * mib);
  write("c-1/m.bin", weights.bf16());
  weights.train(10, 1e-6);
  write("c-2/m.bin", weights.bf16());
  await take(1);
  expect(basedBytes(await load(1))).toBeGreaterThan(3 * mib);
  await expectRestored(1);
  // The sibling is here: its bytes are read back, and only the difference is fetched.
  rmSync(at("back/c-2/m.bin"));
  const again = await restore(1);
  expect(again).toMatchObject({ ok: true });
  const difference = again.ok ? again.stats.receivedBytes : 0;
  expect(difference).toBeLessThan(mib);
  expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));
  // Only the second one is wanted: its bases come from the store.
  const only = await restoreSnapshot({
    ...shared(1),
    root: at("only"),
    stateDir: at("state3"),
    only: ["c-2"],
  });
  expect(only).toMatchObject({ ok: true });
  expect(readFileSync(at("only/c-2/m.bin")).equals(readFileSync(at("work/c-2/m.bin")))).toBe(true);
});
