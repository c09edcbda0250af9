/** One round over the workspace: every entry's record, and the digest over them. Reads only what the cache does not know. */
import { ByteReader, ByteWriter } from "../../core/snapshot/bytes.ts";
import { decodeEntry, encodeHoles, encodeRecord, type InodeEntry, isInDigest } from "../../core/snapshot/tree.ts";
import type { Folders } from "../fs/folders.ts";
import { textOfBytes } from "../fs/paths.ts";
import type { Breather } from "./breather.ts";
import { nodePrimitives } from "./primitives.ts";
import { type ChunkSink, readEntry } from "./read.ts";
import { type CacheRow, isRacy, type StatCache } from "./stat-cache.ts";
import type { SkippedPath } from "./types.ts";
import { type Found, isGone, skipped, walk } from "./walk.ts";

export interface Scanned {
  path: string;
  type: string;
  record: Uint8Array;
  /** Encoded; empty for everything but files. */
  holes: Uint8Array;
}

export interface Round {
  entries: Scanned[];
  files: number;
  plainBytes: number;
  /** 64 hex digits. */
  digest: string;
  /** Entries that moved while they were read. */
  torn: string[];
  unreadable: SkippedPath[];
  sockets: SkippedPath[];
}

export interface ScanCounts {
  entries: number;
  files: number;
  plainBytes: number;
  doneBytes: number;
  reusedBytes: number;
}

export interface RoundInput {
  folders: Folders;
  isExcluded: (path: string) => boolean;
  cache: StatCache;
  /** Null: only ids are wanted. */
  sink: ChunkSink | null;
  breather: Breather;
  counts: ScanCounts;
  onStep: () => void;
}

const noHoles = new Uint8Array(0);

/** Errors: throws Stop when aborted, and what the sink throws. What one entry's reading throws is listed in the round. */
export async function scanRound(input: RoundInput): Promise<Round> {
  const { folders, breather, counts, cache } = input;
  const { found, unreadable } = await walk(folders, input.isExcluded, breather);
  const names = new Set<string>();
  Object.assign(counts, { entries: found.length, files: 0, plainBytes: 0, doneBytes: 0, reusedBytes: 0 });
  for (const { type, inode, size } of found) {
    if (type !== "f" || (inode !== null && names.has(inode))) continue;
    if (inode !== null) names.add(inode);
    counts.files++;
    counts.plainBytes += size;
  }

  const round = new RoundBuilder(input, unreadable);
  for (const entry of found) {
    if (breather.due) {
      input.onStep();
      await breather.rest();
    }
    await round.add(entry);
  }
  cache.replace(round.rows);
  return round.finish();
}

class RoundBuilder {
  readonly #input: RoundInput;
  readonly #writer = new ByteWriter(4096);
  readonly #hasher = nodePrimitives.newSha256();
  readonly #names = new Map<string, string>();
  readonly #round: Omit<Round, "digest">;
  readonly rows = new Map<string, CacheRow>();

  constructor(input: RoundInput, unreadable: SkippedPath[]) {
    this.#input = input;
    this.#round = { entries: [], files: 0, plainBytes: 0, torn: [], unreadable, sockets: [] };
  }

  async add(found: Found): Promise<void> {
    const firstName = found.inode === null ? undefined : this.#names.get(found.inode);
    if (firstName !== undefined) {
      this.#writer.clear();
      encodeRecord(this.#writer, { path: found.path, type: "h", target: firstName });
      this.#keep({ path: found.path, type: "h", record: this.#writer.finish(), holes: noHoles });
      return;
    }
    if (this.#reuse(found)) return;
    const readAt = Date.now();
    try {
      const result = await readEntry(this.#input.folders, found, this.#input.sink, this.#input.breather);
      if (!result) return;
      if (result.moved) this.#round.torn.push(found.path);
      this.#encode(result.entry, result.found, result.moved || isRacy(result.found.newestMs, readAt));
    } catch (error) {
      if (isGone(error)) return;
      if (typeof (error as NodeJS.ErrnoException).code !== "string" || !isSystemError(error)) throw error;
      this.#round.unreadable.push(skipped(found.path, error));
    }
  }

  #reuse(found: Found): boolean {
    const { cache, sink, counts } = this.#input;
    const row = cache.get(found.path);
    if (row?.key !== found.key) return false;
    if (found.type === "f" && found.size > 0) {
      // The store may have lost what the cache says: then the file is read again.
      if (sink && !chunkIdsOf(row).every((id) => sink.has(id))) return false;
      counts.reusedBytes += found.size;
    }
    this.#count(found.type, found.size);
    this.rows.set(found.path, row);
    this.#keep({ path: found.path, type: found.type, record: row.record, holes: row.holes });
    if (found.inode !== null && found.type !== "s") this.#names.set(found.inode, found.path);
    return true;
  }

  #encode(entry: InodeEntry, found: Found, isFresh: boolean): void {
    this.#writer.clear();
    encodeRecord(this.#writer, entry);
    const record = this.#writer.finish();
    let holes: Uint8Array = noHoles;
    if (entry.type === "f") {
      this.#writer.clear();
      encodeHoles(this.#writer, entry.holes);
      holes = this.#writer.finish();
    }
    if (!isFresh) this.rows.set(entry.path, { key: found.key, record, holes });
    this.#count(entry.type, entry.type === "f" ? entry.size : 0);
    if (entry.type === "s") this.#round.sockets.push({ path: textOfBytes(entry.path), reason: "socket" });
    this.#keep({ path: entry.path, type: entry.type, record, holes });
    // A socket's other names are sockets: no restore makes them, so none is a link to one.
    if (found.inode !== null && found.type !== "s") this.#names.set(found.inode, entry.path);
  }

  #count(type: string, size: number): void {
    if (type !== "f") return;
    this.#round.files++;
    this.#round.plainBytes += size;
    this.#input.counts.doneBytes += size;
  }

  #keep(scanned: Scanned): void {
    this.#round.entries.push(scanned);
    if (isInDigest(scanned.type)) this.#hasher.update(scanned.record);
  }

  finish(): Round {
    const digest = Buffer.from(this.#hasher.digest()).toString("hex");
    return { ...this.#round, digest };
  }
}

export function chunkIdsOf(row: { record: Uint8Array; holes: Uint8Array }): string[] {
  const entry = decodeEntry(new ByteReader(Buffer.concat([row.record, row.holes]), "record"));
  return entry.type === "f" ? entry.chunks.map((chunk) => chunk.id) : [];
}

/** How many entries differ between two rounds. */
export function countChanges(before: Round, after: Round): number {
  const records = new Map(before.entries.map((entry) => [entry.path, entry.record]));
  let changes = 0;
  for (const entry of after.entries) {
    const record = records.get(entry.path);
    if (!record || Buffer.compare(record, entry.record) !== 0) changes++;
    records.delete(entry.path);
  }
  return changes + records.size;
}

/** From a file system call (Node's or ours), not from the disk of the state folder or the store. */
function isSystemError(error: unknown): boolean {
  return (
    (error as NodeJS.ErrnoException).syscall !== undefined &&
    /^E[A-Z0-9]+$/.test((error as NodeJS.ErrnoException).code ?? "")
  );
}
