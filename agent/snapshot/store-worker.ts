/**
 * The store behind the control plane. The token names the instance and the epoch, so the addresses do not; an older
 * epoch is refused with `epoch_fenced`. Every request is tried up to 8 times with full jitter, 32 at once at most.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import {
  type ByteRange,
  type CallOptions,
  instancePrefix,
  parseObjectKey,
  type SnapshotStore,
  StoreError,
  type StoreObject,
} from "../../core/snapshot/store.ts";
import { retry, type Verdict } from "../retry.ts";
import { Limiter } from "./limiter.ts";
import { sha256Hex } from "./primitives.ts";

export interface WorkerStoreOptions {
  /** The control plane: `https://soneca.example.com`. */
  url: string;
  /** Asked for before every request, since tokens are renewed. */
  token: () => string;
  /** Must be the token's instance. */
  instance: string;
  mostInFlight?: number;
  /** No byte in or out for this long ends a try. 60 s by default. */
  idleTimeoutMs?: number;
  tries?: number;
  retryBaseMs?: number;
}

interface Answer {
  status: number;
  headers: IncomingMessage["headers"];
  body: Buffer;
}

interface Call {
  method: "GET" | "HEAD" | "PUT";
  path: string;
  headers?: Record<string, string>;
  body?: Uint8Array;
  /** The answer's body is never longer than this. */
  maxBytes: number;
  signal: AbortSignal | undefined;
}

const maxObjectBytes = 100 * 1024 * 1024;
const maxJsonBytes = 16 * 1024 * 1024;

/** A try that may be repeated. */
class Transient extends Error {
  readonly afterMs: number | null;
  constructor(message: string, afterMs: number | null, options?: { cause?: unknown }) {
    super(message, options);
    this.afterMs = afterMs;
  }
}

export function openWorkerStore(options: WorkerStoreOptions): SnapshotStore {
  const { instance, idleTimeoutMs = 60_000, tries = 8, retryBaseMs = 200, mostInFlight = 32 } = options;
  const base = `${options.url.replace(/\/+$/, "")}/api/agent/store`;
  const prefix = instancePrefix(instance);
  const limiter = new Limiter(mostInFlight);
  const isHttps = base.startsWith("https:");
  const agent = isHttps ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });

  /** `parts/<sha256>` or `manifests/<seq>-<epoch>`. */
  const pathOf = (key: string) => {
    if (!parseObjectKey(key) || !key.startsWith(prefix)) throw new StoreError("key_invalid", { key });
    return key.slice(prefix.length);
  };

  async function send(call: Call, accepted: number[]): Promise<Answer> {
    const attempt = async () => {
      const answer = await limiter.run(() =>
        exchange(`${base}${call.path}`, call, options.token(), idleTimeoutMs, agent, isHttps),
      );
      if (accepted.includes(answer.status)) {
        limiter.onSuccess();
        return answer;
      }
      throw toError(answer, call, limiter);
    };
    const judge = (error: unknown): Verdict => (error instanceof Transient ? { afterMs: error.afterMs } : "stop");
    try {
      return await retry(attempt, judge, { tries, baseMs: retryBaseMs, signal: call.signal });
    } catch (error) {
      if (call.signal?.aborted) throw new StoreError("aborted", {}, { cause: error });
      if (error instanceof Transient)
        throw new StoreError("store_unreachable", { detail: error.message }, { cause: error });
      throw error;
    }
  }

  const signalOf = (call: CallOptions | undefined) => call?.signal as AbortSignal | undefined;

  return {
    async put(key, bytes, sha256, call) {
      const path = `/${pathOf(key)}`;
      if (sha256Hex(bytes) !== sha256) throw new StoreError("bytes_differ", { key });
      const headers = {
        "content-length": String(bytes.length),
        "content-type": "application/octet-stream",
        "x-soneca-sha256": sha256,
      };
      const answer = await send(
        { method: "PUT", path, headers, body: bytes, maxBytes: maxJsonBytes, signal: signalOf(call) },
        [200, 201],
      );
      return answer.status === 201 ? "created" : "exists";
    },

    async get(key, range, call) {
      const headers: Record<string, string> = range ? { range: rangeHeader(range) } : {};
      const request: Call = {
        method: "GET",
        path: `/${pathOf(key)}`,
        headers,
        maxBytes: maxObjectBytes,
        signal: signalOf(call),
      };
      const answer = await send(request, [200, 206]);
      return range && answer.status === 200 ? cutRange(answer.body, range, key) : answer.body;
    },

    async head(key, call) {
      const request: Call = { method: "HEAD", path: `/${pathOf(key)}`, maxBytes: 0, signal: signalOf(call) };
      const { status, headers } = await send(request, [200, 404]);
      if (status === 404) return null;
      const announced = headers["x-soneca-sha256"];
      const name = parseObjectKey(key);
      const sha256 = typeof announced === "string" ? announced : name?.kind === "part" ? name.sha256 : null;
      return { key, bytes: Number(headers["content-length"]), sha256 };
    },

    async *list(listPrefix, call) {
      if (!listPrefix.startsWith(prefix)) throw new StoreError("key_invalid", { key: listPrefix });
      let cursor: string | null = null;
      do {
        const query = new URLSearchParams({ prefix: listPrefix.slice(prefix.length), ...(cursor ? { cursor } : {}) });
        const request: Call = { method: "GET", path: `?${query}`, maxBytes: maxJsonBytes, signal: signalOf(call) };
        const page = parseListing((await send(request, [200])).body);
        for (const { key, bytes, sha256 } of page.objects) yield { key: `${prefix}${key}`, bytes, sha256 };
        cursor = page.cursor;
      } while (cursor !== null);
    },

    async delete(key) {
      pathOf(key);
      throw new StoreError("delete_not_offered", { key });
    },
  };
}

