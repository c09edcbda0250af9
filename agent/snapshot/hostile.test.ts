/** Snapshots that nobody honest has written. Whatever they say, nothing outside of the target changes. */
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ByteWriter } from "../../core/snapshot/bytes.ts";
import type { Entry } from "../../core/snapshot/tree.ts";
import { encodeStream, file, folder, type HandMade, hardLink, link, node, putHandMade } from "../testing/hand-made.ts";
import { describeWorkspace } from "../testing/workspace.ts";
import { nodePrimitives } from "./primitives.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { verifySnapshot } from "./verify.ts";

let dir: string;
let outside: Map<string, string>;
const at = (name: string) => join(dir, name);
const root = folder("");
const restore = (more: object = {}) =>
  restoreSnapshot({
    id: "i-bad",
    seq: 1,
    epoch: 1,
    root: at("jail/back"),
    store: openFolderStore(at("store")),
    stateDir: at("state"),
    ...more,
  });
const put = (made: HandMade) => putHandMade(openFolderStore(at("store")), "i-bad", made);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-hostile-"));
  mkdirSync(at("jail/back"), { recursive: true });
  mkdirSync(at("outside/folder"), { recursive: true });
  writeFileSync(at("outside/file"), "of somebody else", { mode: 0o640 });
  writeFileSync(at("outside/folder/file"), "too");
  outside = describeWorkspace(at("outside"));
});
afterEach(() => {
  // Before anything else: whatever a test did, nothing outside is another than before.
  const now = describeWorkspace(at("outside"));
  const beside = readdirSync(at("jail"));
  rmSync(dir, { recursive: true, force: true });
  expect(now).toEqual(outside);
  expect(beside.filter((name) => name !== "back" && name !== "moved")).toEqual([]);
});

test("an honest snapshot made by hand comes back", async () => {
  await put({
    entries: [root, folder("a"), file("a/b", "text"), hardLink("c", "a/b"), link("d", "a/b")],
    texts: ["text"],
  });
  expect(await restore()).toMatchObject({ ok: true, stats: { entries: 5 } });
  expect(readFileSync(at("jail/back/c"), "utf8")).toBe("text");
  expect(await verifySnapshot({ id: "i-bad", seq: 1, epoch: 1, store: openFolderStore(at("store")) })).toMatchObject({
    ok: true,
  });
});

describe("a path that leads away is refused before anything is made", () => {
  const cases: [string, Entry[]][] = [
    ["..", [root, folder("..")]],
    ["../x", [root, folder(".."), file("../x", "text")]],
    ["a/../../x", [root, folder("a"), file("a/../../x", "text")]],
    ["/etc/x", [root, file("/etc/x", "text")]],
    ["a//b", [root, folder("a"), file("a//b", "text")]],
    ["a trailing slash", [root, folder("a/")]],
    ["a dot", [root, file(".", "text")]],
    ["a name with NUL", [root, file("a\0b", "text")]],
    ["a name of 256 bytes", [root, file("n".repeat(256), "text")]],
    ["no root", [folder("a")]],
    ["a root that is a link", [{ ...link("", "/tmp") }]],
    ["the root twice", [root, root]],
    ["the same path twice", [root, file("a", "text"), file("a", "text")]],
    ["a link and a folder of one name", [root, link("a", "/tmp"), folder("a"), file("a/b", "text")]],
    ["a file below a link", [root, link("a", "../../outside"), file("a/file", "text")]],
    ["a file below a file", [root, file("a", "text"), file("a/b", "text")]],
    ["a file below a hard link", [root, file("a", "text"), hardLink("b", "a"), file("b/c", "text")]],
    ["a file below nothing", [root, file("a/b", "text")]],
    ["out of order", [root, file("b", "text"), file("a", "text")]],
    ["a hard link outward", [root, hardLink("a", "../../outside/file")]],
    ["a hard link to an absolute path", [root, hardLink("a", "/etc/passwd")]],
    ["a hard link to a folder", [root, folder("a"), hardLink("b", "a")]],
    ["a hard link to the root", [root, hardLink("b", "")]],
    ["a hard link to itself", [root, hardLink("b", "b")]],
    ["a hard link to a later one", [root, hardLink("a", "b"), file("b", "text")]],
    ["a hard link through a link", [root, link("a", "../../outside"), hardLink("b", "a/file")]],
    ["a hard link to a socket", [root, node("a", "s"), hardLink("b", "a")]],
  ];
  test.each(cases)("%s", async (_, entries) => {
    await put({ entries, texts: ["text"] });
    expect(await restore()).toMatchObject({ ok: false, code: "snapshot_hostile", retryable: false });
    expect(readdirSync(at("jail/back"))).toEqual([]);
  });
});

