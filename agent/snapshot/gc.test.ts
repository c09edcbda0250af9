import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  instancePrefix,
  manifestObjectKey,
  partObjectKey,
  type SnapshotStore,
  StoreError,
} from "../../core/snapshot/store.ts";
import { noise } from "../testing/workspace.ts";
import { collectGarbage, type GcOptions } from "./gc.ts";
import { sha256Hex } from "./primitives.ts";
import { openFolderStore, sweepLeftovers } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";
import { verifySnapshot } from "./verify.ts";

const id = "i-gc";
const hourMs = 3_600_000;
let dir: string;
let store: SnapshotStore;
let deleted: string[];
const at = (name: string) => join(dir, name);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-gc-"));
  store = openFolderStore(at("store"));
  deleted = [];
  mkdirSync(at("work"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const take = async (seq: number) =>
  expect(await takeSnapshot({ root: at("work"), id, epoch: 1, seq, store, stateDir: at("state") })).toMatchObject({
    ok: true,
  });
const verify = (seq: number) => verifySnapshot({ id, seq, epoch: 1, store, data: true });
const gc = (more: Partial<GcOptions> = {}) =>
  collectGarbage({
    store,
    id,
    keep: null,
    graceMs: 24 * hourMs,
    isDryRun: false,
    now: Date.now(),
    onDelete: ({ kind, name }) => deleted.push(`${kind} ${name}`),
    ...more,
  });
const keys = async () => {
  const found: string[] = [];
  for await (const { key } of store.list(instancePrefix(id))) found.push(key);
  return found.sort();
};

async function addPart(seed: number, hoursOld: number): Promise<string> {
  const bytes = noise(1000, seed);
  const key = partObjectKey(id, sha256Hex(bytes));
  await store.put(key, bytes, sha256Hex(bytes));
  const when = Date.now() / 1000 - hoursOld * 3600;
  utimesSync(at(`store/${key}`), when, when);
  return key;
}

/** Three snapshots: each has a file of its own, and one that all have. */
async function takeThree(): Promise<void> {
  writeFileSync(at("work/all"), noise(600_000, 1));
  for (let seq = 1; seq <= 3; seq++) {
    writeFileSync(at("work/one"), noise(600_000, 10 + seq));
    await take(seq);
  }
}

test("deletes old parts that nothing lists, and nothing else", async () => {
  await takeThree();
  const before = await keys();
  const old = await addPart(1, 25);
  const young = await addPart(2, 23);
  expect(await gc()).toMatchObject({ partsDeleted: 1, partsInGrace: 1, manifestsDeleted: 0, bytesDeleted: 1000 });
  expect(await keys()).toEqual([...before, young].sort());
  expect(await keys()).not.toContain(old);
  for (const seq of [1, 2, 3]) expect(await verify(seq)).toMatchObject({ ok: true });
});

test("an old part that a snapshot of now lists stays, however late its manifest comes", async () => {
  await takeThree();
  const old = new Set<string>();
  for (let seed = 1; seed <= 40; seed++) old.add(await addPart(seed, 25));
  // The one that goes last.
  let wanted = "";
  for await (const { key } of store.list(`${instancePrefix(id)}parts/`)) if (old.has(key)) wanted = key;
  const newest = JSON.parse(Buffer.from(await store.get(manifestObjectKey(id, 3, 1))).toString());
  const parts = [...newest.parts, { key: wanted.slice(-64), bytes: 1000 }];
  const later = Buffer.from(JSON.stringify({ ...newest, seq: 4, parts }));
  let deletes = 0;
  const watched: SnapshotStore = {
    ...store,
    async delete(key, options) {
      if (deletes++ === 0) await store.put(manifestObjectKey(id, 4, 1), later, sha256Hex(later));
      return store.delete(key, options);
    },
  };
  expect(await gc({ store: watched })).toMatchObject({ partsDeleted: 39 });
  expect(await keys()).toContain(wanted);
});

test("a snapshot of which a collection takes a part right before its manifest is none, and the next one is whole", async () => {
  writeFileSync(at("work/one"), noise(600_000, 1));
  await take(1);
  const [part] = (await keys()).filter((key) => key.includes("/parts/"));
  const racing: SnapshotStore = {
    ...store,
    async put(key, bytes, sha256, options) {
      if (key.includes("/manifests/")) await store.delete(part!);
      return store.put(key, bytes, sha256, options);
    },
  };
  writeFileSync(at("work/two"), "more");
  const common = { root: at("work"), id, epoch: 1, stateDir: at("state") };
  expect(await takeSnapshot({ ...common, seq: 2, store: racing })).toMatchObject({
    ok: false,
    code: "part_missing",
    retryable: true,
  });
  expect(await keys()).not.toContain(manifestObjectKey(id, 2, 1));
  await take(3);
  expect(await verify(3)).toMatchObject({ ok: true });
});

test("a dry run says the same and deletes nothing", async () => {
  await takeThree();
  await addPart(1, 25);
  const before = await keys();
  const dry = await gc({ isDryRun: true, keep: 1, graceMs: 0 });
  const said = deleted;
  deleted = [];
  expect(await keys()).toEqual(before);
  expect(await gc({ keep: 1, graceMs: 0 })).toEqual(dry);
  expect(deleted.sort()).toEqual(said.sort());
});

test("keeps the newest, deletes older manifests before their parts", async () => {
  await takeThree();
  const result = await gc({ keep: 1, graceMs: 0 });
  expect(result).toMatchObject({ manifestsDeleted: 2, manifestsKept: 1 });
  expect(result.partsDeleted).toBeGreaterThan(0);
  expect(deleted.slice(0, 2)).toEqual(["manifest i-gc@1", "manifest i-gc@2"]);
  expect(deleted.slice(2).every((line) => line.startsWith("part "))).toBe(true);
  expect(await verify(3)).toMatchObject({ ok: true });
  await expect(verify(2)).resolves.toMatchObject({ ok: false, code: "object_not_found" });
  expect(await gc({ keep: 5, graceMs: 0 })).toMatchObject({ manifestsDeleted: 0, partsDeleted: 0 });
});

test("the next snapshot after a collection is whole", async () => {
  await takeThree();
  await gc({ keep: 1, graceMs: 0 });
  writeFileSync(at("work/one"), noise(600_000, 11));
  await take(4);
  expect(await verify(4)).toMatchObject({ ok: true });
});

test("deletes nothing when any manifest cannot be read", async () => {
  await takeThree();
  await addPart(1, 25);
  writeFileSync(at(`store/i/${id}/manifests/00000002-1`), "{}");
  const before = await keys();
  await expect(gc({ keep: 1, graceMs: 0 })).rejects.toMatchObject({ code: "snapshot_format_unknown" });
  store.get = async () => {
    throw new StoreError("store_unreachable");
  };
  await expect(gc({ keep: 1, graceMs: 0 })).rejects.toMatchObject({ code: "store_unreachable" });
  expect(await keys()).toEqual(before);
});

test("a snapshot that is finished meanwhile keeps its parts", async () => {
  await takeThree();
  // The parts of snapshot 3 are listed by no manifest when the collection begins.
  const manifest = `i/${id}/manifests/00000003-1`;
  const bytes = await store.get(manifest);
  await store.delete(manifest);
  let looks = 0;
  const racing: SnapshotStore = {
    ...store,
    list(prefix, call) {
      if (prefix.endsWith("manifests/") && ++looks === 2) {
        return (async function* () {
          await store.put(manifest, bytes, sha256Hex(bytes));
          yield* store.list(prefix, call);
        })();
      }
      return store.list(prefix, call);
    },
  };
  expect(await gc({ store: racing, graceMs: 0 })).toMatchObject({ partsDeleted: 0 });
  expect(looks).toBe(2);
  expect(await verify(3)).toMatchObject({ ok: true });
});

test("a store that does not tell times, or takes no delete, is left alone", async () => {
  await takeThree();
  const before = await keys();
  const timeless: SnapshotStore = {
    ...store,
    async *list(prefix, call) {
      for await (const object of store.list(prefix, call)) yield { ...object, modifiedMs: null };
    },
  };
  await expect(gc({ store: timeless, keep: 1, graceMs: 0 })).rejects.toMatchObject({ code: "gc_not_possible" });
  expect(await keys()).toEqual(before);
});

test("killed in the middle, what is left is whole, and the next run ends it", async () => {
  await takeThree();
  let deletes = 0;
  const dying: SnapshotStore = {
    ...store,
    async delete(key, call) {
      if (++deletes > 3) throw new StoreError("store_failed");
      return store.delete(key, call);
    },
  };
  await expect(gc({ store: dying, keep: 1, graceMs: 0 })).rejects.toMatchObject({ code: "store_failed" });
  expect(await verify(3)).toMatchObject({ ok: true });
  await gc({ keep: 1, graceMs: 0 });
  expect(await gc({ keep: 1, graceMs: 0 })).toMatchObject({ manifestsDeleted: 0, partsDeleted: 0 });
  expect(await verify(3)).toMatchObject({ ok: true });
});

test("sweeps what killed writes left in a folder, but not a write at work", async () => {
  await takeThree();
  const before = await keys();
  const old = Date.now() / 1000 - 25 * 3600;
  for (const [name, isOld] of [
    ["parts/.tmp-0011223344556677", true],
    ["manifests/.tmp-8899aabbccddeeff", true],
    ["parts/.tmp-0000000000000000", false],
  ] as const) {
    writeFileSync(at(`store/i/${id}/${name}`), "12345");
    if (isOld) utimesSync(at(`store/i/${id}/${name}`), old, old);
  }
  const sweep = (isDryRun: boolean) => sweepLeftovers(at("store"), id, Date.now() - 24 * hourMs, isDryRun);
  expect(await sweep(true)).toEqual({ files: 2, bytes: 10 });
  expect(await sweep(false)).toEqual({ files: 2, bytes: 10 });
  expect(await sweep(false)).toEqual({ files: 0, bytes: 0 });
  expect(readdirSync(at(`store/i/${id}/parts`))).toContain(".tmp-0000000000000000");
  expect(await keys()).toEqual(before);
  expect(await sweepLeftovers(at("no store"), id, Date.now(), false)).toEqual({ files: 0, bytes: 0 });
});

test("a part that was cut short is put there again by the next snapshot, and is known from then on", async () => {
  writeFileSync(at("work/one"), noise(600_000, 1));
  await take(1);
  const [part] = (await keys()).filter((key) => key.includes("/parts/"));
  const whole = readFileSync(at(`store/${part}`));
  truncateSync(at(`store/${part}`), 1000);
  await take(2);
  expect(readFileSync(at(`store/${part}`)).equals(whole)).toBe(true);
  for (const seq of [1, 2]) expect(await verify(seq)).toMatchObject({ ok: true });
  const again = await takeSnapshot({ root: at("work"), id, epoch: 1, seq: 3, store, stateDir: at("state") });
  expect(again).toMatchObject({ ok: true, stats: { newPlainBytes: 0, newParts: 0 } });
});
