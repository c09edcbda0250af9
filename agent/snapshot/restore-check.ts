/**
 * The end of a restore: every entry is looked at again. What differs is set once more; what still differs then, by the
 * same value, is something that this machine cannot keep, and is told apart from a folder that is not the snapshot.
 */
import { closeSync, fstatSync, readlinkSync } from "node:fs";
import { ByteWriter, equalBytes } from "../../core/snapshot/bytes.ts";
import { type Entry, encodeHoles, encodeRecord, type InodeEntry, isInDigest } from "../../core/snapshot/tree.ts";
import { clearFlags, openToLook } from "../fs/flags.ts";
import type { Folders } from "../fs/folders.ts";
import { native } from "../fs/native.ts";
import { fsPath, textOfBytes } from "../fs/paths.ts";
import type { Breather } from "./breather.ts";
import { nodePrimitives } from "./primitives.ts";
import { applyAttributes, applyFlags, type Refusals } from "./restore-attributes.ts";
import type { FileWriter } from "./restore-files.ts";
import { RowShelf } from "./rows.ts";
import type { StatCacheWriter } from "./stat-cache.ts";
import type { Stillness } from "./stillness.ts";
import { Stop } from "./stop.ts";
import type { Loss } from "./types.ts";
import { type Found, statEntry, toFound } from "./walk.ts";
import { flagsName, readXattrsOfOwn } from "./xattrs.ts";

const maxNamedPaths = 10;

export interface Checked {
  /** Of what is really there, 64 hex digits. */
  digest: string;
  different: string[];
  losses: Loss[];
}

export interface CheckInput {
  folders: Folders;
  entries: Iterable<Entry>;
  /** Paths of fifos and devices that were refused, and the system's code. */
  notMade: Map<string, string>;
  writer: Pick<FileWriter, "holds">;
  /** What is seen becomes the stat cache of the next snapshot. */
  cache: StatCacheWriter;
  /** Of the sync right before. */
  stillness: Stillness;
  breather: Breather;
}

export async function checkEntries(input: CheckInput): Promise<Checked> {
  const { folders, notMade, cache, stillness, breather } = input;
  const hasher = nodePrimitives.newSha256();
  const expected = new ByteWriter(4096);
  const actual = new ByteWriter(4096);
  const holes = new ByteWriter(256);
  const shelf = new RowShelf();
  const different: string[] = [];
  const losses = new Losses();
  for (const entry of input.entries) {
    if (breather.due) await breather.rest();
    if (!isInDigest(entry.type)) continue;
    const readAt = Date.now();
    const seen = look(folders, entry);
    expected.clear();
    encodeRecord(expected, entry);
    actual.clear();
    if (seen?.entry) encodeRecord(actual, seen.entry);
    if (equalBytes(expected.view(), actual.view())) {
      if (seen && entry.type !== "h" && stillness.hasRested(seen.found, readAt)) {
        holes.clear();
        if (entry.type === "f") encodeHoles(holes, entry.holes);
        cache.add(shelf.add(seen.found.stamp, 0, expected.view(), holes.view()));
      }
    } else {
      let after: InodeEntry | "missing" | null = null;
      if (!seen) after = settleMissing(entry, notMade, losses);
      else if (!(await isWrittenTo(entry, seen.found, input))) after = settle(folders, entry, seen, losses);
      if (!after) different.push(textOfBytes(entry.path) || ".");
      actual.clear();
      if (after && after !== "missing") encodeRecord(actual, after);
    }
    hasher.update(actual.view());
  }
  return { digest: Buffer.from(hasher.digest()).toString("hex"), different, losses: losses.list() };
}

/** Errors: Stop `restore_digest_mismatch` or `restore_inexact`. `digest`: null where the caller gave the owners up. */
export function demandExact(checked: Checked, digest: string | null): void {
  const { different, losses } = checked;
  if (different.length > 0) {
    const named = different.slice(0, maxNamedPaths);
    throw new Stop(
      "restore_digest_mismatch",
      `${different.length} entries differ from the snapshot; something changes the folder: ${named.join(", ")}.`,
      false,
      named,
    );
  }
  if (losses.length > 0) {
    const words = losses.map(
      ({ what, reason, entries, example }) => `${what} of ${entries} (${reason}), as ${example}`,
    );
    const advice = losses.some(({ what }) => what === "owner")
      ? " Restore as root, or give the owners up with --no-owner."
      : "";
    throw new Stop(
      "restore_inexact",
      `Every byte is in place and proved, but this machine cannot keep: ${words.join("; ")}.${advice}`,
      false,
      losses.map(({ example }) => example).slice(0, maxNamedPaths),
      losses,
    );
  }
  if (digest !== null && checked.digest !== digest)
    throw new Stop("restore_digest_mismatch", "The folder has another digest than the snapshot.", false);
}

class Losses {
  readonly #byKind = new Map<string, Loss>();

  add(path: string, what: string, reason: string): void {
    const key = `${what}\0${reason}`;
    const known = this.#byKind.get(key);
    if (known) known.entries++;
    else this.#byKind.set(key, { what, reason, entries: 1, example: textOfBytes(path) || "." });
  }

