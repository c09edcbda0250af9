/**
 * One request of the proxy on its way over the relay.
 *
 *   open ──▶ head ──▶ data* ──▶ end        an answer; meanwhile the request's own body goes up
 *     │        └─ 101 ──▶ messages          a WebSocket
 *     └─ reset, or the socket is lost ──▶ before the head: a pipe's answer; after it: the body breaks off
 */
import { type AnswerHead, type Frame, maxHeadBytes, type OpenHead, type ResetCode } from "../../core/protocol/relay.ts";
import { type Budget, ReceiveWindow } from "../../core/protocol/relay-flow.ts";
import { ByteLane, type FrameWriter } from "../../core/protocol/relay-lanes.ts";
import { hasNoBody, headersOf, lengthOf, pipeAnswer } from "./heads.ts";
import { Inflow } from "./inflow.ts";
import { SocketSide } from "./socket-side.ts";

export interface StreamHost {
  writer: FrameWriter;
  budget: Budget;
  /** Of messages of WebSockets, which neither side can be told to hold back. */
  waitingBytes: number;
  /** As `Patience` says. */
  readonly leaveMs: number;
  send(frame: Frame): void;
  /** Nothing for 0. */
  credit(stream: number, bytes: number): void;
  /** It is over: its frames are nobody's from now on. */
  forget(stream: number): void;
}

export class RelayStream {
  readonly answer: Promise<Response>;
  readonly #number: number;
  readonly #host: StreamHost;
  readonly #open: OpenHead;
  readonly #window: ReceiveWindow;
  readonly #lane: ByteLane;
  readonly #resolve: (response: Response) => void;
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  #hasHead = false;
  #inflow: Inflow | null = null;
  #socket: SocketSide | null = null;
  /** The agent has said everything: nothing that happens from now on is for it. */
  #isAgentDone = false;
  #isOver = false;

  constructor(number: number, open: OpenHead, host: StreamHost) {
    this.#number = number;
    this.#host = host;
    this.#open = open;
    this.#window = new ReceiveWindow(host.budget);
    this.#lane = new ByteLane(number);
    let resolved: (response: Response) => void = () => undefined;
    this.answer = new Promise((resolve) => {
      resolved = resolve;
    });
    this.#resolve = resolved;
  }

  /** After the open is sent. */
  start(request: Request): void {
    const { signal, body } = request;
    signal.addEventListener("abort", () => this.#abandon("cancelled", "the client is gone"));
    if (signal.aborted) this.#abandon("cancelled", "the client is gone");
    else if (this.#open.hasBody && body) void this.#sendBody(body);
  }

  take(frame: Frame): void {
    if (this.#isOver) return;
    const isTaken = this.#socket ? this.#takeOfSocket(this.#socket, frame) : this.#takeOfRequest(frame);
    if (!isTaken) this.#abandon("protocol", `a frame out of place: ${frame.type}`);
  }

  /** False: it breaks the protocol, as in what follows. */
  #takeOfSocket(socket: SocketSide, frame: Frame): boolean {
    if (frame.type !== "reset") return socket.take(frame);
    this.#takeReset(frame.code, frame.message);
    return true;
  }

  #takeOfRequest(frame: Frame): boolean {
    switch (frame.type) {
      case "head":
        return !this.#hasHead && this.#takeHead(frame.head);
      case "data":
        if (!this.#inflow || this.#isAgentDone || !this.#window.arrive(frame.bytes.length)) return false;
        this.#inflow.push(frame.bytes);
        return true;
      case "end":
        if (!this.#hasHead || this.#isAgentDone) return false;
        this.#takeEnd();
        return true;
      case "credit":
        if (!this.#lane.credit.add(frame.bytes)) return false;
        this.#host.writer.wake(this.#lane);
        return true;
      case "reset":
        this.#takeReset(frame.code, frame.message);
        return true;
      default:
        return false;
    }
  }

  /** The socket is lost. What came whole is still given to the client. */
  fail(message: string): void {
    if (this.#isOver || (this.#isAgentDone && this.#inflow)) return;
    this.#end(() => pipeAnswer("broken", message), message);
  }

  #takeHead({ status, headers: pairs }: AnswerHead): boolean {
    const isSocket = status === 101 && this.#open.isUpgrade;
    if (!isSocket && (status < 200 || status > 599)) return false;
    const headers = headersOf(pairs);
    this.#hasHead = true;
    if (isSocket) {
      this.#socket = new SocketSide(this.#number, this.#host, this.#window, () => this.#finish());
      this.#resolve(new Response(null, { status, webSocket: this.#socket.client, headers }));
      return true;
    }
    const body = hasNoBody(this.#open.method, status) ? null : this.#newInflow(lengthOf(headers)).readable;
    // Encoded where the service encoded it: it goes through as it is.
    this.#resolve(new Response(body, { status, headers, encodeBody: "manual" }));
    return true;
  }

  #newInflow(length: number | null): Inflow {
    this.#inflow = new Inflow({
      length,
      onTaken: (bytes) => {
        const credit = this.#window.take(bytes);
        if (!this.#isAgentDone) this.#host.credit(this.#number, credit);
      },
      onOver: (isWhole) => (isWhole ? this.#complete() : this.#abandon("cancelled", "the client is gone")),
    });
    return this.#inflow;
  }

  #takeEnd(): void {
    this.#isAgentDone = true;
    if (this.#inflow) this.#inflow.end();
    else this.#complete();
  }

  /** An answer may be through before its request is: the rest of that is for nobody. */
  #complete(): void {
    if (this.#reader) {
      this.#host.send({ type: "reset", stream: this.#number, code: "cancelled", message: "the answer is through" });
    }
    this.#finish();
  }

  #takeReset(code: ResetCode, message: string): void {
    this.#isAgentDone = true;
    this.#end(() => pipeAnswer(code === "no_gate" ? "closed" : "broken", message), message);
  }

  /** The agent is told to stop. */
  #abandon(code: ResetCode, message: string): void {
    if (this.#isOver) return;
    if (!this.#isAgentDone) this.#host.send({ type: "reset", stream: this.#number, code, message });
    this.#isAgentDone = true;
    this.#end(() => pipeAnswer("broken", message), message);
  }

  #end(answer: () => Response, message: string): void {
    if (!this.#hasHead) this.#resolve(answer());
    this.#inflow?.fail(message);
    this.#socket?.fail(message);
    this.#finish();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#window.close();
    this.#host.writer.drop(this.#lane);
    this.#lane.onDrain?.();
    this.#reader?.cancel().catch(() => undefined);
    this.#host.forget(this.#number);
  }

  async #sendBody(body: ReadableStream<Uint8Array>): Promise<void> {
    const lane = this.#lane;
    const reader = body.getReader();
    this.#reader = reader;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (this.#isOver) return;
        if (done) break;
        lane.push(value);
        this.#host.writer.wake(lane);
        if (lane.isFull) {
          await new Promise<void>((resolve) => {
            lane.onDrain = resolve;
          });
        }
      }
      this.#reader = null;
      lane.end();
      this.#host.writer.wake(lane);
    } catch {
      this.#reader = null;
      this.#abandon("cancelled", "the request's body broke off");
    }
  }
}

export const headTooLong = `the head of the request is longer than ${maxHeadBytes} bytes`;
