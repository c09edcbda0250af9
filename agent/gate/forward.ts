/** One request of the gate to a service on this machine: bodies stream, nothing is held, either side's end is the other's. */
import { Agent, type ClientRequest, type IncomingMessage, request, type ServerResponse } from "node:http";
import { createConnection, type LookupFunction, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type GateError, gateHeadBytes } from "../../core/protocol/gate.ts";
import { requestHeaders, responseHeaders } from "./headers.ts";
import { UploadAgent } from "./upload-agent.ts";

export type Refuse = (error: GateError, message: string) => void;

export interface Services {
  forward(req: IncomingMessage, res: ServerResponse, port: number, refuse: Refuse): void;
  upgrade(req: IncomingMessage, socket: Duplex, head: Buffer, port: number, refuse: Refuse): void;
  /** Whether anything takes connections there. */
  listens(port: number): Promise<boolean>;
  close(): void;
}

/** A service may listen on either. */
const loopback: LookupFunction = (_host, _options, done) =>
  done(null, [
    { address: "127.0.0.1", family: 4 },
    { address: "::1", family: 6 },
  ]);

/** Asked twice they do no more than asked once. */
const repeatable = new Set(["GET", "HEAD", "OPTIONS"]);
const connectMs = 30_000;
/** Who waits for a service asks again soon. */
const listensMs = 2_000;

export function createServices(): Services {
  // Who does not listen on one of the two refuses at once. By the usual limit, a quarter of a second, a service would be given up because
  // this very process had no time to look.
  const connect = { lookup: loopback, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: connectMs };
  const kept = new Agent({ ...connect, keepAlive: true, maxFreeSockets: 64 });
  // What is sent once, never over a connection that the service may just be closing: a body is gone by then, and a request with an effect
  // may have had it.
  const fresh = new UploadAgent({ ...connect, keepAlive: false });

  const open = (req: IncomingMessage, port: number, agent: Agent, extra: [string, string][]): ClientRequest => {
    const { method, url: path } = req;
    // A name without an address of its own: the lookup above gives both.
    return request({
      ...{ host: "localhost", port, method, path, agent, setHost: false, maxHeaderSize: gateHeadBytes },
      headers: requestHeaders(req.rawHeaders, extra) as never,
    });
  };

  return {
    forward(req, res, port, refuse) {
      const hasBody = bodyOf(req);
      const isRepeatable = !hasBody && repeatable.has(req.method ?? "");
      const extra: [string, string][] = req.headers["transfer-encoding"] ? [["Transfer-Encoding", "chunked"]] : [];
      const send = (agent: Agent, isRetry: boolean) => {
        const upstream = open(req, port, agent, extra);
        let isAnswered = false;
        upstream.on("response", (answer) => {
          isAnswered = true;
          try {
            passBack(answer, res);
          } catch (error) {
            upstream.destroy();
            return refuse("service_broke", error instanceof Error ? error.message : String(error));
          }
          // The rest of the upload is for nobody.
          answer.once("end", () => upstream.writableFinished || upstream.destroy());
        });
        upstream.on("upgrade", (_answer, service) => {
          isAnswered = true;
          service.destroy();
          refuse("service_broke", "the service changed to another protocol, which nobody asked for");
        });
        upstream.on("error", (error: NodeJS.ErrnoException) => {
          // The answer has an end of its own, and may be whole although the upload was not taken.
          if (isAnswered) return;
          if (res.headersSent || res.destroyed) return void res.destroy();
          // The service closed a kept connection while this request was on its way.
          if (upstream.reusedSocket && isRepeatable && !isRetry) return send(fresh, true);
          const isDeaf = error.code === "ECONNREFUSED";
          refuse(isDeaf ? "no_service" : "service_broke", isDeaf ? `nothing listens on port ${port}` : error.message);
        });
        res.once("close", () => {
          if (!res.writableFinished) upstream.destroy();
        });
        if (hasBody) {
          req.on("error", () => upstream.destroy());
          req.once("close", () => {
            if (!req.complete) upstream.destroy();
          });
          // Whoever asked may read the answer only once everything is sent.
          upstream.once("close", () => req.resume());
          req.pipe(upstream);
        } else upstream.end();
      };
      send(isRepeatable ? kept : fresh, false);
    },
    upgrade(req, socket, head, port, refuse) {
      const extra: [string, string][] = [
        ["Connection", "Upgrade"],
        ["Upgrade", req.headers.upgrade ?? "websocket"],
      ];
      const upstream = open(req, port, fresh, extra);
      let isThrough = false;
      upstream.on("upgrade", (answer: IncomingMessage, service: Socket, first: Buffer) => {
        isThrough = true;
        join(answer, socket, head, service, first);
      });
      upstream.on("response", (answer) => {
        isThrough = true;
        if (!isPassable(answer)) {
          upstream.destroy();
          return refuse("service_broke", oddStatus(answer));
        }
        const headers = responseHeaders(answer.rawHeaders, [["Connection", "close"]]);
        socket.write(headOf(answer, headers));
        answer.pipe(socket);
        answer.once("error", () => socket.destroy());
      });
      upstream.on("error", (error: NodeJS.ErrnoException) => {
        if (isThrough) return void socket.destroy();
        const isDeaf = error.code === "ECONNREFUSED";
        refuse(isDeaf ? "no_service" : "service_broke", isDeaf ? `nothing listens on port ${port}` : error.message);
      });
      socket.once("close", () => upstream.destroy());
      upstream.end();
    },
    listens: (port) =>
      new Promise<boolean>((resolve) => {
        const socket = createConnection({ host: "localhost", port, ...connect, timeout: listensMs });
        const end = (isThere: boolean) => {
          socket.destroy();
          resolve(isThere);
        };
        socket.once("connect", () => end(true));
        socket.once("error", () => end(false));
        socket.once("timeout", () => end(false));
      }),
    close() {
      kept.destroy();
      fresh.destroy();
    },
  };
}

