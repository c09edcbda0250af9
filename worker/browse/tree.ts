/**
 * The tree of a snapshot, a few chunks of it at a time: its root says with which path each chunk begins. The records that
 * begin in one chunk are a group; the last of them may end in a later chunk.
 */

import { AppError } from "../../core/protocol/errors.ts";
import { ByteReader, fromHex, latin1FromBytes } from "../../core/snapshot/bytes.ts";
import { damaged } from "../../core/snapshot/error.ts";
import type { Manifest } from "../../core/snapshot/manifest.ts";
import { decodeEntry, decodeTreeRoot, type Entry, type InodeEntry, type TreeChunk } from "../../core/snapshot/tree.ts";
import { ByteCache } from "./byte-cache.ts";
import { chunkOf, decodeStored, type Frame } from "./frames.ts";
import type { Parts } from "./parts.ts";
import { joined, type Segments } from "./segments.ts";

const mib = 1024 * 1024;
/** As many as a tree of 1 GiB has, were all of the least size. */
const mostChunks = 65_536;
/** Of one group: a file of half a terabyte has a record of this size. */
const groupBytes = 8 * mib;
/** Of a walk or a count. */
const budgetBytes = 64 * mib;
/** Requests to the store that a walk leaves for what comes after it. */
const requestsKept = 100;

/** Frames of trees, plain. */
const cache = new ByteCache(8 * mib);

interface Group {
  firstPath: string;
  /** Of the tree's chunks: where it begins, and where the next group does. */
  from: number;
  to: number;
}

/**
 * So many groups are read whatever is left, so that each request gets on: where it begins, what that leads past, and what
 * comes then; or two on each side of a comparison.
 */
const freeGroups = 4;

/** What a walk may read. */
export class Budget {
  #bytes: number;
  #groups = 0;

  constructor(bytes = budgetBytes) {
    this.#bytes = bytes;
  }

  mayLoad(parts: Parts): boolean {
    return this.#groups < freeGroups || (this.#bytes > 0 && parts.requests.left > requestsKept);
  }

  spend(bytes: number): void {
    this.#groups++;
    this.#bytes -= bytes;
  }
}

export class Tree {
  readonly parts: Parts;
  readonly #chunks: TreeChunk[];
  readonly #frames: Map<string, Frame>;
  readonly groups: Group[] = [];
  /** The entries that were looked at last: a search for one path and a walk from there, or many links to one place. */
  #last: { g: number; entries: Entry[] } | null = null;

  /** Errors: FormatError, snapshot_too_large, and what Parts throw. */
  static async open(parts: Parts, segments: Segments, manifest: Manifest): Promise<Tree> {
    const rootId = latin1FromBytes(fromHex(manifest.root.id));
    const places = await segments.locate([rootId]);
    const { chunks } = decodeTreeRoot(await readChunk(parts, places, rootId));
    if (chunks.length > mostChunks) throw new AppError("snapshot_too_large");
    return new Tree(parts, chunks, await segments.locate(chunks.map((chunk) => chunk.id)));
  }

  private constructor(parts: Parts, chunks: TreeChunk[], frames: Map<string, Frame>) {
    this.parts = parts;
    this.#chunks = chunks;
    this.#frames = frames;
    chunks.forEach(({ skip, plainBytes, firstPath }, from) => {
      if (skip === plainBytes) return;
      const before = this.groups.at(-1);
      if (before) before.to = from;
      if (before ? firstPath <= before.firstPath : skip !== 0) throw damaged("the tree root's paths are out of order");
      this.groups.push({ firstPath, from, to: chunks.length });
    });
  }

  /** `path`: a byte string; "" is the root. Null when there is no such entry. */
  async find(path: string): Promise<Entry | null> {
    const cursor = new TreeCursor(this, new Budget(), path);
    const entry = await cursor.entry();
    return entry !== "spent" && entry?.path === path ? entry : null;
  }

  /** The entry itself, or the one that a hard link names. */
  async inodeOf(entry: Entry): Promise<InodeEntry> {
    if (entry.type !== "h") return entry;
    const target = await this.find(entry.target);
    if (!target || target.type === "h") throw damaged("a hard link names no entry");
    return target;
  }

  /** The last group that begins at or before the path. */
  groupOf(path: string): number {
    let low = 0;
    let high = this.groups.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.groups[middle]!.firstPath <= path) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  /** Groups of equal keys have equal entries. */
  keyOf(g: number): string {
    const { from, to } = this.groups[g]!;
    const next = this.#chunks[to];
    const tail = next && next.skip > 0 ? [next] : [];
    const own = this.#chunks.slice(from, to);
    return [own[0]!.skip, ...[...own, ...tail].map((chunk) => chunk.id), tail[0]?.skip].join();
  }

