/**
 * The tree: every entry of a workspace, sorted by the bytes of its path, as one stream of records. Paths, names and link
 * targets are byte strings (one char, one byte), so they keep any name that Linux allows and sort with `<`.
 */
import { ByteReader, ByteWriter, latin1ToBytes } from "./bytes.ts";
import type { ChunkRef } from "./chunk-list.ts";
import { damaged, FormatError, unknownFormat } from "./error.ts";
import { limits } from "./limits.ts";

export type Xattr = readonly [name: string, value: Uint8Array];

interface Common {
  /** Relative to the root; "" is the root itself. */
  path: string;
  /** Permission bits with setuid, setgid and sticky: 0..0o7777. */
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
  /** Sorted by name. */
  xattrs: Xattr[];
}

export interface Hole {
  offset: number;
  length: number;
}

export type FileEntry = Common & { type: "f"; size: number; chunks: ChunkRef[]; holes: Hole[] };
export type LinkEntry = Common & { type: "l"; target: string };
export type DeviceEntry = Common & { type: "c" | "b"; rdev: number };
export type PlainEntry = Common & { type: "d" | "p" | "s" };
/** Another name of the entry at `target`, which comes earlier in the stream. */
export interface HardLinkEntry {
  path: string;
  type: "h";
  target: string;
}
export type InodeEntry = FileEntry | LinkEntry | DeviceEntry | PlainEntry;
export type Entry = InodeEntry | HardLinkEntry;

const entryTypes = "dflpscbh";
const hasXattrs = 1;

/** Everything that the digest covers: the record without its hole list. */
export function encodeRecord(writer: ByteWriter, entry: Entry): void {
  writer.varint(entry.path.length);
  writer.latin1(entry.path);
  writer.u8(entry.type.charCodeAt(0));
  if (entry.type === "h") {
    writer.u8(0);
    writer.varint(entry.target.length);
    writer.latin1(entry.target);
    return;
  }
  writer.u8(entry.xattrs.length > 0 ? hasXattrs : 0);
  writer.varint(entry.mode);
  writer.varint(entry.uid);
  writer.varint(entry.gid);
  encodeTime(writer, entry.mtimeNs);
  if (entry.type === "f") {
    writer.varint(entry.size);
    writer.varint(entry.chunks.length);
    for (const chunk of entry.chunks) {
      writer.latin1(chunk.id);
      writer.varint(chunk.plainBytes);
    }
  } else if (entry.type === "l") {
    writer.varint(entry.target.length);
    writer.latin1(entry.target);
  } else if (entry.type === "c" || entry.type === "b") {
    writer.varint(entry.rdev);
  }
  if (entry.xattrs.length > 0) encodeXattrs(writer, entry.xattrs);
}

const billion = 1_000_000_000n;
/** Of a record's time. */
export const timeBytes = 12;

/** Seconds and nanoseconds apart: 64 bits of nanoseconds end in 2262, file systems do not. */
function encodeTime(writer: ByteWriter, timeNs: bigint): void {
  let seconds = timeNs / billion;
  let nanoseconds = timeNs % billion;
  if (nanoseconds < 0n) {
    seconds -= 1n;
    nanoseconds += billion;
  }
  writer.i64(seconds);
  writer.u32(Number(nanoseconds));
}

function decodeTime(reader: ByteReader): bigint {
  const seconds = reader.i64();
  const nanoseconds = reader.u32();
  if (nanoseconds >= 1_000_000_000) throw damaged("a time has more than a second of nanoseconds");
  return seconds * billion + BigInt(nanoseconds);
}

/** Follows the record of a file in the stream. Advisory: it says where zeros need no blocks. */
export function encodeHoles(writer: ByteWriter, holes: Hole[]): void {
  writer.varint(holes.length);
  let end = 0;
  for (const hole of holes) {
    writer.varint(hole.offset - end);
    writer.varint(hole.length);
    end = hole.offset + hole.length;
  }
}

function encodeXattrs(writer: ByteWriter, xattrs: Xattr[]): void {
  writer.varint(xattrs.length);
  for (const [name, value] of xattrs) {
    writer.varint(name.length);
    writer.latin1(name);
    writer.varint(value.length);
    writer.bytes(value);
  }
}

/** A socket is recorded but no restore can bring it back, so the digest leaves it out. */
export function isInDigest(type: string): boolean {
  return type !== "s";
}

