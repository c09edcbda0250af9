/**
 * The kernels for a reader that may not compile WebAssembly: as the plain ones, with those two that a decoder spends its
 * time in written for speed.
 */
import {
  frequencyBits,
  frequencySum,
  groupSymbols,
  type Layout,
  lanes,
  residuals,
  rotations,
  stateLow,
} from "./format.ts";
import type { Kernels } from "./kernels.ts";
import { createPlainKernels } from "./plain-kernels.ts";

const rowsOfGroup = groupSymbols / lanes;

export function createScriptKernels(): Kernels {
  const plain = createPlainKernels();
  const { block, reference, planes, words, selectors, states, frequencies } = plain;
  /** Of each table and slot: symbol | frequency << 8 | slot - start << 20. */
  const slots = new Int32Array(4 * frequencySum);

  function fillSlots(tables: number): void {
    let at = 0;
    for (let i = 0; i < tables * 256; i++) {
      const frequency = frequencies[i]!;
      const both = (i & 255) | (frequency << 8);
      for (let bias = 0; bias < frequency; bias++) slots[at++] = both | (bias << 20);
    }
  }

  function decode(at: number, symbols: number, tables: number, wordCount: number): boolean {
    fillSlots(tables);
    const end = 2 * wordCount;
    let word = 0;
    let base = 0;
    for (let row = 0, n = 0; row < symbols; row += lanes, n++) {
      if (n % rowsOfGroup === 0) base = selectors[n / rowsOfGroup]! * frequencySum;
      const last = Math.min(lanes, symbols - row);
      for (let lane = 0, to = at + row; lane < last; lane++, to++) {
        const before = states[lane]!;
        const slot = slots[base + (before & (frequencySum - 1))]!;
        planes[to] = slot;
        // Below 2^31, as every state is.
        let state = Math.imul((slot >>> 8) & 0xfff, before >>> frequencyBits) + (slot >>> 20);
        if (state < stateLow) {
          if (word === end) return false;
          state = (state << 16) | words[word]! | (words[word + 1]! << 8);
          word += 2;
        }
        states[lane] = state;
      }
    }
    return word === end && states.every((state) => state === stateLow);
  }

  function mergeTwo(elements: number, { phase, rotation, residual }: Layout): void {
    const isTurned = rotation === rotations.left1;
    for (let i = 0, to = phase; i < elements; i++, to += 2) {
      let value = planes[i]! | (planes[elements + i]! << 8);
      if (isTurned) value = (value >>> 1) | ((value & 1) << 15);
      if (residual !== residuals.none) {
        const other = reference[to]! | (reference[to + 1]! << 8);
        value = residual === residuals.xor ? value ^ other : ((value >>> 1) ^ -(value & 1)) + other;
      }
      block[to] = value;
      block[to + 1] = value >>> 8;
    }
  }

  function mergeFour(elements: number, { phase, rotation, residual }: Layout): void {
    const isTurned = rotation === rotations.left1;
    const [second, third, fourth] = [elements, 2 * elements, 3 * elements];
    for (let i = 0, to = phase; i < elements; i++, to += 4) {
      let value = planes[i]! | (planes[second + i]! << 8) | (planes[third + i]! << 16) | (planes[fourth + i]! << 24);
      if (isTurned) value = (value >>> 1) | (value << 31);
      if (residual !== residuals.none) {
        const other =
          reference[to]! | (reference[to + 1]! << 8) | (reference[to + 2]! << 16) | (reference[to + 3]! << 24);
        value = residual === residuals.xor ? value ^ other : (((value >>> 1) ^ -(value & 1)) + other) | 0;
      }
      block[to] = value;
      block[to + 1] = value >>> 8;
      block[to + 2] = value >>> 16;
      block[to + 3] = value >>> 24;
    }
  }

  function merge(elements: number, layout: Layout): void {
    const { stride, phase, rotation, residual } = layout;
    if (stride === 2) mergeTwo(elements, layout);
    else if (stride === 4) mergeFour(elements, layout);
    else if (stride === 1 && rotation === rotations.none && residual === residuals.none)
      block.set(planes.subarray(0, elements), phase);
    else plain.merge(elements, layout);
  }

  return { ...plain, decode, merge };
}
