/**
 * Files on their way back. A small file is made in one go by a coder thread. A big one grows as `.soneca-<hash>.part`
 * beside its place, its chunks in any order, and takes its name when the last has come: it is absent or whole. What an
 * earlier run left is read again and kept where its hashes are right, so no journal is needed.
 */
import { closeSync, constants, ftruncateSync, lstatSync, openSync, readSync, renameSync, unlinkSync } from "node:fs";
import { isAllZero } from "../../core/snapshot/bytes.ts";
import { fileChunker } from "../../core/snapshot/chunker.ts";
import { limits, smallFileBytes } from "../../core/snapshot/limits.ts";
import { type FileEntry, type Hole, parentOf } from "../../core/snapshot/tree.ts";
import type { Folders } from "../fs/folders.ts";
import { native, setTimes } from "../fs/native.ts";
import { fsPath } from "../fs/paths.ts";
import type { Breather } from "./breather.ts";
import type { WriteTarget } from "./coder-tasks.ts";
import { isInHole } from "./holes.ts";
import { type Keyring, zeroBytes } from "./keyring.ts";
import { applyAttributes } from "./restore-attributes.ts";
import { removeInTheWay, tempPathOf } from "./restore-folder.ts";
import { holesFrom, makeFile, writeAround } from "./restore-write.ts";
import { statEntry } from "./walk.ts";

/** A chunk that must still come, and where it goes. */
export interface Target {
  file: FileJob;
  id: string;
  offset: number;
  plainBytes: number;
  isWritten?: boolean;
}

export interface FileJob {
  entry: FileEntry;
  /** Null for a small file. */
  temp: string | null;
  /** Chunks that are not in place yet. */
  missing: number;
}

export interface FileWriterInput {
  folders: Folders;
  keyring: Keyring;
  isEntry: (path: string) => boolean;
  deleteExtras: boolean;
  /** Folders that were there before the restore: only in them can something lie in the way. */
  old: ReadonlySet<string>;
}

let checkBuffer = Buffer.alloc(0);

export class FileWriter {
  readonly #folders: Folders;
  readonly #keyring: Keyring;
  readonly #deleteExtras: boolean;
  readonly #isEntry: (path: string) => boolean;
  readonly #old: ReadonlySet<string>;
  /** What a new file inherits from the folders that were there: their group, or access control lists. */
  readonly #inherits: { group: boolean; xattrs: boolean };
  readonly #uid = process.geteuid?.() ?? -1;
  readonly #gid = process.getegid?.() ?? -1;

  constructor({ folders, keyring, isEntry, deleteExtras, old }: FileWriterInput) {
    this.#folders = folders;
    this.#keyring = keyring;
    this.#deleteExtras = deleteExtras;
    this.#isEntry = isEntry;
    this.#old = old;
    this.#inherits = inheritanceOf(folders, old);
  }

