/** Requests of a client through a real worker, the relay's object and the agent's relay, to a server behind it. */
import { createHash, randomBytes } from "node:crypto";
import {
  createServer,
  type IncomingMessage,
  request as makeRequest,
  type RequestListener,
  type Server,
} from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { createLogger } from "../agent/log.ts";
import { createRelay, type Relay } from "../agent/pipe/relay.ts";
import { sleep } from "../local-cloud/processes.ts";
import { signAgentToken } from "../worker/tokens.ts";
import { startTestCloud, type TestCloud, until } from "./testing/cloud.ts";

const instance = "i-relayrelay";
let test: TestCloud;
let gate: Server;
let sockets: WebSocketServer;
let serve: RequestListener;
let relay: Relay;
let through: string;
let token: string;

beforeAll(async () => {
  test = await startTestCloud({ workerEntry: "worker/testing/relayed.ts", hasCron: false });
  const { cloud } = test;
  gate = createServer((request, response) => serve(request, response));
  sockets = new WebSocketServer({ server: gate, handleProtocols: ([...all]) => all.at(-1)! });
  sockets.on("connection", (socket) => socket.on("message", (data: Buffer, binary) => socket.send(data, { binary })));
  await new Promise<void>((done) => gate.listen(0, "127.0.0.1", done));
  expect(await (await fetch(`${cloud.url}/born/${instance}`)).json()).toMatchObject({ ok: true });
  through = `${cloud.url}/through/${instance}`;
  token = await signAgentToken(cloud.agentJwtSecret, instance as never, 1, Date.now());
  relay = newRelay();
  relay.start();
  await until("the relay is open", () => relay.state() === "open");
});

afterAll(async () => {
  relay?.stop();
  gate?.closeAllConnections();
  gate?.close();
  await test?.end();
});

function newRelay(): Relay {
  const gatePort = (gate.address() as AddressInfo).port;
  return createRelay({
    url: test.cloud.url,
    token: () => token,
    gatePort,
    log: createLogger({ write: () => undefined }),
  });
}

interface Got {
  status: number;
  raw: string[];
  response: IncomingMessage;
}

/** As it is on the wire: nothing is decoded, nothing is followed. */
function ask(
  path: string,
  {
    method = "GET",
    headers = {},
    body,
  }: { method?: string; headers?: Record<string, string>; body?: Iterable<Buffer> } = {},
): Promise<Got> & { abort(): void } {
  const request = makeRequest(`${through}${path}`, { method, headers, agent: false });
  const got = new Promise<Got>((resolve, reject) => {
    request.on("error", reject);
    request.on("response", (response) => resolve({ status: response.statusCode!, raw: response.rawHeaders, response }));
  });
  void (async () => {
    for (const part of body ?? []) {
      if (!request.write(part)) await new Promise((resolve) => request.once("drain", resolve));
    }
    request.end();
  })();
  return Object.assign(got, { abort: () => void request.destroy() });
}

