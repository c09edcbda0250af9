/**
 * Busy kernels, asked from every Jupyter server of this machine over its REST API. Servers are found by the files that
 * they leave in their runtime folder (`jpserver-PID.json`, `nbserver-PID.json`: address and token), the folders by the
 * usual places and by the environment of processes that look like a server. A server that is there and cannot be asked,
 * or answers with something odd, makes the signal unknown: never quiet.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { homedir, networkInterfaces } from "node:os";
import { basename, join } from "node:path";
import * as z from "zod";
import type { SignalReading } from "../../core/protocol/signals.ts";
import type { Env } from "../identity.ts";
import { describeError } from "../log.ts";
import { environValue, listStats, readEnviron, readStat } from "../proc.ts";
import { type Sensor, unknown } from "./sensor.ts";

export interface JupyterSensorOptions {
  env: Env;
  /** Whether the agent itself holds the workspace's processes still: then nothing of theirs runs, and none answers. */
  isStill?: () => boolean;
  /** Folders to look in, in place of those that this machine has. */
  folders?: () => string[];
  /** Processes that look like a server. */
  findServers?: () => { pid: number; folders: string[] }[];
  timeoutMs?: number;
  wallNow?: () => number;
}

const MAX_ANSWER_BYTES = 1024 * 1024;

const serverSchema = z.object({
  pid: z.number().int().positive(),
  port: z.number().int().min(0).max(65_535),
  hostname: z.string(),
  base_url: z.string(),
  token: z.string().default(""),
  secure: z.boolean().default(false),
  sock: z.string().default(""),
});
type Server = z.infer<typeof serverSchema>;

const kernelSchema = z.object({
  id: z.string(),
  name: z.string().default("kernel"),
  execution_state: z.string(),
  last_activity: z.string().refine((text) => Number.isFinite(Date.parse(text)), "no time"),
});

export function createJupyterSensor(options: JupyterSensorOptions): Sensor {
  const { env, isStill = () => false, timeoutMs = 4_000, wallNow = Date.now } = options;
  const folders = options.folders ?? (() => usualFolders(env));
  const findServers = options.findServers ?? findServerProcesses;
  let lastAt: number | null = null;

  return {
    names: ["jupyter"],
    leastMs: 5_000,
    async read() {
      const since = lastAt ?? wallNow();
      lastAt = wallNow();
      if (isStill()) return { jupyter: stillReading };
      const processes = findServers();
      const all = new Set([...folders(), ...processes.flatMap((one) => one.folders)]);
      const found = [...all].flatMap(readServers);
      const odd = found.find((one) => "problem" in one);
      const servers = new Map(found.flatMap((one) => ("server" in one ? [[one.server.pid, one.server]] : [])));
      const lost = processes.find((one) => !servers.has(one.pid));
      const answers = await Promise.all([...servers.values()].map((server) => askKernels(server, timeoutMs, since)));
      // It may have been stopped while it was asked.
      if (isStill()) return { jupyter: stillReading };
      if (odd) return { jupyter: unknown(odd.problem) };
      const failed = answers.find((one) => "problem" in one);
      if (failed) return { jupyter: unknown(failed.problem) };
      if (lost)
        return { jupyter: unknown(`process ${lost.pid} looks like a Jupyter server, and says nowhere how to ask it`) };
      const busy = answers.flatMap((one) => ("busy" in one ? one.busy : []));
      const detail =
        busy.length > 0 ? busy.slice(0, 5).join(", ") : servers.size > 0 ? `${servers.size} server(s)` : "";
      return { jupyter: { value: busy.length, ...(detail ? { detail: detail.slice(0, 200) } : {}) } };
    },
  };
}

const stillReading: SignalReading = { value: 0, detail: "held still for a snapshot" };

// ---- finding servers ---------------------------------------------------------------------------------------------------

function usualFolders(env: Env): string[] {
  const homes = new Set([env.HOME || homedir(), "/root", ...list("/home").map((name) => join("/home", name))]);
  const own = [env.JUPYTER_RUNTIME_DIR, env.JUPYTER_DATA_DIR && join(env.JUPYTER_DATA_DIR, "runtime")];
  return [...own.filter((one) => one !== undefined && one !== ""), ...[...homes].map(runtimeOf)] as string[];
}

function runtimeOf(home: string): string {
  return join(home, ".local/share/jupyter/runtime");
}

/** By the name of the program, since a server may be started in many ways. */
function findServerProcesses(): { pid: number; folders: string[] }[] {
  const found: { pid: number; folders: string[] }[] = [];
  for (const { pid, kernel } of listStats().values()) {
    if (kernel || !isServer(readWords(pid))) continue;
    const environ = readEnviron(pid);
    const value = (name: string) => environValue(environ, name) || null;
    const data = value("JUPYTER_DATA_DIR");
    const home = value("HOME");
    const folders = [value("JUPYTER_RUNTIME_DIR"), data && join(data, "runtime"), home && runtimeOf(home)];
    found.push({ pid, folders: folders.filter((one) => one !== null) });
  }
  return found;
}

