/** What a restore makes beside files and folders: links, devices, fifos; and what folders get when all in them is done. */
import { linkSync, readlinkSync, symlinkSync } from "node:fs";
import type { HardLinkEntry, InodeEntry, PlainEntry } from "../../core/snapshot/tree.ts";
import type { Folders } from "../fs/folders.ts";
import { makeNode } from "../fs/native.ts";
import { fsPath, textOfBytes } from "../fs/paths.ts";
import type { Breather } from "./breather.ts";
import { applyAttributes, applyFlags } from "./restore-attributes.ts";
import { removeInTheWay } from "./restore-folder.ts";
import type { TreeEntries } from "./tree-entries.ts";
import type { SkippedPath } from "./types.ts";
import { type Found, statEntry } from "./walk.ts";
import { flagsOf } from "./xattrs.ts";

export class OtherEntries {
  readonly #folders: Folders;
  readonly #deleteExtras: boolean;
  readonly #breather: Breather;
  readonly skipped: SkippedPath[] = [];
  /** Paths of fifos and devices that were refused, and the system's code. */
  readonly notMade = new Map<string, string>();

  constructor(folders: Folders, deleteExtras: boolean, breather: Breather) {
    this.#folders = folders;
    this.#deleteExtras = deleteExtras;
    this.#breather = breather;
  }

  async make(entries: TreeEntries): Promise<void> {
    for (const entry of entries) {
      if (this.#breather.due) await this.#breather.rest();
      if (entry.type === "h") this.#makeHardLink(entry);
      else if (entry.type === "s") this.skipped.push({ path: textOfBytes(entry.path), reason: "socket" });
      else if (entry.type !== "f" && entry.type !== "d") this.#makeSpecial(entry);
    }
  }

  #makeHardLink(entry: HardLinkEntry): void {
    const folders = this.#folders;
    const target = statEntry(folders, entry.target);
    const there = statEntry(folders, entry.path);
    // A device that could not be made has no other names either: the check lists them.
    if (!target) return;
    if (there && there.inode !== null && there.inode === target.inode) return;
    removeInTheWay(folders, entry.path, this.#deleteExtras);
    const [from, to] = folders.both(entry.target, entry.path);
    linkSync(fsPath(from), fsPath(to));
  }

  #makeSpecial(entry: InodeEntry): void {
    const folders = this.#folders;
    const path = folders.at(entry.path);
    const there = statEntry(folders, entry.path);
    if (!there || !this.#isAlready(entry, there)) {
      removeInTheWay(folders, entry.path, this.#deleteExtras);
      if (entry.type === "l") symlinkSync(fsPath(entry.target), fsPath(path));
      else this.#makeNode(entry, path);
    }
    const now = statEntry(folders, entry.path);
    if (now) applyAttributes(folders.at(entry.path), entry, now);
  }

  #isAlready(entry: InodeEntry, there: Found): boolean {
    if (there.type !== entry.type || there.inode !== null) return false;
    if (entry.type === "l")
      return readlinkSync(fsPath(this.#folders.at(entry.path)), { encoding: "latin1" }) === entry.target;
    return entry.type === "p" || ((entry.type === "c" || entry.type === "b") && there.rdev === entry.rdev);
  }

  #makeNode(entry: InodeEntry, path: string): void {
    const kinds = { p: 0o010000, c: 0o020000, b: 0o060000 } as const;
    const kind = kinds[entry.type as "p" | "c" | "b"];
    try {
      makeNode(path, kind | 0o600, entry.type === "c" || entry.type === "b" ? entry.rdev : 0);
    } catch (error) {
      // A container without the right to make devices, a file system without fifos: the check lists them.
      this.notMade.set(entry.path, (error as NodeJS.ErrnoException).code ?? "mknod");
    }
  }

  /** Last of all: nothing in or around an immutable entry can be changed after it. */
  async finishFlags(entries: TreeEntries): Promise<void> {
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries.at(i);
      if ((entry.type !== "f" && entry.type !== "d") || flagsOf(entry.xattrs) === 0) continue;
      if (this.#breather.due) await this.#breather.rest();
      // What is refused is found by the check.
      applyFlags(this.#folders.at(entry.path), entry);
    }
  }

  /** Deepest first: what is made in a folder changes its times. */
  async finishFolders(entries: PlainEntry[]): Promise<void> {
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries[i]!;
      if (this.#breather.due) await this.#breather.rest();
      const now = statEntry(this.#folders, entry.path);
      if (now) applyAttributes(this.#folders.at(entry.path), entry, now);
    }
  }
}
