/** One open socket of the relay: its frames, and the requests that are served for it. */
import type { Agent } from "node:http";
import type { WebSocket } from "ws";
import { decodeFrame, encodeFrame, type Frame, relayCloseCodes } from "../../core/protocol/relay.ts";
import { Budget } from "../../core/protocol/relay-flow.ts";
import { FrameWriter } from "../../core/protocol/relay-lanes.ts";
import { describeError } from "../log.ts";
import { HttpServe } from "./serve-http.ts";
import { closeSafely, SocketServe } from "./serve-socket.ts";

export interface ServeHost {
  gate: { port: number; agent: Agent };
  writer: FrameWriter;
  budget: Budget;
  /** Before everything that waits in lanes. */
  send(frame: Frame): void;
  sendNow(frame: Uint8Array): void;
  /** Nothing for 0. */
  credit(stream: number, bytes: number): void;
  forget(stream: number): void;
}

export interface Serve {
  /** False: such a frame has no place here. */
  take(frame: Frame): boolean;
  /** Whoever asked is gone. */
  stop(): void;
}

/** Frames that the kernel has not taken; above it lanes wait, so that heads and resets need not. */
const maxBufferedBytes = 1024 * 1024;
/** Of bodies and messages on their way to the gate. */
const budgetBytes = 16 * 1024 * 1024;
/** The object opens fewer. */
const maxStreams = 512;

export class Session implements ServeHost {
  readonly gate: ServeHost["gate"];
  readonly budget = new Budget(budgetBytes);
  readonly writer: FrameWriter;
  readonly #socket: WebSocket;
  readonly #streams = new Map<number, Serve>();
  #isLost = false;

  constructor(socket: WebSocket, gate: ServeHost["gate"]) {
    this.#socket = socket;
    this.gate = gate;
    const hasRoom = () => !this.#isLost && socket.bufferedAmount < maxBufferedBytes;
    this.writer = new FrameWriter((frame) => this.sendNow(frame), hasRoom);
  }

  get streams(): number {
    return this.#streams.size;
  }

  take(message: Uint8Array): void {
    if (this.#isLost) return;
    const decoded = decodeFrame(message);
    if (!decoded.ok) {
      closeSafely(this.#socket, relayCloseCodes.protocol, decoded.message);
      this.lose();
      return;
    }
    const { frame } = decoded;
    if (frame.type === "ping") this.send({ type: "pong", stream: 0 });
    else if (frame.type === "open") this.#open(frame);
    else if (frame.type === "reset") this.#reset(frame.stream);
    else this.#pass(frame);
  }

  /** The socket is gone, and everybody who asked with it. */
  lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#stopAll();
  }

  send(frame: Frame): void {
    this.sendNow(encodeFrame(frame));
  }

  sendNow(frame: Uint8Array): void {
    if (this.#isLost) return;
    this.#socket.send(frame, { binary: true, compress: false }, () => this.writer.pump());
  }

  credit(stream: number, bytes: number): void {
    if (bytes > 0) this.send({ type: "credit", stream, bytes });
  }

  forget(stream: number): void {
    this.#streams.delete(stream);
  }

  #open({ stream, head }: Extract<Frame, { type: "open" }>): void {
    if (this.#streams.has(stream) || this.#streams.size >= maxStreams) {
      const message = this.#streams.has(stream) ? "this stream is open" : `${maxStreams} streams are open`;
      this.#streams.get(stream)?.stop();
      this.send({ type: "reset", stream, code: "protocol", message });
      return;
    }
    try {
      this.#streams.set(stream, new (head.isUpgrade ? SocketServe : HttpServe)(stream, head, this));
    } catch (error) {
      this.send({ type: "reset", stream, code: "broke", message: describeError(error) });
    }
  }

  #reset(stream: number): void {
    if (stream === 0) this.#stopAll();
    else this.#streams.get(stream)?.stop();
  }

  #pass(frame: Frame): void {
    const serve = this.#streams.get(frame.stream);
    // Of one that ended here a moment ago, which the other side hears of.
    if (!serve || serve.take(frame)) return;
    this.send({ type: "reset", stream: frame.stream, code: "protocol", message: `out of place: ${frame.type}` });
    serve.stop();
  }

  #stopAll(): void {
    for (const serve of [...this.#streams.values()]) serve.stop();
  }
}
