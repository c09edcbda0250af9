/** Random workspaces out of everything that Linux allows, as a list of steps that fast-check can shrink. */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import fc from "fast-check";
import { chmodNoFollow } from "../fs/chmod.ts";
import { clearFlags, writeFlags } from "../fs/flags.ts";
import { Folders } from "../fs/folders.ts";
import { makeNode, native, setTimes } from "../fs/native.ts";
import { fsPath } from "../fs/paths.ts";
import { removeTree } from "../fs/remove.ts";
import { noise } from "./workspace.ts";

const kib = 1024;

const name = fc
  .oneof(
    { weight: 6, arbitrary: fc.stringMatching(/^[a-c. -]{1,3}$/) },
    { weight: 2, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 12 }).map(latin1) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 255, maxLength: 255 }).map(latin1) },
  )
  .map((text) => text.replace(/[\0/]/g, "_"))
  .filter((text) => text !== "." && text !== "..");
const content = fc.oneof(
  fc.record({
    kind: fc.constant("noise" as const),
    bytes: fc.constantFrom(0, 1, 100, 4096, 512 * kib - 1, 512 * kib, 3 * 1024 * kib),
    seed: fc.nat(9),
  }),
  fc.record({
    kind: fc.constant("sparse" as const),
    bytes: fc.constantFrom(1, 70_000, 1024 * kib, 9 * 1024 * kib, 20 * 1024 * kib + 5),
    pieces: fc.array(fc.nat(255), { maxLength: 5 }),
  }),
);
export type Content = typeof content extends fc.Arbitrary<infer T> ? T : never;

/** Seconds of the years 1902 to 2400 (the range of ext4), and nanoseconds. */
const time = fc
  .tuple(fc.integer({ min: -2_145_000_000, max: 13_000_000_000 }), fc.nat(999_999_999))
  .map(([seconds, nanoseconds]) => BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds));
const id = fc.constantFrom(0, 1, 1000, 65_534, 2_000_000_000, 4_294_967_294);
const xattr = fc.tuple(
  fc.constantFrom(
    "user.a",
    "user.\xff\xfe",
    `user.${"n".repeat(250)}`,
    "trusted.b",
    "security.capability",
    "acl",
    "default acl",
  ),
  fc.uint8Array({ maxLength: 200 }),
);
const attributes = fc.record({
  mode: fc.oneof(fc.constantFrom(0o755, 0o644, 0o4755, 0o2755, 0o1777, 0), fc.nat(0o7777)),
  uid: id,
  gid: id,
  time,
  xattrs: fc.array(xattr, { maxLength: 3 }),
  /** Bits of immutable, append, no dump and no atime. */
  flags: fc.oneof(
    { weight: 4, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.constantFrom(0x10, 0x20, 0x40, 0x80, 0xf0) },
  ),
});
const what = fc.oneof(
  fc.record({ make: fc.constant("folder" as const) }),
  fc.record({ make: fc.constant("file" as const), content }),
  fc.record({ make: fc.constant("link" as const), target: fc.uint8Array({ minLength: 1, maxLength: 30 }).map(latin1) }),
  fc.record({ make: fc.constant("fifo" as const) }),
  fc.record({
    make: fc.constant("device" as const),
    kind: fc.constantFrom(0o020000, 0o060000),
    rdev: fc.constantFrom(0, 0x103, 0x12_345_678),
  }),
  fc.record({ make: fc.constant("name" as const), of: fc.nat() }),
  fc.record({ make: fc.constant("nothing" as const) }),
  fc.record({ make: fc.constant("move" as const), of: fc.nat() }),
);
/** `parent` chooses among the folders that there are. What lies at the path already is removed first. */
const step = fc.record({ parent: fc.nat(), name, what, attributes });
export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
export const steps = (maxLength: number) => fc.array(step, { minLength: 1, maxLength });

/** `root` exists. Takes the steps over whatever lies there. A step that Linux refuses (ENAMETOOLONG and the like) is none. */
export function takeSteps(root: string, list: Step[]): void {
  const folders = new Folders(Buffer.from(root).toString("latin1"), true);
  const flagged: [string, number][] = [];
  try {
    for (const next of list) {
      const there = entriesOf(folders);
      const parents = [...there].filter(([, type]) => type === "d").map(([path]) => path);
      const parent = parents[next.parent % parents.length]!;
      const path = parent === "" ? next.name : `${parent}/${next.name}`;
      const others = [...there].filter(([other, type]) => type !== "d" && other !== path).map(([other]) => other);
      for (const loose of ["", ...there.keys()]) clearFlags(folders.at(loose));
      removeTree(folders, path);
      if (!isAllowed(() => make(folders, path, next, others))) continue;
      dress(folders, path, next);
      if (next.attributes.flags !== 0) flagged.push([path, next.attributes.flags]);
    }
    for (const [path, flags] of flagged.reverse()) {
      const type = entriesOf(folders).get(path);
      if (type === "f" || type === "d") isAllowed(() => writeFlags(folders.at(path), flags));
    }
  } finally {
    folders.close();
  }
}

