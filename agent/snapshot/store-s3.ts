/**
 * A store in a bucket of any S3 server. Requests are signed (SigV4) and tried up to 8 times with full jitter, 32 at once.
 * The server checks the bytes of a put by their SHA-256. Create-only is `If-None-Match: *`; a server that says it does
 * not know that is asked with HEAD before each put instead. For manifests the place is looked at before the put in any
 * case, so that a server that silently ignores the condition still keeps what it has: there, only two writers within the
 * same second can meet.
 */
import { AwsV4Signer } from "aws4fetch";
import {
  type ByteRange,
  type CallOptions,
  isPartOf,
  parseObjectKey,
  type SnapshotStore,
  StoreError,
  type StoreObject,
} from "../../core/snapshot/store.ts";
import {
  type Answer,
  cutRange,
  firstTries,
  HttpClient,
  maxObjectBytes,
  maxTextBytes,
  patienceMs,
  rangeHeader,
  Transient,
  withRetries,
} from "./http.ts";
import { Limiter } from "./limiter.ts";
import { sha256Hex } from "./primitives.ts";
import { toS3Error, Unsupported } from "./s3-errors.ts";
import { bucketUrl, type S3Settings } from "./s3-settings.ts";
import { childText, parseXml, type XmlElement } from "./xml.ts";

export interface S3StoreOptions {
  mostInFlight?: number;
  /** No byte in or out for this long ends a try. 60 s by default. */
  idleTimeoutMs?: number;
  /** For how long a request to a server that has answered before is tried, ms; two minutes by default. */
  patienceMs?: number;
  /** Ends it sooner. */
  tries?: number;
  retryBaseMs?: number;
}

interface Call {
  method: "GET" | "HEAD" | "PUT" | "DELETE";
  /** In the bucket; "" is the bucket itself. */
  path?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: { bytes: Uint8Array; sha256: string };
  maxBytes: number;
  call: CallOptions | undefined;
}

const emptySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** The signature, added to `headers`. `url` is signed as it is sent. */
export async function signS3(
  settings: S3Settings,
  method: string,
  url: string,
  headers: Record<string, string>,
  sha256: string,
): Promise<Record<string, string>> {
  const { accessKeyId, secretAccessKey, sessionToken, region } = settings;
  const signer = new AwsV4Signer({
    method,
    url,
    headers: { ...headers, "x-amz-content-sha256": sha256 },
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    service: "s3",
    region,
  });
  return Object.fromEntries((await signer.sign()).headers);
}

export type S3Store = SnapshotStore & {
  /** Names of instances that have something in the store. */
  listInstances(options?: CallOptions): Promise<string[]>;
};

