/** Makes a part: frames one after another, then their table. */
import { type CopyBytes, setBytes } from "./bytes.ts";
import { ChunkList, type ChunkRef } from "./chunk-list.ts";
import { type PartCipher, type SnapshotCipher, sealBytes, tableNumber } from "./cipher.ts";
import { type FrameInfo, headerBytes, noBases } from "./frame-table.ts";
import { limits } from "./limits.ts";
import { encodeFooter, encodeHeader, encodeTable, footerBytes, type PartKind, type PartTable } from "./part.ts";
import type { Primitives } from "./primitives.ts";

/**
 * Joins encoded frames in one buffer. `room`: a buffer to begin with, which `finish` returns a view of where it was
 * enough; the builder is of no use afterwards. With a cipher each frame and the table are encrypted.
 */
export class PartBuilder {
  readonly #header: Uint8Array;
  readonly #cipher: PartCipher | null;
  readonly #copy: CopyBytes;
  readonly #frames: FrameInfo[] = [];
  #bytes: Uint8Array;
  #end = headerBytes;
  chunks = 0;
  bases = 0;
  plainBytes = 0;

  constructor(
    kind: PartKind,
    cipher: SnapshotCipher | null = null,
    room: Uint8Array = new Uint8Array(0),
    copy: CopyBytes = setBytes,
  ) {
    this.#bytes = room;
    this.#copy = copy;
    const salt = cipher ? cipher.newSalt() : null;
    this.#cipher = cipher && salt ? cipher.part(salt) : null;
    this.#header = encodeHeader(kind, salt);
    this.#put(this.#header, 0);
  }

  get frames(): number {
    return this.#frames.length;
  }

  /** Without the table. */
  get storedBytes(): number {
    return this.#end + footerBytes;
  }

  fits(frameBytes: number, chunks: number, bases = 0): boolean {
    const tableGuess = (this.chunks + chunks + this.bases + bases) * 40 + (this.frames + 1) * 16;
    return (
      this.storedBytes + frameBytes + sealBytes + tableGuess <= limits.partBytes &&
      this.chunks + chunks <= limits.partChunks &&
      this.bases + bases <= limits.partBases &&
      this.frames < limits.partFrames
    );
  }

  /** `bytes` are copied. */
  add(bytes: Uint8Array, plainBytes: number, refs: readonly ChunkRef[], bases: readonly string[] = noBases): void {
    const chunks = ChunkList.of(refs);
    const storedBytes = this.#append(this.#frames.length, bytes);
    this.#frames.push({ offset: this.#end, storedBytes, plainBytes, chunks, bases });
    this.#end += storedBytes;
    this.chunks += chunks.length;
    this.bases += bases.length;
    this.plainBytes += plainBytes;
  }

  async finish(primitives: Primitives): Promise<{ bytes: Uint8Array; table: PartTable }> {
    const frames = this.#frames;
    const tableBytes = this.#append(tableNumber, await encodeTable(frames, primitives));
    const tableSha256 = primitives.sha256(this.#bytes.subarray(this.#end, this.#end + tableBytes));
    const footer = { tableOffset: this.#end, tableBytes, frames: frames.length, chunks: this.chunks, tableSha256 };
    this.#put(encodeFooter(footer), this.#end + tableBytes);
    return {
      bytes: this.#bytes.subarray(0, this.#end + tableBytes + footerBytes),
      table: { frames, chunks: this.chunks },
    };
  }

  /** Piece `n` behind the frames, encrypted where the part is. Returns its stored size. */
  #append(n: number, bytes: Uint8Array): number {
    if (!this.#cipher) {
      this.#put(bytes, this.#end);
      return bytes.length;
    }
    const end = this.#end + bytes.length + sealBytes;
    this.#reserve(end);
    this.#cipher.seal(n, this.#header, bytes, this.#bytes.subarray(this.#end, end));
    return bytes.length + sealBytes;
  }

  #put(bytes: Uint8Array, at: number): void {
    this.#reserve(at + bytes.length);
    this.#copy(this.#bytes, at, bytes);
  }

  #reserve(end: number): void {
    if (end <= this.#bytes.length) return;
    const next = new Uint8Array(Math.max(end, Math.min(limits.partBytes, this.#bytes.length * 2)));
    next.set(this.#bytes);
    this.#bytes = next;
  }
}
