/** A workspace that is exactly as it was: its tree is not packed again, and never taken for another's. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type Manifest, parseManifest } from "../../core/snapshot/manifest.ts";
import { manifestObjectKey, partObjectKey, type SnapshotStore, StoreError } from "../../core/snapshot/store.ts";
import { diskDir } from "../testing/disk.ts";
import { noise } from "../testing/workspace.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";
import { verifySnapshot } from "./verify.ts";

/** One workspace for all, since what changed within two seconds is read again; each test has its own store. */
let work: string;
let dir: string;
let server: Server | null = null;
const at = (name: string) => join(dir, name);
const store = () => openFolderStore(at("store"));
const rest = () => new Promise((resolve) => setTimeout(resolve, 2100));

beforeAll(async () => {
  work = mkdtempSync(join(diskDir(), "soneca-tree-book-work-"));
  mkdirSync(join(work, "deep"));
  for (let i = 0; i < 20; i++) writeFileSync(join(work, `deep/${i}`), noise(5_000, i));
  writeFileSync(join(work, "model"), noise(3_000_000, 99));
  await rest();
});
beforeEach(() => {
  dir = mkdtempSync(join(diskDir(), "soneca-tree-book-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
afterAll(() => {
  server?.close();
  rmSync(work, { recursive: true, force: true });
});

/** With the phases that it went through. */
async function take(seq: number, more: { store?: SnapshotStore } = {}) {
  const phases = new Set<string>();
  const onProgress = ({ phase }: { phase: string }) => void phases.add(phase);
  const shared = { root: work, id: "i-test", epoch: 1, seq, stateDir: at("state"), onProgress };
  const result = await takeSnapshot({ ...shared, store: store(), ...more });
  return { result, isPacked: phases.has("tree") };
}

function manifestOf(seq: number): Manifest {
  const parsed = parseManifest(readFileSync(at(`store/${manifestObjectKey("i-test", seq, 1)}`), "utf8"));
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.manifest;
}

const listed = (seq: number) => {
  const { root, segments, parts, digest } = manifestOf(seq);
  return { root, segments, parts, digest };
};
const verified = (seq: number) => verifySnapshot({ id: "i-test", seq, epoch: 1, store: store(), data: true });

test("as it was: listed again, without packing, as often as one likes", async () => {
  expect(await take(1)).toMatchObject({ result: { ok: true }, isPacked: true });
  for (const seq of [2, 3]) {
    expect(await take(seq)).toMatchObject({
      result: { ok: true, stats: { newParts: 0, entries: 23 } },
      isPacked: false,
    });
    expect(listed(seq)).toEqual(listed(1));
    expect(await verified(seq)).toMatchObject({ ok: true });
  }
});

test("whichever part the store lost, the next snapshot is whole", async () => {
  await take(1);
  const keys = listed(1).parts.map(({ key }) => key);
  expect(keys.length).toBeGreaterThan(2);
  for (const [n, key] of keys.entries()) {
    rmSync(at(`store/${partObjectKey("i-test", key)}`));
    expect((await take(2 + n)).result).toMatchObject({ ok: true, stats: { torn: 0 } });
    expect(await verified(2 + n)).toMatchObject({ ok: true });
  }
});

test("another store with the same state, and a book that is damaged: packed again", async () => {
  await take(1);
  expect(await take(1, { store: openFolderStore(at("other")) })).toMatchObject({
    result: { ok: true },
    isPacked: true,
  });
  const shared = { id: "i-test", seq: 1, epoch: 1, data: true };
  expect(await verifySnapshot({ ...shared, store: openFolderStore(at("other")) })).toMatchObject({ ok: true });
  await take(2);
  const book = readdirSync(at("state")).find((name) => name.startsWith("tree-"))!;
  for (const text of [
    "",
    "{",
    readFileSync(at(`state/${book}`), "utf8").replace(/"segments":\[[^\]]*\]/, '"segments":[]'),
  ]) {
    writeFileSync(at(`state/${book}`), text);
    expect(await take(3)).toMatchObject({ isPacked: true });
    rmSync(at(`store/${manifestObjectKey("i-test", 3, 1)}`), { force: true });
  }
  expect(await take(4)).toMatchObject({ result: { ok: true }, isPacked: false });
  expect(await verified(4)).toMatchObject({ ok: true });
});

test("one file more, and one that went: packed, and the next one not", async () => {
  await take(1);
  writeFileSync(join(work, "new"), "new");
  await rest();
  expect(await take(2)).toMatchObject({ result: { ok: true, stats: { entries: 24 } }, isPacked: true });
  expect(await take(3)).toMatchObject({ result: { ok: true }, isPacked: false });
  rmSync(join(work, "new"));
  expect(await take(4)).toMatchObject({ result: { ok: true, stats: { entries: 23 } }, isPacked: true });
  for (const seq of [2, 3, 4]) expect(await verified(seq)).toMatchObject({ ok: true });
});

test("a socket is in no digest: one that a run without a manifest saw is in the next tree", async () => {
  await take(1);
  server = createServer().listen(join(work, "deep/socket"));
  await rest();
  const inner = store();
  const put: SnapshotStore["put"] = (key, ...rest) => {
    if (key.includes("/manifests/")) throw new StoreError("store_unreachable", { detail: "gone" });
    return inner.put(key, ...rest);
  };
  const cut = new Proxy(inner, { get: (_, name) => (name === "put" ? put : Reflect.get(inner, name)) });
  expect((await take(2, { store: cut })).result).toMatchObject({ ok: false });
  expect(await take(2)).toMatchObject({ result: { ok: true, stats: { entries: 24 } }, isPacked: true });
  expect(listed(2).root).not.toEqual(listed(1).root);
  expect(await verified(2)).toMatchObject({ ok: true });
});
