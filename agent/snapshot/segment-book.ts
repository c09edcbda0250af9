/**
 * Which index segments this machine knows to be in the store, and which parts each describes, so that a snapshot writes
 * one segment for its new parts and lists the old ones for the rest. Lost or damaged: the next snapshot writes one whole
 * segment, nothing is wrong.
 */
import * as z from "zod";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import { readState, writeState } from "./state-file.ts";

/** More segments than this are merged into one: a restore reads each. */
export const maxSegments = 32;
/** A segment that describes mostly parts of no use is not worth reading. */
const worthwhile = 0.5;

const keySchema = z.string().regex(/^[0-9a-f]{64}$/);
const bookSchema = z.array(
  z.strictObject({ key: keySchema, bytes: z.number().int().min(1), parts: z.array(keySchema) }),
);

/** `key` and `bytes`: of the meta part that holds the segment. `parts`: keys of the parts that it describes. */
export interface KnownSegment {
  key: string;
  bytes: number;
  parts: string[];
}

export class SegmentBook {
  readonly #file: string;
  #segments: KnownSegment[];

  constructor(file: string) {
    this.#file = file;
    this.#segments = readState(file, bookSchema) ?? [];
  }

  /** Segments to list again, and the parts that a new one must describe. Each part is described by one of them. */
  plan(needed: IndexedPart[], isStored: (key: string, bytes: number) => boolean): Plan {
    const open = new Map(needed.map((part) => [part.key, part]));
    const kept: KnownSegment[] = [];
    const byUse = this.#segments
      .filter((segment) => isStored(segment.key, segment.bytes))
      .map((segment) => ({ segment, used: segment.parts.filter((key) => open.has(key)).length }))
      .sort((a, b) => b.used - a.used);
    for (const { segment } of byUse) {
      const used = segment.parts.filter((key) => open.has(key));
      if (used.length === 0 || used.length < segment.parts.length * worthwhile) continue;
      for (const key of used) open.delete(key);
      kept.push(segment);
    }
    if (kept.length + (open.size > 0 ? 1 : 0) > maxSegments) return { kept: [], rest: needed };
    return { kept, rest: [...open.values()] };
  }

  /** The segments of a snapshot that is in the store. */
  replace(segments: KnownSegment[]): void {
    this.#segments = segments;
    writeState(this.#file, segments);
  }
}

export interface Plan {
  kept: KnownSegment[];
  rest: IndexedPart[];
}

export function segmentBookFile(stateDir: string, id: string): string {
  return `${stateDir}/segments-${id}.json`;
}
