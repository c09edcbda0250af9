/**
 * What a new chunk of a big file is coded against: the bytes of a sibling (siblings.ts) at the same distance from the end of
 * the file, since heads grow and data does not. Only chunks that are stored without bases serve, so that a restore
 * never follows more than one step (B1). What is known of the sibling may be out of date: whoever reads it checks ids.
 */
import { ByteReader } from "../../core/snapshot/bytes.ts";
import { limits, smallFileBytes } from "../../core/snapshot/limits.ts";
import { decodeEntry, type FileEntry } from "../../core/snapshot/tree.ts";
import type { Against, Packer } from "./packer.ts";
import type { ChunkSink, FilePlace } from "./read.ts";
import type { PlacedBase } from "./reference.ts";
import { hasStamp, type Row, stampFields, streamOf } from "./rows.ts";
import { Families } from "./siblings.ts";
import type { StatCache } from "./stat-cache.ts";
import type { Walked } from "./walk.ts";

/** Siblings that are looked at for one file. */
const maxTried = 8;
/** A sibling serves when so much of it does. */
const minPlainShare = 0.5;
/** Chunks of one family in a row that gained nothing: its files have only their names in common. */
const patience = 8;

interface Sibling {
  entry: FileEntry;
  family: string;
  /** The first byte of each chunk. */
  offsets: number[];
}

interface Ground {
  walked: Walked;
  cache: StatCache;
  families: Families;
  /** Of big files, by path: the place in `walked`. */
  places: Map<string, number>;
}

export class BasePlanner {
  readonly #root: string;
  readonly #isPlain: (id: string) => boolean;
  /** By family: chunks in a row that gained nothing. */
  readonly #misses = new Map<string, number>();
  /** Big files that this round has read. */
  readonly #read = new Map<string, Row>();
  #round: { walked: Walked; cache: StatCache } | null = null;
  #ground: Ground | null = null;
  #current: { path: string; sibling: Sibling | null } | null = null;

  /** `root`: a byte string. `isPlain`: whether the chunk is or will be in the store without bases. */
  constructor(root: string, isPlain: (id: string) => boolean) {
    this.#root = root;
    this.#isPlain = isPlain;
  }

  beginRound(walked: Walked, cache: StatCache): void {
    this.#round = { walked, cache };
    this.#ground = null;
    this.#current = null;
    this.#read.clear();
  }

  /** A file that was read in this round. */
  note({ path, size }: { path: string; size: number }, row: Row): void {
    if (size >= smallFileBytes) this.#read.set(path, row);
  }

