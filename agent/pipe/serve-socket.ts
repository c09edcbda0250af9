/** One WebSocket of the relay, opened to the gate. */
import type { IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import { gateHeadBytes } from "../../core/protocol/gate.ts";
import { encodeHead, type Frame, maxMessageBytes, type OpenHead, type ResetCode } from "../../core/protocol/relay.ts";
import { ReceiveWindow } from "../../core/protocol/relay-flow.ts";
import { Assembler, MessageLane } from "../../core/protocol/relay-lanes.ts";
import { Answer } from "./answer.ts";
import { headerRecordOf, pairsOf } from "./heads.ts";
import type { Serve, ServeHost } from "./session.ts";

/** Of messages that the gate has not taken; above it no more credit is given. */
const maxUnsentBytes = 1024 * 1024;

export class SocketServe implements Serve {
  readonly #stream: number;
  readonly #host: ServeHost;
  readonly #socket: WebSocket;
  readonly #window: ReceiveWindow;
  readonly #lane: MessageLane;
  readonly #assembler = new Assembler(maxMessageBytes);
  /** A plain answer instead of a WebSocket. */
  #answer: Answer | null = null;
  #isOpen = false;
  #unsentBytes = 0;
  /** Arrived, and to be given back when the gate has taken what came before. */
  #owedBytes = 0;
  #isOver = false;

  /** Errors: throws where `ws` takes no such request. */
  constructor(stream: number, open: OpenHead, host: ServeHost) {
    this.#stream = stream;
    this.#host = host;
    this.#socket = new WebSocket(`ws://127.0.0.1:${host.gate.port}${open.path}`, {
      headers: headerRecordOf(open, host.gate.port) as never,
      perMessageDeflate: false,
      maxPayload: maxMessageBytes,
      maxHeaderSize: gateHeadBytes,
    });
    this.#window = new ReceiveWindow(host.budget);
    this.#lane = new MessageLane(stream);
    this.#lane.onDrain = () => this.#socket.resume();
    this.#lane.onOver = () => this.#finish();
    this.#listen();
  }

  take(frame: Frame): boolean {
    switch (frame.type) {
      case "text":
      case "binary":
        return this.#isOpen && this.#window.arrive(frame.bytes.length) && this.#pass(frame);
      case "credit":
        if (this.#answer) return this.#answer.credit(frame.bytes);
        if (!this.#lane.credit.add(frame.bytes)) return false;
        this.#host.writer.wake(this.#lane);
        return true;
      case "close":
        this.#finish();
        closeSafely(this.#socket, frame.code, frame.reason);
        return true;
      default:
        return false;
    }
  }

  stop(): void {
    this.#finish();
    this.#socket.terminate();
  }

  #listen(): void {
    const socket = this.#socket;
    let head: IncomingMessage | null = null;
    socket.on("upgrade", (response) => {
      head = response;
      // Whether it is one that was asked for is the client's to judge; `ws` was asked for none.
      delete response.headers["sec-websocket-protocol"];
    });
    socket.on("open", () => head && this.#begin(head));
    socket.on("unexpected-response", (_request, response) => this.#takeAnswer(response));
    socket.on("message", (data: Buffer, isBinary) => {
      if (this.#isOver) return;
      this.#lane.push(isBinary ? "binary" : "text", data);
      this.#host.writer.wake(this.#lane);
      if (this.#lane.isFull) socket.pause();
    });
    socket.on("close", (code, reason) => {
      if (!this.#isOpen) this.#break("broke", "the gate broke off");
      if (this.#isOver) return;
      this.#lane.close(code, reason.toString("utf8"));
      this.#host.writer.wake(this.#lane);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // Of an open one the close follows.
      if (this.#isOpen) return;
      this.#break(error.code === "ECONNREFUSED" ? "no_gate" : "broke", error.message);
    });
  }

  #begin(response: IncomingMessage): void {
    if (this.#isOver) return;
    const head = { status: 101, headers: pairsOf(response.rawHeaders) };
    const frame = encodeHead({ type: "head", stream: this.#stream, head });
    if (!frame) {
      this.#break("too_large", "the head of the answer is too long");
      return;
    }
    this.#isOpen = true;
    this.#host.sendNow(frame);
  }

  #takeAnswer(response: IncomingMessage): void {
    if (this.#isOver) return;
    this.#answer = new Answer({
      stream: this.#stream,
      host: this.#host,
      response,
      onOver: () => this.stop(),
      onBroke: (code, message) => this.#break(code, message),
    });
  }

  #pass(frame: Extract<Frame, { type: "text" | "binary" }>): boolean {
    const out = this.#assembler.push(frame.type, frame.isFinal, frame.bytes);
    if (out.kind === "refused" && out.why === "protocol") return false;
    if (out.kind === "refused") {
      this.#host.send({ type: "close", stream: this.#stream, code: 1009, reason: "the message is too long" });
      this.#finish();
      closeSafely(this.#socket, 1009, "the message is too long");
      return true;
    }
    this.#owedBytes += frame.bytes.length;
    if (out.kind === "message") {
      const { bytes, type } = out;
      this.#unsentBytes += bytes.length;
      this.#socket.send(bytes, { binary: type === "binary", compress: false }, () => {
        this.#unsentBytes -= bytes.length;
        this.#giveBack();
      });
    }
    this.#giveBack();
    return true;
  }

  /** Parts of a message that is longer than the window must be given back before it is whole. */
  #giveBack(): void {
    if (this.#isOver || this.#unsentBytes > maxUnsentBytes) return;
    const bytes = this.#owedBytes;
    this.#owedBytes = 0;
    this.#host.credit(this.#stream, this.#window.take(bytes));
  }

  #break(code: ResetCode, message: string): void {
    if (this.#isOver) return;
    this.#host.send({ type: "reset", stream: this.#stream, code, message });
    this.stop();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#answer?.stop();
    this.#window.close();
    this.#host.writer.drop(this.#lane);
    this.#host.forget(this.#stream);
  }
}

/** Codes that nobody may send become what they mean. */
export function closeSafely(socket: WebSocket, code: number, reason: string): void {
  try {
    if (code === 1005) socket.close();
    else if (code === 1006) socket.terminate();
    else socket.close(code, Buffer.from(reason, "utf8").subarray(0, 123));
  } catch {
    socket.close(1011);
  }
}
