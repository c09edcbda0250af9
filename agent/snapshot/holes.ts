/** Looking up places in a sorted list of holes; there may be a million of them. */
import type { Hole } from "../../core/snapshot/tree.ts";

/** The index of the first hole that ends after `offset`, by halving. */
export function firstHoleAfter(holes: readonly Hole[], offset: number): number {
  let low = 0;
  let high = holes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holes[middle]!.offset + holes[middle]!.length <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether all of `length` bytes from `offset` lie in one hole. */
export function isInHole(holes: readonly Hole[], offset: number, length: number): boolean {
  const hole = holes[firstHoleAfter(holes, offset)];
  return hole !== undefined && hole.offset <= offset && offset + length <= hole.offset + hole.length;
}
