/**
 * The seal: every process that could write to the workspace is stopped (SIGSTOP), until it is let go on (SIGCONT).
 *
 * Before a process is stopped its pid and start time are in `$SONECA_HOME/sealed.json`: an agent that is killed while
 * it holds a seal leaves the list to its successor, so nothing stays stopped for ever. Parents stop before their
 * children and go on after them: a shell that sees its foreground job stop would take the terminal away from it.
 */
import { readFileSync, readlinkSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "./log.ts";
import {
  environValue,
  findWriteAccess,
  isAlive,
  isStopped,
  listStats,
  type ProcessRef,
  type ProcessStat,
  readBootId,
  readEnviron,
  readStat,
} from "./proc.ts";
import { writeWhole } from "./whole-file.ts";

/**
 * container: everything in this PID namespace is the machine. machine: the machine is a tree of processes on a host
 * that it shares. host: only what is seen to use the workspace.
 */
export type SealScope = "container" | "machine" | "host";

export type SealKind = "seal" | "pause";

export type StopOutcome =
  /** `fresh`: how many were still running when this call began. 0 means that the seal held since the last call. */
  { ok: true; stopped: number; fresh: number } | { ok: false; code: string; message: string };

export interface Sealer {
  /** Idempotent: stops what still runs, in passes, until a pass finds nothing. `untilAt`: epoch ms, for a successor. */
  stop(kind: SealKind, untilAt: number): Promise<StopOutcome>;
  /** Moves the time at which a successor gives the seal up. */
  extend(untilAt: number): void;
  /** Lets everything go on that this agent or its predecessor stopped; says how many. */
  resume(): number;
  held(): number;
  /** Takes over the list of a predecessor; null when there is none. */
  recover(): { kind: SealKind; untilAt: number; held: number } | null;
}

export interface SealOptions {
  root: string;
  home: string;
  log: Logger;
  env?: Record<string, string | undefined>;
  scope?: SealScope;
  /** The process that is never stopped, nor its ancestors and children. */
  self?: number;
  limitMs?: number;
}

interface SealFile {
  kind: SealKind;
  untilAt: number;
  bootId: string;
  processes: ProcessRef[];
}

const INIT_PID_NAMESPACE = "pid:[4026531836]";

/** Which processes are this machine's, judged by the environment and by process 1. */
export function detectScope(env: Record<string, string | undefined>): SealScope {
  const asked = env.SONECA_SEAL_SCOPE;
  if (asked === "container" || asked === "machine" || asked === "host") return asked;
  if (env.CONTAINER_ID) {
    return environValue(readEnviron(1), "CONTAINER_ID") === env.CONTAINER_ID ? "container" : "machine";
  }
  try {
    return readlinkSync("/proc/self/ns/pid") === INIT_PID_NAMESPACE ? "host" : "container";
  } catch {
    return "host";
  }
}

export function createSealer(options: SealOptions): Sealer {
  const { home, log, env = process.env, self = process.pid, limitMs = 10_000 } = options;
  const scope = options.scope ?? detectScope(env);
  const root = realpathSync(options.root);
  const file = join(home, "sealed.json");
  const bootId = readBootId();
  /** In the order in which they were stopped. */
  let held: ProcessRef[] = [];
  let kind: SealKind = "seal";
  let untilAt = 0;

  const save = () => {
    const content: SealFile = { kind, untilAt, bootId, processes: held };
    writeWhole(file, JSON.stringify(content));
  };

  /** Those of `level` that do not stop within the limit are returned. */
  const stopLevel = async (
    level: ProcessStat[],
    deadline: number,
  ): Promise<{ stuck: ProcessStat[]; denied: ProcessStat[] }> => {
    const denied = level.filter((one) => !signal(one, "SIGSTOP"));
    let waiting = level.filter((one) => !denied.includes(one));
    for (let round = 0; ; round++) {
      waiting = waiting.filter((one) => isAlive(one) && !isStopped(one.pid, true));
      if (waiting.length === 0 || performance.now() > deadline) return { stuck: waiting, denied };
      await sleep(Math.min(1 + round, 25));
    }
  };

  return {
    async stop(newKind, newUntilAt) {
      kind = newKind;
      untilAt = newUntilAt;
      const deadline = performance.now() + limitMs;
      const fresh = new Set<number>();
      for (;;) {
        const isHeld = (one: ProcessRef) => held.some((old) => same(old, one));
        const running = findWriters({ root, scope, self, env }).filter((one) => !isStopped(one.pid, isHeld(one)));
        if (running.length === 0) break;
        for (const one of running) fresh.add(one.pid);
        held = held.filter(isAlive);
        const levels = byDepth(running);
        held.push(
          ...levels
            .flat()
            .filter((one) => !held.some((old) => same(old, one)))
            .map(toRef),
        );
        save();
        for (const level of levels) {
          const { stuck, denied } = await stopLevel(level, deadline);
          const alive = denied.filter(isAlive);
          if (alive.length > 0) return refuse("seal_not_permitted", "may not be stopped by this agent's user", alive);
          if (stuck.length > 0) return refuse("seal_incomplete", `did not stop within ${limitMs / 1000} s`, stuck);
        }
        if (performance.now() > deadline) return refuse("seal_incomplete", "new processes keep appearing", running);
      }
      save();
      if (fresh.size > 0) log.info("processes_stopped", { kind, scope, stopped: held.length, fresh: fresh.size });
      return { ok: true, stopped: held.length, fresh: fresh.size };
    },

    extend(newUntilAt) {
      // A write per answer would be waste: a second more or less does not matter to a successor.
      if (held.length === 0 || Math.abs(newUntilAt - untilAt) < 1_000) return;
      untilAt = newUntilAt;
      save();
    },

    resume() {
      let count = 0;
      for (const one of held.toReversed()) {
        if (isAlive(one) && signal(one, "SIGCONT")) count++;
      }
      held = [];
      rmSync(file, { force: true });
      if (count > 0) log.info("processes_continued", { kind, continued: count });
      return count;
    },

    held: () => held.filter(isAlive).length,

    recover() {
      const found = readSealFile(file);
      if (!found) return null;
      if (found.bootId !== bootId) {
        rmSync(file, { force: true });
        return null;
      }
      kind = found.kind;
      untilAt = found.untilAt;
      held = found.processes.filter(isAlive);
      if (held.length === 0) rmSync(file, { force: true });
      return { kind, untilAt, held: held.length };
    },
  };
}

interface FindOptions {
  root: string;
  scope: SealScope;
  self: number;
  env: Record<string, string | undefined>;
}

/** Every process in scope, stopped or not. Never the agent, its ancestors and descendants, process 1, the kernel, sshd. */
export function findWriters({ root, scope, self, env }: FindOptions): ProcessStat[] {
  const stats = listStats();
  const exempt = findFamily(stats, self);
  exempt.add(1);
  const members = scope === "machine" ? findMembers(stats, exempt, env) : new Set<number>();
  const found: ProcessStat[] = [];
  for (const stat of stats.values()) {
    if (stat.kernel || exempt.has(stat.pid)) continue;
    // A file that is being uploaded by sftp is written by sshd itself.
    if (isSshd(stat)) {
      const access = scope === "machine" ? null : findWriteAccess(stat.pid, root);
      if (access === "fd" || access === "map") found.push(stat);
      continue;
    }
    if (scope === "container" || members.has(stat.pid)) found.push(stat);
    else if (!isOtherMachine(stat.pid, scope, env) && findWriteAccess(stat.pid, root)) found.push(stat);
  }
  return found;
}

function isSshd({ name }: ProcessStat): boolean {
  return name === "sshd" || name.startsWith("sshd-");
}

/** The process itself, its ancestors and its descendants. */
export function findFamily(stats: Map<number, ProcessStat>, self: number): Set<number> {
  const family = new Set<number>([self]);
  for (let at = stats.get(self)?.parent ?? 0; at > 0 && !family.has(at); at = stats.get(at)?.parent ?? 0)
    family.add(at);
  const own = closeOver(stats, new Set([self]), () => true);
  for (const pid of own) family.add(pid);
  return family;
}

/** Those that name this machine in their environment, and what they started even if it cleared its own. */
function findMembers(stats: Map<number, ProcessStat>, exempt: Set<number>, env: FindOptions["env"]): Set<number> {
  const named = new Set<number>();
  for (const pid of stats.keys()) {
    if (belongs(readEnviron(pid), env) === "ours") named.add(pid);
  }
  const admits = (pid: number) => belongs(readEnviron(pid), env) !== "other";
  const grown = closeOver(stats, named, admits);
  // One that was orphaned and cleared its environment is still in the session that a member leads.
  for (const stat of stats.values()) {
    if (!grown.has(stat.pid) && grown.has(stat.session) && admits(stat.pid)) grown.add(stat.pid);
  }
  for (const pid of exempt) grown.delete(pid);
  return grown;
}

function closeOver(stats: Map<number, ProcessStat>, start: Set<number>, admits: (pid: number) => boolean): Set<number> {
  const set = new Set(start);
  for (let grew = true; grew; ) {
    grew = false;
    for (const stat of stats.values()) {
      if (set.has(stat.pid) || !set.has(stat.parent) || !admits(stat.pid)) continue;
      set.add(stat.pid);
      grew = true;
    }
  }
  return set;
}

function isOtherMachine(pid: number, scope: SealScope, env: FindOptions["env"]): boolean {
  return scope === "machine" && belongs(readEnviron(pid), env) === "other";
}

/** Two stand-ins on one host may give out the same number, so a data folder that is named must be the same too. */
function belongs(words: string[] | null, env: FindOptions["env"]): "ours" | "other" | "unknown" {
  const id = environValue(words, "CONTAINER_ID");
  if (!id || !env.CONTAINER_ID) return "unknown";
  if (id !== env.CONTAINER_ID) return "other";
  const data = environValue(words, "DATA_DIRECTORY");
  return data !== undefined && env.DATA_DIRECTORY !== undefined && data !== env.DATA_DIRECTORY ? "other" : "ours";
}

/** Parents before children. */
function byDepth(processes: ProcessStat[]): ProcessStat[][] {
  const byPid = new Map(processes.map((one) => [one.pid, one]));
  const levels: ProcessStat[][] = [];
  for (const one of processes) {
    let depth = 0;
    for (let at = byPid.get(one.parent); at && depth < processes.length; at = byPid.get(at.parent)) depth++;
    levels[depth] ??= [];
    levels[depth]!.push(one);
  }
  return levels.filter((level) => level !== undefined);
}

function refuse(code: string, why: string, processes: ProcessStat[]): StopOutcome {
  const names = processes.slice(0, 5).map((one) => `${one.pid} (${one.name})`);
  return { ok: false, code, message: `Processes ${names.join(", ")} ${why}.` };
}

/** False when it was not allowed. One that has ended is no failure; one whose pid was given away is left alone. */
function signal(one: ProcessRef, name: "SIGSTOP" | "SIGCONT"): boolean {
  if (readStat(one.pid)?.startTime !== one.startTime) return true;
  try {
    process.kill(one.pid, name);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "EPERM";
  }
}

function same(a: ProcessRef, b: ProcessRef): boolean {
  return a.pid === b.pid && a.startTime === b.startTime;
}

function toRef({ pid, startTime }: ProcessRef): ProcessRef {
  return { pid, startTime };
}

function readSealFile(file: string): SealFile | null {
  try {
    const value = JSON.parse(readFileSync(file, "utf8")) as SealFile;
    return Array.isArray(value.processes) ? value : null;
  } catch {
    return null;
  }
}
