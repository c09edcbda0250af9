/** Node, the GPUs, the user, and what may be done to other processes. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runSmi } from "../monitor.ts";
import { findUse, isStopped, listStats } from "../proc.ts";
import { detectScope } from "../seal.ts";
import { createSmi } from "../smi.ts";
import type { Check, DoctorOptions } from "./check.ts";

export function checkNode({ nodeVersion = process.versions.node }: DoctorOptions): Check {
  const ok = Number(nodeVersion.split(".")[0]) >= 22;
  const advice = "Install Node 22 or newer, or paste the install line again: it brings one.";
  return { name: "node", ok, essential: true, found: nodeVersion, advice };
}

export async function checkGpus({ env, smiTimeoutMs = 8_000 }: DoctorOptions): Promise<Check> {
  const sample = await runSmi(createSmi({ command: "nvidia-smi", env, timeoutMs: smiTimeoutMs }));
  const busy = "Until it works, this machine counts as busy and does not go to sleep by itself.";
  const base = { name: "nvidia-smi", essential: false, advice: busy };
  if (!sample.ok)
    return { ...base, ok: false, found: sample.message, advice: `${adviceOnSmi(sample.message)} ${busy}` };
  const unknown = sample.rows.filter((row) => row.utilization === null).length;
  const missing = Math.max(0, (Number(env.GPU_COUNT) || 0) - sample.rows.length);
  const words = sample.rows.map((row) => `${row.index} ${row.name ?? "?"} ${row.utilization ?? "?"} %`).join(", ");
  return { ...base, ok: unknown + missing === 0, found: missing > 0 ? `${words}; ${missing} not listed` : words };
}

function adviceOnSmi(message: string): string {
  if (message.includes("not installed"))
    return "The host puts it into containers that have GPUs: rent or start this one with its GPUs, with an image of NVIDIA's.";
  if (message.includes("no answer"))
    return "The driver hangs, which only the host can mend: put the instance to sleep, and it wakes on another machine.";
  return "The driver refuses: `nvidia-smi` by hand says why.";
}

export function checkUser({ uid = process.getuid?.() ?? 0 }: DoctorOptions): Check {
  const found = uid === 0 ? "root" : `user ${uid}, not root`;
  const advice =
    "Files of others come back as this user's, and processes of others cannot be stopped for a last look: no sleep can be proved while one writes. Run the install line as root.";
  return { name: "user", ok: uid === 0, essential: false, found, advice };
}

/** Stops a process of its own and looks into it: what a seal does to others. */
export async function checkSeal({ env, proc = "/proc" }: DoctorOptions): Promise<Check> {
  const base = { name: "seal", essential: true };
  if (!existsSync(join(proc, "self/stat"))) {
    return { ...base, ok: false, found: `${proc} is not mounted`, advice: "Mount it: `mount -t proc proc /proc`." };
  }
  const found = `scope "${detectScope(env)}"`;
  const trial = await tryToStop();
  if (trial !== null) {
    const advice =
      "A seccomp profile or another guard of the container forbids it. Without it no machine can be put to sleep: use another host or image.";
    return { ...base, ok: false, found: `${found}; a process cannot be stopped: ${trial}`, advice };
  }
  const hidden = countHidden(proc);
  if (hidden === 0) return { ...base, ok: true, found, advice: null };
  const advice =
    "Whether they use the workspace cannot be seen. /proc is mounted with hidepid, ptrace is limited, or they are another user's: run the agent as root.";
  return {
    ...base,
    essential: false,
    ok: false,
    found: `${found}; ${hidden} processes may not be looked into`,
    advice,
  };
}

async function tryToStop(): Promise<string | null> {
  const child = spawn("sleep", ["30"], { stdio: "ignore" });
  try {
    const failed = new Promise<Error>((resolve) => child.on("error", resolve));
    if (child.pid === undefined) return (await failed).message;
    process.kill(child.pid, "SIGSTOP");
    for (let round = 0; round < 100; round++) {
      if (isStopped(child.pid)) return null;
      await sleep(10);
    }
    return "it goes on";
  } catch (error) {
    return (error as Error).message;
  } finally {
    child.kill("SIGKILL");
  }
}

function countHidden(proc: string): number {
  return [...listStats(proc).values()].filter((one) => !one.kernel && findUse(one.pid, "/nowhere", proc) === "hidden")
    .length;
}

/** Agents beside the one that holds this home's lock. */
export function findAgents(proc = "/proc", readWords: (pid: number) => string[]): number[] {
  return readdirSync(proc)
    .map(Number)
    .filter((pid) => pid > 0)
    .filter((pid) => {
      const [, program = "", command] = readWords(pid);
      return program.endsWith("soneca-agent.mjs") && command === "run" && readWords(pid)[3] !== "--";
    });
}
