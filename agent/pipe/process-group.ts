/** A process that leads a group of its own: ended whole, also by an agent that did not start it. */
import { readFileSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, listStats, type ProcessRef, readBootId, readStat } from "../proc.ts";
import { writeWhole } from "../whole-file.ts";

interface Left extends ProcessRef {
  bootId: string;
}

/** Written to `file`, for the agent that comes after this one. */
export function rememberGroup(file: string, pid: number): void {
  const left: Left = { pid, startTime: readStat(pid)?.startTime ?? 0, bootId: readBootId() };
  writeWhole(file, JSON.stringify(left));
}

/** Ends what the file names, where that lives; the file is gone then. Whether there was something to end. */
export async function endLeftGroup(file: string, graceMs: number): Promise<boolean> {
  const left = readLeft(file);
  const isThere = left !== null && left.bootId === readBootId() && isAlive(left);
  if (isThere) await endGroup(left.pid, graceMs);
  rmSync(file, { force: true });
  return isThere;
}

/** SIGTERM, SIGKILL after `graceMs`; resolves when nothing of the group lives. */
export async function endGroup(pid: number, graceMs: number): Promise<void> {
  const until = performance.now() + graceMs;
  signalGroup(pid, "SIGTERM");
  // One that stands still hears no SIGTERM.
  signalGroup(pid, "SIGCONT");
  while (groupLives(pid)) {
    if (performance.now() > until) signalGroup(pid, "SIGKILL");
    await sleep(20);
  }
}

export function signalGroup(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch {
    // It is gone.
  }
}

/** The leader began a session, and nobody else can join that. */
function groupLives(pid: number): boolean {
  return [...listStats().values()].some((stat) => stat.session === pid);
}

function readLeft(file: string): Left | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Left;
  } catch {
    return null;
  }
}
