/**
 * Ways to the folders of a tree. A folder is opened from its parent without following symlinks and then named
 * `/proc/self/fd/N`, so a path of any length works and nothing that turns into a symlink can lead out of the root.
 */
import { closeSync, constants, existsSync, openSync } from "node:fs";
import { parentOf } from "../../core/snapshot/tree.ts";
import { fsPath } from "./paths.ts";

const oPath = 0o10000000;
const maxOpen = 256;
const hasFdPaths = process.platform === "linux" && existsSync("/proc/self/fd");
/** Leaves room for a name of 255 bytes below Linux's PATH_MAX of 4096. */
const plainPathBytes = 3800;

export class Folders {
  readonly #root: string;
  readonly #always: boolean;
  readonly #open = new Map<string, number>();

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
    const slash = path.lastIndexOf("/");
    return `/proc/self/fd/${this.#fdOf(slash < 0 ? "" : path.slice(0, slash))}/${path.slice(slash + 1)}`;
  }

  #fdOf(folder: string): number {
    const known = this.#open.get(folder);
    if (known !== undefined) {
      this.#open.delete(folder);
      this.#open.set(folder, known);
      return known;
    }
    const flags = oPath | constants.O_DIRECTORY | (folder === "" ? 0 : constants.O_NOFOLLOW);
    const way =
      folder === ""
        ? this.#root || "/"
        : `/proc/self/fd/${this.#fdOf(parentOf(folder))}/${folder.slice(folder.lastIndexOf("/") + 1)}`;
    const fd = openSync(fsPath(way), flags);
    this.#open.set(folder, fd);
    if (this.#open.size > maxOpen) {
      const [oldest, oldFd] = this.#open.entries().next().value!;
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
