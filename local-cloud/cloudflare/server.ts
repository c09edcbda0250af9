/**
 * A stand-in for Cloudflare's tunnels, on loopback only: the API under /client/v4, the edge for every request that names
 * a hostname of the zone (`x-tunnel-host`, or its Host), and on a port of its own what cloudflared.ts connects to.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type ApiRequest, type Context, failure, findRoute, type Reply, type Zone } from "./api.ts";
import { startConnectors } from "./connectors.ts";
import { createEdge, hostHeader } from "./edge.ts";
import { createFaults, type Faults } from "./faults.ts";
import { openState, type State } from "./state.ts";

export interface TunnelServerOptions {
  /** 0 takes a free one. */
  port?: number;
  connectorPort?: number;
  apiToken: string;
  accountId?: string;
  zoneId?: string;
  /** The domain. */
  zone?: string;
  /** What the token may do. */
  scopes?: readonly ("tunnel" | "dns")[];
  isEnterprise?: boolean;
  maxRecords?: number;
  /** A JSON file that outlives the program; otherwise memory. */
  stateFile?: string | null;
  firstByteMs?: number;
  maxBodyBytes?: number;
  now?: () => number;
}

export interface TunnelServer {
  /** CLOUDFLARE_API_URL. */
  apiUrl: string;
  /** TUNNEL_EDGE_URL. */
  edgeUrl: string;
  /** SONECA_FAKE_EDGE of cloudflared.ts. */
  connectorAddress: string;
  accountId: string;
  zoneId: string;
  zone: string;
  state: State;
  faults: Faults;
  /** What was asked of the API, in order: `tunnel_create`, ... */
  calls: string[];
  connections(tunnelId: string): number;
  close(): Promise<void>;
}

const API = "/client/v4";
const MAX_API_BODY = 1024 * 1024;

