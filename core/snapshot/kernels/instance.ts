/**
 * The compiled kernels of this thread: one instance, made synchronously at its first use, with 1.4 MiB of memory of its
 * own that never grows. Its functions keep nothing between two calls of the codec.
 */
import { type CopyBytes, setBytes } from "../bytes.ts";
import { gear } from "../chunker.ts";
import { kernelsBase64 } from "./wasm.ts";

/** What the module exports: places in its memory, and functions over them (numbers are u32). */
export interface KernelExports {
  memory: { buffer: ArrayBuffer };
  block: { value: number };
  reference: { value: number };
  planes: { value: number };
  words: { value: number };
  selectors: { value: number };
  sums: { value: number };
  states: { value: number };
  frequencies: { value: number };
  counts: { value: number };
  costs: { value: number };
  entropyTable: { value: number };
  layoutCosts: { value: number };
  repeatCounts: { value: number };
  gear: { value: number };
  split(elements: number, stride: number, phase: number, rotation: number, residual: number): void;
  merge(elements: number, stride: number, phase: number, rotation: number, residual: number): void;
  decode(at: number, symbols: number, tables: number, words: number): number;
  encode(at: number, symbols: number, tables: number): number;
  sumGroups(at: number, symbols: number): void;
  countGroups(at: number, symbols: number, step: number): void;
  assignGroups(at: number, symbols: number, step: number): void;
  probe(at: number, bytes: number): number;
  clearRepeats(): void;
  countRepeats(bytes: number): void;
  findMask(at: number, bytes: number, mask: number): number;
}

/** The little of these that is used: core compiles without the types of any platform. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: unknown };
};
declare function atob(text: string): string;

let exported: KernelExports | undefined;

/** How bytes come into the kernels' memory: `setBytes` is slow where they come from shared memory. Of this thread. */
let copy: CopyBytes = setBytes;
export function useCopy(of: CopyBytes): void {
  copy = of;
}
export const loadBytes: CopyBytes = (target, at, bytes) => copy(target, at, bytes);

export function kernelExports(): KernelExports {
  if (!exported) {
    const bytes = Uint8Array.from(atob(kernelsBase64), (char) => char.charCodeAt(0));
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      env: {
        abort() {
          throw new Error("a kernel stopped");
        },
      },
    });
    exported = instance.exports as KernelExports;
    new Int32Array(exported.memory.buffer, exported.gear.value, 256).set(gear);
  }
  return exported;
}
