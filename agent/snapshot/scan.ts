/** One round over the workspace: every entry's record, and the digest over them. Reads only what the cache does not know. */
import { ByteWriter } from "../../core/snapshot/bytes.ts";
import { limits, smallFileBytes } from "../../core/snapshot/limits.ts";
import { encodeHoles, encodeRecord, type InodeEntry, parentOf } from "../../core/snapshot/tree.ts";
import { textOfBytes } from "../fs/paths.ts";
import type { BasePlanner } from "./bases.ts";
import { cutChunk } from "./cut-chunk.ts";
import type { Excluder } from "./excludes.ts";
import { type Reading, type ReadResult, readBigFile, readEntry } from "./read.ts";
import { ReadOrder } from "./read-order.ts";
import { RoundRows } from "./round-rows.ts";
import type { RowList } from "./row-list.ts";
import { chunkPlacesOf, hasStamp, type Row, RowShelf, sizeOf, stampFields } from "./rows.ts";
import type { StatCache } from "./stat-cache.ts";
import type { Stillness } from "./stillness.ts";
import type { SkippedPath } from "./types.ts";
import { type Found, isFolder, isGone, skipped, type Walked, walk } from "./walk.ts";

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
  /** Of the sync right before. */
  stillness: Stillness;
  /** Every chunk that the cache knows is known to be in the store, from an earlier round or snapshot. */
  isCacheStored: boolean;
  /** Is told what the round sees. */
  planner?: BasePlanner | null;
  counts: ScanCounts;
  onStep: () => void;
  /** Whether this thread may do what the coder threads do, once it has nothing else to do. */
  mayCutHere?: boolean;
}

/** While a big file is read as well, whose next chunk waits for the end of a slice. */
const sharedSliceMs = 4;
const noHoles = new Uint8Array(0);
const noStamp = [0, 0, 0, 0, 0, 0];

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
  await round.run();
  const result = round.finish();
  cache.replace(round.rows.rested);
  return result;
}

class RoundBuilder {
  readonly #input: RoundInput;
  readonly #walked: Walked;
  readonly #shelf = new RowShelf();
  readonly #record = new ByteWriter(4096);
  readonly #holes = new ByteWriter(256);
  readonly #names = new Map<string, string>();
  /** Parents first. */
  readonly #folders = new Set<string>();
  readonly #round: Omit<Round, "entries" | "digest" | "isAsCached">;
  #hardLinks = 0;
  #reused = 0;
  /** Files whose bytes must be read; the first of them makes the rows wait. */
  readonly #toRead = { big: [] as number[], small: new ReadOrder() };
  /** Files in `toRead` that have more names. */
  readonly #owned = new Set<string>();
  /** Their other names, and what could not be read beside all else. */
  readonly #later = new Set<number>();
  readonly rows = new RoundRows();

