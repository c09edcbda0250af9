/**
 * One block of a planes body:
 *
 * block = u32 plainBytes | u32 storedBytes | u8 stride | u8 phase | u8 xform | u8 0 | head | plane[stride] | tail
 * plane = u8 mode: 0 raw: its bytes · 1 constant: u8 · 2 rans
 * rans  = u8 K | table[K] | selectors (K > 1 only, 2 bits a group) | u32 words | u32 state[32] | u16 word[words]
 */
import { ByteReader, type ByteWriter } from "../bytes.ts";
import { damaged, unknownFormat } from "../error.ts";
import { loadBytes } from "../kernels/instance.ts";
import { chooseTables } from "./clusters.ts";
import {
  blockHeadBytes,
  blockMaxBytes,
  groupsOf,
  type Layout,
  lanes,
  maxTables,
  planeModes,
  residuals,
  rotations,
  stateHigh,
  stateLow,
} from "./format.ts";
import type { Kernels } from "./kernels.ts";
import { readTable, writeTable } from "./table.ts";

/**
 * Decodes the block at `reader` to the front of `out`; returns its plain length. `reference` lies beside `out`.
 * Errors: FormatError; what was written to `out` until then means nothing.
 */
export function decodeBlock(
  reader: ByteReader,
  out: Uint8Array,
  reference: Uint8Array | undefined,
  kernels: Kernels,
): number {
  const plainBytes = reader.u32();
  const storedBytes = reader.u32();
  if (plainBytes === 0 || plainBytes > blockMaxBytes || plainBytes > out.length) {
    throw damaged(`a block has ${plainBytes} plain bytes`);
  }
  if (storedBytes < blockHeadBytes) throw damaged("a block is shorter than its head");
  const layout = readLayout(reader.u8(), reader.u8(), reader.u8());
  if (reader.u8() !== 0) throw unknownFormat("a block has a value in its reserved byte");
  if (layout.residual !== residuals.none && reference === undefined) throw damaged("a block refers to bases not there");
  if (layout.phase > plainBytes) throw damaged("a block is shorter than its phase");
  const elements = Math.floor((plainBytes - layout.phase) / layout.stride);

  const body = new ByteReader(reader.take(storedBytes - blockHeadBytes), "block");
  const head = body.take(layout.phase);
  for (let plane = 0; plane < layout.stride; plane++) decodePlane(body, plane * elements, elements, kernels);
  const tail = body.take(plainBytes - layout.phase - elements * layout.stride);
  body.end();

  if (layout.residual !== residuals.none) kernels.reference.set(reference!.subarray(0, plainBytes));
  kernels.merge(elements, layout);
  kernels.block.set(head);
  kernels.block.set(tail, plainBytes - tail.length);
  out.set(kernels.block.subarray(0, plainBytes));
  return plainBytes;
}

function readLayout(stride: number, phase: number, xform: number): Layout {
  const rotation = xform & 3;
  const residual = xform >> 2;
  if (stride !== 1 && stride !== 2 && stride !== 4 && stride !== 8) throw damaged(`a block has the stride ${stride}`);
  if (phase >= stride) throw damaged(`a block of stride ${stride} has the phase ${phase}`);
  if (rotation > rotations.left1 || residual > residuals.zigzagSub) throw unknownFormat(`a block has xform ${xform}`);
  return { stride, phase, rotation, residual };
}

function decodePlane(reader: ByteReader, at: number, symbols: number, kernels: Kernels): void {
  const mode = reader.u8();
  if (mode === planeModes.raw) {
    kernels.planes.set(reader.take(symbols), at);
    return;
  }
  if (mode > planeModes.rans) throw unknownFormat(`a plane has mode ${mode}`);
  if (symbols === 0) throw damaged("an empty plane is coded");
  if (mode === planeModes.constant) {
    kernels.planes.fill(reader.u8(), at, at + symbols);
    return;
  }
  const tables = reader.u8();
  if (tables === 0 || tables > maxTables) throw damaged(`a plane has ${tables} tables`);
  for (let table = 0; table < tables; table++) {
    readTable(reader, kernels.frequencies.subarray(table * 256, table * 256 + 256));
  }
  readSelectors(reader, groupsOf(symbols), tables, kernels.selectors);
  const words = reader.u32();
  if (words > symbols) throw damaged("a plane has more words than symbols");
  for (let lane = 0; lane < lanes; lane++) {
    const state = reader.u32();
    if (state < stateLow || state >= stateHigh) throw damaged("a lane starts out of range");
    kernels.states[lane] = state;
  }
  kernels.words.set(reader.take(words * 2));
  if (!kernels.decode(at, symbols, tables, words)) throw damaged("a plane does not end as it must");
}