  /**
   * Whether the whole file is in place already, by hash. `mayShare`: the entry has hard links in the tree, so its inode
   * may have more names; any other such file is made anew, or a write would reach through to its other name.
   */
  async isInPlace(entry: FileEntry, mayShare: boolean, breather: Breather): Promise<boolean> {
    if (!this.#old.has(parentOf(entry.path))) return false;
    const there = statEntry(this.#folders, entry.path);
    if (there?.type !== "f" || there.size !== entry.size || there.mtimeNs !== entry.mtimeNs) return false;
    if (there.inode !== null && !mayShare) return false;
    return this.holds(entry, breather);
  }

  /** Whether the file that lies there, as long as the entry, has its bytes. One that cannot be read has not. */
  async holds(entry: FileEntry, breather: Breather): Promise<boolean> {
    let fd: number;
    try {
      fd = openSync(fsPath(this.#folders.at(entry.path)), constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      // Not readable by its own owner, or another thing by now.
      if (["EACCES", "ELOOP", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
      throw error;
    }
    try {
      return (await this.#findMissing(fd, entry, breather, "whole")).length === 0;
    } finally {
      closeSync(fd);
    }
  }

  /** What the disk holds of it already, from an earlier run. */
  begunBytes(entry: FileEntry): number {
    if (entry.size === 0 || isSmall(entry)) return 0;
    const temp = this.#folders.at(tempPathOf(entry.path, this.#isEntry));
    const there = lstatSync(fsPath(temp), { throwIfNoEntry: false });
    return there?.isFile() && there.size === entry.size ? there.blocks * 512 : 0;
  }

  /** Makes the place of a file that is not small ready. Returns the chunks that must still come. */
  async begin(entry: FileEntry, breather: Breather): Promise<Target[]> {
    if (entry.size === 0) {
      const target: Target = { file: { entry, temp: null, missing: 1 }, id: "", offset: 0, plainBytes: 0 };
      makeFile(this.#folders, this.target(target), new Uint8Array(0), this.#deleteExtras);
      this.finish(target);
      return [];
    }
    const temp = tempPathOf(entry.path, this.#isEntry);
    const missing = await this.#openTemp(temp, entry, breather);
    const file: FileJob = { entry, temp, missing: missing.length };
    if (missing.length === 0) this.#finishBig(file);
    return missing.map((chunk) => ({ file, ...chunk }));
  }

  /** Where a big file is once it is whole, and until then. */
  readonly pathsOf = (path: string): string[] => [path, tempPathOf(path, this.#isEntry)];

  /** What a coder thread needs to write a chunk to its place. */
  target({ file: { entry, temp }, offset, plainBytes }: Target): WriteTarget {
    const { path, size, holes, mode, uid, gid } = entry;
    if (temp !== null) {
      const near = holesFrom(holes, offset);
      const past = near.findIndex((hole) => hole.offset >= offset + plainBytes);
      const within = past < 0 ? near : near.slice(0, past);
      return { path: temp, isWhole: false, offset, size, holes: within, attributes: null };
    }
    const isOurs = uid === this.#uid && gid === this.#gid && !this.#inherits.group;
    const attributes = this.#isPlain(entry) ? { mode, owner: isOurs ? null : { uid, gid } } : null;
    return { path, isWhole: true, offset, size, holes, attributes };
  }

  /** After the chunk was written there: what is whole now gets its attributes and its name. */
  finish(target: Target): void {
    const { file } = target;
    const { entry, temp } = file;
    // Counted once, or a file would take its name before it is whole.
    if (target.isWritten) return;
    target.isWritten = true;
    file.missing--;
    if (temp !== null) {
      if (file.missing === 0) this.#finishBig(file);
    } else if (this.#isPlain(entry)) {
      setTimes(this.#folders.at(entry.path), entry.mtimeNs);
    } else {
      this.#apply(entry.path, entry);
    }
  }

  /** Mode, owner and times are all that the file needs. */
  #isPlain(entry: FileEntry): boolean {
    return entry.xattrs.length === 0 && !this.#inherits.xattrs;
  }

  #finishBig(job: FileJob): void {
    this.#apply(job.temp!, job.entry);
    removeFolderInTheWay(this.#folders, job.entry.path, this.#deleteExtras);
    const [from, to] = this.#folders.both(job.temp!, job.entry.path);
    renameSync(fsPath(from), fsPath(to));
  }

  #apply(path: string, entry: FileEntry): void {
    const now = statEntry(this.#folders, path);
    if (now) applyAttributes(this.#folders.at(path), entry, now);
  }

  async #openTemp(temp: string, entry: FileEntry, breather: Breather): Promise<Omit<Target, "file">[]> {
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
      if (isOurs) await clearHoles(fd, entry.holes, breather);
      else ftruncateSync(fd, entry.size);
      return await this.#findMissing(fd, entry, breather, isOurs ? "begun" : "new");
    } finally {
      closeSync(fd);
    }
  }

  /** Chunks whose bytes are not in the open file. Chunks of zeros need no store: they are written here, around the holes. */
  async #findMissing(
    fd: number,
    entry: FileEntry,
    breather: Breather,
    state: "new" | "begun" | "whole",
  ): Promise<Omit<Target, "file">[]> {
    const missing: Omit<Target, "file">[] = [];
    let offset = 0;
    const last = entry.chunks.at(-1);
    for (const chunk of entry.chunks) {
      const { id, plainBytes } = chunk;
      // Zeros are only cut at the largest size, or where the file ends.
      const mayBeZero = plainBytes === fileChunker.max || chunk === last;
      if (breather.due) await breather.rest();
      const isZeros = mayBeZero && id === this.#keyring.zeroId(plainBytes);
      // Also in one that an earlier run began: what it did not reach reads as zeros, but has no blocks.
      if (isZeros && state !== "whole") {
        if (!isInHole(entry.holes, offset, plainBytes)) writeAround(fd, zeroBytes(plainBytes), offset, entry.holes);
      } else {
        const isHole = isZeros && native?.isHole(fd, offset, plainBytes) === true;
        const isHere = isHole || (state !== "new" && this.#keyring.idOf(readChunk(fd, offset, plainBytes)) === id);
        if (!isHere) missing.push({ id, offset, plainBytes });
      }
      offset += plainBytes;
    }
    return missing;
  }
}

/** One chunk, made in one go by a coder thread. */
export function isSmall(entry: FileEntry): boolean {
  return entry.size < smallFileBytes && entry.chunks.length === 1;
}

/** An earlier run may have begun another version of the file, and what is a hole now is passed over when it is written. */
async function clearHoles(fd: number, holes: Hole[], breather: Breather): Promise<void> {
  for (const { offset, length } of holes) {
    if (native?.isHole(fd, offset, length)) continue;
    for (let at = offset; at < offset + length; at += limits.chunkBytes) {
      if (breather.due) await breather.rest();
      const bytes = readChunk(fd, at, Math.min(limits.chunkBytes, offset + length - at));
      if (!isAllZero(bytes)) writeAround(fd, zeroBytes(bytes.length), at, []);
    }
  }
}

function inheritanceOf(folders: Folders, old: ReadonlySet<string>): { group: boolean; xattrs: boolean } {
  const inherits = { group: false, xattrs: false };
  for (const path of old) {
    const mode = statEntry(folders, path)?.mode ?? 0;
    if ((mode & 0o2000) !== 0) inherits.group = true;
    if (native?.listXattrs(folders.at(path)).includes("system.posix_acl_default")) inherits.xattrs = true;
  }
  return inherits;
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
