/**
 * The relay's frames: requests of the proxy, carried over one WebSocket between the relay's object and the agent.
 *
 * A frame is one binary message: `[type u8][stream u32, big-endian][payload]`. The object opens streams and chooses their
 * numbers, never 0; ping, pong and a reset of everything have stream 0.
 *
 *   object -> agent   open · data* · end             agent -> object   head · data* · end
 *                     or, after a head with 101: (text | binary)* · close, both ways
 *   both ways         reset ends a stream at once · credit lets the other side send so many bytes more · ping, pong
 *
 * `end` ends one direction. After `close` or `reset` whoever sent it knows the stream no more, so a frame of a stream
 * that is not known is no fault. Bytes of data, text and binary take credit; everything else is sent without.
 */
import * as z from "zod";

export const relayPath = "/api/agent/relay";
/** Of the agent's socket: two programs that are of different days see here whether they speak alike. */
export const relaySubprotocol = "soneca-relay.1";
/** Marks the agent's socket on its way to the object; whoever passes a client's request on takes it off. */
export const relayEpochHeader = "x-soneca-relay-epoch";

export const relayCloseCodes = {
  /** A frame was damaged. */
  protocol: 1002,
  /** Another socket of this machine or of a newer one took its place. */
  replaced: 4001,
  /** The machine is going. */
  going: 4002,
  /** Nothing came for too long. */
  silent: 4003,
} as const;

export const frameBytes = 64 * 1024;
export const maxHeadBytes = 64 * 1024;
export const maxMessageBytes = 32 * 1024 * 1024;
const prefixBytes = 5;

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const headersSchema = z
  .array(z.tuple([z.string().regex(token), z.string().regex(/^[\t\x20-\x7e\x80-\uffff]*$/)]))
  .max(512);

export const openHeadSchema = z.object({
  method: z.string().max(64).regex(token),
  /** With its query. */
  path: z.string().regex(/^\/[\x21-\x7e]*$/),
  /** A list, because a name may come more than once. */
  headers: headersSchema,
  /** Data and an end follow. */
  hasBody: z.boolean(),
  isUpgrade: z.boolean(),
});
export type OpenHead = z.infer<typeof openHeadSchema>;

export const answerHeadSchema = z.object({
  /** 101: messages follow, as the open asked for. */
  status: z.number().int().min(101).max(999),
  headers: headersSchema,
});
export type AnswerHead = z.infer<typeof answerHeadSchema>;

export const resetCodes = [
  /** Whoever asked is gone. */
  "cancelled",
  /** Nothing listens where the gate should: the machine did not have the request. */
  "no_gate",
  /** The gate or what is behind it broke off. */
  "broke",
  /** A head, a message or what waits is over its limit. */
  "too_large",
  /** The other side does not keep to the protocol. */
  "protocol",
  /** A frame of a stream that is not known here. With stream 0: all that were open are lost. */
  "unknown",
] as const;
export type ResetCode = (typeof resetCodes)[number];
const resetSchema = z.object({ code: z.enum(resetCodes).catch("broke"), message: z.string() });
/** 1005: without a code. 1006: broken off. */
const closeSchema = z.object({ code: z.number().int().min(1000).max(4999), reason: z.string() });

export type Frame =
  | { type: "open"; stream: number; head: OpenHead }
  | { type: "head"; stream: number; head: AnswerHead }
  | { type: "data"; stream: number; bytes: Uint8Array }
  | { type: "end"; stream: number }
  | { type: "reset"; stream: number; code: ResetCode; message: string }
  | { type: "credit"; stream: number; bytes: number }
  /** UTF-8 where it is text; characters may be cut between two frames. */
  | { type: "text" | "binary"; stream: number; isFinal: boolean; bytes: Uint8Array }
  | { type: "close"; stream: number; code: number; reason: string }
  | { type: "ping" | "pong"; stream: 0 };
export type FrameType = Frame["type"];

const typeNumbers: Record<FrameType, number> = {
  open: 1,
  head: 2,
  data: 3,
  end: 4,
  reset: 5,
  credit: 6,
  text: 7,
  binary: 8,
  close: 9,
  ping: 10,
  pong: 11,
};
const typeNames = new Map(Object.entries(typeNumbers).map(([name, number]) => [number, name as FrameType]));

export type Decoded = { ok: true; frame: Frame } | { ok: false; message: string };

/** What the frame holds of `message` is a part of it, not a copy. */
export function decodeFrame(message: Uint8Array): Decoded {
  if (message.length < prefixBytes) return refuse("shorter than a frame's beginning");
  const type = typeNames.get(message[0]!);
  if (type === undefined) return refuse(`there is no frame of type ${message[0]}`);
  const stream = readU32(message, 1);
  const payload = message.subarray(prefixBytes);
  if (type === "ping" || type === "pong") {
    return stream === 0 && payload.length === 0 ? { ok: true, frame: { type, stream } } : refuse(`a ${type} is empty`);
  }
  if (stream === 0 && type !== "reset") return refuse(`a ${type} belongs to a stream`);
  return decodePayload(type, stream, payload);
}

