/**
 * Commands that hold the machine awake. Each is a file in `$SONECA_HOME/held` that names its processes; it holds for as
 * long as one of them lives, whatever becomes of the file's writer, of the agent or of the network.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, watch } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import type { Held } from "../core/protocol/wire.ts";
import { isAlive, type ProcessRef, readBootId, readStat } from "./proc.ts";
import { writeWhole } from "./whole-file.ts";

const MAX_HELD = 16;
const fileSchema = z.object({
  command: z.string(),
  bootId: z.string(),
  processes: z.array(z.object({ pid: z.number().int(), startTime: z.number() })).min(1),
});

function folderOf(home: string): string {
  return join(home, "held");
}

/** What holds the machine now. A file whose processes have ended is removed; one that cannot be read is left alone. */
export function readHeld(home: string): Held[] {
  const bootId = readBootId();
  const held: Held[] = [];
  for (const name of list(folderOf(home))) {
    const id = /^([\w-]{1,64})\.json$/.exec(name)?.[1];
    const file = id && readFile(join(folderOf(home), name));
    if (!id || !file) continue;
    if (file.bootId === bootId && file.processes.some(isAlive)) held.push({ id, what: file.command.slice(0, 200) });
    else rmSync(join(folderOf(home), name), { force: true });
  }
  return held.slice(0, MAX_HELD);
}

export interface Hold {
  /** Another process that holds it. */
  add(pid: number): void;
  end(): void;
}

/** Holds from now on by this process. Errors: what the file system throws. */
export function beginHold(home: string, id: string, command: string): Hold {
  const folder = folderOf(home);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `${id}.json`);
  const processes: ProcessRef[] = [];
  const add = (pid: number) => {
    const startTime = readStat(pid)?.startTime;
    if (startTime === undefined) return;
    processes.push({ pid, startTime });
    writeWhole(path, JSON.stringify({ command, bootId: readBootId(), processes }));
  };
  add(process.pid);
  return { add, end: () => rmSync(path, { force: true }) };
}

/** Calls back when a hold may have begun or ended: so the control plane hears of it before the next beat is due. */
export function watchHeld(home: string, onChange: () => void): { close(): void } {
  try {
    mkdirSync(folderOf(home), { recursive: true, mode: 0o700 });
    const watcher = watch(folderOf(home), { persistent: false }, onChange);
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    // Only slower: every beat reads the folder.
    return { close() {} };
  }
}

function readFile(path: string): z.infer<typeof fileSchema> | null {
  try {
    return fileSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return null;
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
