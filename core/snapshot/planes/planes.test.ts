import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteReader, ByteWriter, fromHex } from "../bytes.ts";
import { decodeFrame, encodeFrameWithBases, readBases } from "../codec.ts";
import { FormatError } from "../error.ts";
import type { Primitives } from "../primitives.ts";
import type { Vector } from "../testing/make-vectors.ts";
import { planAgainst } from "./against.ts";
import { decodeBlock, encodeBlock } from "./block.ts";
import { decodePlanes, encodePlanes, encodePlanesAgainst } from "./body.ts";
import { blockMaxBytes, type Layout, strides } from "./format.ts";
import type { Kernels } from "./kernels.ts";
import { createPlainKernels } from "./plain-kernels.ts";
import { pieceBytes, planBlocks, probePieces } from "./plan.ts";
import { createScriptKernels } from "./script-kernels.ts";
import { normalise, readTable, writeTable } from "./table.ts";
import { threadKernels } from "./thread-kernels.ts";

const all: [string, Kernels][] = [
  ["plain", createPlainKernels()],
  ["WebAssembly", threadKernels()],
  ["script", createScriptKernels()],
];
const fastKernels = all[1]![1];
const vectors: Vector[] = JSON.parse(readFileSync(new URL("../vectors/planes.json", import.meta.url), "utf8"));
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** A frame of planes without bases, or with them and these. */
function decodeWith(kernels: Kernels, frame: Uint8Array, plainBytes: number, reference?: Uint8Array): Uint8Array {
  const bases = readBases(frame);
  const reader = new ByteReader(frame, "test", 2);
  reader.varint(2 ** 30, "size");
  if (bases.length > 0) {
    reader.varint(2 ** 30, "bases");
    for (let i = 0; i < bases.length; i++) {
      reader.take(32);
      reader.varint(2 ** 30, "skip");
      reader.varint(2 ** 30, "take");
    }
  }
  return decoded(reader.take(reader.left), plainBytes, bases.length > 0 ? reference : undefined, kernels);
}

function decoded(body: Uint8Array, plainBytes: number, reference: Uint8Array | undefined, kernels: Kernels) {
  // What was in the room before must not show through.
  const out = new Uint8Array(plainBytes).fill(0xa5);
  decodePlanes(body, out, reference, kernels);
  return out;
}

/** Words that walk from dense to sparse, with runs of constants: all that a mixed chunk may hold. */
function mixed(bytes: number, seed: number): Uint8Array {
  const out = new Uint8Array(bytes);
  let state = seed | 1;
  const next = () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    return (state >>> 8) / 2 ** 24;
  };
  for (let from = 0; from < bytes; ) {
    const length = Math.floor(next() * 3000) + 1;
    const kind = Math.floor(next() * 4);
    for (let i = from; i < Math.min(bytes, from + length); i++) {
      if (kind === 0) out[i] = next() * 256;
      else if (kind === 1) out[i] = 60 + next() * next() * 20 + (i & 1) * 100;
      else if (kind === 2) out[i] = i & 3 ? next() * 5 : next() * 200;
    }
    from += length;
  }
  return out;
}

const layouts: fc.Arbitrary<Layout> = fc
  .record({ stride: fc.constantFrom(...strides), phase: fc.nat(7), rotation: fc.nat(1), residual: fc.nat(2) })
  .map((layout) => ({ ...layout, phase: layout.phase % layout.stride }));

describe("golden frames", () => {
  test.each(all)("decode with the %s kernels", (_, kernels) => {
    expect(vectors.length).toBeGreaterThan(70);
    for (const { name, frame, plainBytes, plainSha256, reference } of vectors) {
      const plain = decodeWith(kernels, fromHex(frame), plainBytes, reference ? fromHex(reference) : undefined);
      expect(sha256(plain), name).toBe(plainSha256);
    }
  });

  test("cover every mode, length mod 32, number of tables, stride, phase and residual", () => {
    const seen = new Set<string>();
    for (const { frame, plainBytes } of vectors) {
      const bytes = fromHex(frame);
      const bases = readBases(bytes);
      let at = 2 + (plainBytes < 128 ? 1 : 2);
      if (bases.length > 0) at += 1 + 2 * 32 + 1 + 1 + 2 + (bases[1]!.take < 128 ? 1 : 2);
      const [stride, phase, xform] = bytes.subarray(at + 8);
      const [mode, tables] = bytes.subarray(at + 12 + phase!);
      seen.add(`stride ${stride} phase ${phase} rotation ${xform! & 3}`).add(`residual ${xform! >> 2}`);
      seen.add(`mode ${mode}`);
      if (mode === 2) seen.add(`tables ${tables}`);
      if (mode === 2 && stride === 1) seen.add(`length ${plainBytes % 32}`);
    }
    const expected = ["mode 0", "mode 1", "mode 2", "residual 0", "residual 1", "residual 2"];
    for (let i = 0; i < 32; i++) expected.push(`length ${i}`);
    for (let i = 1; i <= 4; i++) expected.push(`tables ${i}`);
    for (const stride of strides)
      for (let phase = 0; phase < stride; phase++)
        for (const rotation of [0, 1]) expected.push(`stride ${stride} phase ${phase} rotation ${rotation}`);
    expect([...seen].filter((what) => expected.includes(what)).sort()).toEqual(expected.sort());
  });

  test("are refused whole when the reader lacks the bases", async () => {
    const based = vectors.find((vector) => vector.reference)!;
    const primitives = {} as Primitives;
    await expect(decodeFrame(fromHex(based.frame), based.plainBytes, primitives)).rejects.toMatchObject({
      code: "snapshot_damaged",
    });
    const plain = await decodeFrame(fromHex(based.frame), based.plainBytes, primitives, fromHex(based.reference!));
    expect(sha256(plain)).toBe(based.plainSha256);
    expect(readBases(fromHex(based.frame))).toEqual([
      { id: "\x01".repeat(32), skip: 0, take: 10 },
      { id: "\x02".repeat(32), skip: 300, take: based.plainBytes - 10 },
    ]);
  });
});

