/**
 * Describes a folder by walking it, for a comparison of what a tool brought back with what was there. Shares no code
 * with the snapshot engine, so that it can be a witness. Every path is reached through an open descriptor of its
 * parent (/proc/self/fd/N/name), so trees deeper than PATH_MAX are walked too.
 */
import { createHash } from "node:crypto";
import {
  type BigIntStats,
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { createRequire } from "node:module";

/** What is compared of an entry; each a text that must be equal. */
type Description = Partial<Record<Aspect, string>>;
type Aspect =
  | "type"
  | "mode"
  | "owner"
  | "time"
  | "contents"
  | "link target"
  | "device"
  | "hard links"
  | "xattrs"
  | "holes"
  | "inode flags";
/** Paths as latin1, which holds any byte; "" is the folder itself. */
export type Tree = Map<string, Description>;

export interface Losses {
  missing: number;
  extra: number;
  /** Entries whose aspect differs. */
  differing: Partial<Record<Aspect, number>>;
  /** The first few, in words. */
  examples: string[];
}

const xattrsOf = bindXattrs();
const flagsOf = bindFlags();
const buffer = Buffer.alloc(1 << 20);

/** Sockets belong to a running process and no tool keeps them; they are left out. */
export function describeTree(root: string): Tree {
  const tree: Tree = new Map();
  const inodes = new Map<string, string>();
  const visit = (path: string, full: Buffer) => {
    const stat = lstatSync(full, { bigint: true });
    if (stat.isSocket()) return;
    tree.set(path, describe(path, full, stat, inodes));
    if (!stat.isDirectory()) return;
    const folder = openSync(full, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      const base = `/proc/self/fd/${folder}/`;
      const names = readdirSync(base, { encoding: "latin1" }).sort();
      for (const name of names) visit(path === "" ? name : `${path}/${name}`, Buffer.from(base + name, "latin1"));
    } finally {
      closeSync(folder);
    }
  };
  visit("", Buffer.from(root));
  return tree;
}

function describe(path: string, full: Buffer, stat: BigIntStats, inodes: Map<string, string>): Description {
  const words: Description = {
    type: (stat.mode & 0o170000n).toString(8),
    owner: `${stat.uid}:${stat.gid}`,
    time: String(stat.mtimeNs),
    xattrs: xattrsOf(full),
  };
  if (stat.isSymbolicLink()) words["link target"] = readlinkSync(full, { encoding: "latin1" as "utf8" });
  else words.mode = (stat.mode & 0o7777n).toString(8);
  if (stat.isFile()) {
    words.contents = `${stat.size} bytes ${hashOf(full)}`;
    words.holes = stat.blocks * 512n < stat.size / 2n ? "mostly holes" : "";
  }
  if (stat.isFile() || stat.isDirectory()) words["inode flags"] = flagsOf(full);
  if (stat.isCharacterDevice() || stat.isBlockDevice()) words.device = String(stat.rdev);
  if (!stat.isDirectory() && stat.nlink > 1n) {
    const inode = `${stat.dev}:${stat.ino}`;
    if (!inodes.has(inode)) inodes.set(inode, path);
    words["hard links"] = inodes.get(inode);
  }
  return words;
}

function hashOf(path: Buffer): string {
  const hash = createHash("sha256");
  const file = openSync(path, "r");
  try {
    for (let count = 1; count > 0; ) {
      count = readSync(file, buffer, 0, buffer.length, null);
      hash.update(buffer.subarray(0, count));
    }
  } finally {
    closeSync(file);
  }
  return hash.digest("hex");
}

export function compareTrees(before: Tree, after: Tree): Losses {
  const losses: Losses = { missing: 0, extra: 0, differing: {}, examples: [] };
  const example = (path: string, what: string) => {
    const name = Buffer.from(path, "latin1").toString();
    const short = name.length > 80 ? `${name.slice(0, 40)}…(${path.length} bytes)` : name;
    if (losses.examples.length < 8) losses.examples.push(`${JSON.stringify(short || ".")}: ${what}`);
  };
  for (const [path, was] of before) {
    const is = after.get(path);
    if (!is) {
      losses.missing++;
      example(path, "is not there");
      continue;
    }
    for (const aspect of new Set([...Object.keys(was), ...Object.keys(is)]) as Set<Aspect>) {
      if (was[aspect] === is[aspect]) continue;
      // One example of each aspect says more than eight of the same.
      if (!losses.differing[aspect]) example(path, `${aspect} ${brief(was[aspect])}, now ${brief(is[aspect])}`);
      losses.differing[aspect] = (losses.differing[aspect] ?? 0) + 1;
    }
  }
  for (const path of after.keys()) {
    if (before.has(path)) continue;
    losses.extra++;
    example(path, "was not there");
  }
  return losses;
}

const brief = (text: string | undefined) => (text ? text.slice(0, 60) : "none");

export const lossCount = (losses: Losses) =>
  losses.missing + losses.extra + Object.values(losses.differing).reduce((sum, count) => sum + count, 0);

/** "3 missing, time of 20": empty when the two are equal. */
export function lossesInWords({ missing, extra, differing }: Losses): string {
  const words = Object.entries(differing).map(([aspect, count]) => `${aspect} of ${count}`);
  if (extra > 0) words.unshift(`${extra} extra`);
  if (missing > 0) words.unshift(`${missing} missing`);
  return words.join(", ");
}

/** Names and values; "?" where FFI does not load, which is then equal everywhere. */
function bindXattrs(): (path: Buffer) => string {
  const libc = loadLibc();
  if (!libc) return () => "?";
  const list = libc.func("long llistxattr(const uint8_t *path, _Out_ uint8_t *list, size_t size)");
  const get = libc.func("long lgetxattr(const uint8_t *path, const uint8_t *name, _Out_ uint8_t *value, size_t size)");
  const space = Buffer.alloc(65_536);
  const terminated = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)]);
  return (path) => {
    const name = terminated(path);
    const length = Number(list(name, space, space.length));
    if (length <= 0) return "";
    const names = space
      .subarray(0, length - 1)
      .toString("latin1")
      .split("\0")
      .sort();
    return names
      .map((key) => {
        const count = Number(get(name, terminated(Buffer.from(key, "latin1")), space, space.length));
        return `${key}=${count < 0 ? "unreadable" : space.toString("hex", 0, count)}`;
      })
      .join(" ");
  };
}

