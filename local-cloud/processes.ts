/** Child programs in process groups of their own, so that each can be ended whole, even by a later run. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";

export interface Program {
  child: ChildProcess;
  pid: number;
  /** Of the group's leader, from /proc: tells it from another process that later got the same number. */
  startTime: string | null;
  logFile: string;
}

export function spawnGroup(argv: string[], options: { cwd: string; env: NodeJS.ProcessEnv; logFile: string }): Program {
  const log = openSync(options.logFile, "a");
  const child = spawn(process.execPath, argv, {
    cwd: options.cwd,
    env: options.env,
    stdio: ["ignore", log, log],
    detached: true,
  });
  child.unref();
  closeSync(log);
  if (child.pid === undefined) throw new Error(`could not start ${argv[0]}`);
  return { child, pid: child.pid, startTime: startTimeOf(child.pid), logFile: options.logFile };
}

/** Null when there is no such process. */
export function startTimeOf(pid: number): string | null {
  return statOf(pid)?.startTime ?? null;
}

export function isAlive(program: { pid: number; startTime: string | null }): boolean {
  const stat = statOf(program.pid);
  return stat !== null && stat.startTime === program.startTime && stat.state !== "Z";
}

/** The living processes of the group that run a program of this name (its first 15 letters, as the kernel keeps it). */
export function pidsOf(group: number, name: string): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      const stat = statOf(pid);
      return stat !== null && stat.group === group && stat.state !== "Z" && stat.name === name;
    });
}

/** SIGTERM to the group, then SIGKILL when something of it is left after `graceMs`. */
export async function endGroup(program: { pid: number; startTime: string | null }, graceMs: number): Promise<void> {
  signalGroup(program.pid, "SIGTERM");
  const until = Date.now() + graceMs;
  while (groupExists(program.pid) && Date.now() < until) await sleep(50);
  while (groupExists(program.pid)) {
    signalGroup(program.pid, "SIGKILL");
    await sleep(20);
  }
}

export async function killGroup(program: { pid: number }): Promise<void> {
  while (groupExists(program.pid)) {
    signalGroup(program.pid, "SIGKILL");
    await sleep(20);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone.
  }
}

/** Whether anybody but the dead is in the group. */
function groupExists(group: number): boolean {
  return readdirSync("/proc").some((name) => {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : null;
    return stat !== null && stat.group === group && stat.state !== "Z";
  });
}

function statOf(pid: number): { name: string; state: string; group: number; startTime: string } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is a name in parentheses and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    return { name, state: fields[0]!, group: Number(fields[2]), startTime: fields[19]! };
  } catch {
    return null;
  }
}
