/** One round over the workspace: every entry's record, and the digest over them. Reads only what the cache does not know. */
import { ByteWriter } from "../../core/snapshot/bytes.ts";
import { limits } from "../../core/snapshot/limits.ts";
import { maxSkipped } from "../../core/snapshot/manifest.ts";
import { encodeHoles, encodeRecord, type InodeEntry, isInDigest, parentOf } from "../../core/snapshot/tree.ts";
import { textOfBytes } from "../fs/paths.ts";
import type { BasePlanner } from "./bases.ts";
import type { Excluder } from "./excludes.ts";
import { nodePrimitives } from "./primitives.ts";
import { type Reading, readEntry } from "./read.ts";
import { RowList } from "./row-list.ts";
import { chunkPlacesOf, hasStamp, pathOf, type Row, RowShelf, recordOf, stampFields } from "./rows.ts";
import { isRacy, type StatCache } from "./stat-cache.ts";
import type { SkippedPath } from "./types.ts";
import { type Found, isGone, skipped, type Walked, walk } from "./walk.ts";

export interface Round {
  /** In the order of the tree. */
  entries: RowList;
  files: number;
  plainBytes: number;
  /** 64 hex digits. */
  digest: string;
  /**
   * Nothing differs from what the cache knew: every entry is as the last round of an earlier run saw it, and none is
   * gone. So all of it was at rest from the end of that round to the start of this one, as between two rounds of one run.
   */
  isAsCached: boolean;
  /** Entries that moved or went away while they were read. */
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

/** `keyring`: the one that the cache was made with. */
export interface RoundInput extends Reading {
  isExcluded: Excluder;
  cache: StatCache;
  /** Every chunk that the cache knows is known to be in the store, from an earlier round. */
  isCacheStored: boolean;
  /** Is told what the round sees. */
  planner?: BasePlanner | null;
  counts: ScanCounts;
  onStep: () => void;
}

const noHoles = new Uint8Array(0);
const noStamp = [0, 0, 0, 0, 0, 0];
const hashBytes = 1 << 16;

/** Errors: throws Stop when aborted, and what the sink throws. What one entry's reading throws is listed in the round. */
export async function scanRound(input: RoundInput): Promise<Round> {
  const { folders, breather, counts, cache } = input;
  const walked = await walk(folders, input.isExcluded, breather, (entries) => {
    counts.entries = Math.max(counts.entries, entries);
    input.onStep();
  });
  input.planner?.beginRound(walked, cache);
  const names = new Set<string>();
  Object.assign(counts, { entries: walked.paths.length, files: 0, plainBytes: 0, doneBytes: 0, reusedBytes: 0 });
  for (let n = 0; n < walked.paths.length; n++) {
    if (walked.typeAt(n) !== "f") continue;
    const inode = walked.inodes.get(n);
    if (inode !== undefined && names.has(inode)) continue;
    if (inode !== undefined) names.add(inode);
    counts.files++;
    counts.plainBytes += walked.sizeAt(n);
  }

  const round = new RoundBuilder(input, walked);
  for (let n = 0; n < walked.paths.length; n++) {
    if (breather.due) {
      input.onStep();
      await breather.rest();
    }
    await round.add(n);
  }
  const result = round.finish();
  cache.replace(round.rows);
  return result;
}

class RoundBuilder {
  readonly #input: RoundInput;
  readonly #walked: Walked;
  readonly #shelf = new RowShelf();
  readonly #record = new ByteWriter(4096);
  readonly #holes = new ByteWriter(256);
  readonly #hasher = nodePrimitives.newSha256();
  readonly #toHash = new ByteWriter(2 * hashBytes);
  readonly #names = new Map<string, string>();
  readonly #folders = new Set<string>();
  readonly #round: Omit<Round, "digest" | "isAsCached">;
  #hardLinks = 0;
  #reused = 0;
  /** What the cache keeps: all that has rested. */
  readonly rows = new RowList();

  constructor(input: RoundInput, walked: Walked) {
    this.#input = input;
    this.#walked = walked;
    this.#round = {
      entries: new RowList(),
      files: 0,
      plainBytes: 0,
      torn: [],
      unreadable: walked.unreadable,
      sockets: [],
    };
  }

