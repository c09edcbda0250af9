/** What changed since the last snapshot: found without reading a file. */
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { diskDir } from "../testing/disk.ts";
import { findChanges } from "./changes.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";
import type { TakeOptions } from "./types.ts";

let dir: string;
const at = (name: string) => join(dir, name);

beforeEach(() => {
  dir = mkdtempSync(join(diskDir(), "soneca-changes-"));
  mkdirSync(at("work/sub"), { recursive: true });
  for (const [name, bytes] of [
    ["a", 10],
    ["b", 1_000],
    ["sub/c", 70_000],
  ] as const)
    writeFileSync(at(`work/${name}`), Buffer.alloc(bytes, name));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function take(seq: number, more: Partial<TakeOptions> = {}) {
  const store = openFolderStore(at("store"));
  const options = {
    root: at("work"),
    id: "i",
    epoch: 1,
    seq,
    store,
    stateDir: at("state"),
    effort: "background" as const,
  };
  const taken = await takeSnapshot({ ...options, ...more });
  if (!taken.ok) throw new Error(taken.message);
  return taken;
}

const changes = async () => {
  const found = await findChanges({ root: at("work"), id: "i", stateDir: at("state") });
  if (!found.ok) throw new Error(found.message);
  return [found.entries, found.bytes];
};

test("after a snapshot of a folder at rest nothing changed; then each kind of change counts", async () => {
  linkSync(at("work/b"), at("work/b2"));
  // Files that changed right before they were read are looked at again.
  await new Promise((resolve) => setTimeout(resolve, 2_100));
  await take(1);
  expect(await changes()).toEqual([0, 0]);
  expect(await changes()).toEqual([0, 0]);
  appendFileSync(at("work/sub/c"), "x");
  expect(await changes()).toEqual([1, 70_001]);
  chmodSync(at("work/a"), 0o600);
  expect(await changes()).toEqual([2, 70_011]);
  // Size and times as before, as far as they can be set.
  const past = new Date(1_600_000_000_000);
  utimesSync(at("work/sub"), past, past);
  expect(await changes()).toEqual([3, 70_011]);
  writeFileSync(at("work/sub/new"), "12345");
  expect(await changes()).toEqual([4, 70_016]);
  // A name that is gone: its folder, and the file that has it no more.
  rmSync(at("work/b2"));
  expect(await changes()).toEqual([6, 71_016]);
  rmSync(at("work/a"));
  expect(await changes()).toEqual([6, 71_006]);
});

test("without a cache all is new", async () => {
  expect(await changes()).toEqual([5, 71_010]);
});

test("what keeps changing is torn, listed by name in result and manifest, and the rest is exact", async () => {
  let n = 0;
  const taken = await take(1, {
    maxRounds: 2,
    // The log grows whenever the engine says anything.
    onProgress: () => appendFileSync(at("work/train.log"), `${n++}\n`),
  });
  expect(taken.stats.rounds).toBe(2);
  expect(taken.stats.torn).toBeGreaterThan(0);
  expect(taken.tornPaths).toContain("train.log");
  expect(taken.stats.skipped).toContainEqual({ path: "train.log", reason: "it changed while it was read" });
  expect(taken.tornPaths).not.toContain("sub/c");
});
