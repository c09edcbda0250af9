/** An S3 server in memory that checks signatures, checksums and conditions, pages its listings, and fails on demand. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { S3Settings } from "../s3-settings.ts";
import { verifySignature } from "./s3-signature.ts";

/**
 * `reset`: the connection ends without an answer. `reset-after`: the work is done, then the same. `cut`: half of the body,
 * then the end. `hang`: no answer. `trickle`: a byte now and then. `wrong-bytes`: one bit of the body is another.
 */
export type S3Fault =
  | "none"
  | "reset"
  | "reset-after"
  | "cut"
  | "hang"
  | "trickle"
  | "wrong-bytes"
  | "500"
  | "503"
  | "403"
  | "409"
  | "507";

export interface S3Object {
  bytes: Buffer;
  modifiedMs: number;
  hasChecksum: boolean;
}

export interface S3Server {
  settings: S3Settings;
  bucket: string;
  /** By the whole key. */
  objects: Map<string, S3Object>;
  fault: (request: { method: string; key: string; n: number }) => S3Fault;
  requests: { method: string; key: string; headers: IncomingMessage["headers"] }[];
  pageSize: number;
  /** A body instead of what would be answered. */
  reply: (() => string) | null;
  /** How If-None-Match is taken. */
  condition: "known" | "ignored" | "501" | "400";
  /** Whether `x-amz-checksum-*` is known; "refused" answers 400 as some servers do. */
  checksum: "known" | "ignored" | "refused";
  /** How `delimiter` is taken; "lost": what lies in folders is not listed at all, "ignored": as if it were not there. */
  folders: "known" | "ignored" | "lost";
  /** Added to the server's clock. */
  clockMs: number;
  close: () => Promise<void>;
}

export async function startS3Server(change: Partial<S3Settings> = {}): Promise<S3Server> {
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    handle(state, request, response).catch((error) => response.destroy(error as Error));
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const state: S3Server = {
    settings: {
      bucket: "a-bucket",
      prefix: "",
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      isPathStyle: true,
      region: "eu-test-1",
      accessKeyId: "AKIDTEST",
      secretAccessKey: "a/secret+with=odd characters",
      sessionToken: undefined,
      ...change,
    },
    bucket: "a-bucket",
    objects: new Map(),
    fault: () => "none",
    requests: [],
    pageSize: 7,
    reply: null,
    condition: "known",
    checksum: "known",
    folders: "known",
    clockMs: 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return state;
}

async function handle(state: S3Server, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const method = incoming.method ?? "GET";
  const target = incoming.url ?? "/";
  const url = new URL(target, state.settings.endpoint);
  const [, bucket = "", ...names] = url.pathname.split("/").map(decodeURIComponent);
  const key = names.join("/");
  state.requests.push({ method, key, headers: incoming.headers });
  const fault = state.fault({ method, key, n: state.requests.length });
  if (fault === "reset") incoming.socket.destroy();
  if (fault === "reset" || fault === "hang") return;
  const pieces: Buffer[] = [];
  try {
    for await (const piece of incoming) pieces.push(piece as Buffer);
  } catch {
    return;
  }
  const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]));
  const request = { method, target, bucket, key, query: url.searchParams, headers, body: Buffer.concat(pieces) };
  const failed = state.reply ? reply(200, Buffer.from(state.reply())) : faultReplies[fault];
  send(state, response, method, fault, failed ?? check(state, request) ?? serve(state, request));
}

interface Request {
  method: string;
  target: string;
  bucket: string;
  key: string;
  query: URLSearchParams;
  headers: Record<string, string>;
  body: Buffer;
}

interface Reply {
  status: number;
  body: Buffer;
  headers: Record<string, string>;
}

const reply = (status: number, body: Buffer, headers: Record<string, string> = {}): Reply => ({
  status,
  body,
  headers,
});

function refusal(status: number, code: string, more = "<Message>so &amp; so</Message>"): Reply {
  const body = Buffer.from(`<?xml version="1.0"?><Error><Code>${code}</Code>${more}</Error>`);
  return reply(status, body, status === 503 ? { "retry-after": "0" } : {});
}

const faultReplies: Partial<Record<S3Fault, Reply>> = {
  "500": refusal(500, "InternalError"),
  "503": refusal(503, "SlowDown"),
  "403": refusal(403, "AccessDenied"),
  "409": refusal(409, "ConditionalRequestConflict"),
  "507": refusal(507, "QuotaExceeded"),
};

const etagOf = (bytes: Buffer) => `"${createHash("md5").update(bytes).digest("hex")}"`;
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest();

function check(state: S3Server, request: Request): Reply | null {
  const { accessKeyId, secretAccessKey, sessionToken, region } = state.settings;
  const keys = { accessKeyId, secretAccessKey, region, ...(sessionToken === undefined ? {} : { sessionToken }) };
  const verified = verifySignature(request, keys, Date.now() + state.clockMs);
  if (verified === "AuthorizationHeaderMalformed") return refusal(400, verified, `<Region>${region}</Region>`);
  if (verified !== "ok") return refusal(403, verified);
  if (sha256(request.body).toString("hex") !== request.headers["x-amz-content-sha256"])
    return refusal(400, "XAmzContentSHA256Mismatch");
  if (request.bucket !== state.bucket) return refusal(404, "NoSuchBucket");
  const named = Object.keys(request.headers).find((name) => name.startsWith("x-amz-checksum-"));
  if (state.checksum === "refused" && named)
    return refusal(400, "InvalidRequest", `<Message>Unsupported header '${named}' received</Message>`);
  return null;
}

