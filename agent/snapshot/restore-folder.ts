/** The folder that is restored into: makes the folders of the tree, and looks at what lies there already. */
import { lstatSync, mkdirSync, readdirSync, statfsSync, unlinkSync } from "node:fs";
import type { Entry } from "../../core/snapshot/tree.ts";
import { chmodNoFollow } from "../fs/chmod.ts";
import { clearFlags } from "../fs/flags.ts";
import type { Folders } from "../fs/folders.ts";
import { fsPath, textOfBytes } from "../fs/paths.ts";
import { removeTree } from "../fs/remove.ts";
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
    if (there) loosen(at, path);
    if (there && !there.isDirectory()) unlinkSync(fsPath(at));
    if (there?.isDirectory()) {
      old.add(path);
      if (path !== "" && (there.mode & 0o700) !== 0o700) chmodNoFollow(at, 0o700);
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
      const isKept = isEntry(path) || isTemp(path);
      if (isKept) loosen(folders.at(path), path);
      else if ((deleteExtras || leftover.test(name)) && !folders.holdsMount(path)) removeTree(folders, path);
      else extras++;
    }
  }
  return extras;
}

/** Takes away what lies where another thing must be. Errors: Stop `restore_conflict` for a folder that is not empty. */
export function removeInTheWay(folders: Folders, path: string, deleteExtras: boolean): void {
  const at = folders.at(path);
  const there = statOrNull(at);
  if (!there) return;
  // Anything in a folder is the user's.
  if (folders.holdsMount(path) || (there.isDirectory() && !deleteExtras && !isEmpty(at))) {
    const text = textOfBytes(path);
    throw new Stop("restore_conflict", `A folder lies where the snapshot has another thing: ${text}.`, false, [text]);
  }
  removeTree(folders, path);
}

function isEmpty(at: string): boolean {
  return readdirSync(fsPath(at), { encoding: "latin1" }).length === 0;
}

/** Takes immutable and append-only flags away, which would refuse every change. They come back at the end of the restore. */
function loosen(at: string, path: string): void {
  try {
    clearFlags(at);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EPERM" && code !== "EACCES") throw error;
    const text = textOfBytes(path) || ".";
    const message = `${text} is immutable or append-only (chattr), and this process may not change that.`;
    throw new Stop("restore_conflict", message, false, [text]);
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
