/**
 * The store behind the control plane. The token names the instance and the epoch, so the addresses do not; an older
 * epoch is refused with `epoch_fenced`. Every request is tried for two minutes with full jitter, 32 at once at most.
 */
import {
  type CallOptions,
  instancePrefix,
  parseObjectKey,
  type SnapshotStore,
  StoreError,
  type StoreObject,
} from "../../core/snapshot/store.ts";
import {
  type Answer,
  cutRange,
  HttpClient,
  isTransientStatus,
  maxObjectBytes,
  maxTextBytes,
  patienceMs,
  rangeHeader,
  retryAfterMs,
  Transient,
  withRetries,
} from "./http.ts";
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
  /** For how long a request is tried, ms; two minutes by default. */
  patienceMs?: number;
  /** Ends it sooner. */
  tries?: number;
  retryBaseMs?: number;
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

export function openWorkerStore(options: WorkerStoreOptions): SnapshotStore {
  const { instance, idleTimeoutMs = 60_000, tries, retryBaseMs = 200, mostInFlight = 32 } = options;
  const forMs = options.patienceMs ?? patienceMs;
  const base = `${options.url.replace(/\/+$/, "")}/api/agent/store`;
  const prefix = instancePrefix(instance);
  const limiter = new Limiter(mostInFlight);
  const client = new HttpClient(idleTimeoutMs);

  /** `parts/<sha256>` or `manifests/<seq>-<epoch>`. */
  const pathOf = (key: string) => {
    if (!parseObjectKey(key) || !key.startsWith(prefix)) throw new StoreError("key_invalid", { key });
    return key.slice(prefix.length);
  };

  function send(call: Call, accepted: number[]): Promise<Answer> {
    const attempt = async () => {
      const headers = { ...call.headers, authorization: `Bearer ${options.token()}` };
      const answer = await client.send({ ...call, url: `${base}${call.path}`, headers });
      if (accepted.includes(answer.status)) return answer;
      throw toError(answer, call, limiter);
    };
    return withRetries(attempt, { limiter, tries, forMs, retryBaseMs, signal: call.signal });
  }

  const signalOf = (call: CallOptions | undefined) => call?.signal as AbortSignal | undefined;

  return {
    collectsItself: true,

    async put(key, bytes, sha256, call) {
      const path = `/${pathOf(key)}`;
      if (sha256Hex(bytes) !== sha256) throw new StoreError("bytes_differ", { key });
      const headers = {
        "content-length": String(bytes.length),
        "content-type": "application/octet-stream",
        "x-soneca-sha256": sha256,
      };
      const answer = await send(
        { method: "PUT", path, headers, body: bytes, maxBytes: maxTextBytes, signal: signalOf(call) },
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
      return { key, bytes: Number(headers["content-length"]), sha256, modifiedMs: null };
    },

    async *list(listPrefix, call) {
      if (!listPrefix.startsWith(prefix)) throw new StoreError("key_invalid", { key: listPrefix });
      let cursor: string | null = null;
      do {
        const query = new URLSearchParams({ prefix: listPrefix.slice(prefix.length), ...(cursor ? { cursor } : {}) });
        const request: Call = { method: "GET", path: `?${query}`, maxBytes: maxTextBytes, signal: signalOf(call) };
        const page = parseListing((await send(request, [200])).body);
        for (const { key, bytes, sha256 } of page.objects)
          yield { key: `${prefix}${key}`, bytes, sha256, modifiedMs: null };
        cursor = page.cursor;
      } while (cursor !== null);
    },

    async delete(key) {
      pathOf(key);
      throw new StoreError("delete_not_offered", { key });
    },
  };
}

function toError(answer: Answer, call: Call, limiter: Limiter): Error {
  const { status, headers } = answer;
  const body = parseErrorBody(answer.body);
  const detail = `${call.method} ${call.path}: ${status} ${body.code ?? ""} ${body.message ?? ""}`.trim();
  if (status === 429 || status === 503) limiter.onBusy();
  if (isTransientStatus(status)) return new Transient(detail, retryAfterMs(headers["retry-after"]));
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

type Listed = Omit<StoreObject, "modifiedMs">;

function parseListing(body: Buffer): { objects: Listed[]; cursor: string | null } {
  try {
    const value = JSON.parse(body.toString("utf8")) as { objects: Listed[]; cursor: string | null };
    for (const { key, bytes } of value.objects)
      if (typeof key !== "string" || !Number.isSafeInteger(bytes)) throw new Error(key);
    return { objects: value.objects, cursor: value.cursor ?? null };
  } catch (cause) {
    throw new StoreError("store_failed", { detail: "the listing is not what was agreed on" }, { cause });
  }
}
