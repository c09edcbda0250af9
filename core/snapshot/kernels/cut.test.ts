import fc from "fast-check";
import { expect, test } from "vitest";
import { type ChunkerParameters, cutAll, fileChunker, findCut as findCutPlain, treeChunker } from "../chunker.ts";
import { findCut, searchCut } from "./cut.ts";

/** Noise with stretches of one byte, so that some chunks end at their largest size. */
function bytesOf(length: number, seed: number): Uint8Array {
  const out = new Uint8Array(length);
  let state = seed | 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    out[i] = (i >> 19) % 5 === 3 ? 0 : state >>> 24;
  }
  return out;
}

/** Cuts that come often, so that many fall on every place of a stretch and a window. */
const dense: ChunkerParameters = {
  min: 70,
  target: 128,
  max: 300_000,
  strictMask: 0xffc00000 | 0,
  looseMask: 0xfffc0000 | 0,
};

test.each([
  ["files", fileChunker, 20 << 20],
  ["the tree", treeChunker, 6 << 20],
  ["small chunks", dense, 3 << 20],
])("cuts %s where the plain search does", (_, parameters, length) => {
  const bytes = bytesOf(length, length);
  const lengths: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const cut = findCut(bytes, at, bytes.length, true, parameters);
    lengths.push(cut);
    at += cut;
  }
  expect(lengths).toEqual(cutAll(bytes, parameters));
});

test("says the same of any range, known to its end or not", () => {
  const bytes = bytesOf(1 << 20, 5);
  fc.assert(
    fc.property(
      fc.nat(bytes.length),
      fc.nat(bytes.length),
      fc.boolean(),
      fc.constantFrom(treeChunker, dense),
      (a, b, isLast, p) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        expect(findCut(bytes, from, to, isLast, p)).toBe(findCutPlain(bytes, from, to, isLast, p));
      },
    ),
    { numRuns: 300 },
  );
});

test("finds the same cut in bytes that come bit by bit", () => {
  const bytes = bytesOf(1 << 20, 6);
  fc.assert(
    fc.property(
      fc.nat(bytes.length - 1),
      fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 8 }),
      fc.constantFrom(treeChunker, dense),
      (from, steps, p) => {
        let known = 0;
        let cut = 0;
        for (let i = 0; cut === 0 && from + known < bytes.length; i++) {
          const searched = known;
          known = Math.min(bytes.length - from, known + steps[i % steps.length]!);
          cut = searchCut(bytes, from, searched, known, p);
        }
        expect(cut || Math.min(known, p.max)).toBe(findCutPlain(bytes, from, bytes.length, true, p));
      },
    ),
    { numRuns: 300 },
  );
});
