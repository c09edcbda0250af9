/** A checked tree in memory: its stream and where each record begins. Entries are decoded when they are looked at. */
import { ByteReader, ByteWriter, codeAt } from "../../core/snapshot/bytes.ts";
import { decodeEntry, type Entry, encodeHoles, encodeRecord } from "../../core/snapshot/tree.ts";

/** A million entries as objects would take half a gigabyte; as a stream they take a fifth of that. */
export class TreeEntries implements Iterable<Entry> {
  readonly #stream: Uint8Array;
  #starts = new Uint32Array(1024);
  #length = 0;

  constructor(stream: Uint8Array) {
    this.#stream = stream;
  }

  /** The same form for entries that are no stored tree. */
  static of(entries: Iterable<Entry>): TreeEntries {
    const writer = new ByteWriter(1 << 20);
    const starts: number[] = [];
    for (const entry of entries) {
      starts.push(writer.length);
      encodeRecord(writer, entry);
      if (entry.type === "f") encodeHoles(writer, entry.holes);
    }
    const made = new TreeEntries(writer.finish());
    for (const start of starts) made.add(start);
    return made;
  }

  /** The next record begins there in the stream. Their paths ascend. */
  add(start: number): void {
    if (this.#length === this.#starts.length) {
      const more = new Uint32Array(2 * this.#length);
      more.set(this.#starts);
      this.#starts = more;
    }
    this.#starts[this.#length++] = start;
  }

  get length(): number {
    return this.#length;
  }

  at(n: number): Entry {
    return decodeEntry(new ByteReader(this.#stream, "tree", this.#starts[n]));
  }

  has(path: string): boolean {
    return this.#find(path) >= 0;
  }

  /** One letter; undefined where no entry has the path. */
  typeOf(path: string): string | undefined {
    const n = this.#find(path);
    if (n < 0) return undefined;
    const [length, from] = this.#pathPlace(n);
    return String.fromCharCode(this.#stream[from + length]!);
  }

  /** By bisection, as entries are sorted by path: a set of a million paths would take more memory than the tree. -1: none. */
  #find(path: string): number {
    let [from, to] = [0, this.#length];
    while (from < to) {
      const middle = (from + to) >> 1;
      const order = this.#compare(middle, path);
      if (order === 0) return middle;
      if (order < 0) from = middle + 1;
      else to = middle;
    }
    return -1;
  }

  /** Below 0: the entry's path comes before `path`. */
  #compare(n: number, path: string): number {
    const [length, from] = this.#pathPlace(n);
    const shared = Math.min(length, path.length);
    for (let i = 0; i < shared; i++) {
      const difference = this.#stream[from + i]! - codeAt(path, i);
      if (difference !== 0) return difference;
    }
    return length - path.length;
  }

  #pathPlace(n: number): [length: number, from: number] {
    let at = this.#starts[n]!;
    let length = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#stream[at++]!;
      length += (byte & 127) * scale;
      if (byte < 128) return [length, at];
    }
  }

  *[Symbol.iterator](): Generator<Entry, void> {
    for (let n = 0; n < this.#length; n++) yield this.at(n);
  }

  *map(change: (entry: Entry) => Entry): Generator<Entry, void> {
    for (const entry of this) yield change(entry);
  }
}
