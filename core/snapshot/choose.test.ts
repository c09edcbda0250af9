import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { constants, deflateRawSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { decodeFrame, encodeFrame } from "./codec.ts";
import type { Primitives } from "./primitives.ts";

const zstd = (bytes: Uint8Array, level: number) =>
  zstdCompressSync(bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: level },
    pledgedSrcSize: bytes.length,
  });
let compressed = 0;
const primitives: Primitives = {
  sha256: () => {
    throw new Error("frames need no hash");
  },
  chunkId: () => {
    throw new Error("frames need no hash");
  },
  newSha256: () => {
    throw new Error("frames need no hash");
  },
  zstdCompress: async (bytes, level) => {
    compressed += bytes.length;
    return zstd(bytes, level);
  },
  zstdDecompress: async (bytes, maxBytes) => zstdDecompressSync(bytes, { maxOutputLength: maxBytes }),
};

const mib = 1 << 20;
let state = 0x12345678;
function random(): number {
  state = (state + 0x6d2b79f5) | 0;
  let z = Math.imul(state ^ (state >>> 15), 1 | state);
  z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
  return (((z ^ (z >>> 14)) >>> 0) + 1) / 2 ** 32;
}
const gauss = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
const view = (array: { buffer: ArrayBufferLike }) => new Uint8Array(array.buffer);
const join2 = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

function noise(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, () => random() * 256);
}
function weights(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => gauss() * 0.01 * 2 ** ((i >> 15) % 4));
}
function bf16(count: number): Uint8Array {
  return view(Uint16Array.from(new Uint32Array(weights(count).buffer), (bits) => bits >>> 16));
}
function half(value: number): number {
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0]!;
  const exponent = ((bits >>> 23) & 255) - 112;
  return ((bits >>> 16) & 0x8000) | (exponent <= 0 ? 0 : (exponent << 10) | ((bits >>> 13) & 1023));
}
const int8 = (count: number, deviation: number) =>
  view(Int8Array.from({ length: count }, () => Math.max(-127, Math.min(127, Math.round(gauss() * deviation)))));

/** Real source text, of packages that the repository is built with. */
function sources(bytes: number): Uint8Array {
  const parts: Buffer[] = [];
  let length = 0;
  for (const name of ["zod", "hono", "drizzle-orm"]) {
    const folder = join(import.meta.dirname, "../../node_modules", name);
    for (const path of (readdirSync(folder, { recursive: true }) as string[]).sort()) {
      if (!/\.(js|ts)$/.test(path) || length >= bytes) continue;
      parts.push(readFileSync(join(folder, path)));
      length += parts.at(-1)!.length;
    }
  }
  if (length < bytes) throw new Error(`only ${length} bytes of source text`);
  return new Uint8Array(Buffer.concat(parts).subarray(0, bytes));
}

function logLines(bytes: number): Uint8Array {
  let text = "";
  for (let at = 1_700_000_000_000; text.length < bytes; at += Math.floor(random() * 200)) {
    const path = `/v1/items/${Math.floor(random() * 5000)}`;
    text += `${JSON.stringify({ at, level: "info", message: "request done", path, ms: Math.round(random() * 3e4) / 100 })}\n`;
  }
  return new Uint8Array(Buffer.from(text.slice(0, bytes)));
}

/** Pages of rows with short texts, numbers and a random key, as a database file has. */
function databasePages(bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let page = 0; page + 4096 <= bytes; page += 4096) {
    for (let at = page + 200, row = 0; at + 60 < page + 4096; at += 60, row++) {
      out.set(Buffer.from(`user ${Math.floor(random() * 9999)}`), at);
      new DataView(out.buffer).setUint32(at + 16, (page >> 6) + row);
      new DataView(out.buffer).setFloat64(at + 24, gauss());
      out.set(noise(8), at + 40);
    }
  }
  return out;
}

