/**
 * Which chunk lies in which part, in memory. A hash table of numbers over the packed ids of the frames: 60 bytes a chunk
 * with all that is known of it, and ids can be looked up where they lie, without a string for each.
 */
import { randomBytes } from "node:crypto";
import { codeAt, latin1FromBytes } from "../../core/snapshot/bytes.ts";
import { type ChunkList, idBytes } from "../../core/snapshot/chunk-list.ts";
import type { FrameInfo } from "../../core/snapshot/frame-table.ts";
import { limits } from "../../core/snapshot/limits.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";

const idWords = idBytes / 4;
/** Of this process alone and odd, so that nobody can write ids that all meet in one place of the table. */
const factors = Int32Array.from({ length: idWords }, () => randomBytes(4).readInt32LE(0) | 1);
const words = new Int32Array(idWords);

export class ChunkIndex {
  readonly parts: IndexedPart[] = [];
  readonly #keys = new Map<string, number>();
  /** All frames, and the ordinal of the part of each. */
  readonly #frames: FrameInfo[] = [];
  readonly #partOfFrame: number[] = [];
  /** Of frames without bases: the frame's number and one more (0: free), and the chunk's in it. */
  #slots = new Uint32Array(2 * 1024);
  #used = 0;
  /** Of frames with bases, by id: numbers of frames. Each is of use only as long as its bases are in the table. */
  readonly #based = new Map<string, number[]>();

  has(id: string): boolean {
    return this.#frameNumber(id) >= 0;
  }

  /** `has` of the id that begins at `at`. */
  hasAt(bytes: Uint8Array, at: number): boolean {
    return this.#frameNumberAt(bytes, at) >= 0;
  }

  /** Whether any chunk is stored with bases. */
  get hasBased(): boolean {
    return this.#based.size > 0;
  }

  /** Whether a frame without bases holds it: only then it can be a base. */
  hasPlain(id: string): boolean {
    return this.#find(id) >= 0;
  }

  hasPart(key: string): boolean {
    return this.#keys.has(key);
  }

  add(part: IndexedPart): void {
    if (this.#keys.has(part.key)) return;
    const n = this.parts.length;
    this.parts.push(part);
    this.#keys.set(part.key, n);
    for (const frame of part.frames) {
      const f = this.#frames.push(frame) - 1;
      this.#partOfFrame.push(n);
      const { chunks, bases } = frame;
      if (bases.length > 0) for (const { id } of chunks) this.#addBased(id, f);
      else for (let c = 0; c < chunks.length; c++) this.#put(chunks, f, c);
    }
  }

  #addBased(id: string, f: number): void {
    const frames = this.#based.get(id);
    if (!frames) this.#based.set(id, [f]);
    else if (frames.length < limits.basedFramesOfChunk) frames.push(f);
  }

  /** The ordinal of the part that holds the chunk; undefined when no part does, or its bases are in none. */
  partOf(id: string): number | undefined {
    const f = this.#frameNumber(id);
    return f < 0 ? undefined : this.#partOfFrame[f]!;
  }

  frameOf(id: string): FrameInfo | undefined {
    const f = this.#frameNumber(id);
    return f < 0 ? undefined : this.#frames[f]!;
  }

