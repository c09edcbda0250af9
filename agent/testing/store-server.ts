/** The control plane's store routes in memory, with faults to inject: what the worker adapter is tested against. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export type Fault = "none" | "drop" | "drop-after" | "busy" | "broken" | "cut" | "wrong-bytes" | "hang";

export interface StoreServer {
  url: string;
  token: string;
  objects: Map<string, Buffer>;
  /** Asked once for each request. */
  fault: (request: { method: string; path: string; n: number }) => Fault;
  requests: number;
  mostAtOnce: number;
  isFenced: boolean;
  close: () => Promise<void>;
}

export async function startStoreServer(): Promise<StoreServer> {
  let atOnce = 0;
  const sockets = new Set<Socket>();
  const state: StoreServer = {
    url: "",
    token: "a-token",
    objects: new Map(),
    fault: () => "none",
    requests: 0,
    mostAtOnce: 0,
    isFenced: false,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  const server = createServer(async (request, response) => {
    state.requests++;
    atOnce++;
    state.mostAtOnce = Math.max(state.mostAtOnce, atOnce);
    response.on("close", () => atOnce--);
    await handle(state, request, response);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return state;
}

async function handle(state: StoreServer, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", state.url);
  const method = request.method ?? "GET";
  const path = url.pathname.replace(/^\/api\/agent\/store\/?/, "");
  const fault = state.fault({ method, path, n: state.requests });
  if (fault === "drop") return void request.socket.destroy();
  if (fault === "hang") return;
  const pieces: Buffer[] = [];
  try {
    for await (const piece of request) pieces.push(piece as Buffer);
  } catch {
    return;
  }
  const body = Buffer.concat(pieces);
  const refuse = (status: number, code: string, headers = {}) =>
    answer(response, status, json({ error: { code, message: code, hint: "", retryable: status >= 500 } }), headers);
  if (fault === "busy") return refuse(503, "storage_unavailable", { "retry-after": "0" });
  if (fault === "broken") return refuse(500, "internal");
  if (request.headers.authorization !== `Bearer ${state.token}`) return refuse(401, "unauthenticated");
  if (state.isFenced) return refuse(403, "epoch_fenced");
  if (method === "PUT") {
    putObject(state, path, body, String(request.headers["x-soneca-sha256"] ?? ""), (status, code) => {
      if (fault === "drop-after") return void request.socket.destroy();
      return code ? refuse(status, code) : answer(response, status, json({ ok: true }));
    });
    return;
  }
  if (path === "") return listObjects(state, url, response);
  const object = state.objects.get(path);
  if (!object) return refuse(404, "object_not_found");
  if (method === "HEAD") return answer(response, 200, Buffer.alloc(0), { "content-length": String(object.length) });
  getObject(request, response, object, fault, refuse);
}

function getObject(
  request: IncomingMessage,
  response: ServerResponse,
  object: Buffer,
  fault: Fault,
  refuse: (status: number, code: string) => void,
): void {
  const match = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "");
  let bytes = object;
  if (match) {
    const from = match[1] === "" ? Math.max(0, object.length - Number(match[2])) : Number(match[1]);
    const to = match[1] === "" || match[2] === "" ? object.length : Number(match[2]) + 1;
    if (from >= object.length) {
      refuse(416, "range_invalid");
      return;
    }
    bytes = object.subarray(from, to);
  }
  if (fault === "wrong-bytes") {
    bytes = Buffer.from(bytes);
    bytes[bytes.length >> 1] = bytes[bytes.length >> 1]! ^ 0x40;
  }
  if (fault === "cut") {
    response.writeHead(match ? 206 : 200, { "content-length": String(bytes.length) });
    response.write(bytes.subarray(0, bytes.length >> 1), () => request.socket.destroy());
    return;
  }
  answer(response, match ? 206 : 200, bytes);
}

function putObject(
  state: StoreServer,
  path: string,
  body: Buffer,
  announced: string,
  done: (status: number, code?: string) => void,
): void {
  const sha256 = createHash("sha256").update(body).digest("hex");
  const expected = path.startsWith("parts/") ? path.slice(6) : announced;
  const there = state.objects.get(path);
  if (sha256 !== expected) done(422, "part_hash_mismatch");
  else if (there?.equals(body)) done(200);
  else if (there) done(409, "manifest_exists");
  else {
    state.objects.set(path, body);
    done(201);
  }
}

/** Small pages, so that cursors are used. */
function listObjects(state: StoreServer, url: URL, response: ServerResponse): void {
  const prefix = url.searchParams.get("prefix") ?? "";
  const keys = [...state.objects.keys()].filter((key) => key.startsWith(prefix)).sort();
  const from = Number(url.searchParams.get("cursor") ?? 0);
  const page = keys.slice(from, from + 10);
  const objects = page.map((key) => ({ key, bytes: state.objects.get(key)!.length, sha256: null }));
  answer(response, 200, json({ objects, cursor: from + 10 < keys.length ? String(from + 10) : null }));
}

function answer(response: ServerResponse, status: number, body: Buffer, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-length": String(body.length), ...headers });
  response.end(body);
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
