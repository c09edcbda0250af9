/**
 * What the last scan saw, so that the next one reads only what changed. Machine-local. An entry counts as unchanged when
 * device, inode, size, mtime, ctime and mode are all the same; what had not rested when it was read (stillness.ts) is
 * never put in. Lost or damaged: everything is read, nothing is wrong.
 *
 * file = "SNC3" | u32 rootBytes | root | rows (rows.ts) | sha256 of everything before
 */
import { createHash, hash } from "node:crypto";
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { sha256Hex } from "./primitives.ts";
import { RowList } from "./row-list.ts";
import { bytesOf, type Row } from "./rows.ts";

const magic = "SNC3";
const writeBytes = 1 << 20;

export class StatCache {
  readonly #file: string;
  readonly #root: string;
  #rows: RowList;
  #isSaved = true;
  #fingerprint: string | null;

  constructor(file: string, root: string) {
    this.#file = file;
    this.#root = root;
    const loaded = loadRows(file, root);
    this.#rows = loaded?.rows ?? new RowList();
    this.#fingerprint = loaded?.sha256 ?? null;
  }

  /** The same for the same rows, all of them: SHA-256 of the file, 64 hex digits. Null: they are in none. */
  get fingerprint(): string | null {
    return this.#isSaved ? this.#fingerprint : null;
  }

  get size(): number {
    return this.#rows.length;
  }

  get(path: string): Row | undefined {
    return this.#rows.find(path);
  }

  replace(rows: RowList): void {
    if (this.#isSaved && this.#rows.isSame(rows)) return;
    this.#rows = rows;
    this.#isSaved = false;
  }

  /** False when it could not be written. A crash of the machine may lose it: that costs a reading. */
  save(): boolean {
    if (this.#isSaved) return true;
    const writer = new StatCacheWriter(this.#file, this.#root);
    for (const row of this.#rows) writer.add(row);
    this.#fingerprint = writer.finish();
    this.#isSaved = this.#fingerprint !== null;
    return this.#isSaved;
  }
}

export function statCacheFile(stateDir: string, id: string, root: string): string {
  return `${stateDir}/stat-${id}-${sha256Hex(Buffer.from(root, "latin1")).slice(0, 12)}`;
}

function headOf(root: string): Buffer {
  const head = Buffer.from(`${magic}0000${root}`, "latin1");
  head.writeUInt32LE(root.length, magic.length);
  return head;
}

/**
 * Writes a cache row by row, so that nothing of it stays in memory. Until `finish` the old one is in its place. A cache
 * that cannot be written is no error: the next run reads more.
 */
export class StatCacheWriter {
  readonly #file: string;
  readonly #hasher = createHash("sha256");
  readonly #buffer = Buffer.allocUnsafe(writeBytes);
  /** Null: ended, or it could not be written. */
  #fd: number | null = null;
  #filled = 0;

  constructor(file: string, root: string) {
    this.#file = file;
    this.#attempt(() => {
      this.#fd = openSync(`${file}.new`, "w", 0o600);
      this.#put(headOf(root));
    });
  }

  add(row: Row): void {
    this.#attempt(() => this.#put(bytesOf(row)));
  }

  /** SHA-256 of what was written, 64 hex digits; null when it could not be. */
  finish(): string | null {
    if (this.#fd === null) return null;
    const fd = this.#fd;
    let digest = Buffer.alloc(0);
    const isDone = this.#attempt(() => {
      this.#flush();
      digest = this.#hasher.digest();
      this.#write(digest);
      this.#fd = null;
      closeSync(fd);
      renameSync(`${this.#file}.new`, this.#file);
    });
    return isDone ? digest.toString("hex") : null;
  }

  /** What is not finished does not count. */
  close(): void {
    if (this.#fd === null) return;
    closeSync(this.#fd);
    this.#fd = null;
    rmSync(`${this.#file}.new`, { force: true });
  }

  #attempt(work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      if (typeof (error as NodeJS.ErrnoException).code !== "string") throw error;
      this.close();
      return false;
    }
  }

  #put(bytes: Uint8Array): void {
    if (this.#fd === null) return;
    for (let at = 0; at < bytes.length; ) {
      if (this.#filled === this.#buffer.length) this.#flush();
      const take = Math.min(bytes.length - at, this.#buffer.length - this.#filled);
      this.#buffer.set(bytes.subarray(at, at + take), this.#filled);
      this.#filled += take;
      at += take;
    }
  }

  #flush(): void {
    const bytes = this.#buffer.subarray(0, this.#filled);
    this.#hasher.update(bytes);
    this.#write(bytes);
    this.#filled = 0;
  }

  #write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd!, bytes, at);
  }
}

/** Null: never written, lost, or of an earlier version. Then everything is read. */
function loadRows(file: string, root: string): { rows: RowList; sha256: string } | null {
  try {
    const bytes = readFileSync(file);
    const body = bytes.subarray(0, bytes.length - 32);
    const sha256 = hash("sha256", body, "hex");
    if (sha256 !== bytes.toString("hex", bytes.length - 32)) return null;
    const head = headOf(root);
    if (!body.subarray(0, head.length).equals(head)) return null;
    return { rows: RowList.read(body, head.length), sha256 };
  } catch {
    return null;
  }
}
