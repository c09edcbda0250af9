/** The chunks that are looked for while an index goes by, and the frames in which they were found. */
import { damaged } from "../../core/snapshot/error.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import type { Frame } from "./frames.ts";

/** Of frames with bases for one chunk: more of them are no more likely to be whole. */
const mostCandidates = 8;

export class Wanted {
  readonly #ids = new Set<string>();
  /** By their first four bytes, so that an id that goes by needs no string. */
  readonly #byHead = new Map<number, string[]>();
  readonly #plain = new Map<string, Frame>();
  /** Frames with bases: each holds its chunk only where its bases are stored without any. */
  readonly #based = new Map<string, Frame[]>();

  constructor(ids: Iterable<string>) {
    for (const id of ids) {
      if (this.#ids.has(id)) continue;
      this.#ids.add(id);
      const head = headOf((i) => id.charCodeAt(i));
      const others = this.#byHead.get(head);
      if (others) others.push(id);
      else this.#byHead.set(head, [id]);
    }
  }

  get found(): number {
    return this.#plain.size + this.#based.size;
  }

  /** Whether everything is found once this part was looked at. */
  isDone({ key, frames }: IndexedPart): boolean {
    for (const info of frames) {
      const { chunks } = info;
      const { bytes } = chunks;
      for (let n = 0; n < chunks.length; n++) {
        const at = chunks.placeOf(n);
        const id = this.#byHead.get(headOf((i) => bytes[at + i]!))?.find((one) => chunks.hasIdAt(n, one));
        if (id !== undefined) this.#note(id, { part: key, info });
      }
    }
    return this.#plain.size === this.#ids.size;
  }

  /** What frames with bases need and was not looked for. */
  missingBases(): string[] {
    const bases = new Set<string>();
    for (const [id, frames] of this.#based) {
      if (this.#plain.has(id)) continue;
      for (const { info } of frames) for (const base of info.bases) if (!this.#plain.has(base)) bases.add(base);
    }
    return [...bases];
  }

  addPlain(other: Wanted): void {
    for (const [id, frame] of other.#plain) this.#plain.set(id, frame);
  }

  /** Errors: FormatError where one was not found. */
  frames(): Map<string, Frame> {
    for (const id of this.#ids) {
      if (this.#plain.has(id)) continue;
      const isWhole = ({ info }: Frame) => info.bases.every((base) => this.#plain.get(base)?.info.bases.length === 0);
      const frame = this.#based.get(id)?.find(isWhole);
      if (!frame) throw damaged("a chunk lies in no listed part");
      this.#plain.set(id, frame);
    }
    return this.#plain;
  }

  #note(id: string, frame: Frame): void {
    if (frame.info.bases.length === 0) {
      if (!this.#plain.has(id)) this.#plain.set(id, frame);
      return;
    }
    const others = this.#based.get(id) ?? [];
    if (others.length < mostCandidates) others.push(frame);
    this.#based.set(id, others);
  }
}

function headOf(byteAt: (i: number) => number): number {
  return byteAt(0) | (byteAt(1) << 8) | (byteAt(2) << 16) | (byteAt(3) << 24);
}
