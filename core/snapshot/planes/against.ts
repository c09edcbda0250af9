/** Layouts for bytes that have a reference: each block as itself or as its difference, whichever a sample says is smaller. */
import { ByteWriter } from "../bytes.ts";
import { encodeBlock } from "./block.ts";
import { type Layout, residuals, rotations } from "./format.ts";
import type { Kernels } from "./kernels.ts";
import { type PlannedBlock, planBlocks, probePieces } from "./plan.ts";

/** Of each block, from its middle. */
const sampleBytes = 8 * 1024;

export interface PlanAgainst {
  blocks: PlannedBlock[];
  /** About what the body takes with these layouts. */
  estimatedBytes: number;
  /** About what it takes without the reference. */
  aloneBytes: number;
}

/** `reference` has as many bytes as `plain`. Leaves `kernels.repeatCounts` as `probePieces` does. */
export function planAgainst(plain: Uint8Array, reference: Uint8Array, kernels: Kernels): PlanAgainst {
  const alone = planBlocks(plain.length, probePieces(plain, kernels));
  const trial = new ByteWriter(2 * sampleBytes);
  let estimatedBytes = 0;
  let aloneBytes = 0;
  const blocks = alone.blocks.map(({ from, bytes, layout }) => {
    const length = Math.min(bytes, sampleBytes);
    const at = from + (((bytes - length) >> 1) & ~7);
    const costOf = (candidate: Layout) => {
      trial.clear();
      const sample = [plain, reference].map((all) => all.subarray(at, at + length)) as [Uint8Array, Uint8Array];
      encodeBlock(trial, ...sample, candidate, kernels);
      return (trial.length * bytes) / length;
    };
    const ownCost = costOf(layout);
    let best = layout;
    let bestCost = ownCost;
    for (const candidate of differences(layout)) {
      if (candidate.phase > length) continue;
      const cost = costOf(candidate);
      if (cost >= bestCost) continue;
      best = candidate;
      bestCost = cost;
    }
    estimatedBytes += bestCost;
    aloneBytes += ownCost;
    return { from, bytes, layout: best };
  });
  return { blocks, estimatedBytes, aloneBytes };
}

/** They need the elements' true places, which an estimate without rotation does not tell. Xor was never the smaller one. */
function differences(layout: Layout): Layout[] {
  const phases = layout.rotation === rotations.none ? [...Array(layout.stride).keys()] : [layout.phase];
  return phases.map((phase) => ({ ...layout, phase, rotation: rotations.none, residual: residuals.zigzagSub }));
}
