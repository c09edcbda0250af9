/** Parts of a snapshot: looked at without a restore, and restored alone. */
import { linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SnapshotStore } from "../../core/snapshot/store.ts";
import { describeWorkspace, noise } from "../testing/workspace.ts";
import { SnapshotBrowser } from "./browse.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";

const id = "i-browse";
const folders = 40;
const filesInEach = 80;
let dir: string;
let store: SnapshotStore;
/** Ranges and wholes that were read. */
let gets: { key: string; bytes: number }[] = [];
const at = (name: string) => join(dir, name);
const restore = (into: string, only: string[]) =>
  restoreSnapshot({ id, seq: 1, epoch: 1, root: at(into), store, stateDir: at("state2"), only });

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "soneca-browse-"));
  for (let d = 0; d < folders; d++) {
    mkdirSync(at(`work/d${d}/in/ner`), { recursive: true });
    for (let f = 0; f < filesInEach; f++) writeFileSync(at(`work/d${d}/in/file ${f}`), `${d} ${f}`);
    writeFileSync(at(`work/d${d}/in/ner/most`), "m");
  }
  writeFileSync(at("work/d5-side"), "sorts between d5 and what lies in it");
  mkdirSync(at("work/links"));
  writeFileSync(at("work/links/first"), noise(700_000, 1));
  for (const name of ["second", "third"]) linkSync(at("work/links/first"), at(`work/links/${name}`));
  const folder = openFolderStore(at("store"));
  store = {
    ...folder,
    async get(key, range, call) {
      const bytes = await folder.get(key, range, call);
      gets.push({ key, bytes: bytes.length });
      return bytes;
    },
  };
  const taken = await takeSnapshot({ root: at("work"), id, epoch: 1, seq: 1, store, stateDir: at("state") });
  expect(taken).toMatchObject({ ok: true });
}, 60_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const open = () => SnapshotBrowser.open(store, id, 1, 1);
const all = async <T>(items: AsyncIterable<T>) => {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
};

describe("browsing", () => {
  test("one path costs a few reads, none of a whole part of the data", async () => {
    gets = [];
    const browser = await open();
    const entry = await browser.find("d33/in/file 77");
    expect(entry).toMatchObject({ path: "d33/in/file 77", type: "f", size: 5 });
    // Manifest, segment, the frame of the tree's root, and that of its chunk.
    expect(gets.length).toBeLessThanOrEqual(4);
    const largest = Math.max(...browser.manifest.parts.map((part) => part.bytes));
    for (const { bytes } of gets) expect(bytes).toBeLessThan(largest);
    gets = [];
    await browser.find("d33/in/file 78");
    expect(gets).toEqual([]);
  });

  test("every path is found, and no other", async () => {
    const browser = await open();
    const paths = (await all(browser.walk())).map((entry) => entry.path);
    expect(paths).toEqual([...describeWorkspace(at("work")).keys()].sort());
    for (let i = 0; i < paths.length; i += 37) {
      expect((await browser.find(paths[i]!))?.path).toBe(paths[i]);
      expect(await browser.find(`${paths[i]}~`)).toBeNull();
    }
    expect(await browser.find("zzz")).toBeNull();
  });

  test("children are what lies directly there, without reading what lies below", async () => {
    const browser = await open();
    gets = [];
    const root = (await all(browser.children(""))).map((entry) => entry.path);
    expect(root).toEqual(readdirSync(at("work")).sort());
    expect((await all(browser.children("d5"))).map((entry) => entry.path)).toEqual(["d5/in"]);
    expect((await all(browser.children("d5/in"))).map((entry) => entry.path.slice(6))).toEqual(
      readdirSync(at("work/d5/in")).sort(),
    );
    expect(await all(browser.children("d5/in/ner/most"))).toEqual([]);
    expect((await all(browser.below("d5"))).length).toBe(filesInEach + 3);
  });

  test("the bytes of a file, by each of its names", async () => {
    const browser = await open();
    for (const name of ["first", "second", "third"]) {
      const file = await browser.inodeOf((await browser.find(`links/${name}`))!);
      const bytes = file.type === "f" ? Buffer.concat(await all(browser.read(file))) : null;
      expect(bytes?.equals(readFileSync(at("work/links/first")))).toBe(true);
    }
  });

  test("lost and damaged bytes are errors", async () => {
    const browser = await open();
    const file = await browser.inodeOf((await browser.find("links/first"))!);
    if (file.type !== "f") throw new Error("no file");
    const { get } = store;
    try {
      store.get = async (...args) => Buffer.from(await get(...args)).fill(7, 10, 20);
      await expect(all(browser.read(file))).rejects.toMatchObject({ code: "snapshot_damaged" });
      store.get = async () => new Uint8Array(3);
      await expect(all(browser.read(file))).rejects.toMatchObject({ code: "snapshot_damaged" });
    } finally {
      store.get = get;
    }
    expect((await all(browser.read(file))).length).toBeGreaterThan(0);
  });
});

describe("a restore of a part", () => {
  test("brings what fits, its folders with their attributes, and nothing else", async () => {
    expect(await restore("part", ["/d7/in/file 1?"])).toMatchObject({ ok: true });
    const back = describeWorkspace(at("part"));
    const wanted = [...describeWorkspace(at("work"))].filter(([path]) => /^(|d7|d7\/in|d7\/in\/file 1\d)$/.test(path));
    expect([...back]).toEqual(wanted);
    expect(back.size).toBe(13);
  });

  test("a folder that fits comes with all below it", async () => {
    expect(await restore("folder", ["ner"])).toMatchObject({ ok: true, stats: { files: folders } });
    expect(readdirSync(at("folder/d3/in/ner"))).toEqual(["most"]);
    expect(readdirSync(at("folder/d3/in"))).toEqual(["ner"]);
  });

  test("names of one file stay names of one file, without the first as well", async () => {
    expect(await restore("links", ["/links/second", "/links/third"])).toMatchObject({ ok: true });
    expect(readdirSync(at("links/links")).sort()).toEqual(["second", "third"]);
    const [a, b] = ["second", "third"].map((name) => statSync(at(`links/links/${name}`)));
    expect([a!.ino, a!.nlink]).toEqual([b!.ino, 2]);
    expect(readFileSync(at("links/links/third")).equals(readFileSync(at("work/links/first")))).toBe(true);
  });

  test("nothing that fits is an error, and nothing is touched in a folder that has more", async () => {
    expect(await restore("none", ["no such"])).toMatchObject({ ok: false, code: "path_not_found" });
    mkdirSync(at("more"));
    writeFileSync(at("more/mine"), "stays");
    expect(await restore("more", ["d5-side"])).toMatchObject({ ok: true, stats: { extras: 1 } });
    expect(readFileSync(at("more/mine"), "utf8")).toBe("stays");
  });
});
