/** Counts what this process sends and receives over HTTP, whatever client does it. Node tells of each connection. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";
import type { Socket } from "node:net";

export interface OwnTraffic {
  bytes(): number;
  stop(): void;
}

export function countOwnTraffic(): OwnTraffic {
  const open = new Set<Socket>();
  let closed = 0;
  const add = (socket: Socket) => {
    if (open.has(socket) || socket.destroyed) return;
    open.add(socket);
    socket.once("close", () => {
      if (open.delete(socket)) closed += bytesOf(socket);
    });
  };
  const onRequest = (message: unknown) => {
    const { request } = message as { request: ClientRequest };
    if (request.socket) add(request.socket);
    else request.once("socket", add);
  };
  const onConnected = (message: unknown) => add((message as { socket: Socket }).socket);
  subscribe("http.client.request.start", onRequest);
  // What `fetch` is made of.
  subscribe("undici:client:connected", onConnected);
  return {
    bytes: () => [...open].reduce((sum, socket) => sum + bytesOf(socket), closed),
    stop() {
      unsubscribe("http.client.request.start", onRequest);
      unsubscribe("undici:client:connected", onConnected);
    },
  };
}

function bytesOf(socket: Socket): number {
  return (socket.bytesRead || 0) + (socket.bytesWritten || 0);
}
