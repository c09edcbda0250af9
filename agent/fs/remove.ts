/** Removes whatever lies at a path: trees below PATH_MAX too, which `rmSync` cannot, and never through a symlink. */
import { lstatSync, readdirSync, rmdirSync, unlinkSync } from "node:fs";
import { chmodNoFollow } from "./chmod.ts";
import { clearFlags } from "./flags.ts";
import type { Folders } from "./folders.ts";
import { fsPath, textOfBytes } from "./paths.ts";

/**
 * `path`: byte string below the root of `folders`. Nothing there is no error. Errors: throws a system error; `EBUSY`,
 * before anything is removed, where another file system is mounted at or below the path.
 */
export function removeTree(folders: Folders, path: string): void {
  if (folders.holdsMount(path)) {
    const message = `EBUSY: a file system is mounted there, rmdir '${textOfBytes(path)}'`;
    throw Object.assign(new Error(message), { code: "EBUSY", syscall: "rmdir" });
  }
  const open: { path: string; names: string[] }[] = [];
  let hadFolder = false;
  const visit = (next: string) => {
    const at = folders.at(next);
    let isFolder: boolean;
    try {
      isFolder = lstatSync(fsPath(at)).isDirectory();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw error;
    }
    clearFlags(at);
    if (!isFolder) {
      unlinkSync(fsPath(at));
      return;
    }
    hadFolder = true;
    open.push({ path: next, names: namesOf(folders, next) });
  };
  visit(path);
  for (let last = open.at(-1); last; last = open.at(-1)) {
    const name = last.names.pop();
    if (name !== undefined) {
      visit(`${last.path}/${name}`);
      continue;
    }
    rmdirSync(fsPath(folders.at(last.path)));
    open.pop();
  }
  // Their descriptors lead to folders that are no more.
  if (hadFolder) folders.forget();
}

/** A folder that its owner may not read or change is opened up first. */
function namesOf(folders: Folders, path: string): string[] {
  const at = folders.at(path);
  if ((lstatSync(fsPath(at)).mode & 0o700) !== 0o700) chmodNoFollow(at, 0o700);
  return readdirSync(fsPath(at), { encoding: "latin1" });
}