const programs = ["jupyter-lab", "jupyter-notebook", "jupyter-server", "jupyter-labhub", "jupyterhub-singleuser"];
const modules = ["jupyterlab", "notebook", "jupyter_server"];

/**
 * `python /usr/bin/jupyter-lab ...`, `jupyter-notebook ...`, `python -m jupyterlab ...`, but no kernel and no `jupyter --version`.
 * Nor who only starts one and stays (sudo, tini, a script of the shell): the server is a child of theirs, and leaves a file.
 */
export function isServer(words: string[]): boolean {
  const [program = "", ...rest] = words;
  if (programs.includes(basename(program))) return true;
  if (!/^(python|pypy)/.test(basename(program))) return false;
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] ?? "";
    if (!word.startsWith("-")) return programs.includes(basename(word));
    if (/^-[a-zA-Z]*m$/.test(word)) return modules.includes(rest[at + 1] ?? "");
    // Options with a word of their own.
    if (word === "-X" || word === "-W") at++;
    if (word === "-c") return false;
  }
  return false;
}

type Found = { server: Server } | { problem: string };

/** A file whose process is gone, or began after it was written, was left behind. */
function readServers(folder: string): Found[] {
  return list(folder)
    .filter((name) => /^(jp|nb)server-\d+\.json$/.test(name))
    .flatMap((name): Found[] => {
      const pid = Number(/\d+/.exec(name)?.[0]);
      const path = join(folder, name);
      try {
        if (!isItsProcess(pid, statSync(path).mtimeMs)) return [];
        const server = serverSchema.safeParse(JSON.parse(readFileSync(path, "utf8")));
        return server.success ? [{ server: server.data }] : [{ problem: `${path} does not say how to ask its server` }];
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
        return [{ problem: `${path}: ${describeError(error)}` }];
      }
    });
}

function isItsProcess(pid: number, writtenAt: number): boolean {
  const stat = readStat(pid);
  if (!stat || stat.state === "Z" || stat.state === "X") return false;
  const bootSeconds = Number(/^btime (\d+)$/m.exec(readText("/proc/stat"))?.[1]);
  // btime is a whole second, and moves when the clock is set.
  return !Number.isFinite(bootSeconds) || (bootSeconds + stat.startTime / 100 - 5) * 1000 <= writtenAt;
}

// ---- asking one --------------------------------------------------------------------------------------------------------

type Kernels = { busy: string[] } | { problem: string };

async function askKernels(server: Server, timeoutMs: number, since: number): Promise<Kernels> {
  const name = server.sock || `port ${server.port}`;
  const host = hostOf(server.hostname);
  if (!server.sock && host === null) {
    return { problem: `the Jupyter server at ${server.hostname} is not on this machine` };
  }
  try {
    const answer = await get(server, host ?? "127.0.0.1", timeoutMs);
    if (answer.status !== 200) return { problem: `the Jupyter server at ${name} answered with HTTP ${answer.status}` };
    const kernels = z.array(kernelSchema).safeParse(JSON.parse(answer.text));
    if (!kernels.success) return { problem: `the Jupyter server at ${name} answered with no list of kernels` };
    const busy = kernels.data.filter(
      // Starting, restarting and whatever comes later are no rest. One that worked between two looks worked.
      (one) =>
        (one.execution_state !== "idle" && one.execution_state !== "dead") || Date.parse(one.last_activity) > since,
    );
    return { busy: busy.map((one) => `${one.name} ${one.id.slice(0, 8)}`) };
  } catch (error) {
    return { problem: `the Jupyter server at ${name}: ${describeError(error)}` };
  }
}

/** The token goes to this machine alone. null: it is another one. */
function hostOf(hostname: string): string | null {
  if (["", "*", "0.0.0.0", "::", "localhost", "127.0.0.1"].includes(hostname)) return "127.0.0.1";
  const own = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map((one) => one.address));
  return own.includes(hostname) ? hostname : null;
}

function get(server: Server, host: string, timeoutMs: number): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const base = server.base_url.endsWith("/") ? server.base_url : `${server.base_url}/`;
    const signal = AbortSignal.timeout(timeoutMs);
    const request = (server.secure ? httpsRequest : httpRequest)({
      ...(server.sock ? { socketPath: server.sock } : { host, port: server.port }),
      path: `${base}api/kernels`,
      headers: { accept: "application/json", ...(server.token ? { authorization: `token ${server.token}` } : {}) },
      agent: false,
      // Its certificate is mostly its own; nobody but this machine is spoken to.
      rejectUnauthorized: false,
      signal,
    });
    request.on("error", (error) =>
      reject(signal.aborted ? new Error(`no answer within ${timeoutMs / 1000} s`) : error),
    );
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        text += piece;
        if (text.length > MAX_ANSWER_BYTES) request.destroy(new Error("the answer is too large"));
      });
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.end();
  });
}

function readWords(pid: number): string[] {
  return readText(`/proc/${pid}/cmdline`).split("\0");
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
