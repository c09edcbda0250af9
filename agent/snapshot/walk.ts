/** Finds every entry below a root with one lstat each, sorted by the bytes of its path. */
import { type BigIntStats, lstatSync, readdirSync } from "node:fs";
import type { Folders } from "../fs/folders.ts";
import { fsPath, textOfBytes } from "../fs/paths.ts";
import type { Breather } from "./breather.ts";
import type { SkippedPath } from "./types.ts";

export type FoundType = "d" | "f" | "l" | "p" | "s" | "c" | "b";

export interface Found {
  path: string;
  type: FoundType;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtimeNs: bigint;
  rdev: number;
  /** All that must stay the same for the entry to count as unchanged. */
  key: string;
  /** The later of mtime and ctime. */
  newestMs: number;
  /** Device and inode where the inode has more than one name; else null. */
  inode: string | null;
  /** Fewer blocks than bytes: it may have holes. */
  isSparse: boolean;
}

export interface Walked {
  found: Found[];
  unreadable: SkippedPath[];
}

const typeOfMode: Record<number, FoundType> = {
  0o040000: "d",
  0o100000: "f",
  0o120000: "l",
  0o010000: "p",
  0o140000: "s",
  0o020000: "c",
  0o060000: "b",
};

export function toFound(path: string, stat: BigIntStats): Found {
  const { dev, ino, size, mtimeNs, ctimeNs, mode } = stat;
  const type = typeOfMode[Number(mode) & 0o170000] ?? "s";
  return {
    path,
    type,
    mode: Number(mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: Number(size),
    mtimeNs,
    rdev: type === "c" || type === "b" ? Number(stat.rdev) : 0,
    key: `${dev}.${ino}.${size}.${mtimeNs}.${ctimeNs}.${mode}`,
    newestMs: Math.max(Number(stat.mtimeMs), Number(stat.ctimeMs)),
    inode: type !== "d" && stat.nlink > 1n ? `${dev}.${ino}` : null,
    isSparse: type === "f" && stat.blocks * 512n < size,
  };
}

/** Null when there is nothing (any more). */
export function statEntry(folders: Folders, path: string): Found | null {
  try {
    return toFound(path, lstatSync(fsPath(folders.at(path)), { bigint: true }));
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

export function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ENOENT" || code === "ENOTDIR";
}

export async function walk(folders: Folders, isExcluded: (path: string) => boolean, breather: Breather): Promise<Walked> {
  const root = statEntry(folders, "");
  const found: Found[] = root ? [root] : [];
  const unreadable: SkippedPath[] = [];
  const open = [""];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    for (const name of readNames(folders, folder, unreadable)) {
      const path = folder === "" ? name : `${folder}/${name}`;
      if (breather.due) await breather.rest();
      if (isExcluded(path)) continue;
      try {
        const entry = statEntry(folders, path);
        if (!entry) continue;
        found.push(entry);
        if (entry.type === "d") open.push(path);
      } catch (error) {
        unreadable.push(skipped(path, error));
      }
    }
  }
  found.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  return { found, unreadable };
}

export function skipped(path: string, error: unknown): SkippedPath {
  return { path: textOfBytes(path), reason: (error as NodeJS.ErrnoException).code ?? "unreadable" };
}

function readNames(folders: Folders, folder: string, unreadable: SkippedPath[]): string[] {
  try {
    // latin1 keeps each byte of a name as one char; the types do not know it as a readdir encoding.
    return readdirSync(fsPath(folders.at(folder)), { encoding: "latin1" });
  } catch (error) {
    if (!isGone(error)) unreadable.push(skipped(folder, error));
    return [];
  }
}