function readSelectors(reader: ByteReader, groups: number, tables: number, selectors: Uint8Array): void {
  if (tables === 1) {
    selectors.fill(0, 0, groups);
    return;
  }
  const packed = reader.take((groups + 3) >> 2);
  for (let group = 0; group < groups; group++) {
    const selector = (packed[group >> 2]! >> ((group & 3) * 2)) & 3;
    if (selector >= tables) throw damaged("a group names a table that is not there");
    selectors[group] = selector;
  }
  if ((groups & 3) !== 0 && packed[groups >> 2]! >> ((groups & 3) * 2) !== 0) {
    throw damaged("a plane has selectors for more groups");
  }
}

/** Appends the block of `plain` (1 byte to 256 KiB). `reference` has its length and is needed for a residual. */
export function encodeBlock(
  writer: ByteWriter,
  plain: Uint8Array,
  reference: Uint8Array | undefined,
  layout: Layout,
  kernels: Kernels,
): void {
  if (plain.length === 0 || plain.length > blockMaxBytes) throw new RangeError(`a block of ${plain.length} bytes`);
  if (layout.phase > plain.length) throw new RangeError("a block shorter than its phase");
  if (layout.residual !== residuals.none && reference?.length !== plain.length) {
    throw new RangeError("a residual needs as many reference bytes");
  }
  const elements = Math.floor((plain.length - layout.phase) / layout.stride);
  loadBytes(kernels.block, 0, plain);
  if (layout.residual !== residuals.none) kernels.reference.set(reference!);
  kernels.split(elements, layout);

  const from = writer.length;
  writer.u32(plain.length);
  writer.u32(0);
  writer.u8(layout.stride);
  writer.u8(layout.phase);
  writer.u8(layout.rotation | (layout.residual << 2));
  writer.u8(0);
  writer.bytes(plain.subarray(0, layout.phase));
  for (let plane = 0; plane < layout.stride; plane++) encodePlane(writer, plane * elements, elements, kernels);
  writer.bytes(plain.subarray(layout.phase + elements * layout.stride));
  writer.setU32(from + 4, writer.length - from);
}

function encodePlane(writer: ByteWriter, at: number, symbols: number, kernels: Kernels): void {
  const choice = chooseTables(at, symbols, kernels);
  if (choice.mode === planeModes.constant) {
    writer.u8(planeModes.constant);
    writer.u8(kernels.planes[at]!);
    return;
  }
  const from = writer.length;
  if (choice.mode === planeModes.rans) {
    writeRans(writer, at, symbols, choice.tables, kernels);
    if (writer.length - from <= symbols) return;
    writer.truncate(from);
  }
  writer.u8(planeModes.raw);
  writer.bytes(kernels.planes.subarray(at, at + symbols));
}

/** Appends a plane under the tables, selectors and frequencies that `kernels` has. */
export function writeRans(writer: ByteWriter, at: number, symbols: number, tables: number, kernels: Kernels): void {
  writer.u8(planeModes.rans);
  writer.u8(tables);
  for (let table = 0; table < tables; table++) {
    writeTable(writer, kernels.frequencies.subarray(table * 256, table * 256 + 256));
  }
  if (tables > 1) {
    const groups = groupsOf(symbols);
    for (let from = 0; from < groups; from += 4) {
      let packed = 0;
      for (let group = from; group < Math.min(groups, from + 4); group++) {
        packed |= kernels.selectors[group]! << ((group - from) * 2);
      }
      writer.u8(packed);
    }
  }
  const words = kernels.encode(at, symbols, tables);
  writer.u32(words);
  for (const state of kernels.states) writer.u32(state);
  writer.bytes(kernels.words.subarray(kernels.words.length - words * 2));
}
