/**
 * One run at a time for each state folder and instance: two would write the same caches. The lock names its process, and
 * one that is gone, even by SIGKILL, leaves a lock that the next run takes over.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { fsPath } from "../fs/paths.ts";
import { isAlive, type ProcessRef, readBootId, readStat } from "../proc.ts";
import { Stop } from "./stop.ts";

interface Holder extends ProcessRef {
  bootId: string;
}

/** Of this process: its own name in a lock's file says nothing about which of its runs it is. */
const held = new Set<string>();

/** `stateDir`: a byte string. Returns the release. Errors: Stop `state_in_use`. */
export function lockState(stateDir: string, id: string): () => void {
  const file = fsPath(`${stateDir}/lock-${id}`).toString();
  if (held.has(file)) throw inUse(process.pid);
  const mine: Holder = { pid: process.pid, startTime: readStat(process.pid)?.startTime ?? 0, bootId: readBootId() };
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(mine), { mode: 0o600 });
  try {
    if (!claim(draft, file)) takeOver(draft, file, mine);
  } finally {
    rmSync(draft, { force: true });
  }
  held.add(file);
  return () => {
    held.delete(file);
    if (isMine(readHolder(file), mine)) rmSync(file, { force: true });
  };
}

/** Who takes over holds a second lock meanwhile, so that only one of two does. */
function takeOver(draft: string, file: string, mine: Holder): void {
  const turn = `${file}.turn`;
  checkGone(file, mine);
  if (!claim(draft, turn)) {
    checkGone(turn, mine);
    rmSync(turn, { force: true });
    if (!claim(draft, turn)) throw inUse(readHolder(turn)?.pid ?? 0);
  }
  try {
    // Another may have taken it over while this run waited for its turn.
    checkGone(file, mine);
    renameSync(draft, file);
  } finally {
    rmSync(turn, { force: true });
  }
}

/** Creates only; false where it is there already. */
function claim(draft: string, file: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return false;
  }
}

function checkGone(file: string, mine: Holder): void {
  const holder = readHolder(file);
  if (holder && holder.bootId === mine.bootId && !isMine(holder, mine) && isAlive(holder)) throw inUse(holder.pid);
}

function isMine(holder: Holder | null, mine: Holder): boolean {
  return holder?.pid === mine.pid && holder.startTime === mine.startTime && holder.bootId === mine.bootId;
}

function readHolder(file: string): Holder | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Holder;
  } catch {
    return null;
  }
}

function inUse(pid: number): Stop {
  return new Stop("state_in_use", `Another run uses this state folder for the same instance: process ${pid}.`, true);
}
