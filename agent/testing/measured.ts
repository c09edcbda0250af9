/** Runs the snapshot commands in a process of their own and measures it from inside. */
import { spawn } from "node:child_process";
import { agentProgram } from "./run-command.ts";

/** Said at the very end, on the last line of stderr. */
const probe = `
import { isMainThread } from "node:worker_threads";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { writeSync } from "node:fs";
if (isMainThread) {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  setTimeout(() => delay.enable(), 300).unref();
  process.on("exit", () => {
    const maxRssMib = process.resourceUsage().maxRSS / 1024;
    writeSync(2, JSON.stringify({ maxRssMib, maxGapMs: delay.max / 1e6 }) + "\\n");
  });
}`;

export interface Measured {
  code: number | null;
  /** The summary line. */
  last: Record<string, unknown>;
  maxRssMib: number;
  /** The longest time that the event loop did not turn, without the program's start. */
  maxGapMs: number;
}

export function runMeasured(args: string[]): Promise<Measured> {
  const importProbe = `data:text/javascript,${encodeURIComponent(probe)}`;
  const child = spawn(process.execPath, ["--import", importProbe, agentProgram, ...args, "--json"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (data: Buffer) => {
    out = (out + data).slice(-100_000);
  });
  child.stderr.on("data", (data: Buffer) => {
    err += data;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      try {
        const last = JSON.parse(out.trimEnd().split("\n").at(-1)!) as Record<string, unknown>;
        const { maxRssMib, maxGapMs } = JSON.parse(err.trimEnd().split("\n").at(-1)!) as Measured;
        resolve({ code, last, maxRssMib, maxGapMs });
      } catch (error) {
        reject(new Error(`${out}\n${err}`, { cause: error }));
      }
    });
  });
}
