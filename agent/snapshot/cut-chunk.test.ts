import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { cutAll, fileChunker } from "../../core/snapshot/chunker.ts";
import { noise } from "../testing/workspace.ts";
import { CoderPool } from "./coder-pool.ts";
import type { CutAnswer, CutTask } from "./coder-tasks.ts";
import { cutChunk } from "./cut-chunk.ts";
import { nodePrimitives } from "./primitives.ts";

const { chunkId } = nodePrimitives;
const mib = 1024 * 1024;
let dir: string;
let fd: number;
const file = () => join(dir, "file");

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-cut-"));
});
afterEach(() => {
  closeSync(fd);
  rmSync(dir, { recursive: true });
});

function write(bytes: Uint8Array): void {
  writeFileSync(file(), bytes);
  fd = openSync(file(), "r");
}

type Cut = (task: Omit<CutTask, "kind">) => CutAnswer | Promise<CutAnswer>;
const here: Cut = (task) => cutChunk(task, chunkId);

async function cutFile(end: number, cut: Cut): Promise<CutAnswer[]> {
  const buffer = new SharedArrayBuffer(fileChunker.max);
  const answers: CutAnswer[] = [];
  for (let offset = 0; offset < end; offset += answers.at(-1)!.plainBytes) {
    answers.push(await cut({ fd, offset, end, buffer }));
    if (answers.at(-1)!.plainBytes === 0) break;
  }
  return answers;
}

/** Noise with a stretch of zeros, which no cut ends before the largest chunk. */
function fileOf(length: number): Buffer {
  const bytes = noise(length, 7);
  bytes.subarray(3 * mib, 14 * mib).fill(0);
  return bytes;
}

test.each([1, 512 * 1024, 700_000, mib, 20 * mib + 5])("a file of %i bytes is cut by the rule", async (length) => {
  const bytes = fileOf(length);
  write(bytes);
  let at = 0;
  const expected = cutAll(bytes, fileChunker).map((plainBytes) => {
    at += plainBytes;
    return { id: chunkId(bytes.subarray(at - plainBytes, at)), plainBytes };
  });
  expect(await cutFile(length, here)).toEqual(expected);
});

test("a thread says the same, and names the errors of the system", async () => {
  write(fileOf(20 * mib));
  const pool = new CoderPool();
  try {
    const there: Cut = (task) => pool.run({ kind: "cut", ...task });
    expect(await cutFile(20 * mib, there)).toEqual(await cutFile(20 * mib, here));
    const buffer = new SharedArrayBuffer(fileChunker.max);
    await expect(there({ fd: 999_999, offset: 0, end: 5, buffer })).rejects.toMatchObject({
      code: "EBADF",
      syscall: "read",
    });
  } finally {
    await pool.close();
  }
});

test("a file that became shorter ends where it ends now, and what grew behind its end is not read", async () => {
  write(noise(5 * mib, 3));
  truncateSync(file(), 3 * mib);
  const short = await cutFile(5 * mib, here);
  expect(short.reduce((sum, { plainBytes }) => sum + plainBytes, 0)).toBe(3 * mib);
  expect(short.at(-1)).toEqual({ id: "", plainBytes: 0 });
  const part = await cutFile(mib, here);
  expect(part.reduce((sum, { plainBytes }) => sum + plainBytes, 0)).toBe(mib);
});
