/** The kernels of this thread as `Kernels`: in WebAssembly unless it brings its own. They hold nothing between two synchronous calls. */
import { kernelExports } from "../kernels/instance.ts";
import { blockMaxBytes, groupsOf, lanes } from "./format.ts";
import type { Kernels } from "./kernels.ts";

let kernels: Kernels | undefined;

export function threadKernels(): Kernels {
  kernels ??= createKernels();
  return kernels;
}

/** Where no code may be compiled at run time, before anything is decoded: the plain ones do the same. */
export function useKernels(own: Kernels): void {
  kernels = own;
}

function createKernels(): Kernels {
  const wasm = kernelExports();
  const { buffer } = wasm.memory;
  const bytes = (from: { value: number }, length: number) => new Uint8Array(buffer, from.value, length);
  return {
    block: bytes(wasm.block, blockMaxBytes),
    reference: bytes(wasm.reference, blockMaxBytes),
    planes: bytes(wasm.planes, blockMaxBytes),
    words: bytes(wasm.words, 2 * blockMaxBytes),
    selectors: bytes(wasm.selectors, groupsOf(blockMaxBytes)),
    states: new Uint32Array(buffer, wasm.states.value, lanes),
    frequencies: new Uint16Array(buffer, wasm.frequencies.value, 4 * 256),
    counts: new Uint32Array(buffer, wasm.counts.value, 4 * 256),
    costs: new Uint16Array(buffer, wasm.costs.value, 4 * 256),
    sums: new Uint32Array(buffer, wasm.sums.value, groupsOf(blockMaxBytes)),
    entropyTable: new Uint32Array(buffer, wasm.entropyTable.value, 4097),
    layoutCosts: new Uint32Array(buffer, wasm.layoutCosts.value, 18),
    repeatCounts: new Uint32Array(buffer, wasm.repeatCounts.value, 2),
    clearRepeats: () => wasm.clearRepeats(),
    countRepeats: (length) => wasm.countRepeats(length),
    split: (elements, { stride, phase, rotation, residual }) => wasm.split(elements, stride, phase, rotation, residual),
    merge: (elements, { stride, phase, rotation, residual }) => wasm.merge(elements, stride, phase, rotation, residual),
    decode: (at, symbols, tables, words) => wasm.decode(at, symbols, tables, words) !== 0,
    encode: (at, symbols, tables) => wasm.encode(at, symbols, tables),
    sumGroups: (at, symbols) => wasm.sumGroups(at, symbols),
    countGroups: (at, symbols, step) => wasm.countGroups(at, symbols, step),
    assignGroups: (at, symbols, step) => wasm.assignGroups(at, symbols, step),
    probe: (at, length) => wasm.probe(at, length),
  };
}