function serve(state: S3Server, request: Request): Reply {
  const { method, key, headers } = request;
  if (key === "") return list(state, request.query);
  if (method === "PUT") return put(state, request);
  if (method === "DELETE") {
    state.objects.delete(key);
    return reply(204, Buffer.alloc(0));
  }
  const object = state.objects.get(key);
  if (!object) return refusal(404, "NoSuchKey");
  const { bytes } = object;
  const more: Record<string, string> = {
    etag: etagOf(bytes),
    "last-modified": new Date(object.modifiedMs).toUTCString(),
  };
  if (object.hasChecksum && headers["x-amz-checksum-mode"] === "ENABLED")
    more["x-amz-checksum-sha256"] = sha256(bytes).toString("base64");
  const range = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? "");
  if (!range) return reply(200, bytes, more);
  const from = range[1] === "" ? Math.max(0, bytes.length - Number(range[2])) : Number(range[1]);
  const to = range[1] === "" || range[2] === "" ? bytes.length : Math.min(bytes.length, Number(range[2]) + 1);
  if (from >= bytes.length) return refusal(416, "InvalidRange");
  return reply(206, bytes.subarray(from, to), { ...more, "content-range": `bytes ${from}-${to - 1}/${bytes.length}` });
}

function put(state: S3Server, { key, headers, body }: Request): Reply {
  const announced = headers["x-amz-checksum-sha256"];
  if (state.checksum === "known" && announced !== undefined && announced !== sha256(body).toString("base64"))
    return refusal(400, "BadDigest");
  if (headers["if-none-match"] !== undefined) {
    if (state.condition === "501") return refusal(501, "NotImplemented");
    if (state.condition === "400") return refusal(400, "NotImplemented");
    if (state.condition === "known" && state.objects.has(key)) return refusal(412, "PreconditionFailed");
  }
  const hasChecksum = state.checksum === "known" && announced !== undefined;
  state.objects.set(key, { bytes: body, modifiedMs: Date.now(), hasChecksum });
  return reply(200, Buffer.alloc(0), { etag: etagOf(body) });
}

function list(state: S3Server, query: URLSearchParams): Reply {
  const prefix = query.get("prefix") ?? "";
  const delimiter = state.folders === "ignored" ? null : query.get("delimiter");
  const isEncoded = query.get("encoding-type") === "url";
  const encode = (text: string) => (isEncoded ? new URLSearchParams({ k: text }).toString().slice(2) : escapeXml(text));
  const names = new Set<string>();
  for (const key of [...state.objects.keys()].sort()) {
    if (!key.startsWith(prefix)) continue;
    const end = delimiter === null ? -1 : key.indexOf(delimiter, prefix.length);
    names.add(end < 0 ? key : key.slice(0, end + 1));
  }
  const from = Number(Buffer.from(query.get("continuation-token") ?? "", "base64").toString() || 0);
  const to = from + state.pageSize;
  const items = [...names].slice(from, to).map((name) => {
    const object = state.objects.get(name);
    if (!object && state.folders === "lost") return "";
    if (!object) return `<CommonPrefixes><Prefix>${encode(name)}</Prefix></CommonPrefixes>`;
    const time = new Date(object.modifiedMs).toISOString();
    return `<Contents><Key>${encode(name)}</Key><LastModified>${time}</LastModified><ETag>${etagOf(object.bytes).replaceAll('"', "&quot;")}</ETag><Size>${object.bytes.length}</Size></Contents>`;
  });
  const token = Buffer.from(String(to)).toString("base64");
  const fields = [
    `<Name>${state.bucket}</Name><Prefix>${encode(prefix)}</Prefix>`,
    isEncoded ? "<EncodingType>url</EncodingType>" : "",
    `<IsTruncated>${to < names.size}</IsTruncated>`,
    to < names.size ? `<NextContinuationToken>${token}</NextContinuationToken>` : "",
    ...items,
  ];
  const space = "http://s3.amazonaws.com/doc/2006-03-01/";
  return reply(
    200,
    Buffer.from(
      `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="${space}">${fields.join("\n")}</ListBucketResult>`,
    ),
  );
}

function escapeXml(text: string): string {
  return text.replace(/[<>&]/g, (char) => `&#${char.charCodeAt(0)};`);
}

function send(
  state: S3Server,
  response: ServerResponse,
  method: string,
  fault: S3Fault,
  { status, body, headers }: Reply,
): void {
  const { socket } = response;
  if (fault === "reset-after") return void socket?.destroy();
  const isHead = method === "HEAD";
  // An error's body cannot be seen by HEAD, the length of an object can.
  const length = isHead && status !== 200 ? 0 : body.length;
  const date = new Date(Date.now() + state.clockMs).toUTCString();
  response.writeHead(status, { date, ...(status === 204 ? {} : { "content-length": String(length) }), ...headers });
  const bytes = Buffer.from(body);
  if (fault === "wrong-bytes" && bytes.length > 0) bytes[bytes.length >> 1] = bytes[bytes.length >> 1]! ^ 0x10;
  if (isHead || status === 204) response.end();
  else if (fault === "cut" && bytes.length > 1)
    response.write(bytes.subarray(0, bytes.length >> 1), () => socket?.destroy());
  else if (fault === "trickle" && bytes.length > 1) {
    let at = 0;
    const timer = setInterval(() => response.write(bytes.subarray(at, ++at)), 20);
    response.on("close", () => clearInterval(timer));
  } else response.end(bytes);
}
