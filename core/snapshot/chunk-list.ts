/**
 * The chunks of a frame in a few bytes each. A snapshot of a million small files has as many, and an object with a string
 * for each would take four times the memory.
 */
import { type ByteReader, codeAt, latin1FromBytes } from "./bytes.ts";

export const idBytes = 32;
/** id[32] | u32 plainBytes */
const strideBytes = idBytes + 4;

export interface ChunkRef {
  /** SHA-256 of the plain bytes (HMAC-SHA-256 where they are encrypted) as a byte string of 32 chars: one char, one byte. */
  id: string;
  plainBytes: number;
}

export class ChunkList implements Iterable<ChunkRef> {
  readonly length: number;
  readonly #bytes: Uint8Array;

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.length = bytes.length / strideBytes;
  }

  static of(chunks: readonly ChunkRef[]): ChunkList {
    const bytes = new Uint8Array(chunks.length * strideBytes);
    chunks.forEach(({ id, plainBytes }, n) => {
      if (id.length !== idBytes) throw new RangeError("a chunk's id has 32 bytes");
      for (let i = 0; i < idBytes; i++) bytes[n * strideBytes + i] = codeAt(id, i);
      writeU32(bytes, n * strideBytes + idBytes, plainBytes);
    });
    return new ChunkList(bytes);
  }

  /** `count` times an id and what `readSize` reads behind it. */
  static read(reader: ByteReader, count: number, readSize: () => number): ChunkList {
    const bytes = new Uint8Array(count * strideBytes);
    for (let at = 0; at < bytes.length; at += strideBytes) {
      reader.copy(bytes, at, idBytes);
      writeU32(bytes, at + idBytes, readSize());
    }
    return new ChunkList(bytes);
  }

  at(n: number): ChunkRef {
    return { id: this.idAt(n), plainBytes: this.plainBytesAt(n) };
  }

  idAt(n: number): string {
    const at = n * strideBytes;
    return latin1FromBytes(this.#bytes.subarray(at, at + idBytes));
  }

  plainBytesAt(n: number): number {
    const at = n * strideBytes + idBytes;
    const bytes = this.#bytes;
    return bytes[at]! + bytes[at + 1]! * 0x100 + bytes[at + 2]! * 0x10000 + bytes[at + 3]! * 0x1000000;
  }

  /** The memory that holds the ids, for those who compare without making a string. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Where in `bytes` id `n` begins. */
  placeOf(n: number): number {
    return n * strideBytes;
  }

  hasIdAt(n: number, id: string): boolean {
    const from = n * strideBytes;
    for (let i = 0; i < idBytes; i++) if (this.#bytes[from + i] !== codeAt(id, i)) return false;
    return true;
  }

  /** -1 where it is not among them. */
  indexOf(id: string): number {
    for (let n = 0; n < this.length; n++) if (this.hasIdAt(n, id)) return n;
    return -1;
  }

  someId(test: (id: string) => boolean): boolean {
    for (let n = 0; n < this.length; n++) if (test(this.idAt(n))) return true;
    return false;
  }

  *[Symbol.iterator](): Generator<ChunkRef, void> {
    for (let n = 0; n < this.length; n++) yield this.at(n);
  }
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
