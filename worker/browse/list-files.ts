/** What lies in a folder, and what a search finds below it, page by page. */
import type { AnswerOf, QueryOf } from "../../core/protocol/api.ts";
import { bytesOfPath, textOfPath } from "../../core/protocol/browse-path.ts";
import { AppError } from "../../core/protocol/errors.ts";
import type { Entry } from "../../core/snapshot/tree.ts";
import { type FolderTotals, nameOf, viewOf } from "./entry-view.ts";
import { pathOf } from "./path.ts";
import { Budget, type Tree, TreeCursor } from "./tree.ts";

type Query = QueryOf<"listFiles">;
type Answer = AnswerOf<"listFiles">;

/** Of all counts of a page. */
const countBytes = 32 * 1024 * 1024;

interface Page {
  entries: Entry[];
  /** What was looked at last, where there is more: a name, or a path of a search. */
  next: string | null;
}

/** Errors: invalid_input, object_not_found, snapshot_too_large, and what the tree throws. */
export async function listFiles(tree: Tree, query: Query): Promise<Pick<Answer, "entries" | "next_after">> {
  const folder = pathOf(query.path, "path");
  const found = await tree.find(folder);
  if (found?.type !== "d") throw new AppError("object_not_found", { path: query.path });
  if (query.search === undefined) return listFolder(tree, folder, query);
  const after = query.after === undefined ? "" : pathOf(query.after, "after");
  const { entries, next } = await search(tree, folder, query.search, after, query.limit);
  const views = [];
  for (const entry of entries) views.push(viewOf(entry, await inodeOf(tree, entry), null));
  return { entries: views, next_after: next === null ? null : textOfPath(next) };
}

/** Folders come first, so a page begins after a name among folders, or after one among all else. */
async function listFolder(
  tree: Tree,
  folder: string,
  { after, limit }: Query,
): Promise<Pick<Answer, "entries" | "next_after">> {
  const place = readPlace(after);
  const none: Page = { entries: [], next: null };
  const folders = place.isAmongFolders ? await children(tree, folder, true, place.name, limit) : none;
  const left = limit - folders.entries.length;
  const from = place.isAmongFolders ? "" : place.name;
  const others = folders.next === null && left > 0 ? await children(tree, folder, false, from, left) : null;
  const budget = new Budget(countBytes);
  const entries = [];
  for (const entry of folders.entries)
    entries.push(viewOf(entry, await inodeOf(tree, entry), await count(tree, entry, budget)));
  for (const entry of others?.entries ?? []) entries.push(viewOf(entry, await inodeOf(tree, entry), null));
  if (folders.next !== null) return { entries, next_after: `folders/${textOfPath(folders.next)}` };
  const next = others ? others.next : "";
  return { entries, next_after: next === null ? null : `rest/${textOfPath(next)}` };
}

function readPlace(after: string | undefined): { isAmongFolders: boolean; name: string } {
  if (after === undefined) return { isAmongFolders: true, name: "" };
  const match = /^(folders|rest)\/([^/]*)$/s.exec(after);
  const name = match && bytesOfPath(match[2]!);
  if (name !== null) return { isAmongFolders: match![1] === "folders", name };
  throw new AppError("invalid_input", { issues: [{ path: "after", message: "the next_after of a page" }] });
}

/** Those of a folder's own entries that are folders, or those that are none, after a name. */
async function children(tree: Tree, folder: string, areFolders: boolean, after: string, limit: number): Promise<Page> {
  const prefix = prefixOf(folder);
  const cursor = new TreeCursor(tree, new Budget(), prefix + after);
  const entries: Entry[] = [];
  let seen = after;
  for (;;) {
    const entry = await cursor.entry();
    if (entry === "spent") return { entries, next: gotOn(seen, after) };
    if (!entry?.path.startsWith(prefix)) return { entries, next: null };
    const { path } = entry;
    const slash = path.indexOf("/", prefix.length);
    if (slash >= 0) {
      // "0" comes right behind "/": the next path that is not below that folder.
      cursor.seek(`${path.slice(0, slash)}0`);
      continue;
    }
    cursor.next();
    const name = nameOf(path);
    if (path === folder || name <= after) continue;
    if ((entry.type === "d") === areFolders) {
      if (entries.length === limit) return { entries, next: seen };
      entries.push(entry);
    }
    seen = name;
  }
}

/** All below the folder whose path holds the text, after a path. */
async function search(tree: Tree, folder: string, text: string, after: string, limit: number): Promise<Page> {
  const prefix = prefixOf(folder);
  const wanted = text.toLowerCase();
  const decoder = new TextDecoder();
  const holds = (path: string) =>
    plainText(path, decoder).toLowerCase().includes(wanted) || textOfPath(path).toLowerCase().includes(wanted);
  const start = after > prefix ? after : prefix;
  const cursor = new TreeCursor(tree, new Budget(), start);
  const entries: Entry[] = [];
  let seen = start;
  for (;;) {
    const entry = await cursor.entry();
    if (entry === "spent") return { entries, next: gotOn(seen, start) };
    if (!entry?.path.startsWith(prefix)) return { entries, next: null };
    cursor.next();
    const { path } = entry;
    if (path === folder || path <= after) continue;
    if (holds(path)) {
      if (entries.length === limit) return { entries, next: seen };
      entries.push(entry);
    }
    seen = path;
  }
}

/** A page that did not get on would be asked for without end. Errors: snapshot_too_large. */
function gotOn(seen: string, from: string): string {
  if (seen === from) throw new AppError("snapshot_too_large");
  return seen;
}

function prefixOf(folder: string): string {
  return folder === "" ? "" : `${folder}/`;
}

/** As a person reads it: a search for "50%" finds it. */
function plainText(path: string, decoder: TextDecoder): string {
  if (/^[\0-\x7f]*$/.test(path)) return path;
  return decoder.decode(Uint8Array.from(path, (char) => char.charCodeAt(0)));
}

/** Null where so many hard links were followed that the store may not be asked again. */
async function inodeOf(tree: Tree, entry: Entry) {
  if (entry.type !== "h") return entry;
  return tree.parts.requests.left > requestsKept ? tree.inodeOf(entry) : null;
}

const requestsKept = 20;

/** Null where the budget does not allow for it. */
async function count(tree: Tree, folder: Entry, budget: Budget): Promise<FolderTotals | null> {
  const prefix = `${folder.path}/`;
  const totals = { entries: 0, bytes: 0 };
  for (const cursor = new TreeCursor(tree, budget, prefix); ; cursor.next()) {
    const entry = await cursor.entry();
    if (entry === "spent") return null;
    if (!entry?.path.startsWith(prefix)) return totals;
    totals.entries++;
    if (entry.type === "f") totals.bytes += entry.size;
  }
}
