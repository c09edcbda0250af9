/** The programs that are measured, each as its user would call it, with a store and caches in a folder of the bench. */
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { listFiles } from "./data/day.ts";
import type { Command } from "./measure.ts";

export type ToolName = "soneca" | "restic" | "borg" | "tar-zstd" | "tar-zstd-T0";

/** Where one tool works: everything it writes lies below these. */
export interface Place {
  store: string;
  /** Caches and state of the machine. */
  state: string;
}

export interface Tool {
  name: ToolName;
  /** As in tables. */
  label: string;
  version: string;
  /** Not measured. */
  prepare?(place: Place): Command;
  snapshot(place: Place, dir: string): Command;
  /** Brings the newest snapshot of `dir` back below the empty folder `into`, as a machine that never saw it. */
  restore(place: Place, dir: string, into: string): Command;
  /** Where `restore` puts the folder. */
  restoredRoot(dir: string, into: string): string;
  /** Reads every stored byte. restic and borg decode it as well: they have no check in between. */
  verify(place: Place): Command;
  /** Where that is a command of its own: also decodes every chunk and checks its hash. */
  verifyData?(place: Place): Command;
  /** Of the stored bytes, those that hold contents of files; where the tool's format tells. */
  dataPartBytes?(place: Place): number;
}

export type FoundTool = { ok: true; tool: Tool } | { ok: false; name: ToolName; label: string; why: string };

export interface ToolOptions {
  /** The bundle. */
  agent: string;
  /**
   * For a folder of hard cases: tar gets the flags that keep all it can, and a peer's exit code that says "not all of it"
   * is no failure, since what it lost is counted afterwards.
   */
  isHard?: boolean;
  /** Searched for the peers; PATH of the process when absent. */
  path?: string;
}

const makers = { soneca, restic, borg, "tar-zstd": tarZstd, "tar-zstd-T0": tarZstdAllCores };

export const toolNames = Object.keys(makers) as ToolName[];

export function findTools(options: ToolOptions, names: readonly ToolName[] = toolNames): FoundTool[] {
  return names.map((name) => makers[name](options));
}

/** The first line that `program args` prints; null when it does not run. */
function ask(options: ToolOptions, program: string, ...args: string[]): string | null {
  const env = { ...process.env, ...(options.path === undefined ? {} : { PATH: options.path }) };
  const run = spawnSync(program, args, { encoding: "utf8", env, timeout: 20_000 });
  return run.status === 0 ? (run.stdout || run.stderr).split("\n")[0]!.trim() : null;
}

const missing = (name: ToolName, label: string, packages: string): FoundTool => ({
  ok: false,
  name,
  label,
  why: `not installed; on Debian: apt-get install ${packages}`,
});

function soneca(options: ToolOptions): FoundTool {
  const [name, label] = ["soneca", "soneca"] as const;
  const { agent } = options;
  if (!existsSync(agent)) return { ok: false, name, label, why: `${agent} is not there; npm run build makes it` };
  const version = ask(options, process.execPath, agent, "--version");
  if (version === null) return { ok: false, name, label, why: `${agent} --version fails` };
  const run = (script: string, args: string[]): Command => ({
    script: `"$1" "$2" ${script} --json`,
    args: [process.execPath, agent, ...args],
  });
  const tool: Tool = {
    name,
    label,
    version: `${version}, node ${process.version}`,
    snapshot: (place, dir) =>
      run(`snapshot "$3" --id bench --store "$4" --state "$5"`, [dir, place.store, join(place.state, "machine")]),
    restore: (place, _dir, into) =>
      run(`restore bench "$3" --store "$4" --state "$5"`, [into, place.store, `${into}.state`]),
    restoredRoot: (_dir, into) => into,
    verify: (place) => run(`verify bench --store "$3"`, [place.store]),
    verifyData: (place) => run(`verify bench --store "$3" --data`, [place.store]),
    dataPartBytes: (place) => dataPartBytes(place.store),
  };
  return { ok: true, tool };
}

/** Parts begin with "SNP1", a version and their kind: 0 is data. */
function dataPartBytes(store: string): number {
  let sum = 0;
  const head = Buffer.alloc(6);
  for (const path of listFiles(store)) {
    const file = openSync(path, "r");
    const count = readSync(file, head, 0, 6, 0);
    if (count === 6 && head.toString("latin1", 0, 4) === "SNP1" && head[5] === 0) sum += fstatSync(file).size;
    closeSync(file);
  }
  return sum;
}

