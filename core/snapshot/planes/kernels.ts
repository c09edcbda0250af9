/**
 * The inner loops of the planes codec, over a working memory of one block. There are two sets: `plain-kernels.ts`, to
 * read and to compare with, and the same loops in WebAssembly, bit for bit. The caller checks every number first: a
 * kernel never fails, and reads and writes only its own memory.
 */
import type { Layout } from "./format.ts";

export interface Kernels {
  /** A block's plain bytes: 256 KiB. */
  readonly block: Uint8Array;
  /** What a residual refers to, at the same offsets: 256 KiB. */
  readonly reference: Uint8Array;
  /** The elements' bytes, plane after plane: 256 KiB. */
  readonly planes: Uint8Array;
  /** Words of a plane: 512 KiB. Decoded from the front, encoded from the back. */
  readonly words: Uint8Array;
  /** The table of each group: 1024. */
  readonly selectors: Uint8Array;
  /** One a lane: 32. */
  readonly states: Uint32Array;
  /** Four tables of 256. */
  readonly frequencies: Uint16Array;
  /** Four histograms of 256. */
  readonly counts: Uint32Array;
  /** Four costs of a symbol in 1/16 bit, at most 255: `costs[symbol * 4 + table]`. */
  readonly costs: Uint16Array;
  /** The sum of each group's symbols: 1024. */
  readonly sums: Uint32Array;
  /** `round(16 * n * log2(n))` for n of 0..4096; filled by the caller of `probe`. */
  readonly entropyTable: Uint32Array;
  /** What `probe` leaves: a cost for each of `probedLayouts`. */
  readonly layoutCosts: Uint32Array;
  /** What `countRepeats` has counted: places looked at, and those whose 16 bytes came before. */
  readonly repeatCounts: Uint32Array;

  /** `elements` elements of `block` from `layout.phase` on to `planes`. With a residual `block` is of no use afterwards. */
  split(elements: number, layout: Layout): void;
  /** The other way. */
  merge(elements: number, layout: Layout): void;
  /**
   * Decodes `symbols` symbols to `planes` from `at` on, with `tables` frequency tables, the selectors, the states
   * and `words` words. False when the words are not exactly enough or a lane ends in another state than 2^15.
   */
  decode(at: number, symbols: number, tables: number, words: number): boolean;
  /** The other way: leaves states and words (at the end of `words`); returns their number. */
  encode(at: number, symbols: number, tables: number): number;
  /** Fills `sums`. */
  sumGroups(at: number, symbols: number): void;
  /** Adds the symbols of every `step`-th group to the histogram that its selector names; clears the four first. */
  countGroups(at: number, symbols: number, step: number): void;
  /** Gives every `step`-th group the table of the four that codes it in the fewest bits (the first of equal ones). */
  assignGroups(at: number, symbols: number, step: number): void;
  /**
   * Estimates what `bytes` bytes of `block` from `at` (a multiple of 8) would cost under each layout, in 1/16 bit of
   * the sampled bytes. Returns how many bytes were sampled.
   */
  probe(at: number, bytes: number): number;
  /** Forgets the counts and all that was seen. What was seen lasts until the next `decode`. */
  clearRepeats(): void;
  /** Looks for stretches among the first `bytes` bytes of `block` that were seen before. */
  countRepeats(bytes: number): void;
}
