/** The part of a tree that a partial restore makes: what fits the patterns, all below it, and the folders above it. */
import { type Entry, type InodeEntry, parentOf } from "../../core/snapshot/tree.ts";
import { makeExcluder } from "./excludes.ts";
import { Stop } from "./stop.ts";

/**
 * `patterns` as in excludes.ts. The result is a tree as well: of a file whose first name is not in it, the first name that
 * is becomes the file. Errors: Stop `path_not_found` when nothing fits.
 */
export function* selectEntries(entries: Iterable<Entry>, patterns: string[]): Generator<Entry, void> {
  const fits = makeExcluder(patterns);
  const chosen = new Set<string>();
  const needed = new Set<string>();
  for (const { path, type } of entries) {
    if (path === "" || !(chosen.has(parentOf(path)) || fits(path, () => type === "d"))) continue;
    chosen.add(path);
    for (let at = path; !needed.has(at); at = parentOf(at)) {
      needed.add(at);
      if (at === "") break;
    }
  }
  if (chosen.size === 0)
    throw new Stop("path_not_found", `Nothing in the snapshot fits ${patterns.join(", ")}.`, false);
  const inodes = new Map<string, InodeEntry>();
  for (const entry of entries) if (entry.type !== "h" && entry.type !== "d") inodes.set(entry.path, entry);
  const firstNames = new Map<string, string>();
  for (const entry of entries) {
    if (!needed.has(entry.path)) continue;
    if (entry.type !== "h" || needed.has(entry.target)) {
      yield entry;
      continue;
    }
    const first = firstNames.get(entry.target);
    if (first === undefined) firstNames.set(entry.target, entry.path);
    yield first === undefined ? { ...inodes.get(entry.target)!, path: entry.path } : { ...entry, target: first };
  }
}
