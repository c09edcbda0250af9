/**
 * Compares two folders by walking both: types, modes, owners, times to the nanosecond, link targets, hard links,
 * contents byte by byte, extended attributes where `getfattr` is installed. Shares no code with the snapshot engine, so
 * that it can be a witness.
 */

import { spawnSync } from "node:child_process";
import { type BigIntStats, closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";

export interface Comparison {
  entries: number;
  files: number;
  bytes: number;
  /** At most twenty, in words. */
  differences: string[];
  differenceCount: number;
  xattrs: "compared" | "getfattr is not installed";
}

interface Entry {
  path: Buffer;
  stat: BigIntStats;
}

const buffers = [Buffer.alloc(1 << 20), Buffer.alloc(1 << 20)] as const;

export function compareFolders(a: string, b: string): Comparison {
  const left = walk(a);
  const right = walk(b);
  const result: Comparison = {
    entries: left.size,
    files: 0,
    bytes: 0,
    differences: [],
    differenceCount: 0,
    xattrs: "compared",
  };
  const differ = (path: string, what: string) => {
    result.differenceCount++;
    if (result.differences.length < 20) result.differences.push(`${Buffer.from(path, "latin1").toString()}: ${what}`);
  };
  for (const path of right.keys()) if (!left.has(path)) differ(path, "is only in the second");
  for (const [path, one] of left) {
    const other = right.get(path);
    if (!other) {
      differ(path, "is only in the first");
      continue;
    }
    for (const what of differencesOf(one, other)) differ(path, what);
    if (one.stat.isFile() && other.stat.isFile()) {
      result.files++;
      result.bytes += Number(one.stat.size);
      if (!haveSameBytes(one.path, other.path)) differ(path, "has other contents");
    }
  }
  const [linksA, linksB] = [hardLinks(left), hardLinks(right)];
  for (const [path, group] of linksA) if (linksB.get(path) !== group) differ(path, "has other hard links");
  const [xattrsA, xattrsB] = [extendedAttributes(a), extendedAttributes(b)];
  if (xattrsA === null || xattrsB === null) result.xattrs = "getfattr is not installed";
  else if (xattrsA !== xattrsB) differ(".", "extended attributes differ");
  return result;
}

function differencesOf(one: Entry, other: Entry): string[] {
  const [a, b] = [one.stat, other.stat];
  const found: string[] = [];
  if (a.mode !== b.mode) found.push(`mode ${a.mode.toString(8)} and ${b.mode.toString(8)}`);
  if (a.uid !== b.uid || a.gid !== b.gid) found.push(`owner ${a.uid}:${a.gid} and ${b.uid}:${b.gid}`);
  if (a.mtimeNs !== b.mtimeNs) found.push(`time ${a.mtimeNs} and ${b.mtimeNs}`);
  if (!a.isDirectory() && a.size !== b.size) found.push(`size ${a.size} and ${b.size}`);
  if (a.rdev !== b.rdev) found.push(`device ${a.rdev} and ${b.rdev}`);
  if (a.isSymbolicLink() && b.isSymbolicLink()) {
    const targets = [one, other].map((entry) => readlinkSync(entry.path, { encoding: "buffer" }));
    if (!targets[0]!.equals(targets[1]!)) found.push(`points to ${targets[0]} and ${targets[1]}`);
  }
  return found;
}

/** Sockets belong to a running process and are in no snapshot. Keys are the paths as latin1, which holds any byte. */
function walk(root: string): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  const queue: { path: Buffer; name: string }[] = [{ path: Buffer.from(root), name: "." }];
  for (let next = queue.pop(); next; next = queue.pop()) {
    const stat = lstatSync(next.path, { bigint: true });
    if (stat.isSocket()) continue;
    entries.set(next.name, { path: next.path, stat });
    if (!stat.isDirectory()) continue;
    for (const child of readdirSync(next.path, { encoding: "buffer" })) {
      queue.push({
        path: Buffer.concat([next.path, Buffer.from("/"), child]),
        name: `${next.name}/${child.toString("latin1")}`,
      });
    }
  }
  return entries;
}

/** For each name of a file with several names: the first of those names within the folder. */
function hardLinks(entries: Map<string, Entry>): Map<string, string> {
  const first = new Map<string, string>();
  const groups = new Map<string, string>();
  for (const [path, { stat }] of [...entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (stat.isDirectory() || stat.nlink < 2n) continue;
    const inode = `${stat.dev}:${stat.ino}`;
    if (!first.has(inode)) first.set(inode, path);
    groups.set(path, first.get(inode)!);
  }
  return groups;
}

function haveSameBytes(a: Buffer, b: Buffer): boolean {
  const files = [openSync(a, "r"), openSync(b, "r")] as const;
  try {
    for (;;) {
      const counts = [readFull(files[0], buffers[0]), readFull(files[1], buffers[1])];
      if (counts[0] !== counts[1]) return false;
      if (counts[0] === 0) return true;
      if (buffers[0].compare(buffers[1], 0, counts[0], 0, counts[0]) !== 0) return false;
    }
  } finally {
    for (const file of files) closeSync(file);
  }
}

function readFull(file: number, buffer: Buffer): number {
  let filled = 0;
  for (;;) {
    const count = readSync(file, buffer, filled, buffer.length - filled, null);
    filled += count;
    if (count === 0 || filled === buffer.length) return filled;
  }
}

function extendedAttributes(root: string): string | null {
  const run = spawnSync("getfattr", ["-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", "."], {
    cwd: root,
    encoding: "latin1",
    maxBuffer: 1 << 28,
  });
  if (run.error || run.status !== 0) return null;
  return run.stdout.split("\n\n").sort().join("\n\n");
}
