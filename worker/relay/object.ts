/**
 * One object per instance, of its own class: the machine's agent holds a socket to it, and requests of the proxy go over that
 * socket. A silent socket costs nothing, because it outlives the object's sleep; nothing but the newest epoch is stored.
 */
import { DurableObject } from "cloudflare:workers";
import { relayCloseCodes, relayEpochHeader, relaySubprotocol } from "../../core/protocol/relay.ts";
import type { Env } from "../env.ts";
import { isUpgrade, pipeAnswer } from "./heads.ts";
import { Line, type Patience } from "./line.ts";
import { closeSafely } from "./socket-side.ts";

interface Attachment {
  epoch: number;
  /** Of two of the same epoch the later one counts. */
  at: number;
}

export class RelayObject extends DurableObject<Env> implements Patience {
  // Its own, so that a test need not wait.
  quietMs = 10_000;
  leaveMs = 30_000;
  #line: Line | null = null;
  #newest: number;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    this.#newest = ctx.storage.kv.get<number>("epoch") ?? 0;
    const [last, ...others] = this.#sockets().sort((a, b) => b.epoch - a.epoch || b.at - a.at);
    for (const { socket } of others) closeSafely(socket, relayCloseCodes.replaced, "replaced");
    if (!last) return;
    this.#line = this.#newLine(last.socket, last.epoch);
    this.#line.forgetAll();
  }

  /** How many are under way. */
  get streams(): number {
    return this.#line?.streams ?? 0;
  }

  override async fetch(request: Request): Promise<Response> {
    const epoch = request.headers.get(relayEpochHeader);
    if (epoch !== null) return this.#accept(request, Number(epoch));
    if (!this.#line?.isOpen) return pipeAnswer("closed", "the machine has no relay open");
    return this.#line.fetch(request);
  }

  /** The machine of this epoch is going: nothing of it, or of an older one, stays open. */
  async shut(epoch: number): Promise<void> {
    if (this.#line && this.#line.epoch <= epoch) this.#line.close(relayCloseCodes.going, "the machine is going");
    for (const one of this.#sockets()) {
      if (one.epoch <= epoch) closeSafely(one.socket, relayCloseCodes.going, "the machine is going");
    }
  }

  override webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): void {
    if (this.#line?.socket === socket) this.#line.take(message);
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    closeSafely(socket, code, reason);
    this.#lose(socket);
  }

  override webSocketError(socket: WebSocket): void {
    this.#lose(socket);
  }

  #accept(request: Request, epoch: number): Response {
    if (!isUpgrade(request) || !Number.isSafeInteger(epoch) || epoch < 1) return new Response(null, { status: 400 });
    const spoken = request.headers.get("sec-websocket-protocol") ?? "";
    if (!spoken.split(/ *, */).includes(relaySubprotocol)) {
      return new Response(`the relay speaks ${relaySubprotocol}`, { status: 426 });
    }
    if (epoch < this.#newest) return new Response("a newer machine has been here", { status: 403 });
    if (epoch > this.#newest) this.ctx.storage.kv.put("epoch", epoch);
    this.#newest = epoch;
    this.#line?.close(relayCloseCodes.replaced, "replaced");
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.ctx.acceptWebSocket(ours, [`epoch:${epoch}`]);
    ours.serializeAttachment({ epoch, at: Date.now() } satisfies Attachment);
    this.#line = this.#newLine(ours, epoch);
    return new Response(null, {
      status: 101,
      webSocket: theirs,
      headers: { "sec-websocket-protocol": relaySubprotocol },
    });
  }

  #newLine(socket: WebSocket, epoch: number): Line {
    return new Line(socket, epoch, this);
  }

  #lose(socket: WebSocket): void {
    if (this.#line?.socket !== socket) return;
    this.#line.lose("the machine's relay broke");
    this.#line = null;
  }

  #sockets(): (Attachment & { socket: WebSocket })[] {
    return this.ctx.getWebSockets().flatMap((socket) => {
      const attachment: Attachment | null = socket.deserializeAttachment();
      return attachment && socket.readyState === WebSocket.OPEN ? [{ ...attachment, socket }] : [];
    });
  }
}
