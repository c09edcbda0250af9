/** Says where the numbers come from. */
import { spawnSync } from "node:child_process";
import { readFileSync, statfsSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";

export interface Machine {
  cpu: string;
  cores: number;
  memoryBytes: number;
  kernel: string;
  /** Type and options of the file system that the work folder is on. */
  fileSystem: string;
  node: string;
}

export function describeMachine(dir: string): Machine {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    fileSystem: mountOf(dir, readFileSync("/proc/self/mounts", "utf8")),
    node: process.version,
  };
}

/** "ext4 (rw,relatime)" of the longest mount point that `dir` lies below. */
export function mountOf(dir: string, mounts: string): string {
  let [best, found] = ["", "unknown"];
  for (const line of mounts.split("\n")) {
    const [, at = "", type, options] = line.split(" ");
    const isAbove = at === "/" || dir === at || dir.startsWith(`${at}/`);
    if (at && isAbove && at.length >= best.length) [best, found] = [at, `${type} (${options})`];
  }
  return found;
}

export function gitCommit(root: string): string {
  const ask = (...args: string[]) => spawnSync("git", ["-C", root, ...args], { encoding: "utf8" }).stdout?.trim() ?? "";
  const commit = ask("rev-parse", "--short=12", "HEAD");
  return commit === ""
    ? "unknown"
    : `${commit}${ask("status", "--porcelain", "--untracked-files=no") ? " with changes" : ""}`;
}

export function freeBytes(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
}
