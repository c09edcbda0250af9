/** Owner, xattrs, mode and times of one entry, in the order in which each survives the next. */
import { chmodSync, lchownSync } from "node:fs";
import type { InodeEntry } from "../../core/snapshot/tree.ts";
import { native, setTimes } from "../fs/native.ts";
import { fsPath } from "../fs/paths.ts";
import { isKeptXattr } from "./read.ts";
import type { Found } from "./walk.ts";

/**
 * `path`: byte string for the fs. `now`: what lies there. What the process may not set stays as it is: the check after
 * the restore finds it and names the path.
 */
export function applyAttributes(path: string, entry: InodeEntry, now: Found): void {
  let mode = now.mode;
  if (now.uid !== entry.uid || now.gid !== entry.gid) {
    // A change of owner clears setuid and setgid, so the mode comes after it.
    if (attempt(() => lchownSync(fsPath(path), entry.uid, entry.gid))) mode = -1;
  }
  applyXattrs(path, entry);
  // After the xattrs: user.* need a writable file, and an ACL moves the group's bits.
  if (entry.type !== "l" && (mode !== entry.mode || entry.xattrs.length > 0))
    attempt(() => chmodSync(fsPath(path), entry.mode));
  attempt(() => setTimes(path, entry.mtimeNs));
}

function applyXattrs(path: string, entry: InodeEntry): void {
  if (!native) return;
  const wanted = new Map(entry.xattrs);
  // A folder's default ACL gives new entries xattrs that the snapshot does not have.
  let names: string[] = [];
  attempt(() => {
    names = native!.listXattrs(path).filter(isKeptXattr);
  });
  for (const name of names) if (!wanted.has(name)) attempt(() => native!.removeXattr(path, name));
  for (const [name, value] of entry.xattrs) attempt(() => native!.setXattr(path, name, value));
}

function attempt(work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (typeof (error as NodeJS.ErrnoException).code === "string") return false;
    throw error;
  }
}
