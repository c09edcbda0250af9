import {
  appendFileSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Manifest, parseManifest } from "../../core/snapshot/manifest.ts";
import { manifestObjectKey } from "../../core/snapshot/store.ts";
import { describeWorkspace, type HardWorkspace, makeHardWorkspace, noise } from "../testing/workspace.ts";
import { restoreSnapshot } from "./restore.ts";
import { tempPathOf } from "./restore-folder.ts";
import { scanDigest } from "./scan-folder.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";
import type { SnapshotProgress } from "./types.ts";
import { verifySnapshot } from "./verify.ts";

let dir: string;
let workspace: HardWorkspace | null = null;
let timer: NodeJS.Timeout | undefined;
const at = (name: string) => join(dir, name);
const take = (seq: number, more: object = {}) =>
  takeSnapshot({
    root: at("work"),
    id: "i-test",
    epoch: 1,
    seq,
    store: openFolderStore(at("store")),
    stateDir: at("state"),
    ...more,
  });
const restore = (seq: number, more: object = {}) =>
  restoreSnapshot({
    id: "i-test",
    seq,
    epoch: 1,
    root: at("back"),
    store: openFolderStore(at("store")),
    stateDir: at("state2"),
    ...more,
  });
const manifestOf = (seq: number): Manifest => {
  const parsed = parseManifest(readFileSync(at(`store/${manifestObjectKey("i-test", seq, 1)}`), "utf8"));
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.manifest;
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-trip-"));
});
afterEach(async () => {
  clearInterval(timer);
  await workspace?.close();
  workspace = null;
  rmSync(dir, { recursive: true, force: true });
});

describe("a workspace with everything that is hard to keep", () => {
  test("comes back identical, and its digest with it", async () => {
    workspace = await makeHardWorkspace(at("work"));
    const before = describeWorkspace(at("work"));
    const taken = await take(1);
    expect(taken).toMatchObject({ ok: true, stats: { torn: 0, skipped: [{ path: "socket", reason: "socket" }] } });
    const restored = await restore(1);
    expect(restored).toMatchObject({ ok: true, stats: { extras: 0 } });
    expect(describeWorkspace(at("back"))).toEqual(before);
    expect(taken.ok && restored.ok && taken.digest === restored.digest).toBe(true);
    expect(await scanDigest({ root: at("back"), id: "i-test", stateDir: at("state3") })).toMatchObject({
      ok: true,
      digest: taken.ok && taken.digest,
    });
    expect(describeWorkspace(at("work"))).toEqual(before);

    const verified = await verifySnapshot({
      data: true,
      id: "i-test",
      seq: 1,
      epoch: 1,
      store: openFolderStore(at("store")),
      root: at("back"),
      stateDir: at("state4"),
    });
    expect(verified).toMatchObject({ ok: true, torn: 0 });
    // Again into the whole folder: nothing is fetched, nothing changes.
    const again = await restore(1);
    expect(again).toMatchObject({ ok: true, stats: { parts: 0, receivedBytes: 0 } });
    expect(describeWorkspace(at("back"))).toEqual(before);
  });

  test("a snapshot of what was restored sends no data", async () => {
    workspace = await makeHardWorkspace(at("work"));
    expect(await take(1)).toMatchObject({ ok: true });
    expect(await restore(1)).toMatchObject({ ok: true });
    const again = await takeSnapshot({
      root: at("back"),
      id: "i-test",
      epoch: 2,
      seq: 2,
      store: openFolderStore(at("store")),
      stateDir: at("state2"),
    });
    // The socket did not come back: one chunk of the tree is new, and a segment describes it.
    expect(again).toMatchObject({ ok: true, stats: { newPlainBytes: 0, newParts: 2 } });
  });

  test("restores over a folder that was changed in every way", async () => {
    workspace = await makeHardWorkspace(at("work"));
    const before = describeWorkspace(at("work"));
    await take(1);
    await restore(1);
    truncateSync(at("back/big"), 1000);
    appendFileSync(at("back/a/x"), "more");
    rmSync(at("back/link"));
    symlinkSync("/etc", at("back/deep-link"));
    rmSync(at("back/a-b"), { recursive: true });
    symlinkSync("/tmp", at("back/a-b"));
    writeFileSync(at("back/empty/extra"), "extra");
    renameSync(at("back/one"), at("back/one.moved"));
    writeFileSync(at("back/one"), "2");
    expect(await restore(1, { deleteExtras: true })).toMatchObject({ ok: true });
    expect(describeWorkspace(at("back"))).toEqual(before);
    expect(readdirSync("/tmp")).not.toContain("x");
  });
});

