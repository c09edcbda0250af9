import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteReader, ByteWriter, fromHex, isAllZero, latin1FromBytes, toHex, varintBytes } from "./bytes.ts";
import { ChunkList, type ChunkRef } from "./chunk-list.ts";
import { cutAll, fileChunker, findCut, gear, treeChunker } from "./chunker.ts";
import { type Base, decodeFrame, encodeFrame, encodeFrameWithBases } from "./codec.ts";
import { FormatError } from "./error.ts";
import { decodeFrames, encodeFrames } from "./frame-table.ts";
import { limits } from "./limits.ts";
import { formatManifest, type Manifest, parseManifest } from "./manifest.ts";
import { openFrame } from "./open-frame.ts";
import { decodePart } from "./part.ts";
import { PartBuilder } from "./part-builder.ts";
import type { Primitives } from "./primitives.ts";
import { decodeSegment, encodeSegment } from "./segment.ts";
import { manifestKey, manifestObjectKey, parseManifestKey, parseObjectKey, partObjectKey } from "./store.ts";
import {
  checkPath,
  decodeEntry,
  decodeTreeRoot,
  type Entry,
  encodeHoles,
  encodeRecord,
  encodeTreeRoot,
  readTree,
} from "./tree.ts";

const primitives: Primitives = {
  sha256: (bytes) => createHash("sha256").update(bytes).digest(),
  chunkId: (bytes) => createHash("sha256").update(bytes).digest("binary"),
  newSha256() {
    const hash = createHash("sha256");
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() };
  },
  zstdCompress: (bytes, level) =>
    promisify(zstdCompress)(bytes, {
      params: { [constants.ZSTD_c_compressionLevel]: level },
      pledgedSrcSize: bytes.length,
    }),
  zstdDecompress: (bytes, maxBytes) => promisify(zstdDecompress)(bytes, { maxOutputLength: Math.max(1, maxBytes) }),
};
const readAll = (bytes: Uint8Array) => [...readTree(bytes)];
const idOf = (bytes: Uint8Array) => latin1FromBytes(primitives.sha256(bytes));

/** Every decoder ends in a value or in a FormatError: never in another error, never in a hang. */
async function outcomeOf(work: () => unknown): Promise<"value" | "refused"> {
  try {
    await work();
    return "value";
  } catch (error) {
    if (error instanceof FormatError) return "refused";
    throw error;
  }
}

function noise(bytes: number, seed: number): Uint8Array {
  const out = new Uint8Array(bytes);
  let state = seed | 0;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    out[i] = state >>> 24;
  }
  return out;
}

describe("varints", () => {
  test("every safe integer comes back, in its shortest form", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const writer = new ByteWriter(1);
        writer.varint(value);
        expect(writer.length).toBe(varintBytes(value));
        const reader = new ByteReader(writer.finish(), "test");
        expect(reader.varint(Number.MAX_SAFE_INTEGER, "value")).toBe(value);
        reader.end();
      }),
    );
  });

  test("overlong, too large and cut ones are refused", () => {
    for (const hex of ["8000", "ffffffffffffffffff01", "80", "ffffffffffffff7f"]) {
      expect(() => new ByteReader(fromHex(hex), "test").varint(2 ** 52, "value")).toThrow(FormatError);
    }
  });
});

test("isAllZero looks at every byte at every alignment", () => {
  fc.assert(
    fc.property(fc.nat(9), fc.nat(40), fc.nat(60), (from, length, at) => {
      const bytes = new Uint8Array(64);
      bytes[at] = 1;
      expect(isAllZero(bytes.subarray(from, from + length))).toBe(at < from || at >= from + length);
    }),
  );
});

