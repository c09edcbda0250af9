/** How the checks ask: every call ends after half a minute. */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import WebSocket from "ws";

const timeoutMs = 30_000;
const tries = 3;

export interface JsonAnswer<T> {
  status: number;
  headers: Headers;
  text: string;
  body: T | null;
}

interface JsonCall {
  /** Empty: without one. The user's where it is not said. */
  token?: string | null;
  body?: unknown;
}

export interface Target {
  /** Without a trailing slash. */
  url: string;
  /** On this machine's own address. */
  isLocal: boolean;
  userToken: string | null;
  adminToken: string | null;
  /** The dashboard on Pages. */
  dashboard: string | null;
  json<T>(method: "GET" | "POST", path: string, call?: JsonCall): Promise<JsonAnswer<T>>;
  bytes(path: string): Promise<Uint8Array>;
  stream(path: string, token: string | null): AsyncGenerator<Uint8Array>;
}

export interface TargetOptions {
  url: string;
  userToken: string | null;
  adminToken: string | null;
  dashboard: string | null;
  fetch?: typeof fetch;
}

export function createTarget({ fetch: doFetch = fetch, ...options }: TargetOptions): Target {
  const url = options.url.replace(/\/+$/, "");
  const headersOf = (token: string | null): Record<string, string> =>
    token ? { authorization: `Bearer ${token}` } : {};
  const ask = async (path: string, init: RequestInit): Promise<Response> => {
    for (let attempt = 1; ; attempt++) {
      try {
        const signal = AbortSignal.timeout(timeoutMs);
        return await doFetch(new URL(path, url), { redirect: "manual", signal, ...init });
      } catch (error) {
        if (attempt === tries) throw error;
        await sleep(1_000 * attempt);
      }
    }
  };
  return {
    ...options,
    url,
    isLocal: /^https?:\/\/(127\.0\.0\.1|localhost|\[::1\])(:|$)/.test(url),
    async json<T>(method: "GET" | "POST", path: string, { token, body }: JsonCall = {}) {
      const headers = {
        ...headersOf(token === undefined ? options.userToken : token),
        "content-type": "application/json",
      };
      const response = await ask(path, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, body: parse<T>(text) };
    },
    bytes: async (path) => new Uint8Array(await (await ask(path, {})).arrayBuffer()),
    async *stream(path, token) {
      const response = await ask(path, { headers: headersOf(token) });
      if (response.body) yield* response.body;
    },
  };
}

function parse<T>(text: string): T | null {
  try {
    return JSON.parse(text) as T;
  } catch {
    return null;
  }
}

export interface RawPut {
  path: string;
  /** Null: the head alone is sent. */
  body: Buffer | null;
  isChunked?: boolean;
  expectsContinue?: boolean;
  /** What Content-Length says, where it is not the body's. */
  claims?: number;
}

/** A PUT of exactly these headers, which `fetch` lets nobody say. */
export function tryRaw(target: Target, put: RawPut): Promise<{ status: number; text: string }> {
  const { body, isChunked, expectsContinue, claims } = put;
  const headers: Record<string, string> = {
    authorization: `Bearer ${target.adminToken}`,
    ...(isChunked ? { "transfer-encoding": "chunked" } : { "content-length": String(claims ?? body?.length ?? 0) }),
    ...(expectsContinue || claims !== undefined ? { expect: "100-continue" } : {}),
  };
  const url = new URL(put.path, target.url);
  return new Promise((done, fail) => {
    const options = { method: "PUT", headers, timeout: timeoutMs };
    const request: ClientRequest = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, options);
    request.on("timeout", () => request.destroy(new Error("no answer within half a minute")));
    request.on("error", fail);
    request.on(
      "response",
      (response) => void readAll(response).then((text) => done({ status: response.statusCode ?? 0, text }), fail),
    );
    if (expectsContinue) request.on("continue", () => request.end(body));
    else if (body) request.end(body);
    // Whoever refuses by the head answers before the body; whoever lets it come gets none.
    if (body === null || expectsContinue) request.flushHeaders();
    request.on("response", () => {
      if (body === null) request.destroy();
    });
  });
}

async function readAll(response: IncomingMessage): Promise<string> {
  let text = "";
  try {
    for await (const chunk of response) text += chunk;
  } catch {
    // It was ended on purpose: the status is what was asked for.
  }
  return text;
}

export interface Socket {
  send(text: string): void;
  /** The next message. */
  next(): Promise<string>;
  close(): void;
}

export function openSocket(target: Target, path: string, token: string | null): Promise<Socket> {
  const url = new URL(path, target.url.replace(/^http/, "ws"));
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` }, handshakeTimeout: timeoutMs });
  const heard: string[] = [];
  let wake = () => undefined as undefined;
  socket.on("message", (message) => {
    heard.push(String(message));
    wake();
  });
  const next = async (): Promise<string> => {
    if (heard.length === 0) {
      await new Promise<void>((done, fail) => {
        const timer = setTimeout(() => fail(new Error("the socket is silent")), timeoutMs);
        wake = () => {
          clearTimeout(timer);
          done();
          return undefined;
        };
      });
    }
    return heard.shift() ?? "";
  };
  return new Promise((done, fail) => {
    socket.once("error", fail);
    socket.once("open", () => done({ send: (text) => socket.send(text), next, close: () => socket.close() }));
  });
}
