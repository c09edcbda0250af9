/**
 * Looks into a stored snapshot without a restore. One path costs the manifest, the segments, the tree's root and the few
 * tree chunks in which it lies: the root says with which path each chunk begins.
 */
import { ByteReader } from "../../core/snapshot/bytes.ts";
import { damaged } from "../../core/snapshot/error.ts";
import type { Manifest } from "../../core/snapshot/manifest.ts";
import type { SnapshotStore } from "../../core/snapshot/store.ts";
import {
  decodeEntry,
  decodeTreeRoot,
  type Entry,
  type FileEntry,
  type InodeEntry,
  type TreeChunk,
} from "../../core/snapshot/tree.ts";
import { ChunkReader } from "./chunk-reader.ts";
import type { Unlock } from "./keyring.ts";
import { loadSnapshot } from "./meta.ts";

/** The records that begin in one chunk of the tree; the last of them may end in a later chunk. */
interface Group {
  firstPath: string;
  /** Of the tree's chunks: where it begins, and where the next group does. */
  from: number;
  to: number;
}

const chunksAhead = 3;

export class SnapshotBrowser {
  readonly manifest: Manifest;
  readonly #chunks: ChunkReader;
  readonly #tree: TreeChunk[];
  readonly #groups: Group[] = [];
  readonly #loaded = new Map<number, Entry[]>();

  /** Errors: as loadSnapshot. */
  static async open(
    store: SnapshotStore,
    id: string,
    seq: number,
    epoch: number,
    signal?: AbortSignal,
    unlock?: Unlock,
  ): Promise<SnapshotBrowser> {
    const chunks = new ChunkReader(store, await loadSnapshot(store, id, seq, epoch, signal, unlock), signal);
    return new SnapshotBrowser(chunks, decodeTreeRoot(await chunks.root()).chunks);
  }

  /** Of an encrypted snapshot. */
  get dataKey(): Uint8Array | null {
    return this.#chunks.snapshot.keyring.dataKey;
  }

  private constructor(chunks: ChunkReader, tree: TreeChunk[]) {
    this.manifest = chunks.snapshot.manifest;
    this.#chunks = chunks;
    this.#tree = tree;
    tree.forEach(({ skip, plainBytes, firstPath }, from) => {
      if (skip === plainBytes) return;
      const before = this.#groups.at(-1);
      if (before) before.to = from;
      if (before ? firstPath <= before.firstPath : skip !== 0) throw damaged("the tree root's paths are out of order");
      this.#groups.push({ firstPath, from, to: tree.length });
    });
  }

  /** `path`: byte string; "" is the root. Null when the snapshot has no such entry. */
  async find(path: string): Promise<Entry | null> {
    for await (const entry of this.walk(path)) return entry.path === path ? entry : null;
    return null;
  }

  /** The entry itself, or the one that a hard link names. */
  async inodeOf(entry: Entry): Promise<InodeEntry> {
    if (entry.type !== "h") return entry;
    const target = await this.find(entry.target);
    if (!target || target.type === "h") throw damaged("a hard link names no entry");
    return target;
  }

  /** All entries from `path` on, in order. `next(path)` goes on from another, later path. */
  async *walk(path = ""): AsyncGenerator<Entry, void, string | undefined> {
    let from = path;
    for (let g = this.#groupOf(from); g < this.#groups.length; ) {
      const entries = await this.#entriesOf(g);
      let at = entries.findIndex((entry) => entry.path >= from);
      let isFar = false;
      while (at >= 0 && at < entries.length && !isFar) {
        const goal = yield entries[at++]!;
        if (goal === undefined) continue;
        from = goal;
        while (at < entries.length && entries[at]!.path < goal) at++;
        isFar = at === entries.length;
      }
      g = isFar ? Math.max(g + 1, this.#groupOf(from)) : g + 1;
    }
  }

  /** What lies directly in a folder. Whole folders below it are passed over without being read. */
  async *children(folder: string): AsyncGenerator<Entry, void> {
    const prefix = folder === "" ? "" : `${folder}/`;
    const walk = this.walk(prefix);
    for (let step = await walk.next(); !step.done; ) {
      const { path } = step.value;
      if (!path.startsWith(prefix)) return;
      const slash = path.indexOf("/", prefix.length);
      if (path !== folder && slash < 0) yield step.value;
      // "0" comes right after "/": the next path that is not below that folder.
      step = await (slash < 0 ? walk.next() : walk.next(`${path.slice(0, slash)}0`));
    }
  }

  /** All that lies in a folder, at any depth. */
  async *below(folder: string): AsyncGenerator<Entry, void> {
    const prefix = folder === "" ? "" : `${folder}/`;
    for await (const entry of this.walk(prefix)) {
      if (!entry.path.startsWith(prefix)) return;
      if (entry.path !== folder) yield entry;
    }
  }

  /** The file's bytes in order, chunk by chunk, each checked by its id. */
  async *read(file: FileEntry): AsyncGenerator<Uint8Array, void> {
    const ahead: Promise<Uint8Array>[] = [];
    let next = 0;
    while (next < file.chunks.length || ahead.length > 0) {
      while (next < file.chunks.length && ahead.length < chunksAhead) {
        const chunk = this.#chunks.read(file.chunks[next++]!.id);
        // Whoever takes it sees the error; nobody may take it when an earlier one failed.
        chunk.catch(() => {});
        ahead.push(chunk);
      }
      yield await ahead.shift()!;
    }
  }

  /** The last group that begins at or before the path. */
  #groupOf(path: string): number {
    let low = 0;
    let high = this.#groups.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#groups[middle]!.firstPath <= path) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  async #entriesOf(g: number): Promise<Entry[]> {
    const known = this.#loaded.get(g);
    if (known) return known;
    const { from, to, firstPath } = this.#groups[g]!;
    const next = this.#tree[to];
    const pieces: Uint8Array[] = [];
    for (let i = from; i < Math.min(to + 1, this.#tree.length); i++) {
      const chunk = this.#tree[i]!;
      // Most groups end where the next one begins: then that chunk is not needed.
      if (i === to && chunk.skip === 0) break;
      const bytes = await this.#chunks.read(chunk.id);
      if (bytes.length !== chunk.plainBytes) throw damaged("the tree root has a wrong size for a chunk");
      pieces.push(bytes.subarray(i === from ? chunk.skip : 0, i === to ? next!.skip : undefined));
    }
    const reader = new ByteReader(Buffer.concat(pieces), "tree");
    const entries: Entry[] = [];
    while (reader.left > 0) {
      const entry = decodeEntry(reader);
      if (entries.length === 0 ? entry.path !== firstPath : entry.path <= entries.at(-1)!.path)
        throw damaged("the tree's entries are out of order");
      entries.push(entry);
    }
    this.#loaded.set(g, entries);
    for (const oldest of this.#loaded.keys()) {
      if (this.#loaded.size <= 4) break;
      this.#loaded.delete(oldest);
    }
    return entries;
  }
}
