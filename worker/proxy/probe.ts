/** Whether everything passes a pipe that is to pass: a request, events as they come, a WebSocket both ways. */
import { gateHeaders, gatePaths } from "../../core/protocol/gate.ts";
import type { Pipe } from "./pipe.ts";

export type Probed = { ok: true } | { ok: false; what: "http" | "events" | "socket"; message: string; isFull: boolean };

const limitMs = 8_000;

/** All three at once; the first that fails in this order is named. `token` is for the gate's own paths. */
export async function probePipe(pipe: Pipe, token: string): Promise<Probed> {
  let isFull = false;
  const watched: Pipe = {
    async fetch(request) {
      const reached = await pipe.fetch(request);
      if (!reached.ok && reached.code === "full") isFull = true;
      return reached;
    },
  };
  const probes = [
    ["http", probeHttp],
    ["events", probeEvents],
    ["socket", probeSocket],
  ] as const;
  const results = await Promise.all(
    probes.map(async ([what, probe]) => {
      const abort = new AbortController();
      const late = scheduler.wait(limitMs, { signal: abort.signal }).then(
        () => `no answer within ${limitMs / 1000} s`,
        () => null,
      );
      const trouble = await Promise.race([probe(watched, token).catch((error) => String(error)), late]);
      abort.abort();
      return { what, trouble };
    }),
  );
  const failed = results.find((one) => one.trouble !== null);
  if (!failed) return { ok: true };
  return { ok: false, what: failed.what, message: `${failed.trouble}`.slice(0, 250), isFull };
}

/** One message to the gate that nobody waits long for: its agent speaks at once. Whether it arrived. */
export async function nudge(pipe: Pipe, token: string): Promise<boolean> {
  const reached = await pipe.fetch(ask(gatePaths.nudge, token, { method: "POST", signal: AbortSignal.timeout(2_000) }));
  return reached.ok && reached.response.status === 204;
}

async function probeHttp(pipe: Pipe, token: string): Promise<string | null> {
  const response = await answerOf(pipe, ask(gatePaths.http, token));
  const text = await response.text();
  return response.status === 200 && text === "ok" ? null : `status ${response.status}`;
}

/** The first event must be here well before the second was sent. */
async function probeEvents(pipe: Pipe, token: string): Promise<string | null> {
  const response = await answerOf(pipe, ask(gatePaths.events, token));
  if (response.status !== 200 || !response.body) return `status ${response.status}`;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    if (text === "" && chunk.value.includes("data: 2")) return "events are held back";
    text += chunk.value;
  }
  return text === "data: 1\n\ndata: 2\n\n" ? null : "events were changed on their way";
}

async function probeSocket(pipe: Pipe, token: string): Promise<string | null> {
  const response = await answerOf(pipe, ask(gatePaths.socket, token, { headers: { upgrade: "websocket" } }));
  const socket = response.webSocket;
  if (!socket) return `no WebSocket, status ${response.status}`;
  socket.accept();
  const text = crypto.randomUUID();
  const echoed = new Promise<string | null>((resolve) => {
    socket.addEventListener("message", ({ data }) => resolve(data === text ? null : "another message came back"));
    socket.addEventListener("close", () => resolve("it was closed"));
    socket.addEventListener("error", () => resolve("it broke"));
  });
  socket.send(text);
  const trouble = await echoed;
  socket.close(1000, "done");
  return trouble;
}

async function answerOf(pipe: Pipe, request: Request): Promise<Response> {
  const reached = await pipe.fetch(request);
  if (!reached.ok) throw new Error(`${reached.code}: ${reached.message}`);
  const error = reached.response.headers.get(gateHeaders.error);
  if (error) throw new Error(`the gate: ${error}`);
  return reached.response;
}

function ask(path: string, token: string, { headers, ...init }: RequestInit = {}): Request {
  const all = { ...(headers as Record<string, string>), [gateHeaders.token]: token };
  return new Request(`http://gate${path}`, { ...init, headers: all, redirect: "manual" });
}
