/**
 * Chunks in, parts out: small files share a frame of up to 4 MiB, a chunk of a big one has its own; frames are encoded on
 * coder threads and joined in order, those of small files in parts of their own; full parts are sent, several at a time. Every stage
 * has a fixed number of buffers, so `add` waits when the network or the processors are slower than the disk.
 *
 * Two may add at the same time: one small files, one big ones.
 */
import { type ChunkRef, idBytes } from "../../core/snapshot/chunk-list.ts";
import { type FrameInfo, noBases } from "../../core/snapshot/frame-table.ts";
import { limits, smallFileBytes } from "../../core/snapshot/limits.ts";
import type { PartKind } from "../../core/snapshot/part.ts";
import { PartBuilder } from "../../core/snapshot/part-builder.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import type { CoderPool } from "./coder-pool.ts";
import type { EncodeAnswer } from "./coder-tasks.ts";
import type { Keyring } from "./keyring.ts";
import { isShared, type PackBuffers } from "./pack-buffers.ts";
import { copyBytes, nodePrimitives, sha256Hex } from "./primitives.ts";
import type { PlacedBase } from "./reference.ts";

export interface PackerInput {
  kind: PartKind;
  coders: CoderPool;
  keyring: Keyring;
  /** What the store has already. */
  known: Pick<ChunkIndex, "has" | "hasAt">;
  /** Resolves when the part is in the store for good. */
  send: (part: IndexedPart, bytes: Uint8Array) => Promise<void>;
  /** Of this run: they say how many parts may be in flight, and how large a part becomes. */
  buffers: PackBuffers;
}

/** What a chunk is coded against, where that is worth it. */
export interface Against {
  /** The folder of the bases' places, a byte string. */
  root: string;
  bases: PlacedBase[];
  onCoded: (isBased: boolean) => void;
}

/** Parts that grow: a restore brings small files back first. */
type Sort = "small" | "big";

interface Encoded {
  sort: Sort;
  buffer: SharedArrayBuffer;
  answer: Promise<EncodeAnswer>;
  isDone: boolean;
  plainBytes: number;
  chunks: ChunkRef[];
}

export const zstdLevel = 3;
/**
 * While the coders are the slowest of all: a few more bytes for a third less time. Not for many small files in one frame,
 * code and text mostly, which it makes an eighth larger and hardly quicker.
 */
const hastyLevel = 1;
/** While the sender is the slowest of all: fewer bytes for processor time that nothing else wants. */
const patientLevel = 9;
/** A part that waited so long for its turn to be sent says that the sender is. */
const patienceMs = 500;

export class Packer {
  readonly #input: PackerInput;
  readonly #queued = new Set<string>();
  /** Those that are or may be stored with bases. */
  readonly #based = new Set<string>();
  readonly #encoding: Encoded[] = [];
  readonly #sending = new Set<Promise<void>>();
  readonly #buffers: PackBuffers;
  /** With someone who reads a chunk into it. */
  readonly #lent = new Set<ArrayBufferLike>();
  readonly #growing = new Map<Sort, PartBuilder>();
  /** One joins at a time. */
  #joins: Promise<void> = Promise.resolve();
  #frame: SharedArrayBuffer | null = null;
  #frameBytes = 0;
  #frameChunks: ChunkRef[] = [];
  #level = zstdLevel;
  /** Since the last part every coder had enough to do. */
  #isAhead = false;
  #failure: { error: unknown } | null = null;
  plainBytes = 0;

  constructor(input: PackerInput) {
    this.#input = input;
    this.#buffers = input.buffers;
  }

  has(id: string): boolean {
    return this.#queued.has(id) || this.#input.known.has(id);
  }

