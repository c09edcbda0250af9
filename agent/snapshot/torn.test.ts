/** A workspace that changes under the reader, at the very moment that hurts: each change is made from inside the scan. */
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ByteReader } from "../../core/snapshot/bytes.ts";
import { decodeEntry, type Entry, readTree } from "../../core/snapshot/tree.ts";
import { Folders } from "../fs/folders.ts";
import { makeNode } from "../fs/native.ts";
import { encodeStream } from "../testing/hand-made.ts";
import { noise } from "../testing/workspace.ts";
import { Breather } from "./breather.ts";
import { cutChunk } from "./cut-chunk.ts";
import { noKeys } from "./keyring.ts";
import type { ChunkSink } from "./read.ts";
import { pathOf, streamOf } from "./rows.ts";
import { scanRound } from "./scan.ts";
import { newProgress } from "./setup.ts";
import { StatCache } from "./stat-cache.ts";
import { Stillness } from "./stillness.ts";

let dir: string;
const at = (name: string) => join(dir, name);
const big = 20 * 1024 * 1024;

/** As a snapshot has it: big files beside small ones; else one file after the other. */
let isBoth = false;

/** `path`: while the walk is at a path. `chunk`: while a file is read, with how many chunks of big or of small files were so far. */
async function scan(on: {
  path?: (path: string) => void;
  chunk?: (n: number) => void;
  small?: (n: number) => void;
  /** No bytes are wanted: all is read in the order of the tree. */
  idsOnly?: boolean;
}) {
  const folders = new Folders(at("work"), false);
  let [big, small] = [0, 0];
  const add: ChunkSink["add"] = async (_id, _bytes, place) => (place ? on.chunk?.(++big) : on.small?.(++small));
  const sink: ChunkSink = { has: () => false, hasAt: () => false, add };
  try {
    const round = await scanRound({
      folders,
      isExcluded: (path) => {
        on.path?.(path);
        return false;
      },
      cache: new StatCache(at("no-such-cache"), at("work")),
      stillness: new Stillness(Date.now()),
      sink: on.idsOnly ? null : sink,
      breather: new Breather(),
      counts: newProgress(),
      onStep: () => {},
      keyring: noKeys,
      isCacheStored: false,
      ...(isBoth && { cut: (task) => Promise.resolve(cutChunk(task, noKeys.idOf)) }),
    });
    const entries = new Map(
      [...round.entries].map((row): [string, Entry] => [
        pathOf(row),
        decodeEntry(new ByteReader(streamOf(row), "record")),
      ]),
    );
    return { ...round, entries };
  } finally {
    folders.close();
  }
}

