/**
 * `soneca-agent uninstall`: the machine as it was before the agent came. The workspace is left alone, and so are the
 * instance and its snapshots at the control plane.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { bootFiles } from "../core/protocol/boot/files.ts";
import { type Env, findWorkspace } from "./identity.ts";
import { findAgent, findInstalled, findLoop, readText, withKept } from "./installed.ts";
import { createLogger, describeError } from "./log.ts";
import { isAlive, isInside, type ProcessRef } from "./proc.ts";
import { createSealer } from "./seal.ts";

export interface UninstallOptions {
  env: Env;
  json: boolean;
  write?: (text: string) => void;
  /** For tests: the folder of units, and how long the agent has to end. */
  unitFolder?: string;
  endMs?: number;
}

interface Step {
  ok: boolean;
  what: string;
}

/** What is the agent's own in a home that may hold other things: one that SONECA_HOME names. */
const ownNames = new Set([
  ...Object.values(bootFiles),
  ...["agent.log", "agent.log.1", "agent.lock", "token", "sealed.json", "restored.json", "soneca-agent"],
  ...["held", "hooks", "bin", "tunnel", "snapshot", "node", "trial.starts"],
]);
const ownBeginnings = ["soneca-agent.mjs.", "node.", "start.", "install.", "environment.", "agent.lock.", "token."];

/** The exit code: 1 when something of it is still there. */
export async function runUninstall(options: UninstallOptions): Promise<number> {
  const write = options.write ?? ((text: string) => process.stdout.write(text));
  const home = findInstalled(options.env);
  const steps = home === null ? [] : await uninstall(home, options);
  const ok = steps.every((step) => step.ok);
  if (options.json) write(`${JSON.stringify({ ok, home, steps })}\n`);
  else if (home === null) write("No agent is installed here. Where its home is elsewhere, name it with SONECA_HOME.\n");
  else for (const step of steps) write(`${step.ok ? "ok  " : "BAD "}  ${step.what}\n`);
  return ok ? 0 : 1;
}

async function uninstall(home: string, options: UninstallOptions): Promise<Step[]> {
  const { unitFolder = "/etc/systemd/system", endMs = 20_000 } = options;
  const env = withKept(options.env);
  const steps: Step[] = [];
  const say = (ok: boolean, what: string) => steps.push({ ok, what });

  // The restart first, then the loop, then the agent: each would bring back the next.
  for (const words of [forgetOnstart(home, env), forgetUnit(home, unitFolder), forgetCron(home)].flat())
    steps.push(words);
  const loop = findLoop(home);
  if (loop) say(await end(loop, 2_000), `the loop (process ${loop.pid}) has ended`);
  const agent = findAgent(home);
  if (agent) say(await end(agent, endMs), `the agent (process ${agent.pid}) has ended`);

  // One that had to be killed may have left a seal.
  const sealer = createSealer({ root: "/", home, env, log: createLogger({ write: () => undefined }) });
  if (sealer.recover()) say(true, `${sealer.resume()} stopped processes go on`);

  const workspace = findWorkspace(env);
  if (isInside(workspace, home)) say(false, `${home} holds the workspace ${workspace}: nothing in it was removed`);
  else steps.push(removeHome(home));
  say(true, `the workspace ${workspace} is as it was`);
  say(true, "the instance is still at the control plane: `soneca instance` shows it");
  return steps;
}

/** Ends by itself, or is ended. */
async function end(target: ProcessRef, limitMs: number): Promise<boolean> {
  for (const [signal, ms] of [
    ["SIGTERM", limitMs],
    ["SIGKILL", 2_000],
  ] as const) {
    try {
      process.kill(target.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EPERM") return false;
    }
    const until = performance.now() + ms;
    while (isAlive(target)) {
      if (performance.now() > until) break;
      await sleep(50);
    }
    if (!isAlive(target)) return true;
  }
  return false;
}

function forgetOnstart(home: string, env: Env): Step[] {
  const file = join(env.HOME || homedir(), "onstart.sh");
  const text = readText(file);
  if (/^# soneca-onstart$/m.test(text)) {
    const what = `${file} is the one that this machine was rented with: it brings the agent back at the next start, unless you change it`;
    return [{ ok: true, what }];
  }
  const rest = text.split("\n").filter((line) => !isOurs(line, home));
  if (rest.join("\n") === text) return [];
  return [attempt(`${file} no longer starts the agent`, () => writeFileSync(file, rest.join("\n")))];
}

function forgetUnit(home: string, folder: string): Step[] {
  const file = join(folder, "soneca-agent.service");
  if (!readText(file).includes(join(home, bootFiles.start))) return [];
  return [
    attempt(`${file} is removed`, () => {
      rmSync(file);
      rmSync(join(folder, "multi-user.target.wants", "soneca-agent.service"), { force: true });
    }),
  ];
}

function forgetCron(home: string): Step[] {
  let text: string;
  try {
    text = execFileSync("crontab", ["-l"], { encoding: "utf8", timeout: 5_000, stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    // No crontab, or none of this user.
    return [];
  }
  const rest = text.split("\n").filter((line) => !isOurs(line, home));
  if (rest.join("\n") === text) return [];
  const replace = () => execFileSync("crontab", ["-"], { input: rest.join("\n"), timeout: 5_000 });
  return [attempt("crontab no longer starts the agent", replace)];
}

function isOurs(line: string, home: string): boolean {
  return line.includes(join(home, bootFiles.start)) && line.endsWith("# soneca-agent");
}

function removeHome(home: string): Step {
  return attempt(`${home} is removed`, () => {
    for (const name of readdirSync(home)) {
      // What a killed agent was writing is a draft of its own name.
      const meant = name.replace(/\.new$/, "");
      const isOwn = ownNames.has(meant) || ownBeginnings.some((beginning) => meant.startsWith(beginning));
      if (isOwn) rmSync(join(home, name), { recursive: true, force: true });
    }
    const others = readdirSync(home);
    if (others.length > 0) throw new Error(`it holds what is not the agent's: ${others.slice(0, 5).join(", ")}`);
    rmdirSync(home);
    if (existsSync(home)) throw new Error("it is still there");
  });
}

function attempt(what: string, work: () => unknown): Step {
  try {
    work();
    return { ok: true, what };
  } catch (error) {
    return { ok: false, what: `not so: ${what}: ${describeError(error)}` };
  }
}