function restic(options: ToolOptions): FoundTool {
  const version = ask(options, "restic", "version");
  if (version === null) return missing("restic", "restic", "restic");
  const run = (script: string, place: Place, args: string[] = []): Command => ({
    script,
    args,
    env: { RESTIC_REPOSITORY: place.store, RESTIC_PASSWORD: "bench", RESTIC_CACHE_DIR: join(place.state, "cache") },
    goodExits: options.isHard ? [0, 1, 3] : [0],
  });
  const tool: Tool = {
    name: "restic",
    label: "restic",
    version,
    prepare: (place) => run("restic init --repository-version 2", place),
    snapshot: (place, dir) => run(`restic backup --quiet --compression auto --host bench "$1"`, place, [dir]),
    // Another cache: the machine that wakes has none.
    restore: (place, _dir, into) =>
      run(`RESTIC_CACHE_DIR="$2" restic restore latest --quiet --target "$1"`, place, [into, `${into}.state`]),
    restoredRoot: (dir, into) => join(into, dir),
    verify: (place) => run("restic check --read-data --quiet", place),
  };
  return { ok: true, tool };
}

function borg(options: ToolOptions): FoundTool {
  const version = ask(options, "borg", "--version");
  if (version === null) return missing("borg", "borg", "borgbackup");
  const run = (script: string, place: Place, args: string[] = [], cwd?: string): Command => ({
    script,
    args,
    cwd,
    env: {
      BORG_REPO: place.store,
      BORG_BASE_DIR: place.state,
      BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: "yes",
      BORG_RELOCATED_REPO_ACCESS_IS_OK: "yes",
    },
    goodExits: options.isHard ? [0, 1] : [0],
  });
  const tool: Tool = {
    name: "borg",
    label: "borg",
    version,
    prepare: (place) => run("borg init --encryption none", place),
    snapshot: (place, dir) => run(`borg create --compression zstd,3 "::$(date +%s%N)" .`, place, [], dir),
    restore: (place, _dir, into) =>
      run(`BORG_BASE_DIR="$1" borg extract --sparse "::$(borg list --last 1 --short)"`, place, [`${into}.state`], into),
    restoredRoot: (_dir, into) => into,
    verify: (place) => run("borg check --verify-data", place),
  };
  return { ok: true, tool };
}

function tarZstd(options: ToolOptions): FoundTool {
  return tar(options, "tar-zstd", "-3");
}

function tarZstdAllCores(options: ToolOptions): FoundTool {
  return tar(options, "tar-zstd-T0", "-3 -T0");
}

/** No memory of the last time: each snapshot writes the one archive anew. */
function tar(options: ToolOptions, name: ToolName, level: string): FoundTool {
  const label = `tar | zstd ${level}`;
  const [version, zstd] = [ask(options, "tar", "--version"), ask(options, "zstd", "--version")];
  if (version === null || zstd === null) return missing(name, label, "tar zstd");
  const make = options.isHard ? "tar --format=posix --xattrs --xattrs-include='*' --acls --sparse" : "tar";
  const take = options.isHard ? "tar --xattrs --xattrs-include='*' --acls" : "tar";
  const archive = (place: Place) => join(place.store, "archive.tar.zst");
  const tool: Tool = {
    name,
    label,
    version: `${version}; ${zstd.replace(/\*/g, "").trim()}`,
    snapshot: (place, dir) => ({
      script: `${make} -C "$1" -cf - . | zstd ${level} -q -f -o "$2"`,
      args: [dir, archive(place)],
      goodExits: options.isHard ? [0, 1, 2] : [0],
    }),
    restore: (place, _dir, into) => ({
      script: `zstd -q -d -c "$1" | ${take} --numeric-owner -C "$2" -xpf -`,
      args: [archive(place), into],
      goodExits: options.isHard ? [0, 1, 2] : [0],
    }),
    restoredRoot: (_dir, into) => into,
    verify: (place) => ({ script: `zstd -q -t "$1"`, args: [archive(place)] }),
  };
  return { ok: true, tool };
}