export function openS3Store(settings: S3Settings, options: S3StoreOptions = {}): S3Store {
  const { idleTimeoutMs = 60_000, retryBaseMs = 200, mostInFlight = 32 } = options;
  const forMs = options.patienceMs ?? patienceMs;
  let hasAnswered = false;
  const client = new HttpClient(idleTimeoutMs);
  const limiter = new Limiter(mostInFlight);
  const base = bucketUrl(settings);
  /** False once the server has said that it does not know it. */
  const knows = { condition: true, checksum: true };

  const pathOf = (key: string) => {
    if (!parseObjectKey(key)) throw new StoreError("key_invalid", { key });
    return `${settings.prefix}${key}`;
  };

  function send(request: Call, accepted: number[]): Promise<Answer> {
    const { method, path = "", query, body, maxBytes, call } = request;
    const search = query
      ? `?${Object.entries(query)
          .map(([name, value]) => `${name}=${encode(value)}`)
          .join("&")}`
      : "";
    const url = `${base}/${path.split("/").map(encode).join("/")}${search}`;
    const plain = { ...request.headers, ...(body ? { "content-length": String(body.bytes.length) } : {}) };
    const signal = call?.signal as AbortSignal | undefined;
    const attempt = async () => {
      // Signed anew for each try: a signature is good for 15 minutes.
      const headers = await signS3(settings, method, url, plain, body?.sha256 ?? emptySha256);
      const answer = await client.send({
        method,
        url,
        headers,
        maxBytes,
        signal,
        ...(body ? { body: body.bytes } : {}),
      });
      if (accepted.includes(answer.status)) {
        hasAnswered = true;
        return answer;
      }
      const error = toS3Error(answer, `${method} ${path || settings.bucket}`, settings);
      if (error instanceof Transient && (answer.status === 429 || answer.status === 503)) limiter.onBusy();
      throw error;
    };
    const tries = options.tries ?? (hasAnswered ? undefined : firstTries);
    return withRetries(attempt, { limiter, tries, forMs, retryBaseMs, signal });
  }

  /** Whether exactly these bytes lie at the key already. A part is told by size and the server's checksum. */
  async function find(key: string, bytes: Uint8Array, sha256: string, call: CallOptions | undefined) {
    const there = await store.head(key, call);
    if (!there) return "absent";
    if (there.bytes !== bytes.length) return "other";
    if (there.sha256 !== null) return there.sha256 === sha256 ? "same" : "other";
    return sha256Hex(await store.get(key, undefined, call)) === sha256 ? "same" : "other";
  }

  /** `over`: what lies there is replaced. */
  async function putOnce(
    key: string,
    bytes: Uint8Array,
    sha256: string,
    call: CallOptions | undefined,
    over = false,
  ): Promise<"created" | "taken"> {
    const headers: Record<string, string> = { "content-type": "application/octet-stream" };
    if (knows.condition && !over) headers["if-none-match"] = "*";
    if (knows.checksum) headers["x-amz-checksum-sha256"] = Buffer.from(sha256, "hex").toString("base64");
    const request: Call = {
      method: "PUT",
      path: pathOf(key),
      headers,
      body: { bytes, sha256 },
      maxBytes: maxTextBytes,
      call,
    };
    const { status } = await send(request, [200, 201, 204, 412]);
    return status === 412 ? "taken" : "created";
  }

  const store: S3Store = {
    async put(key, bytes, sha256, call) {
      pathOf(key);
      if (sha256Hex(bytes) !== sha256) throw new StoreError("bytes_differ", { key });
      const isManifest = parseObjectKey(key)?.kind === "manifest";
      for (;;) {
        const used = { ...knows };
        try {
          const before = isManifest || !knows.condition ? await find(key, bytes, sha256, call) : "absent";
          if (before === "same") return "exists";
          if (before === "absent" && (await putOnce(key, bytes, sha256, call)) === "created") return "created";
          if (before === "absent" && (await find(key, bytes, sha256, call)) === "same") return "exists";
          if (!isPartOf(key, sha256)) throw new StoreError("manifest_exists", { key });
          return await putOnce(key, bytes, sha256, call, true).then(() => "created");
        } catch (error) {
          if (!(error instanceof Unsupported)) throw error;
          // Each of the two is given up once; where the server names none, the condition first.
          // Another put may have found it out meanwhile: then this one only goes again.
          if (used.condition !== knows.condition || used.checksum !== knows.checksum) continue;
          if (knows.checksum && (!knows.condition || /checksum/i.test(error.message))) knows.checksum = false;
          else if (knows.condition) knows.condition = false;
          else throw new StoreError("store_failed", { detail: error.message }, { cause: error });
        }
      }
    },

    async get(key, range, call) {
      const headers: Record<string, string> = range ? { range: rangeHeader(range) } : {};
      const request: Call = { method: "GET", path: pathOf(key), headers, maxBytes: maxObjectBytes, call };
      const { status, body, headers: answered } = await send(request, [200, 206]);
      if (range && status === 200) return cutRange(body, range, key);
      if (range && !isRangeOf(answered["content-range"], range, body.length))
        throw new StoreError("store_failed", { detail: `GET ${key}: the server gave another range` });
      return body;
    },

    async head(key, call) {
      const request: Call = { method: "HEAD", path: pathOf(key), maxBytes: 0, call };
      const ask = knows.checksum
        ? send({ ...request, headers: { "x-amz-checksum-mode": "ENABLED" } }, [200, 400, 404, 501])
        : null;
      let answer = await ask;
      if (!answer || answer.status === 400 || answer.status === 501) answer = await send(request, [200, 404]);
      if (answer.status === 404) return null;
      const bytes = Number(answer.headers["content-length"] ?? Number.NaN);
      if (!Number.isSafeInteger(bytes)) throw new StoreError("store_failed", { detail: `HEAD ${key}: no length` });
      const sha256 = sha256OfChecksum(answer.headers["x-amz-checksum-sha256"]);
      return { key, bytes, sha256, modifiedMs: timeOf(answer.headers["last-modified"]) };
    },

    async *list(prefix, call) {
      for await (const page of pages(prefix, {}, call)) {
        for (const element of page.children) {
          if (element.name !== "Contents") continue;
          const object = toObject(element, page, settings.prefix);
          if (parseObjectKey(object.key)) yield object;
        }
      }
    },

    async delete(key, call) {
      const was = await store.head(key, call);
      if (!was) return false;
      await send({ method: "DELETE", path: pathOf(key), maxBytes: maxTextBytes, call }, [200, 204, 404]);
      return true;
    },

    async listInstances(call) {
      const names: string[] = [];
      for await (const page of pages("i/", { delimiter: "/" }, call)) {
        for (const element of page.children) {
          if (element.name !== "CommonPrefixes") continue;
          const prefix = decodeKey(childText(element, "Prefix") ?? "", page);
          names.push(prefix.slice(settings.prefix.length + 2, -1));
        }
      }
      if (names.length > 0) return names;
      // Some servers do not know folders, or only those with something directly in them.
      const found = new Set<string>();
      for await (const { key } of store.list("i/", call)) found.add(key.split("/", 2)[1]!);
      return [...found];
    },
  };

  async function* pages(prefix: string, more: Record<string, string>, call: CallOptions | undefined) {
    let cursor: string | null = null;
    do {
      const query: Record<string, string> = { ...(cursor ? { "continuation-token": cursor } : {}), ...more };
      Object.assign(query, { "encoding-type": "url", "list-type": "2", prefix: `${settings.prefix}${prefix}` });
      const { body } = await send({ method: "GET", query, maxBytes: maxTextBytes, call }, [200]);
      const page = parseListing(body);
      yield page;
      const next = childText(page, "IsTruncated") === "true" ? childText(page, "NextContinuationToken") : "";
      if (next === null || (next !== "" && next === cursor))
        throw new StoreError("store_failed", { detail: "the listing goes on but does not say where" });
      cursor = next || null;
    } while (cursor !== null);
  }

  return store;
}

