/**
 * The user's scripts before a sleep and after a wake. What they print goes to a file of the agent's home, so that a
 * server which such a script leaves running still has its output; the end of it is told.
 */
import { spawn } from "node:child_process";
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { HookCommand, HookReport } from "../core/protocol/wire.ts";
import { agentEnv } from "../core/protocol/wire.ts";
import type { Env } from "./identity.ts";
import type { Logger } from "./log.ts";
import { writeWhole } from "./whole-file.ts";

export type HookName = HookReport["name"];

export interface Hooks {
  /**
   * Null: there is nothing to be run. Never throws: what cannot be started is a failure of the hook. An abort ends it, and
   * the report says so. Of a command that was finished before, also by an agent before this one, it is not run again.
   */
  run(name: HookName, commandId: string, hook: HookCommand, signal: AbortSignal): Promise<HookReport | null>;
}

export interface HooksOptions {
  workspace: string;
  home: string;
  instance: string;
  env: Env;
  log: Logger;
  /** From the end of its time until it is killed. */
  killAfterMs?: number;
}

/** Of the workspace, so that they travel with it. */
export const hookFiles: Record<HookName, string> = {
  before_sleep: ".soneca/before-sleep",
  after_wake: ".soneca/after-wake",
};

const tailBytes = 4096;
const tailChars = 1000;
/** As shells say it: found, and not to be run; not found. */
const notRunnable = 126;
const notFound = 127;

/** What a hook must not see: the agent's token, and the provider's key of the machine. */
const secrets = [agentEnv.token, "CONTAINER_API_KEY"];

export function createHooks(options: HooksOptions): Hooks {
  const { workspace, home, log } = options;
  const folder = join(home, "hooks");
  const doneFile = join(folder, "done.json");
  // There from the begin of a script before a sleep until one after a wake was run.
  const openFile = join(folder, "before-sleep-was-run");

  return {
    async run(name, commandId, hook, signal) {
      if (hook.reason === "called_off" && !isFile(openFile)) return null;
      const script = join(workspace, hookFiles[name]);
      const argv = hook.run !== null ? ["/bin/sh", "-c", hook.run] : isFile(script) ? [script] : null;
      if (!argv) return null;
      const before = readDone(doneFile);
      if (before?.commandId === commandId && before.report.name === name) return before.report;
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      if (name === "before_sleep") writeFileSync(openFile, "", { mode: 0o600 });
      else rmSync(openFile, { force: true });
      log.info("hook_begun", { hook: name, command: argv.join(" ").slice(0, 200) });
      const report = await runOne(name, argv, hook, options, join(folder, `${name}.log`), signal);
      const { outcome, exit, ms } = report;
      log[outcome === "ok" ? "info" : "warn"]("hook_ended", { hook: name, outcome, exit, ms });
      // Only what came to its end by itself is not to be done over.
      if (!signal.aborted && outcome === "ok") saveDone(doneFile, { commandId, report });
      return report;
    },
  };
}

async function runOne(
  name: HookName,
  [program = "", ...args]: string[],
  { timeoutMs, reason }: HookCommand,
  { workspace, instance, env, killAfterMs = 5_000 }: HooksOptions,
  logFile: string,
  signal: AbortSignal,
): Promise<HookReport> {
  const startAt = performance.now();
  const output = openSync(logFile, "w+", 0o600);
  const ends = { timedOut: false };
  const exit = await new Promise<number | null>((resolve) => {
    const child = spawn(program, args, {
      cwd: workspace,
      env: { ...withoutSecrets(env), SONECA_HOOK: name, SONECA_REASON: reason, [agentEnv.instance]: instance },
      stdio: ["ignore", output, output],
      // A group of its own, so that all of it can be ended.
      detached: true,
    });
    let killer: NodeJS.Timeout | undefined;
    const end = () => {
      killGroup(child.pid, "SIGTERM");
      killer ??= setTimeout(() => killGroup(child.pid, "SIGKILL"), killAfterMs);
    };
    const limit = setTimeout(() => {
      ends.timedOut = true;
      end();
    }, timeoutMs);
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
    const done = (code: number | null) => {
      clearTimeout(limit);
      clearTimeout(killer);
      signal.removeEventListener("abort", end);
      // Whatever is left of one that had to be ended goes with it.
      if (ends.timedOut || signal.aborted) killGroup(child.pid, "SIGKILL");
      resolve(code);
    };
    child.on("error", (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) done(error.code === "ENOENT" ? notFound : notRunnable);
    });
    // Not "close": what it leaves running may hold its output open.
    child.on("exit", (code) => done(code));
  });
  const tail = readTail(output);
  closeSync(output);
  const outcome = ends.timedOut ? "timed_out" : exit === 0 && !signal.aborted ? "ok" : "failed";
  return { name, outcome, exit, ms: Math.round(performance.now() - startAt), tail };
}

/** In words for people. */
export function hookWords({ name, outcome, exit, ms, tail }: HookReport): string {
  const script = name === "before_sleep" ? "The before-sleep script" : "The after-wake script";
  const how =
    outcome === "timed_out"
      ? `did not end within ${Math.round(ms / 1000)} s and was stopped`
      : exit === null
        ? "was ended by a signal"
        : exit === notRunnable
          ? "could not be run (is it executable?)"
          : `ended with ${exit}`;
  return tail === "" ? `${script} ${how}.` : `${script} ${how}: ${tail}`;
}

function withoutSecrets(env: Env): Env {
  const rest = { ...env };
  for (const name of secrets) delete rest[name];
  return rest;
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It is gone.
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** The end of the output as one text without control characters. */
function readTail(fd: number): string {
  const { size } = fstatSync(fd);
  const bytes = Buffer.alloc(Math.min(size, tailBytes));
  readSync(fd, bytes, 0, bytes.length, size - bytes.length);
  const text = bytes.toString("utf8").replace(/[^\P{C}\n\t]/gu, "");
  return text.trim().slice(-tailChars);
}

interface Done {
  commandId: string;
  report: HookReport;
}

function readDone(file: string): Done | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Done;
  } catch {
    return null;
  }
}

function saveDone(file: string, done: Done): void {
  try {
    writeWhole(file, JSON.stringify(done));
  } catch {
    // Run once more after a restart, at worst.
  }
}
