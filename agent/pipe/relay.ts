/**
 * The pipe over the worker: a WebSocket that is kept open from here, and on which requests of the wake proxy come.
 *
 *   closed ──▶ opening ──▶ open ──▶ closed, and after a while again
 *
 * What breaks comes back soon (full jitter); a refused token, a newer machine or the end of this one wait longer.
 */
import { Agent, type IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import { relayCloseCodes, relayPath, relaySubprotocol } from "../../core/protocol/relay.ts";
import { describeError, type Logger } from "../log.ts";
import { Session } from "./session.ts";

export interface RelayOptions {
  /** The control plane, http or https. */
  url: string;
  token: () => string;
  /** Where the gate listens on 127.0.0.1. */
  gatePort: number;
  onOpen?: () => void;
  log: Logger;
  random?: () => number;
  pingMs?: number;
  /** How long the worker may take for its word. */
  pongMs?: number;
  minBackoffMs?: number;
  maxBackoffMs?: number;
  /** After 401, 403, or when the machine is going. */
  refusedMs?: number;
  /** After another machine took the place: not to fight over it. */
  replacedMs?: number;
}

export type RelayState = "open" | "opening" | "closed";

export interface Relay {
  start(): void;
  stop(): void;
  state(): RelayState;
}

/** An open one that lasted so long has earned a quick return. */
const steadyMs = 5_000;
const handshakeMs = 15_000;
const maxFrameBytes = 256 * 1024;

type End = { kind: "broke"; message: string } | { kind: "refused"; status: number } | { kind: "closed"; code: number };

export function createRelay(options: RelayOptions): Relay {
  const { log, random = Math.random, minBackoffMs = 500, maxBackoffMs = 30_000 } = options;
  const { refusedMs = 30_000, replacedMs = 60_000 } = options;
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 64, timeout: 4_000 });
  const gate = { port: options.gatePort, agent };
  let state: RelayState = "closed";
  let socket: WebSocket | null = null;
  let timer: NodeJS.Timeout | null = null;
  let failures = 0;
  let isRunning = false;

  const open = () => {
    state = "opening";
    const openedAt = performance.now();
    const mine = connect(options, gate, {
      onOpen: () => {
        if (socket !== mine) return;
        state = "open";
        log.info("relay_open", failures > 0 ? { after_failures: failures } : {});
        options.onOpen?.();
      },
      onEnd: (end) => {
        // One that was stopped has had its last word; another may be open by now.
        if (socket !== mine) return;
        socket = null;
        const wasSteady = state === "open" && performance.now() - openedAt >= steadyMs;
        state = "closed";
        failures = wasSteady ? 1 : failures + 1;
        // Each failure of a long outage is one line too many.
        if (failures <= 3 || failures % 20 === 0) log.warn("relay_closed", { failures, ...end });
        timer = setTimeout(open, pauseMs(end));
      },
    });
    socket = mine;
  };

  const pauseMs = (end: End): number => {
    if (end.kind === "refused" && (end.status === 401 || end.status === 403)) return refusedMs;
    if (end.kind === "closed" && end.code === relayCloseCodes.replaced) return replacedMs;
    if (end.kind === "closed" && end.code === relayCloseCodes.going) return refusedMs;
    return random() * Math.min(maxBackoffMs, minBackoffMs * 2 ** Math.min(failures - 1, 16));
  };

  return {
    start() {
      if (isRunning) return;
      isRunning = true;
      open();
    },
    stop() {
      isRunning = false;
      if (timer) clearTimeout(timer);
      timer = null;
      const last = socket;
      socket = null;
      last?.close(1000);
      // A worker that does not answer is not waited for.
      setTimeout(() => last?.terminate(), 1_000).unref();
      state = "closed";
      agent.destroy();
    },
    state: () => state,
  };
}

interface Ears {
  onOpen: () => void;
  /** Once, and the last word. */
  onEnd: (end: End) => void;
}

function connect(options: RelayOptions, gate: Session["gate"], { onOpen, onEnd }: Ears): WebSocket {
  const { url, token, pingMs = 25_000, pongMs = 20_000 } = options;
  const address = `${url.replace(/^http/, "ws")}${relayPath}`;
  const socket = new WebSocket(address, [relaySubprotocol], {
    headers: { authorization: `Bearer ${token()}` },
    perMessageDeflate: false,
    handshakeTimeout: handshakeMs,
    maxPayload: maxFrameBytes,
    ...(isPrivate(address) && { generateMask: (mask: Buffer) => void mask.fill(0) }),
  });
  const session = new Session(socket, gate);
  const stopPings = keepAwake(socket, pingMs, pongMs);
  let why: End | null = null;
  socket.on("open", onOpen);
  socket.on("message", (data: Buffer, isBinary) => {
    if (isBinary) session.take(data);
  });
  socket.on("unexpected-response", (request, response: IncomingMessage) => {
    why = { kind: "refused", status: response.statusCode ?? 0 };
    response.resume();
    request.destroy();
    socket.terminate();
  });
  socket.on("error", (error) => {
    why ??= { kind: "broke", message: describeError(error) };
  });
  socket.on("close", (code) => {
    stopPings();
    session.lose();
    onEnd(why ?? { kind: "closed", code });
  });
  return socket;
}

/** A connection that died without a word looks open for ever: each ping wants a sign of life. */
function keepAwake(socket: WebSocket, pingMs: number, pongMs: number): () => void {
  let deadline: NodeJS.Timeout | null = null;
  const alive = () => {
    if (deadline) clearTimeout(deadline);
    deadline = null;
  };
  socket.on("message", alive);
  const pings = setInterval(() => {
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send("ping");
    deadline ??= setTimeout(() => socket.terminate(), pongMs);
  }, pingMs);
  return () => {
    clearInterval(pings);
    alive();
  };
}

/** Masks keep a script from speaking through old proxies; where none can read along they only cost a turn per byte. */
function isPrivate(address: string): boolean {
  const { protocol, hostname } = new URL(address);
  return protocol === "wss:" || hostname === "127.0.0.1" || hostname === "localhost";
}
