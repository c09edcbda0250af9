/** Repack: the space of dead chunks comes back, every snapshot stays whole, whenever the work ends. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { instancePrefix, parseObjectKey, type SnapshotStore, StoreError } from "../../core/snapshot/store.ts";
import { runCommand } from "../testing/run-command.ts";
import { describeWorkspace, noise } from "../testing/workspace.ts";
import { collectGarbage } from "./gc.ts";
import { newDataKey, wrapDataKey } from "./keys.ts";
import { readManifest } from "./meta.ts";
import { type RepackOptions, repackSnapshot } from "./repack.ts";
import { restoreSnapshot } from "./restore.ts";
import { lockState } from "./state-lock.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";
import type { TakeOptions } from "./types.ts";
import { verifySnapshot } from "./verify.ts";

const id = "i-repack";
const mb = 1024 * 1024;
let dir: string;
let store: SnapshotStore;
const at = (name: string) => join(dir, name);

const take = (seq: number, more: Partial<TakeOptions> = {}) =>
  takeSnapshot({ root: at("work"), id, epoch: 1, seq, store, stateDir: at("state"), ...more });
const repack = (seq: number, more: Partial<RepackOptions> = {}) =>
  repackSnapshot({
    root: at("work"),
    id,
    epoch: 1,
    newest: { seq, epoch: 1 },
    store,
    stateDir: at("state"),
    below: 0.6,
    ...more,
  });
const verify = (seq: number, more: object = {}) => verifySnapshot({ id, seq, epoch: 1, store, data: true, ...more });
const gc = (keep: number) => collectGarbage({ store, id, keep, graceMs: 0, isDryRun: false, now: Date.now() + 60_000 });
const partsOf = async (seq: number) => (await readManifest(store, id, seq, 1)).manifest.parts.map((part) => part.key);

async function storedBytes(): Promise<number> {
  let sum = 0;
  for await (const { bytes } of store.list(instancePrefix(id))) sum += bytes;
  return sum;
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "soneca-repack-"));
  store = openFolderStore(at("store"));
  mkdirSync(at("work"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A part of ten big files, of which the second snapshot needs three, and one of fifty small ones, of which it needs ten. */
async function makeSparse(more: Partial<TakeOptions> = {}): Promise<void> {
  for (let i = 0; i < 10; i++) writeFileSync(at(`work/${i}`), noise(mb, 300 + i));
  for (let i = 0; i < 50; i++) writeFileSync(at(`work/small-${i}`), noise(2000, 400 + i));
  expect(await take(1, more)).toMatchObject({ ok: true });
  for (let i = 0; i < 7; i++) rmSync(at(`work/${i}`));
  for (let i = 0; i < 40; i++) rmSync(at(`work/small-${i}`));
  expect(await take(2, more)).toMatchObject({ ok: true });
}

test("space really falls, and both snapshots stay what they are", { timeout: 60_000 }, async () => {
  await makeSparse();
  const before = await storedBytes();
  const asked = await repack(2, { isDryRun: true });
  expect(asked).toMatchObject({ ok: true, taken: null, sparse: [{}, {}] });
  expect(await storedBytes()).toBe(before);
  if (!asked.ok) throw new Error(asked.message);
  const shares = asked.sparse.map(({ bytes, liveBytes }) => liveBytes / bytes).sort();
  expect(shares[0]).toBeCloseTo(10 / 50, 1);
  expect(shares[1]).toBeCloseTo(3 / 10, 1);
  const old = asked.sparse.map(({ key }) => key);

  const done = await repack(2);
  expect(done).toMatchObject({ ok: true, sparse: asked.sparse, taken: { seq: 3, stats: { torn: 0 } } });
  // What was made anew is what was alive, not more.
  const { newPlainBytes } = (await readManifest(store, id, 3, 1)).manifest.stats;
  expect(newPlainBytes).toBe(3 * mb + 10 * 2000);
  expect((await readManifest(store, id, 3, 1)).manifest.digest).toBe(
    (await readManifest(store, id, 2, 1)).manifest.digest,
  );
  expect((await partsOf(3)).filter((key) => old.includes(key))).toEqual([]);
  for (const seq of [1, 2, 3]) expect(await verify(seq)).toMatchObject({ ok: true });
  const restored = await restoreSnapshot({ id, seq: 3, epoch: 1, root: at("back"), store, stateDir: at("state2") });
  expect(restored).toMatchObject({ ok: true });
  expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));

  // Older manifests keep the old part alive; the next snapshots do not take it up again.
  await gc(3);
  expect(await take(4)).toMatchObject({ ok: true, stats: { newParts: 0 } });
  expect((await partsOf(4)).filter((key) => old.includes(key))).toEqual([]);
  await gc(1);
  expect(await storedBytes()).toBeLessThan(before - 6 * mb);
  expect(await verify(4, { root: at("work"), stateDir: at("state3") })).toMatchObject({ ok: true });
  expect(await repack(4)).toEqual({ ok: true, sparse: [], taken: null });
});

test("what is stored stays where enough of it is in use; --below decides what is enough", async () => {
  for (let i = 0; i < 10; i++) writeFileSync(at(`work/${i}`), noise(mb, 300 + i));
  expect(await take(1)).toMatchObject({ ok: true });
  rmSync(at("work/0"));
  expect(await take(2)).toMatchObject({ ok: true });
  expect(await repack(2)).toEqual({ ok: true, sparse: [], taken: null });
  expect(await repack(2, { below: 0.95 })).toMatchObject({ ok: true, sparse: [{}], taken: { seq: 3 } });
});

