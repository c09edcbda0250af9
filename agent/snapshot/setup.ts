/** What every run begins with: the two folders, checked, and the caches in them. */
import { mkdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { isInstanceName } from "../../core/snapshot/store.ts";
import { Folders } from "../fs/folders.ts";
import { bytesOfText, fsPath, textOfBytes } from "../fs/paths.ts";
import { Rate } from "./rate.ts";
import { lockState } from "./state-lock.ts";
import { Stop } from "./stop.ts";
import type { OnProgress, SnapshotProgress } from "./types.ts";

export interface Ground {
  /** Byte strings, symlinks resolved. */
  root: string;
  stateDir: string;
  folders: Folders;
  close(): void;
}

/**
 * `always`: every path goes through the file descriptor of its folder. Holds the state folder until `close`.
 * Errors: Stop `usage`-like codes, `state_in_use`.
 */
export function openGround(rootText: string, stateText: string, id: string, always: boolean): Ground {
  if (!isInstanceName(id))
    throw new Stop(
      "id_invalid",
      `${JSON.stringify(id)} is not a name: letters, digits, ".", "_", "-", at most 64.`,
      false,
    );
  const root = realFolder(rootText, "root");
  checkOutside(realPlace(resolve(stateText)), root);
  try {
    mkdirSync(stateText, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Stop("state_unwritable", `The state folder cannot be made: ${(error as Error).message}.`, false);
  }
  const stateDir = realFolder(stateText, "state folder");
  checkOutside(stateDir, root);
  const release = lockState(stateDir, id);
  const folders = new Folders(root === "/" ? "" : root, always);
  const close = () => {
    folders.close();
    release();
  };
  return { root, stateDir, folders, close };
}

function checkOutside(stateDir: string, root: string): void {
  if (stateDir !== root && !stateDir.startsWith(root === "/" ? "/" : `${root}/`)) return;
  throw new Stop(
    "state_inside_root",
    `The state folder ${textOfBytes(stateDir)} lies inside ${textOfBytes(root)}; choose one outside.`,
    false,
  );
}

/** Where an absolute path that may not be there yet will be, so that nothing is made inside a workspace. */
function realPlace(text: string): string {
  try {
    return realpathSync(fsPath(bytesOfText(text)), { encoding: "latin1" as "utf8" });
  } catch {
    const parent = dirname(text);
    if (parent === text) return text;
    return `${realPlace(parent).replace(/\/$/, "")}/${bytesOfText(basename(text))}`;
  }
}

function realFolder(text: string, what: string): string {
  try {
    const path = realpathSync(fsPath(bytesOfText(text)), { encoding: "latin1" as "utf8" });
    if (statSync(fsPath(path)).isDirectory()) return path;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  throw new Stop("not_a_folder", `The ${what} ${text} is not a folder.`, false);
}

export function newProgress(): SnapshotProgress {
  return {
    phase: "start",
    entries: 0,
    files: 0,
    plainBytes: 0,
    doneBytes: 0,
    reusedBytes: 0,
    storedBytes: 0,
    sentBytes: 0,
    partsDone: 0,
    partsTotal: 0,
    bytesPerSecond: 0,
    etaMs: null,
  };
}

const reportMs = 250;

/** Tells about `progress` at most four times a second; a new phase at once. */
export class Reporter {
  readonly progress = newProgress();
  readonly #onProgress: OnProgress | undefined;
  readonly #done = new Rate();
  readonly #sent = new Rate();
  #toldAt = -reportMs;

  constructor(onProgress: OnProgress | undefined) {
    this.#onProgress = onProgress;
  }

  phase(phase: string): void {
    this.progress.phase = phase;
    this.tell();
  }

  readonly step = (): void => {
    if (performance.now() - this.#toldAt >= reportMs) this.tell();
  };

  tell(): void {
    const now = performance.now();
    this.#toldAt = now;
    if (!this.#onProgress) return;
    const { progress } = this;
    const { plainBytes, doneBytes, reusedBytes, storedBytes, sentBytes } = progress;
    this.#done.add(now, doneBytes - reusedBytes);
    this.#sent.add(now, sentBytes);
    progress.bytesPerSecond = Math.round(this.#done.perSecond ?? 0);
    progress.etaMs = laterOf(this.#done.msFor(plainBytes - doneBytes), this.#sent.msFor(storedBytes - sentBytes));
    this.#onProgress({ ...progress });
  }
}

function laterOf(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : Math.max(a, b);
}
