/**
 * In which order small files are read, and so which of them share a frame. Neighbours in the tree are like each other; more so are files
 * of the same name in folders of the same name, as two environments, two versions or two builds of a package have them. Those
 * follow each other, however far apart they lie (docs/adr/0031-alike-files-together.md).
 */

const slash = 0x2f;

/** `files`: places in `paths`, ascending. */
export function inReadOrder(paths: readonly string[], files: readonly number[]): Iterable<number> {
  /** By the hash of its two last names, the last one in `files` so far. One that stands for two only makes strangers neighbours. */
  const lastOf = new Map<number, number>();
  const isFirst = new Uint8Array(files.length);
  /** The next one with the same names; 0: none, since the very first comes after no other. */
  const next = new Uint32Array(files.length);
  for (let i = 0; i < files.length; i++) {
    const hash = hashOfEnd(paths[files[i]!]!);
    const last = lastOf.get(hash);
    if (last === undefined) isFirst[i] = 1;
    else next[last] = i;
    lastOf.set(hash, i);
  }
  return follow(files, isFirst, next);
}

function* follow(files: readonly number[], isFirst: Uint8Array, next: Uint32Array): Generator<number, void> {
  for (let first = 0; first < files.length; first++) {
    if (!isFirst[first]) continue;
    let i = first;
    do {
      yield files[i]!;
      i = next[i]!;
    } while (i > 0);
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
