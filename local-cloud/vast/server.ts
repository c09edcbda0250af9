/**
 * A stand-in for vast.ai over HTTP, on loopback only, close enough for vast.ai's own command line client. Machines are
 * real processes (machines.ts), the market is fixed (catalog.ts), and what goes wrong is in one table (faults.ts).
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { mkdirSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findRoute, nameOperation } from "./api.ts";
import { createCallFaults, wrongKey } from "./call-faults.ts";
import { type Cloud, createCloud } from "./cloud.ts";
import { answerLocal } from "./control.ts";
import { createFaults, type Faults, forgetFaults } from "./fault-rules.ts";
import type { MachineOptions } from "./machines.ts";
import { startNetwork } from "./network.ts";
import { type ApiRequest, asObject, type Caller, type Context, type Cut } from "./route.ts";
import { failure, type Reply } from "./wire.ts";

export interface VastStandInOptions {
  /** 0 takes a free one. */
  port: number;
  stateDir: string;
  apiKey: string;
  /** From create or start to running. */
  bootMs?: number;
  now?: () => number;
  /** Rules to begin with, as JSON: a list, or {"seed", "rules"}. The same text after a SIGKILL goes on where it was. */
  faults?: string;
  /** Machines reach this host through a switch of the stand-in's, which can be slowed and cut, and counts traffic. */
  network?: boolean;
  machines?: MachineOptions;
}

export interface VastStandIn {
  url: string;
  port: number;
  faults: Faults;
  /** Ends the server and, unless told otherwise, every machine process; contracts stay for the next start. */
  close(options?: { keepMachines?: boolean }): Promise<void>;
}

const MAX_BODY_BYTES = 1024 * 1024;

export async function startVastStandIn(options: VastStandInOptions): Promise<VastStandIn> {
  const { stateDir, apiKey, bootMs = 1500, now = Date.now } = options;
  if (apiKey.length < 8) throw new Error("the API key must have at least 8 characters");
  mkdirSync(stateDir, { recursive: true });
  const faultFile = join(stateDir, "faults.json");
  const faults = createFaults({ file: faultFile, given: options.faults });
  const network = options.network ? await startNetwork(stateDir) : null;
  const cloud = createCloud({ stateDir, faults, bootMs, now, machines: options.machines ?? {}, network });
  const answer = createAnswerer({ cloud, faults, apiKey, now, url: () => `http://127.0.0.1:${port}` });
  const server = createServer((request, response) => {
    handle(request, response, answer).catch((error) => {
      console.error(JSON.stringify({ event: "stand_in_error", message: String(error?.stack ?? error) }));
      if (!response.headersSent) void send(response, failure(500, "server_error", "Internal server error"));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", resolve);
  });
  const port = (server.address() as AddressInfo).port;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    faults,
    async close({ keepMachines = false } = {}) {
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await cloud.close({ keepMachines });
      if (!keepMachines) await network?.end();
      forgetFaults(faultFile);
      await closed;
    },
  };
}

type Answerer = (request: ApiRequest, headers: IncomingMessage["headers"]) => Promise<Reply | Cut>;

async function handle(request: IncomingMessage, response: ServerResponse, answer: Answerer): Promise<void> {
  const url = new URL(request.url ?? "/", "http://127.0.0.1");
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) return send(response, failure(413, "invalid_request", "body too large"));
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  const path = url.pathname.replace(/\/+$/, "") || "/";
  const reply = await answer(
    { method: request.method ?? "GET", path, query: url.searchParams, body: parseBody(text) },
    request.headers,
  );
  if (!("cutAfterMs" in reply)) return send(response, reply);
  await sleep(reply.cutAfterMs, undefined, { ref: false });
  if (reply.isReset) request.socket.resetAndDestroy();
  else response.destroy();
}

