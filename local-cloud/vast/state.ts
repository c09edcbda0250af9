/**
 * What the stand-in remembers across its own death: contracts and the bill. One JSON file, replaced whole by rename, so
 * that a SIGKILL at any moment leaves the old or the new one.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";

export interface ProcessRef {
  pid: number;
  /** Field 22 of /proc/PID/stat: tells this process from a later one with the same pid. */
  startTime: number;
}

export type BootFault = "never" | "gpu_error" | "image_error" | "exited";

/**
 * booting -> running -> stopped -> booting ...; queued is "wants to run, no GPU"; destroying ends in absence.
 */
export type Stage = "booting" | "running" | "stopped" | "interrupted" | "queued" | "destroying";

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
  runningAt: number | null;
  /** For queued: when a GPU will be free; for destroying: when it may vanish. */
  dueAt: number | null;
  process: ProcessRef | null;
  meter: Meter;
}

/** The GPU is charged while the machine runs, the disk from creation until the machine is gone. */
export interface Meter {
  startedAt: number;
  endedAt: number | null;
  gpuMs: number;
  gpuSince: number | null;
  gpu: string;
  dph: number;
  diskDph: number;
}

export interface BillRow {
  id: number;
  label: string | null;
  gpu: string;
  startedAt: number;
  endedAt: number | null;
  gpuSeconds: number;
  diskSeconds: number;
  /** GPUs, $/h. */
  dph: number;
  diskDph: number;
  usd: number;
}

export interface State {
  version: 1;
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
    return { version: 1, nextId: firstId, contracts: [], bill: [] };
  }
  const state = JSON.parse(text) as State;
  if (state.version !== 1) throw new Error(`${fileOf(stateDir)} is of version ${state.version}, this program knows 1`);
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

export function startMeter(meter: Meter, now: number): void {
  meter.gpuSince ??= now;
}

export function pauseMeter(meter: Meter, now: number): void {
  if (meter.gpuSince !== null) meter.gpuMs += Math.max(0, now - meter.gpuSince);
  meter.gpuSince = null;
}

export function readMeter(contract: Contract, now: number): BillRow {
  const { meter } = contract;
  const end = meter.endedAt ?? now;
  const gpuMs = meter.gpuMs + (meter.gpuSince === null ? 0 : Math.max(0, end - meter.gpuSince));
  const gpuSeconds = Math.round(gpuMs / 1000);
  const diskSeconds = Math.round((end - meter.startedAt) / 1000);
  return {
    id: contract.id,
    label: contract.label,
    gpu: meter.gpu,
    startedAt: meter.startedAt,
    endedAt: meter.endedAt,
    gpuSeconds,
    diskSeconds,
    dph: meter.dph,
    diskDph: meter.diskDph,
    usd: Number(((gpuSeconds * meter.dph + diskSeconds * meter.diskDph) / 3600).toFixed(6)),
  };
}
