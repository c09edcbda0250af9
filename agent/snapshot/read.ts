/** Reads one entry completely: content as chunks, link target, xattrs, holes. Notices when it moves meanwhile. */
import { closeSync, constants, fstatSync, openSync, read, readlinkSync, readSync } from "node:fs";
import { promisify } from "node:util";
import { fileChunker } from "../../core/snapshot/chunker.ts";
import { findCut } from "../../core/snapshot/kernels/cut.ts";
import { limits, smallFileBytes } from "../../core/snapshot/limits.ts";
import type { ChunkRef } from "../../core/snapshot/part.ts";
import type { Entry, Hole, InodeEntry, Xattr } from "../../core/snapshot/tree.ts";
import type { Folders } from "../fs/folders.ts";
import { NativeError, native } from "../fs/native.ts";
import { fsPath } from "../fs/paths.ts";
import type { Breather } from "./breather.ts";
import { isInHole } from "./holes.ts";
import { type Keyring, zeroBytes } from "./keyring.ts";
import { type Found, type FoundType, statEntry, toFound } from "./walk.ts";
import { readXattrs } from "./xattrs.ts";

/** Takes the chunks that the store does not have yet. `bytes` are valid only until the returned promise resolves. */
export interface ChunkSink {
  has(id: string): boolean;
  /** `has` of the id that begins at `at`. */
  hasAt(bytes: Buffer, at: number): boolean;
  /** `place`: where in a big file it lies. */
  add(id: string, bytes: Uint8Array, place?: FilePlace): Promise<void>;
}

export interface FilePlace {
  path: string;
  /** Of the file. */
  size: number;
  /** Of the chunk's first byte. */
  offset: number;
}

/** `moved`: something changed while it was read; the entry is what was read last. */
export type ReadResult = { entry: InodeEntry; found: Found; moved: boolean } | null;

/** NONBLOCK: a fifo that took the file's name meanwhile must not hang the scan. */
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const readAsync = promisify(read);
const scratch = Buffer.allocUnsafe(smallFileBytes);
const windowBytes = 2 * fileChunker.max;
const attempts = 3;
const efbig = 27;

/** Null when it is gone. `stamp`: what the walk saw (rows.ts). Errors: throws a system error when it cannot be read. */
export async function readEntry(
  folders: Folders,
  path: string,
  type: FoundType,
  keyring: Keyring,
  sink: ChunkSink | null,
  breather: Breather,
  stamp?: Float64Array,
): Promise<ReadResult> {
  let isFile = type === "f";
  const resting = isFile && stamp && stamp[2]! < smallFileBytes ? readResting(folders, path, stamp) : null;
  if (resting) {
    const { found, xattrs } = resting;
    const { mode, uid, gid, mtimeNs, size } = found;
    const chunks = await chunksOf(scratch.subarray(0, size), keyring, sink);
    return {
      entry: { path, type: "f", mode, uid, gid, mtimeNs, size, chunks, xattrs, holes: [] },
      found,
      moved: false,
    };
  }
  for (let attempt = 1; ; attempt++) {
    const result = isFile ? await readFile(folders, path, keyring, sink, breather) : readOther(folders, path);
    if (result && (!result.moved || attempt === attempts)) return result;
    if (attempt >= attempts && !result) return null;
    const now = statEntry(folders, path);
    if (!now) return null;
    isFile = now.type === "f";
  }
}

/** Null when it is gone or a file by now. */
function readOther(folders: Folders, path: string): ReadResult {
  const found = statEntry(folders, path);
  if (!found || found.type === "f") return null;
  const { mode, uid, gid, mtimeNs, rdev } = found;
  const common = { path, mode, uid, gid, mtimeNs };
  const target = found.type === "l" ? readlinkSync(fsPath(folders.at(path)), { encoding: "latin1" }) : "";
  const xattrs = readXattrsOfOther(folders.at(path), found.type);
  const after = statEntry(folders, path);
  if (!after) return null;
  const moved = after.key !== found.key;
  if (found.type === "l") return { entry: { ...common, type: "l", target, xattrs }, found, moved };
  if (found.type === "c" || found.type === "b")
    return { entry: { ...common, type: found.type, rdev, xattrs }, found, moved };
  return { entry: { ...common, type: found.type as "d" | "p" | "s", xattrs }, found, moved };
}

