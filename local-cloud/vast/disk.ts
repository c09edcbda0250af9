/**
 * A disk of a machine's own that can be full: a tmpfs over the machine's whole folder (workspace, home and agent), which
 * only root can mount, and a file that takes what is to be gone. It lives in memory and ends with this host.
 */
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, realpathSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";

const SOURCE = "soneca-machine";
const STEP_BYTES = 1024 * 1024;
const fillerOf = (folder: string) => join(folder, ".filler");

/** As the kernel writes a path in its table of mounts. */
const encode = (path: string) => path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);

function isMounted(folder: string): boolean {
  return readFileSync("/proc/self/mounts", "utf8").includes(`${SOURCE} ${encode(realpathSync(folder))} tmpfs `);
}

function run(command: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr.trim()}`);
}

/** Idempotent. Errors: throws where this host does not let mount. */
export function mountDisk(folder: string, bytes: number): void {
  if (isMounted(folder)) return;
  run("mount", "-t", "tmpfs", "-o", `size=${bytes},mode=755`, SOURCE, folder);
}

/** Idempotent. */
export function unmountDisk(folder: string): void {
  if (existsSync(folder) && isMounted(folder)) run("umount", "-l", folder);
}

export function fillDisk(folder: string, freeBytes: number | null): boolean {
  if (!isMounted(folder)) return false;
  rmSync(fillerOf(folder), { force: true });
  if (freeBytes === null) return true;
  const { bavail, bsize } = statfsSync(folder);
  let left = bavail * bsize - freeBytes;
  const file = openSync(fillerOf(folder), "w", 0o600);
  try {
    for (const block = Buffer.alloc(STEP_BYTES); left > 0; ) {
      const written = writeSync(file, block, 0, Math.min(left, STEP_BYTES));
      left -= written;
    }
  } catch (error) {
    // A machine that writes meanwhile may have filled it first.
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    closeSync(file);
  }
  return true;
}