/** One record and, for a file, its hole list. Checks the entry by itself; TreeChecker checks it among the others. */
export function decodeEntry(reader: ByteReader): Entry {
  const path = reader.latin1(reader.varint(limits.pathBytes, "path length"));
  checkPath(path);
  const type = String.fromCharCode(reader.u8());
  const flags = reader.u8();
  if (!entryTypes.includes(type)) throw unknownFormat(`an entry has type ${JSON.stringify(type)}`);
  if ((flags & ~hasXattrs) !== 0) throw unknownFormat(`an entry has the flags ${flags}`);
  if (type === "h") {
    if (flags !== 0) throw damaged("a hard link has attributes");
    const target = reader.latin1(reader.varint(limits.pathBytes, "path length"));
    checkPath(target);
    return { path, type, target };
  }
  const mode = reader.varint(0o7777, "mode");
  const uid = reader.varint(0xffffffff, "uid");
  const gid = reader.varint(0xffffffff, "gid");
  const mtimeNs = decodeTime(reader);
  const common = { path, mode, uid, gid, mtimeNs };
  const xattrsOf = () => ((flags & hasXattrs) !== 0 ? decodeXattrs(reader) : []);
  if (type === "f") {
    const size = reader.varint(Number.MAX_SAFE_INTEGER, "size");
    const chunks = decodeChunks(reader, size);
    return { ...common, type, size, chunks, xattrs: xattrsOf(), holes: decodeHoles(reader, size) };
  }
  if (type === "l") {
    const target = reader.latin1(reader.varint(limits.linkBytes, "target length"));
    if (target === "" || target.includes("\0")) throw damaged("a symlink has no possible target");
    return { ...common, type, target, xattrs: xattrsOf() };
  }
  if (type === "c" || type === "b") {
    return { ...common, type, rdev: reader.varint(Number.MAX_SAFE_INTEGER, "device number"), xattrs: xattrsOf() };
  }
  return { ...common, type: type as "d" | "p" | "s", xattrs: xattrsOf() };
}

function decodeChunks(reader: ByteReader, size: number): ChunkRef[] {
  const count = reader.varint(limits.fileChunks, "number of chunks");
  if (count * 33 > reader.left) throw damaged("the tree ends too early");
  const chunks: ChunkRef[] = [];
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const id = reader.latin1(32);
    const plainBytes = reader.varint(limits.chunkBytes, "chunk size");
    if (plainBytes === 0) throw damaged("a file has an empty chunk");
    sum += plainBytes;
    chunks.push({ id, plainBytes });
  }
  if (sum !== size) throw damaged("a file's chunks do not add up to its size");
  return chunks;
}

function decodeXattrs(reader: ByteReader): Xattr[] {
  const count = reader.varint(limits.xattrCount, "number of xattrs");
  if (count === 0) throw damaged("an entry announces xattrs and has none");
  const xattrs: Xattr[] = [];
  let before = "";
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const name = reader.latin1(reader.varint(limits.xattrNameBytes, "xattr name length"));
    if (name <= before || name.includes("\0")) throw damaged("xattr names are not sorted");
    before = name;
    const value = reader.take(reader.varint(limits.xattrBytes, "xattr length")).slice();
    sum += name.length + value.length;
    if (sum > limits.xattrsBytes) throw damaged("an entry has too many bytes of xattrs");
    xattrs.push([name, value]);
  }
  return xattrs;
}

function decodeHoles(reader: ByteReader, size: number): Hole[] {
  const count = reader.varint(limits.holes, "number of holes");
  if (count * 2 > reader.left) throw damaged("the tree ends too early");
  const holes: Hole[] = [];
  let end = 0;
  for (let i = 0; i < count; i++) {
    const offset = end + reader.varint(size - end, "hole offset");
    const length = reader.varint(size - offset, "hole length");
    if (length === 0) throw damaged("a file has an empty hole");
    holes.push({ offset, length });
    end = offset + length;
  }
  return holes;
}

/** Errors: throws `snapshot_hostile` for a path that could lead out of the root. */
export function checkPath(path: string): void {
  if (path === "") return;
  if (path.length > limits.pathBytes) throw new FormatError("snapshot_hostile", "a path is too long");
  let isGood = !path.includes("\0");
  for (let from = 0; isGood && from <= path.length; ) {
    const at = path.indexOf("/", from);
    const to = at < 0 ? path.length : at;
    isGood = isName(path, from, to - from);
    from = to + 1;
  }
  if (!isGood)
    throw new FormatError("snapshot_hostile", `the path ${JSON.stringify(path.slice(0, 200))} is not allowed`);
}

/** Without a string of its own: there are as many as entries. */
function isName(path: string, from: number, length: number): boolean {
  if (length === 0 || length > limits.nameBytes) return false;
  if (length > 2 || path.charCodeAt(from) !== dot) return true;
  return length === 2 && path.charCodeAt(from + 1) !== dot;
}

export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

const slash = 0x2f;
const dot = 0x2e;

/** What holds between entries: strictly sorted, the root first, each parent a folder, each hard link to an inode before it. */
export class TreeChecker {
  readonly #typeOf: (path: string) => string | undefined;
  /**
   * Lengths of the paths of the folders in which the next entry can lie. Each such path is a front of `#before`: what lies
   * in "a" comes after "a-b" and all that is in it, and nothing else comes between.
   */
  readonly #open: number[] = [];
  #before: string | null = null;

