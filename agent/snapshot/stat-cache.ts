/**
 * What the last scan saw, so that the next one reads only what changed. Machine-local. An entry counts as unchanged when
 * device, inode, size, mtime, ctime and mode are all the same; entries that changed within two seconds of the moment
 * they were read (or lie in the future) are never put in. Lost or damaged: everything is read, nothing is wrong.
 *
 * file = "SNC1" | varint rootBytes, root | { varint pathBytes+1, path, varint keyBytes, key, varint recordBytes, record,
 * varint holesBytes, holes }* | varint 0 | sha256 of everything before
 */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { ByteReader, ByteWriter, equalBytes } from "../../core/snapshot/bytes.ts";
import { limits } from "../../core/snapshot/limits.ts";
import { sha256Hex } from "./primitives.ts";

export interface CacheRow {
  /** From statKey in walk.ts. */
  key: string;
  record: Uint8Array;
  /** The encoded hole list; empty for everything but files. */
  holes: Uint8Array;
}

const magic = "SNC1";
const racyMs = 2000;

/** `newestMs`: the later of mtime and ctime; `readAt`: when its reading began. */
export function isRacy(newestMs: number, readAt: number): boolean {
  return newestMs > readAt - racyMs;
}

export class StatCache {
  readonly #file: string;
  readonly #root: string;
  #rows = new Map<string, CacheRow>();

  constructor(file: string, root: string) {
    this.#file = file;
    this.#root = root;
    try {
      this.#rows = readRows(readFileSync(file), root);
    } catch {
      this.#rows = new Map();
    }
  }

  get(path: string): CacheRow | undefined {
    return this.#rows.get(path);
  }

  replace(rows: Map<string, CacheRow>): void {
    this.#rows = rows;
  }

  /** False when it could not be written. */
  save(): boolean {
    const temp = `${this.#file}.new`;
    try {
      writeRows(temp, this.#root, this.#rows);
      renameSync(temp, this.#file);
      return true;
    } catch {
      rmSync(temp, { force: true });
      return false;
    }
  }
}

export function statCacheFile(stateDir: string, id: string, root: string): string {
  return `${stateDir}/stat-${id}-${sha256Hex(Buffer.from(root, "latin1")).slice(0, 12)}`;
}

function writeRows(file: string, root: string, rows: Map<string, CacheRow>): void {
  const fd = openSync(file, "w", 0o600);
  try {
    const hasher = createHash("sha256");
    const writer = new ByteWriter(1 << 20);
    const flush = () => {
      hasher.update(writer.view());
      for (let at = 0; at < writer.length; ) at += writeSync(fd, writer.view(), at);
      writer.clear();
    };
    const block = (bytes: Uint8Array) => {
      writer.varint(bytes.length);
      writer.bytes(bytes);
    };
    writer.latin1(magic);
    writer.varint(root.length);
    writer.latin1(root);
    for (const [path, row] of rows) {
      writer.varint(path.length + 1);
      writer.latin1(path);
      writer.varint(row.key.length);
      writer.latin1(row.key);
      block(row.record);
      block(row.holes);
      if (writer.length > 1 << 19) flush();
    }
    writer.varint(0);
    flush();
    writeSync(fd, hasher.digest());
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function readRows(bytes: Uint8Array, root: string): Map<string, CacheRow> {
  const rows = new Map<string, CacheRow>();
  const body = bytes.subarray(0, bytes.length - 32);
  if (!equalBytes(createHash("sha256").update(body).digest(), bytes.subarray(bytes.length - 32))) return rows;
  const reader = new ByteReader(body, "stat cache");
  const any = limits.treeBytes;
  if (reader.latin1(4) !== magic || reader.latin1(reader.varint(any, "size")) !== root) return rows;
  for (;;) {
    const pathBytes = reader.varint(any, "size");
    if (pathBytes === 0) break;
    const path = reader.latin1(pathBytes - 1);
    const key = reader.latin1(reader.varint(any, "size"));
    const record = reader.take(reader.varint(any, "size"));
    const holes = reader.take(reader.varint(any, "size"));
    rows.set(path, { key, record, holes });
  }
  reader.end();
  return rows;
}
