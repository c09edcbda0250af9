import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  lstatSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Folders } from "../fs/folders.ts";
import { Breather } from "./breather.ts";
import { noKeys } from "./keyring.ts";
import { readEntry } from "./read.ts";
import { Walked } from "./walk.ts";

let root: string;
let folders: Folders;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "soneca-read-"));
  folders = new Folders(root, false);
});
afterEach(() => {
  folders.close();
  rmSync(root, { recursive: true });
});

const file = () => join(root, "file");

function stampNow(): Float64Array {
  const walked = new Walked();
  walked.add("file", lstatSync(file()), null);
  return walked.stampAt(0);
}

async function read(stamp: Float64Array) {
  const added: string[] = [];
  const sink = {
    has: () => false,
    hasAt: () => false,
    add: async (_: string, bytes: Uint8Array) => void added.push(Buffer.from(bytes).toString()),
  };
  const result = await readEntry({ folders, keyring: noKeys, sink, breather: new Breather() }, "file", "f", stamp);
  return { result, added };
}

test("a small file that rests is read once", async () => {
  writeFileSync(file(), "as it was");
  const { result, added } = await read(stampNow());
  expect(added).toEqual(["as it was"]);
  expect(result).toMatchObject({ moved: false, entry: { size: 9 } });
});

test("a small file that was written since the walk is as it is now, and nothing of before is kept", async () => {
  writeFileSync(file(), "as it was");
  const stamp = stampNow();
  for (const text of ["now longer than it was", "now", "", "is it so?"]) {
    writeFileSync(file(), text);
    const { result, added } = await read(stamp);
    expect(added).toEqual(text === "" ? [] : [text]);
    expect(result).toMatchObject({ moved: false, entry: { size: text.length } });
  }
});

test("a fifo that took a file's name keeps what it holds", async () => {
  writeFileSync(file(), "as it was");
  const stamp = stampNow();
  rmSync(file());
  execFileSync("mkfifo", [file()]);
  const fifo = openSync(file(), constants.O_RDWR | constants.O_NONBLOCK);
  try {
    writeSync(fifo, "in the fifo");
    const { result, added } = await read(stamp);
    expect(added).toEqual([]);
    expect(result).toMatchObject({ entry: { type: "p" } });
    const held = Buffer.alloc(20);
    expect(held.toString("utf8", 0, readSync(fifo, held))).toBe("in the fifo");
  } finally {
    closeSync(fifo);
  }
});
