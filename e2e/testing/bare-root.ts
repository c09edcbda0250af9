/**
 * Machines with next to nothing on them: a root file system of a handful of copied programs, in which process 1 is a
 * container's init. Root only: where a test may not do that, `mayChroot` is false.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { kill, otherPids, read } from "../../core/protocol/testing/processes.ts";
import { sleep } from "../../local-cloud/processes.ts";

export const mayChroot =
  process.getuid?.() === 0 && spawnSync("unshare", ["-mpf", "--mount-proc", "true"]).status === 0;

/** What a Debian without anything has; `perl` with what perl-base knows of sockets. */
const programs =
  "sh date mkdir chmod mv rm sleep tr sed head tail cat grep uname id cp ls tar gzip sha256sum setsid nohup mount df";
const perlLibrary = readPerlLibrary();

export interface BareOptions {
  /** Programs of `programs` that are missing. */
  without?: string[];
  hasPerl?: boolean;
  hasProc?: boolean;
  /** Runs before anything else, in the machine's own mount namespace. */
  mounts?: string;
  /** Number of the user in place of root. */
  user?: number;
}

export interface BareMachine {
  root: string;
  /** As a container's start would: process 1 with this environment, which runs `command` and stays. */
  boot(env: Record<string, string>, command: string): void;
  /** Every process of it is gone. */
  halt(): Promise<void>;
  /** Runs beside what runs. */
  exec(command: string, env?: Record<string, string>): Promise<{ status: number | null; output: string }>;
  read(path: string): string;
  processes(): { pid: number; argv: string[] }[];
  remove(): Promise<void>;
}

/** The bare programs once, for all machines of a test file. */
export function makeTemplate(): string {
  const root = mkdtempSync(join(tmpdir(), "soneca-bare-"));
  for (const folder of ["bin", "dev", "proc", "tmp", "root", "var/lib", "workspace", "etc", "usr"])
    mkdirSync(join(root, folder), { recursive: true });
  symlinkSync("../bin", join(root, "usr/bin"));
  for (const name of programs.split(" ")) addProgram(root, which(name));
  addProgram(root, "/usr/bin/perl");
  for (const folder of perlLibrary) cpSync(folder, join(root, folder), { recursive: true, dereference: true });
  addProgram(root, process.execPath, "/opt/bare/node");
  spawnSync("mknod", ["-m", "666", join(root, "dev/null"), "c", "1", "3"]);
  return root;
}

/** As nodejs.org has it, but that its node is the one of the template. */
export function packNode(name: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), "soneca-node-"));
  mkdirSync(join(folder, name, "bin"), { recursive: true });
  writeFileSync(join(folder, name, "bin/node"), '#!/bin/sh\nexec /opt/bare/node "$@"\n', { mode: 0o755 });
  const { stdout } = spawnSync("tar", ["-czf", "-", "-C", folder, name]);
  rmSync(folder, { recursive: true, force: true });
  return stdout;
}

export function makeBareMachine(template: string, options: BareOptions = {}): BareMachine {
  const { without = [], hasPerl = true, hasProc = true, mounts = "", user = 0 } = options;
  const root = mkdtempSync(join(tmpdir(), "soneca-bare-"));
  spawnSync("cp", ["-al", `${template}/.`, root]);
  chmodSync(root, 0o755);
  for (const name of [...without, ...(hasPerl ? [] : ["perl"])]) rmSync(join(root, "bin", name), { force: true });
  if (user !== 0)
    spawnSync("chown", ["-R", `${user}:${user}`, join(root, "workspace"), join(root, "tmp"), join(root, "root")]);
  let init: ChildProcess | null = null;
  const asUser = user === 0 ? [] : ["--setgid", `${user}`, "--setuid", `${user}`];
  const processes = () => listProcesses(root);
  const machine: BareMachine = {
    root,
    boot(env, command) {
      const proc = hasProc ? "mount -t proc proc /proc; " : "";
      const script = `${proc}${mounts}\n${user === 0 ? command : ""}\nwhile :; do sleep 3600; done`;
      init = spawn("unshare", ["-mpf", "--kill-child", "--root", root, "/bin/sh", "-c", script], {
        env: { PATH: "/bin", HOME: "/root", ...env },
        stdio: "ignore",
      });
    },
    async halt() {
      init?.kill("SIGKILL");
      while (processes().length > 0) {
        for (const { pid } of processes()) kill(pid);
        await sleep(10);
      }
      init = null;
    },
    exec(command, env = {}) {
      const first = processes()[0]?.pid;
      const argv = [...(first ? ["-t", `${first}`, "-m", "-p", `-r`, "-w"] : []), ...asUser, "/bin/sh", "-c", command];
      const child = spawn("nsenter", argv, { env: { PATH: "/bin", HOME: "/root", ...env }, timeout: 20_000 });
      let output = "";
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (data) => {
          output += data;
        });
      return new Promise((done) => child.on("exit", (status) => setTimeout(() => done({ status, output }), 20)));
    },
    read: (path) => (existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : ""),
    processes,
    async remove() {
      await machine.halt();
      rmSync(root, { recursive: true, force: true });
    },
  };
  return machine;
}

function listProcesses(root: string): { pid: number; argv: string[] }[] {
  return otherPids()
    .filter((pid) => linkOf(`/proc/${pid}/root`) === root)
    .map((pid) => ({ pid, argv: read(`/proc/${pid}/cmdline`).split("\0").slice(0, -1) }))
    .filter(({ argv }) => argv.length > 0);
}

function addProgram(root: string, from: string, to = `/bin/${from.split("/").at(-1)}`): void {
  copyTo(root, realpathSync(from), to);
  const listed = spawnSync("ldd", [realpathSync(from)], { encoding: "utf8" }).stdout;
  for (const [, path] of listed.matchAll(/(\/\S+) \(0x/g)) copyTo(root, realpathSync(path!), path!);
}

function copyTo(root: string, from: string, to: string): void {
  const at = join(root, to);
  if (existsSync(at)) return;
  mkdirSync(dirname(at), { recursive: true });
  copyFileSync(from, at);
}

function which(name: string): string {
  return spawnSync("/bin/sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();
}

/** perl-base's own folder: what a Debian always has. */
function readPerlLibrary(): string[] {
  const listed = spawnSync("/usr/bin/perl", ["-e", 'print join "\\n", grep { m{/perl-base$} } @INC'], {
    encoding: "utf8",
  });
  return (listed.stdout ?? "").split("\n").filter(Boolean);
}

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
