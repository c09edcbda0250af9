// node tools/bench-codec.ts [--json] [FILE...]: the codec against zstd of node:zlib, on frames of 4 MiB of the given
// files or, without any, of made-up weights. CPU time (user + system) of one thread; medians of interleaved rounds.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { decodeFrame, encodeFrame } from "../core/snapshot/codec.ts";
import { chooseTables } from "../core/snapshot/planes/clusters.ts";
import { blockMaxBytes, residuals, rotations } from "../core/snapshot/planes/format.ts";
import type { Kernels } from "../core/snapshot/planes/kernels.ts";
import { createPlainKernels } from "../core/snapshot/planes/plain-kernels.ts";
import { threadKernels } from "../core/snapshot/planes/thread-kernels.ts";
import type { Primitives } from "../core/snapshot/primitives.ts";

const frameBytes = 4 << 20;
const sampleBytes = 4 * frameBytes;
const rounds = 5;
const codecNames = ["raw", "zstd", "planes", "zero"];

const zstd = (bytes: Uint8Array, level: number) =>
  zstdCompressSync(bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: level },
    pledgedSrcSize: bytes.length,
    chunkSize: 1 << 20,
  });
const unzstd = (bytes: Uint8Array) => zstdDecompressSync(bytes, { chunkSize: 1 << 22 });

/** zstd on this thread, so that its time is counted with the rest. */
const primitives: Primitives = {
  sha256: () => {
    throw new Error("no hash is needed here");
  },
  chunkId: () => {
    throw new Error("no hash is needed here");
  },
  newSha256: () => {
    throw new Error("no hash is needed here");
  },
  zstdCompress: async (bytes, level) => zstd(bytes, level),
  zstdDecompress: async (bytes) => unzstd(bytes),
};

interface Row {
  data: string;
  codecs: string;
  share: number;
  zstd1Share: number;
  zstd3Share: number;
  /** GB of plain bytes a second of CPU. */
  encode: number;
  decode: number;
  zstd1Encode: number;
  zstd1Decode: number;
  zstd3Encode: number;
  zstd3Decode: number;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;

async function benchFrames(data: string, plain: Uint8Array): Promise<Row> {
  const frames: Uint8Array[] = [];
  for (let from = 0; from < plain.length; from += frameBytes) frames.push(plain.slice(from, from + frameBytes));
  // As the engine decodes: into room that is there already. What `node:zlib` decodes to is always fresh memory.
  const rooms = frames.map((frame) => new Uint8Array(frame.length));
  const times: Record<string, number[]> = {};
  const timed = async <T>(name: string, work: () => T | Promise<T>): Promise<T> => {
    const before = cpuMs();
    const result = await work();
    times[name] ??= [];
    times[name].push(cpuMs() - before);
    return result;
  };
  let stored: Uint8Array[] = [];
  let one: Uint8Array[] = [];
  let three: Uint8Array[] = [];
  for (let round = 0; round < rounds; round++) {
    stored = await timed("encode", async () => {
      const all = [];
      for (const frame of frames) all.push(await encodeFrame(frame, primitives, 3));
      return all;
    });
    one = await timed("zstd1Encode", () => frames.map((frame) => zstd(frame, 1)));
    three = await timed("zstd3Encode", () => frames.map((frame) => zstd(frame, 3)));
    const back = await timed("decode", async () => {
      const all = [];
      for (const [i, bytes] of stored.entries()) {
        all.push(await decodeFrame(bytes, frames[i]!.length, primitives, undefined, rooms[i]));
      }
      return all;
    });
    await timed("zstd1Decode", () => one.map(unzstd));
    await timed("zstd3Decode", () => three.map(unzstd));
    if (back.some((bytes, i) => Buffer.compare(bytes, frames[i]!) !== 0))
      throw new Error(`${data} came back otherwise`);
  }
  const share = (list: Uint8Array[]) => list.reduce((sum, bytes) => sum + bytes.length, 0) / plain.length;
  const rate = (name: string) => plain.length / 1e6 / Math.max(0.001, median(times[name]!));
  return {
    data,
    codecs: [...new Set(stored.map((bytes) => codecNames[bytes[0]!]))].join("+"),
    share: share(stored),
    zstd1Share: share(one),
    zstd3Share: share(three),
    encode: rate("encode"),
    decode: rate("decode"),
    zstd1Encode: rate("zstd1Encode"),
    zstd1Decode: rate("zstd1Decode"),
    zstd3Encode: rate("zstd3Encode"),
    zstd3Decode: rate("zstd3Decode"),
  };
}

/** How much faster the WebAssembly kernels are than the same in plain TypeScript: rANS alone, on the top plane of BF16. */
function benchKernels(plain: Uint8Array): { decode: number; encode: number } {
  const rate = (kernels: Kernels) => {
    const symbols = plain.length / 2;
    kernels.block.set(plain);
    kernels.split(symbols, { stride: 2, phase: 0, rotation: rotations.left1, residual: residuals.none });
    const { tables } = chooseTables(symbols, symbols, kernels);
    const words = kernels.encode(symbols, symbols, tables);
    const states = kernels.states.slice();
    const kept = kernels.words.slice(kernels.words.length - 2 * words);
    const time = (work: () => void) => {
      for (let i = 0; i < 20; i++) work();
      const before = cpuMs();
      for (let i = 0; i < 60; i++) work();
      return cpuMs() - before;
    };
    const encode = time(() => void kernels.encode(symbols, symbols, tables));
    const decode = time(() => {
      kernels.states.set(states);
      kernels.words.set(kept);
      if (!kernels.decode(symbols, symbols, tables, words)) throw new Error("the kernel refused its own words");
    });
    return { encode, decode };
  };
  const fast = rate(threadKernels());
  const slow = rate(createPlainKernels());
  return { decode: slow.decode / fast.decode, encode: slow.encode / fast.encode };
}

/** Gaussian numbers whose deviation changes every 64 Ki, as layers' do. Made up: no real weights are in the repository. */
function madeUpWeights(count: number): Float32Array {
  const out = new Float32Array(count);
  let state = 0x9e3779b9;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return (((z ^ (z >>> 14)) >>> 0) + 1) / 2 ** 32;
  };
  for (let i = 0; i < count; i++) {
    const deviation = 0.01 * 2 ** ((i >> 16) % 4);
    out[i] = deviation * Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next());
  }
  return out;
}