describe("the chunker", () => {
  test("has the table that FORMAT.md writes down", () => {
    expect(createHash("sha256").update(new Uint8Array(gear.buffer)).digest("hex")).toBe(
      "a16f320407f23d1194b21a58b2da12581720cead41e8e24cc1e204c878b135de",
    );
  });

  test("cuts known bytes at known places", () => {
    expect(cutAll(noise(20 << 20, 42), fileChunker)).toEqual([
      2194421, 2205054, 2124806, 2182994, 1112398, 2316269, 3224655, 1065385, 2294363, 2186219, 64956,
    ]);
  });

  test("cuts within its bounds, and the same whatever is known of what follows", () => {
    const bytes = noise(3 << 20, 7);
    const whole = cutAll(bytes, treeChunker);
    expect(whole.reduce((a, b) => a + b)).toBe(bytes.length);
    for (const length of whole.slice(0, -1)) {
      expect(length).toBeGreaterThanOrEqual(treeChunker.min);
      expect(length).toBeLessThanOrEqual(treeChunker.max);
    }
    let at = 0;
    for (const length of whole) {
      const to = Math.min(bytes.length, at + treeChunker.max);
      expect(findCut(bytes, at, to, to === bytes.length, treeChunker)).toBe(length);
      at += length;
    }
  });

  test("cuts where the rule of FORMAT.md says, wherever the bytes lie in memory", () => {
    const plainCut = (bytes: Uint8Array, p: typeof treeChunker) => {
      if (bytes.length <= p.min) return bytes.length;
      let h = 0;
      for (let o = p.min - 65; o < Math.min(bytes.length, p.max); o++) {
        h = ((h << 1) + gear[bytes[o]!]!) | 0;
        if (o >= p.min - 1 && (h & (o < p.target - 1 ? p.strictMask : p.looseMask)) === 0) return o + 1;
      }
      return Math.min(bytes.length, p.max);
    };
    const all = noise(2 << 20, 11);
    for (let from = 0; from < all.length; from += 40_009) {
      const bytes = all.subarray(from, from + 300_000);
      expect(findCut(all, from, from + bytes.length, true, treeChunker)).toBe(plainCut(bytes, treeChunker));
      const moved = new Uint8Array(bytes.length + 1).subarray(1);
      moved.set(bytes);
      expect(findCut(moved, 0, bytes.length, true, treeChunker)).toBe(plainCut(bytes, treeChunker));
    }
    // Ends of every kind, around the unrolled turns.
    for (let length = treeChunker.min; length < treeChunker.min + 40; length++)
      expect(findCut(all, 1, 1 + length, true, treeChunker)).toBe(plainCut(all.subarray(1, 1 + length), treeChunker));
  });

  test("finds its cuts again after an insertion at the front", () => {
    const bytes = noise(4 << 20, 8);
    const moved = new Uint8Array(bytes.length + 1000);
    moved.set(noise(1000, 9));
    moved.set(bytes, 1000);
    const ends = (lengths: number[], shift: number) => {
      let at = -shift;
      return lengths.map((length) => {
        at += length;
        return at;
      });
    };
    const before = new Set(ends(cutAll(bytes, treeChunker), 0));
    const after = ends(cutAll(moved, treeChunker), 1000);
    expect(after.filter((end) => before.has(end)).length).toBeGreaterThan(after.length * 0.8);
  });

  test("never cuts zeros before the largest size", () => {
    const zeros = new Uint8Array(fileChunker.max + 5);
    expect(findCut(zeros, 0, zeros.length, false, fileChunker)).toBe(fileChunker.max);
  });
});

