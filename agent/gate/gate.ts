/**
 * The one way from outside to the services of this machine. It listens on 127.0.0.1 and is reached by whatever pipe the
 * deployment has; what it does is the same behind each of them.
 *
 *   pipe -> token? -no-> 403 refused
 *             +-> /_soneca/... -> nudge, probes
 *             +-> all stands still? -yes-> 503 sealed
 *                   +-> service on 127.0.0.1:port, counted as use unless the token says "quiet"
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { type GateClaims, type GateError, gateHeadBytes, gateHeaders, gatePaths } from "../../core/protocol/gate.ts";
import type { Logger } from "../log.ts";
import { type Admission, createAdmission } from "./admission.ts";
import { createServices } from "./forward.ts";
import type { Traffic } from "./traffic.ts";

export interface Gate {
  /** The port that it listens on. Rejects where it cannot listen. */
  start(): Promise<number>;
  stop(): Promise<void>;
  admission: Admission;
}

export interface GateOptions {
  instance: string;
  epoch: number;
  /** 0: whichever is free. */
  port?: number;
  traffic: Traffic;
  /** Whether the processes of this machine are held still. */
  isSealed: () => boolean;
  onNudge: () => void;
  log: Logger;
}

const statusOf: Record<GateError, number> = { refused: 403, no_service: 503, service_broke: 502, sealed: 503 };
/** Longer than any pipe keeps a connection that it does not use. */
const keepAliveMs = 120_000;
const secondEventMs = 100;

export function createGate({ instance, epoch, port = 0, traffic, isSealed, onNudge, log }: GateOptions): Gate {
  const admission = createAdmission(instance, epoch);
  const services = createServices();
  const echo = new WebSocketServer({ noServer: true, maxPayload: 65_536 });

  const onRequest = async (req: IncomingMessage, res: ServerResponse) => {
    const refuse = (error: GateError, message: string) => {
      if (res.headersSent) return void res.destroy();
      const headers = { "content-type": "text/plain", [gateHeaders.error]: error };
      // Words of its own: those of an answer that could not be passed on may still stand there.
      res.writeHead(statusOf[error], error, headers).end(`${message}\n`);
    };
    const claims = await admit(req);
    if (!claims) return refuse("refused", "no token of this machine");
    if (claims.port === null) return ownPath(req, res, refuse);
    if (isSealed()) return refuse("sealed", "this machine is about to go");
    const end = claims.quiet ? () => undefined : traffic.begin();
    res.once("close", end);
    if (res.destroyed) return end();
    services.forward(req, res, claims.port, refuse);
  };

  const onUpgrade = async (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const refuse = (error: GateError, message: string) => {
      const status = statusOf[error];
      socket.end(
        `HTTP/1.1 ${status} ${error}\r\n${gateHeaders.error}: ${error}\r\nConnection: close\r\nContent-Length: ${message.length + 1}\r\n\r\n${message}\n`,
      );
    };
    const claims = await admit(req);
    if (!claims) return refuse("refused", "no token of this machine");
    if (claims.port === null) {
      if (pathOf(req) !== gatePaths.socket) return refuse("refused", "no socket here");
      return echo.handleUpgrade(req, socket, head, (client) => {
        client.on("message", (data, isBinary) => client.send(data, { binary: isBinary }));
      });
    }
    if (isSealed()) return refuse("sealed", "this machine is about to go");
    const end = claims.quiet ? () => undefined : traffic.begin();
    socket.once("close", end);
    if (socket.destroyed) return end();
    services.upgrade(req, socket, head, claims.port, refuse);
  };

  const admit = (req: IncomingMessage): Promise<GateClaims | null> => {
    const token = req.headers[gateHeaders.token];
    return admission.admit(typeof token === "string" ? token : undefined);
  };

  const ownPath = (req: IncomingMessage, res: ServerResponse, refuse: (error: GateError, message: string) => void) => {
    switch (pathOf(req)) {
      case gatePaths.nudge:
        onNudge();
        return void res.writeHead(204).end();
      case gatePaths.listens: {
        const port = Number(new URL(req.url ?? "/", "http://gate").searchParams.get("port"));
        if (!Number.isInteger(port) || port < 1 || port > 65_535) return refuse("refused", "no such port");
        const answer = (isThere: boolean) =>
          isThere ? void res.writeHead(204).end() : refuse("no_service", `nothing listens on port ${port}`);
        return void services.listens(port).then(answer, () => res.destroy());
      }
      case gatePaths.http:
        return void res.writeHead(200, { "content-type": "text/plain" }).end("ok");
      case gatePaths.events: {
        res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
        res.write("data: 1\n\n");
        const timer = setTimeout(() => res.end("data: 2\n\n"), secondEventMs);
        return void res.once("close", () => clearTimeout(timer));
      }
      default:
        return refuse("refused", "no such path");
    }
  };

  const server: Server = createServer({
    ...{ keepAliveTimeout: keepAliveMs, requestTimeout: 0, maxHeaderSize: gateHeadBytes },
  });
  /** Those that became WebSockets, which the server knows no more. */
  const sockets = new Set<Duplex>();
  const guarded =
    <A extends unknown[]>(handle: (...args: A) => Promise<void>, destroy: (...args: A) => void) =>
    (...args: A) =>
      void handle(...args).catch((error: unknown) => {
        log.error("gate_broke", { error });
        destroy(...args);
      });
  server.on(
    "request",
    guarded(onRequest, (_req, res) => res.destroy()),
  );
  server.on(
    "upgrade",
    guarded(onUpgrade, (_req, socket) => socket.destroy()),
  );
  server.on("upgrade", (_req, socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });

  return {
    admission,
    start: () =>
      new Promise<number>((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, "127.0.0.1", () => {
          server.off("error", reject);
          server.on("error", (error) => log.error("gate_failed", { error }));
          server.unref();
          resolve((server.address() as AddressInfo).port);
        });
      }),
    async stop() {
      services.close();
      echo.close();
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function pathOf({ url = "/" }: IncomingMessage): string {
  return url.split("?")[0] ?? "/";
}