const text = sources(mib);
const repeated = bf16(mib / 4);
const kinds: [string, () => Uint8Array, string?][] = [
  ["source text", () => sources(2 * mib), "zstd"],
  ["JSON logs", () => logLines(mib), "zstd"],
  ["database pages", () => databasePages(mib)],
  ["noise", () => noise(mib), "raw"],
  ["compressed bytes", () => new Uint8Array(deflateRawSync(noise(mib / 2).map((b) => (b < 200 ? b : 7)))), undefined],
  ["a picture of noise with markers", () => noise(mib).map((byte, i) => (i % 500 ? byte : 255)), "raw"],
  ["BF16", () => bf16(mib), "planes"],
  ["FP16", () => view(Uint16Array.from(weights(mib), half)), "planes"],
  ["FP32", () => view(weights(mib / 2)), "planes"],
  ["Adam m", () => view(weights(mib / 2).map((value) => value * Math.exp(gauss()))), "planes"],
  ["Adam v", () => view(weights(mib / 2).map((value) => value * value)), "planes"],
  ["INT8", () => int8(mib, 20)],
  ["INT8, pruned", () => int8(mib, 20).map((byte) => (random() < 0.5 ? 0 : byte)), "planes"],
  ["sparse FP32", () => view(weights(mib / 2).map((value) => (random() < 0.7 ? 0 : value)))],
  ["token ids", () => view(Int32Array.from({ length: mib / 2 }, () => random() ** 4 * 50_000)), "planes"],
  ["a counter", () => view(Uint32Array.from({ length: mib / 4 }, (_, i) => i)), "planes"],
  ["text, then BF16", () => join2(text, bf16(mib / 2))],
  [
    "BF16 and text in turns",
    () =>
      join2(
        ...Array.from({ length: 16 }, (_, i) => (i % 2 ? bf16(32_768) : text.subarray(i * 65_536, (i + 1) * 65_536))),
      ),
  ],
  ["noise with a little text", () => join2(noise(mib), text.subarray(0, mib / 8), noise(mib / 2)), "zstd"],
  ["BF16 that comes again", () => join2(repeated, repeated, repeated, repeated), "zstd"],
  ["noise that comes again", () => ((piece) => join2(piece, noise(mib), piece))(noise(mib / 2)), "zstd"],
  ["INT8 rows that come again", () => ((piece) => join2(piece, int8(mib / 2, 30), piece))(int8(mib / 2, 30))],
];

test.each(kinds)("%s: never more than 1 % above zstd, and it comes back", async (_, make, codec) => {
  const plain = make();
  const frame = await encodeFrame(plain, primitives, 3);
  if (codec) expect(["raw", "zstd", "planes"][frame[0]!]).toBe(codec);
  expect(frame.length).toBeLessThanOrEqual(Math.min(plain.length * 1.0002, zstd(plain, 3).length * 1.01) + 8);
  expect(Buffer.compare(await decodeFrame(frame, plain.length, primitives), plain)).toBe(0);
});

test("neither noise nor plain weights are given to zstd whole", async () => {
  for (const plain of [noise(4 * mib), bf16(2 * mib), view(weights(mib))]) {
    compressed = 0;
    await encodeFrame(plain, primitives, 3);
    expect(compressed).toBeLessThan(plain.length * 0.04);
  }
});

test("small frames of every size come back", async () => {
  const numbers = bf16(70_000);
  for (const bytes of [1, 63, 64, 65, 2047, 2048, 2049, 10_001, 140_000]) {
    const plain = numbers.slice(0, bytes);
    const frame = await encodeFrame(plain, primitives, 3);
    expect(frame.length).toBeLessThanOrEqual(bytes + 5);
    expect(Buffer.compare(await decodeFrame(frame, bytes, primitives), plain)).toBe(0);
    const room = new Uint8Array(bytes + 9).fill(0xa5);
    expect(Buffer.compare(await decodeFrame(frame, bytes, primitives, undefined, room), plain)).toBe(0);
    expect([...room.subarray(bytes)], "bytes behind the frame's own").toEqual(Array(9).fill(0xa5));
  }
});
