/** The format's ports on Node: SHA-256 of node:crypto, zstd of node:zlib on libuv's threads. */
import { createHash, hash } from "node:crypto";
import { promisify } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from "node:zlib";
import type { CopyBytes } from "../../core/snapshot/bytes.ts";
import { limits } from "../../core/snapshot/limits.ts";
import type { Primitives } from "../../core/snapshot/primitives.ts";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
/** zstd refuses windows above this at decode: one chunk. */
const windowLogMax = 23;

/**
 * At level 3 zstd looks back two MiB, half a frame of small files: with the whole of it code becomes 1.3 % smaller for little
 * more time. Level 1 would only become slower.
 */
function compressOptions(plainBytes: number, level: number, chunkSize: number) {
  const params: Record<number, number> = { [constants.ZSTD_c_compressionLevel]: level };
  if (level >= 3 && plainBytes > 1 << 21) params[constants.ZSTD_c_windowLog] = Math.ceil(Math.log2(plainBytes));
  return { params, pledgedSrcSize: plainBytes, chunkSize: Math.max(8192, chunkSize) };
}
const decompressOptions = (maxBytes: number) => ({
  params: { [constants.ZSTD_d_windowLogMax]: windowLogMax },
  maxOutputLength: Math.max(1, maxBytes),
  chunkSize: Math.max(8192, Math.min(maxBytes + 1, limits.chunkBytes + 1)),
});

const sha256 = (bytes: Uint8Array): Uint8Array => hash("sha256", bytes, "buffer");
const chunkId = (bytes: Uint8Array): string => hash("sha256", bytes, "binary");
function newSha256() {
  const hasher = createHash("sha256");
  return { update: (bytes: Uint8Array) => void hasher.update(bytes), digest: (): Uint8Array => hasher.digest() };
}

/** For the main thread: zstd on libuv's threads. */
export const nodePrimitives: Primitives = {
  sha256,
  chunkId,
  newSha256,
  zstdCompress: (bytes, level) =>
    compress(bytes, compressOptions(bytes.length, level, Math.min(bytes.length, 1 << 20))),
  zstdDecompress: (bytes, maxBytes) => decompress(bytes, decompressOptions(maxBytes)),
};

export interface SyncPrimitives {
  primitives: Primitives;
  release: () => void;
  /** Has the memory of these bytes given back as well. */
  keep: <Bytes extends Uint8Array>(bytes: Bytes) => Bytes;
}

/**
 * For a coder thread: everything in this thread. `release` gives the memory of all results back at once, since a thread
 * makes more than the garbage collector would notice in time; call it when nothing looks at them any more.
 */
export function makeSyncPrimitives(): SyncPrimitives {
  let made: ArrayBuffer[] = [];
  let contextBytes = 0;
  const collect = garbageCollector();
  const keep = <Bytes extends Uint8Array>(bytes: Bytes): Bytes => {
    // Smaller ones may lie in Node's shared pool.
    if (bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength >= 65_536) made.push(bytes.buffer);
    return bytes;
  };
  const zstd = (plainBytes: number, result: Buffer): Buffer => {
    contextBytes += plainBytes + tablesBytes;
    return keep(result);
  };
  const primitives: Primitives = {
    sha256,
    chunkId,
    newSha256,
    zstdCompress: async (bytes, level) => {
      const options = compressOptions(bytes.length, level, compressedBytesMax(bytes.length));
      return zstd(bytes.length, zstdCompressSync(bytes, options));
    },
    zstdDecompress: async (bytes, maxBytes) => zstd(maxBytes, zstdDecompressSync(bytes, decompressOptions(maxBytes))),
  };
  const release = () => {
    for (const buffer of made) buffer.transfer(0);
    made = [];
    if (contextBytes < contextBytesKept) return;
    contextBytes = 0;
    collect();
  };
  return { primitives, release, keep };
}

/** Each call of zstd leaves a context until its wrapper is collected, about as large as this, and V8 does not count them. */
const tablesBytes = 512 * 1024;
const contextBytesKept = 5 * 1024 * 1024;

/** Collects what died young: 0.3 ms in the small heap of a thread. */
function garbageCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("typeof gc === 'function' ? gc : null") as NodeJS.GCFunction | null;
  return () => void gc?.({ type: "minor" });
}

/** As ZSTD_compressBound, and one byte so that zlib sees the end without another buffer. */
function compressedBytesMax(bytes: number): number {
  return bytes + (bytes >> 8) + 65;
}

/**
 * V8's `set` takes ten times as long where one of them is shared and they are not aligned alike. Node's copy is memmove, but
 * hands a whole buffer to `set`: so this one names a range.
 */
export const copyBytes: CopyBytes = (target, at, { buffer, byteOffset, length }) => {
  Buffer.from(buffer).copy(target, at, byteOffset, byteOffset + length);
};

export function sha256Hex(bytes: Uint8Array): string {
  return hash("sha256", bytes, "hex");
}
