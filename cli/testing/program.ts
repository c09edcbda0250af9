/** The real command line, as a process. */
import { spawn } from "node:child_process";
import { join } from "node:path";

export const program = process.env.SONECA_CLI_UNDER_TEST ?? join(import.meta.dirname, "../main.ts");

export interface Ended {
  code: number | null;
  out: string;
  /** What `out` was made of. */
  bytes: Buffer;
  err: string;
}

export interface Start {
  env: Record<string, string | undefined>;
  cwd?: string;
  /** All that its stdin says. */
  input?: string;
  /** Ctrl-C, as soon as stdout has this. */
  until?: RegExp;
}

export function runProgram(args: string[], { env, cwd, input = "", until }: Start): Promise<Ended> {
  const child = spawn(process.execPath, [program, ...args], { env, cwd });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => {
    out.push(chunk);
    if (until?.test(Buffer.concat(out).toString())) child.kill("SIGINT");
  });
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  child.stdin.end(input);
  return new Promise((resolve) =>
    child.on("close", (code) => {
      const bytes = Buffer.concat(out);
      resolve({ code, out: bytes.toString(), bytes, err: Buffer.concat(err).toString() });
    }),
  );
}