describe("frames", () => {
  test("come back, whatever they hold", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 5000 }), fc.nat(3), async (bytes, repeat) => {
        const plain = new Uint8Array(Buffer.concat(Array.from({ length: repeat + 1 }, () => bytes)));
        const frame = await encodeFrame(plain, primitives, 3);
        expect(frame.length).toBeLessThanOrEqual(plain.length + 6);
        expect(Buffer.compare(await decodeFrame(frame, plain.length, primitives), plain)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("zeros, text and noise take their own codec", async () => {
    expect((await encodeFrame(new Uint8Array(1 << 20), primitives, 3)).length).toBeLessThan(8);
    expect((await encodeFrame(new Uint8Array(Buffer.alloc(9999, "text ")), primitives, 3))[0]).toBe(1);
    expect((await encodeFrame(noise(9999, 1), primitives, 3))[0]).toBe(0);
  });

  test("codecs and flags of later versions are named as such", async () => {
    for (const head of [
      [4, 0, 1, 0],
      [9, 0, 1, 0],
      [0, 2, 1, 0],
    ]) {
      await expect(decodeFrame(new Uint8Array(head), 1, primitives)).rejects.toMatchObject({
        code: "snapshot_format_unknown",
      });
    }
  });
});

async function makePart(chunks: Uint8Array[], kind: "data" | "meta" = "data") {
  const builder = new PartBuilder(kind);
  for (let i = 0; i < chunks.length; i += 2) {
    const pair = chunks.slice(i, i + 2);
    const plain = new Uint8Array(Buffer.concat(pair));
    const refs: ChunkRef[] = pair.map((bytes) => ({ id: idOf(bytes), plainBytes: bytes.length }));
    builder.add(await encodeFrame(plain, primitives, 3), plain.length, refs);
  }
  return builder.finish(primitives);
}

async function openAll(bytes: Uint8Array): Promise<Uint8Array[]> {
  const { table } = await decodePart(bytes, primitives);
  const chunks: Uint8Array[] = [];
  const readBase = async (id: string) => {
    const base = chunks.find((chunk) => idOf(chunk) === id);
    if (!base) throw new FormatError("snapshot_damaged", "no such base");
    return base;
  };
  for (const frame of table.frames) {
    const stored = bytes.subarray(frame.offset, frame.offset + frame.storedBytes);
    chunks.push(...(await openFrame(stored, frame, primitives, 0, undefined, readBase)));
  }
  return chunks;
}

describe("parts", () => {
  const someChunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 12 });

  test("come back", async () => {
    await fc.assert(
      fc.asyncProperty(someChunks, async (chunks) => {
        const { bytes, table } = await makePart(chunks);
        expect((await decodePart(bytes, primitives)).table).toEqual(table);
        expect((await openAll(bytes)).map((chunk) => [...chunk])).toEqual(chunks.map((chunk) => [...chunk]));
      }),
      { numRuns: 40 },
    );
  });

  test("one damaged byte anywhere is noticed", async () => {
    const { bytes } = await makePart([noise(200, 1), Buffer.alloc(500, "abc "), noise(10, 2), new Uint8Array(100)]);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice();
      damaged[at] = damaged[at]! ^ (1 << (at % 8));
      expect(await outcomeOf(() => openAll(damaged)), `byte ${at}`).toBe("refused");
    }
  });

  test("every cut and every longer one is refused", async () => {
    const { bytes } = await makePart([noise(40, 1), noise(40, 2)]);
    for (let length = 0; length < bytes.length; length++) {
      expect(await outcomeOf(() => openAll(bytes.slice(0, length)))).toBe("refused");
    }
    expect(await outcomeOf(() => openAll(new Uint8Array([...bytes, 0])))).toBe("refused");
  });

  test("noise and damage never end in another error", async () => {
    const { bytes } = await makePart([noise(200, 1), Buffer.alloc(500, "abc ")]);
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 400 }),
        fc.nat(bytes.length - 1),
        fc.uint8Array({ minLength: 1, maxLength: 9 }),
        async (junk, at, patch) => {
          await outcomeOf(() => openAll(junk));
          const damaged = bytes.slice();
          damaged.set(patch.subarray(0, damaged.length - at), at);
          await outcomeOf(() => openAll(damaged));
        },
      ),
      { numRuns: 300 },
    );
  });

  test("a tiny part has exactly these bytes", async () => {
    const { bytes } = await makePart([new Uint8Array([1, 2, 3]), new Uint8Array(8)]);
    const stored = Buffer.from(bytes).toString("hex");
    expect(stored.slice(0, 48)).toBe(`534e5031${"01"}${"00"}${"0000"}${"00".repeat(16)}`);
    expect(stored.slice(48, 48 + 28)).toBe("00000b0102030000000000000000");
    expect(stored.slice(-8)).toBe("31504e53");
    // The table is zstd, whose bytes a later library may choose otherwise; a reader takes any.
    const fixed = fromHex(
      "534e5031010000000000000000000000000000000000000000000b010203000000000000000028b52ffd2047390200010e0b02039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb8103af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc080026000000500000000100000002000000593b800ba50c617d785083703857300972fd69d8034341834f45ccdfb823254a31504e53",
    );
    expect((await openAll(fixed)).map((chunk) => [...chunk])).toEqual([
      [1, 2, 3],
      [0, 0, 0, 0, 0, 0, 0, 0],
    ]);
  });

  test("a tiny part with bases has exactly these bytes", async () => {
    const fixed = fromHex(
      "534e50310100000000000000000000000000000000000000000006090a141e280902010401b555f0c09c6786d7ef53422df881b8cd1ef0fed74f3e6cd63117018c63a46bf10104040000001100000001000000000b141e2728b52ffd206b950200a40402090601b555f0c09c6786d7ef53422df881b8cd1ef0fed74f3e6cd63117018c63a46bf106003704015f8edad47db1aad655741d8b357df26fa2bdf8279813bdc01e28625d0c6375110401008a328628580000005b0000000200000002000000246b12e458001bcba0903fa97994f1a649eeeea2f7a965856b79549be629f3b531504e53",
    );
    expect((await openAll(fixed)).map((chunk) => [...chunk])).toEqual([
      [9, 10, 20, 30, 40, 9],
      [11, 20, 30, 39],
    ]);
    const { table } = await decodePart(fixed, primitives);
    expect(table.frames.map((frame) => frame.bases)).toEqual([[], [table.frames[0]!.chunks.idAt(0)]]);
  });
});