async function bytesOf(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

const valuesOf = ({ raw }: Got, wanted: string) =>
  raw.flatMap((name, i) => (i % 2 === 0 && name.toLowerCase() === wanted ? [raw[i + 1]!] : []));

describe("the relay", () => {
  it("carries heads and bodies untouched", async () => {
    const gzip = gzipSync("x".repeat(10_000));
    serve = (request, response) => {
      if (request.url === "/gzip")
        return void response.writeHead(200, { "content-encoding": "gzip", "content-length": gzip.length }).end(gzip);
      if (request.method === "HEAD") return void response.writeHead(200, { "content-length": "1234" }).end();
      if (request.url === "/304") return void response.writeHead(304, { etag: '"x"' }).end();
      if (request.url === "/204") return void response.writeHead(204).end();
      if (request.headers.range)
        return void response.writeHead(206, { "content-range": "bytes 2-4/10", "content-length": 3 }).end("234");
      response
        .writeHead(200, ["set-cookie", "a=1", "set-cookie", "b=2", "x-path", request.url!])
        .end(Buffer.from("ok"));
    };
    const encoded = await ask("/gzip", { headers: { "accept-encoding": "gzip" } });
    expect([valuesOf(encoded, "content-encoding"), (await bytesOf(encoded.response)).equals(gzip)]).toEqual([
      ["gzip"],
      true,
    ]);
    expect(valuesOf(encoded, "content-length")).toEqual([String(gzip.length)]);
    const head = await ask("/x", { method: "HEAD" });
    expect([head.status, valuesOf(head, "content-length")]).toEqual([200, ["1234"]]);
    expect([(await ask("/304")).status, (await ask("/204")).status]).toEqual([304, 204]);
    const part = await ask("/x", { headers: { range: "bytes=2-4" } });
    expect([part.status, valuesOf(part, "content-length"), (await bytesOf(part.response)).toString()]).toEqual([
      206,
      ["3"],
      "234",
    ]);
    const plain = await ask("/a%20b?c=%2F&d");
    expect([valuesOf(plain, "set-cookie"), valuesOf(plain, "x-path")]).toEqual([["a=1", "b=2"], ["/a%20b?c=%2F&d"]]);
  });

  it("carries 64 MB each way, checked, of known length and in chunks", async () => {
    const bytes = 64_000_000;
    const block = randomBytes(1_000_000);
    const blocks = () => Array.from({ length: bytes / block.length }, () => block);
    const expected = createHash("sha256");
    for (const one of blocks()) expected.update(one);
    const wanted = expected.digest("hex");
    serve = async (request, response) => {
      if (request.method === "POST") {
        const hash = createHash("sha256");
        for await (const part of request) hash.update(part);
        response.writeHead(200, { "x-length": request.headers["content-length"] ?? "chunked" }).end(hash.digest("hex"));
        return;
      }
      if (request.url === "/known") response.writeHead(200, { "content-length": bytes });
      for (const one of blocks())
        if (!response.write(one)) await new Promise((resolve) => response.once("drain", resolve));
      response.end();
    };
    const rates: Record<string, number> = {};
    const timed = async (what: string, work: () => Promise<void>) => {
      const at = performance.now();
      await work();
      rates[what] = Math.round(bytes / 1e3 / (performance.now() - at));
    };
    for (const path of ["/known", "/chunks"]) {
      await timed(`down ${path}`, async () => {
        const { response } = await ask(path);
        const hash = createHash("sha256");
        for await (const part of response) hash.update(part);
        expect(hash.digest("hex")).toBe(wanted);
      });
    }
    for (const headers of [{ "content-length": String(bytes) }, {}] as Record<string, string>[]) {
      await timed(`up ${headers["content-length"] ? "known" : "chunks"}`, async () => {
        const got = await ask("/", { method: "POST", body: blocks(), headers });
        expect((await bytesOf(got.response)).toString()).toBe(wanted);
        expect(valuesOf(got, "x-length")).toEqual([headers["content-length"] ?? "chunked"]);
      });
    }
    console.log(`MB/s: ${JSON.stringify(rates)}, agent and client: ${Math.round(process.memoryUsage().rss / 1e6)} MB`);
  });

  it("gives events as they come", async () => {
    serve = async (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (let i = 0; i < 5; i++) {
        response.write(`data: ${performance.now()}\n\n`);
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
      response.end();
    };
    const { response } = await ask("/events");
    const late: number[] = [];
    for await (const part of response) late.push(performance.now() - Number(String(part).slice(6)));
    expect(late).toHaveLength(5);
    expect(Math.max(...late.slice(1))).toBeLessThan(100);
  });

  /** A client that goes while nothing is on its way is only seen where the edge says so: workerd here does not look. */
  it("tells the service within a second that its client is gone", async () => {
    const gone = new Map<string, number>();
    serve = (request, response) => {
      let ticks: NodeJS.Timeout | undefined;
      response.on("close", () => {
        clearInterval(ticks);
        gone.set(request.url!, performance.now());
      });
      if (request.url === "/upload") return;
      response.writeHead(200, { "content-type": "text/event-stream" });
      ticks = setInterval(() => response.write("data: 1\n\n"), 100);
    };
    const headers = { "content-length": "1000000" };
    const upload = ask("/upload", { method: "POST", headers, body: [Buffer.alloc(10)] });
    upload.catch(() => undefined);
    const { response } = await ask("/events");
    response.on("error", () => undefined);
    await new Promise((resolve) => response.once("data", resolve));
    const at = performance.now();
    response.destroy();
    upload.abort();
    const seen = () => JSON.stringify([...gone]);
    await until("both are gone", () => gone.size === 2, { everyMs: 5, withinMs: 5_000, seen });
    expect(Math.max(...gone.values()) - at).toBeLessThan(1_000);
  });

  it("echoes over WebSockets, with subprotocols and close codes", async () => {
    const socket = new WebSocket(`${through.replace("http", "ws")}/ws`, ["one", "two"]);
    const got: Buffer[] = [];
    socket.on("message", (data: Buffer) => got.push(data));
    await new Promise((resolve) => socket.once("open", resolve));
    expect(socket.protocol).toBe("two");
    const big = randomBytes(1_048_576);
    socket.send("text");
    socket.send(big);
    await until("both came back", () => got.length === 2, { withinMs: 10_000 });
    expect([got[0]!.toString(), got[1]!.equals(big)]).toEqual(["text", true]);
    const closed = new Promise<number>((resolve) => socket.once("close", resolve));
    socket.close(4_123, "enough");
    expect(await closed).toBe(4_123);
  });

  it("a WebSocket's client that breaks off is gone at the service, though that takes nothing of what it sent", async () => {
    let service: WebSocket | null = null;
    sockets.once("connection", (socket) => {
      socket.pause();
      service = socket;
    });
    const socket = new WebSocket(`${through.replace("http", "ws")}/ws`);
    await new Promise((resolve) => socket.once("open", resolve));
    // Much more than lies in the buffers of the sockets on the way.
    for (let i = 0; i < 250; i++) socket.send(randomBytes(100_000));
    await sleep(1_000);
    socket.terminate();
    // One that reads nothing hears of an end only when it speaks.
    const isGone = () => {
      service?.ping(undefined, undefined, () => undefined);
      return service !== null && service.readyState !== WebSocket.OPEN;
    };
    await until("it is gone", isGone, { withinMs: 5_000 });
  });

  it("serves 200 requests at once", async () => {
    serve = (request, response) => void setTimeout(() => response.end(request.url), 200);
    const texts = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => (await bytesOf((await ask(`/${i}`)).response)).toString()),
    );
    expect(texts).toEqual(Array.from({ length: 200 }, (_, i) => `/${i}`));
  });

  it("ends what is under way when the agent or the worker is killed, and comes back", async () => {
    const closed: string[] = [];
    serve = (request, response) => {
      response.on("close", () => closed.push(request.url!));
      if (request.url === "/quick") return void response.end("quick");
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
    };
    const broken = async (path: string, kill: () => unknown) => {
      const { response } = await ask(path);
      await new Promise((resolve) => response.once("data", resolve));
      const end = new Promise<string>((resolve) => {
        response.on("error", () => resolve("broken"));
        response.on("end", () => resolve("whole"));
      });
      await kill();
      expect(await end).toBe("broken");
      await until("the service hears of it", () => closed.includes(path), { withinMs: 5_000 });
    };
    await broken("/agent", () => relay.stop());
    const without = await ask("/quick");
    expect([without.status, valuesOf(without, "x-pipe")]).toEqual([502, ["closed"]]);
    relay = newRelay();
    relay.start();
    await until("it is open again", () => relay.state() === "open");
    await broken("/worker", () => test.cloud.killProgram("worker"));
    await until("the agent sees it", () => relay.state() !== "open");
    await test.cloud.startProgram("worker");
    await until("it is open again", () => relay.state() === "open", { withinMs: 40_000 });
    expect((await bytesOf((await ask("/quick")).response)).toString()).toBe("quick");
  });
});
