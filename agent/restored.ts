/** Which restore this machine has finished: a restarted agent must not roll back what was written since. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "./whole-file.ts";

interface Restored {
  commandId: string;
  digest: string;
}

/** Null when there was none, or the note cannot be read. */
export function readRestored(home: string): Restored | null {
  try {
    return JSON.parse(readFileSync(join(home, "restored.json"), "utf8")) as Restored;
  } catch {
    return null;
  }
}

export function saveRestored(home: string, restored: Restored): void {
  writeWhole(join(home, "restored.json"), JSON.stringify(restored));
}
