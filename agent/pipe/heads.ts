/** Heads of requests and answers as node has them on the wire: raw, so that case, order and duplicates survive. */
import { handshakeHeaders, hopByHop } from "../../core/protocol/hop-by-hop.ts";
import type { AnswerHead, OpenHead } from "../../core/protocol/relay.ts";

type Pairs = [string, string][];

/** The relay has a framing of its own. */
const ofOneLeg = new Set([...hopByHop, ...handshakeHeaders]);
/** Node sends no framing for a request of these without a body. */
const bodiless = new Set(["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"]);

/** `rawHeaders`: names and values in turn, a character per byte. */
export function pairsOf(rawHeaders: string[]): AnswerHead["headers"] {
  const pairs: Pairs = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) pairs.push([rawHeaders[i]!, fromBytes(rawHeaders[i + 1]!)]);
  return endToEnd(pairs);
}

/** For `http.request`, with the framing that the body needs. */
export function rawHeadersOf({ method, headers, hasBody, isUpgrade }: OpenHead, gatePort: number): string[] {
  const pairs = endToEnd(headers).filter(([name]) => hasBody || name.toLowerCase() !== "content-length");
  const has = (wanted: string) => pairs.some(([name]) => name.toLowerCase() === wanted);
  if (!has("host")) pairs.push(["host", `127.0.0.1:${gatePort}`]);
  if (hasBody && !has("content-length")) pairs.push(["transfer-encoding", "chunked"]);
  if (!hasBody && !isUpgrade && !bodiless.has(method)) pairs.push(["content-length", "0"]);
  return pairs.flatMap(([name, value]) => [name, toBytes(value)]);
}

/** For the handshake of `ws`, which wants each name once. */
export function headerRecordOf(open: OpenHead, gatePort: number): Record<string, string[]> {
  const record: Record<string, string[]> = {};
  const raw = rawHeadersOf(open, gatePort);
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    record[name] = [...(record[name] ?? []), raw[i + 1]!];
  }
  return record;
}

/** Null: chunked. */
export function contentLengthOf(open: OpenHead): number | null {
  const [, value] = open.headers.find(([name]) => name.toLowerCase() === "content-length") ?? [];
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : null;
}

function endToEnd(pairs: Pairs): Pairs {
  const dropped = new Set(ofOneLeg);
  for (const [name, value] of pairs) {
    if (name.toLowerCase() !== "connection") continue;
    for (const one of value.split(",")) dropped.add(one.trim().toLowerCase());
  }
  return pairs.filter(([name]) => !dropped.has(name.toLowerCase()));
}

/** A Worker reads and writes header values as UTF-8, node as a character per byte. */
function fromBytes(value: string): string {
  const bytes = Buffer.from(value, "latin1");
  const text = bytes.toString("utf8");
  return text.includes("\ufffd") ? value : text;
}

function toBytes(value: string): string {
  return Buffer.from(value, "utf8").toString("latin1");
}