/** A part of two frames: numbers, and the same a little later against them. */
async function makeBasedPart(change: (base: Base) => Base = (base) => base, named?: string[]) {
  const before = new Uint8Array(Uint16Array.from({ length: 3000 }, (_, i) => (i * 7919) % 65_521).buffer);
  const after = before.slice(10);
  for (let i = 0; i < after.length; i += 40) after[i]! ^= 3;
  const refOf = (bytes: Uint8Array): ChunkRef => ({ id: idOf(bytes), plainBytes: bytes.length });
  const base = change({ id: idOf(before), skip: 10, take: after.length });
  const builder = new PartBuilder("data");
  builder.add(await encodeFrame(before, primitives, 3), before.length, [refOf(before)]);
  const frame = encodeFrameWithBases(after, [base], before.slice(10));
  builder.add(frame, after.length, [refOf(after)], named ?? [base.id]);
  return { before, after, frame, ...(await builder.finish(primitives)) };
}

describe("parts with bases", () => {
  test("come back, much smaller", async () => {
    const { before, after, frame, bytes, table } = await makeBasedPart();
    expect(frame.length).toBeLessThan(after.length / 5);
    expect((await decodePart(bytes, primitives)).table).toEqual(table);
    expect(table.frames[1]!.bases).toEqual([idOf(before)]);
    expect((await openAll(bytes)).map((chunk) => Buffer.from(chunk).equals(before))).toEqual([true, false]);
    expect(Buffer.compare((await openAll(bytes))[1]!, after)).toBe(0);
  });

  test("one damaged byte anywhere is noticed", async () => {
    const { bytes, table } = await makeBasedPart();
    const from = table.frames[1]!.offset;
    for (let at = from; at < bytes.length; at++) {
      const damaged = bytes.slice();
      damaged[at] = damaged[at]! ^ (1 << (at % 8));
      expect(await outcomeOf(() => openAll(damaged)), `byte ${at}`).toBe("refused");
    }
  });

  test("a table that names others, too few, too many or none is refused, and so are pieces beyond their chunk", async () => {
    const other = "o".repeat(32);
    for (const [change, named] of [
      [(base: Base) => base, [other]],
      [(base: Base) => base, []],
      [(base: Base) => base, [idOf(new Uint8Array([1])), other]],
      [(base: Base) => ({ ...base, skip: 11 }), undefined],
      [(base: Base) => ({ ...base, skip: limits.chunkBytes - base.take }), undefined],
      [(base: Base) => ({ ...base, id: other }), undefined],
    ] as const) {
      const { bytes } = await makeBasedPart(change, named && [...named]);
      expect(await outcomeOf(() => openAll(bytes))).toBe("refused");
    }
  });

  test("a frame of several chunks has none", () => {
    const writer = new ByteWriter();
    const chunks = ["a", "b"].map((letter) => ({ id: letter.repeat(32), plainBytes: 1 }));
    const frame = { offset: 24, storedBytes: 9, plainBytes: 2, chunks: ChunkList.of(chunks), bases: ["c".repeat(32)] };
    encodeFrames(writer, [frame]);
    expect(() => decodeFrames(new ByteReader(writer.view(), "part"), "part")).toThrow(FormatError);
    writer.clear();
    encodeFrames(writer, [{ ...frame, chunks: ChunkList.of([{ id: "a".repeat(32), plainBytes: 2 }]) }]);
    expect(decodeFrames(new ByteReader(writer.view(), "part"), "part")[0]!.bases).toEqual(frame.bases);
  });
});