  list(): Loss[] {
    return [...this.#byKind.values()];
  }
}

/** Another time than was set can mean that somebody wrote to the file since. */
async function isWrittenTo(entry: Entry, found: Found, { writer, breather }: CheckInput): Promise<boolean> {
  if (entry.type !== "f" || found.type !== "f" || found.mtimeNs === entry.mtimeNs) return false;
  return !(await writer.holds(entry, breather));
}

interface Seen {
  found: Found;
  /** Null where it is another thing than the entry. */
  entry: Entry | null;
}

function look(folders: Folders, entry: Entry): Seen | null {
  // Its flags want an open file, which tells the rest as well: by its path each answer would take the whole way again.
  const fd = entry.type === "f" && native ? tryToOpen(folders.at(entry.path)) : null;
  if (fd === null) {
    const found = statEntry(folders, entry.path);
    return found && { found, entry: realEntry(folders, entry, found) };
  }
  try {
    const found = toFound(entry.path, fstatSync(fd, { bigint: true }));
    return { found, entry: realEntry(folders, entry, found, fd) };
  } finally {
    closeSync(fd);
  }
}

/** Null where it is not there, is a symlink, or is not to be read: then its path tells more. */
function tryToOpen(path: string): number | null {
  try {
    return openToLook(path);
  } catch {
    return null;
  }
}

/** `fd`: the entry, where it is open already. */
function realEntry(folders: Folders, entry: Entry, found: Found, fd?: number): Entry | null {
  if (entry.type === "h") {
    const target = statEntry(folders, entry.target);
    return found.inode !== null && found.inode === target?.inode ? entry : null;
  }
  if (found.type !== entry.type) return null;
  const { path, mode, uid, gid, mtimeNs } = found;
  // Without FFI there are none to be seen: those of the entry become losses.
  const xattrs = readXattrsOfOwn(folders.at(path), found.type, fd);
  const common = { path, mode, uid, gid, mtimeNs, xattrs };
  if (entry.type === "f") return found.size === entry.size ? { ...entry, ...common } : null;
  if (entry.type === "l")
    return { ...entry, ...common, target: readlinkSync(fsPath(folders.at(path)), { encoding: "latin1" }) };
  if (entry.type === "c" || entry.type === "b") return { ...entry, ...common, rdev: found.rdev };
  return { ...entry, ...common };
}

/** Null: it differs in more than an attribute that cannot be set here. */
function settle(folders: Folders, entry: Entry, before: Seen, losses: Losses): InodeEntry | null {
  if (entry.type === "h" || !isSameThing(entry, before.entry)) return null;
  const refusals = applyAgain(folders, entry, before.found);
  const after = look(folders, entry);
  if (!after || !isSameThing(entry, after.entry)) return null;
  for (const what of differencesOf(entry, after.entry)) {
    const reason =
      refusals.get(what) ?? (isSteady(what, before.entry, after.entry) ? "the file system changes it" : null);
    if (reason === null) return null;
    losses.add(entry.path, what, reason);
  }
  return after.entry;
}

/** "missing": it cannot be made here. Null: it is gone. */
function settleMissing(entry: Entry, notMade: Map<string, string>, losses: Losses): "missing" | null {
  const isName = entry.type === "h";
  const reason = notMade.get(isName ? entry.target : entry.path);
  if (reason === undefined) return null;
  losses.add(entry.path, isName ? "hard link" : entry.type === "p" ? "fifo" : "device", reason);
  return "missing";
}

function applyAgain(folders: Folders, entry: InodeEntry, found: Found): Refusals {
  const path = folders.at(entry.path);
  try {
    clearFlags(path);
  } catch {
    // Then the attributes are refused one by one.
  }
  const refusals = applyAttributes(path, entry, found);
  if (entry.type === "f" || entry.type === "d")
    for (const [what, code] of applyFlags(path, entry)) refusals.set(what, code);
  return refusals;
}

function isSameThing(entry: InodeEntry, real: Entry | null): real is InodeEntry {
  if (!real || real.type === "h" || real.type !== entry.type) return false;
  if (entry.type === "l") return (real as typeof entry).target === entry.target;
  if (entry.type === "c" || entry.type === "b") return (real as typeof entry).rdev === entry.rdev;
  return true;
}

function differencesOf(a: InodeEntry, b: InodeEntry): string[] {
  const differences: string[] = [];
  const isOwned = a.uid === b.uid && a.gid === b.gid;
  if (!isOwned) differences.push("owner");
  // Without its owner a program does not get its setuid bit: that is the owner's loss, not another one.
  if (a.mode !== b.mode && (isOwned || a.type !== "f" || (a.mode & 0o1777) !== b.mode)) differences.push("mode");
  if (a.mtimeNs !== b.mtimeNs) differences.push("time");
  const left = new Map(a.xattrs);
  for (const [name, value] of b.xattrs) {
    const wanted = left.get(name);
    if (!wanted || !equalBytes(wanted, value)) differences.push(name);
    left.delete(name);
  }
  return [...differences, ...left.keys()];
}

/** Two looks saw the same value, though it was set between them. */
function isSteady(what: string, before: Entry | null, after: InodeEntry): boolean {
  if (!before || before.type === "h") return false;
  if (what === "owner") return before.uid === after.uid && before.gid === after.gid;
  if (what === "mode") return before.mode === after.mode;
  if (what === "time") return before.mtimeNs === after.mtimeNs;
  const [one, other] = [before, after].map((entry) => new Map(entry.xattrs).get(what));
  return one === other || (one !== undefined && other !== undefined && equalBytes(one, other)) || what === flagsName;
}
