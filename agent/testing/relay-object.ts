/** The relay's object as an agent sees it: a WebSocket server that makes requests over what connects. */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import {
  type AnswerHead,
  decodeFrame,
  encodeFrame,
  type Frame,
  maxMessageBytes,
  type OpenHead,
  relayPath,
  relaySubprotocol,
} from "../../core/protocol/relay.ts";
import { Budget, ReceiveWindow } from "../../core/protocol/relay-flow.ts";
import { Assembler, ByteLane, FrameWriter, MessageLane } from "../../core/protocol/relay-lanes.ts";

export class RelayObject {
  readonly connections: { headers: IncomingMessage["headers"]; at: number }[] = [];
  /** What becomes of the next tries to connect: the status of a refusal. */
  refusals: number[] = [];
  answersPings = true;
  lastStream: ObjectStream | null = null;
  readonly closes: number[] = [];
  readonly writer = new FrameWriter((bytes) => this.socket?.send(bytes));
  readonly budget = new Budget(48 * 1024 * 1024);
  readonly streams = new Map<number, ObjectStream>();
  readonly strays: Frame[] = [];
  socket: WebSocket | null = null;
  #next = 1;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, handleProtocols: () => relaySubprotocol });

  constructor() {
    this.#server = createServer((_request, response) => response.writeHead(404).end());
    this.#server.on("upgrade", (request, socket, head) => {
      this.connections.push({ headers: request.headers, at: performance.now() });
      const refusal = this.refusals.shift() ?? (request.url === relayPath ? 0 : 404);
      if (refusal > 0) socket.end(`HTTP/1.1 ${refusal} No\r\ncontent-length: 2\r\n\r\nno`);
      else this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#adopt(ws));
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.socket?.terminate();
    await new Promise((done) => this.#server.close(done));
  }

  send(frame: Frame): void {
    this.socket?.send(encodeFrame(frame));
  }

  open(head: Partial<OpenHead> = {}): ObjectStream {
    const stream = new ObjectStream(this, this.#next++, {
      method: "GET",
      path: "/",
      headers: [],
      hasBody: false,
      isUpgrade: false,
      ...head,
    });
    this.streams.set(stream.number, stream);
    this.lastStream = stream;
    this.send({ type: "open", stream: stream.number, head: stream.open });
    return stream;
  }

  #adopt(socket: WebSocket): void {
    this.socket = socket;
    socket.on("close", (code) => this.closes.push(code));
    socket.on("message", (data: Buffer, isBinary) => {
      if (!isBinary) {
        if (this.answersPings) socket.send("pong");
        return;
      }
      const decoded = decodeFrame(data);
      if (!decoded.ok) throw new Error(decoded.message);
      const stream = this.streams.get(decoded.frame.stream);
      if (stream) stream.take(decoded.frame);
      else this.strays.push(decoded.frame);
    });
  }
}

export class ObjectStream {
  readonly number: number;
  readonly open: OpenHead;
  readonly lane: ByteLane;
  readonly messages: MessageLane;
  readonly frames: { frame: Frame; at: number }[] = [];
  head: AnswerHead | null = null;
  isEnded = false;
  reset: Extract<Frame, { type: "reset" }> | null = null;
  closed: Extract<Frame, { type: "close" }> | null = null;
  bytes = 0;
  /** What comes is not given back. */
  isStalled = false;
  /** Frames are kept for a look; off where there are many. */
  isKeeping = true;
  onData: (bytes: Uint8Array) => void = () => undefined;
  onMessage: (type: "text" | "binary", bytes: Uint8Array) => void = () => undefined;
  readonly #object: RelayObject;
  readonly #window: ReceiveWindow;
  readonly #assembler = new Assembler(maxMessageBytes);
  #heldBytes = 0;

  constructor(object: RelayObject, number: number, open: OpenHead) {
    this.#object = object;
    this.number = number;
    this.open = open;
    this.#window = new ReceiveWindow(object.budget);
    this.lane = new ByteLane(number);
    this.messages = new MessageLane(number);
  }

  push(bytes: Uint8Array): void {
    this.lane.push(bytes);
    this.#object.writer.wake(this.lane);
  }

  end(): void {
    this.lane.end();
    this.#object.writer.wake(this.lane);
  }

  message(type: "text" | "binary", bytes: Uint8Array): void {
    this.messages.push(type, bytes);
    this.#object.writer.wake(this.messages);
  }

  close(code: number, reason: string): void {
    this.messages.close(code, reason);
    this.#object.writer.wake(this.messages);
  }

  cancel(): void {
    this.#object.send({ type: "reset", stream: this.number, code: "cancelled", message: "gone" });
  }

  text(): string {
    return Buffer.concat(this.frames.flatMap(({ frame }) => (frame.type === "data" ? [frame.bytes] : []))).toString();
  }

  goOn(): void {
    this.isStalled = false;
    this.#take(0);
  }

  take(frame: Frame): void {
    if (this.isKeeping) this.frames.push({ frame, at: performance.now() });
    switch (frame.type) {
      case "head":
        this.head = frame.head;
        break;
      case "data":
        this.onData(frame.bytes);
        this.#arrive(frame.bytes.length);
        break;
      case "end":
        this.isEnded = true;
        this.#window.close();
        break;
      case "reset":
        this.reset = frame;
        this.#window.close();
        break;
      case "close":
        this.closed = frame;
        break;
      case "credit": {
        const lane = this.open.isUpgrade ? this.messages : this.lane;
        lane.credit.add(frame.bytes);
        this.#object.writer.wake(lane);
        break;
      }
      case "text":
      case "binary": {
        const out = this.#assembler.push(frame.type, frame.isFinal, frame.bytes);
        if (out.kind === "message") this.onMessage(out.type, out.bytes);
        this.#arrive(frame.bytes.length);
        break;
      }
    }
  }

  #arrive(bytes: number): void {
    if (!this.#window.arrive(bytes)) throw new Error("more than was given");
    this.bytes += bytes;
    if (this.isStalled) this.#heldBytes += bytes;
    else this.#take(bytes);
  }

  #take(bytes: number): void {
    const credit = this.#window.take(bytes + this.#heldBytes);
    this.#heldBytes = 0;
    if (credit > 0) this.#object.send({ type: "credit", stream: this.number, bytes: credit });
  }
}
