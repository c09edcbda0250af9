/**
 * Files on their way back. A small file is written in one go. A big one grows as `.soneca-<hash>.part` beside its place,
 * its chunks in any order, and takes its name when the last has come: it is absent or whole. What an earlier run left is
 * read again and kept where its hashes are right, so no journal is needed.
 */
import { closeSync, constants, ftruncateSync, openSync, readSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { isAllZero } from "../../core/snapshot/bytes.ts";
import { limits, smallFileBytes } from "../../core/snapshot/limits.ts";
import type { FileEntry, Hole } from "../../core/snapshot/tree.ts";
import type { Folders } from "../fs/folders.ts";
import { fsPath } from "../fs/paths.ts";
import type { Breather } from "./breather.ts";
import { chunkIdOf } from "./primitives.ts";
import { zeroBytes, zeroChunkId } from "./read.ts";
import { applyAttributes } from "./restore-attributes.ts";
import { removeInTheWay, tempPathOf } from "./restore-folder.ts";
import { statEntry } from "./walk.ts";

export interface Target {
  file: FileJob;
  offset: number;
}

export interface FileJob {
  entry: FileEntry;
  /** Null for a small file. */
  temp: string | null;
  /** Chunks that are not in place yet. */
  missing: number;
}

const writeFlags = constants.O_WRONLY | constants.O_NOFOLLOW;
let checkBuffer = Buffer.alloc(0);

export class FileWriter {
  readonly #folders: Folders;
  readonly #deleteExtras: boolean;
  readonly #isEntry: (path: string) => boolean;

  constructor(folders: Folders, isEntry: (path: string) => boolean, deleteExtras: boolean) {
    this.#folders = folders;
    this.#isEntry = isEntry;
    this.#deleteExtras = deleteExtras;
  }

  /**
   * Whether the whole file is in place already, by hash. `mayShare`: the entry has hard links in the tree, so its inode
   * may have more names; any other such file is made anew, or a write would reach through to its other name.
   */
  async isInPlace(entry: FileEntry, mayShare: boolean, breather: Breather): Promise<boolean> {
    const there = statEntry(this.#folders, entry.path);
    if (there?.type !== "f" || there.size !== entry.size || there.mtimeNs !== entry.mtimeNs) return false;
    if (there.inode !== null && !mayShare) return false;
    const fd = openSync(fsPath(this.#folders.at(entry.path)), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return (await this.#findMissing(fd, entry, breather, true)).length === 0;
    } finally {
      closeSync(fd);
    }
  }

  /** Makes the file's place ready. Returns the job, with the chunks that must still come. */
  async begin(entry: FileEntry, breather: Breather): Promise<{ job: FileJob; missing: Map<string, number[]> }> {
    const missing = new Map<string, number[]>();
    if (entry.size === 0) {
      const job: FileJob = { entry, temp: null, missing: 0 };
      this.#writeSmall(job, new Uint8Array(0));
      return { job, missing };
    }
    if (entry.size < smallFileBytes && entry.chunks.length === 1) {
      missing.set(entry.chunks[0]!.id, [0]);
      return { job: { entry, temp: null, missing: 1 }, missing };
    }
    const temp = tempPathOf(entry.path, this.#isEntry);
    const offsets = await this.#openTemp(temp, entry, breather);
    const job: FileJob = { entry, temp, missing: offsets.length };
    for (const { id, offset } of offsets) {
      const list = missing.get(id);
      if (list) list.push(offset);
      else missing.set(id, [offset]);
    }
    if (job.missing === 0) this.#finishBig(job);
    return { job, missing };
  }

  /** `bytes`: a chunk that was checked against its id. */
  write({ file, offset }: Target, bytes: Uint8Array): void {
    if (file.temp === null) {
      this.#writeSmall(file, bytes);
      file.missing = 0;
      return;
    }
    const fd = openSync(fsPath(this.#folders.at(file.temp)), writeFlags);
    try {
      writeAround(fd, bytes, offset, file.entry.holes);
    } finally {
      closeSync(fd);
    }
    file.missing--;
    if (file.missing === 0) this.#finishBig(file);
  }

  #writeSmall(job: FileJob, bytes: Uint8Array): void {
    const { path } = job.entry;
    removeInTheWay(this.#folders, path, this.#deleteExtras);
    const at = this.#folders.at(path);
    const fd = openSync(fsPath(at), writeFlags | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      if (job.entry.holes.length > 0) {
        ftruncateSync(fd, job.entry.size);
        writeAround(fd, bytes, 0, job.entry.holes);
      } else {
        writeAll(fd, bytes, 0);
      }
    } finally {
      closeSync(fd);
    }
    this.#apply(path, job.entry);
  }

  #finishBig(job: FileJob): void {
    this.#apply(job.temp!, job.entry);
    removeFolderInTheWay(this.#folders, job.entry.path, this.#deleteExtras);
    // The temp file's own folder is found once more: two calls of `at` may not be mixed.
    const from = this.#folders.at(job.temp!);
    const to = this.#folders.at(job.entry.path);
    renameSync(fsPath(from), fsPath(to));
  }

  #apply(path: string, entry: FileEntry): void {
    const now = statEntry(this.#folders, path);
    if (now) applyAttributes(this.#folders.at(path), entry, now);
  }

  async #openTemp(temp: string, entry: FileEntry, breather: Breather): Promise<{ id: string; offset: number }[]> {
    const there = statEntry(this.#folders, temp);
    const isOurs = there?.type === "f" && there.inode === null && there.size === entry.size;
    if (there && !isOurs) removeInTheWay(this.#folders, temp, false);
    const flags = constants.O_RDWR | constants.O_NOFOLLOW | (isOurs ? 0 : constants.O_CREAT | constants.O_EXCL);
    const at = fsPath(this.#folders.at(temp));
    let fd: number;
    try {
      fd = openSync(at, flags, 0o600);
    } catch (error) {
      // A temp file that already has a read-only mode of its own.
      if ((error as NodeJS.ErrnoException).code !== "EACCES" || !isOurs) throw error;
      unlinkSync(at);
      return this.#openTemp(temp, entry, breather);
    }
    try {
      if (!isOurs) ftruncateSync(fd, entry.size);
      return await this.#findMissing(fd, entry, breather, isOurs);
    } finally {
      closeSync(fd);
    }
  }

  /** Chunks whose bytes are not in the open file. Chunks of zeros need no store: they are written here, around the holes. */
  async #findMissing(
    fd: number,
    entry: FileEntry,
    breather: Breather,
    isOld: boolean,
  ): Promise<{ id: string; offset: number }[]> {
    const missing: { id: string; offset: number }[] = [];
    let offset = 0;
    for (const { id, plainBytes } of entry.chunks) {
      if (breather.due) await breather.rest();
      const isHere = isOld && chunkIdOf(readChunk(fd, offset, plainBytes)) === id;
      if (!isHere) {
        if (!isOld && id === zeroChunkId(plainBytes)) writeAround(fd, zeroBytes(plainBytes), offset, entry.holes);
        else missing.push({ id, offset });
      }
      offset += plainBytes;
    }
    return missing;
  }
}

function removeFolderInTheWay(folders: Folders, path: string, deleteExtras: boolean): void {
  if (statEntry(folders, path)?.type === "d") removeInTheWay(folders, path, deleteExtras);
}

function readChunk(fd: number, offset: number, length: number): Uint8Array {
  if (checkBuffer.length < length) checkBuffer = Buffer.allocUnsafe(limits.chunkBytes);
  let filled = 0;
  while (filled < length) {
    const got = readSync(fd, checkBuffer, filled, length - filled, offset + filled);
    if (got === 0) break;
    filled += got;
  }
  return checkBuffer.subarray(0, filled);
}

/** Writes all but the zeros that the hole list names. The list is advice: bytes that are not zero are written anyway. */
function writeAround(fd: number, bytes: Uint8Array, offset: number, holes: Hole[]): void {
  const end = offset + bytes.length;
  let at = offset;
  for (const hole of holesFrom(holes, offset)) {
    if (hole.offset >= end) break;
    const from = Math.max(hole.offset, at);
    const to = Math.min(hole.offset + hole.length, end);
    if (to <= from || !isAllZero(bytes.subarray(from - offset, to - offset))) continue;
    if (from > at) writeAll(fd, bytes.subarray(at - offset, from - offset), at);
    at = to;
  }
  if (at < end) writeAll(fd, bytes.subarray(at - offset), at);
}

/** The holes that end after `offset`; they are sorted. */
function holesFrom(holes: Hole[], offset: number): Hole[] {
  let low = 0;
  let high = holes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holes[middle]!.offset + holes[middle]!.length <= offset) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? holes : holes.slice(low);
}

function writeAll(fd: number, bytes: Uint8Array, offset: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, offset + at);
}