  /** `has` of the id that begins at `at`. */
  hasAt(bytes: Buffer, at: number): boolean {
    if (this.#input.known.hasAt(bytes, at)) return true;
    return this.#queued.size > 0 && this.#queued.has(bytes.toString("latin1", at, at + idBytes));
  }

  /** Whether it was added, and is not coded against anything. */
  hasPlain(id: string): boolean {
    return this.#queued.has(id) && !this.#based.has(id);
  }

  /** A buffer that a chunk is read into and added from, without a copy of a big one. */
  async takeRoom(): Promise<SharedArrayBuffer> {
    this.#throwFailure();
    const room = await this.#takeFrame();
    this.#lent.add(room);
    return room;
  }

  giveRoom(room: SharedArrayBuffer): void {
    if (this.#lent.delete(room)) this.#buffers.giveFrame(room);
  }

  /**
   * One call at a time for bytes in a buffer of `takeRoom`, and one for others. `bytes` are not looked at after it has resolved.
   * `against`: of a big chunk.
   */
  async add(id: string, bytes: Uint8Array, against: Against | null = null): Promise<void> {
    this.#throwFailure();
    this.#queued.add(id);
    this.plainBytes += bytes.length;
    const chunk = { id, plainBytes: bytes.length };
    // The end of a big file may be small: in the frame of small files it would meet another that is being read there.
    if (bytes.length >= smallFileBytes || this.#lent.has(bytes.buffer)) {
      const buffer = await this.#frameOf(bytes);
      this.#encode("big", buffer, bytes.length, [chunk], against);
    } else {
      const frame = this.#frameFor(bytes.length) ?? (await this.#newFrame());
      if (bytes.buffer !== frame) copyBytes(new Uint8Array(frame), this.#frameBytes, bytes);
      this.#frameBytes += bytes.length;
      this.#frameChunks.push(chunk);
    }
    if (this.#encoding[0]?.isDone) await this.#inTurn(() => this.#joinDone());
  }

  /** Resolves when everything that was added is in the store. */
  async flush(): Promise<void> {
    this.#closeFrame();
    while (this.#encoding.length > 0) await this.#inTurn(() => this.#joinOldest());
    for (const sort of [...this.#growing.keys()]) await this.#closePart(sort);
    await this.drain();
  }

  /** Waits for what is in flight, whether it fails or not; then throws the first failure. */
  async drain(): Promise<void> {
    while (this.#sending.size > 0) await Promise.race(this.#sending);
    this.#throwFailure();
  }

  /** Where a small file of `length` bytes is read to and added from, without a copy; there is a byte more. */
  smallRoom(length: number): Uint8Array | Promise<Uint8Array> {
    const roomIn = (frame: SharedArrayBuffer) => new Uint8Array(frame, this.#frameBytes, length + 1);
    const frame = this.#frameFor(length);
    return frame ? roomIn(frame) : this.#newFrame().then(roomIn);
  }

  /** The one that grows, where so much fits; closes it where not. */
  #frameFor(length: number): SharedArrayBuffer | null {
    const isFull = this.#frameBytes + length > limits.framePackBytes || this.#frameChunks.length >= limits.frameChunks;
    if (isFull) this.#closeFrame();
    return this.#frame;
  }

  async #newFrame(): Promise<SharedArrayBuffer> {
    this.#throwFailure();
    this.#frame = await this.#takeFrame();
    return this.#frame;
  }

  /** With these bytes at its front. */
  async #frameOf(bytes: Uint8Array): Promise<SharedArrayBuffer> {
    if (this.#lent.delete(bytes.buffer)) return bytes.buffer as SharedArrayBuffer;
    const frame = await this.#takeFrame();
    copyBytes(new Uint8Array(frame), 0, bytes);
    return frame;
  }

  /** One frame grows or is read into, and the threads have all that they can take. */
  async #takeFrame(): Promise<SharedArrayBuffer> {
    for (;;) {
      const frame = this.#buffers.takeFrame();
      if (frame) return frame;
      await this.#inTurn(() => this.#joinOldest());
    }
  }

  #closeFrame(): void {
    if (!this.#frame) return;
    // One that was only made for a file of which nothing was new.
    if (this.#frameChunks.length === 0) this.#buffers.giveFrame(this.#frame);
    else this.#encode("small", this.#frame, this.#frameBytes, this.#frameChunks, null);
    this.#frame = null;
    this.#frameBytes = 0;
    this.#frameChunks = [];
  }

  #encode(
    sort: Sort,
    buffer: SharedArrayBuffer,
    plainBytes: number,
    chunks: ChunkRef[],
    against: Against | null,
  ): void {
    // One thread reads what comes next.
    if (this.#input.coders.load + 1 >= this.#input.coders.size) this.#isAhead = true;
    const source = against && { root: against.root, bases: against.bases };
    const level = chunks.length > 1 ? Math.max(this.#level, zstdLevel) : this.#level;
    const answer = this.#input.coders.run({ kind: "encode", buffer, plainBytes, level, against: source });
    if (against) this.#follow(answer, chunks[0]!.id, against);
    const encoded: Encoded = { sort, buffer, answer, isDone: false, plainBytes, chunks };
    const onEnd = () => {
      encoded.isDone = true;
    };
    // Awaited in order later; a failure in between must not count as unhandled.
    answer.then(onEnd, onEnd);
    this.#encoding.push(encoded);
  }

  #follow(answer: Promise<EncodeAnswer>, id: string, { onCoded }: Against): void {
    this.#based.add(id);
    answer.then(
      ({ bases }) => {
        if (bases.length === 0) this.#based.delete(id);
        onCoded(bases.length > 0);
      },
      () => {},
    );
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#joins.then(work);
    this.#joins = turn.catch(() => {});
    return turn;
  }

  async #joinDone(): Promise<void> {
    while (this.#encoding[0]?.isDone) await this.#joinOldest();
  }

  /** The oldest frame goes into a part; its buffer is free again. */
  async #joinOldest(): Promise<void> {
    this.#throwFailure();
    const oldest = this.#encoding.shift();
    if (!oldest) return;
    const { sort, buffer, answer, plainBytes, chunks } = oldest;
    const { storedBytes, bases } = await answer;
    let part = this.#growing.get(sort);
    if (part && !part.fits(storedBytes, chunks.length, bases.length)) {
      await this.#closePart(sort);
      part = undefined;
    }
    if (!part) {
      part = new PartBuilder(this.#input.kind, this.#input.keyring.cipher, await this.#takePartRoom(), copyBytes);
      this.#growing.set(sort, part);
    }
    part.add(new Uint8Array(buffer, 0, storedBytes), plainBytes, chunks, bases.length > 0 ? bases : noBases);
    this.#buffers.giveFrame(buffer);
    if (part.storedBytes >= this.#buffers.partTargetBytes) await this.#closePart(sort);
  }

  async #takePartRoom(): Promise<Uint8Array<SharedArrayBuffer>> {
    for (;;) {
      // A part that could not be sent gives no room back: then nothing may be left to wait for.
      this.#throwFailure();
      const room = this.#buffers.takeRoom();
      if (room) return room;
      await Promise.race(this.#sending);
    }
  }

  async #closePart(sort: Sort): Promise<void> {
    const { bytes, table } = await this.#growing.get(sort)!.finish(nodePrimitives);
    this.#growing.delete(sort);
    const fullAt = performance.now();
    while (this.#sending.size >= this.#buffers.sent) await Promise.race(this.#sending);
    const isPatient = performance.now() - fullAt > patienceMs;
    this.#level = isPatient ? patientLevel : this.#isAhead ? hastyLevel : zstdLevel;
    this.#isAhead = false;
    this.#throwFailure();
    const sending = this.#sealAndSend(bytes, table.frames)
      .catch((error) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#sending.delete(sending);
      });
    this.#sending.add(sending);
  }

  async #sealAndSend(bytes: Uint8Array, frames: FrameInfo[]): Promise<void> {
    const part: IndexedPart = { key: await this.#nameOf(bytes), bytes: bytes.length, frames };
    await this.#input.send(part, bytes);
    this.#buffers.giveRoom(bytes);
    this.#forget(part);
  }

  async #nameOf(bytes: Uint8Array): Promise<string> {
    if (!isShared(bytes)) return sha256Hex(bytes);
    return (await this.#input.coders.run({ kind: "seal", part: bytes })).sha256;
  }

  /** What the store is known to have by now need not be remembered here: there may be millions. */
  #forget({ frames }: IndexedPart): void {
    const { known } = this.#input;
    for (const { chunks } of frames)
      for (let n = 0; n < chunks.length; n++) {
        const id = chunks.idAt(n);
        if (known.has(id)) this.#queued.delete(id);
      }
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