describe("segments", () => {
  test("come back, and damage never ends in another error", async () => {
    const { bytes, table } = await makePart([noise(100, 1), noise(100, 2), noise(100, 3)]);
    const parts = [{ key: "ab".repeat(32), bytes: bytes.length, frames: table.frames }];
    const segment = encodeSegment(parts).slice();
    expect(decodeSegment(segment)).toEqual(parts);
    for (let at = 0; at < segment.length; at++) {
      const damaged = segment.slice();
      damaged[at] = damaged[at]! ^ 0x81;
      await outcomeOf(() => decodeSegment(damaged));
      expect(await outcomeOf(() => decodeSegment(segment.slice(0, at)))).toBe("refused");
    }
  });
});

const byteString = (max: number) =>
  fc
    .uint8Array({ minLength: 1, maxLength: max })
    .map((bytes) => latin1FromBytes(bytes.map((b) => (b === 0 || b === 47 ? 65 : b))));
const name = byteString(20).filter((text) => text !== "." && text !== "..");
const xattrs = fc
  .uniqueArray(fc.tuple(byteString(20), fc.uint8Array({ maxLength: 50 })), { selector: ([key]) => key, maxLength: 3 })
  .map((list) => list.sort((a, b) => (a[0] < b[0] ? -1 : 1)));
const common = fc.record({
  path: fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join("/")),
  mode: fc.nat(0o7777),
  uid: fc.nat(0xffffffff),
  gid: fc.nat(0xffffffff),
  mtimeNs: fc.bigInt({ min: -(2n ** 92n), max: 2n ** 92n - 1n }),
  xattrs,
});
const chunkRefs = fc.array(
  fc.record({
    id: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(latin1FromBytes),
    plainBytes: fc.integer({ min: 1, max: limits.chunkBytes }),
  }),
  { maxLength: 4 },
);
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.tuple(common, chunkRefs).map(([shared, chunks]): Entry => {
    const size = chunks.reduce((sum, chunk) => sum + chunk.plainBytes, 0);
    return {
      ...shared,
      type: "f",
      size,
      chunks,
      holes:
        size > 10
          ? [
              { offset: 1, length: 2 },
              { offset: 5, length: size - 5 },
            ]
          : [],
    };
  }),
  fc.tuple(common, byteString(100)).map(([shared, target]): Entry => ({ ...shared, type: "l", target })),
  fc
    .tuple(common, fc.maxSafeNat(), fc.constantFrom("c" as const, "b" as const))
    .map(([shared, rdev, type]): Entry => ({ ...shared, type, rdev })),
  fc
    .tuple(common, fc.constantFrom("d" as const, "p" as const, "s" as const))
    .map(([shared, type]): Entry => ({ ...shared, type })),
  fc.tuple(common, name).map(([{ path }, target]): Entry => ({ path, type: "h", target })),
);

function encodeEntry(value: Entry): Uint8Array {
  const writer = new ByteWriter();
  encodeRecord(writer, value);
  if (value.type === "f") encodeHoles(writer, value.holes);
  return writer.finish();
}

