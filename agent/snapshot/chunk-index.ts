/** Which chunk lies in which part, in memory. */
import { limits } from "../../core/snapshot/limits.ts";
import type { FrameInfo } from "../../core/snapshot/part.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";

export class ChunkIndex {
  readonly parts: IndexedPart[] = [];
  readonly #keys = new Map<string, number>();
  /** Part and frame in one number, to keep millions of them small. */
  readonly #places = new Map<string, number>();

  has(id: string): boolean {
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
      for (const chunk of frame.chunks) {
        if (!this.#places.has(chunk.id)) this.#places.set(chunk.id, n * limits.partFrames + f);
      }
    });
  }

  /** The ordinal of the part that holds the chunk; undefined when no part does. */
  partOf(id: string): number | undefined {
    const place = this.#places.get(id);
    return place === undefined ? undefined : Math.floor(place / limits.partFrames);
  }

  frameOf(id: string): FrameInfo | undefined {
    const place = this.#places.get(id);
    if (place === undefined) return undefined;
    return this.parts[Math.floor(place / limits.partFrames)]?.frames[place % limits.partFrames];
  }
}
