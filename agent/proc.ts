/** What /proc says about processes. Every function answers for a process that has ended meanwhile, and never throws. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

/** A pid alone may be given to another process; with the start time (clock ticks since boot) it names one exactly. */
export interface ProcessRef {
  pid: number;
  startTime: number;
}

export interface ProcessStat extends ProcessRef {
  name: string;
  state: string;
  parent: number;
  session: number;
  /** The device number of its terminal; 0 for none. */
  terminal: number;
  /** Clock ticks on a processor, those of children that it waited for included. */
  cpuTicks: number;
  kernel: boolean;
}

const PF_KTHREAD = 0x0020_0000;
/** clone, vfork and clone3 on x86-64 and arm64. */
const cloneCalls = new Set(process.arch === "arm64" ? ["220", "435"] : ["56", "58", "435"]);

/** `proc`: another tree in place of /proc. */
export function readStat(pid: number, proc = "/proc"): ProcessStat | null {
  const text = read(`${proc}/${pid}/stat`);
  if (text === null) return null;
  // The name stands in brackets and may itself hold blanks and brackets.
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  const fields = text.slice(close + 2).split(" ");
  return {
    pid,
    name: text.slice(open + 1, close),
    state: fields[0] ?? "X",
    parent: Number(fields[1]),
    session: Number(fields[3]),
    terminal: Number(fields[4]),
    cpuTicks: [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0),
    kernel: (Number(fields[6]) & PF_KTHREAD) !== 0,
    startTime: Number(fields[19]),
  };
}

export function listStats(proc = "/proc"): Map<number, ProcessStat> {
  const stats = new Map<number, ProcessStat>();
  for (const name of list(proc)) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? readStat(pid, proc) : null;
    if (stat && stat.state !== "Z" && stat.state !== "X") stats.set(pid, stat);
  }
  return stats;
}

export function isAlive(ref: ProcessRef): boolean {
  const stat = readStat(ref.pid);
  return stat !== null && stat.startTime === ref.startTime && stat.state !== "Z" && stat.state !== "X";
}

/**
 * Every thread of it is stopped or gone. With `orForking` a thread that the kernel holds in a fork counts too: one that
 * waits in vfork for a child which is itself stopped stays there, and with a SIGSTOP pending none comes out running.
 */
export function isStopped(pid: number, orForking = false): boolean {
  return list(`/proc/${pid}/task`).every((tid) => {
    const text = read(`/proc/${pid}/task/${tid}/stat`);
    if (text === null) return true;
    const state = text[text.lastIndexOf(")") + 2] ?? "X";
    if ("TtZX".includes(state)) return true;
    if (state !== "D" || !orForking) return false;
    const call = read(`/proc/${pid}/task/${tid}/syscall`)?.split(" ")[0] ?? "";
    return cloneCalls.has(call);
  });
}

/** null where it cannot be read. */
export function readEnviron(pid: number): string[] | null {
  const text = read(`/proc/${pid}/environ`);
  return text === null ? null : text.split("\0");
}

export function environValue(words: string[] | null, name: string): string | undefined {
  return words?.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** Which way it can write under `root` (an absolute, real path), or null. */
export function findWriteAccess(pid: number, root: string): "fd" | "map" | "cwd" | null {
  if (isInside(link(`/proc/${pid}/cwd`), root)) return "cwd";
  for (const fd of list(`/proc/${pid}/fd`)) {
    if (isInside(link(`/proc/${pid}/fd/${fd}`), root) && isWritableFd(pid, fd)) return "fd";
  }
  // A shared map outlives its descriptor.
  const maps = read(`/proc/${pid}/maps`, "utf8") ?? "";
  if (!maps.includes(root)) return null;
  for (const line of maps.split("\n")) {
    const match = /^\S+ .w.s \S+ \S+ \S+ +(\/.*)$/.exec(line);
    if (match && isInside(match[1] ?? null, root)) return "map";
  }
  return null;
}

/** Whether its cwd, its program or an open file lies under `root`. "hidden": it may not be looked into. */
export function findUse(pid: number, root: string, proc = "/proc"): "yes" | "no" | "hidden" {
  const at = `${proc}/${pid}`;
  const paths = [link(`${at}/cwd`), link(`${at}/exe`)];
  if (paths.some((path) => isInside(path, root))) return "yes";
  // A process without a cwd of its own has ended meanwhile, or belongs to somebody else.
  if (paths[0] === null) return existsSync(at) ? "hidden" : "no";
  return list(`${at}/fd`).some((fd) => isInside(link(`${at}/fd/${fd}`), root)) ? "yes" : "no";
}

/** Bytes that it read from and wrote to disks, children that it waited for included; null where that is hidden. */
export function readDiskBytes(pid: number, proc = "/proc"): number | null {
  const text = read(`${proc}/${pid}/io`);
  const field = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(text ?? "")?.[1] ?? Number.NaN);
  const bytes = field("read_bytes") + field("write_bytes");
  return Number.isFinite(bytes) ? bytes : null;
}

export function readBootId(): string {
  return read("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}

export function isInside(path: string | null, root: string): boolean {
  return (
    path !== null &&
    (path === root || path.startsWith(root.endsWith("/") ? root : `${root}/`) || path === `${root} (deleted)`)
  );
}

function isWritableFd(pid: number, fd: string): boolean {
  const flags = /^flags:\s*([0-7]+)/m.exec(read(`/proc/${pid}/fdinfo/${fd}`) ?? "")?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & 3) !== 0;
}

function read(path: string, encoding: "latin1" | "utf8" = "latin1"): string | null {
  try {
    return readFileSync(path, encoding);
  } catch {
    return null;
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
