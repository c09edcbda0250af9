/** The format's ports on Node: SHA-256 of node:crypto, zstd of node:zlib on libuv's threads. */
import { createHash, hash } from "node:crypto";
import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
import type { Primitives } from "../../core/snapshot/primitives.ts";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
/** zstd refuses windows above this at decode: one chunk. */
const windowLogMax = 23;

export const nodePrimitives: Primitives = {
  sha256: (bytes) => hash("sha256", bytes, "buffer"),
  newSha256() {
    const hasher = createHash("sha256");
    return { update: (bytes) => void hasher.update(bytes), digest: () => hasher.digest() };
  },
  zstdCompress: (bytes, level) =>
    compress(bytes, {
      params: { [constants.ZSTD_c_compressionLevel]: level },
      pledgedSrcSize: bytes.length,
      chunkSize: Math.max(1024, Math.min(bytes.length, 1 << 20)),
    }),
  zstdDecompress: (bytes, maxBytes) =>
    decompress(bytes, {
      params: { [constants.ZSTD_d_windowLogMax]: windowLogMax },
      maxOutputLength: Math.max(1, maxBytes),
      chunkSize: Math.max(1024, Math.min(maxBytes + 1, 1 << 22)),
    }),
};

export function sha256Hex(bytes: Uint8Array): string {
  return hash("sha256", bytes, "hex");
}

/** A chunk's id as a byte string. */
export function chunkIdOf(bytes: Uint8Array): string {
  return hash("sha256", bytes, "binary");
}
