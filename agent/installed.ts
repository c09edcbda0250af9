/** What the start left on this machine: the agent's home, its settings, its loop (core/protocol/boot/start-script.ts). */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { bootFiles } from "../core/protocol/boot/files.ts";
import { settingNames } from "../core/protocol/boot/settings.ts";
import { agentEnv } from "../core/protocol/wire.ts";
import { type Env, readLock } from "./identity.ts";
import { isAlive, type ProcessRef, readBootId, readStat } from "./proc.ts";

/** The home of an agent that was started or installed here; unlike findHome() it makes none. */
export function findInstalled(env: Env): string | null {
  const asked = env[agentEnv.home];
  const candidates = asked ? [asked] : ["/var/lib/soneca", join(env.HOME || homedir(), ".soneca-agent")];
  const marks = [bootFiles.start, "agent.lock", "token"];
  return (
    candidates.map((one) => resolve(one)).find((home) => marks.some((name) => existsSync(join(home, name)))) ?? null
  );
}

/** The environment with what its last start kept: a shell on the machine sees nothing of that. What is given goes first. */
export function withKept(env: Env): Env {
  const home = findInstalled(env);
  if (home === null) return env;
  const kept: Env = { [agentEnv.home]: home };
  for (const line of readText(join(home, bootFiles.settings)).split("\n")) {
    const at = line.indexOf("=");
    if (at > 0 && settingNames.split(" ").includes(line.slice(0, at))) kept[line.slice(0, at)] = line.slice(at + 1);
  }
  return { ...kept, ...Object.fromEntries(Object.entries(env).filter(([, value]) => value)) };
}

/** The loop that starts this home's agent; null while none runs. */
export function findLoop(home: string): ProcessRef | null {
  const pid = Number(readText(join(home, bootFiles.loopLock, "pid")));
  if (!Number.isInteger(pid) || pid < 2) return null;
  const words = readText(`/proc/${pid}/cmdline`).split("\0");
  if (!words.includes(join(home, bootFiles.start)) || !words.includes("loop")) return null;
  return readStat(pid);
}

/** The agent of this home; null while none runs. */
export function findAgent(home: string): ProcessRef | null {
  const holder = readLock(join(home, "agent.lock"));
  return holder && holder.bootId === readBootId() && isAlive(holder) ? holder : null;
}

/** "" where it cannot be read. */
export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
