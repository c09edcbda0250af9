/**
 * In which order small files are read, and so which of them share a frame. Neighbours in the tree are like each other; more so are files
 * of the same name in folders of the same name, as two environments, two versions or two builds of a package have them. Those
 * follow each other, however far apart they lie (docs/adr/0031-alike-files-together.md).
 */

const slash = 0x2f;

export class ReadOrder implements Iterable<number> {
  readonly #files: number[] = [];
  /** Of each file the next one with the same names, by its place in `#files`; 0: none, since the very first comes after no other. */
  readonly #next: number[] = [];
  readonly #firsts: number[] = [];
  /** By the hash of its two last names, the last one so far. One that stands for two only makes strangers neighbours. */
  readonly #lastOf = new Map<number, number>();

  /** `file`: its number. Each comes after those before it in the tree. */
  add(path: string, file: number): void {
    const i = this.#files.push(file) - 1;
    this.#next.push(0);
    const hash = hashOfEnd(path);
    const last = this.#lastOf.get(hash);
    if (last === undefined) this.#firsts.push(i);
    else this.#next[last] = i;
    this.#lastOf.set(hash, i);
  }

  *[Symbol.iterator](): Generator<number, void> {
    for (const first of this.#firsts) {
      let i = first;
      do {
        yield this.#files[i]!;
        i = this.#next[i]!;
      } while (i > 0);
    }
  }
}

/** FNV-1a over its name and its folder's, in 30 bits: those a Map keeps without an object for each. */
function hashOfEnd(path: string): number {
  let hash = 0x811c9dc5;
  for (let at = path.length - 1, slashes = 0; at >= 0; at--) {
    const code = path.charCodeAt(at);
    if (code === slash && ++slashes === 2) break;
    hash = Math.imul(hash ^ code, 0x01000193);
  }
  return hash >>> 2;
}
