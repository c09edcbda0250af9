/**
 * Buffers for whole parts, used again and again: fresh memory of a part's size costs as much time as hashing the part, and
 * what is freed is not always given back.
 */
import { ownBytes } from "./coder-pool.ts";

export class PartRooms {
  readonly #capacity: number;
  readonly #most: number;
  readonly #free: ArrayBuffer[] = [];
  readonly #lent = new WeakSet<ArrayBufferLike>();

  /** `capacity`: of the largest part. `most`: so many are kept when nobody uses them. */
  constructor(capacity: number, most: number) {
    // Larger than the pool that Node cuts small buffers from: that one is never taken for a room.
    this.#capacity = Math.max(capacity, Buffer.poolSize + 1);
    this.#most = most;
  }

  /** Bytes of any content. Longer ones than the capacity get memory of their own. */
  readonly take = (length: number): Uint8Array => {
    if (length > this.#capacity) return new Uint8Array(length);
    const buffer = this.#free.pop() ?? new ArrayBuffer(this.#capacity);
    this.#lent.add(buffer);
    return new Uint8Array(buffer, 0, length);
  };

  /** Bytes that can be given to a thread: those from here as they are, others as by `ownBytes`. */
  own(bytes: Uint8Array): Uint8Array {
    return this.#lent.has(bytes.buffer) ? bytes : ownBytes(bytes);
  }

  /**
   * Nobody looks at these bytes any more, wherever they came from. Those that a thread has taken are not here. Bytes that
   * share their memory, such as small ones in Node's pool, are left to the collector: others look at the rest of it.
   */
  give({ buffer, byteLength }: Uint8Array): void {
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength === 0) return;
    if (buffer.byteLength === this.#capacity && this.#free.length < this.#most) this.#free.push(buffer);
    else if (byteLength === buffer.byteLength || buffer.byteLength === this.#capacity) buffer.transfer(0);
  }
}