  async add(n: number): Promise<void> {
    const path = this.#walked.paths[n]!;
    // Its folder became another thing since the walk, maybe a link outward: no reader would take such a tree.
    if (path !== "" && !this.#folders.has(parentOf(path))) {
      this.#round.torn.push(path);
      return;
    }
    if (path.length > limits.pathBytes || nameBytesOf(path) > limits.nameBytes) {
      this.#round.unreadable.push({ path: textOfBytes(path), reason: "ENAMETOOLONG" });
      return;
    }
    const inode = this.#walked.inodes.get(n);
    const firstName = inode === undefined ? undefined : this.#names.get(inode);
    if (firstName !== undefined) {
      this.#record.clear();
      encodeRecord(this.#record, { path, type: "h", target: firstName });
      this.#hardLinks++;
      this.#keep(path, "h", this.#shelf.add(noStamp, 0, this.#record.view(), noHoles));
      return;
    }
    if (this.#reuse(n, path, inode)) return;
    const readAt = Date.now();
    try {
      const type = this.#walked.typeAt(n) ?? "f";
      const stamp = this.#walked.stampAt(n);
      const result = await readEntry(this.#input, path, type, stamp);
      // It was there a moment ago, so the folder does not rest.
      if (!result) {
        this.#round.torn.push(path);
        return;
      }
      if (result.moved) this.#round.torn.push(path);
      this.#encode(result.entry, result.found, result.moved || isRacy(result.found.newestMs, readAt));
    } catch (error) {
      if (isGone(error)) {
        this.#round.torn.push(path);
        return;
      }
      if (typeof (error as NodeJS.ErrnoException).code !== "string" || !isSystemError(error)) throw error;
      this.#round.unreadable.push(skipped(path, error));
    }
  }

  #reuse(n: number, path: string, inode: string | undefined): boolean {
    const { cache, sink, counts, isCacheStored } = this.#input;
    const row = cache.get(path);
    if (!row || !hasStamp(row, this.#walked.stamps, n * stampFields)) return false;
    const type = this.#walked.typeAt(n)!;
    if (type === "f") {
      const size = this.#walked.sizeAt(n);
      // The store may have lost what the cache says: then the file is read again.
      if (sink && !isCacheStored) for (const at of chunkPlacesOf(row)) if (!sink.hasAt(row.slab, at)) return false;
      counts.reusedBytes += size;
      this.#count(size);
    }
    this.#reused++;
    if (type === "s") this.#round.sockets.push({ path: textOfBytes(path), reason: "socket" });
    this.rows.push(row);
    this.#keep(path, type, row);
    if (inode !== undefined && type !== "s") this.#names.set(inode, path);
    return true;
  }

  #encode(entry: InodeEntry, found: Found, isFresh: boolean): void {
    this.#record.clear();
    encodeRecord(this.#record, entry);
    this.#holes.clear();
    if (entry.type === "f") encodeHoles(this.#holes, entry.holes);
    const row = this.#shelf.add(found.stamp, 0, this.#record.view(), this.#holes.view());
    if (!isFresh) this.rows.push(row);
    if (entry.type === "f") {
      this.#count(entry.size);
      this.#input.planner?.note(entry, row);
    }
    if (entry.type === "s") this.#round.sockets.push({ path: textOfBytes(entry.path), reason: "socket" });
    this.#keep(entry.path, entry.type, row);
    // A socket's other names are sockets: no restore makes them, so none is a link to one.
    if (found.inode !== null && found.type !== "s") this.#names.set(found.inode, entry.path);
  }

  #count(size: number): void {
    this.#round.files++;
    this.#round.plainBytes += size;
    this.#input.counts.doneBytes += size;
  }

  #keep(path: string, type: string, row: Row): void {
    this.#round.entries.push(row);
    if (type === "d") this.#folders.add(path);
    if (!isInDigest(type)) return;
    this.#toHash.bytes(recordOf(row));
    if (this.#toHash.length >= hashBytes) this.#hash();
  }

  #hash(): void {
    this.#hasher.update(this.#toHash.view());
    this.#toHash.clear();
  }

  finish(): Round {
    this.#hash();
    const digest = Buffer.from(this.#hasher.digest()).toString("hex");
    const { paths, unreadable } = this.#walked;
    const isAsCached =
      this.#reused + this.#hardLinks === paths.length &&
      this.#reused === this.#input.cache.size &&
      unreadable.length === 0;
    return { ...this.#round, digest, isAsCached };
  }
}

function nameBytesOf(path: string): number {
  return path.length - path.lastIndexOf("/") - 1;
}

export interface Torn {
  /** Above 0 the round proves nothing. */
  count: number;
  /** The first of them by path, those that could not be read aside. */
  paths: string[];
}

const changedWhileRead = "it changed while it was read";

/** What a round is not sure of. `isStill`: what it read was at rest, but for what it says itself. */
export function tornOf(round: Round, before: Round | null, isStill: boolean): Torn {
  const broken = round.torn.length + round.unreadable.length;
  if (isStill) return { count: broken, paths: round.torn.slice(0, maxSkipped) };
  const changed = before ? changesOf(before, round) : [];
  const count = Math.max(1, broken, changed.length);
  return { count, paths: [...new Set([...round.torn, ...changed])].slice(0, maxSkipped) };
}

export function tornEntries({ paths }: Torn): SkippedPath[] {
  return paths.map((path) => ({ path: textOfBytes(path) || ".", reason: changedWhileRead }));
}

/** The paths that differ between two rounds. */
function changesOf(before: Round, after: Round): string[] {
  const changes: string[] = [];
  for (const row of after.entries) {
    const path = pathOf(row);
    const old = before.entries.find(path);
    if (!old || !recordOf(old).equals(recordOf(row))) changes.push(path);
  }
  for (const row of before.entries) {
    const path = pathOf(row);
    if (!after.entries.find(path)) changes.push(path);
  }
  return changes;
}

/** From a file system call (Node's or ours), not from the disk of the state folder or the store. */
function isSystemError(error: unknown): boolean {
  return (
    (error as NodeJS.ErrnoException).syscall !== undefined &&
    /^E[A-Z0-9]+$/.test((error as NodeJS.ErrnoException).code ?? "")
  );
}
