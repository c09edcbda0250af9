/** The folder that is restored into: makes the folders of the tree, and looks at what lies there already. */
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync, statfsSync, unlinkSync } from "node:fs";
import type { Entry } from "../../core/snapshot/tree.ts";
import type { Folders } from "../fs/folders.ts";
import { fsPath, textOfBytes } from "../fs/paths.ts";
import type { Breather } from "./breather.ts";
import { sha256Hex } from "./primitives.ts";
import { Stop } from "./stop.ts";
import { isGone } from "./walk.ts";

const leftover = /^\.soneca-[0-9a-f]{16}\.part$/;

/** Where a big file grows until it is whole: beside its place, the same name in every run, and no entry's own name. */
export function tempPathOf(path: string, isEntry: (path: string) => boolean): string {
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  for (let n = 0; ; n++) {
    const temp = `${folder}.soneca-${sha256Hex(Buffer.from(`${n}/${path}`, "latin1")).slice(0, 16)}.part`;
    if (!isEntry(temp)) return temp;
  }
}

export interface Prepared {
  /** Folders that were there before: only they can hold anything. */
  old: Set<string>;
}

/** Makes every folder of the tree, each writable for us until its own mode comes at the end. */
export async function makeFolders(folders: Folders, entries: Entry[], breather: Breather): Promise<Prepared> {
  const old = new Set<string>();
  for (const { path, type } of entries) {
    if (type !== "d") continue;
    if (breather.due) await breather.rest();
    const at = folders.at(path);
    const there = path === "" ? lstatSync(fsPath(`${at}/.`)) : statOrNull(at);
    if (there && !there.isDirectory()) unlinkSync(fsPath(at));
    if (there?.isDirectory()) {
      old.add(path);
      if (path !== "" && (there.mode & 0o700) !== 0o700) chmodSync(fsPath(at), 0o700);
    } else {
      mkdirSync(fsPath(at), 0o700);
    }
  }
  return { old };
}

/** Removes what earlier runs left unfinished, and with `deleteExtras` what the tree does not have. Returns how many extras stay. */
export async function clearExtras(
  folders: Folders,
  prepared: Prepared,
  isEntry: (path: string) => boolean,
  isTemp: (path: string) => boolean,
  deleteExtras: boolean,
  breather: Breather,
): Promise<number> {
  let extras = 0;
  for (const folder of prepared.old) {
    if (breather.due) await breather.rest();
    for (const name of readdirSync(fsPath(folders.at(folder)), { encoding: "latin1" })) {
      const path = folder === "" ? name : `${folder}/${name}`;
      if (isEntry(path) || isTemp(path)) continue;
      if (deleteExtras || leftover.test(name)) rmSync(fsPath(folders.at(path)), { recursive: true, force: true });
      else extras++;
    }
  }
  return extras;
}

/** Takes away what lies where another thing must be. Errors: Stop `restore_conflict` for a folder that is not empty. */
export function removeInTheWay(folders: Folders, path: string, deleteExtras: boolean): void {
  const at = fsPath(folders.at(path));
  const there = statOrNull(folders.at(path));
  if (!there) return;
  if (!there.isDirectory()) {
    unlinkSync(at);
    return;
  }
  try {
    rmSync(at, { recursive: deleteExtras, force: true });
  } catch {
    try {
      // An empty folder goes; anything in it is the user's.
      rmSync(at, { recursive: readdirSync(at).length === 0, force: true });
    } catch {
      throw new Stop(
        "restore_conflict",
        `A folder lies where the snapshot has another thing: ${textOfBytes(path)}.`,
        false,
        [textOfBytes(path)],
      );
    }
  }
}

export function checkSpace(root: string, neededBytes: number, neededEntries: number): void {
  const { bavail, bsize, ffree, files } = statfsSync(fsPath(root));
  if (neededBytes > bavail * bsize) {
    throw new Stop("no_space", `The restore needs ${neededBytes} more bytes; ${bavail * bsize} are free.`, true);
  }
  if (files > 0 && neededEntries > ffree)
    throw new Stop("no_space", `The restore needs ${neededEntries} more inodes; ${ffree} are free.`, true);
}

function statOrNull(path: string) {
  try {
    return lstatSync(fsPath(path));
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}
