/**
 * An entry's record beside what `lstat` said of it: millions of them in a few large buffers, so that they cost little
 * more memory than their bytes, and the stat cache on disk is these bytes.
 *
 * row = stamp: f64[6] { dev, ino, size, mtimeMs, ctimeMs, mode } | u32 recordBytes | u32 holesBytes | record | holes
 */

import { codeAt } from "../../core/snapshot/bytes.ts";
import { idBytes } from "../../core/snapshot/chunk-list.ts";
import { timeBytes } from "../../core/snapshot/tree.ts";

/**
 * All that must stay the same for an entry to count as unchanged. As doubles: times to 0.25 us, inodes to 2^53. That is
 * enough, since only entries that rested for two seconds are kept, and any later change moves ctime by more.
 */
export const stampFields = 6;
const stampBytes = stampFields * 8;
const headBytes = stampBytes + 8;
const slabBytes = 1024 * 1024;

export interface Row {
  readonly slab: Buffer;
  readonly at: number;
}

export function recordOf({ slab, at }: Row): Buffer {
  const from = at + headBytes;
  return slab.subarray(from, from + slab.readUInt32LE(at + stampBytes));
}

/** Record and hole list, as they follow each other in the tree's stream. */
export function streamOf({ slab, at }: Row): Buffer {
  return slab.subarray(at + headBytes, endOf(slab, at));
}

/** The whole row, as it lies in a cache's file. */
export function bytesOf({ slab, at }: Row): Buffer {
  return slab.subarray(at, endOf(slab, at));
}

export function endOf(slab: Buffer, at: number): number {
  return at + headBytes + slab.readUInt32LE(at + stampBytes) + slab.readUInt32LE(at + stampBytes + 4);
}

/** The six numbers at `from` of `stamps` against those of the row. */
export function hasStamp({ slab, at }: Row, stamps: Float64Array, from: number): boolean {
  for (let i = 0; i < stampFields; i++) if (slab.readDoubleLE(at + 8 * i) !== stamps[from + i]) return false;
  return true;
}

/** The path at the front of the record. */
export function pathOf({ slab, at }: Row): string {
  const [bytes, from] = varintAt(slab, at + headBytes);
  return slab.toString("latin1", from, from + bytes);
}

/** Below 0: the row's path comes before `path`. */
export function comparePath({ slab, at }: Row, path: string): number {
  const [bytes, from] = varintAt(slab, at + headBytes);
  const shared = Math.min(bytes, path.length);
  for (let i = 0; i < shared; i++) {
    const difference = slab[from + i]! - codeAt(path, i);
    if (difference !== 0) return difference;
  }
  return bytes - path.length;
}

/** Where in the slab the ids of a file's chunks begin; none for other types. The record is one that this program encoded. */
export function chunkPlacesOf(row: Row): number[] {
  const { slab } = row;
  const from = sizePlaceOf(row);
  if (from === null) return [];
  let [chunks, next] = varintAt(slab, varintAt(slab, from)[1]);
  const places: number[] = [];
  for (; chunks > 0; chunks--) {
    places.push(next);
    next = varintAt(slab, next + idBytes)[1];
  }
  return places;
}

/** Of a file, in bytes; null for other types. */
export function sizeOf(row: Row): number | null {
  const at = sizePlaceOf(row);
  return at === null ? null : varintAt(row.slab, at)[0];
}

/** Where a file's record says its size; null for other types. */
function sizePlaceOf({ slab, at }: Row): number | null {
  const [pathBytes, pathFrom] = varintAt(slab, at + headBytes);
  let from = pathFrom + pathBytes;
  if (slab[from] !== 0x66) return null;
  from += 2;
  // mode, uid, gid | mtime
  for (let i = 0; i < 3; i++) from = varintAt(slab, from)[1];
  return from + timeBytes;
}

export function* chunkIdsOf(row: Row): Generator<string, void> {
  for (const at of chunkPlacesOf(row)) yield row.slab.toString("latin1", at, at + idBytes);
}

/** Value and end. */
function varintAt(bytes: Buffer, from: number): [value: number, end: number] {
  let value = 0;
  let scale = 1;
  let at = from;
  for (; bytes[at]! >= 128; scale *= 128) value += (bytes[at++]! & 127) * scale;
  return [value + bytes[at]! * scale, at + 1];
}

/** Where new rows are written, one after another. */
export class RowShelf {
  #slab = Buffer.alloc(0);
  #end = 0;

  add(stamp: ArrayLike<number>, stampFrom: number, record: Uint8Array, holes: Uint8Array): Row {
    const bytes = headBytes + record.length + holes.length;
    if (this.#end + bytes > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, bytes));
      this.#end = 0;
    }
    const slab = this.#slab;
    const at = this.#end;
    for (let i = 0; i < stampFields; i++) slab.writeDoubleLE(stamp[stampFrom + i]!, at + 8 * i);
    slab.writeUInt32LE(record.length, at + stampBytes);
    slab.writeUInt32LE(holes.length, at + stampBytes + 4);
    slab.set(record, at + headBytes);
    slab.set(holes, at + headBytes + record.length);
    this.#end += bytes;
    return { slab, at };
  }
}
