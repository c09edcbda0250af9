/** The body of a `planes` frame: its blocks, one after another, until its plain bytes are full. */
import { ByteReader, type ByteWriter } from "../bytes.ts";
import { decodeBlock, encodeBlock } from "./block.ts";
import type { Kernels } from "./kernels.ts";
import type { Plan, PlannedBlock } from "./plan.ts";

/** Fills `out`. `reference` is as long. Errors: FormatError; what was written until then means nothing. */
export function decodePlanes(
  body: Uint8Array,
  out: Uint8Array,
  reference: Uint8Array | undefined,
  kernels: Kernels,
): void {
  const reader = new ByteReader(body, "planes body");
  for (let at = 0; at < out.length; ) {
    at += decodeBlock(reader, out.subarray(at), reference?.subarray(at), kernels);
  }
  reader.end();
}

/** Appends the blocks of `plan`. */
export function encodePlanes(writer: ByteWriter, plain: Uint8Array, plan: Plan, kernels: Kernels): void {
  for (const { from, bytes, layout } of plan.blocks) {
    encodeBlock(writer, plain.subarray(from, from + bytes), undefined, layout, kernels);
  }
}

/** Appends the blocks of a plan, whose layouts may be differences from `reference`. */
export function encodePlanesAgainst(
  writer: ByteWriter,
  plain: Uint8Array,
  reference: Uint8Array,
  blocks: PlannedBlock[],
  kernels: Kernels,
): void {
  for (const { from, bytes, layout } of blocks) {
    encodeBlock(writer, plain.subarray(from, from + bytes), reference.subarray(from, from + bytes), layout, kernels);
  }
}
