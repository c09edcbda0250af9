import { readdirSync } from "node:fs";
import { getPriority } from "node:os";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ByteWriter } from "../../core/snapshot/bytes.ts";
import { decodeFrame } from "../../core/snapshot/codec.ts";
import { codecs } from "../../core/snapshot/frame-head.ts";
import { encodeFrames } from "../../core/snapshot/frame-table.ts";
import { decodePart } from "../../core/snapshot/part.ts";
import { PartBuilder } from "../../core/snapshot/part-builder.ts";
import { noise } from "../testing/workspace.ts";
import { CoderPool, frameBufferBytes } from "./coder-pool.ts";
import type { VerifyTask } from "./coder-tasks.ts";
import { nodePrimitives, sha256Hex } from "./primitives.ts";

let pool: CoderPool;
beforeEach(() => {
  pool = new CoderPool();
});
afterEach(() => pool.close());

const textOf = (bytes: number, word: string) => Buffer.from(word.repeat(bytes / word.length + 1)).subarray(0, bytes);

async function encode(plain: Uint8Array, level = 3): Promise<Uint8Array> {
  const buffer = new SharedArrayBuffer(frameBufferBytes);
  new Uint8Array(buffer).set(plain);
  const { storedBytes } = await pool.run({ kind: "encode", buffer, plainBytes: plain.length, level });
  return new Uint8Array(buffer).slice(0, storedBytes);
}

async function partOf(plain: Uint8Array): Promise<Uint8Array> {
  const builder = new PartBuilder("data");
  builder.add(await encode(plain), plain.length, [{ id: nodePrimitives.chunkId(plain), plainBytes: plain.length }]);
  return new Uint8Array((await builder.finish(nodePrimitives)).bytes);
}

/** As a segment would say it. */
async function framesOf(part: Uint8Array): Promise<Uint8Array> {
  const { table } = await decodePart(part, nodePrimitives);
  const writer = new ByteWriter();
  encodeFrames(writer, table.frames);
  return writer.finish();
}

test("frames from many threads at once are those of one", async () => {
  const plains = Array.from({ length: 40 }, (_, i) =>
    i % 3 === 0
      ? noise(100_000 + i, i)
      : i % 3 === 1
        ? textOf(200_000 + i, `some words in row ${i}, `)
        : new Uint8Array(50_000 + i),
  );
  const frames = await Promise.all(plains.map((plain) => encode(plain)));
  for (const [i, frame] of frames.entries()) {
    expect(frame[0]).toBe([codecs.raw, codecs.zstd, codecs.zero][i % 3]);
    expect(Buffer.compare(await decodeFrame(frame, plains[i]!.length, nodePrimitives), plains[i]!)).toBe(0);
  }
});

describe("a part", () => {
  test("is named where it lies", async () => {
    const part = await partOf(textOf(3_000_000, "some text "));
    const room = new Uint8Array(new SharedArrayBuffer(part.length + 100), 16, part.length);
    room.set(part);
    expect(await pool.run({ kind: "seal", part: room })).toEqual({ sha256: sha256Hex(part) });
  });

  test("is verified to its last byte", async () => {
    const plain = textOf(3_000_000, "some text ");
    const part = await partOf(plain);
    const key = sha256Hex(part);
    const frames = await framesOf(part);
    const verify = (bytes: Uint8Array, name: string, isDeep: boolean) =>
      pool.run({ kind: "verify", bytes: bytes.slice(), key: name, frames, isDeep, isWanted: false });
    for (const isDeep of [false, true]) expect(await verify(part, key, isDeep)).toEqual({ rest: null });
    const bad = part.slice();
    bad[bad.length >> 1]! ^= 1;
    for (const isDeep of [false, true])
      await expect(verify(bad, key, isDeep)).rejects.toMatchObject({ code: "part_damaged" });
    // A name that fits the damage is found by the chunk's id alone.
    expect(await verify(bad, sha256Hex(bad), false)).toEqual({ rest: null });
    await expect(verify(bad, sha256Hex(bad), true)).rejects.toMatchObject({ code: "snapshot_damaged" });
  });

  test("is given back where it is wanted", async () => {
    const part = await partOf(textOf(300_000, "x"));
    const frames = await framesOf(part);
    const task = { kind: "verify", bytes: part.slice(), key: sha256Hex(part), frames, isDeep: true, isWanted: true };
    expect(Buffer.compare((await pool.run(task as VerifyTask)).rest!, part)).toBe(0);
  });

  test("is not what a segment says of it", async () => {
    const part = await partOf(textOf(1000, "x"));
    const task = { bytes: part, key: sha256Hex(part), frames: new Uint8Array([1, 2]), isDeep: false, isWanted: false };
    await expect(pool.run({ kind: "verify", ...task })).rejects.toMatchObject({ code: "snapshot_damaged" });
  });
});

test("close ends what runs and what waits, at once", async () => {
  const all = Array.from({ length: 50 }, (_, i) => encode(noise(4_000_000, i), 9));
  const outcome = Promise.allSettled(all);
  const startedAt = performance.now();
  await pool.close();
  for (const result of await outcome) if (result.status === "rejected") expect(result.reason.code).toBe("aborted");
  expect(performance.now() - startedAt).toBeLessThan(5000);
  await expect(encode(noise(10, 1))).rejects.toMatchObject({ code: "aborted" });
});

const programs = {
  "that does not start": `throw new Error("no such processor")`,
  "that dies at work": `import { parentPort } from "node:worker_threads"; parentPort.on("message", () => process.exit(3));`,
};
for (const [what, program] of Object.entries(programs)) {
  test(`a thread ${what} fails every task`, async () => {
    const broken = new CoderPool(
      "full",
      Promise.resolve(new URL(`data:text/javascript,${encodeURIComponent(program)}`)),
    );
    const tasks = Array.from({ length: 8 }, () =>
      broken.run({ kind: "encode", buffer: new SharedArrayBuffer(frameBufferBytes), plainBytes: 100, level: 3 }),
    );
    for (const result of await Promise.allSettled(tasks))
      expect(result).toMatchObject({ status: "rejected", reason: { code: "thread_failed", retryable: true } });
    await broken.close();
  });
}

test("close while threads are being started ends them, not the process", async () => {
  for (let i = 0; i < 20; i++) {
    // From the sources, which it awaits longest.
    const young = new CoderPool("full", Promise.resolve(new URL("./coder-thread.ts", import.meta.url)));
    const buffer = new SharedArrayBuffer(frameBufferBytes);
    const task = young.run({ kind: "encode", buffer, plainBytes: 100, level: 3 });
    task.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 40 + i * 12));
    await young.close();
    await Promise.allSettled([task]);
  }
});

test.runIf(process.platform === "linux")("in the background the threads give way, and only they", async () => {
  const before = getPriority();
  const background = new CoderPool("background");
  const known = new Set(readdirSync("/proc/self/task"));
  const buffer = new SharedArrayBuffer(frameBufferBytes);
  await background.run({ kind: "encode", buffer, plainBytes: 100, level: 3 });
  const nice = readdirSync("/proc/self/task").filter((tid) => !known.has(tid) && getPriority(Number(tid)) === 19);
  expect(nice.length).toBeGreaterThanOrEqual(1);
  expect(getPriority()).toBe(before);
  expect(background.size).toBeLessThanOrEqual(2);
  await background.close();
});