test("a second snapshot sends what changed", async () => {
  workspace = await makeHardWorkspace(at("work"));
  await take(1);
  const file = noise(40 * 1024 * 1024, 9);
  writeFileSync(at("work/model"), file);
  await take(2);
  file[20_000_000] = (file[20_000_000]! + 1) & 255;
  writeFileSync(at("work/model"), file);
  const third = await take(3);
  expect(third).toMatchObject({ ok: true });
  expect(third.ok && third.stats.newPlainBytes).toBeLessThan(9 * 1024 * 1024);
  // Each snapshot describes its own new parts and lists the segments of those before it.
  const segments = [1, 2, 3].map((seq) => manifestOf(seq).segments);
  expect(segments.map((keys) => keys.length)).toEqual([1, 2, 3]);
  expect(segments[2]).toEqual(expect.arrayContaining(segments[1]!));
  expect(await restore(3)).toMatchObject({ ok: true });
  expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));
  expect(await restore(1, { deleteExtras: true })).toMatchObject({ ok: true });
});

test("takes the same sequence number twice only for the same workspace", async () => {
  workspace = await makeHardWorkspace(at("work"));
  const first = await take(1);
  const second = await take(1);
  expect(second).toMatchObject({ ok: true, manifestSha256: first.ok && first.manifestSha256 });
  writeFileSync(at("work/new"), "new");
  expect(await take(1)).toMatchObject({ ok: false, code: "manifest_exists" });
});

test("a workspace that never rests is pausing its writers for the last round, and is proof", async () => {
  workspace = await makeHardWorkspace(at("work"));
  let n = 0;
  timer = setInterval(() => writeFileSync(at("work/busy"), `${n++}`), 5);
  const events: string[] = [];
  const pauseWriters = async () => {
    events.push("pause");
    clearInterval(timer);
    return { isHeld: true, resume: async () => void events.push("resume") };
  };
  const loud = await take(1, { pauseWriters });
  expect(loud).toMatchObject({ ok: true, stats: { torn: 0, rounds: 3 } });
  expect(events).toEqual(["pause", "resume"]);
});

test("a pause that some writer does not heed is no proof", async () => {
  mkdirSync(at("work"));
  let n = 0;
  const onProgress = ({ phase }: SnapshotProgress) => {
    if (phase === "sync") writeFileSync(at("work/busy"), `${n++}`);
  };
  const resume = vi.fn(async () => {});
  const loud = await take(1, { pauseWriters: async () => ({ isHeld: false, resume }), onProgress });
  expect(loud).toMatchObject({ ok: true, stats: { torn: 1, rounds: 3 }, tornPaths: ["busy"] });
  expect(resume).toHaveBeenCalledOnce();
});

test("without a pause it is marked as torn", async () => {
  workspace = await makeHardWorkspace(at("work"));
  let n = 0;
  timer = setInterval(() => writeFileSync(at("work/busy"), `${n++}`), 3);
  const loud = await take(1).finally(() => clearInterval(timer));
  expect(loud).toMatchObject({ ok: true, stats: { rounds: 3 } });
  expect(loud.ok && loud.stats.torn).toBeGreaterThan(0);
});

