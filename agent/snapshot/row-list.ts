/** Rows, in the order of their paths where one is to be found: eight bytes each beside the bytes of the row. */
import { comparePath, endOf, type Row } from "./rows.ts";

const slabStep = 2 ** 32;

export class RowList implements Iterable<Row> {
  readonly #slabs: Buffer[] = [];
  readonly #numbers = new Map<Buffer, number>();
  /** The slab's number times 2^32, and where in it the row begins. */
  #places = new Float64Array(1024);
  #length = 0;
  /** Rows are mostly looked for in their order. */
  #next = 0;

  /** Rows that lie one after another. Errors: RangeError when a row goes past the end. */
  static read(slab: Buffer, from: number): RowList {
    const list = new RowList();
    for (let at = from; at < slab.length; ) {
      const end = endOf(slab, at);
      if (end > slab.length) throw new RangeError("a row goes past the end");
      list.#add(slab, at);
      at = end;
    }
    return list;
  }

  get length(): number {
    return this.#length;
  }

  push({ slab, at }: Row): void {
    this.#add(slab, at);
  }

  #add(slab: Buffer, at: number): void {
    let n = this.#numbers.get(slab);
    if (n === undefined) {
      n = this.#slabs.push(slab) - 1;
      this.#numbers.set(slab, n);
    }
    if (this.#length === this.#places.length) {
      const more = new Float64Array(2 * this.#length);
      more.set(this.#places);
      this.#places = more;
    }
    this.#places[this.#length++] = n * slabStep + at;
  }

  at(n: number): Row {
    const place = this.#places[n]!;
    return { slab: this.#slabs[Math.floor(place / slabStep)]!, at: place % slabStep };
  }

  find(path: string): Row | undefined {
    if (this.#next < this.#length) {
      const row = this.at(this.#next);
      if (comparePath(row, path) === 0) {
        this.#next++;
        return row;
      }
    }
    let [from, to] = [0, this.#length];
    while (from < to) {
      const middle = (from + to) >> 1;
      const row = this.at(middle);
      const order = comparePath(row, path);
      if (order === 0) {
        this.#next = middle + 1;
        return row;
      }
      if (order < 0) from = middle + 1;
      else to = middle;
    }
    return undefined;
  }

  /** Whether the other list has the very same rows, not only equal ones. */
  isSame(other: RowList): boolean {
    if (this.#length !== other.#length) return false;
    for (let n = 0; n < this.#length; n++) {
      const [a, b] = [this.at(n), other.at(n)];
      if (a.slab !== b.slab || a.at !== b.at) return false;
    }
    return true;
  }

  *[Symbol.iterator](): Generator<Row, void> {
    for (let n = 0; n < this.#length; n++) yield this.at(n);
  }
}
