/** A client's WebSocket as a stream of the relay: messages both ways, and the close codes. */
import { type Frame, maxMessageBytes } from "../../core/protocol/relay.ts";
import type { ReceiveWindow } from "../../core/protocol/relay-flow.ts";
import { Assembler, MessageLane } from "../../core/protocol/relay-lanes.ts";
import type { StreamHost } from "./stream.ts";

/** Of all WebSockets of an object: what the machine has no room for yet, and what is not whole yet. */
const maxWaitingBytes = maxMessageBytes + 1024 * 1024;

export class SocketSide {
  /** The client's end, for the answer. */
  readonly client: WebSocket;
  readonly #server: WebSocket;
  readonly #host: StreamHost;
  readonly #window: ReceiveWindow;
  readonly #lane: MessageLane;
  readonly #assembler = new Assembler(maxMessageBytes);
  readonly #onOver: () => void;
  /** Of `waitingBytes`, this one's. */
  #counted = 0;
  /** Since the client closed, while the machine does not take what came before. */
  #leaving: ReturnType<typeof setTimeout> | null = null;
  #isOver = false;

  /** `onOver`: the agent knows, or needs no word any more. */
  constructor(stream: number, host: StreamHost, window: ReceiveWindow, onOver: () => void) {
    const pair = new WebSocketPair();
    this.client = pair[0];
    this.#server = pair[1];
    this.#host = host;
    this.#window = window;
    this.#onOver = onOver;
    this.#lane = new MessageLane(stream);
    this.#lane.onOver = () => this.#finish();
    this.#server.binaryType = "arraybuffer";
    this.#server.accept();
    this.#server.addEventListener("message", ({ data }) => this.#fromClient(data));
    this.#server.addEventListener("close", ({ code, reason }) => {
      if (code === 1006) this.#breakOff();
      else this.#closeTowardsMachine(code, reason);
    });
    // One that has closed is torn down by its end without more words.
    this.#server.addEventListener("error", () => this.#leaving === null && this.#breakOff());
  }

  /** False: it does not belong here. */
  take(frame: Frame): boolean {
    switch (frame.type) {
      case "text":
      case "binary":
        return this.#fromMachine(frame.type, frame.isFinal, frame.bytes);
      case "credit":
        if (!this.#lane.credit.add(frame.bytes)) return false;
        this.#host.writer.wake(this.#lane);
        this.#count();
        if (this.#leaving !== null) this.#awaitLeave();
        return true;
      case "close":
        closeSafely(this.#server, frame.code, frame.reason);
        this.#finish();
        return true;
      default:
        return false;
    }
  }

  fail(message: string): void {
    if (this.#isOver) return;
    closeSafely(this.#server, 1011, message);
    this.#finish();
  }

  #fromClient(data: string | ArrayBuffer): void {
    if (this.#isOver) return;
    if (typeof data === "string") this.#lane.push("text", new TextEncoder().encode(data));
    else this.#lane.push("binary", new Uint8Array(data));
    this.#host.writer.wake(this.#lane);
    if (!this.#count()) this.#refuse(1013, "the service is too slow for these messages");
  }

  /** False: more waits than there is room for. */
  #count(): boolean {
    const now = this.#isOver ? 0 : this.#lane.bytes + this.#assembler.bytes;
    this.#host.waitingBytes += now - this.#counted;
    this.#counted = now;
    return this.#host.waitingBytes <= maxWaitingBytes;
  }

  /** After what the client sent before. */
  #closeTowardsMachine(code: number, reason: string): void {
    if (this.#isOver) return;
    this.#lane.close(code, reason);
    this.#host.writer.wake(this.#lane);
    this.#awaitLeave();
  }

  /** A service that takes nothing any more would keep the stream, and with it the machine awake, for nobody. */
  #awaitLeave(): void {
    if (this.#leaving !== null) clearTimeout(this.#leaving);
    this.#leaving = this.#isOver ? null : setTimeout(() => this.#breakOff(), this.#host.leaveMs);
  }

  /** The client is gone: what it sent before has lost its end, or nobody takes it. */
  #breakOff(): void {
    if (this.#isOver) return;
    this.#host.send({ type: "reset", stream: this.#lane.stream, code: "cancelled", message: "the client is gone" });
    closeSafely(this.#server, 1011, "the service takes nothing any more");
    this.#finish();
  }

  #fromMachine(type: "text" | "binary", isFinal: boolean, bytes: Uint8Array): boolean {
    if (!this.#window.arrive(bytes.length)) return false;
    const out = this.#assembler.push(type, isFinal, bytes);
    if (out.kind === "refused") {
      if (out.why === "protocol") return false;
      this.#refuse(1009, "the message is too long");
      return true;
    }
    if (!this.#count()) {
      this.#refuse(1013, "too many long messages at once");
      return true;
    }
    if (out.kind === "message" && !this.#toClient(out.type, out.bytes)) return true;
    // Whether the client has read it nobody says: a Worker's socket takes everything.
    this.#host.credit(this.#lane.stream, this.#window.take(bytes.length));
    return true;
  }

  #toClient(type: "text" | "binary", bytes: Uint8Array): boolean {
    try {
      this.#server.send(type === "binary" ? bytes : new TextDecoder("utf-8", textOptions).decode(bytes));
      return true;
    } catch (error) {
      if (error instanceof TypeError && type === "text") this.#refuse(1007, "the text is no UTF-8");
      // Otherwise it is closing, and its close event comes.
      return false;
    }
  }

  #refuse(code: number, reason: string): void {
    this.#host.send({ type: "close", stream: this.#lane.stream, code, reason });
    closeSafely(this.#server, code, reason);
    this.#finish();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#leaving !== null) clearTimeout(this.#leaving);
    this.#leaving = null;
    this.#count();
    this.#host.writer.drop(this.#lane);
    this.#onOver();
  }
}

const textOptions = { fatal: true, ignoreBOM: true };

/** Codes that nobody may send become one that says the same. */
export function closeSafely(socket: WebSocket, code: number, reason: string): void {
  try {
    if (code === 1005) socket.close();
    else if (code === 1004 || code === 1006 || code === 1015) socket.close(1011, reason || "broken off");
    else socket.close(code, reason);
  } catch {
    try {
      socket.close(1011);
    } catch {
      // It is closed.
    }
  }
}