describe("blocks", () => {
  test("come back from either encoder with either decoder, and all encoders write the same", () => {
    fc.assert(
      fc.property(layouts, fc.integer({ min: 8, max: 9000 }), fc.nat(), (layout, bytes, seed) => {
        const plain = mixed(bytes, seed);
        const reference = plain.map((byte, i) => (i % 7 === 0 ? byte + 1 : byte));
        const frames = all.map(([, kernels]) => {
          const writer = new ByteWriter();
          encodeBlock(writer, plain, reference, layout, kernels);
          return writer.finish();
        });
        expect(Buffer.compare(frames[0]!, frames[1]!)).toBe(0);
        for (const [, kernels] of all) {
          const out = new Uint8Array(bytes);
          expect(decodeBlock(new ByteReader(frames[0]!, "test"), out, reference, kernels)).toBe(bytes);
          expect(Buffer.compare(out, plain)).toBe(0);
        }
      }),
      { numRuns: 150 },
    );
  });

  test.each([
    ["of one byte", new Uint8Array([5])],
    ["of the largest size and the sharpest spread", mixed(blockMaxBytes, 3).map((b, i) => (i % 97 === 0 ? b : 1))],
    ["of noise", mixed(blockMaxBytes, 3).map((_, i) => (Math.imul(i, 0x9e3779b1) >>> 13) ^ (i >>> 7))],
  ])("%s come back", (_, plain) => {
    for (const stride of strides) {
      for (const [, kernels] of all) {
        const writer = new ByteWriter();
        const layout = { stride, phase: Math.min(plain.length, stride - 1), rotation: 1, residual: 0 };
        encodeBlock(writer, plain, undefined, layout, kernels);
        expect(writer.length).toBeLessThanOrEqual(plain.length + 12 + stride);
        const out = new Uint8Array(plain.length);
        decodeBlock(new ByteReader(writer.view(), "test"), out, undefined, kernels);
        expect(Buffer.compare(out, plain)).toBe(0);
      }
    }
  });
});

test("wide distributions are told apart, though a few symbols of each say little", () => {
  const plain = new Uint8Array(blockMaxBytes);
  let state = 7;
  const next = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 16) % below;
  };
  // Around one of four middles for 512 symbols.
  const counts = Array.from({ length: 4 }, () => new Uint32Array(256));
  for (let from = 0; from < plain.length; from += 512) {
    const kind = next(4);
    for (let i = from; i < from + 512; i++) {
      plain[i] = 18 * kind + next(24) + next(24) + next(24);
      counts[kind]![plain[i]!]!++;
    }
  }
  let bits = 0;
  for (const histogram of counts) {
    const total = histogram.reduce((sum, count) => sum + count);
    for (const count of histogram) if (count > 0) bits += count * Math.log2(total / count);
  }
  expect(bits / plain.length).toBeGreaterThan(5);
  for (const [, kernels] of all) {
    const writer = new ByteWriter(plain.length);
    encodeBlock(writer, plain, undefined, { stride: 1, phase: 0, rotation: 0, residual: 0 }, kernels);
    expect(writer.length).toBeLessThan(1.01 * (bits / 8));
  }
});