describe("tree entries", () => {
  test("come back", () => {
    fc.assert(
      fc.property(entry, (value) => {
        const reader = new ByteReader(encodeEntry(value), "test");
        expect(decodeEntry(reader)).toEqual(value);
        reader.end();
      }),
    );
  });

  test("damage never ends in another error, and a cut is refused", async () => {
    await fc.assert(
      fc.asyncProperty(entry, fc.nat(), fc.nat(255), async (value, at, byte) => {
        const bytes = encodeEntry(value);
        bytes[at % bytes.length] = byte;
        await outcomeOf(() => readAll(bytes));
        await outcomeOf(() => decodeEntry(new ByteReader(bytes, "test")));
        const cut = encodeEntry(value).slice(0, at % bytes.length);
        expect(await outcomeOf(() => decodeEntry(new ByteReader(cut, "test")))).toBe("refused");
      }),
      { numRuns: 400 },
    );
  });
});

test("records have exactly these bytes", () => {
  const shared = { mode: 0o755, uid: 1000, gid: 300, mtimeNs: -1n, xattrs: [] };
  const hex = (value: Entry) => toHex(encodeEntry(value));
  const time = `${"ff".repeat(8)}ffc99a3b`;
  expect(hex({ path: "", type: "d", ...shared })).toBe(`00${"64"}00ed03e807ac02${time}`);
  expect(hex({ path: "a\xff", type: "l", target: "b", ...shared, xattrs: [["user.c", new Uint8Array([7])]] })).toBe(
    `0261ff${"6c"}01ed03e807ac02${time}0162${"01"}06757365722e630107`,
  );
  expect(hex({ path: "h", type: "h", target: "f" })).toBe("01686800" + "0166");
  const chunks = [{ id: "i".repeat(32), plainBytes: 300 }];
  const holes = [
    { offset: 1, length: 2 },
    { offset: 200, length: 100 },
  ];
  expect(hex({ path: "f", type: "f", ...shared, size: 300, chunks, holes })).toBe(
    `01666600ed03e807ac02${time}ac0201${"69".repeat(32)}ac02020102c50164`,
  );
});

describe("a hostile tree", () => {
  const folder = (path: string): Entry => ({ path, type: "d", mode: 0o755, uid: 0, gid: 0, mtimeNs: 0n, xattrs: [] });
  const link = (path: string, target: string): Entry => ({
    path,
    type: "l",
    target,
    mode: 0o777,
    uid: 0,
    gid: 0,
    mtimeNs: 0n,
    xattrs: [],
  });
  const decode = (...entries: Entry[]) => readAll(new Uint8Array(Buffer.concat(entries.map(encodeEntry))));

  test("cannot name anything outside, twice, below a link or out of order", () => {
    for (const path of [
      "..",
      "a/../b",
      "/etc",
      "a//b",
      "a/",
      "./a",
      ".",
      "a\0b",
      "x".repeat(256),
      "a/".repeat(3000),
      "a/".repeat(600_000).slice(0, -1),
    ]) {
      expect(() => decode(folder(""), folder(path)), path).toThrow(FormatError);
    }
    expect(() => decode(folder("a"))).toThrow("root");
    expect(() => decode(folder(""), folder("a"), folder("a"))).toThrow("twice");
    expect(() => decode(folder(""), folder("b"), folder("a"))).toThrow("order");
    expect(() => decode(folder(""), link("a", "/etc"), folder("a/passwd"))).toThrow("parent");
    expect(() => decode(folder(""), folder("a/b"))).toThrow("parent");
    expect(() => decode(folder(""), { path: "h", type: "h", target: "z" })).toThrow("hard link");
    expect(() => decode(folder(""), folder("d"), { path: "h", type: "h", target: "d" })).toThrow("hard link");
    expect(decode(folder(""), folder("a"), folder("a-b"), folder("a/b"))).toHaveLength(4);
    expect(() => checkPath("a/b")).not.toThrow();
  });

  test("cannot make a reader allocate what it announces", () => {
    const huge = new ByteWriter();
    huge.varint(1);
    huge.latin1("f");
    huge.latin1("f");
    huge.u8(0);
    for (const n of [0, 0, 0]) huge.varint(n);
    huge.i64(0n);
    huge.u32(0);
    huge.varint(2 ** 50);
    huge.varint(16_000_000);
    expect(() => readAll(huge.finish())).toThrow(FormatError);
  });
});