function toHalf(value: number): number {
  const [bits] = new Uint32Array(new Float32Array([value]).buffer);
  const exponent = ((bits! >>> 23) & 255) - 112;
  const sign = (bits! >>> 16) & 0x8000;
  if (exponent <= 0) return sign | Math.round((Math.abs(value) * 2 ** 24) % 1024);
  return (sign | (exponent << 10) | ((bits! >>> 13) & 1023)) & 0xffff;
}

function madeUp(): [string, Uint8Array][] {
  const weights = madeUpWeights(sampleBytes / 2);
  const few = weights.subarray(0, sampleBytes / 4);
  const bytes = (array: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number }) =>
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const wide = new Uint32Array(weights.buffer);
  return [
    ["BF16 made up", bytes(Uint16Array.from(wide, (bits) => bits >>> 16))],
    ["FP16 made up", bytes(Uint16Array.from(weights, toHalf))],
    ["FP32 made up", bytes(few)],
    ["INT8 made up", bytes(Int8Array.from(weights, (value) => Math.max(-127, Math.min(127, Math.round(value * 800)))))],
    ["Adam m made up", bytes(few.map((value, i) => value * weights[weights.length - 1 - i]!))],
    ["Adam v made up", bytes(few.map((value) => value * value))],
    ["random", bytes(Uint32Array.from(few, (_, i) => Math.imul(i ^ 0x5bd1e995, 0x9e3779b1) ^ (wide[i]! << 9)))],
  ];
}

const args = process.argv.slice(2);
const json = args.includes("--json");
const files = args.filter((arg) => arg !== "--json");
const data: [string, Uint8Array][] =
  files.length > 0
    ? files.map((file) => [basename(file).slice(0, 24), new Uint8Array(readFileSync(file).subarray(0, sampleBytes))])
    : madeUp();
const rows = [];
for (const [name, plain] of data) rows.push(await benchFrames(name, plain));
const kernels = benchKernels(madeUp()[0]![1].subarray(0, blockMaxBytes));
if (json) {
  console.log(JSON.stringify({ node: process.version, rows, kernels }));
} else {
  const two = (value: number) => value.toFixed(2);
  console.log("| data | codec | % of plain | zstd -1 | -3 | encode GB/s | zstd -1 | -3 | decode GB/s | zstd -1 | -3 |");
  console.log("|---|---|---|---|---|---|---|---|---|---|---|");
  for (const row of rows) {
    const shares = [row.share, row.zstd1Share, row.zstd3Share].map((value) => (100 * value).toFixed(2));
    const rates = [row.encode, row.zstd1Encode, row.zstd3Encode, row.decode, row.zstd1Decode, row.zstd3Decode];
    console.log(`| ${[row.data, row.codecs, ...shares, ...rates.map(two)].join(" | ")} |`);
  }
  console.log(
    `rANS in WebAssembly over plain TypeScript: decode ${two(kernels.decode)}x, encode ${two(kernels.encode)}x`,
  );
}
