/**
 * When a sibling has left the workspace, its parts stay in the store for what is coded against them (B3). Where little of
 * such a part is used, the chunks that use it are read once more from the workspace and stored without bases: then
 * the next collection takes the part away.
 */
import { idBytes } from "../../core/snapshot/chunk-list.ts";
import type { Folders } from "../fs/folders.ts";
import type { Breather } from "./breather.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import type { Keyring } from "./keyring.ts";
import { type ChunkSink, readEntry } from "./read.ts";
import type { RowList } from "./row-list.ts";
import { chunkIdsOf, chunkPlacesOf, pathOf } from "./rows.ts";

/** A part that is used as bases alone must be used so far. */
const worthKeeping = 0.6;

/** Ids of the chunks that keep parts alive which nothing else needs and which they use little of. */
export async function findChunksToRelease(
  index: ChunkIndex,
  entries: RowList,
  breather: Breather,
): Promise<Set<string>> {
  const release = new Set<string>();
  if (!index.hasBased) return release;
  const direct = new Set<number>();
  /** By part: what is coded against it, and the bytes of its frames that are used. */
  const users = new Map<number, { ids: Set<string>; bases: Set<string> }>();
  for (const row of entries) {
    if (breather.due) await breather.rest();
    for (const at of chunkPlacesOf(row)) {
      const place = index.placeAt(row.slab, at)!;
      direct.add(place.part);
      for (const base of place.frame.bases) {
        const part = index.partOf(base)!;
        const known = users.get(part) ?? { ids: new Set(), bases: new Set() };
        users.set(part, known);
        known.ids.add(row.slab.toString("latin1", at, at + idBytes));
        known.bases.add(base);
      }
    }
  }
  for (const [part, { ids, bases }] of users) {
    if (direct.has(part)) continue;
    const frames = new Set([...bases].map((base) => index.frameOf(base)!));
    const used = [...frames].reduce((sum, frame) => sum + frame.storedBytes, 0);
    if (used < worthKeeping * index.parts[part]!.bytes) for (const id of ids) release.add(id);
  }
  return release;
}

/** Reads the files of these chunks again and adds what is still there. A file that moved meanwhile keeps its bases. */
export async function addAgain(
  ids: Set<string>,
  entries: RowList,
  folders: Folders,
  keyring: Keyring,
  add: ChunkSink["add"],
  breather: Breather,
): Promise<void> {
  const open = new Set(ids);
  const sink: ChunkSink = {
    has: (id) => !open.has(id),
    hasAt: (bytes, at) => !open.has(bytes.toString("latin1", at, at + idBytes)),
    add: (id, bytes) => {
      open.delete(id);
      return add(id, bytes);
    },
  };
  const reading = { folders, keyring, sink, breather };
  for (const row of entries) {
    if (open.size === 0) return;
    if (breather.due) await breather.rest();
    if (![...chunkIdsOf(row)].some((id) => open.has(id))) continue;
    try {
      await readEntry(reading, pathOf(row), "f");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    }
  }
}
