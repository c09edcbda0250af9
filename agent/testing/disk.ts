/** A folder for tests of what counts as unchanged: where only memory holds them, files never do. */
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isInMemory } from "../snapshot/stillness.ts";

export function diskDir(): string {
  if (!isInMemory(tmpdir())) return tmpdir();
  const dir = join(import.meta.dirname, "../../.soneca/tests");
  mkdirSync(dir, { recursive: true });
  return dir;
}
