/** Requests and answers as heads of frames, and back. */
import { gateHeaders, type PipeError } from "../../core/protocol/gate.ts";
import { handshakeHeaders, hopByHop } from "../../core/protocol/hop-by-hop.ts";
import type { AnswerHead, OpenHead } from "../../core/protocol/relay.ts";

const ofOneLeg = [...hopByHop, ...handshakeHeaders];

export function isUpgrade(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}

export function openHeadOf(request: Request): OpenHead {
  const { pathname, search } = new URL(request.url);
  const upgrade = isUpgrade(request);
  return {
    method: request.method,
    path: pathname + search,
    headers: endToEnd([...request.headers]),
    hasBody: !upgrade && request.body !== null,
    isUpgrade: upgrade,
  };
}

export function headersOf(pairs: AnswerHead["headers"]): Headers {
  const headers = new Headers();
  for (const [name, value] of endToEnd(pairs)) headers.append(name, value);
  return headers;
}

function endToEnd(pairs: [string, string][]): [string, string][] {
  const named = pairs.filter(([name]) => name.toLowerCase() === "connection");
  const dropped = new Set(ofOneLeg);
  for (const name of named.flatMap(([, value]) => value.split(","))) dropped.add(name.trim().toLowerCase());
  return pairs.filter(([name]) => !dropped.has(name.toLowerCase()));
}

/** Null: not said, or no number. */
export function lengthOf(headers: Headers): number | null {
  const value = headers.get("content-length") ?? "";
  return /^\d{1,15}$/.test(value) ? Number(value) : null;
}

/** Answers of these carry no body, whatever their headers say. */
export function hasNoBody(method: string, status: number): boolean {
  return method === "HEAD" || status === 204 || status === 205 || status === 304;
}

/** What the pipe itself answers. */
export function pipeAnswer(code: PipeError, message: string): Response {
  const headers = { [gateHeaders.pipe]: code, "content-type": "text/plain; charset=utf-8" };
  return new Response(message, { status: 503, headers });
}
