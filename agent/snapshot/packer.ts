/**
 * Chunks in, parts out: small chunks share a frame of up to 4 MiB, a big chunk has its own; frames are compressed on
 * other threads and joined in order; full parts are sent, many at a time. Every stage is bounded, so `add` waits when
 * the network is slower than the disk.
 */
import { encodeFrame } from "../../core/snapshot/codec.ts";
import { limits, smallFileBytes } from "../../core/snapshot/limits.ts";
import { type ChunkRef, PartBuilder, type PartKind } from "../../core/snapshot/part.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import { nodePrimitives, sha256Hex } from "./primitives.ts";

export interface PackerInput {
  kind: PartKind;
  /** Whether the store has the chunk already. */
  isStored: (id: string) => boolean;
  /** Resolves when the part is in the store for good. */
  send: (part: IndexedPart, bytes: Uint8Array) => Promise<void>;
  /** Parts in flight. */
  concurrency: number;
  partTargetBytes?: number;
}

interface Encoded {
  bytes: Promise<Uint8Array>;
  plainBytes: number;
  chunks: ChunkRef[];
}

const zstdLevel = 3;
const encodesInFlight = 6;

export class Packer {
  readonly #input: PackerInput;
  readonly #queued = new Set<string>();
  readonly #encoding: Encoded[] = [];
  readonly #sending = new Set<Promise<void>>();
  #builder: PartBuilder;
  #frame = Buffer.allocUnsafe(limits.framePackBytes);
  #frameBytes = 0;
  #frameChunks: ChunkRef[] = [];
  #failure: { error: unknown } | null = null;
  partsMade = 0;
  storedBytes = 0;
  plainBytes = 0;

  constructor(input: PackerInput) {
    this.#input = input;
    this.#builder = new PartBuilder(input.kind);
  }

  has(id: string): boolean {
    return this.#queued.has(id) || this.#input.isStored(id);
  }

  /** `bytes` are copied before the first wait. */
  async add(id: string, bytes: Uint8Array): Promise<void> {
    this.#queued.add(id);
    this.plainBytes += bytes.length;
    const chunk = { id, plainBytes: bytes.length };
    if (bytes.length >= smallFileBytes) {
      this.#encode(Buffer.from(bytes), [chunk]);
    } else {
      if (this.#frameBytes + bytes.length > this.#frame.length || this.#frameChunks.length >= limits.frameChunks)
        this.#closeFrame();
      this.#frame.set(bytes, this.#frameBytes);
      this.#frameBytes += bytes.length;
      this.#frameChunks.push(chunk);
    }
    await this.#settle(encodesInFlight);
  }

  /** Resolves when everything that was added is in the store. */
  async flush(): Promise<void> {
    this.#closeFrame();
    await this.#settle(0);
    if (this.#builder.frames > 0) await this.#closePart();
    await this.drain();
  }

  /** Waits for what is in flight, whether it fails or not; then throws the first failure. */
  async drain(): Promise<void> {
    while (this.#sending.size > 0) await Promise.race(this.#sending);
    this.#throwFailure();
  }

  #closeFrame(): void {
    if (this.#frameChunks.length === 0) return;
    const plain = this.#frame.subarray(0, this.#frameBytes);
    this.#encode(plain, this.#frameChunks);
    // The old buffer belongs to the encoder now.
    this.#frame = Buffer.allocUnsafe(limits.framePackBytes);
    this.#frameBytes = 0;
    this.#frameChunks = [];
  }

  #encode(plain: Uint8Array, chunks: ChunkRef[]): void {
    const bytes = encodeFrame(plain, nodePrimitives, zstdLevel);
    // Awaited in order later; a failure in between must not count as unhandled.
    bytes.catch(() => {});
    this.#encoding.push({ bytes, plainBytes: plain.length, chunks });
  }

  /** Moves encoded frames into parts until at most `left` are on their way. */
  async #settle(left: number): Promise<void> {
    this.#throwFailure();
    while (this.#encoding.length > left) {
      const { bytes, plainBytes, chunks } = this.#encoding.shift()!;
      const encoded = await bytes;
      if (!this.#builder.fits(encoded.length, chunks.length)) await this.#closePart();
      this.#builder.add(encoded, plainBytes, chunks);
      if (this.#builder.storedBytes >= (this.#input.partTargetBytes ?? limits.partTargetBytes)) await this.#closePart();
    }
  }

  async #closePart(): Promise<void> {
    const builder = this.#builder;
    this.#builder = new PartBuilder(this.#input.kind);
    const { bytes, table } = await builder.finish(nodePrimitives);
    const part: IndexedPart = { key: sha256Hex(bytes), bytes: bytes.length, frames: table.frames };
    while (this.#sending.size >= this.#input.concurrency) await Promise.race(this.#sending);
    this.#throwFailure();
    this.partsMade++;
    this.storedBytes += bytes.length;
    const sending = this.#input
      .send(part, bytes)
      .catch((error) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#sending.delete(sending);
      });
    this.#sending.add(sending);
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
