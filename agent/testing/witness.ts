/** The witness (witness.py) from a test. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

export const hasWitness = spawnSync("python3", ["--version"]).status === 0;

/** One line for each entry below `root`. */
export function witness(root: string): string[] {
  const { status, stdout, stderr } = spawnSync("python3", [join(import.meta.dirname, "witness.py"), root], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`the witness failed: ${stderr}`);
  return stdout.trimEnd().split("\n");
}
