/**
 * Counts what this process sends and receives over HTTP, whatever client does it. Node tells of each connection. Those to this
 * very machine pass no interface that is counted, so they are not counted here either.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";
import type { Socket } from "node:net";

export interface OwnTraffic {
  bytes(): number;
  stop(): void;
}

export function countOwnTraffic(isLocal: (address: string) => boolean = isLoopback): OwnTraffic {
  const open = new Set<Socket>();
  /** A kept connection is told of with every request on it. */
  const seen = new WeakSet<Socket>();
  let closed = 0;
  const add = (socket: Socket) => {
    if (seen.has(socket) || socket.destroyed) return;
    seen.add(socket);
    open.add(socket);
    const look = () => {
      if (isLocal(socket.remoteAddress ?? "")) open.delete(socket);
    };
    if (socket.connecting) socket.once("connect", look);
    else look();
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

function isLoopback(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}
