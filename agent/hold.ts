/**
 * `soneca-agent run -- COMMAND`: runs it as if it stood there alone (its input, its output, its signals, its exit code) and
 * holds the machine awake until it ends. What goes wrong with the hold is said and never keeps the command from running.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { beginHold, type Hold } from "./held.ts";
import { type Env, findHome, isHomeInUse } from "./identity.ts";

/** As shells say it: not found, and found but not to be run. */
const NOT_FOUND = 127;
const NOT_RUNNABLE = 126;

const passedOn = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGWINCH"] as const;
/** A terminal sends these to everything in its foreground, the command included. */
const ofTerminal: readonly string[] = ["SIGINT", "SIGQUIT", "SIGWINCH"];

export async function runHeld(argv: string[], env: Env): Promise<number> {
  const hold = tryHold(argv, env);
  const [command = "", ...args] = argv;
  // Before it begins: a signal right after would end this one alone, and leave the command without it.
  const stopPassing = passSignals((signal) => child.kill(signal));
  const child = spawn(command, args, { stdio: "inherit" });
  if (child.pid !== undefined) hold?.add(child.pid);
  const ended = await new Promise<{ code: number } | { signal: NodeJS.Signals }>((resolve) => {
    child.on("error", (error: NodeJS.ErrnoException) => {
      // A signal that could not be passed on is no end of the command.
      if (child.pid !== undefined) return;
      process.stderr.write(
        `soneca-agent: ${command}: ${error.code === "ENOENT" ? "there is no such command" : error.message}\n`,
      );
      resolve({ code: error.code === "ENOENT" ? NOT_FOUND : NOT_RUNNABLE });
    });
    child.on("exit", (code, signal) => resolve(signal ? { signal } : { code: code ?? 1 }));
  });
  stopPassing();
  hold?.end();
  if ("code" in ended) return ended.code;
  // Whoever started this sees the same death; where the signal does not end us, the number that a shell makes of it.
  process.kill(process.pid, ended.signal);
  await new Promise((resolve) => setTimeout(resolve, 200));
  return 128 + (constants.signals[ended.signal] ?? 0);
}

function tryHold(argv: string[], env: Env): Hold | null {
  const warn = (why: string) => {
    process.stderr.write(`soneca-agent: nothing holds the machine awake: ${why} The command runs all the same.\n`);
    return null;
  };
  const home = findHome(env);
  if (home === null) return warn("no folder for the agent's own files can be written.");
  if (!isHomeInUse(home)) warn(`no agent runs with the home ${home} now; one that starts will find the command.`);
  try {
    return beginHold(home, randomBytes(9).toString("base64url"), argv.join(" "));
  } catch (error) {
    return warn(`${(error as Error).message}.`);
  }
}

/** A signal is heard between two turns of the event loop: the command has begun by then. */
function passSignals(pass: (signal: NodeJS.Signals) => void): () => void {
  const handlers = passedOn.map((signal) => {
    const handler = () => {
      if (!(ofTerminal.includes(signal) && isInForeground())) pass(signal);
    };
    process.on(signal, handler);
    return () => process.off(signal, handler);
  });
  return () => {
    for (const stop of handlers) stop();
  };
}

/** Whether this process and its command are what the terminal's keys reach. */
function isInForeground(): boolean {
  try {
    const text = readFileSync("/proc/self/stat", "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return Number(fields[4]) !== 0 && fields[2] === fields[5];
  } catch {
    return false;
  }
}