  constructor(input: RoundInput, walked: Walked) {
    this.#input = input;
    this.#walked = walked;
    this.#round = {
      files: 0,
      plainBytes: 0,
      torn: [],
      unreadable: walked.unreadable,
      sockets: [],
    };
  }

  /**
   * Of most rounds the cache knows all, and the order of the tree is that of the walk. Bytes are read when all else is known: small
   * files in the order in which they are coded best, which keeps this thread busy, and beside them the big ones, which keep
   * the coder threads busy.
   */
  async run(): Promise<void> {
    const { breather, onStep, sink } = this.#input;
    const rest = async () => {
      onStep();
      await breather.rest();
    };
    const count = this.#walked.paths.length;
    for (let n = 0; n < count; n++) {
      if (breather.due) await rest();
      if (this.#isOtherName(n)) this.#later.add(n);
      else if (this.#addKnown(n)) continue;
      else if (sink && this.#walked.typeAt(n) === "f") this.#putOff(n);
      else await this.#read(n);
    }
    if (!this.rows.isWaiting) return;
    await this.#readAll(rest);
    await this.#leaveOutStrangers(rest);
    this.rows.goOn();
    for (let n = 0; n < count; n++) {
      if (breather.due) await rest();
      if (!this.rows.take(n) && this.#later.has(n) && !this.#addKnown(n)) await this.#read(n);
    }
  }

  /** Whoever read below a folder that became a link meanwhile may have been led out of the tree. */
  async #leaveOutStrangers(rest: () => Promise<void>): Promise<void> {
    const { paths } = this.#walked;
    const { small, big } = this.#toRead;
    const above = new Set([""]);
    for (const list of [small, big, this.#later])
      for (const n of list) {
        if (this.#input.breather.due) await rest();
        for (let folder = parentOf(paths[n]!); !above.has(folder); folder = parentOf(folder)) above.add(folder);
      }
    const lost = new Set<string>();
    for (const folder of this.#folders) {
      if (folder === "" || !above.has(folder)) continue;
      if (this.#input.breather.due) await rest();
      if (lost.has(parentOf(folder)) || !isFolder(this.#input.folders, folder)) lost.add(folder);
    }
    if (lost.size === 0) return;
    for (const folder of lost) this.#folders.delete(folder);
    const strangers = new Set<string>();
    for (const list of [small, big])
      for (const n of list) {
        const path = paths[n]!;
        const row = this.#folders.has(parentOf(path)) ? null : this.rows.drop(n);
        if (!row) continue;
        strangers.add(path);
        this.#round.torn.push(path);
        const size = sizeOf(row);
        if (size === null) continue;
        this.#round.files--;
        this.#round.plainBytes -= size;
      }
    for (const [inode, path] of this.#names) if (strangers.has(path)) this.#names.delete(inode);
  }

  #isOtherName(n: number): boolean {
    const inode = this.#walked.inodes.get(n);
    return inode !== undefined && this.#owned.has(inode);
  }

  #putOff(n: number): void {
    const { paths, inodes } = this.#walked;
    this.rows.wait(paths.length);
    const inode = inodes.get(n);
    if (inode !== undefined) this.#owned.add(inode);
    const isBig = this.#input.cut && this.#walked.sizeAt(n) >= smallFileBytes;
    if (isBig) this.#toRead.big.push(n);
    else this.#toRead.small.add(paths[n]!, n);
  }

  async #readAll(rest: () => Promise<void>): Promise<void> {
    const { breather, keyring, cut, mayCutHere } = this.#input;
    const { big, small } = this.#toRead;
    const usualSliceMs = breather.sliceMs;
    if (big.length > 0) breather.sliceMs = sharedSliceMs;
    /** Of one reading: the other ends as well. */
    let failure: { error: unknown } | null = null;
    let isAlone = false;
    const reading: Reading = {
      ...this.#input,
      cut: (task) => {
        if (failure) throw failure.error;
        return isAlone && mayCutHere ? cutChunk(task, keyring.idOf) : cut!(task);
      },
    };
    const readBig = async () => {
      for (const n of big) if (!failure && !(await this.#readBig(reading, n))) this.#later.add(n);
    };
    const readSmall = async () => {
      for (const n of small) {
        if (failure) return;
        if (breather.due) await rest();
        await this.#read(n);
      }
      isAlone = true;
    };
    const fail = (error: unknown) => {
      failure ??= { error };
    };
    await Promise.all([readBig().catch(fail), readSmall().catch(fail)]);
    breather.sliceMs = usualSliceMs;
    if (failure) throw (failure as { error: unknown }).error;
  }

  /** False: it is no big file any more. */
  async #readBig(reading: Reading, n: number): Promise<boolean> {
    const path = this.#walked.paths[n]!;
    const readAt = Date.now();
    try {
      const result = await readBigFile(reading, path);
      if (!result) return false;
      if (result.moved) this.#round.torn.push(path);
      this.#add(n, result, readAt);
    } catch (error) {
      this.#note(path, error);
    }
    return true;
  }

  /** What can be said of it without reading it: then true. Nothing is waited for, since of most entries nothing changed. */
  #addKnown(n: number): boolean {
    const path = this.#walked.paths[n]!;
    // Its folder became another thing since the walk, maybe a link outward: no reader would take such a tree.
    if (path !== "" && !this.#folders.has(parentOf(path))) {
      this.#round.torn.push(path);
      return true;
    }
    if (isTooLong(path)) {
      this.#round.unreadable.push({ path: textOfBytes(path), reason: "ENAMETOOLONG" });
      return true;
    }
    const inode = this.#walked.inodes.get(n);
    const firstName = inode === undefined ? undefined : this.#names.get(inode);
    // A file that took the name of another while it was read may have come later than this one.
    if (firstName !== undefined && firstName < path) {
      this.#record.clear();
      encodeRecord(this.#record, { path, type: "h", target: firstName });
      this.#hardLinks++;
      this.#place(n, "h", this.#shelf.add(noStamp, 0, this.#record.view(), noHoles), false);
      return true;
    }
    return this.#reuse(n, path, inode);
  }

  async #read(n: number): Promise<void> {
    const path = this.#walked.paths[n]!;
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
      this.#add(n, result, readAt);
    } catch (error) {
      this.#note(path, error);
    }
  }

  #add(n: number, result: NonNullable<ReadResult>, readAt: number): void {
    const { entry, found } = result;
    const path = this.#walked.paths[n]!;
    const { row, hasRested } = this.#encode(result, readAt);
    if (entry.type === "s") this.#round.sockets.push({ path: textOfBytes(path), reason: "socket" });
    this.#place(n, entry.type, row, hasRested);
    // A socket's other names are sockets: no restore makes them, so none is a link to one.
    if (found.inode !== null && found.type !== "s") this.#names.set(found.inode, path);
  }

  /** What cannot be read is said. Errors: throws what is no fault of the file's. */
  #note(path: string, error: unknown): void {
    if (isGone(error)) {
      this.#round.torn.push(path);
      return;
    }
    if (typeof (error as NodeJS.ErrnoException).code !== "string" || !isSystemError(error)) throw error;
    this.#round.unreadable.push(skipped(path, error));
  }

  /** What the cache knows of it, where it is as it was and the store has it. */
  #cachedRow(n: number, path: string): Row | null {
    const { cache, sink, isCacheStored } = this.#input;
    const row = cache.get(path);
    if (!row || !hasStamp(row, this.#walked.stamps, n * stampFields)) return null;
    // The store may have lost what the cache says: then the file is read again.
    if (sink && !isCacheStored && this.#walked.typeAt(n) === "f")
      for (const at of chunkPlacesOf(row)) if (!sink.hasAt(row.slab, at)) return null;
    return row;
  }

  #reuse(n: number, path: string, inode: string | undefined): boolean {
    const row = this.#cachedRow(n, path);
    if (!row) return false;
    const type = this.#walked.typeAt(n)!;
    if (type === "f") {
      const size = this.#walked.sizeAt(n);
      this.#input.counts.reusedBytes += size;
      this.#count(size);
    }
    this.#reused++;
    if (type === "s") this.#round.sockets.push({ path: textOfBytes(path), reason: "socket" });
    this.#place(n, type, row, true);
    if (inode !== undefined && type !== "s") this.#names.set(inode, path);
    return true;
  }

  #encode(
    { entry, found, moved }: { entry: InodeEntry; found: Found; moved: boolean },
    readAt: number,
  ): { row: Row; hasRested: boolean } {
    this.#record.clear();
    encodeRecord(this.#record, entry);
    this.#holes.clear();
    if (entry.type === "f") encodeHoles(this.#holes, entry.holes);
    const row = this.#shelf.add(found.stamp, 0, this.#record.view(), this.#holes.view());
    if (entry.type === "f") {
      this.#count(entry.size);
      this.#input.planner?.note(entry, row);
    }
    return { row, hasRested: !moved && this.#input.stillness.hasRested(found, readAt) };
  }

  #count(size: number): void {
    this.#round.files++;
    this.#round.plainBytes += size;
    this.#input.counts.doneBytes += size;
  }

  #place(n: number, type: string, row: Row, hasRested: boolean): void {
    if (type === "d") this.#folders.add(this.#walked.paths[n]!);
    this.rows.add(n, type, row, hasRested);
  }

  finish(): Round {
    const { paths, unreadable } = this.#walked;
    const torn = [...new Set(this.#round.torn)].sort();
    const isAsCached =
      this.#reused + this.#hardLinks === paths.length &&
      this.#reused === this.#input.cache.size &&
      unreadable.length === 0;
    return { ...this.#round, torn, entries: this.rows.entries, digest: this.rows.digest(), isAsCached };
  }
}

function isTooLong(path: string): boolean {
  return path.length > limits.pathBytes || path.length - path.lastIndexOf("/") - 1 > limits.nameBytes;
}

/** From a file system call (Node's or ours), not from the disk of the state folder or the store. */
function isSystemError(error: unknown): boolean {
  return (
    (error as NodeJS.ErrnoException).syscall !== undefined &&
    /^E[A-Z0-9]+$/.test((error as NodeJS.ErrnoException).code ?? "")
  );
}
