/**
 * Ways to the folders of a tree. A folder is opened from its parent without following symlinks and then named
 * `/proc/self/fd/N`, so a path of any length works and nothing that turns into a symlink can lead out of the root.
 */
import { closeSync, constants, existsSync, openSync } from "node:fs";
import { parentOf } from "../../core/snapshot/tree.ts";
import { type Mount, mountsBelow } from "./mounts.ts";
import { fsPath } from "./paths.ts";

const oPath = 0o10000000;
const folderFlags = oPath | constants.O_DIRECTORY;
const maxOpen = 256;
const hasFdPaths = process.platform === "linux" && existsSync("/proc/self/fd");
/** Leaves room for a name of 255 bytes below Linux's PATH_MAX of 4096. */
const plainPathBytes = 3800;

const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);

export class Folders {
  readonly #root: string;
  readonly #always: boolean;
  readonly #open = new Map<string, number>();
  #pinned: string | null = null;
  #mounts: Mount[] | null = null;

  /** `root`: byte string. `always`: false takes the plain path where it is short enough, which is faster. */
  constructor(root: string, always: boolean) {
    this.#root = root;
    this.#always = always;
  }

  /** The entry's path for the next synchronous call, as a byte string. */
  at(path: string): string {
    if (path === "") return this.#root || "/";
    const plain = `${this.#root}/${path}`;
    if (!hasFdPaths || (!this.#always && plain.length < plainPathBytes)) return plain;
    return `/proc/self/fd/${this.#fdOf(parentOf(path))}/${nameOf(path)}`;
  }

  /** For calls that want two paths: the way to the first stays open while that to the second is found. */
  both(first: string, second: string): [string, string] {
    const a = this.at(first);
    this.#pinned = parentOf(first);
    try {
      return [a, this.at(second)];
    } finally {
      this.#pinned = null;
    }
  }

  /** Whether another file system is mounted at or below the path; what is inside it is not the tree's to remove. */
  holdsMount(path: string): boolean {
    this.#mounts ??= mountsBelow(this.#root);
    return this.#mounts.some((mount) => mount.path === path || mount.path.startsWith(`${path}/`));
  }

  #fdOf(folder: string): number {
    // From the deepest folder that is open down to this one; not by recursion, as a tree may be 30,000 levels deep.
    const closed: string[] = [];
    let way = folder;
    let fd = this.#use(way);
    while (fd === undefined && way !== "") {
      closed.push(way);
      way = parentOf(way);
      fd = this.#use(way);
    }
    if (fd === undefined) fd = this.#keep("", openSync(fsPath(this.#root || "/"), folderFlags));
    for (let next = closed.pop(); next !== undefined; next = closed.pop()) {
      fd = this.#keep(
        next,
        openSync(fsPath(`/proc/self/fd/${fd}/${nameOf(next)}`), folderFlags | constants.O_NOFOLLOW),
      );
    }
    return fd;
  }

  #use(folder: string): number | undefined {
    const fd = this.#open.get(folder);
    if (fd !== undefined) {
      this.#open.delete(folder);
      this.#open.set(folder, fd);
    }
    return fd;
  }

  #keep(folder: string, fd: number): number {
    this.#open.set(folder, fd);
    for (const [oldest, oldFd] of this.#open) {
      if (this.#open.size <= maxOpen) break;
      if (oldest === this.#pinned) continue;
      this.#open.delete(oldest);
      closeSync(oldFd);
    }
    return fd;
  }

  /** After a folder was replaced by another. */
  forget(): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
  }

  close(): void {
    this.forget();
  }
}
