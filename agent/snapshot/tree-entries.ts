/** A checked tree in memory: its stream and where each record begins. Entries are decoded when they are looked at. */
import { ByteReader, ByteWriter } from "../../core/snapshot/bytes.ts";
import { limits } from "../../core/snapshot/limits.ts";
import { decodeEntry, type Entry, encodeHoles, encodeRecord } from "../../core/snapshot/tree.ts";

/** A million entries as objects would take half a gigabyte; as a stream they take a fifth of that. */
export class TreeEntries implements Iterable<Entry> {
  readonly #stream: Uint8Array;
  readonly #starts: number[];

  constructor(stream: Uint8Array, starts: number[]) {
    this.#stream = stream;
    this.#starts = starts;
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
    return new TreeEntries(writer.finish(), starts);
  }

  get length(): number {
    return this.#starts.length;
  }

  at(n: number): Entry {
    return decodeEntry(new ByteReader(this.#stream, "tree", this.#starts[n]));
  }

  /** By bisection, as entries are sorted by path: a set of a million paths would take more memory than the tree. */
  has(path: string): boolean {
    let [from, to] = [0, this.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      const there = this.#pathAt(middle);
      if (there === path) return true;
      if (there < path) from = middle + 1;
      else to = middle;
    }
    return false;
  }

  #pathAt(n: number): string {
    const reader = new ByteReader(this.#stream, "tree", this.#starts[n]);
    return reader.latin1(reader.varint(limits.pathBytes, "path length"));
  }

  *[Symbol.iterator](): Generator<Entry, void> {
    for (let n = 0; n < this.#starts.length; n++) yield this.at(n);
  }

  *map(change: (entry: Entry) => Entry): Generator<Entry, void> {
    for (const entry of this) yield change(entry);
  }
}
