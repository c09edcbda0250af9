/** What a coder thread does at a restore: decodes frames, checks their chunks, writes them to their places. */
import { closeSync, constants, fchmodSync, fchownSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { isAllZero } from "../../core/snapshot/bytes.ts";
import type { SnapshotCipher } from "../../core/snapshot/cipher.ts";
import { decodeFrame } from "../../core/snapshot/codec.ts";
import { FormatError } from "../../core/snapshot/error.ts";
import { basesOf, joinReference } from "../../core/snapshot/open-frame.ts";
import { decodeHeader } from "../../core/snapshot/part.ts";
import type { Primitives } from "../../core/snapshot/primitives.ts";
import type { Hole } from "../../core/snapshot/tree.ts";
import type { Folders } from "../fs/folders.ts";
import { fsPath } from "../fs/paths.ts";
import type { WriteAnswer, WriteBases, WriteFrame, WriteTarget, WriteTask } from "./coder-tasks.ts";
import { firstHoleAfter } from "./holes.ts";
import type { SyncPrimitives } from "./primitives.ts";
import { openBases, readReference, threadFolders } from "./reference.ts";
import { removeInTheWay } from "./restore-folder.ts";

/** Of the thread: see coder-thread.ts. */
export interface WriteTools {
  primitives: Primitives;
  cipher: SnapshotCipher | null;
  keep: SyncPrimitives["keep"];
  release: () => void;
  /** Room for a frame's plain bytes, the same each time. */
  room: (plainBytes: number) => Uint8Array;
}

const writeFlags = constants.O_WRONLY | constants.O_NOFOLLOW;

/** A chunk that is damaged is named and the rest goes on. Errors: system errors, Stop `restore_conflict`, FormatError for later formats. */
export async function writeFrames(
  { bytes, header, root, deleteExtras, frames, isWanted }: WriteTask,
  tools: WriteTools,
): Promise<WriteAnswer> {
  const folders = threadFolders(root);
  const damaged: string[] = [];
  const lacking: string[] = [];
  for (const frame of frames) {
    const plain = await decodeOrNull(bytes, header, root, frame, tools);
    if (plain === "lacking") {
      lacking.push(...frame.chunks.map((chunk) => chunk.id));
      continue;
    }
    for (const { id, at, plainBytes, targets } of frame.chunks) {
      const chunk = plain?.subarray(at, at + plainBytes);
      if (!chunk || tools.primitives.chunkId(chunk) !== id) damaged.push(id);
      else for (const target of targets) writeTarget(folders, target, chunk, deleteExtras);
    }
    tools.release();
  }
  return { damaged, lacking, rest: isWanted ? bytes : null };
}

/** Null when it is damaged, "lacking" when its bases are not in their places. */
async function decodeOrNull(
  bytes: Uint8Array,
  header: Uint8Array | null,
  root: string,
  { n, offset, storedBytes, plainBytes, based }: WriteFrame,
  { primitives, cipher, keep, room }: WriteTools,
): Promise<Uint8Array | null | "lacking"> {
  try {
    const stored = bytes.subarray(offset, offset + storedBytes);
    const frame = header ? keep(decodeHeader(header, cipher).open(n, stored)) : stored;
    if (!based) return await decodeFrame(frame, plainBytes, primitives, undefined, room(plainBytes));
    const reference = await referenceOf(bytes, root, frame, plainBytes, based, primitives);
    if (!reference) return "lacking";
    return await decodeFrame(frame, plainBytes, primitives, keep(reference), room(plainBytes));
  } catch (error) {
    if (error instanceof FormatError && error.code === "snapshot_damaged") return null;
    throw error;
  }
}

async function referenceOf(
  bytes: Uint8Array,
  root: string,
  frame: Uint8Array,
  plainBytes: number,
  { bases, frames, placed }: WriteBases,
  primitives: Primitives,
): Promise<Uint8Array | null> {
  const pieces = basesOf(frame, { plainBytes, bases });
  if (frames.length > 0) return joinReference(pieces, plainBytes, await openBases(bytes, frames, primitives));
  const places = new Map(placed.map((base) => [base.id, base]));
  const found = pieces.map((piece) => ({ ...places.get(piece.id)!, ...piece }));
  return readReference(root, found, plainBytes, primitives.chunkId);
}

function writeTarget(folders: Folders, target: WriteTarget, bytes: Uint8Array, deleteExtras: boolean): void {
  if (target.isWhole) {
    makeFile(folders, target, bytes, deleteExtras);
    return;
  }
  const fd = openSync(fsPath(folders.at(target.path)), writeFlags);
  try {
    writeAround(fd, bytes, target.offset, target.holes);
  } finally {
    closeSync(fd);
  }
}

/** Makes a small file with all its bytes. What lies in its way goes. */
export function makeFile(
  folders: Folders,
  { path, size, holes, attributes }: Omit<WriteTarget, "offset" | "isWhole">,
  bytes: Uint8Array,
  deleteExtras: boolean,
): void {
  const flags = writeFlags | constants.O_CREAT | constants.O_EXCL;
  let fd: number;
  try {
    fd = openSync(fsPath(folders.at(path)), flags, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    removeInTheWay(folders, path, deleteExtras);
    fd = openSync(fsPath(folders.at(path)), flags, 0o600);
  }
  try {
    if (holes.length > 0) ftruncateSync(fd, size);
    writeAround(fd, bytes, 0, holes);
    if (!attributes) return;
    const { owner, mode } = attributes;
    // A change of owner clears setuid and setgid, so the mode comes after it.
    if (owner) ignoreRefusal(() => fchownSync(fd, owner.uid, owner.gid));
    ignoreRefusal(() => fchmodSync(fd, mode));
  } finally {
    closeSync(fd);
  }
}

/** The check after the restore finds what this process may not set. */
function ignoreRefusal(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (typeof (error as NodeJS.ErrnoException).code !== "string") throw error;
  }
}

/** Writes all but the zeros that the hole list names. The list is advice: bytes that are not zero are written anyway. */
export function writeAround(fd: number, bytes: Uint8Array, offset: number, holes: Hole[]): void {
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
export function holesFrom(holes: Hole[], offset: number): Hole[] {
  const first = firstHoleAfter(holes, offset);
  return first === 0 ? holes : holes.slice(first);
}

function writeAll(fd: number, bytes: Uint8Array, offset: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, offset + at);
}
