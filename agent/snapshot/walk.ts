/** Finds every entry below a root with one lstat each, sorted by the bytes of its path. */
import { type BigIntStats, lstatSync, readdirSync, type Stats } from "node:fs";
import type { Folders } from "../fs/folders.ts";
import { fsPath, inOnePiece, textOfBytes } from "../fs/paths.ts";
import type { Breather } from "./breather.ts";
import type { Excluder } from "./excludes.ts";
import { stampFields } from "./rows.ts";
import { Stop } from "./stop.ts";
import type { SkippedPath } from "./types.ts";

const slash = 0x2f;

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
  /** All that must stay the same for the entry to count as unchanged, to the nanosecond. */
  readonly key: string;
  /** The same as in a row of the stat cache. */
  stamp: number[];
  /** The later of mtime and ctime. */
  newestMs: number;
  /** Device and inode where the inode has more than one name; else null. */
  inode: string | null;
  /** Fewer blocks than bytes: it may have holes. */
  isSparse: boolean;
}

/** What the walk saw, in columns: a million entries take a tenth of a gigabyte. */
export class Walked {
  readonly paths: string[] = [];
  readonly unreadable: SkippedPath[] = [];
  /** `stampFields` numbers an entry. */
  stamps = new Float64Array(1024 * stampFields);
  /** Device and inode of entries whose inode has more than one name, by their place in `paths`. */
  readonly inodes = new Map<number, string>();

  /** `inode`: device and inode, exact, where the inode has more than one name. */
  add(path: string, stat: Stats, inode: string | null): void {
    const n = this.paths.push(path) - 1;
    if (this.stamps.length < (n + 1) * stampFields) {
      const more = new Float64Array(this.stamps.length * 2);
      more.set(this.stamps);
      this.stamps = more;
    }
    this.stamps.set([stat.dev, stat.ino, stat.size, stat.mtimeMs, stat.ctimeMs, stat.mode], n * stampFields);
    if (inode !== null) this.inodes.set(n, inode);
  }

  sizeAt(n: number): number {
    return this.stamps[n * stampFields + 2]!;
  }

  /** `stampFields` numbers. */
  stampAt(n: number): Float64Array {
    return this.stamps.subarray(n * stampFields, (n + 1) * stampFields);
  }

  typeAt(n: number): FoundType | undefined {
    return typeOfMode.get(this.stamps[n * stampFields + 5]! & 0o170000);
  }
}

/** A map, since Biome 2.6.8 "simplifies" octal keys of an object to wrong numbers. */
const typeOfMode = new Map<number, FoundType>([
  [0o040000, "d"],
  [0o100000, "f"],
  [0o120000, "l"],
  [0o010000, "p"],
  [0o140000, "s"],
  [0o020000, "c"],
  [0o060000, "b"],
]);

export function toFound(path: string, stat: BigIntStats): Found {
  const { dev, ino, size, mtimeNs, ctimeNs, mode } = stat;
  const type = typeOfMode.get(Number(mode) & 0o170000);
  if (!type)
    throw new Stop("file_type_unknown", `An entry has a type that Linux does not have: ${textOfBytes(path)}.`, false);
  return {
    path,
    type,
    mode: Number(mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: Number(size),
    mtimeNs,
    rdev: type === "c" || type === "b" ? Number(stat.rdev) : 0,
    get key() {
      return `${dev}.${ino}.${size}.${mtimeNs}.${ctimeNs}.${mode}`;
    },
    stamp: [Number(dev), Number(ino), Number(size), msOfNs(mtimeNs), msOfNs(ctimeNs), Number(mode)],
    newestMs: Math.max(Number(stat.mtimeMs), Number(stat.ctimeMs)),
    inode: type !== "d" && stat.nlink > 1n ? `${dev}.${ino}` : null,
    isSparse: type === "f" && stat.blocks * 512n < size,
  };
}

/** Exactly the number that Node's stat without bigints gives. */
function msOfNs(ns: bigint): number {
  const nanoseconds = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return Number((ns - nanoseconds) / 1_000_000_000n) * 1000 + Number(nanoseconds) / 1_000_000;
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

/** Some file systems have inode numbers that no double holds: neighbours would count as one file with two names. */
function inodeOf(folders: Folders, path: string, { dev, ino }: Stats): string | null {
  if (Number.isSafeInteger(ino)) return `${dev}.${ino}`;
  return toFound(path, lstatSync(fsPath(folders.at(path)), { bigint: true })).inode;
}

/** Now; false also where nothing can be said. */
export function isFolder(folders: Folders, path: string): boolean {
  try {
    return lstatSync(fsPath(folders.at(path)), { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    // Whoever looks at it next names the trouble.
    return false;
  }
}

/** A folder that is gone through. */
interface Open {
  /** In front of its names: "" or ends with "/". */
  prefix: string;
  names: string[];
  /** Of `names`, the next to be looked at. */
  at: number;
  /** Folders among them that were looked at and not yet gone into, the last first. */
  waiting: string[];
}

/** Sorted by bytes without one sort over everything: what lies below "a" comes where "a/" would, so after "a-b". */
export async function walk(
  folders: Folders,
  isExcluded: Excluder,
  breather: Breather,
  onStep: (entries: number) => void,
): Promise<Walked> {
  const walked = new Walked();
  const { paths, unreadable } = walked;
  const open: Open[] = [];
  /** Whether it is a folder. */
  const look = (path: string): boolean => {
    try {
      const stat = lstatSync(fsPath(folders.at(path)), { throwIfNoEntry: false });
      if (stat) walked.add(path, stat, stat.nlink > 1 && !stat.isDirectory() ? inodeOf(folders, path, stat) : null);
      return stat?.isDirectory() === true;
    } catch (error) {
      if (!isGone(error)) unreadable.push(skipped(path, error));
      return false;
    }
  };
  const enter = (path: string, prefix: string) => {
    open.push({ prefix, names: readNames(folders, path, unreadable).sort(), at: 0, waiting: [] });
  };
  if (look("")) enter("", "");
  for (let folder = open.at(-1); folder; folder = open.at(-1)) {
    if (breather.due) {
      onStep(paths.length);
      await breather.rest();
    }
    const { prefix, waiting } = folder;
    const name = folder.names[folder.at];
    const first = waiting.at(-1);
    if (first !== undefined && (name === undefined || !comesBeforeInside(name, first))) {
      waiting.pop();
      enter(prefix + first, `${prefix}${first}/`);
      continue;
    }
    if (name === undefined) {
      open.pop();
      continue;
    }
    folder.at++;
    const path = inOnePiece(prefix + name);
    if (!isExcluded(path, () => isFolder(folders, path)) && look(path)) waiting.push(name);
  }
  return walked;
}

/** Of a name that comes after the folder's: whether it comes before what lies below the folder. */
function comesBeforeInside(name: string, folder: string): boolean {
  return name.startsWith(folder) && name.charCodeAt(folder.length) < slash;
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
