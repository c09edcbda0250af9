/** Where the bytes come from: the packages, or, without them, a generator that says so. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createRandom, noise } from "../random.ts";
import { bf16OfFp32, type Dtype, findWeights, type WeightFile } from "./weights.ts";

export interface SourceFile {
  path: string;
  load(): Buffer;
}

export interface Sources {
  kind: "real" | "synthetic";
  weights(dtype: Dtype): WeightFile[];
  /** Small files of many packages, at most `count`, a package at a time. */
  code(count: number): SourceFile[];
  /** Shared objects and WebAssembly: large binaries that are no numbers. */
  libraries(): SourceFile[];
}

/** Files of packages that are data of another kind, or no source at all. */
const notCode = /\.(map|bin|node|wasm|so[.\d]*|dylib|dll)$|^onnxruntime-|^@imgly\/background-removal-node\/dist\//;
const library = /\.(wasm|so[.\d]*|dylib|dll)$/;
const mostCodeBytes = 2_000_000;

export function realSources(packages: string): Sources {
  const weights = findWeights(packages);
  const names = readdirSync(packages)
    .filter((name) => !name.startsWith("."))
    .flatMap((name) =>
      name.startsWith("@") ? readdirSync(join(packages, name)).map((sub) => `${name}/${sub}`) : name,
    );
  // In an order that has nothing to do with names, so that a small size is a fair sample.
  const order = new Map(names.map((name) => [name, createRandom(name).next()]));
  names.sort((a, b) => order.get(a)! - order.get(b)!);
  const file = (path: string): SourceFile => ({ path, load: () => readFileSync(join(packages, path)) });
  return {
    kind: "real",
    weights: (dtype) => weights.filter((weight) => weight.dtype === dtype),
    code: (count) => {
      const found: SourceFile[] = [];
      for (const name of names) {
        const paths = listFiles(packages, name, (path, bytes) => bytes <= mostCodeBytes && !notCode.test(path));
        for (const path of paths) if (found.length < count) found.push(file(path));
        if (found.length >= count) break;
      }
      return found;
    },
    libraries: () =>
      ["onnxruntime-node", "onnxruntime-web"].flatMap((name) =>
        listFiles(packages, name, (path, bytes) => library.test(path) && bytes > 1_000_000).map(file),
      ),
  };
}

function listFiles(root: string, path: string, keep: (path: string, bytes: number) => boolean): string[] {
  if (!existsSync(join(root, path))) return [];
  const found: string[] = [];
  for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
    const inner = `${path}/${entry.name}`;
    if (entry.isDirectory()) found.push(...listFiles(root, inner, keep));
    else if (entry.isFile()) found.push(inner);
  }
  return found.sort().filter((name) => keep(name, readFileSync(join(root, name)).length));
}

const syntheticCount = 100_000;

/** Normal numbers in place of weights, words in place of code: only for tests, or where there is no network. */
export function syntheticSources(): Sources {
  const gauss = (seed: string) => {
    const random = createRandom(seed);
    return Float32Array.from({ length: syntheticCount }, () => 0.02 * random.gauss());
  };
  const make: Record<Dtype, (seed: string) => Buffer> = {
    fp32: (seed) => Buffer.from(gauss(seed).buffer),
    // Every BF16 number of this size has its FP16; written as such by moving exponent and mantissa.
    fp16: (seed) => {
      const values = bf16OfFp32(gauss(seed));
      for (let at = 0; at < values.length; at += 2) values.writeUInt16LE(fp16OfBf16(values.readUInt16LE(at)), at);
      return values;
    },
    int8: (seed) => Buffer.from(gauss(seed).map((x) => Math.max(-128, Math.min(127, Math.round(x * 1500))))),
  };
  return {
    kind: "synthetic",
    weights: (dtype) =>
      Array.from({ length: 64 }, (_, i) => {
        const load = () => make[dtype](`${dtype}-${i}`);
        const bytes = syntheticCount * { fp32: 4, fp16: 2, int8: 1 }[dtype];
        return { name: `${dtype}-${i}.bin`, dtype, load, extents: [{ offset: 0, bytes }] };
      }),
    code: (count) =>
      Array.from({ length: count }, (_, i) => ({
        path: `package-${Math.floor(i / 20)}/${["src", "lib", "test"][i % 3]}/file-${i}.ts`,
        load: () => Buffer.from(syntheticText(`code-${i}`, 200 + ((i * 7919) % 12_000))),
      })),
    libraries: () =>
      Array.from({ length: 32 }, (_, i) => ({
        path: `library-${i}.so`,
        load: () => noise(500_000, `library-${i}`).map((byte) => byte & (byte > 200 ? 0xff : 0x1f)),
      })) as SourceFile[],
  };
}

/** Truncates what FP16 cannot hold: below 2^-14 it is zero. */
function fp16OfBf16(bits: number): number {
  const exponent = ((bits >>> 7) & 255) - 112;
  return ((bits >>> 15) << 15) | (exponent <= 0 ? 0 : (Math.min(exponent, 30) << 10) | ((bits & 127) << 3));
}

const words =
  "const return function import from export await value index buffer error if else for length type string number this new".split(
    " ",
  );

function syntheticText(seed: string, bytes: number): string {
  const random = createRandom(seed);
  const parts: string[] = [];
  for (let length = 0; length < bytes; ) {
    const word = random.next() < 0.2 ? `name${random.below(500)}` : random.pick(words);
    const text = word + (random.next() < 0.15 ? ";\n  " : " ");
    parts.push(text);
    length += text.length;
  }
  return parts.join("").slice(0, bytes);
}