/** One request and its whole answer. Errors: Transient for everything that the network does. */
function exchange(
  url: string,
  call: Call,
  token: string,
  idleTimeoutMs: number,
  agent: HttpAgent | HttpsAgent,
  isHttps: boolean,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const broken = (error: unknown) =>
      reject(new Transient((error as Error).message || String(error), null, { cause: error }));
    const request = (isHttps ? httpsRequest : httpRequest)(url, {
      method: call.method,
      headers: { ...call.headers, authorization: `Bearer ${token}` },
      agent,
      ...(call.signal ? { signal: call.signal } : {}),
    });
    request.setTimeout(idleTimeoutMs, () => request.destroy(new Error(`no byte for ${idleTimeoutMs} ms`)));
    request.on("error", broken);
    request.on("response", (response) => {
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
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) });
      });
      response.on("close", () => broken(new Error("the connection was closed")));
    });
    sendBody(request, call.body);
  });
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

function toError(answer: Answer, call: Call, limiter: Limiter): Error {
  const { status, headers } = answer;
  const body = parseErrorBody(answer.body);
  const detail = `${call.method} ${call.path}: ${status} ${body.code ?? ""} ${body.message ?? ""}`.trim();
  if (status === 429 || status === 503) limiter.onBusy();
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    return new Transient(detail, retryAfterMs(headers["retry-after"]));
  // The bytes were spoilt on their way.
  if (body.code === "part_hash_mismatch") return new Transient(detail, null);
  if (status === 404) return new StoreError("object_not_found", { detail });
  if (status === 409 && body.code === "manifest_exists") return new StoreError("manifest_exists", { detail });
  if (status === 416) return new StoreError("range_invalid", { detail });
  if (body.code === "epoch_fenced") return new StoreError("store_fenced", { detail });
  if (status === 401 || status === 403) return new StoreError("store_refused", { detail });
  if (status === 507) return new StoreError("store_full", { detail });
  return new StoreError("store_failed", { detail });
}

function parseErrorBody(body: Buffer): { code?: string; message?: string } {
  try {
    const value = JSON.parse(body.toString("utf8")) as { error?: { code?: unknown; message?: unknown } };
    return {
      ...(typeof value.error?.code === "string" ? { code: value.error.code } : {}),
      ...(typeof value.error?.message === "string" ? { message: value.error.message.slice(0, 200) } : {}),
    };
  } catch {
    return {};
  }
}

function parseListing(body: Buffer): { objects: StoreObject[]; cursor: string | null } {
  try {
    const value = JSON.parse(body.toString("utf8")) as { objects: StoreObject[]; cursor: string | null };
    for (const { key, bytes } of value.objects)
      if (typeof key !== "string" || !Number.isSafeInteger(bytes)) throw new Error(key);
    return { objects: value.objects, cursor: value.cursor ?? null };
  } catch (cause) {
    throw new StoreError("store_failed", { detail: "the listing is not what was agreed on" }, { cause });
  }
}

function retryAfterMs(header: string | undefined): number | null {
  const seconds = Number(header);
  if (header === undefined || header === "") return null;
  if (Number.isFinite(seconds)) return Math.min(120_000, Math.max(0, seconds * 1000));
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.min(120_000, Math.max(0, at - Date.now()));
}

function rangeHeader({ offset, length }: ByteRange): string {
  if (offset < 0) return `bytes=${offset}`;
  return length === undefined ? `bytes=${offset}-` : `bytes=${offset}-${offset + length - 1}`;
}

/** For a server that answers a range with everything. */
function cutRange(body: Buffer, { offset, length }: ByteRange, key: string): Uint8Array {
  const from = offset < 0 ? Math.max(0, body.length + offset) : offset;
  if (from >= body.length) throw new StoreError("range_invalid", { key });
  return body.subarray(from, offset < 0 || length === undefined ? body.length : from + length);
}