function decodePayload(type: Exclude<FrameType, "ping" | "pong">, stream: number, payload: Uint8Array): Decoded {
  switch (type) {
    case "open":
    case "head":
    case "reset":
    case "close":
      return decodeJson(type, stream, payload);
    case "data":
      if (payload.length === 0 || payload.length > frameBytes) return refuse(`${payload.length} bytes of data`);
      return { ok: true, frame: { type, stream, bytes: payload } };
    case "end":
      return payload.length === 0 ? { ok: true, frame: { type, stream } } : refuse("an end is empty");
    case "credit": {
      const bytes = payload.length === 4 ? readU32(payload, 0) : 0;
      return bytes > 0 ? { ok: true, frame: { type, stream, bytes } } : refuse("a credit is four bytes and not zero");
    }
    case "text":
    case "binary": {
      const flag = payload[0];
      if (flag !== 0 && flag !== 1) return refuse("a message's first byte is 0 or 1");
      if (payload.length > frameBytes + 1) return refuse(`${payload.length} bytes of a message`);
      // It would cost nothing to send and a place to keep.
      if (flag === 0 && payload.length === 1) return refuse("a part of a message is not empty");
      return { ok: true, frame: { type, stream, isFinal: flag === 1, bytes: payload.subarray(1) } };
    }
  }
}

function decodeJson(type: "open" | "head" | "reset" | "close", stream: number, payload: Uint8Array): Decoded {
  if (payload.length > maxHeadBytes) return refuse(`${type}: longer than ${maxHeadBytes} bytes`);
  const value = readAsciiJson(payload);
  switch (type) {
    case "open": {
      const head = openHeadSchema.safeParse(value);
      return head.success ? { ok: true, frame: { type, stream, head: head.data } } : refuse("no valid open");
    }
    case "head": {
      const head = answerHeadSchema.safeParse(value);
      return head.success ? { ok: true, frame: { type, stream, head: head.data } } : refuse("no valid head");
    }
    case "reset": {
      const reset = resetSchema.safeParse(value);
      return reset.success ? { ok: true, frame: { type, stream, ...reset.data } } : refuse("no valid reset");
    }
    case "close": {
      const close = closeSchema.safeParse(value);
      return close.success ? { ok: true, frame: { type, stream, ...close.data } } : refuse("no valid close");
    }
  }
}

/** Errors: RangeError where a payload is over its limit, which its maker looks after; for heads there is `encodeHead`. */
export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.type) {
    case "open":
    case "head": {
      const bytes = encodeHead(frame);
      if (!bytes) throw new RangeError(`a ${frame.type} is longer than ${maxHeadBytes} bytes`);
      return bytes;
    }
    case "data":
      if (frame.bytes.length === 0 || frame.bytes.length > frameBytes) throw new RangeError("data of a wrong length");
      return joinFrame("data", frame.stream, frame.bytes);
    case "text":
    case "binary": {
      if (frame.bytes.length > frameBytes) throw new RangeError("a part of a message is too long");
      const bytes = newFrame(frame.type, frame.stream, frame.bytes.length + 1);
      bytes[prefixBytes] = frame.isFinal ? 1 : 0;
      bytes.set(frame.bytes, prefixBytes + 1);
      return bytes;
    }
    case "reset":
      return joinFrame("reset", frame.stream, asciiJson({ code: frame.code, message: frame.message.slice(0, 500) }));
    case "close":
      return joinFrame("close", frame.stream, asciiJson({ code: frame.code, reason: frame.reason.slice(0, 123) }));
    case "credit": {
      const bytes = newFrame("credit", frame.stream, 4);
      writeU32(bytes, prefixBytes, frame.bytes);
      return bytes;
    }
    case "end":
    case "ping":
    case "pong":
      return newFrame(frame.type, frame.stream, 0);
  }
}

/** Null: over `maxHeadBytes`, or nothing that the other side would take. */
export function encodeHead(frame: Extract<Frame, { type: "open" | "head" }>): Uint8Array | null {
  const schema = frame.type === "open" ? openHeadSchema : answerHeadSchema;
  if (!schema.safeParse(frame.head).success) return null;
  const json = asciiJson(frame.head);
  return json.length > maxHeadBytes ? null : joinFrame(frame.type, frame.stream, json);
}

function joinFrame(type: FrameType, stream: number, payload: Uint8Array): Uint8Array {
  const bytes = newFrame(type, stream, payload.length);
  bytes.set(payload, prefixBytes);
  return bytes;
}

/** A data frame of `length` bytes, to be filled from `dataAt` on: nothing is copied twice. */
export function newDataFrame(stream: number, length: number): Uint8Array {
  return newFrame("data", stream, length);
}
export const dataAt = prefixBytes;

function newFrame(type: FrameType, stream: number, length: number): Uint8Array {
  const bytes = new Uint8Array(prefixBytes + length);
  bytes[0] = typeNumbers[type];
  writeU32(bytes, 1, stream);
  return bytes;
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** JSON with every character beyond ASCII escaped: it needs no text codec, which is not the same everywhere. */
function asciiJson(value: unknown): Uint8Array {
  const text = JSON.stringify(value).replace(
    /[\u0080-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Undefined for what is no such JSON. */
function readAsciiJson(bytes: Uint8Array): unknown {
  if (bytes.some((byte) => byte > 127)) return undefined;
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refuse(message: string): { ok: false; message: string } {
  return { ok: false, message };
}