  /** What `length` bytes of the file at this place can be coded against; null without a sibling. */
  against({ path, size, offset }: FilePlace, length: number): Against | null {
    const sibling = this.#siblingOf(path, size);
    if (!sibling || this.#isHopeless(sibling.family)) return null;
    const bases = piecesOf(sibling, sibling.entry.size - (size - offset), length);
    if (!bases?.every((base) => this.#isPlain(base.id))) return null;
    const onCoded = (isBased: boolean) => {
      this.#misses.set(sibling.family, isBased ? 0 : (this.#misses.get(sibling.family) ?? 0) + 1);
    };
    return { root: this.#root, bases, onCoded };
  }

  #isHopeless(family: string): boolean {
    return (this.#misses.get(family) ?? 0) >= patience;
  }

  #siblingOf(path: string, size: number): Sibling | null {
    if (this.#current?.path !== path) this.#current = { path, sibling: this.#findSibling(path, size) };
    return this.#current.sibling;
  }

  #findSibling(path: string, size: number): Sibling | null {
    this.#ground ??= this.#round && groundOf(this.#round.walked, this.#round.cache);
    let tried = 0;
    for (const { path: other, family } of this.#ground?.families.siblingsOf(path, size) ?? []) {
      if (this.#isHopeless(family)) continue;
      if (++tried > maxTried) break;
      const entry = this.#entryOf(other);
      if (entry && this.#plainShareOf(entry) >= minPlainShare) return { entry, family, offsets: offsetsOf(entry) };
    }
    return null;
  }

  /** As it was read in this round, or as the cache knows it where it has not moved since. */
  #entryOf(path: string): FileEntry | null {
    const { walked, cache, places } = this.#ground!;
    let row = this.#read.get(path);
    if (!row) {
      row = cache.get(path);
      if (!row || !hasStamp(row, walked.stamps, places.get(path)! * stampFields)) return null;
    }
    const entry = decodeEntry(new ByteReader(streamOf(row), "record"));
    return entry.type === "f" ? entry : null;
  }

  #plainShareOf({ size, chunks }: FileEntry): number {
    const plain = chunks.reduce((sum, chunk) => sum + (this.#isPlain(chunk.id) ? chunk.plainBytes : 0), 0);
    return plain / size;
  }
}

/** Only big files can be siblings; the index of them costs nothing where no big file is new. */
function groundOf(walked: Walked, cache: StatCache): Ground {
  const families = new Families();
  const places = new Map<string, number>();
  for (let n = 0; n < walked.paths.length; n++) {
    const size = walked.sizeAt(n);
    if (size < smallFileBytes || walked.typeAt(n) !== "f") continue;
    families.add(walked.paths[n]!, size);
    places.set(walked.paths[n]!, n);
  }
  return { walked, cache, families, places };
}

function offsetsOf({ chunks }: FileEntry): number[] {
  let at = 0;
  return chunks.map(({ plainBytes }) => {
    at += plainBytes;
    return at - plainBytes;
  });
}

/**
 * The pieces of the sibling's chunks that make up `length` bytes from `from` on; null where it has no such bytes. A file
 * with a longer head begins before its sibling does: then the sibling's first bytes, which mean nothing there, fill up.
 */
function piecesOf(sibling: Sibling, from: number, length: number): PlacedBase[] | null {
  const short = Math.max(0, -from);
  if (short > length / 2 || from + length > sibling.entry.size) return null;
  const filler = short > 0 ? piecesBetween(sibling, 0, short) : [];
  const bases = [...filler, ...piecesBetween(sibling, Math.max(0, from), from + length)];
  return bases.length <= limits.frameBases ? bases : null;
}

function piecesBetween({ entry, offsets }: Sibling, from: number, end: number): PlacedBase[] {
  const bases: PlacedBase[] = [];
  for (let n = lastAtOrBefore(offsets, from); n < offsets.length && offsets[n]! < end; n++) {
    const { id, plainBytes } = entry.chunks[n]!;
    const offset = offsets[n]!;
    const skip = Math.max(0, from - offset);
    const take = Math.min(end, offset + plainBytes) - offset - skip;
    bases.push({ id, skip, take, plainBytes, places: [{ path: entry.path, offset }] });
  }
  return bases;
}

function lastAtOrBefore(offsets: number[], from: number): number {
  let low = 0;
  let high = offsets.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (offsets[middle]! <= from) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** A packer whose big chunks are coded against their siblings; with no planner, a packer. */
export class BasedSink implements ChunkSink {
  readonly #packer: Packer;
  readonly #planner: BasePlanner | null;

  constructor(packer: Packer, planner: BasePlanner | null) {
    this.#packer = packer;
    this.#planner = planner;
  }

  has(id: string): boolean {
    return this.#packer.has(id);
  }

  hasAt(bytes: Buffer, at: number): boolean {
    return this.#packer.hasAt(bytes, at);
  }

  add(id: string, bytes: Uint8Array, place?: FilePlace): Promise<void> {
    const isAlone = !place || bytes.length < smallFileBytes;
    const against = isAlone ? null : this.#planner?.against(place, bytes.length);
    return this.#packer.add(id, bytes, against ?? null);
  }

  smallRoom(length: number): Uint8Array | Promise<Uint8Array> {
    return this.#packer.smallRoom(length);
  }

  takeRoom(): Promise<SharedArrayBuffer> {
    return this.#packer.takeRoom();
  }

  giveRoom(room: SharedArrayBuffer): void {
    this.#packer.giveRoom(room);
  }
}
