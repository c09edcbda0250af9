/**
 * When an unchanged time means unchanged bytes. A store through a shared mapping sets a file's times only where it finds the
 * page clean; every later one to that page, until it is written back, sets nothing. A sync writes pages back, so what
 * changes after it shows: a time from before it is true, a later one may hide more stores. Where nothing is ever written back, in
 * memory file systems, no time is.
 */
import { lstatSync, statfsSync } from "node:fs";
import type { Mount } from "../fs/mounts.ts";
import { type OpenFileSystem, syncFileSystem } from "../fs/native.ts";
import { fsPath } from "../fs/paths.ts";
import type { Found } from "./walk.ts";

const racyMs = 2000;
const tmpfs = 0x01021994;
const ramfs = 0x858458f6;

export class Stillness {
  readonly #syncedAt: number | null;
  /** Devices on which a file's times do not tell of every store. */
  readonly #blind: ReadonlySet<number>;

  /** `syncedAt`: when the sync began, epoch ms; null where it failed. */
  constructor(syncedAt: number | null, blind: ReadonlySet<number> = new Set()) {
    this.#syncedAt = syncedAt;
    this.#blind = blind;
  }

  get isSynced(): boolean {
    return this.#syncedAt !== null;
  }

  /**
   * Whether it counts as unchanged for as long as its stamp stays. What changed within two seconds of that moment does
   * not, nor what lies in the future: clocks of file systems are coarse. `readAt`: when its reading began, epoch ms.
   */
  hasRested({ type, newestMs, stamp }: Found, readAt: number): boolean {
    if (type !== "f") return newestMs <= readAt - racyMs;
    if (this.#syncedAt === null || this.#blind.has(stamp[0]!)) return false;
    return newestMs <= Math.min(readAt, this.#syncedAt) - racyMs;
  }
}

/** Each file system writes its own pages back. `mounts`: those below `root`. `opened`: the one of `root`, where it is open already. */
export async function syncAll(root: string, mounts: Mount[], opened?: OpenFileSystem): Promise<Stillness> {
  const syncedAt = Date.now();
  const blind = new Set<number>();
  const isSynced = await (opened?.sync() ?? syncFileSystem(root));
  noteBlind(root, isSynced, blind);
  for (const { path, isPseudo } of mounts)
    if (!isPseudo) noteBlind(`${root}/${path}`, await syncFileSystem(`${root}/${path}`), blind);
  return new Stillness(isSynced ? syncedAt : null, blind);
}

function noteBlind(path: string, isSynced: boolean, blind: Set<number>): void {
  try {
    if (!isSynced || isInMemory(path)) blind.add(lstatSync(fsPath(path)).dev);
  } catch {
    // It is gone, or nobody can look into it: then it has no files to be believed.
  }
}

/** Whether the file system of `path` has no disk. */
export function isInMemory(path: string): boolean {
  const type = statfsSync(fsPath(path)).type >>> 0;
  return type === tmpfs || type === ramfs;
}
