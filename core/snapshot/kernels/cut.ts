/** `findCut` of the chunker with the compiled search: the same cuts, in windows of 256 KiB. */
import type { ChunkerParameters } from "../chunker.ts";
import { kernelExports, loadBytes } from "./instance.ts";

const windowBytes = 256 * 1024;
/** The hash sees so many bytes. */
const hashBytes = 32;

let window: Uint8Array | undefined;

/** As `findCut` in chunker.ts. */
export function findCut(bytes: Uint8Array, from: number, to: number, isLast: boolean, p: ChunkerParameters): number {
  const known = to - from;
  if (known < p.max && !isLast) return 0;
  return searchCut(bytes, from, 0, known, p) || Math.min(known, p.max);
}

/**
 * The length of the chunk that begins at `from` where it ends inside its first `known` bytes, else 0: for bytes that come
 * bit by bit. The first `searched` of them were looked at before.
 */
export function searchCut(
  bytes: Uint8Array,
  from: number,
  searched: number,
  known: number,
  p: ChunkerParameters,
): number {
  const kernels = kernelExports();
  window ??= new Uint8Array(kernels.memory.buffer, kernels.block.value, windowBytes);
  const end = from + Math.min(known, p.max);
  const normal = Math.min(end, from + p.target - 1);
  for (let at = from + Math.max(searched, p.min - 1); at < end; ) {
    const isStrict = at < normal;
    const until = Math.min(isStrict ? normal : end, at + windowBytes - hashBytes);
    loadBytes(window, 0, bytes.subarray(at - hashBytes, until));
    const cut = kernels.findMask(hashBytes, until - at, isStrict ? p.strictMask : p.looseMask);
    if (cut > 0) return at - hashBytes + cut - from;
    at = until;
  }
  return 0;
}
