/** How an entry of a tree looks in the API. */

import type { EntryView } from "../../core/protocol/browse.ts";
import { textOfPath } from "../../core/protocol/browse-path.ts";
import type { Entry, InodeEntry } from "../../core/snapshot/tree.ts";

const kinds = { f: "file", d: "folder", l: "link", p: "fifo", c: "device", b: "device", s: "other" } as const;
/** What a Date can hold. */
const mostMs = 8_640_000_000_000_000n;

export function kindOf(inode: InodeEntry): EntryView["kind"] {
  return kinds[inode.type];
}

export function sizeOf(inode: InodeEntry): number | null {
  return inode.type === "f" ? inode.size : null;
}

export interface FolderTotals {
  entries: number;
  bytes: number;
}

/**
 * `inode`: the entry itself, or what a hard link names; null where that was not looked up. `totals`: of a folder, where
 * they were counted.
 */
export function viewOf(entry: Entry, inode: InodeEntry | null, totals: FolderTotals | null): EntryView {
  return {
    path: textOfPath(entry.path),
    name: textOfPath(nameOf(entry.path)),
    kind: inode ? kindOf(inode) : "file",
    size_bytes: inode && sizeOf(inode),
    entries: totals?.entries ?? null,
    total_bytes: totals?.bytes ?? null,
    modified_at: inode && timeOf(inode.mtimeNs),
    mode: inode?.mode.toString(8).padStart(4, "0") ?? null,
    target: inode?.type === "l" ? textOfPath(inode.target) : null,
  };
}

/** Of a path as bytes or as text. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Null beyond the years of four digits, which is all that the API's times have. */
function timeOf(ns: bigint): string | null {
  const ms = ns >= 0n ? ns / 1_000_000n : (ns - 999_999n) / 1_000_000n;
  if (ms > mostMs || ms < -mostMs) return null;
  const text = new Date(Number(ms)).toISOString();
  return /^\d{4}-/.test(text) ? text : null;
}
