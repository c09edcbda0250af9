/**
 * Runs one command line and measures it. Wall and CPU time come from the `time` of bash, which is the parent of every
 * process of a pipe and so gets user + system of all of them from the kernel. Peak memory is the sum, over the
 * processes below that bash, of VmHWM: the kernel's own high-water mark of resident memory, so that reading it every
 * 20 ms misses at most what a process grew in its last 20 ms. It counts mapped program text, for each process alike.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

export interface Command {
  /** A bash command list; `$1`... are `args`. A pipe fails with its first failure. */
  script: string;
  args?: readonly string[];
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** Exit codes that are not a failure; 0 alone when absent. */
  goodExits?: readonly number[];
}

export interface Measure {
  wallMs: number;
  /** User + system, of all processes. */
  cpuMs: number;
  /** null where /proc does not list children. */
  peakBytes: number | null;
  exit: number;
  stdout: string;
  stderr: string;
}

export interface MeasureOptions {
  /** An existing folder for the outputs of the command. */
  scratch: string;
  signal?: AbortSignal;
  timeoutMs?: number;
}

const pollMs = 20;
// The last \`exit\` keeps bash from becoming the command, which would leave nobody to print the times.
const wrapped = (script: string) =>
  `set -o pipefail; TIMEFORMAT='%3R %3U %3S'; { time { ( ${script}\n) >"$BENCH_OUT/stdout" 2>"$BENCH_OUT/stderr"; }; } 2>"$BENCH_OUT/times"`;

/** @throws when the command fails, exceeds its time or is interrupted; its processes are ended then. */
export async function measure(command: Command, options: MeasureOptions): Promise<Measure> {
  const { signal, timeoutMs = 3_600_000 } = options;
  signal?.throwIfAborted();
  const out = mkdtempSync(join(options.scratch, "measure-"));
  const env = { ...process.env, LC_ALL: "C.UTF-8", ...command.env, BENCH_OUT: out };
  const args = ["-c", wrapped(command.script), "bash", ...(command.args ?? [])];
  // A process group of its own: all of it can be ended at once.
  const child = spawn("bash", args, { cwd: command.cwd ?? out, env, stdio: "ignore", detached: true });
  const end = () => {
    try {
      process.kill(-child.pid!, "SIGKILL");
    } catch {}
  };
  signal?.addEventListener("abort", end);
  const marks = new Map<number, number>();
  const poll = setInterval(() => readMarks(child.pid!, marks), pollMs);
  let isLate = false;
  const late = setTimeout(() => {
    isLate = true;
    end();
  }, timeoutMs);
  try {
    const exit = await new Promise<number>((resolve, reject) => {
      child.on("error", (error) => reject(new Error(`bash did not start: ${error.message}`)));
      child.on("close", (code) => resolve(code ?? -1));
    });
    signal?.throwIfAborted();
    const read = (name: string) => readFileSync(join(out, name), "utf8");
    if (isLate) throw new Error(`${command.script}: not done within ${timeoutMs / 1000} s`);
    if (!(command.goodExits ?? [0]).includes(exit))
      throw new Error(`exit ${exit} of ${command.script}: ${lastWords(read("stderr")) || lastWords(read("stdout"))}`);
    const peak = [...marks.values()].reduce((sum, bytes) => sum + bytes, 0);
    const peakBytes = marks.size > 0 ? peak : null;
    return { ...parseTimes(read("times")), peakBytes, exit, stdout: read("stdout"), stderr: read("stderr") };
  } finally {
    clearInterval(poll);
    clearTimeout(late);
    signal?.removeEventListener("abort", end);
    rmSync(out, { recursive: true, force: true });
  }
}

/** What a program says at its end is why it ended. */
const lastWords = (text: string) => text.trim().split("\n").slice(-3).join(" / ").slice(-600);

/** "1.234 0.560 0.070" (seconds: real, user, system), the last such line of `text`. @throws if there is none. */
export function parseTimes(text: string): { wallMs: number; cpuMs: number } {
  const match = [...text.matchAll(/^(\d+\.\d+) (\d+\.\d+) (\d+\.\d+)$/gm)].at(-1);
  if (!match) throw new Error(`bash printed no times: ${JSON.stringify(text.slice(0, 200))}`);
  const [real, user, system] = match.slice(1).map((word) => Math.round(Number(word) * 1000));
  return { wallMs: real!, cpuMs: user! + system! };
}

/** Bytes of `VmHWM` in the text of /proc/PID/status; null for a shell, or a process that has no memory any more. */
export function parseHighWaterMark(status: string): number | null {
  if (status.startsWith("Name:\tbash\n")) return null;
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(status);
  return match ? Number(match[1]) * 1024 : null;
}

function readMarks(parent: number, marks: Map<number, number>): void {
  for (const pid of childrenOf(parent)) {
    try {
      const mark = parseHighWaterMark(readFileSync(`/proc/${pid}/status`, "latin1"));
      if (mark !== null) marks.set(pid, Math.max(mark, marks.get(pid) ?? 0));
    } catch {
      // It ended between the two reads.
    }
    readMarks(pid, marks);
  }
}

/** A child belongs to the thread that started it. */
function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "latin1").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}
