/**
 * Where chunks lie: the segments say it. They may have hundreds of megabytes, so they are read through piece by piece for
 * the ids that are wanted now, and what they say of others is dropped. A wrong segment can only lead to a chunk that is not
 * found or has another hash.
 */
import { ByteReader } from "../../core/snapshot/bytes.ts";
import { damaged, FormatError } from "../../core/snapshot/error.ts";
import { headerBytes } from "../../core/snapshot/frame-table.ts";
import { limits } from "../../core/snapshot/limits.ts";
import { decodeFooter, decodeHeader, decodeTable, footerBytes } from "../../core/snapshot/part.ts";
import { decodeIndexedPart, type IndexedPart } from "../../core/snapshot/segment.ts";
import { ByteCache } from "./byte-cache.ts";
import { ByteStream } from "./byte-stream.ts";
import { chunkOf, decodeStored, type Frame, sha256, zstd } from "./frames.ts";
import type { Parts } from "./parts.ts";
import { Wanted } from "./wanted.ts";

const kib = 1024;
const mib = 1024 * kib;
/** A part this small is read whole, some of them at once. */
const smallBytes = mib;
const smallAtOnce = 4;
/** The footer and, nearly always, the table. */
const tailBytes = 64 * kib;
/** So much of a segment is looked at together; one part's frames have less than twice the second. */
const stretchBytes = 4 * mib;
const recordBytes = 24 * mib;

/** Of whole segments, plain. */
const cache = new ByteCache(16 * mib);
const cachedBytes = 12 * mib;

export class Segments {
  readonly #parts: Parts;
  readonly #keys: readonly string[];
  /** The part in which the first chunk was found: nearly always that of the whole tree. */
  #near: IndexedPart | null = null;

  constructor(parts: Parts, keys: readonly string[]) {
    this.#parts = parts;
    this.#keys = keys;
  }

  /**
   * The frame of each chunk, and of each chunk that such a frame is coded against. Errors: FormatError where one lies in
   * no listed part, and what Parts throw.
   */
  async locate(ids: Iterable<string>): Promise<Map<string, Frame>> {
    const wanted = new Wanted(ids);
    await this.#look(wanted);
    const bases = wanted.missingBases();
    if (bases.length > 0) {
      const more = new Wanted(bases);
      await this.#look(more);
      wanted.addPlain(more);
    }
    return wanted.frames();
  }

  async #look(wanted: Wanted): Promise<void> {
    if (this.#near && wanted.isDone(this.#near)) return;
    for await (const part of this.#described()) {
      // A part that the manifest does not list is no part of this snapshot.
      if (this.#parts.bytesOf(part.key) !== part.bytes) continue;
      const isDone = wanted.isDone(part);
      if (wanted.found > 0) this.#near ??= part;
      if (isDone) return;
    }
  }

  async *#described(): AsyncGenerator<IndexedPart, void> {
    const ahead = new Map<string, Promise<Uint8Array>>();
    for (const [n, key] of this.#keys.entries()) {
      for (const next of this.#keys.slice(n, n + smallAtOnce)) {
        const bytes = this.#parts.bytesOf(next);
        if (bytes > smallBytes || ahead.has(next) || cache.get(this.#cacheKey(next))) continue;
        const read = this.#parts.read(next, 0, bytes);
        // Whoever takes it sees the error; nobody may take it when all was found before.
        read.catch(() => {});
        ahead.set(next, read);
      }
      yield* partsOf(this.#pieces(key, ahead));
      ahead.delete(key);
    }
  }

  #cacheKey(key: string): string {
    return `${this.#parts.instance}/${key}`;
  }

  /** The bytes of one segment, each chunk checked. */
  async *#pieces(key: string, ahead: Map<string, Promise<Uint8Array>>): AsyncGenerator<Uint8Array, void> {
    const known = cache.get(this.#cacheKey(key));
    if (known) {
      yield known;
      return;
    }
    const size = this.#parts.bytesOf(key);
    if (size < headerBytes + footerBytes) throw damaged("a part is too short");
    const whole = await ahead.get(key);
    const tail = whole ?? (await this.#parts.read(key, Math.max(0, size - tailBytes), Math.min(size, tailBytes)));
    const { tableOffset, frames } = await this.#tableOf(key, size, tail);
    const total = frames.reduce((sum, frame) => sum + frame.plainBytes, 0);
    if (total > limits.segmentBytes) throw damaged("a segment is too large");
    const stream = whole
      ? new ByteStream(new Response(whole as Uint8Array<ArrayBuffer>).body!)
      : await this.#parts.open(key, 0, tableOffset);
    const all = total <= cachedBytes ? new Uint8Array(total) : null;
    try {
      if (decodeHeader(await stream.take(headerBytes), null).kind !== "meta")
        throw damaged("a segment lies in a part for data");
      let at = 0;
      for (const frame of frames) {
        const plain = await decodeStored(await stream.take(frame.storedBytes), frame);
        for (const { id } of frame.chunks) await chunkOf(plain, frame, id);
        all?.set(plain, at);
        at += plain.length;
        yield plain;
      }
      if (all) cache.put(this.#cacheKey(key), all);
    } finally {
      await stream.cancel();
    }
  }

  async #tableOf(key: string, size: number, tail: Uint8Array) {
    const footer = decodeFooter(tail.subarray(tail.length - footerBytes), size);
    const { tableOffset, tableBytes } = footer;
    const from = tableOffset - (size - tail.length);
    const stored =
      from >= 0 ? tail.subarray(from, from + tableBytes) : await this.#parts.read(key, tableOffset, tableBytes);
    const digest = await sha256(stored);
    const { frames } = await decodeTable(stored, footer, { ...zstd, sha256: () => digest });
    return { tableOffset, frames };
  }
}

/** The parts that a segment describes, out of its bytes in pieces of any size. */
async function* partsOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<IndexedPart, void> {
  const reader = new SegmentReader();
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const piece of pieces) {
    held.push(piece);
    heldBytes += piece.length;
    if (heldBytes < stretchBytes) continue;
    yield* reader.read(held, false);
    held = [];
    heldBytes = 0;
  }
  yield* reader.read(held, true);
}

class SegmentReader {
  #rest: Uint8Array = new Uint8Array(0);
  /** Parts that are still to come; null before the segment's head. */
  #left: number | null = null;

  *read(pieces: Uint8Array[], isLast: boolean): Generator<IndexedPart, void> {
    const bytes = joined([this.#rest, ...pieces]);
    const reader = new ByteReader(bytes, "segment");
    if (this.#left === null) {
      if (reader.latin1(4) !== "SNX1") throw damaged("this is not a segment");
      this.#left = reader.varint(limits.partsInSnapshot, "number of parts");
    }
    for (; this.#left > 0; this.#left--) {
      const from = reader.at;
      let part: IndexedPart;
      try {
        part = decodeIndexedPart(reader);
      } catch (error) {
        // Perhaps it goes on in the next piece.
        if (isLast || !(error instanceof FormatError) || bytes.length - from > recordBytes) throw error;
        this.#rest = bytes.subarray(from);
        return;
      }
      yield part;
    }
    this.#rest = bytes.subarray(reader.at);
    if (isLast) reader.end();
  }
}

export function joined(pieces: Uint8Array[]): Uint8Array {
  const [only] = pieces;
  if (only && pieces.length === 1) return only;
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
