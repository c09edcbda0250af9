/** Which restore this machine has finished: a restarted agent must not roll back what was written since. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

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
  const file = join(home, "restored.json");
  writeFileSync(`${file}.new`, JSON.stringify(restored), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
