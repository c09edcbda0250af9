/** What a round is not sure of: entries that changed while they were read. */
import { maxSkipped } from "../../core/snapshot/manifest.ts";
import { textOfBytes } from "../fs/paths.ts";
import { pathOf, recordOf } from "./rows.ts";
import type { Round } from "./scan.ts";
import type { SkippedPath } from "./types.ts";

export interface Torn {
  /** Above 0 the round proves nothing. */
  count: number;
  /** The first of them by path, those that could not be read aside. */
  paths: string[];
}

const changedWhileRead = "it changed while it was read";

/** What a round is not sure of. `isStill`: what it read was at rest, but for what it says itself. */
export function tornOf(round: Round, before: Round | null, isStill: boolean): Torn {
  const broken = round.torn.length + round.unreadable.length;
  if (isStill) return { count: broken, paths: round.torn.slice(0, maxSkipped) };
  const changed = before ? changesOf(before, round) : [];
  const count = Math.max(1, broken, changed.length);
  return { count, paths: [...new Set([...round.torn, ...changed])].slice(0, maxSkipped) };
}

export function tornEntries({ paths }: Torn): SkippedPath[] {
  return paths.map((path) => ({ path: textOfBytes(path) || ".", reason: changedWhileRead }));
}

/** The paths that differ between two rounds. */
function changesOf(before: Round, after: Round): string[] {
  const changes: string[] = [];
  for (const row of after.entries) {
    const path = pathOf(row);
    const old = before.entries.find(path);
    if (!old || !recordOf(old).equals(recordOf(row))) changes.push(path);
  }
  for (const row of before.entries) {
    const path = pathOf(row);
    if (!after.entries.find(path)) changes.push(path);
  }
  return changes;
}