function parseListing(body: Buffer): XmlElement {
  try {
    const page = parseXml(body.toString("utf8"));
    if (page.name !== "ListBucketResult") throw new SyntaxError(`<${page.name}>`);
    return page;
  } catch (cause) {
    throw new StoreError("store_failed", { detail: "the listing is not what S3 answers" }, { cause });
  }
}

function toObject(element: XmlElement, page: XmlElement, prefix: string): StoreObject {
  const key = decodeKey(childText(element, "Key") ?? "", page);
  const size = childText(element, "Size") ?? "";
  if (!key.startsWith(prefix) || !/^\d{1,15}$/.test(size))
    throw new StoreError("store_failed", { detail: "the listing has an object without its key or size" });
  const modifiedMs = timeOf(childText(element, "LastModified") ?? undefined);
  return { key: key.slice(prefix.length), bytes: Number(size), sha256: null, modifiedMs };
}

/** Keys come percent-encoded, with "+" for a space, where the server says so. */
function decodeKey(text: string, page: XmlElement): string {
  if (childText(page, "EncodingType") !== "url") return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch (cause) {
    throw new StoreError("store_failed", { detail: "the listing has a key that is not encoded as a URL" }, { cause });
  }
}

/** Some servers misread a range; their bytes would only be found out by the chunks' hashes. */
function isRangeOf(header: string | undefined, { offset }: ByteRange, length: number): boolean {
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header ?? "");
  if (!match) return false;
  const [from, to] = [Number(match[1]), Number(match[2])];
  return to - from + 1 === length && (offset < 0 ? match[3] === "*" || to + 1 === Number(match[3]) : from === offset);
}

/** Base64 of 32 bytes; an object that was put in pieces has another kind of checksum. */
function sha256OfChecksum(header: string | string[] | undefined): string | null {
  if (typeof header !== "string" || !/^[A-Za-z0-9+/]{43}=$/.test(header)) return null;
  return Buffer.from(header, "base64").toString("hex");
}

function timeOf(text: string | undefined): number | null {
  const at = Date.parse(text ?? "");
  return Number.isNaN(at) ? null : at;
}

/** As SigV4 wants it: everything but unreserved characters, so that what is signed is what is sent. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