  /** Of its stream. */
  bytesOf(g: number): number {
    const { from, to } = this.groups[g]!;
    let bytes = 0;
    for (let i = from; i < to; i++) bytes += this.#chunks[i]!.plainBytes;
    return bytes;
  }

  /** Its entries, in order. Errors: as `open`. */
  async entriesOf(g: number): Promise<Entry[]> {
    if (this.#last?.g === g) return this.#last.entries;
    if (this.bytesOf(g) > groupBytes) throw new AppError("snapshot_too_large");
    const { from, to, firstPath } = this.groups[g]!;
    const next = this.#chunks[to];
    const pieces: Uint8Array[] = [];
    for (let i = from; i < Math.min(to + 1, this.#chunks.length); i++) {
      const chunk = this.#chunks[i]!;
      // Most groups end where the next one begins: then that chunk is not needed.
      if (i === to && chunk.skip === 0) break;
      const bytes = await readChunk(this.parts, this.#frames, chunk.id);
      if (bytes.length !== chunk.plainBytes) throw damaged("the tree root has a wrong size for a chunk");
      pieces.push(bytes.subarray(i === from ? chunk.skip : 0, i === to ? next!.skip : undefined));
    }
    const reader = new ByteReader(joined(pieces), "tree");
    const entries: Entry[] = [];
    while (reader.left > 0) {
      const entry = decodeEntry(reader);
      if (entries.length === 0 ? entry.path !== firstPath : entry.path <= entries.at(-1)!.path)
        throw damaged("the tree's entries are out of order");
      entries.push(entry);
    }
    this.#last = { g, entries };
    return entries;
  }
}

/** A place in the tree, which only goes on. Groups are read when their entries are looked at. */
export class TreeCursor {
  readonly #tree: Tree;
  readonly #budget: Budget;
  #group: number;
  #entries: Entry[] | null = null;
  #at = 0;
  /** Entries before it are passed over. */
  #goal: string;

  constructor(tree: Tree, budget: Budget, path = "") {
    this.#tree = tree;
    this.#budget = budget;
    this.#group = tree.groupOf(path);
    this.#goal = path;
  }

  /** The entry here; null behind the last one; "spent" when the budget does not allow for it. Errors: as Tree.open. */
  async entry(): Promise<Entry | "spent" | null> {
    for (;;) {
      if (this.isAtEnd) return null;
      if (!this.#entries) {
        if (!this.#budget.mayLoad(this.#tree.parts)) return "spent";
        this.#budget.spend(this.#tree.bytesOf(this.#group));
        this.#entries = await this.#tree.entriesOf(this.#group);
      }
      const entries = this.#entries;
      while (this.#at < entries.length && entries[this.#at]!.path < this.#goal) this.#at++;
      const entry = entries[this.#at];
      if (entry) return entry;
      this.#enter(Math.max(this.#group + 1, this.#tree.groupOf(this.#goal)));
    }
  }

  next(): void {
    this.#at++;
    if (this.#entries && this.#at === this.#entries.length) this.#enter(this.#group + 1);
  }

  /** To the first entry at or behind this path. */
  seek(path: string): void {
    if (path <= this.#goal) return;
    this.#goal = path;
    const group = this.#tree.groupOf(path);
    if (group > this.#group) this.#enter(group);
  }

  get isAtEnd(): boolean {
    return this.#group >= this.#tree.groups.length;
  }

  /** The path here where it is known without reading; else null. */
  get knownPath(): string | null {
    if (this.isAtEnd) return null;
    const { firstPath } = this.#tree.groups[this.#group]!;
    if (this.#at === 0 && firstPath >= this.#goal) return firstPath;
    return null;
  }

  /** Of the whole group, where nothing of it is passed yet; else null. */
  get groupKey(): string | null {
    return this.knownPath === null ? null : this.#tree.keyOf(this.#group);
  }

  skipGroup(): void {
    this.#enter(this.#group + 1);
  }

  #enter(group: number): void {
    this.#group = group;
    this.#entries = null;
    this.#at = 0;
  }
}

async function readChunk(parts: Parts, frames: Map<string, Frame>, id: string): Promise<Uint8Array> {
  const frame = frames.get(id);
  if (!frame) throw damaged("a chunk lies in no listed part");
  const { part, info } = frame;
  const key = `${parts.instance}/${part}/${info.offset}`;
  let plain = cache.get(key);
  if (!plain) {
    plain = await decodeStored(await parts.read(part, info.offset, info.storedBytes), info);
    cache.put(key, plain);
  }
  return chunkOf(plain, info, id);
}
