/**
 * Which layout for which bytes of a frame. Nothing is known of them: alignment, width and kind are found by estimates
 * per piece of 32 KiB, and a path through the pieces with the least cost is taken, where each change costs a block.
 */
import { loadBytes } from "../kernels/instance.ts";
import { blockMaxBytes, type Layout, residuals, rotations } from "./format.ts";
import type { Kernels } from "./kernels.ts";

export const pieceBytes = 32 * 1024;

/** What `Kernels.probe` estimates, in its order. Without rotation the phase has no meaning for the size. */
export const probedLayouts: readonly Layout[] = [
  ...[1, 2, 4, 8].map((stride) => ({ stride, phase: 0, rotation: rotations.none, residual: residuals.none })),
  ...[2, 4, 8].flatMap((stride) =>
    Array.from({ length: stride }, (_, phase) => ({
      stride,
      phase,
      rotation: rotations.left1,
      residual: residuals.none,
    })),
  ),
];

export interface PlannedBlock {
  from: number;
  bytes: number;
  layout: Layout;
}

export interface Plan {
  blocks: PlannedBlock[];
  /** About what the frame's body will take. */
  estimatedBytes: number;
}

/** What a change of layout must gain, in bits: the block's head and one more set of tables. */
const switchBits = 2048;
/** Of a plain byte under a layout, from the costs in 1/16 bit of a sample. */
function scaleOf(bytes: number, sampled: number): number {
  return sampled === 0 ? 0 : bytes / sampled / 16;
}

function fillEntropyTable(table: Uint32Array): void {
  if (table[2] !== 0) return;
  for (let n = 2; n < table.length; n++) table[n] = Math.round(16 * n * Math.log2(n));
}

/**
 * The costs of each piece of `plain` in bits, `probedLayouts.length` of them a piece. Leaves in `kernels.repeatCounts`
 * how much of it comes twice.
 */
export function probePieces(plain: Uint8Array, kernels: Kernels): Float32Array {
  kernels.clearRepeats();
  fillEntropyTable(kernels.entropyTable);
  const pieces = Math.ceil(plain.length / pieceBytes);
  const layouts = probedLayouts.length;
  const costs = new Float32Array(pieces * layouts);
  for (let from = 0; from < plain.length; from += blockMaxBytes) {
    const loaded = plain.subarray(from, from + blockMaxBytes);
    loadBytes(kernels.block, 0, loaded);
    kernels.countRepeats(loaded.length);
    for (let at = 0; at < loaded.length; at += pieceBytes) {
      const bytes = Math.min(pieceBytes, loaded.length - at);
      const scale = scaleOf(bytes, kernels.probe(at, bytes));
      const row = ((from + at) / pieceBytes) * layouts;
      for (let layout = 0; layout < layouts; layout++) {
        costs[row + layout] = scale === 0 ? bytes * 8 : kernels.layoutCosts[layout]! * scale;
      }
    }
  }
  return costs;
}

/** The cheapest way through all pieces (Viterbi), as blocks of at most 256 KiB. */
export function planBlocks(plainBytes: number, costs: Float32Array): Plan {
  const layouts = probedLayouts.length;
  const pieces = costs.length / layouts;
  const came = new Uint8Array(pieces * layouts);
  let totals = new Float64Array(layouts);
  let best = 0;
  for (let piece = 0; piece < pieces; piece++) {
    const next = new Float64Array(layouts);
    for (let layout = 0; layout < layouts; layout++) {
      const stays = totals[layout]! <= totals[best]! + switchBits;
      came[piece * layouts + layout] = stays ? layout : best;
      next[layout] = (stays ? totals[layout]! : totals[best]! + switchBits) + costs[piece * layouts + layout]!;
    }
    totals = next;
    best = totals.indexOf(Math.min(...totals));
  }
  const chosen = new Uint8Array(pieces);
  for (let piece = pieces - 1, layout = best; piece >= 0; piece--) {
    chosen[piece] = layout;
    layout = came[piece * layouts + layout]!;
  }
  const blocks: PlannedBlock[] = [];
  for (let from = 0; from < pieces; ) {
    let to = from + 1;
    while (to < pieces && chosen[to] === chosen[from]) to++;
    addBlocks(blocks, from * pieceBytes, Math.min(plainBytes, to * pieceBytes), probedLayouts[chosen[from]!]!);
    from = to;
  }
  return { blocks, estimatedBytes: Math.ceil(totals[best]! / 8) + 64 * blocks.length };
}

function addBlocks(blocks: PlannedBlock[], from: number, to: number, layout: Layout): void {
  for (let at = from; at < to; at += blockMaxBytes) {
    const bytes = Math.min(blockMaxBytes, to - at);
    blocks.push({ from: at, bytes, layout: bytes < layout.stride ? probedLayouts[0]! : layout });
  }
}