  /** `partOf` and `frameOf` of the id that begins at `at`. */
  placeAt(bytes: Uint8Array, at: number): { part: number; frame: FrameInfo } | undefined {
    const f = this.#frameNumberAt(bytes, at);
    return f < 0 ? undefined : { part: this.#partOfFrame[f]!, frame: this.#frames[f]! };
  }

  /** How long the chunk is by the table that the index names; undefined as for `partOf`. */
  plainBytesOf(id: string): number | undefined {
    const slot = this.#find(id);
    if (slot >= 0) return this.#frames[this.#slots[slot]! - 1]!.chunks.plainBytesAt(this.#slots[slot + 1]!);
    const chunks = this.frameOf(id)?.chunks;
    return chunks?.plainBytesAt(chunks.indexOf(id));
  }

  /** The ordinals of the parts without which the chunk whose id begins at `at` cannot be read, to `each`. False when it lies in none. */
  eachPartFor(bytes: Uint8Array, at: number, each: (part: number) => void): boolean {
    const f = this.#frameNumberAt(bytes, at);
    if (f < 0) return false;
    each(this.#partOfFrame[f]!);
    for (const base of this.#frames[f]!.bases) each(this.partOf(base)!);
    return true;
  }

  #frameNumber(id: string): number {
    const slot = this.#find(id);
    return slot >= 0 ? this.#slots[slot]! - 1 : this.#basedFrame(id);
  }

  #frameNumberAt(bytes: Uint8Array, at: number): number {
    readWords(bytes, at);
    const slot = this.#search((chunks, c) => equalIds(chunks, c, bytes, at));
    if (slot >= 0) return this.#slots[slot]! - 1;
    return this.#based.size === 0 ? -1 : this.#basedFrame(latin1FromBytes(bytes.subarray(at, at + idBytes)));
  }

  #basedFrame(id: string): number {
    if (this.#based.size === 0) return -1;
    return this.#based.get(id)?.find((f) => this.#frames[f]!.bases.every((base) => this.hasPlain(base))) ?? -1;
  }

  /** The slot of a chunk without bases; -1. */
  #find(id: string): number {
    if (id.length !== idBytes) return -1;
    for (let w = 0, i = 0; w < idWords; w++, i += 4)
      words[w] = codeAt(id, i) | (codeAt(id, i + 1) << 8) | (codeAt(id, i + 2) << 16) | (codeAt(id, i + 3) << 24);
    return this.#search((chunks, c) => chunks.hasIdAt(c, id));
  }

  /** Of the id in `words`. */
  #search(isSame: (chunks: ChunkList, c: number) => boolean): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = firstSlot(mask); ; slot = (slot + 2) & mask) {
      const f = slots[slot]!;
      if (f === 0) return -1;
      if (isSame(this.#frames[f - 1]!.chunks, slots[slot + 1]!)) return slot;
    }
  }

  /** The first frame that has a chunk keeps it. */
  #put(chunks: ChunkList, f: number, c: number): void {
    if (4 * this.#used >= this.#slots.length) this.#grow();
    const at = chunks.placeOf(c);
    readWords(chunks.bytes, at);
    const { bytes } = chunks;
    const mask = this.#slots.length - 1;
    let slot = firstSlot(mask);
    for (; this.#slots[slot] !== 0; slot = (slot + 2) & mask)
      if (equalIds(this.#frames[this.#slots[slot]! - 1]!.chunks, this.#slots[slot + 1]!, bytes, at)) return;
    this.#slots[slot] = f + 1;
    this.#slots[slot + 1] = c;
    this.#used++;
  }

  #grow(): void {
    const old = this.#slots;
    const slots = new Uint32Array(2 * old.length);
    const mask = slots.length - 1;
    for (let from = 0; from < old.length; from += 2) {
      const f = old[from]!;
      if (f === 0) continue;
      const { chunks } = this.#frames[f - 1]!;
      readWords(chunks.bytes, chunks.placeOf(old[from + 1]!));
      let slot = firstSlot(mask);
      while (slots[slot] !== 0) slot = (slot + 2) & mask;
      slots[slot] = f;
      slots[slot + 1] = old[from + 1]!;
    }
    this.#slots = slots;
  }
}

function firstSlot(mask: number): number {
  let h = 0;
  for (let w = 0; w < idWords; w++) h = (h + Math.imul(words[w]!, factors[w]!)) | 0;
  // The high bits depend on all bits of the words.
  h ^= h >>> 15;
  return (Math.imul(h, 0x2c1b3c6d) >>> 3) & mask & ~1;
}

function readWords(bytes: Uint8Array, at: number): void {
  for (let w = 0, i = at; w < idWords; w++, i += 4)
    words[w] = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
}

function equalIds(chunks: ChunkList, c: number, bytes: Uint8Array, at: number): boolean {
  const mine = chunks.bytes;
  for (let i = 0, from = chunks.placeOf(c); i < idBytes; i++) if (mine[from + i] !== bytes[at + i]) return false;
  return true;
}
