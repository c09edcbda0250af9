/** Owner, xattrs, mode and times of one entry, in the order in which each survives the next; inode flags after all else. */
import { lchownSync } from "node:fs";
import { equalBytes } from "../../core/snapshot/bytes.ts";
import type { InodeEntry } from "../../core/snapshot/tree.ts";
import { chmodNoFollow } from "../fs/chmod.ts";
import { keptFlags, writeFlags } from "../fs/flags.ts";
import { native, setTimes } from "../fs/native.ts";
import { fsPath } from "../fs/paths.ts";
import type { Found } from "./walk.ts";
import { flagsName, flagsOf, isKeptXattr } from "./xattrs.ts";

/** What could not be set: `owner`, `mode`, `time`, `flags` or an xattr's name -> the system's code. */
export type Refusals = Map<string, string>;

/**
 * `path`: byte string for the fs. `now`: what lies there. What the process may not set stays as it is and is returned;
 * the check after the restore looks at what is really there.
 */
export function applyAttributes(path: string, entry: InodeEntry, now: Found): Refusals {
  const refusals: Refusals = new Map();
  const attempt = attemptInto(refusals);
  let mode = now.mode;
  let isOwned = now.uid === entry.uid && now.gid === entry.gid;
  if (!isOwned) {
    // A change of owner clears setuid and setgid, so the mode comes after it.
    isOwned = attempt("owner", () => lchownSync(fsPath(path), entry.uid, entry.gid));
    mode = -1;
  }
  const needsWrite =
    (entry.type === "f" || entry.type === "d") && entry.xattrs.length > 0 && (now.mode & 0o600) !== 0o600;
  if (needsWrite) {
    attempt("mode", () => chmodNoFollow(path, now.mode | 0o600));
    mode = -1;
  }
  applyXattrs(path, entry, attempt, refusals);
  if (entry.type !== "l") {
    // A program of somebody else must not run with the rights of whoever restores it.
    const wanted = isOwned || entry.type === "d" ? entry.mode : entry.mode & ~0o6000;
    // After the xattrs: an ACL moves the group's bits.
    if (mode !== wanted || entry.xattrs.length > 0) attempt("mode", () => chmodNoFollow(path, wanted));
  }
  attempt("time", () => setTimes(path, entry.mtimeNs));
  return refusals;
}

/** After everything else below and around the entry: an immutable one cannot be changed, renamed or linked any more. */
export function applyFlags(path: string, entry: InodeEntry): Refusals {
  const refusals: Refusals = new Map();
  attemptInto(refusals)(flagsName, () => writeFlags(path, flagsOf(entry.xattrs) & keptFlags));
  return refusals;
}

type Attempt = (what: string, work: () => void) => boolean;

function applyXattrs(path: string, entry: InodeEntry, attempt: Attempt, refusals: Refusals): void {
  if (!native) {
    for (const [name] of entry.xattrs) refusals.set(name, "no FFI addon");
    return;
  }
  const { getXattr, setXattr, removeXattr } = native;
  const wanted = new Map(entry.xattrs);
  let names: string[] = [];
  attempt("xattrs", () => {
    names = native!.listXattrs(path).filter(isKeptXattr);
  });
  // A folder's default ACL gives new entries xattrs that the snapshot does not have.
  for (const name of names) if (!wanted.has(name)) attempt(name, () => removeXattr(path, name));
  for (const [name, value] of wanted) {
    if (name === flagsName) continue;
    if (!isKeptXattr(name)) {
      refusals.set(name, "not kept");
      continue;
    }
    attempt(name, () => {
      const there = names.includes(name) ? getXattr(path, name) : null;
      if (!there || !equalBytes(there, value)) setXattr(path, name, value);
    });
  }
}

function attemptInto(refusals: Refusals): Attempt {
  return (what, work) => {
    try {
      work();
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (typeof code !== "string") throw error;
      refusals.set(what, code);
      return false;
    }
  };
}
