/** The workspace, the agent's home, what both can hold, and what became of agents in it. */
import { accessSync, constants, existsSync, readFileSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { bootFiles } from "../../core/protocol/boot/files.ts";
import { agentEnv } from "../../core/protocol/wire.ts";
import { probeKeeping } from "../fs/probe.ts";
import { findHome, findWorkspace } from "../identity.ts";
import { findAgent, findLoop, readText } from "../installed.ts";
import { describeError } from "../log.ts";
import { environValue, isInside, readEnviron } from "../proc.ts";
import type { Check, DoctorOptions } from "./check.ts";
import { findAgents } from "./machine.ts";

const littleBytes = 200 * 1024 * 1024;

export function checkWorkspace({ env }: DoctorOptions): Check {
  const path = findWorkspace(env);
  const base = { name: "workspace", essential: true, advice: `Make it, or name another with ${agentEnv.workspace}.` };
  try {
    if (!statSync(path).isDirectory()) return { ...base, ok: false, found: `${path} is no folder` };
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return { ...base, ok: true, found: path };
  } catch (error) {
    return { ...base, ok: false, found: describeError(error) };
  }
}

export function checkHome({ env }: DoctorOptions): Check {
  const home = findHome(env);
  const base = {
    name: "home",
    essential: true,
    advice: `Name a folder outside the workspace that can be written with ${agentEnv.home}.`,
  };
  if (home === null)
    return { ...base, ok: false, found: "no folder can be written: missing rights, or a read-only disk" };
  if (isInside(home, findWorkspace(env))) return { ...base, ok: false, found: `${home} lies inside the workspace` };
  return { ...base, ok: true, found: findAgent(home) ? `${home} (in use by an agent)` : home };
}

/** The home keeps what a snapshot knows of every file; the workspace takes what a restore brings. */
export function checkDisk({ env, freeBytes = freeAt }: DoctorOptions): Check {
  const base = {
    name: "disk",
    essential: false,
    advice:
      "A snapshot keeps its books in the home, and a restore writes into the workspace: free some, or rent with a larger disk.",
  };
  const home = findHome(env);
  const paths = [findWorkspace(env), ...(home === null ? [] : [home])];
  const words: string[] = [];
  let ok = true;
  for (const path of paths) {
    try {
      const free = freeBytes(path);
      ok &&= free >= littleBytes;
      words.push(`${Math.floor(free / 1024 / 1024)} MB free at ${path}`);
    } catch (error) {
      words.push(describeError(error));
    }
  }
  return { ...base, ok, found: words.join(", ") };
}

function freeAt(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

export function checkNative({ hasNative }: DoctorOptions): Check {
  const advice = "Extended attributes, exact times and special files are then kept only as far as Node can.";
  const found = hasNative ? "the FFI addon is loaded" : "the FFI addon is missing or does not load here";
  return { name: "native", ok: hasNative, essential: false, found, advice };
}

/** What a workspace here may hold that a snapshot or a restore would lose. */
export function checkKeeping({ env }: DoctorOptions): Check {
  const base = {
    name: "keeps",
    essential: false,
    advice: "A restore here lists what it loses and ends with exit code 3. Root on ext4, xfs or btrfs keeps all of it.",
  };
  try {
    const unkept = probeKeeping(findWorkspace(env));
    if (unkept.length === 0) return { ...base, ok: true, found: "everything that a workspace can hold but sockets" };
    return { ...base, ok: false, found: `not ${unkept.map(({ what, reason }) => `${what} (${reason})`).join(", ")}` };
  } catch (error) {
    return { ...base, ok: false, found: describeError(error) };
  }
}

/** One agent and one loop are right. Another agent on the same workspace would see the other's writes as its own. */
export function checkAgents({ env, proc = "/proc" }: DoctorOptions): Check {
  const base = { name: "agent", essential: false };
  const home = findHome(env);
  const agent = home === null ? null : findAgent(home);
  const loop = home === null ? null : findLoop(home);
  const workspace = findWorkspace(env);
  const words = (pid: number) => readBytes(`${proc}/${pid}/cmdline`).split("\0");
  const others = existsSync(proc)
    ? findAgents(proc, words).filter((pid) => pid !== agent?.pid && isOf(pid, workspace))
    : [];
  const found = [
    agent ? `runs as process ${agent.pid}` : "does not run",
    loop ? `started by process ${loop.pid}` : "nothing would start it again",
    ...others.map((pid) => `another one runs as process ${pid}`),
  ].join(", ");
  if (others.length > 0) {
    const advice = `Two agents of one workspace disturb each other: end the one that is not of ${home}, with its own \`uninstall\` and ${agentEnv.home}.`;
    return { ...base, ok: false, found, advice };
  }
  const start = home && join(home, bootFiles.start);
  const advice =
    start && existsSync(start)
      ? `Run: sh ${start}`
      : "Paste the install line of the dashboard or of `soneca instance adopt`.";
  return { ...base, ok: Boolean(agent && loop), found, advice };
}

function isOf(pid: number, workspace: string): boolean {
  const environ = readEnviron(pid);
  const theirs = environValue(environ, agentEnv.workspace) ?? environValue(environ, "DATA_DIRECTORY") ?? "/workspace";
  return theirs === workspace;
}

/** Whether a new agent is on trial, and whether one did not work. */
export function checkUpdate({ env }: DoctorOptions): Check {
  const base = { name: "update", essential: false, advice: null };
  const home = findHome(env);
  const read = (name: string) => (home === null ? "" : readText(join(home, name)).trim());
  const trial = read(bootFiles.trial);
  const bad = read(bootFiles.badBuilds).split("\n").filter(Boolean);
  if (trial !== "") {
    const found = `build ${trial.slice(0, 12)} is on trial, start ${read(`${bootFiles.trial}.starts`) || "0"} of 3`;
    const advice = "It stays once it has reported three times. Otherwise the one before it comes back by itself.";
    return { ...base, ok: false, found, advice };
  }
  if (bad.length === 0) return { ...base, ok: true, found: "none is on trial" };
  const last = read(bootFiles.rolledBack).split(" ").slice(1).join(" ");
  const found = `${bad.length} builds did not work here: ${bad.map((one) => one.slice(0, 12)).join(", ")}${last ? ` (the last: ${last})` : ""}`;
  const advice = `The one before is in use. ${join(home ?? "", "agent.log")} says what happened; to try one again, take its line from ${bootFiles.badBuilds}.`;
  return { ...base, ok: false, found, advice };
}

function readBytes(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
