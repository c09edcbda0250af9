/**
 * What the stand-in remembers across its own death: contracts and the bill. One JSON file, replaced whole by rename, so
 * that a SIGKILL at any moment leaves the old or the new one.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { BillRow, Meter } from "./bill.ts";

export interface ProcessRef {
  pid: number;
  /** Field 22 of /proc/PID/stat: tells this process from a later one with the same pid. */
  startTime: number;
}

/** A boot that does not end well: the fault's name and the shape that it took. */
export interface BootFault {
  name: "boot_never" | "boot_gpu_error" | "boot_host_error" | "boot_image_error" | "boot_exited";
  variant: string;
}

/**
 * booting -> running -> stopped -> booting ...; queued is "wants to run, no GPU"; offline is a host that died and may
 * come back; destroying ends in absence.
 */
export type Stage = "booting" | "running" | "stopped" | "interrupted" | "queued" | "offline" | "destroying";

export interface Contract {
  id: number;
  offerId: number;
  label: string | null;
  apiKey: string;
  image: string;
  diskGb: number;
  env: Record<string, string>;
  onstart: string | null;
  runtype: string;
  createdAt: number;
  /** Before this moment the provider does not show it yet. */
  listedAt: number;
  stage: Stage;
  bootAt: number;
  bootFault: BootFault | null;
  /** From this boot's beginning to running. */
  bootMs: number;
  runningAt: number | null;
  /** For queued: when a GPU will be free; for destroying: when it may vanish. */
  dueAt: number | null;
  /** A stop or a destroy that was accepted and is not done before this moment. */
  pending: { act: "stop" | "destroy"; at: number } | null;
  /** GPUs, $/h, as it was rented. */
  dphBase: number;
  /** Ports of the switch by the ports of this host that the machine was told of. */
  links: Record<string, number>;
  process: ProcessRef | null;
  meter: Meter;
}

export interface State {
  version: 2;
  nextId: number;
  contracts: Contract[];
  /** Finished rows, oldest first; only ever appended to. */
  bill: BillRow[];
}

const fileOf = (stateDir: string) => join(stateDir, "vast.json");

export function loadState(stateDir: string, firstId: number): State {
  mkdirSync(stateDir, { recursive: true });
  let text: string;
  try {
    text = readFileSync(fileOf(stateDir), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return { version: 2, nextId: firstId, contracts: [], bill: [] };
  }
  const state = JSON.parse(text) as State;
  if (state.version !== 2) {
    throw new Error(
      `${fileOf(stateDir)} is of version ${state.version}, this program knows 2: begin with a new state (--fresh)`,
    );
  }
  return state;
}

export function saveState(stateDir: string, state: State): void {
  const temporary = `${fileOf(stateDir)}.new`;
  const file = openSync(temporary, "w", 0o600);
  writeSync(file, JSON.stringify(state));
  fsyncSync(file);
  closeSync(file);
  renameSync(temporary, fileOf(stateDir));
}
