import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { countDeepTree, makeDeepTree, removeDeepTree } from "../testing/deep-tree.ts";
import { restoreSnapshot } from "./restore.ts";
import { scanDigest } from "./scan-folder.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";

const levels = 400;
const name = "a-name-of-sixty-bytes-so-that-path-max-is-passed-many-times-";
let dir: string;
const at = (path: string) => join(dir, path);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-deep-"));
  mkdirSync(at("work"));
});
afterEach(() => {
  for (const root of ["work", "back"]) {
    try {
      removeDeepTree(at(root), name, levels);
    } catch {
      // Not made, or the test has removed it.
    }
  }
  rmSync(dir, { recursive: true, force: true });
});

test("a tree of 24,000 bytes of path comes back, is restored over itself and is removed as an extra", async () => {
  const shared = { id: "i-deep", epoch: 1, store: openFolderStore(at("store")) };
  const take = (seq: number) => takeSnapshot({ ...shared, seq, root: at("work"), stateDir: at("state") });
  const restore = (seq: number, deleteExtras = false) =>
    restoreSnapshot({ ...shared, seq, root: at("back"), stateDir: at("state2"), deleteExtras });
  expect(await take(1)).toMatchObject({ ok: true, stats: { entries: 1, torn: 0 } });
  makeDeepTree(at("work"), name, levels);
  const taken = await take(2);
  expect(taken).toMatchObject({ ok: true, stats: { entries: levels + 1 + 41, torn: 0, skipped: [] } });
  expect(await restore(2)).toMatchObject({ ok: true, stats: { skipped: [] } });
  expect(countDeepTree(at("back"), name, levels)).toBe(levels + 1);
  expect(await scanDigest({ root: at("back"), id: "i-deep", stateDir: at("state3") })).toMatchObject({
    ok: true,
    digest: taken.ok && taken.digest,
    torn: 0,
  });
  expect(await restore(2)).toMatchObject({ ok: true, stats: { parts: 0 } });
  // The folder's own times are those of the first snapshot again, so everything below it must be gone.
  expect(await restore(1, true)).toMatchObject({ ok: true, stats: { entries: 1, extras: 0 } });
});