function bodyOf({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/** What lies between the gate and whoever asked knows no others. */
function isPassable({ statusCode = 0 }: IncomingMessage): boolean {
  return statusCode >= 200 && statusCode <= 599;
}

function oddStatus({ statusCode }: IncomingMessage): string {
  return `the service answered with a status of ${statusCode}`;
}

/** Errors: throws, before anything is sent, where the answer's head is none that can be sent. */
function passBack(answer: IncomingMessage, res: ServerResponse): void {
  if (!isPassable(answer)) throw new Error(oddStatus(answer));
  res.sendDate = false;
  res.writeHead(answer.statusCode!, answer.statusMessage, responseHeaders(answer.rawHeaders) as never);
  // What streams shows its head at once.
  if (answer.headers["content-length"] === undefined) res.flushHeaders();
  answer.on("error", () => res.destroy());
  answer.once("close", () => {
    // Broken off: a clean end would say that this was all.
    if (!answer.complete) res.destroy();
  });
  answer.pipe(res);
}

function join(answer: IncomingMessage, socket: Duplex, head: Buffer, service: Socket, first: Buffer): void {
  const headers = responseHeaders(answer.rawHeaders, [
    ["Connection", "Upgrade"],
    ["Upgrade", answer.headers.upgrade ?? "websocket"],
  ]);
  socket.write(headOf(answer, headers));
  if (first.length > 0) socket.write(first);
  if (head.length > 0) service.write(head);
  service.setNoDelay(true);
  for (const [one, other] of [
    [socket, service],
    [service, socket],
  ] as const) {
    one.pipe(other);
    one.on("error", () => other.destroy());
    one.once("close", () => other.destroy());
  }
}

function headOf({ statusCode, statusMessage }: IncomingMessage, headers: string[]): string {
  let text = `HTTP/1.1 ${statusCode} ${statusMessage ?? ""}\r\n`;
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${text}\r\n`;
}
