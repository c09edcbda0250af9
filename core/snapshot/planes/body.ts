/** The body of a `planes` frame: its blocks, one after another, until its plain bytes are full. */
import { ByteReader, ByteWriter } from "../bytes.ts";
import { decodeBlock, encodeBlock } from "./block.ts";
import { type Layout, residuals, rotations } from "./format.ts";
import type { Kernels } from "./kernels.ts";
import { type Plan, planBlocks, probePieces } from "./plan.ts";

/** `plainBytes` is within its limit. `reference` has as many bytes. Errors: FormatError. */
export function decodePlanes(
  body: Uint8Array,
  plainBytes: number,
  reference: Uint8Array | undefined,
  kernels: Kernels,
): Uint8Array {
  const out = new Uint8Array(plainBytes);
  const reader = new ByteReader(body, "planes body");
  for (let at = 0; at < plainBytes; ) {
    at += decodeBlock(reader, out.subarray(at), reference?.subarray(at), kernels);
  }
  reader.end();
  return out;
}

/** Appends the blocks of `plan`. */
export function encodePlanes(writer: ByteWriter, plain: Uint8Array, plan: Plan, kernels: Kernels): void {
  for (const { from, bytes, layout } of plan.blocks) {
    encodeBlock(writer, plain.subarray(from, from + bytes), undefined, layout, kernels);
  }
}

/**
 * Appends the blocks of `plain` with residuals against `reference` where they are smaller. Each block is tried both
 * ways: bytes of a sibling are coded rarely, and what they gain is worth more than the time.
 */
export function encodePlanesWithReference(
  writer: ByteWriter,
  plain: Uint8Array,
  reference: Uint8Array,
  kernels: Kernels,
): void {
  const plan = planBlocks(plain.length, probePieces(plain, kernels));
  const trial = new ByteWriter(1024);
  for (const { from, bytes, layout } of plan.blocks) {
    const tried = [...phasesOf(layout), { ...layout, residual: residuals.xor }, layout];
    let best: Uint8Array | undefined;
    for (const candidate of tried) {
      trial.clear();
      encodeBlock(
        trial,
        plain.subarray(from, from + bytes),
        reference.subarray(from, from + bytes),
        candidate,
        kernels,
      );
      if (!best || trial.length < best.length) best = trial.finish();
    }
    writer.bytes(best!);
  }
}

/** Differences need the elements' true places, which an estimate without rotation does not tell. */
function phasesOf(layout: Layout): Layout[] {
  const phases = layout.rotation === rotations.none ? [...Array(layout.stride).keys()] : [layout.phase];
  return phases.map((phase) => ({ ...layout, phase, rotation: rotations.none, residual: residuals.zigzagSub }));
}