test("tree roots come back", async () => {
  const root = {
    entries: 5,
    chunks: [
      { id: "i".repeat(32), plainBytes: 100, skip: 0, firstPath: "" },
      { id: "j".repeat(32), plainBytes: 50, skip: 50, firstPath: "" },
      { id: "k".repeat(32), plainBytes: 9000, skip: 7, firstPath: `${"deep/".repeat(1600)}a` },
      { id: "l".repeat(32), plainBytes: 9000, skip: 0, firstPath: `${"deep/".repeat(1600)}b` },
    ],
  };
  const bytes = encodeTreeRoot(root);
  expect(decodeTreeRoot(bytes)).toEqual(root);
  // Two deep paths cost hardly more than one.
  expect(bytes.length).toBeLessThan(8400);
  for (let at = 0; at < bytes.length; at++)
    expect(await outcomeOf(() => decodeTreeRoot(bytes.slice(0, at)))).toBe("refused");
});

describe("manifests", () => {
  const part = { key: "a".repeat(64), bytes: 100 };
  const manifest: Manifest = {
    v: 1,
    instance: "i-abcdefghij",
    epoch: 2,
    seq: 7,
    createdAt: 1_700_000_000_000,
    agent: "soneca-agent 0.1.0",
    chunker: 1,
    root: { id: "b".repeat(64) },
    digest: "c".repeat(64),
    segments: [part.key],
    parts: [part],
    excludes: [],
    encryption: null,
    stats: {
      entries: 1,
      files: 0,
      plainBytes: 0,
      newPlainBytes: 0,
      storedBytes: 100,
      newStoredBytes: 100,
      torn: 0,
      skipped: [],
    },
    parent: 6,
  };

  test("have exactly these bytes", () => {
    const text = formatManifest(manifest);
    expect(parseManifest(text)).toEqual({ ok: true, manifest });
    expect(toHex(primitives.sha256(Buffer.from(text)))).toBe(
      "eab0739329971ef9a49724f01e6c5ad67cf0b58d1eecb94105dff851ad61123b",
    );
  });

  test("are refused with words when something is wrong", () => {
    const refusal = (change: object) => {
      const parsed = parseManifest(JSON.stringify({ ...manifest, ...change }));
      return parsed.ok ? "ok" : `${parsed.code} ${parsed.message}`;
    };
    expect(refusal({ v: 2 })).toMatch(/^snapshot_format_unknown/);
    expect(refusal({ later: 1 })).toMatch(/^manifest_invalid/);
    expect(refusal({ digest: "x" })).toMatch(/digest/);
    expect(refusal({ parts: [part, part] })).toMatch(/twice/);
    expect(refusal({ segments: ["d".repeat(64)] })).toMatch(/segment/);
    expect(parseManifest("{")).toMatchObject({ ok: false, code: "manifest_invalid" });
    fc.assert(fc.property(fc.json(), (text) => !parseManifest(text).ok));
  });

  test("and parts are named in one way only", () => {
    expect(manifestKey(7, 2)).toBe("00000007-2");
    expect(parseManifestKey("00000007-2")).toEqual({ seq: 7, epoch: 2 });
    for (const odd of ["7-2", "00000007-02", "00000000-1", "00000007-0", "00000007-2x"])
      expect(parseManifestKey(odd)).toBeNull();
    expect(() => manifestKey(0, 1)).toThrow(RangeError);
    expect(parseObjectKey(manifestObjectKey("i-a", 7, 2))).toEqual({
      kind: "manifest",
      instance: "i-a",
      seq: 7,
      epoch: 2,
    });
    expect(parseObjectKey(partObjectKey("i-a", part.key))).toEqual({ kind: "part", instance: "i-a", sha256: part.key });
    for (const odd of ["i/../parts/x", `i/a/parts/${part.key}/x`, `x/a/parts/${part.key}`, "i//parts/x"])
      expect(parseObjectKey(odd)).toBeNull();
  });
});