describe("bodies", () => {
  test("of any bytes come back, and all sets of kernels plan and write the same", () => {
    for (const bytes of [1, 7, 8, 5000, pieceBytes, pieceBytes + 3, 5 * pieceBytes + 1, blockMaxBytes + 9]) {
      const plain = mixed(bytes, bytes);
      const counts: number[][] = [];
      const bodies = all.map(([, kernels]) => {
        const writer = new ByteWriter();
        const plan = planBlocks(bytes, probePieces(plain, kernels));
        counts.push([...kernels.repeatCounts]);
        encodePlanes(writer, plain, plan, kernels);
        return writer.finish();
      });
      expect(counts[0]).toEqual(counts[1]);
      expect(Buffer.compare(bodies[0]!, bodies[1]!)).toBe(0);
      for (const [, kernels] of all) {
        expect(Buffer.compare(decoded(bodies[0]!, bytes, undefined, kernels), plain)).toBe(0);
      }
    }
  });

  test("against a reference take what differs, and come back", async () => {
    const before = floats(40_000, 0.05);
    const after = before.slice();
    const words = new Uint16Array(after.buffer);
    for (let i = 0; i < words.length; i++) if (i % 9 === 0) words[i]! += (i % 5) - 2;
    const base = { id: "b".repeat(32), skip: 5, take: after.length };
    for (const [, kernels] of all) {
      const writer = new ByteWriter();
      encodePlanesAgainst(writer, after, before, planAgainst(after, before, kernels).blocks, kernels);
      expect(Buffer.compare(decoded(writer.view(), after.length, before, kernels), after)).toBe(0);
    }
    const frame = encodeFrameWithBases(after, [base], before);
    expect(frame.length).toBeLessThan(after.length * 0.2);
    expect(readBases(frame)).toEqual([base]);
    expect(Buffer.compare(await decodeFrame(frame, after.length, {} as Primitives, before), after)).toBe(0);
    expect(() => encodeFrameWithBases(after, [{ ...base, take: 1 }], before)).toThrow(RangeError);
  });
});

/** BF16 of a Gaussian, little-endian. */
function floats(count: number, deviation: number): Uint8Array {
  const wide = new Float32Array(count);
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  for (let i = 0; i < count; i++) {
    wide[i] = deviation * Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next());
  }
  const words = new Uint16Array(wide.buffer);
  return new Uint8Array(Uint16Array.from({ length: count }, (_, i) => words[2 * i + 1]!).buffer);
}

describe("the plan", () => {
  test("finds the element's place and width, wherever the bytes begin", () => {
    const numbers = floats(60_000, 0.02);
    for (const shift of [0, 1]) {
      const plain = new Uint8Array(numbers.length + shift);
      plain.set(numbers, shift);
      const plan = planBlocks(plain.length, probePieces(plain, fastKernels));
      expect(plan.blocks.map((block) => block.layout)).toEqual([{ stride: 2, phase: shift, rotation: 1, residual: 0 }]);
    }
  });

  test("gives each part of a mixed chunk its own layout, in blocks that fill it", () => {
    const plain = new Uint8Array(32 * pieceBytes + 100);
    plain.set(floats(8 * pieceBytes, 0.02));
    const wide = Float32Array.from({ length: 4 * pieceBytes }, (_, i) => Math.sin(i * i) * 0.03);
    plain.set(new Uint8Array(wide.buffer), 16 * pieceBytes + 3);
    const plan = planBlocks(plain.length, probePieces(plain, fastKernels));
    expect(plan.blocks[0]).toMatchObject({ from: 0, layout: { stride: 2, rotation: 1 } });
    expect(plan.blocks.at(-1)).toMatchObject({ layout: { stride: 4 } });
    let at = 0;
    for (const block of plan.blocks) {
      expect(block.bytes).toBeLessThanOrEqual(blockMaxBytes);
      expect(block.from).toBe(at);
      at += block.bytes;
    }
    expect(at).toBe(plain.length);
  });
});

describe("tables", () => {
  const counts = fc
    .uniqueArray(fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 300_000 })), { selector: ([s]) => s, minLength: 1 })
    .map((list) => {
      const all = new Uint32Array(256);
      for (const [symbol, count] of list) all[symbol] = count;
      return all;
    });

  test("sum to 2048, have every symbol that occurs, and come back", () => {
    fc.assert(
      fc.property(counts, (all) => {
        const frequencies = new Uint16Array(256);
        normalise(all, frequencies);
        expect(frequencies.reduce((a, b) => a + b)).toBe(2048);
        for (const [symbol, count] of all.entries()) expect(frequencies[symbol]! > 0).toBe(count > 0);
        const writer = new ByteWriter();
        writeTable(writer, frequencies);
        const back = new Uint16Array(256);
        const reader = new ByteReader(writer.view(), "table");
        readTable(reader, back);
        reader.end();
        expect(back).toEqual(frequencies);
      }),
    );
  });

  test("are refused in any other form", () => {
    for (const hex of [
      "0500", // ends before it begins
      "050502" + "87ff", // the only symbol is not there
      "050503" + "87ff", // a bit beyond the last symbol
      "050501" + "87fe", // 2047
      "050603" + "8007" + "87f7", // overlong
      "050603" + "00" + "87ff", // 2049
      "050501" + "ffff",
    ]) {
      expect(() => readTable(new ByteReader(fromHex(hex), "table"), new Uint16Array(256)), hex).toThrow(FormatError);
    }
    const frequencies = new Uint16Array(256);
    readTable(new ByteReader(fromHex("05050187ff"), "table"), frequencies);
    expect(frequencies[5]).toBe(2048);
  });
});

