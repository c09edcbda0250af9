/** What a restore says of files that the store cannot give back. */
import type { Entry } from "../../core/snapshot/tree.ts";
import { textOfBytes } from "../fs/paths.ts";
import { type Checked, demandExact } from "./restore-check.ts";
import type { LostFiles } from "./restore-fetch.ts";
import { Stop } from "./stop.ts";
import type { TreeEntries } from "./tree-entries.ts";

const maxNamedPaths = 10;

/** Without `partial`: nothing is finished. */
export function lostFiles(lost: LostFiles): Stop {
  const message = `${lost.size} files cannot be restored: their bytes in the store are damaged or missing. With --partial all else is restored.`;
  return new Stop("snapshot_damaged", message, false, firstPaths(lost));
}

/** With `partial`: all else is in place. Errors: throws Stop where it is not. */
export function partlyRestored(checked: Checked, lost: LostFiles): Stop {
  demandExact({ ...checked, losses: [] }, null);
  const message = `${lost.size} files are not restored: their bytes in the store are damaged or missing. All else is in place; there is no digest of a part to prove it by.`;
  const named = [...lost].map(([path, reason]) => ({ path: textOfBytes(path), reason }));
  return new Stop("restore_partial", message, false, firstPaths(lost), checked.losses, named);
}

export function* without(entries: TreeEntries, lost: LostFiles): Generator<Entry, void> {
  for (const entry of entries) if (!lost.has(entry.path)) yield entry;
}

function firstPaths(lost: LostFiles): string[] {
  return [...lost.keys()].slice(0, maxNamedPaths).map(textOfBytes);
}