describe("a tree that lies is refused", () => {
  const id = nodePrimitives.chunkId(Buffer.from("text"));
  const big = (more: object): Entry => file("a", "text", more);
  const cases: [string, HandMade][] = [
    ["a size without chunks", { entries: [root, big({ size: 2 ** 50, chunks: [] })] }],
    ["a size that its chunks do not have", { entries: [root, big({ size: 5 })] }],
    ["a chunk above the limit", { entries: [root, big({ size: 2 ** 24, chunks: [{ id, plainBytes: 2 ** 24 }] })] }],
    ["a chunk in no part", { entries: [root, big({ chunks: [{ id: "x".repeat(32), plainBytes: 4 }] })] }],
    ["a chunk of another size", { entries: [root, big({ size: 7, chunks: [{ id, plainBytes: 7 }] })] }],
    [
      "a big file with a chunk of another size",
      { entries: [root, big({ size: 2 ** 20, chunks: [{ id, plainBytes: 2 ** 20 }] })] },
    ],
    [
      "two sizes of one chunk",
      { entries: [root, big({ size: 2 ** 20, chunks: [{ id, plainBytes: 2 ** 20 }] }), file("b", "text")] },
    ],
    ["a hole past the end", { entries: [root, big({ holes: [{ offset: 2, length: 1000 }] })] }],
    ["more xattrs than there may be", { entries: [root, big({ xattrs: manyXattrs(5000, 1) })] }],
    ["more bytes of xattrs than there may be", { entries: [root, big({ xattrs: manyXattrs(40, 60_000) })] }],
    ["a link to nothing", { entries: [root, link("a", "")] }],
    ["a link with NUL", { entries: [root, link("a", "a\0b")] }],
    ["a mode above 07777", { entries: [root, folder("a", { mode: 0o17777 })] }],
    ["a cut stream", { entries: [root, folder("a")], stream: encodeStream([root, folder("a")]).slice(0, -3) }],
    [
      "a longer stream",
      { entries: [root, folder("a")], stream: Buffer.concat([encodeStream([root, folder("a")]), Buffer.alloc(1)]) },
    ],
    ["fewer entries than it says", { entries: [root, folder("a")], stream: encodeStream([root]) }],
    ["an announced number of chunks", { entries: [root, folder("a")], stream: announcedChunks() }],
    ["another digest", { entries: [root], manifest: { digest: "0".repeat(64) } }],
    [
      "a root chunk that is no root",
      { entries: [root], manifest: { root: { id: Buffer.from(id, "latin1").toString("hex") } } },
    ],
  ];
  test.each(cases)("%s", async (_, made) => {
    await put({ texts: ["text"], ...made });
    const result = await restore();
    expect(result).toMatchObject({ ok: false, code: "snapshot_damaged" });
  });

  test("an entry type or a flag of a later version is named as such", async () => {
    const stream = encodeStream([root, folder("a")]);
    stream[stream.lastIndexOf("d".charCodeAt(0))] = "z".charCodeAt(0);
    await put({ entries: [root, folder("a")], stream });
    expect(await restore()).toMatchObject({ ok: false, code: "snapshot_format_unknown" });
  });
});

describe("links in the target lead nowhere", () => {
  const entries = [root, folder("a"), folder("a/folder"), file("a/folder/file", "text"), file("file", "text")];

  test("where the snapshot has folders and files", async () => {
    await put({ entries, texts: ["text"] });
    symlinkSync(at("outside"), at("jail/back/a"));
    symlinkSync(at("outside/file"), at("jail/back/file"));
    expect(await restore()).toMatchObject({ ok: true });
    expect(lstatSync(at("jail/back/a")).isDirectory()).toBe(true);
    expect(readFileSync(at("jail/back/file"), "utf8")).toBe("text");
  });

  test("nor where extras are removed", async () => {
    await put({ entries, texts: ["text"] });
    symlinkSync(at("outside"), at("jail/back/extra"));
    mkdirSync(at("jail/back/more"));
    symlinkSync(at("outside"), at("jail/back/more/extra"));
    expect(await restore({ deleteExtras: true })).toMatchObject({ ok: true, stats: { extras: 0 } });
    expect(readdirSync(at("jail/back")).sort()).toEqual(["a", "file"]);
  });

  for (const phase of ["compare", "receive", "attributes", "check"]) {
    test(`that are put there during the restore, in phase ${phase}`, async () => {
      await put({ entries, texts: ["text"] });
      let swapped = false;
      const onProgress = (progress: { phase: string }) => {
        if (progress.phase !== phase || swapped) return;
        swapped = true;
        renameSync(at("jail/back/a"), at("jail/moved"));
        symlinkSync(at("outside"), at("jail/back/a"));
      };
      const result = await restore({ onProgress });
      expect(swapped).toBe(true);
      expect(result.ok).toBe(false);
    });
  }

  test("a file that becomes a link before its mode is set", async () => {
    await put({ entries: [root, file("file", "text", { mode: 0o777 })], texts: ["text"] });
    writeFileSync(at("jail/back/file"), "text");
    let swapped = false;
    const onProgress = (progress: { phase: string }) => {
      if (progress.phase !== "check" || swapped) return;
      swapped = true;
      rmSync(at("jail/back/file"));
      symlinkSync(at("outside/file"), at("jail/back/file"));
    };
    expect(await restore({ onProgress })).toMatchObject({
      ok: false,
      code: "restore_digest_mismatch",
      paths: ["file"],
    });
    expect(statSync(at("outside/file")).mode & 0o777).toBe(0o640);
  });
});

test("an attribute that no snapshot may set is not set, and said", async () => {
  const xattrs = [["security.selinux", Buffer.from("other")] as const];
  await put({ entries: [root, file("a", "text", { xattrs: [...xattrs] })], texts: ["text"] });
  expect(await restore()).toMatchObject({
    ok: false,
    code: "restore_inexact",
    losses: [{ what: "security.selinux", reason: "not kept", entries: 1, example: "a" }],
  });
});

function manyXattrs(count: number, bytes: number): [string, Uint8Array][] {
  return Array.from({ length: count }, (_, i) => [`user.${String(i).padStart(5, "0")}`, new Uint8Array(bytes)]);
}

/** A file that says it has sixteen million chunks, and ends. */
function announcedChunks(): Uint8Array {
  const writer = new ByteWriter();
  writer.bytes(encodeStream([root]));
  writer.varint(1);
  writer.latin1("af");
  writer.u8(0);
  for (let i = 0; i < 3; i++) writer.varint(0);
  writer.i64(0n);
  writer.u32(0);
  writer.varint(2 ** 40);
  writer.varint(16_000_000);
  return writer.finish();
}
