/** Reads one entry completely: content as chunks, link target, xattrs, holes. Notices when it moves meanwhile. */
import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync } from "node:fs";
import type { ChunkRef } from "../../core/snapshot/chunk-list.ts";
import { fileChunker } from "../../core/snapshot/chunker.ts";
import { limits, smallFileBytes } from "../../core/snapshot/limits.ts";
import type { Entry, Hole, InodeEntry, Xattr } from "../../core/snapshot/tree.ts";
import type { Folders } from "../fs/folders.ts";
import { NativeError, native } from "../fs/native.ts";
import { fsPath } from "../fs/paths.ts";
import type { Breather } from "./breather.ts";
import type { CutAnswer, CutTask } from "./coder-tasks.ts";
import { cutChunk } from "./cut-chunk.ts";
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
  /** A place for a small file of so many bytes and one more. What is added from its front is not copied. */
  smallRoom?(length: number): Uint8Array | Promise<Uint8Array>;
  /** A buffer for any chunk. What is added from its front is not copied. Each is given back, added from or not. */
  takeRoom?(): Promise<SharedArrayBuffer>;
  giveRoom?(room: SharedArrayBuffer): void;
}

/** What a reading of many entries shares. */
export interface Reading {
  folders: Folders;
  keyring: Keyring;
  /** Null: only ids are wanted. */
  sink: ChunkSink | null;
  breather: Breather;
  /** On another thread; where there is none, this one does it. */
  cut?: (task: Omit<CutTask, "kind">) => Promise<CutAnswer> | CutAnswer;
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
const scratch = Buffer.allocUnsafe(smallFileBytes);
const attempts = 3;
const efbig = 27;

/** Null when it is gone. `stamp`: what the walk saw (rows.ts). Errors: throws a system error when it cannot be read. */
export async function readEntry(
  reading: Reading,
  path: string,
  type: FoundType,
  stamp?: Float64Array,
): Promise<ReadResult> {
  const { folders } = reading;
  let isFile = type === "f";
  if (isFile && stamp && stamp[2]! < smallFileBytes) {
    const result = await readResting(reading, path, stamp);
    if (result) return result;
  }
  for (let attempt = 1; ; attempt++) {
    const result = isFile ? await readFile(reading, path) : readOther(folders, path);
    if (result && (!result.moved || attempt === attempts)) return result;
    if (attempt >= attempts && !result) return null;
    const now = statEntry(folders, path);
    if (!now) return null;
    isFile = now.type === "f";
  }
}

/** Beside a reading of small files: shares nothing with it. Null when it is no big file any more. Errors: as `readEntry`. */
export async function readBigFile(reading: Reading, path: string): Promise<ReadResult> {
  for (let attempt = 1; ; attempt++) {
    const result = await readFile(reading, path, smallFileBytes);
    if (!result?.moved || attempt === attempts) return result;
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
async function readResting(reading: Reading, path: string, stamp: Float64Array): Promise<ReadResult> {
  const room = reading.sink?.smallRoom?.(stamp[2]!) ?? scratch;
  const into = room instanceof Promise ? await room : room;
  const resting = lookAtResting(reading.folders, path, stamp, into);
  if (!resting) return null;
  const { found, xattrs } = resting;
  const { mode, uid, gid, mtimeNs, size } = found;
  const chunks = await chunksOf(into.subarray(0, size), reading);
  return {
    entry: { path, type: "f", mode, uid, gid, mtimeNs, size, chunks, xattrs, holes: [] },
    found,
    moved: false,
  };
}

/** Reads it to `into`, which has a byte more than the file. */
function lookAtResting(
  folders: Folders,
  path: string,
  stamp: Float64Array,
  into: Uint8Array,
): { found: Found; xattrs: Xattr[] } | null {
  const size = stamp[2]!;
  let fd: number | null = null;
  try {
    fd = openSync(fsPath(folders.at(path)), readFlags);
    // At a place: a fifo or a terminal of the file's name refuses that, and loses nothing.
    if (size > 0 && readSync(fd, into, 0, size + 1, 0) !== size) return null;
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

/** Null when it is no file of so many bytes any more. */
async function readFile(reading: Reading, path: string, leastBytes = 0): Promise<ReadResult> {
  const { folders } = reading;
  const fd = openSync(fsPath(folders.at(path)), readFlags);
  try {
    const found = toFound(path, fstatSync(fd, { bigint: true }));
    if (found.type !== "f" || found.size < leastBytes) return null;
    if (found.size > limits.fileChunks * fileChunker.max) throw new NativeError("read", efbig);
    const holes = native && found.isSparse ? native.findHoles(fd, found.size, limits.holes) : [];
    const chunks =
      found.size < smallFileBytes
        ? await readSmall(fd, found.size, reading)
        : await new BigReader(fd, path, found.size, holes, reading).run();
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

async function readSmall(fd: number, size: number, reading: Reading): Promise<ChunkRef[]> {
  let filled = 0;
  while (filled < size) {
    const got = readSync(fd, scratch, filled, size - filled, filled);
    if (got === 0) break;
    filled += got;
  }
  return chunksOf(scratch.subarray(0, filled), reading);
}

/** Of a small file. */
async function chunksOf(bytes: Uint8Array, { keyring, sink }: Reading): Promise<ChunkRef[]> {
  if (bytes.length === 0) return [];
  const id = keyring.idOf(bytes);
  if (sink && !sink.has(id)) await sink.add(id, bytes);
  return [{ id, plainBytes: bytes.length }];
}

let room: SharedArrayBuffer | null = null;
/** For a sink that has none; one for all, since files are read one at a time. */
function ownRoom(): SharedArrayBuffer {
  room ??= new SharedArrayBuffer(fileChunker.max);
  return room;
}

/** Memory that only a run needs. */
export function releaseReader(): void {
  room = null;
}

/** Reads a file of any size chunk by chunk. Inside a hole whole chunks of zeros cost no reading. */
class BigReader {
  readonly #fd: number;
  readonly #path: string;
  readonly #size: number;
  readonly #holes: Hole[];
  readonly #reading: Reading;
  readonly #chunks: ChunkRef[] = [];
  /** Of the file, in chunks so far. */
  #at = 0;

  constructor(fd: number, path: string, size: number, holes: Hole[], reading: Reading) {
    this.#fd = fd;
    this.#path = path;
    this.#size = size;
    this.#holes = holes;
    this.#reading = reading;
  }

  async run(): Promise<ChunkRef[]> {
    const { breather, keyring } = this.#reading;
    while (this.#at < this.#size) {
      if (breather.due) await breather.rest();
      // The chunker never cuts zeros before `max` (a test holds it to that), so the answer is known without reading.
      if (isInHole(this.#holes, this.#at, fileChunker.max))
        await this.#emit(keyring.zeroId(fileChunker.max), zeroBytes(fileChunker.max));
      else if (!(await this.#readChunk())) break;
    }
    return this.#chunks;
  }

  /** False at the end of a file that became shorter. */
  async #readChunk(): Promise<boolean> {
    const { sink, keyring, cut = (task) => cutChunk(task, keyring.idOf) } = this.#reading;
    const buffer = (await sink?.takeRoom?.()) ?? ownRoom();
    const before = this.#chunks.length;
    try {
      const task = { fd: this.#fd, offset: this.#at, end: this.#size, buffer };
      const { id, plainBytes } = await cut(task);
      if (plainBytes > 0) await this.#emit(id, new Uint8Array(buffer, 0, plainBytes));
    } finally {
      sink?.giveRoom?.(buffer);
    }
    return this.#chunks.length > before;
  }

  async #emit(id: string, bytes: Uint8Array): Promise<void> {
    const { sink } = this.#reading;
    this.#chunks.push({ id, plainBytes: bytes.length });
    const place = { path: this.#path, size: this.#size, offset: this.#at };
    this.#at += bytes.length;
    if (sink && !sink.has(id)) await sink.add(id, bytes, place);
  }
}

export function isFile(entry: Entry): entry is Extract<Entry, { type: "f" }> {
  return entry.type === "f";
}