/** A folder that may not be opened is in the list of the unreadable already, by its names; its record is kept. */
function readXattrsOfOther(path: string, type: string): Xattr[] {
  try {
    return readXattrs(path, type);
  } catch (error) {
    if (type !== "d" || (error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    return [];
  }
}

/** A small file that is as the walk saw it when it has been read, so that one look is enough; else null. */
function readResting(folders: Folders, path: string, stamp: Float64Array): { found: Found; xattrs: Xattr[] } | null {
  const size = stamp[2]!;
  let fd: number | null = null;
  try {
    fd = openSync(fsPath(folders.at(path)), readFlags);
    // At a place: a fifo or a terminal of the file's name refuses that, and loses nothing.
    if (size > 0 && readSync(fd, scratch, 0, size + 1, 0) !== size) return null;
    const xattrs = readXattrs(folders.at(path), "f", fd);
    const found = toFound(path, fstatSync(fd, { bigint: true }));
    const isSame = !found.isSparse && found.stamp.every((value, i) => value === stamp[i]);
    return isSame ? { found, xattrs } : null;
  } catch (error) {
    // Whoever reads it closely names the trouble.
    if (typeof (error as NodeJS.ErrnoException).code !== "string") throw error;
    return null;
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

/** Null when it is no file any more. */
async function readFile(
  folders: Folders,
  path: string,
  keyring: Keyring,
  sink: ChunkSink | null,
  breather: Breather,
): Promise<ReadResult> {
  const fd = openSync(fsPath(folders.at(path)), readFlags);
  try {
    const found = toFound(path, fstatSync(fd, { bigint: true }));
    if (found.type !== "f") return null;
    if (found.size > limits.fileChunks * fileChunker.max) throw new NativeError("read", efbig);
    const holes = native && found.isSparse ? native.findHoles(fd, found.size, limits.holes) : [];
    const chunks =
      found.size < smallFileBytes
        ? await readSmall(fd, found.size, keyring, sink)
        : await new BigReader(fd, path, found.size, holes, keyring, sink, breather).run();
    const xattrs = readXattrs(folders.at(path), "f", fd);
    const after = toFound(path, fstatSync(fd, { bigint: true }));
    const size = chunks.reduce((sum, chunk) => sum + chunk.plainBytes, 0);
    const moved = after.key !== found.key || size !== found.size;
    const { mode, uid, gid, mtimeNs } = after;
    const kept = moved ? holes.filter((hole) => hole.offset + hole.length <= size) : holes;
    return {
      entry: { path, type: "f", mode, uid, gid, mtimeNs, size, chunks, xattrs, holes: kept },
      found: after,
      moved,
    };
  } finally {
    closeSync(fd);
  }
}

async function readSmall(fd: number, size: number, keyring: Keyring, sink: ChunkSink | null): Promise<ChunkRef[]> {
  let filled = 0;
  while (filled < size) {
    const got = readSync(fd, scratch, filled, size - filled, filled);
    if (got === 0) break;
    filled += got;
  }
  return chunksOf(scratch.subarray(0, filled), keyring, sink);
}

/** Of a small file. */
async function chunksOf(bytes: Uint8Array, keyring: Keyring, sink: ChunkSink | null): Promise<ChunkRef[]> {
  if (bytes.length === 0) return [];
  const id = keyring.idOf(bytes);
  if (sink && !sink.has(id)) await sink.add(id, bytes);
  return [{ id, plainBytes: bytes.length }];
}

let window = Buffer.alloc(0);
function theWindow(): Buffer {
  if (window.length === 0) window = Buffer.allocUnsafeSlow(windowBytes);
  return window;
}

/** Memory that only a run needs. */
export function releaseReader(): void {
  window = Buffer.alloc(0);
}

/** Cuts a file of any size through a window of two chunks. Inside a hole whole chunks of zeros cost no reading. */
class BigReader {
  readonly #fd: number;
  readonly #path: string;
  readonly #size: number;
  readonly #holes: Hole[];
  readonly #keyring: Keyring;
  readonly #sink: ChunkSink | null;
  readonly #breather: Breather;
  readonly #chunks: ChunkRef[] = [];
  /** One for all, since files are read one at a time. */
  readonly #window = theWindow();
  #from = 0;
  #to = 0;
  /** The file's offset of `#window[#to]`. */
  #at = 0;
  /** Of the file, in chunks so far. */
  #emitted = 0;

  constructor(
    fd: number,
    path: string,
    size: number,
    holes: Hole[],
    keyring: Keyring,
    sink: ChunkSink | null,
    breather: Breather,
  ) {
    this.#fd = fd;
    this.#path = path;
    this.#size = size;
    this.#holes = holes;
    this.#keyring = keyring;
    this.#sink = sink;
    this.#breather = breather;
  }

  async run(): Promise<ChunkRef[]> {
    for (let ended = false; ; ) {
      if (this.#breather.due) await this.#breather.rest();
      if (await this.#takeZeroChunk()) continue;
      if (this.#to - this.#from < fileChunker.max && !ended) {
        await this.#fill();
        ended = this.#at >= this.#size;
      }
      if (this.#from === this.#to) return this.#chunks;
      const length = findCut(this.#window, this.#from, this.#to, ended, fileChunker);
      const bytes = this.#window.subarray(this.#from, this.#from + length);
      await this.#emit(this.#keyring.idOf(bytes), bytes);
      this.#from += length;
    }
  }

  async #emit(id: string, bytes: Uint8Array): Promise<void> {
    this.#chunks.push({ id, plainBytes: bytes.length });
    const place = { path: this.#path, size: this.#size, offset: this.#emitted };
    this.#emitted += bytes.length;
    if (this.#sink && !this.#sink.has(id)) await this.#sink.add(id, bytes, place);
  }

  /** The chunker never cuts zeros before `max` (a test holds it to that), so the answer is known without reading. */
  async #takeZeroChunk(): Promise<boolean> {
    const start = this.#at - (this.#to - this.#from);
    if (!isInHole(this.#holes, start, fileChunker.max)) return false;
    const zeros = zeroBytes(fileChunker.max);
    await this.#emit(this.#keyring.zeroId(fileChunker.max), zeros);
    const next = start + fileChunker.max;
    if (next >= this.#at) {
      this.#from = this.#to = 0;
      this.#at = next;
    } else {
      this.#from += fileChunker.max;
    }
    return true;
  }

  async #fill(): Promise<void> {
    this.#window.copyWithin(0, this.#from, this.#to);
    this.#to -= this.#from;
    this.#from = 0;
    while (this.#to < this.#window.length && this.#at < this.#size) {
      const want = Math.min(this.#window.length - this.#to, this.#size - this.#at, 4 << 20);
      const { bytesRead } = await readAsync(this.#fd, this.#window, this.#to, want, this.#at);
      if (bytesRead === 0) {
        this.#at = this.#size;
        return;
      }
      this.#to += bytesRead;
      this.#at += bytesRead;
    }
  }
}

export function isFile(entry: Entry): entry is Extract<Entry, { type: "f" }> {
  return entry.type === "f";
}
