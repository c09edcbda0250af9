/**
 * Machines as real processes. Each has a folder `<root>/<id>/` and an init process in a session of its own, which runs
 * the onstart text and then stays, as a container's init does:
 *
 *   workspace/ home/ agent/   DATA_DIRECTORY, HOME, SONECA_HOME
 *   bin/nvidia-smi gpu-load   what its GPUs say
 *   bin/cloudflared           where there are tunnels
 *   onstart.sh log
 *
 * A process belongs to a machine when its environment says so, or an ancestor's or its session's does: so what escaped
 * the group by setsid is found too. Nothing is ever found by its name. The one way out is to clear the environment, leave
 * the session and outlive the parent all at once (`setsid env -i`): no container is there to hold that.
 */
import { spawn } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { writeCloudflared } from "../cloudflare/launcher.ts";
import type { GpuKind } from "./catalog.ts";
import { buildClock, readClock, writeClock } from "./clock.ts";
import { fillDisk, mountDisk, unmountDisk } from "./disk.ts";
import { buildNvidiaSmi } from "./nvidia-smi.ts";
import type { ProcessRef } from "./state.ts";

export const ONSTART_MARK = "# soneca-onstart";

/** This text runs with the rights of the person at the keyboard, so only what says that it is ours may run. */
export function isOwnOnstart(onstart: string | null): onstart is string {
  if (onstart === null) return false;
  const lines = onstart.split("\n");
  if (/^#!\s*\/bin\/sh\s*$/.test(lines[0] ?? "")) lines.shift();
  return lines[0]?.trimEnd() === ONSTART_MARK;
}

export interface MachineSpec {
  id: number;
  apiKey: string;
  env: Readonly<Record<string, string>>;
  onstart: string | null;
  gpu: GpuKind;
  gpuCount: number;
  /** The host's number; its GPUs keep their serial numbers from one rental to the next. */
  machineId: number;
}

export interface ExecResult {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

export interface MachineOptions {
  /** Size of each machine's own disk, a tmpfs: root only. Without it machines share this host's. */
  diskBytes?: number;
  /** The node programs of machines read their clock through a file that can be set. */
  clock?: boolean;
  /** HOST:PORT of the stand-in for Cloudflare: machines have a cloudflared that connects to it. */
  tunnelEdge?: string;
}

/** Which processes of a machine: its agent's, all of them, one, or those whose command line holds the text. */
export type Whom = "agent" | "all" | { pid: number } | { match: string };

export interface MachineProcess {
  pid: number;
  argv: string[];
}

export interface Machines {
  folderOf(id: number): string;
  /** Idempotent: makes the folder and what is missing in it. */
  prepare(spec: MachineSpec): void;
  start(spec: MachineSpec): ProcessRef;
  isAlive(ref: ProcessRef | null): boolean;
  processes(id: number): MachineProcess[];
  /** Resolves when no process of the machine is left. */
  kill(id: number, init: ProcessRef | null): Promise<void>;
  /** Pids that the signal was sent to. SIGKILL to "agent" is what a crash of the agent would be. */
  signal(id: number, name: NodeJS.Signals, whom: Whom): number[];
  /** kill, and the folder is gone. */
  remove(id: number, init: ProcessRef | null): Promise<void>;
  exec(spec: MachineSpec, argv: string[], options?: { stdin?: string; timeoutMs?: number }): Promise<ExecResult>;
  readGpuLoad(id: number): string[];
  writeGpuLoad(id: number, lines: string[]): void;
  /** Fills the machine's disk but for so many bytes; null empties it again. False where it has no disk of its own. */
  fillDisk(id: number, freeBytes: number | null): boolean;
  /** How far the machine's clock is ahead, ms; null where it has none of its own. */
  readClock(id: number): number | null;
  setClock(id: number, offsetMs: number): void;
  readLog(id: number, tail?: number): string;
  note(id: number, text: string): void;
}

const EXEC_OUTPUT_BYTES = 8 * 1024 * 1024;
const PUBLIC_IP = "127.0.0.1";
const INIT = `if [ -f "$1" ]; then /bin/sh "$1"; fi; while :; do sleep 3600; done`;

/** Ports asked for as `-p 8080:8080` keep their number here: all machines share this host's network. */
export function readPorts(env: Readonly<Record<string, string>>): { port: number; protocol: "tcp" | "udp" }[] {
  return Object.keys(env).flatMap((key) => {
    const match = /^-p\s+(?:\d+:)?(\d+)(\/udp|\/tcp)?$/.exec(key.trim());
    return match
      ? [{ port: Number(match[1]), protocol: match[2] === "/udp" ? ("udp" as const) : ("tcp" as const) }]
      : [];
  });
}

export function createMachines(root: string, options: MachineOptions = {}): Machines {
  mkdirSync(root, { recursive: true });
  const folderOf = (id: number) => join(root, String(id));

  const environmentOf = (spec: MachineSpec): Record<string, string> => {
    const folder = folderOf(spec.id);
    const asked = Object.entries(spec.env).filter(([name]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
    const ports = readPorts(spec.env).map(({ port, protocol }) => [
      `VAST_${protocol.toUpperCase()}_PORT_${port}`,
      `${port}`,
    ]);
    return {
      ...Object.fromEntries(asked),
      ...Object.fromEntries(ports),
      CONTAINER_ID: String(spec.id),
      CONTAINER_API_KEY: spec.apiKey,
      VAST_CONTAINERLABEL: `C.${spec.id}`,
      PUBLIC_IPADDR: PUBLIC_IP,
      GPU_COUNT: String(spec.gpuCount),
      DATA_DIRECTORY: join(folder, "workspace"),
      SONECA_HOME: join(folder, "agent"),
      HOME: join(folder, "home"),
      ...(options.tunnelEdge && { SONECA_FAKE_EDGE: options.tunnelEdge }),
      ...(options.clock && {
        NODE_OPTIONS: [spec.env.NODE_OPTIONS, `--import=${pathToFileURL(join(folder, "bin", "clock.mjs"))}`]
          .filter(Boolean)
          .join(" "),
      }),
      PATH: [join(folder, "bin"), dirname(process.execPath), "/usr/local/bin", "/usr/bin", "/bin"].join(delimiter),
    };
  };

  const machines: Machines = {
    folderOf,

    prepare(spec) {
      const folder = folderOf(spec.id);
      mkdirSync(folder, { recursive: true });
      if (options.diskBytes !== undefined) mountDisk(folder, options.diskBytes);
      for (const part of ["workspace", "home", "agent", "bin"]) mkdirSync(join(folder, part), { recursive: true });
      const loadFile = join(folder, "gpu-load");
      const smi = buildNvidiaSmi({ machineId: spec.machineId, gpu: spec.gpu, gpuCount: spec.gpuCount, loadFile });
      writeFileSync(join(folder, "bin", "nvidia-smi"), smi, { mode: 0o755 });
      if (options.tunnelEdge) writeCloudflared(join(folder, "bin"));
      if (options.clock) writeFileSync(join(folder, "bin", "clock.mjs"), buildClock(folder));
      if (!exists(loadFile)) writeFileSync(loadFile, "idle\n".repeat(spec.gpuCount));
      if (isOwnOnstart(spec.onstart)) writeFileSync(join(folder, "onstart.sh"), spec.onstart, { mode: 0o700 });
      else rmSync(join(folder, "onstart.sh"), { force: true });
    },

    start(spec) {
      machines.prepare(spec);
      const folder = folderOf(spec.id);
      if (spec.onstart && !isOwnOnstart(spec.onstart)) {
        machines.note(spec.id, `onstart is kept but not run: it does not begin with "${ONSTART_MARK}"`);
      }
      const log = openSync(join(folder, "log"), "a");
      const child = spawn("/bin/sh", ["-c", INIT, "machine-init", join(folder, "onstart.sh")], {
        cwd: join(folder, "workspace"),
        env: environmentOf(spec),
        detached: true,
        stdio: ["ignore", log, log],
      });
      closeSync(log);
      child.on("error", () => {});
      child.unref();
      if (child.pid === undefined) throw new Error(`machine ${spec.id}: no process could be started`);
      return { pid: child.pid, startTime: readStat(child.pid)?.startTime ?? 0 };
    },

    isAlive(ref) {
      if (!ref) return false;
      const stat = readStat(ref.pid);
      return stat !== null && stat.state !== "Z" && stat.startTime === ref.startTime;
    },

    processes: (id) => findProcesses(id, folderOf(id), null),

    async kill(id, init) {
      for (let round = 0; ; round++) {
        const found = findProcesses(id, folderOf(id), machines.isAlive(init) ? init : null);
        if (found.length === 0) return;
        if (round > 500) throw new Error(`machine ${id}: processes ${found.map((one) => one.pid)} do not die`);
        for (const { pid } of found) {
          signal(pid, "SIGKILL");
          signal(pid, "SIGCONT");
        }
        await sleep(Math.min(5 + round * 5, 100));
      }
    },

    signal(id, name, whom) {
      const fits = ({ pid, argv }: MachineProcess) => {
        if (whom === "all") return true;
        if (typeof whom === "object") return "pid" in whom ? pid === whom.pid : argv.join(" ").includes(whom.match);
        const shell = /^(sh|bash|dash|ash|busybox|setsid|nohup)$/.test(basename(argv[0] ?? ""));
        return !shell && argv.some((word) => basename(word) === "soneca-agent.mjs");
      };
      const found = machines.processes(id).filter(fits);
      for (const { pid } of found) signal(pid, name);
      return found.map(({ pid }) => pid);
    },

    async remove(id, init) {
      await machines.kill(id, init);
      unmountDisk(folderOf(id));
      await removeFolder(folderOf(id));
    },

    exec(spec, argv, { stdin = "", timeoutMs = 120_000 } = {}) {
      return runInMachine(argv, join(folderOf(spec.id), "workspace"), environmentOf(spec), stdin, timeoutMs);
    },

    readGpuLoad(id) {
      return readFileSync(join(folderOf(id), "gpu-load"), "utf8")
        .split("\n")
        .filter(Boolean);
    },

    writeGpuLoad(id, lines) {
      const file = join(folderOf(id), "gpu-load");
      writeFileSync(`${file}.new`, `${lines.join("\n")}\n`);
      renameSync(`${file}.new`, file);
    },

    fillDisk: (id, freeBytes) => fillDisk(folderOf(id), freeBytes),
    readClock: (id) => (options.clock ? readClock(folderOf(id)) : null),
    setClock: (id, offsetMs) => writeClock(folderOf(id), offsetMs),

    readLog(id, tail) {
      const file = join(folderOf(id), "log");
      const text = exists(file) ? readFileSync(file, "utf8") : "";
      if (tail === undefined) return text;
      const lines = text.split("\n");
      const ended = lines.at(-1) === "" ? 1 : 0;
      return lines.slice(Math.max(0, lines.length - ended - tail)).join("\n");
    },

    note(id, text) {
      try {
        mkdirSync(folderOf(id), { recursive: true });
        writeFileSync(join(folderOf(id), "log"), `${new Date().toISOString()} [machine] ${text}\n`, { flag: "a" });
      } catch {
        // Its disk is full.
      }
    },
  };
  return machines;
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

interface Stat {
  state: string;
  parent: number;
  session: number;
  startTime: number;
}

/** null when there is no such process. */
export function readStat(pid: number): Stat | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return null;
  }
  // The second field is the name in brackets and may itself hold blanks and brackets.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0]!, parent: Number(fields[1]), session: Number(fields[3]), startTime: Number(fields[19]) };
}

function readWords(pid: number, file: "environ" | "cmdline"): string[] {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1").split("\0");
  } catch {
    return [];
  }
}

/**
 * Whether an environment is that of the machine. Two stand-ins may hand out the same number, so a folder named there
 * must be this machine's.
 */
function belongs(words: string[], id: number, folder: string): boolean {
  if (!words.includes(`CONTAINER_ID=${id}`)) return false;
  const data = words.find((word) => word.startsWith("DATA_DIRECTORY="));
  const home = words.find((word) => word.startsWith("SONECA_HOME="));
  const path = Buffer.from(folder).toString("latin1");
  if (data === undefined && home === undefined) return words.some((word) => word.includes(`${path}/`));
  return data === `DATA_DIRECTORY=${path}/workspace` || home === `SONECA_HOME=${path}/agent`;
}

function findProcesses(id: number, folder: string, init: ProcessRef | null): MachineProcess[] {
  const stats = new Map<number, Stat>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) && pid !== process.pid ? readStat(pid) : null;
    if (stat && stat.state !== "Z" && stat.state !== "X") stats.set(pid, stat);
  }
  const ours = new Set<number>();
  for (const [pid, stat] of stats) {
    if ((init && stat.session === init.pid) || belongs(readWords(pid, "environ"), id, folder)) ours.add(pid);
  }
  for (let grew = true; grew; ) {
    grew = false;
    for (const [pid, stat] of stats) {
      if (!ours.has(pid) && ours.has(stat.parent)) {
        ours.add(pid);
        grew = true;
      }
    }
  }
  return [...ours].sort((a, b) => a - b).map((pid) => ({ pid, argv: readWords(pid, "cmdline").slice(0, -1) }));
}

