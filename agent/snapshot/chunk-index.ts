/** Which chunk lies in which part, in memory. */
import { limits } from "../../core/snapshot/limits.ts";
import type { FrameInfo } from "../../core/snapshot/part.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";

export class ChunkIndex {
  readonly parts: IndexedPart[] = [];
  readonly #keys = new Map<string, number>();
  /** Part and frame in one number, to keep millions of them small. Of frames without bases. */
  readonly #places = new Map<string, number>();
  /** Of frames with bases: each is of use only as long as its bases are in `#places`. */
  readonly #based = new Map<string, number[]>();

  has(id: string): boolean {
    return this.#placeOf(id) !== undefined;
  }

  /** Whether a frame without bases holds it: only then it can be a base. */
  hasPlain(id: string): boolean {
    return this.#places.has(id);
  }

  hasPart(key: string): boolean {
    return this.#keys.has(key);
  }

  add(part: IndexedPart): void {
    if (this.#keys.has(part.key)) return;
    const n = this.parts.length;
    this.parts.push(part);
    this.#keys.set(part.key, n);
    part.frames.forEach((frame, f) => {
      const place = n * limits.partFrames + f;
      for (const { id } of frame.chunks) {
        if (frame.bases.length > 0) this.#based.set(id, [...(this.#based.get(id) ?? []), place]);
        else if (!this.#places.has(id)) this.#places.set(id, place);
      }
    });
  }

  /** The ordinal of the part that holds the chunk; undefined when no part does, or its bases are in none. */
  partOf(id: string): number | undefined {
    const place = this.#placeOf(id);
    return place === undefined ? undefined : Math.floor(place / limits.partFrames);
  }

  frameOf(id: string): FrameInfo | undefined {
    const place = this.#placeOf(id);
    return place === undefined ? undefined : this.#frameAt(place);
  }

  /** How long the chunk is by the table that the index names; undefined as for `partOf`. */
  plainBytesOf(id: string): number | undefined {
    return this.frameOf(id)?.chunks.find((chunk) => chunk.id === id)?.plainBytes;
  }

  /** The ordinals of the parts without which the chunk cannot be read; none when it lies in no part. */
  partsFor(id: string): number[] {
    const part = this.partOf(id);
    if (part === undefined) return [];
    const bases = this.frameOf(id)!.bases;
    return bases.length === 0 ? [part] : [part, ...bases.map((base) => this.partOf(base)!)];
  }

  #placeOf(id: string): number | undefined {
    const plain = this.#places.get(id);
    if (plain !== undefined || this.#based.size === 0) return plain;
    return this.#based.get(id)?.find((place) => this.#frameAt(place).bases.every((base) => this.#places.has(base)));
  }

  #frameAt(place: number): FrameInfo {
    return this.parts[Math.floor(place / limits.partFrames)]!.frames[place % limits.partFrames]!;
  }
}
