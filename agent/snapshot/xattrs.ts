/** The extended attributes of an entry as the format keeps them, its inode flags among them. */
import { constants, lstatSync } from "node:fs";
import { limits } from "../../core/snapshot/limits.ts";
import type { Xattr } from "../../core/snapshot/tree.ts";
import { chmodNoFollow } from "../fs/chmod.ts";
import { readFlags, withOpen } from "../fs/flags.ts";
import { NativeError, native } from "../fs/native.ts";
import { fsPath } from "../fs/paths.ts";

/** Sorts among the others and is none that Linux could have: its namespaces are security, system, trusted and user. */
export const flagsName = "soneca.flags";

const e2big = 7;

/** Left out: labels that belong to the host (SELinux, IMA, overlayfs), which no other host would accept. */
export function isKeptXattr(name: string): boolean {
  if (name.startsWith("user.")) return true;
  if (name.startsWith("trusted.")) return !name.startsWith("trusted.overlay.");
  return name === "security.capability" || name === "system.posix_acl_access" || name === "system.posix_acl_default";
}

/** `fd`: the entry, where it is open already. Sorted by name. Errors: throws a system error. */
export function readXattrs(path: string, type: string, fd?: number): Xattr[] {
  if (!native) return [];
  const hasFlags = type === "f" || type === "d";
  // Opened once for all of it: each look by its path would go all the way again.
  if (hasFlags && fd === undefined) return withOpen(path, (own) => readXattrs(path, type, own));
  const xattrs: Xattr[] = [];
  let bytes = 0;
  for (const name of native.listXattrs(path, fd).filter(isKeptXattr)) {
    const value = native.getXattr(path, name);
    if (!value) continue;
    xattrs.push([name, value]);
    bytes += name.length + value.length;
    // xfs and btrfs hold more than the format: better named here than refused by every reader.
    if (bytes > limits.xattrsBytes || xattrs.length >= limits.xattrCount) throw new NativeError("llistxattr", e2big);
  }
  if (hasFlags) {
    const flags = readFlags(fd!);
    if (flags !== 0) xattrs.push([flagsName, flagsValue(flags)]);
  }
  return xattrs.length < 2 ? xattrs : xattrs.sort(([a], [b]) => (a < b ? -1 : 1));
}

/** As `readXattrs`, of an entry that its owner may not read by its mode: the mode is lifted for the moment. */
export function readXattrsOfOwn(path: string, type: string, fd?: number): Xattr[] {
  try {
    return readXattrs(path, type, fd);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EACCES" || (type !== "f" && type !== "d")) throw error;
    const { mode } = lstatSync(fsPath(path));
    chmodNoFollow(path, (mode & 0o7777) | constants.S_IRUSR);
    try {
      return readXattrs(path, type);
    } finally {
      chmodNoFollow(path, mode & 0o7777);
    }
  }
}

/** 0 where none are recorded. */
export function flagsOf(xattrs: readonly Xattr[]): number {
  const value = xattrs.find(([name]) => name === flagsName)?.[1];
  return value?.length === 4 ? Buffer.from(value).readUInt32LE(0) : 0;
}

function flagsValue(flags: number): Uint8Array {
  const value = new Uint8Array(4);
  new DataView(value.buffer).setUint32(0, flags, true);
  return value;
}
