/** An agent's end of the relay without a machine: tests say what becomes of each stream. */
import { env } from "cloudflare:workers";
import {
  type AnswerHead,
  decodeFrame,
  encodeFrame,
  encodeHead,
  type Frame,
  maxMessageBytes,
  type OpenHead,
  relayEpochHeader,
  relaySubprotocol,
} from "../../core/protocol/relay.ts";
import { Budget, ReceiveWindow } from "../../core/protocol/relay-flow.ts";
import { Assembler, ByteLane, FrameWriter, MessageLane } from "../../core/protocol/relay-lanes.ts";

export class AgentStream {
  readonly head: OpenHead;
  readonly number: number;
  readonly lane: ByteLane;
  readonly messages: MessageLane;
  readonly received: Frame[] = [];
  /** Bodies and messages are taken as they come. */
  isTaking = true;
  bytes = 0;
  readonly #agent: RelayAgent;
  readonly #window = new ReceiveWindow(new Budget(16 * 1024 * 1024));
  readonly #assembler = new Assembler(maxMessageBytes);
  onMessage: (type: "text" | "binary", bytes: Uint8Array) => void = () => undefined;

  constructor(agent: RelayAgent, number: number, head: OpenHead) {
    this.#agent = agent;
    this.number = number;
    this.head = head;
    this.lane = new ByteLane(number);
    this.messages = new MessageLane(number);
  }

  answer(status: number, headers: AnswerHead["headers"] = []): this {
    this.#agent.sendBytes(encodeHead({ type: "head", stream: this.number, head: { status, headers } })!);
    return this;
  }

  push(bytes: Uint8Array | string): this {
    this.lane.push(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
    this.#agent.writer.wake(this.lane);
    return this;
  }

  end(): this {
    this.lane.end();
    this.#agent.writer.wake(this.lane);
    return this;
  }

  message(type: "text" | "binary", bytes: Uint8Array): this {
    this.messages.push(type, bytes);
    this.#agent.writer.wake(this.messages);
    return this;
  }

  close(code: number, reason: string): this {
    this.messages.close(code, reason);
    this.#agent.writer.wake(this.messages);
    return this;
  }

  saw(type: Frame["type"]): Frame | undefined {
    return this.received.find((frame) => frame.type === type);
  }

  take(frame: Frame): void {
    this.received.push(frame);
    if (frame.type === "credit") {
      const lane = this.head.isUpgrade ? this.messages : this.lane;
      lane.credit.add(frame.bytes);
      this.#agent.writer.wake(lane);
    }
    if (frame.type === "reset") {
      this.#agent.writer.drop(this.lane);
      this.#agent.writer.drop(this.messages);
    }
    if (frame.type === "data") this.#arrive(frame.bytes);
    if (frame.type === "text" || frame.type === "binary") {
      this.#arrive(frame.bytes);
      const out = this.#assembler.push(frame.type, frame.isFinal, frame.bytes);
      if (out.kind === "message") this.onMessage(out.type, out.bytes);
    }
  }

  #arrive(bytes: Uint8Array): void {
    if (!this.#window.arrive(bytes.length)) throw new Error("more than was given");
    this.bytes += bytes.length;
    if (this.isTaking) this.takeAll();
  }

  /** What came and was not taken yet. */
  takeAll(): void {
    const credit = this.#window.take(this.#window.held);
    if (credit > 0) this.#agent.send({ type: "credit", stream: this.number, bytes: credit });
  }
}

export class RelayAgent {
  readonly streams: AgentStream[] = [];
  readonly strays: Frame[] = [];
  readonly closed: { code: number; reason: string }[] = [];
  readonly writer = new FrameWriter((bytes) => this.sendBytes(bytes));
  onOpen: (stream: AgentStream) => void = () => undefined;
  answersPings = true;
  sentBytes = 0;
  #socket: WebSocket | null = null;

  /** The status of the answer; 101 when it is open. */
  async connect(instance: string, epoch: number, headers: Record<string, string> = {}): Promise<number> {
    const response = await env.RELAY.getByName(instance).fetch("http://relay/", {
      headers: {
        upgrade: "websocket",
        "sec-websocket-protocol": relaySubprotocol,
        [relayEpochHeader]: String(epoch),
        ...headers,
      },
    });
    if (response.webSocket) this.adopt(response.webSocket);
    else await response.text();
    return response.status;
  }

  adopt(socket: WebSocket): void {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.accept();
    socket.addEventListener("message", ({ data }) => {
      if (typeof data !== "string") this.#take(new Uint8Array(data as ArrayBuffer));
    });
    socket.addEventListener("close", ({ code, reason }) => void this.closed.push({ code, reason }));
  }

  send(frame: Frame): void {
    this.sendBytes(encodeFrame(frame));
  }

  sendBytes(bytes: Uint8Array): void {
    this.sentBytes += bytes.length;
    this.#socket?.send(bytes);
  }

  close(code?: number): void {
    this.#socket?.close(code);
  }

  #take(bytes: Uint8Array): void {
    const decoded = decodeFrame(bytes);
    if (!decoded.ok) throw new Error(decoded.message);
    const { frame } = decoded;
    if (frame.type === "open") {
      const stream = new AgentStream(this, frame.stream, frame.head);
      this.streams.push(stream);
      this.onOpen(stream);
      return;
    }
    if (frame.type === "ping" && this.answersPings) this.send({ type: "pong", stream: 0 });
    const stream = this.streams.findLast((one) => one.number === frame.stream);
    if (stream) stream.take(frame);
    else this.strays.push(frame);
  }
}
