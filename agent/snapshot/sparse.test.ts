import {
  closeSync,
  existsSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { native } from "../fs/native.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";

const tib = 2 ** 40;
const canSeek = native !== null;
let dir: string;
const at = (name: string) => join(dir, name);
const shared = () => ({ id: "i-sparse", epoch: 1, seq: 1, store: openFolderStore(at("store")), stateDir: at("state") });
const take = (root = at("work")) => takeSnapshot({ ...shared(), root, alreadyQuiet: true });
const restore = () => restoreSnapshot({ ...shared(), root: at("back") });

function makeFile(path: string, size: number, pieces: [offset: number, text: string][]): void {
  const fd = openSync(path, "w");
  ftruncateSync(fd, size);
  for (const [offset, text] of pieces) writeSync(fd, text, offset);
  closeSync(fd);
}

function textAt(path: string, offset: number, length: number): string {
  const fd = openSync(path, "r");
  const bytes = Buffer.alloc(length);
  const got = readSync(fd, bytes, 0, length, offset);
  closeSync(fd);
  return bytes.toString("latin1", 0, got);
}

/** Where the data is, as the file system says. */
function holesOf(path: string) {
  const fd = openSync(path, "r");
  try {
    return native?.findHoles(fd, lstatSync(path).size, 100_000);
  } finally {
    closeSync(fd);
  }
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-sparse-"));
  mkdirSync(at("work"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test.skipIf(!canSeek)(
  "a file of one TiB with three pieces costs seconds, and again nothing",
  { timeout: 60_000 },
  async () => {
    const pieces: [number, string][] = [
      [0, "start"],
      [tib / 2 + 12_345, "middle"],
      [tib - 3, "end"],
    ];
    makeFile(at("work/huge"), tib, pieces);
    expect(await take()).toMatchObject({ ok: true, stats: { plainBytes: tib, torn: 0 } });
    expect(await restore()).toMatchObject({ ok: true });
    expect(lstatSync(at("back/huge")).size).toBe(tib);
    expect(holesOf(at("back/huge"))).toEqual(holesOf(at("work/huge")));
    for (const [offset, text] of pieces) expect(textAt(at("back/huge"), offset, text.length)).toBe(text);
    const again = await restore();
    expect(again).toMatchObject({ ok: true, stats: { parts: 0, reusedBytes: tib } });
  },
);

test.skipIf(!canSeek)("holes at the front, at the end, everywhere and nowhere come back as they were", async () => {
  const mib = 2 ** 20;
  makeFile(at("work/front"), 3 * mib, [[3 * mib - 10, "end"]]);
  makeFile(at("work/end"), 3 * mib, [[0, "start"]]);
  makeFile(at("work/only"), 40 * mib + 7, []);
  makeFile(at("work/small"), 9000, [[8999, "x"]]);
  makeFile(at("work/zeros"), 0, [[0, "\0".repeat(3 * mib)]]);
  makeFile(
    at("work/many"),
    80 * mib,
    Array.from({ length: 2500 }, (_, i): [number, string] => [i * 32_768, "piece"]),
  );
  expect(await take()).toMatchObject({ ok: true });
  expect(await restore()).toMatchObject({ ok: true });
  for (const name of ["front", "end", "only", "small", "zeros", "many"]) {
    expect(holesOf(at(`back/${name}`)), name).toEqual(holesOf(at(`work/${name}`)));
  }
  expect(holesOf(at("back/many"))).toHaveLength(2500);
});

test.skipIf(!existsSync("/dev/shm"))("a file above the format's limit is named, not read for days", async () => {
  const root = mkdtempSync("/dev/shm/soneca-sparse-");
  try {
    makeFile(`${root}/beyond`, 200 * tib, []);
    makeFile(`${root}/beside`, 5, [[0, "small"]]);
    expect(await take(root)).toMatchObject({
      ok: true,
      stats: { torn: 1, files: 1, skipped: [{ path: "beyond", reason: "EFBIG" }] },
    });
  } finally {
    rmSync(root, { recursive: true });
  }
});

test.skipIf(!existsSync("/dev/shm") || !native)(
  "more attributes than the format holds are named, not written",
  async () => {
    const root = mkdtempSync("/dev/shm/soneca-sparse-");
    try {
      makeFile(`${root}/noted`, 5, [[0, "small"]]);
      let isFull = false;
      for (let i = 0; i < 20 && !isFull; i++) {
        try {
          native!.setXattr(`${root}/noted`, `user.note${i}`, new Uint8Array(60_000));
        } catch {
          isFull = true;
        }
      }
      const taken = await take(root);
      // Some kernels' tmpfs hold less than the format: then all of it must be kept.
      if (isFull) expect(taken).toMatchObject({ ok: true, stats: { torn: 0, skipped: [] } });
      else expect(taken).toMatchObject({ ok: true, stats: { torn: 1, skipped: [{ path: "noted", reason: "E2BIG" }] } });
      if (!isFull) expect(await restore()).toMatchObject({ ok: true });
    } finally {
      rmSync(root, { recursive: true });
    }
  },
);
