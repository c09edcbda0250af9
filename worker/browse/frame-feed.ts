/**
 * Frames in the order in which they are wanted, with few requests: neighbours in a part are read as one stream. A frame that
 * is wanted again is kept for as long as there is room.
 */
import type { ReadBase } from "../../core/snapshot/open-frame.ts";
import type { ByteStream } from "./byte-stream.ts";
import { decodeStored, type Frame } from "./frames.ts";
import type { Parts } from "./parts.ts";

const mib = 1024 * 1024;
/** Bytes between two frames that are read and dropped: cheaper than another request. */
const mostGap = mib / 2;
const mostKept = 12 * mib;

interface Run {
  part: string;
  from: number;
  to: number;
  frames: Frame[];
}

export class FrameFeed {
  readonly #parts: Parts;
  readonly #readBase: ReadBase | undefined;
  readonly #runs: Run[] = [];
  /** How often each frame is still wanted. */
  readonly #uses = new Map<Frame, number>();
  readonly #kept = new Map<Frame, Uint8Array>();
  #keptBytes = 0;
  #run = 0;
  #stream: ByteStream | null = null;
  /** In the present run: frames that were read, and the place behind them. */
  #read = 0;
  #at = 0;

  /** `frames`: as they will be asked for, one after another. `readBase`: for frames with bases. */
  constructor(parts: Parts, frames: Iterable<Frame>, readBase?: ReadBase) {
    this.#parts = parts;
    this.#readBase = readBase;
    for (const frame of frames) {
      const uses = this.#uses.get(frame) ?? 0;
      this.#uses.set(frame, uses + 1);
      if (uses === 0) this.#plan(frame);
    }
  }

  /** What it will ask of the store. A frame that could not be kept costs one more each time. */
  get requests(): number {
    return this.#runs.length;
  }

  #plan(frame: Frame): void {
    const { offset, storedBytes } = frame.info;
    const run = this.#runs.at(-1);
    if (run?.part === frame.part && offset >= run.to && offset - run.to <= mostGap) {
      run.frames.push(frame);
      run.to = offset + storedBytes;
    } else this.#runs.push({ part: frame.part, from: offset, to: offset + storedBytes, frames: [frame] });
  }

  /** Its plain bytes, of which the caller checks the chunk that it wants. Errors: FormatError, and what Parts throw. */
  async take(frame: Frame): Promise<Uint8Array> {
    const uses = (this.#uses.get(frame) ?? 1) - 1;
    this.#uses.set(frame, uses);
    const plain = this.#kept.get(frame) ?? (await decodeStored(await this.#stored(frame), frame.info, this.#readBase));
    this.#drop(frame);
    if (uses > 0) this.#keep(frame, plain);
    return plain;
  }

  async cancel(): Promise<void> {
    await this.#stream?.cancel();
    this.#stream = null;
  }

  async #stored(frame: Frame): Promise<Uint8Array> {
    const { offset, storedBytes } = frame.info;
    const run = this.#runs[this.#run];
    // One that was read before and had to go.
    if (run?.frames[this.#read] !== frame) return this.#parts.read(frame.part, offset, storedBytes);
    if (!this.#stream) {
      this.#stream = await this.#parts.open(run.part, run.from, run.to - run.from);
      this.#at = run.from;
    }
    await this.#stream.skip(offset - this.#at);
    const stored = await this.#stream.take(storedBytes);
    this.#at = offset + storedBytes;
    this.#read++;
    if (this.#read === run.frames.length) {
      await this.cancel();
      this.#run++;
      this.#read = 0;
    }
    return stored;
  }

  #keep(frame: Frame, plain: Uint8Array): void {
    this.#kept.set(frame, plain);
    this.#keptBytes += plain.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#keptBytes <= mostKept) break;
      this.#drop(oldest);
    }
  }

  #drop(frame: Frame): void {
    this.#keptBytes -= this.#kept.get(frame)?.length ?? 0;
    this.#kept.delete(frame);
  }
}