describe("damage", () => {
  /** All decoders must agree: refuse with a FormatError, or give the same bytes. */
  function outcomes(frame: Uint8Array, plainBytes: number, reference?: Uint8Array): string {
    const [first, ...others] = all.map(([, kernels]) => {
      try {
        return sha256(decodeWith(kernels, frame, plainBytes, reference));
      } catch (error) {
        if (error instanceof FormatError) return `refused: ${error.message}`;
        throw error;
      }
    });
    for (const other of others) expect(other).toBe(first);
    return first!;
  }

  test("one flipped bit in the words or states of a plane is nearly always noticed", () => {
    let flips = 0;
    let unnoticed = 0;
    for (const { frame, plainBytes, name } of vectors) {
      // A single rans plane: all after its tables is states and words.
      if (!/^(length|\d+ symbols)/.test(name)) continue;
      const bytes = fromHex(frame);
      for (let at = bytes.length - 40; at < bytes.length; at += 3) {
        const damaged = bytes.slice();
        damaged[at]! ^= 1 << (at % 8);
        if (!outcomes(damaged, plainBytes).startsWith("refused")) unnoticed++;
        flips++;
      }
    }
    expect(flips).toBeGreaterThan(400);
    // A flip between two symbols of one frequency leaves the same state: only the chunk's id can tell those.
    expect(unnoticed).toBeLessThan(flips * 0.03);
  });

  test("every cut of a golden frame, and every longer one, is refused", () => {
    for (const { frame, plainBytes, reference } of vectors) {
      const bytes = fromHex(frame);
      const against = reference ? fromHex(reference) : undefined;
      for (let length = 3; length < bytes.length; length += 1 + (bytes.length >> 5)) {
        expect(outcomes(bytes.slice(0, length), plainBytes, against)).toMatch(/^refused/);
      }
      expect(outcomes(new Uint8Array([...bytes, 0]), plainBytes, against)).toMatch(/^refused/);
    }
  });

  test("flips, patches and splices of golden frames end in a FormatError or in equal bytes", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...vectors),
        fc.constantFrom(...vectors),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(),
        fc.boolean(),
        (vector, other, patches, cut, splice) => {
          let bytes = fromHex(vector.frame);
          for (const [at, value] of patches) bytes[at % bytes.length] = value;
          if (splice) {
            const from = fromHex(other.frame);
            bytes = new Uint8Array([...bytes.subarray(0, cut % bytes.length), ...from.subarray(cut % from.length)]);
          }
          const reference = vector.reference ? fromHex(vector.reference) : new Uint8Array(vector.plainBytes);
          outcomes(bytes, vector.plainBytes, reference);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test("a frame's head and bases: every byte changed, every cut", async () => {
    const vector = vectors.find((one) => one.reference)!;
    const frame = fromHex(vector.frame);
    const reference = fromHex(vector.reference!);
    const outcome = (bytes: Uint8Array) =>
      decodeFrame(bytes, vector.plainBytes, {} as Primitives, reference).then(
        () => "value",
        (error: unknown) => (error instanceof FormatError ? "refused" : String(error)),
      );
    const headBytes = 2 + 1 + 1 + 2 * 32 + 6;
    for (let at = 0; at < headBytes; at++) {
      expect(await outcome(frame.slice(0, at))).toBe("refused");
      for (const value of [0, 1, 3, 127, 128, 255]) {
        const changed = frame.slice();
        changed[at] = value;
        expect(["value", "refused"]).toContain(await outcome(changed));
      }
    }
    const without = (codec: number) => new Uint8Array([codec, 1, 1, 1, ...new Uint8Array(32), 0, 1, 9]);
    for (const codec of [0, 1, 3]) expect(() => readBases(without(codec))).toThrow(FormatError);
    expect(() => readBases(new Uint8Array([2, 1, 1, 0]))).toThrow(FormatError);
  });

  test("a block that announces more than there is allocates nothing for it", () => {
    const block = new ByteWriter();
    block.u32(0xffffffff);
    block.u32(0xffffffff);
    for (const byte of [1, 0, 0, 0]) block.u8(byte);
    for (const [, kernels] of all) {
      expect(() => decodePlanes(block.view(), new Uint8Array(1 << 20), undefined, kernels)).toThrow(FormatError);
    }
  });
});