/** False where this machine or its file system refuses the step (a device 0:0 on overlayfs, attributes in a container). */
function isAllowed(work: () => unknown): boolean {
  try {
    return work() !== false;
  } catch (error) {
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSPC"].includes((error as NodeJS.ErrnoException).code ?? ""))
      throw error;
    return false;
  }
}

function make(folders: Folders, path: string, { what: thing }: Step, others: string[]): boolean {
  const at = fsPath(folders.at(path));
  const other = "of" in thing ? others[thing.of % others.length] : undefined;
  if (thing.make === "folder") mkdirSync(at);
  else if (thing.make === "file") writeContent(at, thing.content);
  else if (thing.make === "link") symlinkSync(fsPath(thing.target.replace(/\0/g, "_")), at);
  else if (thing.make === "fifo") makeNode(folders.at(path), 0o010644, 0);
  else if (thing.make === "device") makeNode(folders.at(path), thing.kind | 0o600, thing.rdev);
  else if (other === undefined || thing.make === "nothing") return false;
  else {
    const [from, to] = folders.both(other, path).map(fsPath) as [string, string];
    if (!existsSync(from) && !isThere(from)) return false;
    if (thing.make === "name") linkSync(from, to);
    else renameSync(from, to);
  }
  return true;
}

function dress(folders: Folders, path: string, { attributes: { mode, uid, gid, time: at, xattrs } }: Step): void {
  const way = folders.at(path);
  const stat = lstatSync(fsPath(way));
  lchownSync(fsPath(way), uid, gid);
  for (const [key, value] of xattrs)
    isAllowed(() => setXattr(way, key, value, mode, stat.isDirectory(), stat.isFile()));
  if (!stat.isSymbolicLink()) chmodNoFollow(way, mode);
  setTimes(way, at);
}

function setXattr(way: string, key: string, value: Uint8Array, mode: number, isFolder: boolean, isFile: boolean): void {
  if (!native) return;
  if (key === "security.capability") {
    if (isFile) native.setXattr(way, key, Buffer.from("0100000200040000000000000000000000000000", "hex"));
  } else if (key === "acl" || key === "default acl") {
    if (!isFolder && (!isFile || key !== "acl")) return;
    native.setXattr(way, key === "acl" ? "system.posix_acl_access" : "system.posix_acl_default", accessList(mode));
  } else if (isFolder || isFile || key.startsWith("trusted.")) native.setXattr(way, key, value);
}

/** Version 2: owner, user 1000, group, mask, others. */
function accessList(mode: number): Buffer {
  const list = Buffer.alloc(4 + 5 * 8);
  list.writeUInt32LE(2, 0);
  [
    [0x01, 6, 0xffffffff],
    [0x02, mode & 7, 1000],
    [0x04, (mode >> 3) & 7, 0xffffffff],
    [0x10, 7, 0xffffffff],
    [0x20, mode & 7, 0xffffffff],
  ].forEach(([tag, permissions, who], i) => {
    list.writeUInt16LE(tag!, 4 + i * 8);
    list.writeUInt16LE(permissions!, 6 + i * 8);
    list.writeUInt32LE(who!, 8 + i * 8);
  });
  return list;
}

function writeContent(at: string | Buffer, what: Content): void {
  if (what.kind === "noise") {
    writeFileSync(at, noise(what.bytes, what.seed));
    return;
  }
  const fd = openSync(at, "w");
  ftruncateSync(fd, what.bytes);
  for (const place of what.pieces) writeSync(fd, "piece", Math.floor((place / 256) * what.bytes));
  closeSync(fd);
}

/** All paths below the root, and the root: "d", "f" or "o". */
function entriesOf(folders: Folders): Map<string, string> {
  const found = new Map([["", "d"]]);
  for (const [folder, type] of found) {
    if (type !== "d") continue;
    for (const entry of readdirSync(fsPath(folders.at(folder === "" ? "." : `${folder}/.`)), { encoding: "latin1" })) {
      const path = folder === "" ? entry : `${folder}/${entry}`;
      const stat = lstatSync(fsPath(folders.at(path)));
      found.set(path, stat.isDirectory() ? "d" : stat.isFile() ? "f" : "o");
    }
  }
  return found;
}

function isThere(at: string | Buffer): boolean {
  try {
    lstatSync(at);
    return true;
  } catch {
    return false;
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
