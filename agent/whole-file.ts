/** Small files of the agent's home, which an agent that is killed leaves whole to the one after it. */
import { chmodSync, renameSync, rmSync, writeFileSync } from "node:fs";

/**
 * There whole, or as it was before; for this user alone. It outlives the agent, and not for sure the machine: nothing is
 * synced to its disk. One writer a file. Errors: what the file system throws; nothing is left behind then.
 */
export function writeWhole(file: string, text: string): void {
  const draft = `${file}.new`;
  try {
    writeFileSync(draft, text, { mode: 0o600 });
    // A draft that was left by a kill keeps the mode that it had.
    chmodSync(draft, 0o600);
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}
