/**
 * Cloudflare's edge, as far as a tunnel's caller sees it: HTTP, streams and WebSockets go to the connector of the tunnel
 * that the hostname's CNAME names, and what the edge itself answers looks like its own answers to a Worker.
 */
import { randomBytes } from "node:crypto";
import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Connectors, Opened } from "./connectors.ts";
import { joinSockets } from "./lines.ts";
import type { State } from "./state.ts";

export interface EdgeOptions {
  state: State;
  connectors: Connectors;
  /** Until the first byte of an answer: 524. */
  firstByteMs: number;
  maxBodyBytes: number;
}

export interface Edge {
  answer(request: IncomingMessage, response: ServerResponse, hostname: string): Promise<void>;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, hostname: string): Promise<void>;
}

/** In place of the Host, where the edge has one address for all hostnames. */
export const hostHeader = "x-tunnel-host";

const HOP_BY_HOP = new Set(["connection", "keep-alive", "proxy-connection", hostHeader, "host"]);

const ownPage = (status: number): string => {
  if (status === 530) return "error code: 1033";
  if (status === 502) {
    return "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1>Unable to reach the origin service. The service may be down or it may not be responding to traffic from cloudflared</body></html>";
  }
  return status === 404 ? "" : `error code: ${status}`;
};

export function createEdge({ state, connectors, firstByteMs, maxBodyBytes }: EdgeOptions): Edge {
  const open = async (hostname: string): Promise<Opened & { page?: string }> => {
    const record = state.records.find((one) => one.name === hostname && one.type === "CNAME" && one.proxied);
    const id = /^(.+)\.cfargotunnel\.com$/.exec(record?.content ?? "")?.[1];
    if (!id) return { ok: false, status: 530, page: "error code: 1016" };
    return connectors.open(id, hostname);
  };

  return {
    async answer(request, response, hostname) {
      if (Number(request.headers["content-length"] ?? 0) > maxBodyBytes) return sendOwn(response, 413);
      const opened = await open(hostname);
      if (!opened.ok) return sendOwn(response, opened.status, opened.page);
      const { socket } = opened;
      const limit = setTimeout(() => {
        sendOwn(response, 524);
        socket.destroy();
      }, firstByteMs);
      const upstream = httpRequest({
        createConnection: () => socket,
        method: request.method,
        path: request.url,
        headers: [...passedHeaders(request), "host", hostname, "connection", "close"],
      });
      // It was paused behind its first line.
      upstream.on("socket", () => socket.resume());
      upstream.on("response", (answer) => {
        clearTimeout(limit);
        if (response.headersSent) return;
        const headers = answer.rawHeaders.filter((_, i) => !HOP_BY_HOP.has(nameAt(answer.rawHeaders, i)));
        response.writeHead(answer.statusCode!, answer.statusMessage, [...headers, "cf-ray", newRay()]);
        response.flushHeaders();
        answer.on("error", () => response.destroy());
        answer.pipe(response);
      });
      upstream.on("error", () => {
        clearTimeout(limit);
        if (response.headersSent) response.destroy();
        else sendOwn(response, 502);
      });
      response.on("close", () => {
        clearTimeout(limit);
        if (!response.writableFinished) socket.destroy();
      });
      request.on("error", () => socket.destroy());
      request.pipe(upstream);
    },

    async upgrade(request, client, head, hostname) {
      client.on("error", () => {});
      const opened = await open(hostname);
      if (!opened.ok) {
        const page = opened.page ?? ownPage(opened.status);
        client.end(
          `HTTP/1.1 ${opened.status} Edge\r\ncontent-type: text/plain\r\ncontent-length: ${page.length}\r\nconnection: close\r\n\r\n${page}`,
        );
        return;
      }
      const lines = pairs([...passedHeaders(request), "host", hostname, "connection", "Upgrade"]);
      const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
      opened.socket.write(`${request.method} ${request.url} HTTP/1.1\r\n${text}\r\n`);
      opened.socket.write(head);
      joinSockets(client as Socket, opened.socket);
    },
  };
}

function sendOwn(response: ServerResponse, status: number, page = ownPage(status)): void {
  if (response.headersSent) return;
  const type = page.startsWith("<") ? "text/html" : "text/plain";
  response.writeHead(status, {
    "content-type": `${type}; charset=UTF-8`,
    "content-length": Buffer.byteLength(page),
    server: "cloudflare",
    "cf-ray": newRay(),
  });
  response.end(page);
}

const newRay = () => `${randomBytes(8).toString("hex")}-LOC`;

/** The name of the header that the entry of a raw list belongs to. */
const nameAt = (raw: string[], i: number) => raw[i - (i % 2)]!.toLowerCase();

function passedHeaders(request: IncomingMessage): string[] {
  const raw = request.rawHeaders;
  return [
    ...raw.filter((_, i) => !HOP_BY_HOP.has(nameAt(raw, i))),
    "cf-ray",
    newRay(),
    "cf-connecting-ip",
    "127.0.0.1",
  ];
}

function pairs(raw: string[]): [string, string][] {
  return raw.flatMap((name, i) => (i % 2 === 0 ? [[name, raw[i + 1]!] as [string, string]] : []));
}
