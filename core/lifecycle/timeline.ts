/** Finds what lasts within a span among many, without a look at all the others. */
import type { Span } from "./books.ts";

interface Placed<T> extends Span {
  one: T;
}

export class Timeline<T> {
  /** By their beginnings. */
  readonly #placed: Placed<T>[];
  /** Of each, the latest end of it and of all before it: ascending, whatever lasts how long. */
  readonly #ends: number[];

  /** Those that begin at one time stay in their order. */
  constructor(all: readonly T[], spanOf: (one: T) => Span) {
    this.#placed = all.map((one) => ({ one, ...spanOf(one) })).sort((a, b) => a.fromAt - b.fromAt);
    let end = Number.NEGATIVE_INFINITY;
    this.#ends = this.#placed.map(({ toAt }) => (end = Math.max(end, toAt)));
  }

  /** What is in both for more than no time, by its beginning. */
  within({ fromAt, toAt }: Span): T[] {
    const found: T[] = [];
    if (toAt <= fromAt) return found;
    for (let i = countUpTo(this.#ends, (end) => end <= fromAt); i < this.#placed.length; i++) {
      const placed = this.#placed[i]!;
      if (placed.fromAt >= toAt) break;
      if (placed.toAt > fromAt && placed.toAt > placed.fromAt) found.push(placed.one);
    }
    return found;
  }
}

/** How many, from the first on, are `before`: of a list in which none is after one that is not. */
export function countUpTo<T>(sorted: readonly T[], before: (one: T) => boolean): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (before(sorted[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}
