/** Runs the real program in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";

/** The file that users have, built before the tests; the source where nobody built it. */
export const agentProgram = process.env.SONECA_AGENT_UNDER_TEST ?? join(import.meta.dirname, "../main.ts");

export interface Ran {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: Buffer;
  stderr: string;
  /** The lines of stdout where they are JSON; [] otherwise. */
  // biome-ignore lint/suspicious/noExplicitAny: the fields of any line
  lines: any[];
  // biome-ignore lint/suspicious/noExplicitAny: the fields of any line
  last: any;
}

export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** Sees the process right after its start. */
  onStart?: (child: ChildProcess) => void;
}

/** Without any of the variables that name stores, keys or tokens, but those in `env`. */
export function runCommand(args: string[], { env = {}, cwd, onStart }: RunOptions = {}): Promise<Ran> {
  const { PATH = "", HOME = "" } = process.env;
  const child = spawn(process.execPath, [agentProgram, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH, HOME, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  onStart?.(child);
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (data: Buffer) => out.push(data));
  child.stderr.on("data", (data: Buffer) => err.push(data));
  return new Promise((resolve) => {
    child.on("close", (code, signal) => {
      const stdout = Buffer.concat(out);
      const lines = parseLines(stdout.toString());
      resolve({ code, signal, stdout, stderr: Buffer.concat(err).toString(), lines, last: lines.at(-1) });
    });
  });
}

export function parseLines(text: string): unknown[] {
  try {
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  } catch {
    return [];
  }
}