test("the digest does not depend on the state folder, and sees a change that keeps size and mtime", async () => {
  workspace = await makeHardWorkspace(at("work"));
  const scan = (state: string) => scanDigest({ root: at("work"), id: "i-test", stateDir: at(state) });
  const first = await scan("s1");
  expect(await scan("s1")).toEqual(first);
  expect(await scan("s2")).toEqual(first);
  const when = new Date(1_600_000_000_000);
  writeFileSync(at("work/a/x"), "BELOW a");
  utimesSync(at("work/a/x"), when, when);
  const changed = await scan("s1");
  writeFileSync(at("work/a/x"), "bElow a");
  utimesSync(at("work/a/x"), when, when);
  expect(await scan("s1")).not.toEqual(changed);
  writeFileSync(at("s1/junk"), "");
  for (const name of readdirSync(at("s1"))) writeFileSync(at(`s1/${name}`), "damaged");
  expect(await scan("s1")).toEqual(await scan("s3"));
});

test("refuses a state folder inside the workspace, a missing workspace and an odd id", async () => {
  workspace = await makeHardWorkspace(at("work"));
  expect(await take(1, { stateDir: at("work/state") })).toMatchObject({ ok: false, code: "state_inside_root" });
  expect(await take(1, { root: at("nowhere") })).toMatchObject({ ok: false, code: "not_a_folder" });
  expect(await take(1, { id: "../x" })).toMatchObject({ ok: false, code: "id_invalid" });
});

test("excludes are left out and listed", async () => {
  workspace = await makeHardWorkspace(at("work"));
  writeFileSync(at("work/.sonecaignore"), "# comment\n*.tmp\n/many\n");
  writeFileSync(at("work/a/x.tmp"), "");
  expect(await take(1, { excludes: ["zeros"] })).toMatchObject({ ok: true });
  await restore(1);
  const back = [...describeWorkspace(at("back")).keys()];
  for (const path of ["many", "many/1", "a/x.tmp", "zeros"]) expect(back).not.toContain(path);
  expect(back).toContain("a/x");
});

test("what is left out is what .sonecaignore says when the workspace is read", async () => {
  mkdirSync(at("work"));
  for (const name of ["one", "two"]) writeFileSync(at(`work/${name}`), name);
  writeFileSync(at("work/.sonecaignore"), "one\n");
  const onProgress = ({ phase }: SnapshotProgress) => {
    if (phase === "known") writeFileSync(at("work/.sonecaignore"), "two\n");
  };
  expect(await take(1, { onProgress })).toMatchObject({ ok: true, stats: { torn: 0 } });
  expect(manifestOf(1).excludes).toEqual(["two"]);
  expect(await restore(1)).toMatchObject({ ok: true });
  expect(readdirSync(at("back")).sort()).toEqual([".sonecaignore", "one"]);
});

test("a file that somebody writes to while it is restored is no equal one, whatever its size and time", async () => {
  mkdirSync(at("work"));
  writeFileSync(at("work/file"), "as it was");
  writeFileSync(at("work/touched"), "as it was");
  expect(await take(1)).toMatchObject({ ok: true });
  const written = await restore(1, {
    onProgress: ({ phase }: SnapshotProgress) => {
      if (phase === "check") for (const name of ["file", "touched"]) writeFileSync(at(`back/${name}`), "as it was");
      if (phase === "check") writeFileSync(at("back/file"), "as it IS ");
    },
  });
  expect(written).toMatchObject({ ok: false, code: "restore_digest_mismatch", paths: ["file"] });
  expect(readFileSync(at("back/file"), "utf8")).toBe("as it IS ");
  expect(await restore(1)).toMatchObject({ ok: true });
  expect(readFileSync(at("back/file"), "utf8")).toBe("as it was");
});

test("what a killed restore of another version left in a file's place does not shine through its holes", async () => {
  mkdirSync(at("work"));
  const size = 12 * 1024 * 1024;
  const fd = openSync(at("work/sparse"), "w");
  ftruncateSync(fd, size);
  writeSync(fd, "start", 0);
  writeSync(fd, "end", size - 3);
  closeSync(fd);
  expect(await take(1)).toMatchObject({ ok: true });
  mkdirSync(at("back"));
  writeFileSync(at(`back/${tempPathOf("sparse", () => false)}`), Buffer.alloc(size, "junk"));
  await restore(1);
  expect(readFileSync(at("back/sparse")).equals(readFileSync(at("work/sparse")))).toBe(true);
});