  /** `typeOf`: of an entry that was checked before. Only hard links ask. */
  constructor(typeOf: (path: string) => string | undefined) {
    this.#typeOf = typeOf;
  }

  check(entry: Entry): void {
    const { path, type } = entry;
    const hostile = (why: string) =>
      new FormatError("snapshot_hostile", `the path ${JSON.stringify(path.slice(0, 200))} ${why}`);
    if (this.#before === null) {
      if (path !== "" || type !== "d") throw hostile("comes first, not the root folder");
    } else {
      if (path <= this.#before) throw hostile("is there twice or out of order");
      if (!this.#isInFolder(path, this.#before)) throw hostile("has a parent that is not a folder");
    }
    if (entry.type === "h") {
      const target = this.#typeOf(entry.target);
      if (target === undefined || target === "d" || target === "h" || target === "s")
        throw hostile("is a hard link to nothing");
    }
    this.#before = path;
    if (type === "d") this.#open.push(path.length);
  }

  #isInFolder(path: string, before: string): boolean {
    const open = this.#open;
    const isOver = (length: number) =>
      length > 0 && (path.charCodeAt(length) > slash || !path.startsWith(before.slice(0, length)));
    while (isOver(open.at(-1)!)) open.pop();
    const parent = Math.max(0, path.lastIndexOf("/"));
    let n = open.length - 1;
    while (open[n]! > parent) n--;
    return open[n] === parent;
  }
}

/** The entries of a whole stream one by one, each checked. Errors: throws FormatError. */
export function* readTree(bytes: Uint8Array): Generator<Entry, void> {
  const reader = new ByteReader(bytes, "tree");
  const types = new Map<string, string>();
  const checker = new TreeChecker((path) => types.get(path));
  if (bytes.length === 0) throw damaged("the tree is empty");
  while (reader.left > 0) {
    const entry = decodeEntry(reader);
    checker.check(entry);
    types.set(entry.path, entry.type);
    yield entry;
  }
}

/**
 * root = "SNT1" | varint entries | varint chunks { id[32], varint plainBytes, varint skip, varint shared, varint n, rest[n] }
 * A path is the first `shared` bytes of the path before it (of "" for the first), then the rest: so a root stays small
 * however deep the tree is.
 */
export interface TreeRoot {
  entries: number;
  chunks: TreeChunk[];
}

export interface TreeChunk extends ChunkRef {
  /** Bytes before the first record that begins in this chunk; `plainBytes` when none does. */
  skip: number;
  /** The path of that record; "" when none begins here (and for the root's own record). */
  firstPath: string;
}

const rootMagic = "SNT1";

export function encodeTreeRoot(root: TreeRoot): Uint8Array {
  const writer = new ByteWriter(4096);
  writer.latin1(rootMagic);
  writer.varint(root.entries);
  writer.varint(root.chunks.length);
  let before = "";
  for (const chunk of root.chunks) {
    writer.bytes(latin1ToBytes(chunk.id));
    writer.varint(chunk.plainBytes);
    writer.varint(chunk.skip);
    const shared = sharedLength(before, chunk.firstPath);
    writer.varint(shared);
    writer.varint(chunk.firstPath.length - shared);
    writer.latin1(chunk.firstPath.slice(shared));
    before = chunk.firstPath;
  }
  return writer.finish();
}

function sharedLength(a: string, b: string): number {
  let at = 0;
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  return at;
}

export function decodeTreeRoot(bytes: Uint8Array): TreeRoot {
  const reader = new ByteReader(bytes, "tree root");
  if (reader.latin1(4) !== rootMagic) throw damaged("this is not a tree root");
  const entries = reader.varint(limits.treeBytes, "number of entries");
  const count = reader.varint(limits.treeBytes, "number of chunks");
  if (count * 36 > reader.left) throw damaged("the tree root ends too early");
  const chunks: TreeChunk[] = [];
  let sum = 0;
  let pathBytes = 0;
  let before = "";
  for (let i = 0; i < count; i++) {
    const id = reader.latin1(32);
    const plainBytes = reader.varint(limits.chunkBytes, "chunk size");
    const skip = reader.varint(plainBytes, "skip");
    const shared = reader.varint(before.length, "shared length");
    const rest = reader.latin1(reader.varint(limits.pathBytes - shared, "path length"));
    const firstPath = before.slice(0, shared) + rest;
    if (plainBytes === 0) throw damaged("the tree root has an empty chunk");
    sum += plainBytes;
    pathBytes += firstPath.length;
    if (sum > limits.treeBytes || pathBytes > limits.treeBytes) throw damaged("the tree is too large");
    chunks.push({ id, plainBytes, skip, firstPath });
    before = firstPath;
  }
  reader.end();
  return { entries, chunks };
}