/** A workspace may hold folders without rights for their owner; for root the first try does it. */
async function removeFolder(folder: string): Promise<void> {
  for (let round = 0; ; round++) {
    try {
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
      return;
    } catch (error) {
      if (round >= 3) throw error;
      await new Promise((done) => spawn("/bin/chmod", ["-R", "u+rwX", folder], { stdio: "ignore" }).on("close", done));
    }
  }
}

function runInMachine(
  argv: string[],
  cwd: string,
  env: Record<string, string>,
  stdin: string,
  timeoutMs: number,
): Promise<ExecResult> {
  return new Promise((resolve) => {
    const child = spawn(argv[0]!, argv.slice(1), { cwd, env, detached: true });
    const chunks: Record<"stdout" | "stderr", Buffer[]> = { stdout: [], stderr: [] };
    let bytes = 0;
    for (const name of ["stdout", "stderr"] as const) {
      child[name].on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= EXEC_OUTPUT_BYTES) chunks[name].push(chunk);
      });
    }
    const text = (name: "stdout" | "stderr") => Buffer.concat(chunks[name]).toString("utf8");
    const timer = setTimeout(() => child.pid && signal(-child.pid, "SIGKILL"), timeoutMs);
    const finish = (code: number | null, signal: string | null, extra = "") => {
      clearTimeout(timer);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ code, signal, stdout: text("stdout"), stderr: text("stderr") + extra });
    };
    child.on("error", (error) => finish(127, null, `${error.message}\n`));
    child.on("close", (code, signal) => finish(code, signal));
    // A command may leave something in the background that keeps the pipes open: its own end is what counts.
    child.on("exit", (code, signal) => setTimeout(() => finish(code, signal), 500));
    child.stdin.on("error", () => {});
    child.stdin.end(stdin);
  });
}
