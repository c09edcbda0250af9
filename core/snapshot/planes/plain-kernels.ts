/** The kernels in plain TypeScript: the reference that the WebAssembly ones are compared with, and a guide to the format. */
import { blockMaxBytes, frequencyBits, frequencySum, groupSymbols, groupsOf, lanes, stateLow } from "./format.ts";
import type { Kernels } from "./kernels.ts";
import { estimateLayouts } from "./plain-probe.ts";
import { countRepeats, repeatSlots } from "./plain-repeats.ts";
import { mergeElement, splitElement } from "./transform.ts";

export function createPlainKernels(): Kernels {
  const block = new Uint8Array(blockMaxBytes);
  const reference = new Uint8Array(blockMaxBytes);
  const planes = new Uint8Array(blockMaxBytes);
  const words = new Uint8Array(2 * blockMaxBytes);
  const selectors = new Uint8Array(groupsOf(blockMaxBytes));
  const states = new Uint32Array(lanes);
  const frequencies = new Uint16Array(4 * 256);
  const counts = new Uint32Array(4 * 256);
  const costs = new Uint16Array(4 * 256);
  const sums = new Uint32Array(groupsOf(blockMaxBytes));
  const entropyTable = new Uint32Array(4097);
  const layoutCosts = new Uint32Array(18);
  const repeatCounts = new Uint32Array(2);
  const seen = new Uint32Array(repeatSlots);

  /** The sum of the frequencies of the symbols before each one, per table. */
  function cumulate(tables: number): Uint16Array {
    const starts = new Uint16Array(tables * 256);
    for (let table = 0; table < tables; table++) {
      let sum = 0;
      for (let i = table * 256; i < table * 256 + 256; i++) {
        starts[i] = sum;
        sum += frequencies[i]!;
      }
    }
    return starts;
  }

  function decode(at: number, symbols: number, tables: number, wordCount: number): boolean {
    const starts = cumulate(tables);
    const symbolOf = new Uint8Array(tables * frequencySum);
    for (let i = 0; i < tables * 256; i++) {
      const from = (i >> 8) * frequencySum + starts[i]!;
      symbolOf.fill(i & 255, from, from + frequencies[i]!);
    }
    let word = 0;
    for (let row = 0; row < symbols; row += lanes) {
      const table = selectors[Math.floor(row / groupSymbols)]!;
      for (let lane = 0; lane < Math.min(lanes, symbols - row); lane++) {
        const slot = states[lane]! & (frequencySum - 1);
        const symbol = symbolOf[table * frequencySum + slot]!;
        const i = table * 256 + symbol;
        planes[at + row + lane] = symbol;
        let state = frequencies[i]! * (states[lane]! >>> frequencyBits) + slot - starts[i]!;
        if (state < stateLow) {
          if (word === wordCount) return false;
          state = (state << 16) | words[2 * word]! | (words[2 * word + 1]! << 8);
          word++;
        }
        states[lane] = state;
      }
    }
    return word === wordCount && states.every((state) => state === stateLow);
  }

  function encode(at: number, symbols: number, tables: number): number {
    const starts = cumulate(tables);
    states.fill(stateLow);
    let end = words.length;
    // Backward, so that the decoder can go forward.
    for (let row = Math.floor((symbols - 1) / lanes) * lanes; row >= 0; row -= lanes) {
      const table = selectors[Math.floor(row / groupSymbols)]!;
      for (let lane = Math.min(lanes, symbols - row) - 1; lane >= 0; lane--) {
        const i = table * 256 + planes[at + row + lane]!;
        const frequency = frequencies[i]!;
        let state = states[lane]!;
        if (state >= frequency * 2 ** (31 - frequencyBits)) {
          end -= 2;
          words[end] = state;
          words[end + 1] = state >>> 8;
          state >>>= 16;
        }
        states[lane] = (Math.floor(state / frequency) << frequencyBits) + (state % frequency) + starts[i]!;
      }
    }
    return (words.length - end) / 2;
  }

  return {
    block,
    reference,
    planes,
    words,
    selectors,
    states,
    frequencies,
    counts,
    costs,
    sums,
    entropyTable,
    layoutCosts,
    repeatCounts,
    decode,
    encode,
    split(elements, layout) {
      for (let i = 0; i < elements; i++) splitElement(block, reference, planes, i, elements, layout);
    },
    merge(elements, layout) {
      for (let i = 0; i < elements; i++) mergeElement(block, reference, planes, i, elements, layout);
    },
    sumGroups(at, symbols) {
      for (let group = 0; group < groupsOf(symbols); group++) {
        let sum = 0;
        const end = Math.min(symbols, (group + 1) * groupSymbols);
        for (let i = group * groupSymbols; i < end; i++) sum += planes[at + i]!;
        sums[group] = sum;
      }
    },
    countGroups(at, symbols, step) {
      counts.fill(0);
      for (let group = 0; group < groupsOf(symbols); group += step) {
        const base = selectors[group]! * 256;
        const end = Math.min(symbols, (group + 1) * groupSymbols);
        for (let i = group * groupSymbols; i < end; i++) counts[base + planes[at + i]!]!++;
      }
    },
    assignGroups(at, symbols, step) {
      for (let group = 0; group < groupsOf(symbols); group += step) {
        const bits = [0, 0, 0, 0];
        const end = Math.min(symbols, (group + 1) * groupSymbols);
        for (let i = group * groupSymbols; i < end; i++) {
          for (let table = 0; table < 4; table++) bits[table]! += costs[planes[at + i]! * 4 + table]!;
        }
        selectors[group] = bits.indexOf(Math.min(...bits));
      }
    },
    clearRepeats() {
      seen.fill(0);
      repeatCounts.fill(0);
    },
    countRepeats: (bytes) => countRepeats(block, bytes, seen, repeatCounts),
    probe: (at, bytes) => estimateLayouts(block, at, bytes, entropyTable, layoutCosts),
  };
}
