/** One HTTP request and its whole answer, for the stores behind HTTP: idle timeout, deadline by size, bounded body. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { type ByteRange, StoreError } from "../../core/snapshot/store.ts";
import { retry, type Verdict } from "../retry.ts";
import type { Limiter } from "./limiter.ts";

export interface Answer {
  status: number;
  headers: IncomingMessage["headers"];
  body: Buffer;
}

export interface HttpCall {
  method: "GET" | "HEAD" | "PUT" | "DELETE";
  url: string;
  headers: Record<string, string>;
  body?: Uint8Array;
  /** The answer's body is never longer than this. */
  maxBytes: number;
  signal: AbortSignal | undefined;
}

export const maxObjectBytes = 100 * 1024 * 1024;
export const maxTextBytes = 16 * 1024 * 1024;

/** A try that may be repeated. */
export class Transient extends Error {
  readonly afterMs: number | null;
  constructor(message: string, afterMs: number | null, options?: { cause?: unknown }) {
    super(message, options);
    this.afterMs = afterMs;
  }
}

/** Slower than this, once the idle time is over, counts as hanging, so that a trickle of bytes cannot hold a call for ever. */
const leastBytesPerSecond = 32 * 1024;

export class HttpClient {
  readonly #idleTimeoutMs: number;
  readonly #http = new HttpAgent({ keepAlive: true });
  readonly #https = new HttpsAgent({ keepAlive: true });

  /** `idleTimeoutMs`: no byte in or out for this long ends a try. */
  constructor(idleTimeoutMs: number) {
    this.#idleTimeoutMs = idleTimeoutMs;
  }

  /** Errors: Transient for everything that the network does. */
  send(call: HttpCall): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const broken = (error: unknown) => {
        clearTimeout(deadline);
        reject(new Transient((error as Error).message || String(error), null, { cause: error }));
      };
      const isHttps = call.url.startsWith("https:");
      const request = (isHttps ? httpsRequest : httpRequest)(call.url, {
        method: call.method,
        headers: call.headers,
        agent: isHttps ? this.#https : this.#http,
        ...(call.signal ? { signal: call.signal } : {}),
      });
      const idleMs = this.#idleTimeoutMs;
      const allow = (bytes: number) =>
        setTimeout(
          () => request.destroy(new Error("the call took too long for its size")),
          idleMs + (bytes / leastBytesPerSecond) * 1000,
        );
      let deadline = allow(call.body?.length ?? 0);
      request.setTimeout(idleMs, () => request.destroy(new Error(`no byte for ${idleMs} ms`)));
      request.on("error", broken);
      request.on("response", (response) => {
        clearTimeout(deadline);
        deadline = allow(Math.min(call.maxBytes, Number(response.headers["content-length"] ?? call.maxBytes)));
        const pieces: Buffer[] = [];
        let length = 0;
        response.on("data", (piece: Buffer) => {
          length += piece.length;
          if (length > call.maxBytes) response.destroy(new Error("the answer is longer than anything that we store"));
          else pieces.push(piece);
        });
        response.on("error", broken);
        response.on("end", () => {
          if (!response.complete) return broken(new Error("the answer was cut off"));
          clearTimeout(deadline);
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) });
        });
        response.on("close", () => broken(new Error("the connection was closed")));
      });
      sendBody(request, call.body);
    });
  }
}

/** A store that is away for a minute must not end an upload of an hour. */
export const patienceMs = 120_000;
/** For a store that never answered yet: its address may be wrong. */
export const firstTries = 8;

export interface TryOptions {
  limiter: Limiter;
  /** Undefined: as many as fit. */
  tries: number | undefined;
  forMs: number;
  retryBaseMs: number;
  signal: AbortSignal | undefined;
}

/** Repeats what ends with Transient. Errors: StoreError `aborted`, `store_unreachable`; whatever else `attempt` throws. */
export async function withRetries<T>(attempt: () => Promise<T>, options: TryOptions): Promise<T> {
  const { limiter, tries, forMs, retryBaseMs: baseMs, signal } = options;
  const judge = (error: unknown): Verdict => (error instanceof Transient ? { afterMs: error.afterMs } : "stop");
  const limited = async () => {
    const result = await limiter.run(attempt);
    limiter.onSuccess();
    return result;
  };
  try {
    return await retry(limited, judge, { ...(tries !== undefined && { tries }), forMs, baseMs, signal });
  } catch (error) {
    if (signal?.aborted) throw new StoreError("aborted", {}, { cause: error });
    if (error instanceof Transient)
      throw new StoreError("store_unreachable", { detail: error.message }, { cause: error });
    throw error;
  }
}

/** In pieces, so that the idle timeout sees a slow upload move. */
function sendBody(request: ReturnType<typeof httpRequest>, body: Uint8Array | undefined): void {
  const pieceBytes = 256 * 1024;
  let at = 0;
  const pump = () => {
    while (body && at < body.length) {
      const piece = body.subarray(at, at + pieceBytes);
      at += piece.length;
      if (!request.write(piece)) {
        request.once("drain", pump);
        return;
      }
    }
    request.end();
  };
  pump();
}

export function isTransientStatus(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || (status >= 500 && status !== 501 && status !== 507);
}

export function retryAfterMs(header: string | undefined): number | null {
  const seconds = Number(header);
  if (header === undefined || header === "") return null;
  if (Number.isFinite(seconds)) return Math.min(120_000, Math.max(0, seconds * 1000));
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.min(120_000, Math.max(0, at - Date.now()));
}

export function rangeHeader({ offset, length }: ByteRange): string {
  if (offset < 0) return `bytes=${offset}`;
  return length === undefined ? `bytes=${offset}-` : `bytes=${offset}-${offset + length - 1}`;
}

/** For a server that answers a range with everything. */
export function cutRange(body: Uint8Array, { offset, length }: ByteRange, key: string): Uint8Array {
  const from = offset < 0 ? Math.max(0, body.length + offset) : offset;
  if (from >= body.length) throw new StoreError("range_invalid", { key });
  return body.subarray(from, offset < 0 || length === undefined ? body.length : from + length);
}
