/**
 * Frames of bases that a verify keeps of the parts that it has read anyway, until the last frame that is coded against
 * them is checked; so each is read once, as far as memory allows. The rest is read again by ranges.
 */
import type { FrameInfo } from "../../core/snapshot/frame-table.ts";
import type { OpenPiece } from "../../core/snapshot/part.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import type { ChunkIndex } from "./chunk-index.ts";

const mostBytes = 32 * 1024 * 1024;

export class HeldFrames {
  readonly #index: ChunkIndex;
  readonly #mostBytes: number;
  /** How many frames still to be checked are coded against it. */
  readonly #users = new Map<FrameInfo, number>();
  readonly #held = new Map<FrameInfo, Uint8Array>();
  #bytes = 0;

  constructor(index: ChunkIndex, most: number = mostBytes) {
    this.#index = index;
    this.#mostBytes = most;
    for (const { frames } of index.parts)
      for (const frame of frames)
        for (const base of this.#basesOf(frame)) this.#users.set(base, (this.#users.get(base) ?? 0) + 1);
  }

  /** All parts, those that others are coded against right before these, and these soon after one another. */
  order(): IndexedPart[] {
    const { parts } = this.#index;
    const place = new Map(parts.map((part, n) => [part, n]));
    const lastOf = (bases: IndexedPart[]) => bases.reduce((last, base) => Math.max(last, place.get(base)!), 0);
    const groups = parts
      .map((part) => ({ part, bases: [...this.partsFor(part)] }))
      .filter(({ bases }) => bases.length > 0);
    groups.sort((a, b) => lastOf(a.bases) - lastOf(b.bases));
    const last = new Set(groups.flatMap(({ part, bases }) => [...bases, part]));
    return [...parts.filter((part) => !last.has(part)), ...last];
  }

  /** The parts that hold the bases of this one's frames. */
  partsFor({ frames }: IndexedPart): Set<IndexedPart> {
    const parts = new Set<IndexedPart>();
    for (const frame of frames)
      if (this.isReadable(frame)) for (const id of frame.bases) parts.add(this.#index.parts[this.#index.partOf(id)!]!);
    return parts;
  }

  /** Whether all bases are where they can be read; a frame of which they are not is of no use to the snapshot. */
  isReadable({ bases }: FrameInfo): boolean {
    return bases.every((id) => this.#index.hasPlain(id));
  }

  isNeeded(part: IndexedPart): boolean {
    return part.frames.some((frame) => this.#users.has(frame));
  }

  /** Copies what is needed of a part's bytes, as long as there is room. */
  hold({ frames }: IndexedPart, bytes: Uint8Array, open: OpenPiece): void {
    for (const [n, frame] of frames.entries()) {
      const { offset, storedBytes } = frame;
      if (!this.#users.has(frame) || this.#bytes + storedBytes > this.#mostBytes) continue;
      this.#held.set(frame, open(n, bytes.slice(offset, offset + storedBytes)));
      this.#bytes += storedBytes;
    }
  }

  get(frame: FrameInfo): Uint8Array | undefined {
    return this.#held.get(frame);
  }

  /** The frame, which has bases, is checked. */
  done(frame: FrameInfo): void {
    for (const base of this.#basesOf(frame)) {
      const left = this.#users.get(base)! - 1;
      if (left > 0) {
        this.#users.set(base, left);
        continue;
      }
      this.#users.delete(base);
      if (this.#held.delete(base)) this.#bytes -= base.storedBytes;
    }
  }

  #basesOf(frame: FrameInfo): FrameInfo[] {
    if (frame.bases.length === 0 || !this.isReadable(frame)) return [];
    return [...new Set(frame.bases.map((id) => this.#index.frameOf(id)!))];
  }
}
