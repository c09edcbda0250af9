/**
 * The memory of a snapshot's frames and parts, the same from its first part to its last: what is let go is not given back
 * before the collector finds it, and it does not look for shared memory.
 */
import { limits } from "../../core/snapshot/limits.ts";
import { newDirectRoom } from "../fs/direct.ts";
import { frameBufferBytes } from "./coder-pool.ts";

/** The memory of one part that grows or is sent: the frame that crosses the target, and the table, fit as well. */
export function partRoomBytes(targetBytes: number): number {
  return Math.min(limits.partBytes, targetBytes + limits.chunkBytes + 1024 * 1024);
}

export class PackBuffers {
  /** Parts in flight. */
  readonly sent: number;
  readonly partTargetBytes: number;
  readonly #mostFrames: number;
  readonly #frames: SharedArrayBuffer[] = [];
  readonly #rooms: Uint8Array<SharedArrayBuffer>[] = [];
  #framesMade = 0;
  #roomsMade = 0;

  /** `coded`: frames that the threads can have; one grows or is read into. `sent`: parts in flight; two grow while one less is sent. */
  constructor(coded: number, sent: number, partTargetBytes: number) {
    this.#mostFrames = coded + 1;
    this.sent = sent;
    this.partTargetBytes = partTargetBytes;
  }

  /** Room for any chunk; null while all are in use. */
  takeFrame(): SharedArrayBuffer | null {
    const free = this.#frames.pop();
    if (free || this.#framesMade >= this.#mostFrames) return free ?? null;
    this.#framesMade++;
    return new SharedArrayBuffer(frameBufferBytes);
  }

  giveFrame(frame: SharedArrayBuffer): void {
    this.#frames.push(frame);
  }

  /** For a part that begins to grow; null while all are in use. */
  takeRoom(): Uint8Array<SharedArrayBuffer> | null {
    const free = this.#rooms.pop();
    if (free || this.#roomsMade > this.sent) return free ?? null;
    this.#roomsMade++;
    return newDirectRoom(partRoomBytes(this.partTargetBytes));
  }

  /** The part that began in a room; one that outgrew it is in memory of its own. */
  giveRoom(part: Uint8Array): void {
    if (isShared(part)) this.#rooms.push(new Uint8Array(part.buffer, part.byteOffset));
    else this.#roomsMade--;
  }
}

export function isShared(bytes: Uint8Array): bytes is Uint8Array<SharedArrayBuffer> {
  return bytes.buffer instanceof SharedArrayBuffer;
}
