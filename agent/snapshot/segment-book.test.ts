import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import { type KnownSegment, maxSegments, SegmentBook } from "./segment-book.ts";

const base = mkdtempSync(join(tmpdir(), "soneca-segments-"));
afterAll(() => rmSync(base, { recursive: true }));
let files = 0;
const newFile = () => join(base, `book-${files++}`);

const keyOf = (n: number) => n.toString(16).padStart(64, "0");
const partsOf = (...ns: number[]): IndexedPart[] => ns.map((n) => ({ key: keyOf(n), bytes: 100 + n, frames: [] }));
const segment = (n: number, ...parts: number[]): KnownSegment => ({ key: keyOf(n), bytes: n, parts: parts.map(keyOf) });
const all = () => true;

describe("the book of segments", () => {
  it("lists what it knows again and asks for the rest, also after it is read back", () => {
    const file = newFile();
    const first = segment(900, 1, 2, 3);
    new SegmentBook(file).replace([first]);
    const plan = new SegmentBook(file).plan(partsOf(1, 2, 3, 4), all);
    expect(plan).toEqual({ kept: [first], rest: partsOf(4) });
    expect(new SegmentBook(file).plan(partsOf(3, 1, 2), all)).toEqual({ kept: [first], rest: [] });
  });

  it("leaves out a segment that the store has lost, or that is mostly of no use", () => {
    const book = new SegmentBook(newFile());
    book.replace([segment(900, 1, 2, 3), segment(901, 4, 50, 51), segment(902, 5)]);
    const plan = book.plan(partsOf(1, 2, 3, 4, 5), (key, bytes) => key !== keyOf(900) && bytes > 0);
    expect(plan).toEqual({ kept: [segment(902, 5)], rest: partsOf(1, 2, 3, 4) });
  });

  it("describes no part twice", () => {
    const book = new SegmentBook(newFile());
    book.replace([segment(900, 1, 2), segment(901, 1, 2, 3), segment(902, 3)]);
    expect(book.plan(partsOf(1, 2, 3), all)).toEqual({ kept: [segment(901, 1, 2, 3)], rest: [] });
  });

  it("merges all above its bound", () => {
    const book = new SegmentBook(newFile());
    const many = Array.from({ length: maxSegments }, (_, i) => segment(900 + i, i + 1));
    book.replace(many);
    const needed = partsOf(...many.map((_, i) => i + 1));
    expect(book.plan(needed, all).kept).toHaveLength(maxSegments);
    expect(book.plan([...needed, ...partsOf(500)], all)).toEqual({ kept: [], rest: [...needed, ...partsOf(500)] });
  });

  it.each(["", "{", '[{"key":"x"}]', '{"a":1}'])("begins anew with a damaged file %j", (text) => {
    const file = newFile();
    writeFileSync(file, text);
    expect(new SegmentBook(file).plan(partsOf(1), all)).toEqual({ kept: [], rest: partsOf(1) });
  });
});
