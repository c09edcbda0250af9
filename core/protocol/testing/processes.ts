/** Processes as /proc shows them, for tests that start some and leave none behind. */
import { readdirSync, readFileSync } from "node:fs";

/** Of every process but this one. */
export function otherPids(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid);
}

/** Byte by byte; empty where there is nothing to read, as of a process that has ended. */
export function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

export function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