function parseBody(text: string): unknown {
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The type is exactly application/json: vast.ai's client takes a parameter behind it for a broken answer. */
async function send(response: ServerResponse, { status, body, type, headers, travel }: Reply): Promise<void> {
  const bytes = Buffer.from(type === undefined ? JSON.stringify(body) : String(body));
  if (travel?.waitMs) await sleep(travel.waitMs, undefined, { ref: false });
  response.writeHead(status, {
    ...headers,
    "content-type": type ?? "application/json",
    "content-length": bytes.length,
  });
  if (travel?.cutInHalf) {
    response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => response.destroy());
    return;
  }
  const pace = travel?.bytesPerSecond;
  if (pace === undefined) {
    response.end(bytes);
    return;
  }
  const step = Math.ceil(pace / 20);
  for (let at = 0; at < bytes.length && !response.destroyed; at += step) {
    response.write(bytes.subarray(at, at + step));
    await sleep((step / pace) * 1000, undefined, { ref: false });
  }
  response.end();
}

interface Deps {
  cloud: Cloud;
  faults: Faults;
  apiKey: string;
  now: () => number;
  url: () => string;
}

const hash = (text: string) => createHash("sha256").update(text).digest();
const isSame = (left: string, right: string) => timingSafeEqual(hash(left), hash(right));

function createAnswerer({ cloud, faults, apiKey, now, url }: Deps): Answerer {
  const logs: Context["logs"] = new Map();
  const past: Context["past"] = [];
  const calls = createCallFaults(faults, now);

  const readCaller = (request: ApiRequest, headers: IncomingMessage["headers"]): Caller | Reply => {
    const key = /^Bearer\s+(.+)$/i.exec(headers.authorization ?? "")?.[1]?.trim() || request.query.get("api_key");
    if (!key) return { as: "nobody" };
    if (isSame(key, apiKey)) return { as: "account" };
    const owner = cloud.contracts().find((contract) => isSame(key, contract.apiKey));
    return owner ? { as: "machine", id: owner.id } : wrongKey();
  };

  return async (request, headers) => {
    // A page that resolves its own name to 127.0.0.1 must not reach the machines.
    if (!/^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(headers.host ?? "")) {
      return failure(403, "invalid_host", "this stand-in answers on loopback only");
    }
    const log = /^\/instance_logs\/([0-9a-f]+\.log)$/.exec(request.path);
    if (log) return readLog(logs.get(log[1]!), now());
    if (request.path.startsWith("/local")) {
      const key = /^Bearer\s+(.+)$/i.exec(headers.authorization ?? "")?.[1] ?? "";
      return answerLocal(request, isSame(key.trim(), apiKey), cloud, faults);
    }
    const found = findRoute(request.method, request.path);
    const caller = readCaller(request, headers);
    if ("status" in caller) return caller;
    if (caller.as === "nobody" && !found?.route.open) return failure(403, "auth_error", "This action requires login.");
    if (!found) return failure(404, "not_found", `error 404: ${request.method} ${request.path} is not known`);
    const { route, id } = found;
    if (caller.as === "machine" && !(route.ownKey && caller.id === id) && !route.open) {
      return failure(403, "forbidden", "error 403: this key is limited to its own instance");
    }
    const on = nameOperation(route, request.body);
    const readSubject = () => {
      if (on === "create") return { on, label: String(asObject(request.body)?.label ?? "") };
      return { on, label: cloud.find(id)?.label, ...(id > 0 && { id }) };
    };
    const struck = await calls.before(readSubject(), route.interval ?? 0);
    if (struck) return struck;
    const act = () => {
      const contract = id ? cloud.find(id) : null;
      return route.handle({ cloud, faults, request, caller, contract, id, baseUrl: url, logs, past, now });
    };
    return calls.around(readSubject(), act);
  };
}

function readLog(log: { text: string; readyAt: number } | undefined, now: number): Reply {
  if (!log || log.readyAt > now)
    return { status: 404, type: "application/xml", body: "<Error><Code>NoSuchKey</Code></Error>" };
  return { status: 200, type: "text/plain", body: log.text };
}