export async function createTunnelServer(options: TunnelServerOptions): Promise<TunnelServer> {
  const { now = Date.now, scopes = ["tunnel", "dns"] } = options;
  const zone: Zone = {
    accountId: options.accountId ?? "0123456789abcdef0123456789abcdef",
    zoneId: options.zoneId ?? "fedcba9876543210fedcba9876543210",
    zone: options.zone ?? "machines.test",
    isEnterprise: options.isEnterprise ?? false,
    maxRecords: options.maxRecords ?? 200,
  };
  const state = openState(options.stateFile ?? null);
  const faults = createFaults();
  const connectors = await startConnectors(state, options.connectorPort ?? 0);
  const { firstByteMs = 100_000, maxBodyBytes = 100 * 1024 * 1024 } = options;
  const edge = createEdge({ state, connectors, firstByteMs, maxBodyBytes });
  const calls: string[] = [];
  const api = createApi({ zone, state, connectors, faults, now }, { apiToken: options.apiToken, scopes, calls });

  const server = createServer((request, response) => {
    const hostname = readHostname(request);
    const done = hostname === null ? api(request, response) : edge.answer(request, response, hostname);
    done.catch((error) => {
      console.error(JSON.stringify({ event: "stand_in_error", message: String(error?.stack ?? error) }));
      response.destroy();
    });
  });
  // Uploads of machines may be slow; the edge has its own limits.
  server.requestTimeout = 0;
  server.on("upgrade", (request, socket, head) => {
    const hostname = readHostname(request);
    if (hostname === null) socket.destroy();
    else edge.upgrade(request, socket, head, hostname).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    apiUrl: url + API,
    edgeUrl: url,
    connectorAddress: `127.0.0.1:${connectors.port}`,
    accountId: zone.accountId,
    zoneId: zone.zoneId,
    zone: zone.zone,
    state,
    faults,
    calls,
    connections: (id) => connectors.count(id),
    async close() {
      const closed = new Promise((done) => server.close(done));
      await connectors.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Null for the API's own. */
function readHostname({ headers }: IncomingMessage): string | null {
  const named = headers[hostHeader];
  if (typeof named === "string") return named.toLowerCase();
  const host = headers.host?.replace(/:\d+$/, "").toLowerCase() ?? "";
  return /^(127\.0\.0\.1|localhost|\[::1\])$/.test(host) ? null : host;
}

interface ApiOptions {
  apiToken: string;
  scopes: readonly string[];
  calls: string[];
}

function createApi(context: Context, { apiToken, scopes, calls }: ApiOptions) {
  const { zone, faults } = context;
  return async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await readRequest(incoming);
    if (request === null) return send(response, failure(404, 7000, "No route for that URI"));
    if (request.path === "/local/health") return send(response, { status: 200, body: { ok: true } });
    const token = /^Bearer (.+)$/.exec(incoming.headers.authorization ?? "")?.[1] ?? "";
    if (!isSame(token, apiToken)) return send(response, failure(401, 10000, "Authentication error"));
    if (request.path.startsWith("/local/")) return send(response, answerLocal(context, request));
    const route = findRoute(request, zone);
    if (!route) return send(response, failure(404, 7003, "Could not route to your request: the identifier is invalid"));
    if (!scopes.includes(route.scope)) return send(response, failure(403, 10000, "Authentication error"));
    const { on } = route;
    calls.push(on);
    const strike = (name: Parameters<Faults["strike"]>[0]) => faults.strike(name, on);
    const silent = strike("timeout");
    if (silent) {
      await sleep(silent.ms ?? 60_000, undefined, { ref: false });
      response.destroy();
      return;
    }
    if (strike("html_502")) return send(response, { status: 502, body: "<html><h1>502 Bad Gateway</h1></html>" });
    if (strike("error_500")) return send(response, failure(500, 1000, "Internal server error"));
    const limited = strike("rate_limited");
    if (limited) {
      const headers = { "retry-after": String(limited.seconds ?? 1) };
      return send(response, { ...failure(429, 10429, "Rate limited"), headers });
    }
    const reply = request.body === undefined ? failure(400, 6007, "Malformed JSON") : act(context, request, route);
    if (strike("answer_lost")) response.destroy();
    else if (strike("error_after")) send(response, failure(500, 1000, "Internal server error"));
    else if (strike("garbled")) send(response, { status: 200, body: "<html><h1>We will be right back</h1></html>" });
    else send(response, reply);
  };
}

function act(context: Context, request: ApiRequest, { handle, id }: { handle: Handle; id: string }): Reply {
  return handle(context, request, id);
}
type Handle = (context: Context, request: ApiRequest, id: string) => Reply;

/** For people and tests in other processes: what there is, and what is to go wrong. Whether it lives, anybody may ask. */
function answerLocal({ state, faults, connectors }: Context, { method, path, body }: ApiRequest): Reply {
  if (path === "/local/state") {
    const tunnels = state.tunnels.map(({ secret: _, ...one }) => ({ ...one, connections: connectors.count(one.id) }));
    return { status: 200, body: { tunnels, records: state.records } };
  }
  if (path !== "/local/faults") return { status: 404, body: { message: "no such path" } };
  try {
    if (method === "DELETE") faults.clear();
    else faults.arm(body as Parameters<Faults["arm"]>[0]);
    return { status: 200, body: { ok: true } };
  } catch (error) {
    return { status: 400, body: { message: (error as Error).message } };
  }
}

async function readRequest(incoming: IncomingMessage): Promise<ApiRequest | null> {
  const url = new URL(incoming.url ?? "/", "http://127.0.0.1");
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    bytes += chunk.length;
    if (bytes <= MAX_API_BODY) chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  const isLocal = url.pathname.startsWith("/local/");
  if (bytes > MAX_API_BODY || (!isLocal && !url.pathname.startsWith(`${API}/`))) return null;
  const path = isLocal ? url.pathname : url.pathname.slice(API.length);
  return { method: incoming.method ?? "GET", path, query: url.searchParams, body: parseBody(text) };
}

function parseBody(text: string): unknown {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function send(response: ServerResponse, { status, body, headers }: Reply): void {
  const isPage = typeof body === "string";
  const bytes = Buffer.from(isPage ? body : JSON.stringify(body));
  response.writeHead(status, {
    "content-type": isPage ? "text/html" : "application/json",
    "content-length": bytes.length,
    ...headers,
  });
  response.end(bytes);
}

const hash = (text: string) => createHash("sha256").update(text).digest();
const isSame = (left: string, right: string) => timingSafeEqual(hash(left), hash(right));
