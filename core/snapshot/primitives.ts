/** What the format needs from its surroundings. zstd is asynchronous so that an adapter can use other threads. */
export interface Primitives {
  sha256(bytes: Uint8Array): Uint8Array;
  /** A chunk's id as a byte string: SHA-256, or HMAC-SHA-256 under the id key of an encrypted snapshot. */
  chunkId(bytes: Uint8Array): string;
  newSha256(): { update(bytes: Uint8Array): void; digest(): Uint8Array };
  /** One RFC 8878 frame that carries its content size. */
  zstdCompress(bytes: Uint8Array, level: number): Promise<Uint8Array>;
  /** Rejects when the bytes are damaged or the result would be longer than `maxBytes`. */
  zstdDecompress(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array>;
}
