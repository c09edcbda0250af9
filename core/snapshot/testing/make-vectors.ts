/**
 * Writes core/snapshot/vectors/planes.json: frames that every decoder must read, of each mode, each length mod 32, one
 * to four tables, each stride, phase, rotation and residual. They are frozen: a changed encoder makes other frames, but
 * these must decode for ever. Run with `node`, only to add some.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { ByteWriter, latin1FromBytes, toHex } from "../bytes.ts";
import { writeRans } from "../planes/block.ts";
import { groupSymbols, groupsOf, type Layout, planeModes } from "../planes/format.ts";
import { createPlainKernels } from "../planes/plain-kernels.ts";
import { normalise } from "../planes/table.ts";

export interface Vector {
  name: string;
  frame: string;
  plainBytes: number;
  plainSha256: string;
  reference?: string;
}

const kernels = createPlainKernels();
let seed = 1;
function random(): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
}

type Mode = "raw" | "constant" | 1 | 2 | 3 | 4;

/** Bytes whose spread changes from group to group of 256, so that several tables have something to differ in. */
function spread(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => {
    const width = [3, 20, 60, 250][(i >> 9) & 3]!;
    return Math.floor(random() * random() * width) + 5 * ((i >> 9) & 3);
  });
}

function makeVector(name: string, plain: Uint8Array, layout: Layout, modes: Mode[], reference?: Uint8Array): Vector {
  const block = new ByteWriter();
  const elements = Math.floor((plain.length - layout.phase) / layout.stride);
  kernels.block.set(plain);
  if (reference) kernels.reference.set(reference);
  kernels.split(elements, layout);
  block.bytes(plain.subarray(0, layout.phase));
  for (let plane = 0; plane < layout.stride; plane++) {
    writePlane(block, plane * elements, elements, modes[plane % modes.length]!);
  }
  block.bytes(plain.subarray(layout.phase + elements * layout.stride));

  const frame = new ByteWriter();
  frame.u8(2);
  frame.u8(reference ? 1 : 0);
  frame.varint(plain.length);
  if (reference) {
    frame.varint(2);
    for (const [id, skip, take] of [
      [1, 0, 10],
      [2, 300, plain.length - 10],
    ] as const) {
      frame.latin1(latin1FromBytes(new Uint8Array(32).fill(id)));
      frame.varint(skip);
      frame.varint(take);
    }
  }
  frame.u32(plain.length);
  frame.u32(12 + block.length);
  frame.u8(layout.stride);
  frame.u8(layout.phase);
  frame.u8(layout.rotation | (layout.residual << 2));
  frame.u8(0);
  frame.bytes(block.view());
  return {
    name,
    frame: toHex(frame.view()),
    plainBytes: plain.length,
    plainSha256: createHash("sha256").update(plain).digest("hex"),
    ...(reference && { reference: toHex(reference) }),
  };
}

function writePlane(writer: ByteWriter, at: number, symbols: number, mode: Mode): void {
  const plane = kernels.planes.subarray(at, at + symbols);
  if (mode === "raw") {
    writer.u8(planeModes.raw);
    writer.bytes(plane);
    return;
  }
  if (mode === "constant") {
    writer.u8(planeModes.constant);
    writer.u8(plane[0]!);
    return;
  }
  for (let group = 0; group < groupsOf(symbols); group++) kernels.selectors[group] = group % mode;
  for (let table = 0; table < mode; table++) {
    const counts = new Uint32Array(256);
    for (let i = 0; i < symbols; i++) {
      if (Math.floor(i / groupSymbols) % mode === table) counts[plane[i]!]!++;
    }
    if (counts.every((count) => count === 0)) counts[table] = 1;
    normalise(counts, kernels.frequencies.subarray(table * 256, table * 256 + 256));
  }
  writeRans(writer, at, symbols, mode, kernels);
}

function makeAll(): Vector[] {
  const vectors: Vector[] = [];
  const plainOf = (stride: number): Layout => ({ stride, phase: 0, rotation: 0, residual: 0 });
  for (let rest = 0; rest < 32; rest++) {
    const tables = ((rest % 4) + 1) as 1 | 2 | 3 | 4;
    const bytes = rest % 3 === 0 ? rest + 32 : rest + 1024;
    vectors.push(makeVector(`length ${rest} mod 32, ${tables} tables`, spread(bytes), plainOf(1), [tables]));
  }
  for (const bytes of [1, 2, 31, 32, 255, 256, 257]) {
    vectors.push(makeVector(`${bytes} symbols`, spread(bytes), plainOf(1), [1]));
  }
  vectors.push(makeVector("one symbol under one table", new Uint8Array(500).fill(200), plainOf(1), [1]));
  vectors.push(
    makeVector(
      "all 256 symbols",
      Uint8Array.from({ length: 512 }, (_, i) => i * 7),
      plainOf(1),
      [2],
    ),
  );
  vectors.push(makeVector("a constant", new Uint8Array(77).fill(9), plainOf(1), ["constant"]));
  vectors.push(makeVector("raw", spread(77), plainOf(1), ["raw"]));
  vectors.push(makeVector("no element", spread(3), plainOf(4), ["raw"]));
  for (const stride of [1, 2, 4, 8]) {
    for (let phase = 0; phase < stride; phase++) {
      for (const rotation of [0, 1]) {
        const layout = { stride, phase, rotation, residual: 0 };
        const bytes = phase + 40 * stride + ((phase * 3 + rotation) % stride);
        const name = `stride ${stride}, phase ${phase}, rotation ${rotation}`;
        vectors.push(makeVector(name, spread(bytes), layout, [1, "raw", 2]));
      }
    }
    for (const residual of [1, 2]) {
      const plain = spread(stride * 33 + 1);
      const reference = plain.map((byte) => byte + Math.floor(random() * 3) - 1);
      const layout = { stride, phase: stride >> 1, rotation: residual === 1 ? 1 : 0, residual };
      vectors.push(makeVector(`stride ${stride}, residual ${residual}`, plain, layout, [1, 1, "raw"], reference));
    }
  }
  return vectors;
}

const path = new URL("../vectors/planes.json", import.meta.url);
writeFileSync(path, `${JSON.stringify(makeAll(), null, 1)}\n`);