test("a folder that is not the newest snapshot any more is refused before anything is sent", async () => {
  await makeSparse();
  const before = await storedBytes();
  writeFileSync(at("work/7"), "another");
  for (const isDryRun of [true, false])
    expect(await repack(2, { isDryRun })).toMatchObject({ ok: false, code: "folder_differs" });
  expect(await storedBytes()).toBe(before);
});

test("a folder that changes while it is repacked gets no manifest", async () => {
  await makeSparse();
  let isChanged = false;
  const meddling: SnapshotStore = {
    ...store,
    // The first listing comes after the folder was compared, and before it is read.
    list: (...args) => {
      isChanged = true;
      writeFileSync(at("work/9"), "changed meanwhile");
      return store.list(...args);
    },
  };
  expect(await repack(2, { store: meddling })).toMatchObject({ ok: false, code: "folder_differs" });
  expect(isChanged).toBe(true);
  expect(readdirSync(at(`store/${instancePrefix(id)}manifests`)).length).toBe(2);
});

test("the state folder of another run, a missing snapshot, a lost part", async () => {
  await makeSparse();
  const release = lockState(at("state"), id);
  expect(await repack(2)).toMatchObject({ ok: false, code: "state_in_use" });
  release();
  expect(await repack(9)).toMatchObject({ ok: false, code: "object_not_found" });
  for (const name of readdirSync(at(`store/${instancePrefix(id)}parts`)))
    if (statSync(at(`store/${instancePrefix(id)}parts/${name}`)).size < mb)
      rmSync(at(`store/${instancePrefix(id)}parts/${name}`));
  expect(await repack(2)).toMatchObject({ ok: false, code: "part_missing" });
});

describe("cut off in the middle", () => {
  test("after any put, every manifest is whole, and the next try goes on", { timeout: 120_000 }, async () => {
    await makeSparse();
    let isWhole = false;
    let sent = 0;
    for (let allowed = 0; !isWhole; allowed++) {
      let puts = 0;
      const failing: SnapshotStore = {
        ...store,
        put: async (...args) => {
          if (puts >= allowed) throw new StoreError("store_unreachable");
          puts++;
          const put = await store.put(...args);
          if (put === "created") sent++;
          return put;
        },
      };
      const result = await repack(2, { store: failing });
      isWhole = result.ok;
      if (!result.ok) expect(result.code).toBe("store_unreachable");
      const manifests = readdirSync(at(`store/${instancePrefix(id)}manifests`));
      expect(manifests.length).toBe(isWhole ? 3 : 2);
      for (let seq = 1; seq <= manifests.length; seq++) expect(await verify(seq)).toMatchObject({ ok: true });
      expect(allowed).toBeLessThan(10);
    }
    // Nothing was made twice: as much in all as one undisturbed run makes.
    let parts = 0;
    for await (const { key } of store.list(instancePrefix(id))) if (parseObjectKey(key)) parts++;
    expect(sent).toBe(parts - 2 - new Set([...(await partsOf(1)), ...(await partsOf(2))]).size);
    await gc(1);
    expect(await verify(3)).toMatchObject({ ok: true });
  });

  test("killed, then run again, as the command", { timeout: 120_000 }, async () => {
    for (let i = 0; i < 8; i++) writeFileSync(at(`work/more-${i}`), noise(10 * mb, 500 + i));
    await makeSparse();
    for (let i = 0; i < 8; i += 2) rmSync(at(`work/more-${i}`));
    expect(await take(3)).toMatchObject({ ok: true });
    const args = ["repack", id, "work", "--store", "store", "--state", "state", "--below", "100", "--json"];
    const names = () => readdirSync(at(`store/${instancePrefix(id)}parts`)).filter((name) => !name.startsWith("."));
    const before = names().length;
    let timer: NodeJS.Timeout | undefined;
    const killed = await runCommand(args, {
      cwd: dir,
      onStart: (child) => {
        timer = setInterval(() => names().length > before && child.kill("SIGKILL"), 2);
      },
    });
    clearInterval(timer);
    expect(killed.signal).toBe("SIGKILL");
    for (const seq of [1, 2, 3]) expect(await verify(seq)).toMatchObject({ ok: true });
    const again = await runCommand(args, { cwd: dir });
    expect(again.last).toMatchObject({ ok: true, snapshotId: `${id}@4`, exit: 0 });
    expect(again.last.parts).toBeGreaterThan(1);
    expect(again.lines.filter((line) => line.type === "repack").length).toBe(again.last.parts);
    await gc(1);
    expect(await verify(4)).toMatchObject({ ok: true });
    const idle = await runCommand(["repack", id, "work", "--store", "store", "--state", "state"], { cwd: dir });
    expect([idle.code, idle.stdout.toString()]).toEqual([0, expect.stringContaining("nothing to gain")]);
  });
});

test("an encrypted instance is repacked under its own key", { timeout: 60_000 }, async () => {
  const dataKey = newDataKey();
  const encryption = { dataKey, wrapped: await wrapDataKey(dataKey, "secret") };
  await makeSparse({ encryption });
  expect(await repack(2)).toMatchObject({ ok: false, code: "key_missing" });
  const unlock = async () => dataKey;
  expect(await repack(2, { unlock })).toMatchObject({ ok: true, taken: { seq: 3 } });
  expect((await readManifest(store, id, 3, 1)).manifest.encryption).toEqual(encryption.wrapped);
  await gc(1);
  expect(await verify(3, { unlock, root: at("work"), stateDir: at("state2") })).toMatchObject({ ok: true });
  expect(await storedBytes()).toBeLessThan(4 * mb);
});
