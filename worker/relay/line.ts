/** One socket of an agent, with the requests that are under way on it. */
import { decodeFrame, encodeFrame, encodeHead, type Frame, relayCloseCodes } from "../../core/protocol/relay.ts";
import { Budget } from "../../core/protocol/relay-flow.ts";
import { FrameWriter } from "../../core/protocol/relay-lanes.ts";
import { openHeadOf, pipeAnswer } from "./heads.ts";
import { closeSafely } from "./socket-side.ts";
import { headTooLong, RelayStream, type StreamHost } from "./stream.ts";

export const maxStreams = 256;
/**
 * Of the windows of all streams: what may lie here while clients do not read. An object has 128 MB, and the first windows
 * of 256 streams come on top, at most 62 MB.
 */
const budgetBytes = 32 * 1024 * 1024;

export interface Patience {
  /** How long a socket with requests may be silent before it is asked, and then until it is given up. */
  readonly quietMs: number;
  /** How long the machine may take nothing of what a WebSocket's client sent before it closed. */
  readonly leaveMs: number;
}

export class Line implements StreamHost {
  readonly socket: WebSocket;
  readonly epoch: number;
  readonly budget = new Budget(budgetBytes);
  waitingBytes = 0;
  readonly writer = new FrameWriter((frame) => this.#put(frame));
  readonly #patience: Patience;
  readonly #streams = new Map<number, RelayStream>();
  /** Numbers begin anywhere: what an agent still says of an earlier life of this object meets none of them. */
  readonly #first = crypto.getRandomValues(new Uint32Array(1))[0]!;
  #opened = 0;
  #received = 0;
  #watch: ReturnType<typeof setTimeout> | null = null;
  #isGone = false;

  constructor(socket: WebSocket, epoch: number, patience: Patience) {
    this.socket = socket;
    this.epoch = epoch;
    this.#patience = patience;
  }

  get leaveMs(): number {
    return this.#patience.leaveMs;
  }

  get isOpen(): boolean {
    return !this.#isGone && this.socket.readyState === WebSocket.OPEN;
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** To an agent that may still serve what an earlier life of this object had asked for. */
  forgetAll(): void {
    this.send({ type: "reset", stream: 0, code: "unknown", message: "this object has begun anew" });
  }

  async fetch(request: Request): Promise<Response> {
    if (this.#streams.size >= maxStreams) return pipeAnswer("full", `${maxStreams} requests are under way already`);
    const number = this.#nextNumber();
    const head = openHeadOf(request);
    const open = encodeHead({ type: "open", stream: number, head });
    if (!open) return new Response(headTooLong, { status: 431 });
    const stream = new RelayStream(number, head, this);
    this.#streams.set(number, stream);
    this.#put(open);
    stream.start(request);
    this.#keepWatch();
    return stream.answer;
  }

  take(message: ArrayBuffer | string): void {
    if (this.#isGone) return;
    this.#received++;
    // Texts are signs of life.
    if (typeof message === "string") return;
    const decoded = decodeFrame(new Uint8Array(message));
    if (decoded.ok) this.#takeFrame(decoded.frame);
    else this.close(relayCloseCodes.protocol, decoded.message);
  }

  #takeFrame(frame: Frame): void {
    const stream = this.#streams.get(frame.stream);
    if (stream) stream.take(frame);
    else if (frame.type === "ping") this.send({ type: "pong", stream: 0 });
    else if (frame.type !== "pong") this.#disown(frame);
  }

  send(frame: Frame): void {
    this.#put(encodeFrame(frame));
  }

  credit(stream: number, bytes: number): void {
    if (bytes > 0) this.send({ type: "credit", stream, bytes });
  }

  forget(stream: number): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0 || this.#watch === null) return;
    clearTimeout(this.#watch);
    this.#watch = null;
  }

  /** Closes the socket, and everything on it. */
  close(code: number, reason: string): void {
    closeSafely(this.socket, code, reason);
    this.lose(reason);
  }

  /** The socket is gone. */
  lose(message: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    if (this.#watch !== null) clearTimeout(this.#watch);
    this.#watch = null;
    for (const stream of [...this.#streams.values()]) stream.fail(message);
  }

  #put(bytes: Uint8Array): void {
    if (this.#isGone) return;
    try {
      this.socket.send(bytes);
    } catch {
      // Later: whoever sends is in the middle of something.
      queueMicrotask(() => this.lose("the relay's socket broke"));
    }
  }

  #nextNumber(): number {
    for (;;) {
      const number = (this.#first + this.#opened++) >>> 0;
      if (number !== 0 && !this.#streams.has(number)) return number;
    }
  }

  /** A stream that ended here a moment ago was ended towards the agent, too; any other is told to stop. */
  #disown(frame: Frame): void {
    const isOurs = (frame.stream - this.#first) >>> 0 < this.#opened;
    if (isOurs || frame.type === "reset" || frame.type === "end" || frame.type === "close") return;
    this.send({ type: "reset", stream: frame.stream, code: "unknown", message: "no such stream" });
  }

  /** A peer may vanish without a word, and its socket still looks open: while requests wait, silence is asked about. */
  #keepWatch(): void {
    if (this.#watch !== null || this.#isGone || this.#streams.size === 0) return;
    this.#ifSilent(() => {
      this.send({ type: "ping", stream: 0 });
      this.#ifSilent(() => this.close(relayCloseCodes.silent, "the machine does not answer"));
    });
  }

  #ifSilent(then: () => void): void {
    const seen = this.#received;
    this.#watch = setTimeout(() => {
      this.#watch = null;
      if (this.#received === seen) then();
      else this.#keepWatch();
    }, this.#patience.quietMs);
  }
}