/** Once. */
function first(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-torn-"));
  mkdirSync(at("work/folder/below"), { recursive: true });
  mkdirSync(at("outside"));
  writeFileSync(at("outside/file"), "outside");
  mkdirSync(at("outside/below"));
  writeFileSync(at("outside/below/file"), "outside");
  writeFileSync(at("work/folder/below/file"), "below");
  writeFileSync(at("work/big"), noise(big, 1));
  writeFileSync(at("work/last"), "last");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe.each([
  ["one file after the other", false],
  ["big files beside small ones", true],
])("%s", (_how, both) => {
  beforeEach(() => {
    isBoth = both;
  });

  describe("a file that changes once while it is read is read again", () => {
    const cases: [string, () => void, number][] = [
      ["grows", () => appendFileSync(at("work/big"), "more"), big + 4],
      ["is cut", () => truncateSync(at("work/big"), 3_000_000), 3_000_000],
      ["is emptied", () => truncateSync(at("work/big"), 0), 0],
      ["is written over", () => writeFileSync(at("work/big"), noise(big, 2)), big],
      [
        "is replaced",
        () => {
          writeFileSync(at("work/new"), "new");
          renameSync(at("work/new"), at("work/big"));
        },
        3,
      ],
    ];
    test.each(cases)("%s", async (_, change, size) => {
      const { entries, torn, unreadable } = await scan({ chunk: first(change) });
      expect({ torn: torn.filter((path) => path !== ""), unreadable }).toEqual({ torn: [], unreadable: [] });
      expect(entries.get("big")).toMatchObject({ type: "f", size });
      const before = await scan({});
      expect(before.entries.get("big")).toEqual(entries.get("big"));
    });
  });

  describe("one that never rests is said to be torn, and its record holds together", () => {
    test("a log that grows", async () => {
      const { entries, torn } = await scan({ chunk: () => appendFileSync(at("work/big"), "line\n") });
      expect(torn).toContain("big");
      const entry = entries.get("big") as Extract<Entry, { type: "f" }>;
      expect(entry.chunks.reduce((sum, chunk) => sum + chunk.plainBytes, 0)).toBe(entry.size);
    });

    test("a file that grows and is cut in turn", async () => {
      const { torn } = await scan({ chunk: (n) => truncateSync(at("work/big"), n % 2 === 0 ? big : big / 2) });
      expect(torn).toContain("big");
    });
  });

  describe("what takes a file's name while another is read", () => {
    const cases: [string, () => void, string][] = [
      ["a folder", () => mkdirSync(at("work/last")), "d"],
      ["a link", () => symlinkSync(at("outside/file"), at("work/last")), "l"],
      ["a fifo, which would block a reader", () => makeNode(at("work/last"), 0o010644, 0), "p"],
    ];
    test.each(cases)("%s is never read as the file, nor followed", async (_, make, type) => {
      const { entries, torn, unreadable } = await scan({
        small: first(() => {
          rmSync(at("work/last"));
          make();
        }),
      });
      const entry = entries.get("last");
      const isListed = torn.includes("last") || unreadable.some(({ path }) => path === "last");
      expect(isListed || entry?.type === type).toBe(true);
      expect(entry?.type === "f" && entry.size === "outside".length).toBe(false);
    });

    test("nothing: a file that is gone makes the round torn", async () => {
      const { entries, torn } = await scan({ small: first(() => rmSync(at("work/last"))) });
      expect(entries.has("last")).toBe(false);
      expect(torn).toContain("last");
    });
  });

  describe("a folder that changes while it is walked", () => {
    const cases: [string, () => void][] = [
      ["is gone", () => rmSync(at("work/folder"), { recursive: true })],
      [
        "becomes a file",
        () => {
          rmSync(at("work/folder"), { recursive: true });
          writeFileSync(at("work/folder"), "file");
        },
      ],
      [
        "becomes a link outward",
        () => {
          renameSync(at("work/folder"), at("moved"));
          symlinkSync(at("outside"), at("work/folder"));
        },
      ],
      [
        "becomes a link to one that has folders in place of its files",
        () => {
          rmSync(at("outside/below/file"));
          mkdirSync(at("outside/below/file"));
          renameSync(at("work/folder"), at("moved"));
          symlinkSync(at("outside"), at("work/folder"));
        },
      ],
      ["may not be read any more", () => chmodSync(at("work/folder"), 0o000)],
    ];
    const moments = ["folder", "folder/below", "folder/below/file", "last"];
    for (const moment of [...moments, "read"]) {
      test.each(cases)(`${moment}: %s`, async (_, change) => {
        const happen = first(change);
        const round = await scan({
          path: (path) => path === moment && happen(),
          chunk: () => moment === "read" && happen(),
        });
        // Whatever it saw: its tree is one that a restore takes.
        const stream = Buffer.concat([...round.entries].flatMap(([, entry]) => [encodeStream([entry])]));
        expect([...readTree(stream)].length).toBe(round.entries.size);
        const outside = [...round.entries.values()].filter(
          (entry) => entry.type === "f" && entry.size === "outside".length,
        );
        expect(outside.length === 0 || round.torn.length > 0).toBe(true);
        const files = [...round.entries.values()].filter((entry) => entry.type === "f");
        expect(round).toMatchObject({
          files: files.length,
          plainBytes: files.reduce((sum, { size }) => sum + size, 0),
        });
        expect(new Set(round.torn).size).toBe(round.torn.length);
        // And the next round sees a folder at rest.
        expect((await scan({})).torn).toEqual([]);
      });
    }
  });

  describe("a file with several names", () => {
    const links = ({ entries }: Awaited<ReturnType<typeof scan>>) =>
      Object.fromEntries(["m", "q", "z"].map((name) => [name, entries.get(name)?.type]));
    beforeEach(() => {
      writeFileSync(at("work/m"), "of two names");
      linkSync(at("work/m"), at("work/q"));
      writeFileSync(at("work/z"), "of one name");
    });

    test("of which the first is gone before it is read: the next one has its bytes", async () => {
      const round = await scan({
        chunk: first(() => rmSync(at("work/m"))),
        small: first(() => rmSync(at("work/m"), { force: true })),
      });
      expect(links(round)).toEqual({ m: undefined, q: "f", z: "f" });
      expect(round.torn).toContain("m");
    });

    test("which takes the name of one that comes later: no link names what comes after it", async () => {
      const take = first(() => {
        rmSync(at("work/z"));
        linkSync(at("work/m"), at("work/z"));
      });
      const round = await scan({ chunk: take, small: take });
      const stream = Buffer.concat([...round.entries].flatMap(([, entry]) => [encodeStream([entry])]));
      expect([...readTree(stream)].length).toBe(round.entries.size);
      expect(links(round)).toEqual({ m: "f", q: "f", z: "f" });
    });

    test("at rest: the first has the bytes", async () => {
      expect(links(await scan({}))).toEqual({ m: "f", q: "h", z: "f" });
    });
  });

  test("the same tree as one after the other: big and small in turn, several names, links, holes", async () => {
    for (let i = 0; i < 12; i++)
      writeFileSync(at(`work/${String.fromCharCode(97 + i)}`), noise(i % 2 ? 700_000 : 300, i));
    mkdirSync(at("work/deep/only/big"), { recursive: true });
    writeFileSync(at("work/deep/only/big/one"), noise(900_000, 40));
    for (const name of ["0-first", "folder/between", "z-last"])
      linkSync(at("work/deep/only/big/one"), at(`work/${name}`));
    linkSync(at("work/last"), at("work/0-small"));
    writeFileSync(at("work/sparse"), "");
    truncateSync(at("work/sparse"), 30_000_000);
    for (const version of ["v1", "v2"]) {
      mkdirSync(at(`work/${version}/lib`), { recursive: true });
      for (const name of ["a", "b"]) writeFileSync(at(`work/${version}/lib/${name}`), `${name} of ${version}`);
      linkSync(at(`work/${version}/lib/a`), at(`work/${version}/c`));
    }
    const round = await scan({});
    const plain = await scan({ idsOnly: true });
    expect(round.digest).toBe(plain.digest);
    expect([...round.entries]).toEqual([...plain.entries]);
    expect(round).toMatchObject({ files: plain.files, plainBytes: plain.plainBytes, torn: [], unreadable: [] });
  });
});

describe("big files beside small ones: where one reading fails, the other ends too", () => {
  const fails = (when: "big" | "small") =>
    scan({
      chunk: () => {
        if (when === "big") throw new Error("no store");
      },
      small: () => {
        if (when === "small") throw new Error("no store");
      },
    });
  test.each(["big", "small"] as const)("%s", async (when) => {
    isBoth = true;
    for (let i = 0; i < 500; i++) writeFileSync(at(`work/small-${i}`), `${i}`);
    await expect(fails(when)).rejects.toThrow("no store");
  });

  test("a big file that may not be read is named, and all else is there", async () => {
    isBoth = true;
    const round = await scan({ path: (path) => path === "last" && chmodSync(at("work/big"), 0o000) });
    const isRoot = process.geteuid?.() === 0;
    expect(round.unreadable).toEqual(isRoot ? [] : [{ path: "big", reason: "EACCES" }]);
    expect(round.entries.has("last")).toBe(true);
  });
});
