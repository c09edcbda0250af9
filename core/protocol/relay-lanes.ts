/**
 * What waits to be sent on a stream, cut into frames as far as its credit goes. The writer gives each lane one frame in
 * turn, so that no stream starves another; what does not belong to a lane goes ahead of them all.
 */
import { dataAt, encodeFrame, frameBytes, newDataFrame } from "./relay.ts";
import { Credit } from "./relay-flow.ts";

export interface Lane {
  /** The next frame, or null when there is nothing to send or no credit for it. */
  next(): Uint8Array | null;
}

/** Pushes what lanes hold into a socket. */
export class FrameWriter {
  readonly #send: (frame: Uint8Array) => void;
  readonly #hasRoom: () => boolean;
  readonly #turns = new Set<Lane>();
  #isPumping = false;

  /** `hasRoom`: whether the socket takes more now; when it does again, somebody calls `pump`. */
  constructor(send: (frame: Uint8Array) => void, hasRoom: () => boolean = () => true) {
    this.#send = send;
    this.#hasRoom = hasRoom;
  }

  /** The lane has something to send, or credit again. */
  wake(lane: Lane): void {
    this.#turns.add(lane);
    this.pump();
  }

  drop(lane: Lane): void {
    this.#turns.delete(lane);
  }

  pump(): void {
    // A lane that becomes empty may be filled by whoever hears of it, who then comes here again.
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      while (this.#hasRoom()) {
        const [lane] = this.#turns;
        if (!lane) return;
        this.#turns.delete(lane);
        const frame = lane.next();
        if (!frame) continue;
        this.#turns.add(lane);
        this.#send(frame);
      }
    } finally {
      this.#isPumping = false;
    }
  }
}

abstract class QueueLane implements Lane {
  readonly stream: number;
  readonly credit = new Credit();
  /** That wait here. */
  bytes = 0;
  /** Called when less than `lowBytes` wait, after more did. */
  onDrain: (() => void) | null = null;
  /** Called when the last frame, an end or a close, is on its way. */
  onOver: (() => void) | null = null;
  #wasFull = false;

  constructor(stream: number) {
    this.stream = stream;
  }

  get isFull(): boolean {
    return this.bytes >= lowBytes;
  }

  protected added(bytes: number): void {
    this.bytes += bytes;
    if (this.isFull) this.#wasFull = true;
  }

  protected sent(bytes: number): void {
    this.bytes -= bytes;
    this.credit.left -= bytes;
    if (this.isFull || !this.#wasFull) return;
    this.#wasFull = false;
    this.onDrain?.();
  }

  abstract next(): Uint8Array | null;
}

/** Enough for two turns; whoever fills a lane waits above it. */
const lowBytes = 2 * frameBytes;

/** A body: chunks as they come, in frames as full as they can be. */
export class ByteLane extends QueueLane {
  #chunks: Uint8Array[] = [];
  #isEnded = false;
  #isOver = false;

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.added(chunk.length);
  }

  end(): void {
    this.#isEnded = true;
  }

  next(): Uint8Array | null {
    const length = Math.min(this.bytes, this.credit.left, frameBytes);
    if (length > 0) return this.#frameOf(length);
    if (this.bytes > 0 || !this.#isEnded || this.#isOver) return null;
    this.#isOver = true;
    this.onOver?.();
    return encodeFrame({ type: "end", stream: this.stream });
  }

  #frameOf(length: number): Uint8Array {
    const frame = newDataFrame(this.stream, length);
    let used = 0;
    for (let filled = 0; filled < length; ) {
      const chunk = this.#chunks[used]!;
      const part = chunk.length <= length - filled ? chunk : chunk.subarray(0, length - filled);
      frame.set(part, dataAt + filled);
      filled += part.length;
      if (part === chunk) used++;
      else this.#chunks[used] = chunk.subarray(part.length);
    }
    this.#chunks.splice(0, used);
    this.sent(length);
    return frame;
  }
}

interface Message {
  type: "text" | "binary";
  bytes: Uint8Array;
  /** Of it that is sent. */
  at: number;
}

/** A WebSocket's messages, and its close after them. */
export class MessageLane extends QueueLane {
  #messages: Message[] = [];
  #close: { code: number; reason: string } | null = null;
  #isOver = false;

  push(type: Message["type"], bytes: Uint8Array): void {
    this.#messages.push({ type, bytes, at: 0 });
    this.added(bytes.length);
  }

  close(code: number, reason: string): void {
    this.#close ??= { code, reason };
  }

  next(): Uint8Array | null {
    const message = this.#messages[0];
    if (!message) return this.#nextClose();
    const left = message.bytes.length - message.at;
    const length = Math.min(left, this.credit.left, frameBytes);
    if (length === 0 && left > 0) return null;
    const bytes = message.bytes.subarray(message.at, message.at + length);
    message.at += length;
    const isFinal = length === left;
    if (isFinal) this.#messages.shift();
    this.sent(length);
    return encodeFrame({ type: message.type, stream: this.stream, isFinal, bytes });
  }

  #nextClose(): Uint8Array | null {
    if (!this.#close || this.#isOver) return null;
    this.#isOver = true;
    this.onOver?.();
    return encodeFrame({ type: "close", stream: this.stream, ...this.#close });
  }
}

export type Assembled =
  | { kind: "part" }
  | { kind: "message"; type: "text" | "binary"; bytes: Uint8Array }
  | { kind: "refused"; why: "too_large" | "protocol" };

/** Puts the parts of a message together again. */
export class Assembler {
  readonly #limit: number;
  #parts: Uint8Array[] = [];
  #type: "text" | "binary" | null = null;
  /** Of the message that is not whole yet. */
  bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(type: "text" | "binary", isFinal: boolean, part: Uint8Array): Assembled {
    if (this.#type !== null && this.#type !== type) return { kind: "refused", why: "protocol" };
    if (this.bytes + part.length > this.#limit) return { kind: "refused", why: "too_large" };
    if (isFinal && this.#type === null) return { kind: "message", type, bytes: part };
    this.#type = type;
    this.#parts.push(part);
    this.bytes += part.length;
    return isFinal ? { kind: "message", type, bytes: this.#join() } : { kind: "part" };
  }

  #join(): Uint8Array {
    const whole = new Uint8Array(this.bytes);
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#type = null;
    this.bytes = 0;
    return whole;
  }
}
