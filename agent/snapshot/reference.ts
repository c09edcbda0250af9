/**
 * The reference bytes of a frame, put together from chunks that lie in files of a folder: siblings at a snapshot, what
 * is restored already at a restore. Nothing is taken on trust: each chunk is read whole and has its id, or there is no
 * reference. Synchronous, for a coder thread.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import type { Base } from "../../core/snapshot/codec.ts";
import { damaged } from "../../core/snapshot/error.ts";
import type { LooseFrame } from "../../core/snapshot/frame-table.ts";
import { limits } from "../../core/snapshot/limits.ts";
import { openFrame, type ReadBase } from "../../core/snapshot/open-frame.ts";
import type { Primitives } from "../../core/snapshot/primitives.ts";
import { Folders } from "../fs/folders.ts";
import { fsPath } from "../fs/paths.ts";

type IdOf = (bytes: Uint8Array) => string;

/** A place where a chunk should be. `path`: below the root, a byte string. */
export interface ChunkPlace {
  path: string;
  offset: number;
}

/** A base, and where its chunk of `plainBytes` bytes may be found. */
export interface PlacedBase extends Base {
  plainBytes: number;
  places: ChunkPlace[];
}

/** NONBLOCK: a fifo that took the file's name meanwhile must not hang the thread. */
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** File descriptors of folders, of the last root. They are this thread's own. */
let ways: { root: string; folders: Folders } | null = null;

export function threadFolders(root: string): Folders {
  if (ways?.root !== root) {
    ways?.folders.close();
    ways = { root, folders: new Folders(root === "/" ? "" : root, true) };
  }
  return ways.folders;
}

let scratch = new Uint8Array(0);
/** The chunk that `scratch` holds: the next frame's first base is often this one's last. */
let held = "";

/**
 * `plainBytes` bytes; null where a chunk is not found. `root`: a byte string, symlinks resolved. Errors: FormatError for a
 * base beyond its chunk.
 */
export function readReference(root: string, bases: PlacedBase[], plainBytes: number, idOf: IdOf): Uint8Array | null {
  const reference = new Uint8Array(plainBytes);
  let at = 0;
  for (const base of bases) {
    const chunk = readChunk(root, base, idOf);
    if (!chunk) {
      reference.buffer.transfer(0);
      return null;
    }
    if (base.skip + base.take > chunk.length) throw damaged("a base is longer than its chunk");
    reference.set(chunk.subarray(base.skip, base.skip + base.take), at);
    at += base.take;
  }
  return reference;
}

/** Reads the chunks that these frames of `bytes` hold, each checked. `newRoom`: memory to decode into. Errors: FormatError. */
export async function openBases(
  bytes: Uint8Array,
  frames: LooseFrame[],
  primitives: Primitives,
  newRoom?: (length: number) => Uint8Array,
): Promise<ReadBase> {
  const chunks = new Map<string, Uint8Array>();
  for (const frame of frames) {
    const stored = bytes.subarray(frame.offset, frame.offset + frame.storedBytes);
    const into = newRoom?.(frame.plainBytes);
    const opened = await openFrame(stored, frame, primitives, 0, undefined, undefined, into);
    frame.chunks.forEach((chunk, n) => {
      chunks.set(chunk.id, opened[n]!);
    });
  }
  return async (id) => {
    const chunk = chunks.get(id);
    if (!chunk) throw damaged("a base is not where the index says");
    return chunk;
  };
}

/** A view of `scratch`. */
function readChunk(root: string, { id, plainBytes, places }: PlacedBase, idOf: IdOf): Uint8Array | null {
  if (held === id) return scratch.subarray(0, plainBytes);
  if (scratch.length === 0) scratch = new Uint8Array(limits.chunkBytes);
  held = "";
  const chunk = scratch.subarray(0, plainBytes);
  for (const place of places) {
    if (!readPlace(threadFolders(root), place, chunk) || idOf(chunk) !== id) continue;
    held = id;
    return chunk;
  }
  return null;
}

/** False when it is no file, too short, or cannot be read. */
function readPlace(folders: Folders, { path, offset }: ChunkPlace, into: Uint8Array): boolean {
  let fd: number | undefined;
  try {
    fd = openSync(fsPath(folders.at(path)), readFlags);
    if (!fstatSync(fd).isFile()) return false;
    for (let filled = 0; filled < into.length; ) {
      const got = readSync(fd, into, filled, into.length - filled, offset + filled);
      if (got === 0) return false;
      filled += got;
    }
    return true;
  } catch (error) {
    if (typeof (error as NodeJS.ErrnoException).code !== "string") throw error;
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
