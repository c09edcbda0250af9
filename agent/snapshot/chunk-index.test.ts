import fc from "fast-check";
import { expect, test } from "vitest";
import { latin1ToBytes } from "../../core/snapshot/bytes.ts";
import { ChunkList } from "../../core/snapshot/chunk-list.ts";
import { noBases } from "../../core/snapshot/frame-table.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import { ChunkIndex } from "./chunk-index.ts";
import { sha256Hex } from "./primitives.ts";

const idOf = (n: number) => Buffer.from(sha256Hex(Buffer.from(String(n))), "hex").toString("latin1");

function partOf(key: number, frames: { chunks: number[]; bases?: number[] }[]): IndexedPart {
  return {
    key: String(key),
    bytes: 1000,
    frames: frames.map(({ chunks, bases = [] }, n) => ({
      offset: 24 + n,
      storedBytes: 1,
      plainBytes: 1,
      chunks: ChunkList.of(chunks.map((chunk) => ({ id: idOf(chunk), plainBytes: chunk + 1 }))),
      bases: bases.length > 0 ? bases.map(idOf) : noBases,
    })),
  };
}

test("knows of each chunk the first part and frame that has it, as a map would", () => {
  const chunks = fc.array(fc.nat(300), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(fc.array(chunks, { minLength: 1, maxLength: 4 }), { maxLength: 12 }), (parts) => {
      const index = new ChunkIndex();
      const first = new Map<number, [part: number, frame: number]>();
      for (const [n, frames] of parts.entries()) {
        index.add(
          partOf(
            n,
            frames.map((frame) => ({ chunks: frame })),
          ),
        );
        for (const [f, frame] of frames.entries())
          for (const chunk of frame) if (!first.has(chunk)) first.set(chunk, [n, f]);
      }
      for (let chunk = 0; chunk <= 300; chunk++) {
        const place = first.get(chunk);
        const id = idOf(chunk);
        const bytes = latin1ToBytes(`..${id}..`);
        expect(index.partOf(id)).toBe(place?.[0]);
        expect(index.plainBytesOf(id)).toBe(place && chunk + 1);
        expect([index.has(id), index.hasPlain(id), index.hasAt(bytes, 2)]).toEqual(Array(3).fill(place !== undefined));
        const frame = place && index.parts[place[0]]!.frames[place[1]];
        expect(index.frameOf(id)).toBe(frame);
        expect(index.placeAt(bytes, 2)).toEqual(place && { part: place[0], frame });
      }
    }),
    { numRuns: 40 },
  );
});

test("holds a hundred thousand chunks", () => {
  const index = new ChunkIndex();
  const count = 100_000;
  for (let n = 0; n < 100; n++)
    index.add(partOf(n, [{ chunks: Array.from({ length: count / 100 }, (_, i) => n * 1000 + i) }]));
  for (let n = 0; n < count; n += 37) expect(index.partOf(idOf(n))).toBe(Math.floor(n / 1000));
  expect(index.has(idOf(count))).toBe(false);
});

test("a frame with bases counts once they are there, and after one without", () => {
  const index = new ChunkIndex();
  index.add(partOf(0, [{ chunks: [1], bases: [2, 3] }]));
  index.add(partOf(1, [{ chunks: [2] }]));
  const bytes = latin1ToBytes(idOf(1));
  const needed: number[] = [];
  const add = (part: number) => void needed.push(part);
  expect([index.has(idOf(1)), index.hasAt(bytes, 0), index.eachPartFor(bytes, 0, add)]).toEqual([false, false, false]);
  index.add(partOf(2, [{ chunks: [3] }]));
  expect([index.has(idOf(1)), index.hasAt(bytes, 0), index.eachPartFor(bytes, 0, add)]).toEqual([true, true, true]);
  expect(needed).toEqual([0, 1, 2]);
  expect([index.hasPlain(idOf(1)), index.plainBytesOf(idOf(1))]).toEqual([false, 2]);
  index.add(partOf(3, [{ chunks: [1] }]));
  expect([index.hasPlain(idOf(1)), index.partOf(idOf(1))]).toEqual([true, 3]);
});

test("of very many ways to code one chunk it keeps a few: nobody makes a look-up long", () => {
  const index = new ChunkIndex();
  const frames = Array.from({ length: 60_000 }, () => ({ chunks: [1], bases: [2] }));
  for (let n = 0; n < 3; n++) index.add(partOf(n, frames));
  for (let n = 0; n < 100_000; n++) expect(index.has(idOf(1))).toBe(false);
  index.add(partOf(3, [{ chunks: [2] }]));
  expect(index.partOf(idOf(1))).toBe(0);
});
