/** The body of a `planes` frame: its blocks, one after another, until its plain bytes are full. */
import { ByteReader, type ByteWriter } from "../bytes.ts";
import { decodeBlock, encodeBlock } from "./block.ts";
import type { Kernels } from "./kernels.ts";
import type { Plan, PlannedBlock } from "./plan.ts";

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
