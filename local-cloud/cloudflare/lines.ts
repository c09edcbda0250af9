/**
 * What the stand-in's edge and its cloudflared say to each other over TCP. The first line of a connection says what it
 * is: `register` makes it the control connection of a connector, on which more lines follow both ways; `carry` makes it
 * one connection to the service, of which every byte after the line belongs to whoever called.
 */
import type { Socket } from "node:net";
import type { Rule } from "./state.ts";

export type FromConnector =
  | { kind: "register"; token: string; protocol: string }
  | { kind: "carry"; id: string }
  /** Nothing could be carried: nobody listens, or the rule for the hostname is an answer. */
  | { kind: "failed"; id: string; status: number };

export type FromEdge =
  | { kind: "registered"; connection: string; ingress: Rule[] }
  | { kind: "refused"; message: string }
  | { kind: "configure"; ingress: Rule[] }
  | { kind: "open"; id: string; hostname: string };

const MAX_LINE = 64 * 1024;

export function writeLine(socket: Socket, line: FromConnector | FromEdge): void {
  if (!socket.destroyed) socket.write(`${JSON.stringify(line)}\n`);
}

/** The first line; what follows it stays in the socket. Null: it ended before, or the line is none. */
export function readFirstLine<T>(socket: Socket): Promise<T | null> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const done = (line: T | null) => {
      socket.off("data", onData);
      socket.off("close", onClose);
      socket.pause();
      resolve(line);
    };
    const onClose = () => done(null);
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      const all = Buffer.concat(chunks);
      const end = all.indexOf(10);
      if (end < 0 && all.length < MAX_LINE) return;
      const line = end < 0 ? null : parse<T>(all.subarray(0, end).toString("utf8"));
      done(line);
      if (end >= 0 && end + 1 < all.length) socket.unshift(all.subarray(end + 1));
    };
    socket.on("data", onData);
    socket.on("close", onClose);
  });
}

/** Every further line, until the socket closes. */
export function onLines<T>(socket: Socket, take: (line: T) => void): void {
  let rest = "";
  socket.setEncoding("utf8");
  socket.on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!.slice(0, MAX_LINE);
    for (const line of lines) {
      const read = parse<T>(line);
      if (read) take(read);
    }
  });
  socket.resume();
}

/** Bytes pass both ways, halves end by themselves, and one that breaks off breaks the other. */
export function joinSockets(left: Socket, right: Socket): void {
  for (const [from, to] of [
    [left, right],
    [right, left],
  ] as const) {
    from.setNoDelay(true);
    from.pipe(to);
    from.on("error", () => to.destroy());
    from.on("close", () => {
      if (!from.readableEnded) to.destroy();
    });
  }
}

function parse<T>(text: string): T | null {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