/** FS_IOC_GETFLAGS, of the flags that a user sets (chattr): SYNC, IMMUTABLE, APPEND, NODUMP, NOATIME. */
const [getFlags, setFlags, userFlags] = [0x80086601n, 0x40086602n, 0xf8];

function bindFlags(): (path: Buffer) => string {
  const ioctl = bindIoctl();
  if (!ioctl) return () => "?";
  const value = Buffer.alloc(8);
  return (path) => {
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    try {
      return ioctl(file, getFlags, value) === 0 ? String(value.readUInt32LE(0) & userFlags) : "?";
    } finally {
      closeSync(file);
    }
  };
}

/** `chattr`; false where the file system has no such flags. */
export function setInodeFlags(path: string, flags: number): boolean {
  const ioctl = bindIoctl();
  const file = openSync(path, "r");
  const value = Buffer.alloc(8);
  try {
    if (ioctl?.(file, getFlags, value) !== 0) return false;
    value.writeUInt32LE((value.readUInt32LE(0) | flags) >>> 0, 0);
    return ioctl(file, setFlags, value) === 0;
  } finally {
    closeSync(file);
  }
}

type CFunction = (...args: unknown[]) => number | bigint;

function bindIoctl(): CFunction | null {
  return loadLibc()?.func("int ioctl(int fd, unsigned long request, _Inout_ uint8_t *arg)") ?? null;
}

function loadLibc(): { func(signature: string): CFunction } | null {
  try {
    return createRequire(import.meta.url)("koffi").load("libc.so.6");
  } catch {
    return null;
  }
}
