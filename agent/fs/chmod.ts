/** Node's chmod follows a symlink that takes the entry's place between two calls; this one cannot be led away. */
import { chmodSync, closeSync, constants, fstatSync, openSync } from "node:fs";
import { native } from "./native.ts";
import { fsPath } from "./paths.ts";

const oPath = 0o10000000;

/** `path`: byte string. Errors: throws a system error; `ELOOP` where a symlink lies there. */
export function chmodNoFollow(path: string, mode: number): void {
  if (native?.chmodNoFollow(path, mode)) return;
  const fd = openSync(fsPath(path), oPath | constants.O_NOFOLLOW);
  try {
    if (fstatSync(fd).isSymbolicLink()) throw Object.assign(new Error("ELOOP: chmod of a symlink"), { code: "ELOOP" });
    chmodSync(`/proc/self/fd/${fd}`, mode);
  } finally {
    closeSync(fd);
  }
}
