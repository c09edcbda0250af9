/** What differs between two trees, each a stored snapshot or a folder: both are walked in order, side by side. */
import { ByteReader } from "../../core/snapshot/bytes.ts";
import { decodeEntry, type Entry, type InodeEntry } from "../../core/snapshot/tree.ts";
import { textOfBytes } from "../fs/paths.ts";
import type { SnapshotBrowser } from "./browse.ts";
import { type Row, streamOf } from "./rows.ts";
import { scanFolder } from "./scan-folder.ts";
import type { ScanDigestOptions, SkippedPath } from "./types.ts";

export interface TreeSource {
  digest: string;
  walk(): AsyncIterable<Entry> | Iterable<Entry>;
  inodeOf(entry: Entry): Promise<InodeEntry> | InodeEntry;
  /** What could not be read, or moved meanwhile: a folder only. */
  unsure: SkippedPath[];
}

export interface TreeChange {
  change: "added" | "removed" | "changed";
  /** Byte string. */
  path: string;
  /** Of what is there now; of what was there when it was removed. */
  type: InodeEntry["type"];
  /** For "changed": `type`, `content`, `target`, `device`, `mode`, `owner`, `mtime`, `xattrs`, `links`. */
  what: string[];
  bytesBefore: number;
  bytesAfter: number;
}

export function snapshotSource(browser: SnapshotBrowser): TreeSource {
  return {
    digest: browser.manifest.digest,
    walk: () => browser.walk(),
    inodeOf: (entry) => browser.inodeOf(entry),
    unsure: [],
  };
}

/** Reads what the stat cache does not know. Errors: Stop. */
export async function folderSource(options: ScanDigestOptions): Promise<TreeSource> {
  const round = await scanFolder(options);
  const decode = (row: Row) => decodeEntry(new ByteReader(streamOf(row), "record"));
  return {
    digest: round.digest,
    *walk() {
      for (const row of round.entries) yield decode(row);
    },
    inodeOf: (entry) => (entry.type === "h" ? (decode(round.entries.find(entry.target)!) as InodeEntry) : entry),
    unsure: [
      ...round.unreadable,
      ...round.torn.map((path) => ({ path: textOfBytes(path), reason: "changed while it was read" })),
    ],
  };
}

/** In the order of the paths. Sockets are left out: no restore brings one back. Errors: what the sources throw. */
export async function* diffTrees(before: TreeSource, after: TreeSource): AsyncGenerator<TreeChange, void> {
  const left = iterate(before);
  const right = iterate(after);
  let a = await left();
  let b = await right();
  while (a || b) {
    if (a && (!b || a.path < b.path)) {
      yield await oneSided("removed", before, a);
      a = await left();
    } else if (b && (!a || b.path < a.path)) {
      yield await oneSided("added", after, b);
      b = await right();
    } else if (a && b) {
      const change = await compare(before, a, after, b);
      if (change) yield change;
      a = await left();
      b = await right();
    }
  }
}

function iterate(source: TreeSource): () => Promise<Entry | null> {
  const walk = source.walk();
  const iterator = Symbol.asyncIterator in walk ? walk[Symbol.asyncIterator]() : walk[Symbol.iterator]();
  return async () => {
    for (;;) {
      const step = await iterator.next();
      if (step.done) return null;
      if (step.value.type !== "s") return step.value;
    }
  };
}

const sizeOf = (entry: InodeEntry) => (entry.type === "f" ? entry.size : 0);

async function oneSided(change: "added" | "removed", source: TreeSource, entry: Entry): Promise<TreeChange> {
  const inode = await source.inodeOf(entry);
  // Another name of a file brings no bytes of its own.
  const bytes = entry.type === "h" ? 0 : sizeOf(inode);
  const isAdded = change === "added";
  return {
    change,
    path: entry.path,
    type: inode.type,
    what: [],
    bytesBefore: isAdded ? 0 : bytes,
    bytesAfter: isAdded ? bytes : 0,
  };
}

async function compare(before: TreeSource, a: Entry, after: TreeSource, b: Entry): Promise<TreeChange | null> {
  const from = await before.inodeOf(a);
  const to = await after.inodeOf(b);
  const what = differences(from, to);
  const linkOf = (entry: Entry) => (entry.type === "h" ? entry.target : "");
  if (linkOf(a) !== linkOf(b)) what.push("links");
  if (what.length === 0) return null;
  return {
    change: "changed",
    path: b.path,
    type: to.type,
    what,
    bytesBefore: a.type === "h" ? 0 : sizeOf(from),
    bytesAfter: b.type === "h" ? 0 : sizeOf(to),
  };
}

function differences(a: InodeEntry, b: InodeEntry): string[] {
  const what: string[] = [];
  if (a.type !== b.type) what.push("type");
  else if (a.type === "f" && b.type === "f" && !isSameContent(a.chunks, b.chunks)) what.push("content");
  else if (a.type === "l" && b.type === "l" && a.target !== b.target) what.push("target");
  else if ("rdev" in a && "rdev" in b && a.rdev !== b.rdev) what.push("device");
  if (a.mode !== b.mode) what.push("mode");
  if (a.uid !== b.uid || a.gid !== b.gid) what.push("owner");
  if (a.mtimeNs !== b.mtimeNs) what.push("mtime");
  if (!isSameXattrs(a.xattrs, b.xattrs)) what.push("xattrs");
  return what;
}

function isSameContent(a: { id: string }[], b: { id: string }[]): boolean {
  return a.length === b.length && a.every((chunk, i) => chunk.id === b[i]!.id);
}

function isSameXattrs(a: InodeEntry["xattrs"], b: InodeEntry["xattrs"]): boolean {
  return (
    a.length === b.length && a.every(([name, value], i) => name === b[i]![0] && Buffer.compare(value, b[i]![1]) === 0)
  );
}
