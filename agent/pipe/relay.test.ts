import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { frameBytes } from "../../core/protocol/relay.ts";
import { firstWindowBytes } from "../../core/protocol/relay-flow.ts";
import { createLogger } from "../log.ts";
import { RelayObject } from "../testing/relay-object.ts";
import { createRelay, type Relay, type RelayOptions } from "./relay.ts";

let object: RelayObject;
let url: string;
let gate: Server;
let serve: RequestListener;
let gateSockets: WebSocketServer;
let onSocket: (socket: WebSocket, request: IncomingMessage) => void;
let relay: Relay;
let lines: string[];

beforeEach(async () => {
  object = new RelayObject();
  url = await object.listen();
  lines = [];
  serve = (_request, response) => void response.end("ok");
  onSocket = () => undefined;
  gate = createServer((request, response) => serve(request, response));
  gateSockets = new WebSocketServer({
    server: gate,
    maxPayload: 40 * 1024 * 1024,
    handleProtocols: ([...all]) => all.at(-1)!,
  });
  gateSockets.on("connection", (socket, request) => {
    socket.on("error", () => undefined);
    onSocket(socket, request);
  });
  await new Promise<void>((done) => gate.listen(0, "127.0.0.1", done));
  relay = createOne();
});

afterEach(async () => {
  relay.stop();
  await object.close();
  for (const socket of gateSockets.clients) socket.terminate();
  gate.closeAllConnections();
  await new Promise((done) => gate.close(done));
});

function createOne(change: Partial<RelayOptions> = {}): Relay {
  const gatePort = (gate.address() as AddressInfo).port;
  const log = createLogger({ write: (line) => void lines.push(line) });
  return createRelay({ url, token: () => "the-token", gatePort, log, ...change });
}

async function started(change: Partial<RelayOptions> = {}): Promise<void> {
  relay = createOne(change);
  relay.start();
  await seen(() => relay.state() === "open" && object.socket);
}

const seen = <T>(look: () => T | null | undefined | false): Promise<T> =>
  vi.waitFor(
    () => {
      const found = look();
      if (!found) throw new Error(`not yet: ${look}`);
      return found;
    },
    { timeout: 10_000, interval: 5 },
  );

const bodyOf = async (request: IncomingMessage) => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
};
const pairOf = (stream: { head: { headers: [string, string][] } | null }, wanted: string) =>
  stream.head?.headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);

describe("requests", () => {
  beforeEach(() => started());

  it("reach the gate with their head as it is, and answers come back with theirs", async () => {
    let got: IncomingMessage | null = null;
    serve = (request, response) => {
      got = request;
      response.writeHead(201, [
        "Set-Cookie",
        "a=1",
        "Set-Cookie",
        "b=2",
        "X-Name",
        "caf\u00c3\u00a9",
        "Content-Length",
        "5",
      ]);
      response.end(Buffer.from("hello"));
    };
    const stream = object.open({
      path: "/a?b=%20c",
      headers: [
        ["x-twice", "1"],
        ["X-Twice", "2"],
        ["cookie", "k=v"],
        ["x-name", "é"],
        ["connection", "x-hop"],
        ["x-hop", "no"],
      ],
    });
    await seen(() => stream.isEnded);
    expect(got!.url).toBe("/a?b=%20c");
    expect(got!.headers).toMatchObject({ "x-twice": "1, 2", cookie: "k=v", "x-name": "\u00c3\u00a9" });
    expect(got!.headers.host).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(got!.headers).not.toHaveProperty("x-hop");
    expect(stream.head?.status).toBe(201);
    expect(pairOf(stream, "set-cookie")).toEqual(["a=1", "b=2"]);
    expect(pairOf(stream, "x-name")).toEqual(["café"]);
    expect(pairOf(stream, "content-length")).toEqual(["5"]);
    expect(stream.text()).toBe("hello");
  });

  it("without a body in the answer are whole: HEAD, 204, 304, and a range is a part", async () => {
    serve = (request, response) => {
      if (request.method === "HEAD") response.writeHead(200, { "content-length": "1234" }).end();
      else if (request.headers.range) response.writeHead(206, { "content-range": "bytes 2-4/10" }).end("234");
      else response.writeHead(Number(request.url!.slice(1)), { etag: '"x"' }).end();
    };
    const head = object.open({ method: "HEAD" });
    const empty = object.open({ path: "/204" });
    const unchanged = object.open({ path: "/304" });
    const part = object.open({ headers: [["range", "bytes=2-4"]] });
    await seen(() => [head, empty, unchanged, part].every((stream) => stream.isEnded));
    expect([head.head?.status, pairOf(head, "content-length"), head.bytes]).toEqual([200, ["1234"], 0]);
    expect([empty.head?.status, unchanged.head?.status, pairOf(unchanged, "etag")]).toEqual([204, 304, ['"x"']]);
    expect([part.head?.status, pairOf(part, "content-range"), part.text()]).toEqual([206, ["bytes 2-4/10"], "234"]);
  });

  it("frame their bodies as they came: by length, in chunks, or none", async () => {
    const got: { method: string | undefined; headers: IncomingMessage["headers"]; body: string }[] = [];
    serve = async (request, response) => {
      got.push({ method: request.method, headers: request.headers, body: (await bodyOf(request)).toString() });
      response.end();
    };
    const known = object.open({ method: "POST", hasBody: true, headers: [["Content-Length", "6"]] });
    known.push(Buffer.from("abc"));
    known.push(Buffer.from("def"));
    known.end();
    await seen(() => known.isEnded);
    const chunked = object.open({ method: "PUT", hasBody: true });
    chunked.push(Buffer.from("chunks"));
    chunked.end();
    await seen(() => chunked.isEnded);
    for (const method of ["POST", "DELETE", "GET"]) {
      const none = object.open({ method });
      await seen(() => none.isEnded);
    }
    expect(got.map(({ body }) => body)).toEqual(["abcdef", "chunks", "", "", ""]);
    expect(got[0]!.headers).toMatchObject({ "content-length": "6" });
    expect(got[0]!.headers).not.toHaveProperty("transfer-encoding");
    expect(got[1]!.headers).toMatchObject({ "transfer-encoding": "chunked" });
    expect(got[2]!.headers).toMatchObject({ "content-length": "0" });
    expect(got[4]!.headers).not.toHaveProperty("transfer-encoding");
  });

  it("never send more of a body than its length says, which would be another request", async () => {
    const urls: (string | undefined)[] = [];
    serve = (request, response) => {
      urls.push(request.url);
      request.resume().on("end", () => response.end());
    };
    const stream = object.open({ method: "POST", path: "/one", hasBody: true, headers: [["content-length", "3"]] });
    stream.push(Buffer.from("abcGET /two HTTP/1.1\r\nhost: x\r\n\r\n"));
    await seen(() => stream.reset);
    await sleep(50);
    expect(urls).not.toContain("/two");
  });

  it("keep an encoded body as it is", async () => {
    const gzip = Buffer.from("1f8b0800000000000003cb48cdc9c9070086a6103605000000", "hex");
    serve = (_request, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end(gzip);
    const stream = object.open({ headers: [["accept-encoding", "gzip"]] });
    const parts: Uint8Array[] = [];
    stream.onData = (bytes) => void parts.push(bytes);
    await seen(() => stream.isEnded);
    expect(pairOf(stream, "content-encoding")).toEqual(["gzip"]);
    expect(Buffer.concat(parts).equals(gzip)).toBe(true);
  });

  it("go side by side, 200 of them, over connections that are kept", async () => {
    const connections = new Set();
    serve = (request, response) => {
      connections.add(request.socket);
      response.end(request.url);
    };
    for (let round = 0; round < 2; round++) {
      const streams = Array.from({ length: 200 }, (_, i) => object.open({ path: `/${i}` }));
      await seen(() => streams.every((stream) => stream.isEnded));
      expect(streams.map((stream) => stream.text())).toEqual(streams.map((stream) => stream.open.path));
    }
    expect(connections.size).toBeLessThanOrEqual(340);
  });

  it("that node would not take are refused, and nothing else suffers", async () => {
    const stream = object.open({ method: "CONNECT", path: "/x" });
    await seen(() => stream.reset ?? stream.isEnded);
    const odd = object.open({ method: "BAD~METHOD" });
    await seen(() => odd.reset ?? odd.isEnded);
    const next = object.open();
    await seen(() => next.isEnded);
    expect(next.text()).toBe("ok");
  });

  it("without a gate are said to be so", async () => {
    relay.stop();
    await started({ gatePort: 1 });
    const stream = object.open();
    const socket = object.open({ isUpgrade: true });
    await seen(() => stream.reset && socket.reset);
    expect([stream.reset!.code, socket.reset!.code]).toEqual(["no_gate", "no_gate"]);
  });
});

describe("streams", () => {
  beforeEach(() => started());

  it("of 200 MB go both ways, checked, without the agent growing by it", async () => {
    const bytes = 200_000_000;
    const block = randomBytes(1_000_000);
    const expected = createHash("sha256");
    for (let sent = 0; sent < bytes; sent += block.length) expected.update(block);
    const wanted = expected.digest("hex");
    serve = async (request, response) => {
      if (request.method === "POST") {
        const hash = createHash("sha256");
        for await (const part of request) hash.update(part);
        response.end(hash.digest("hex"));
        return;
      }
      response.writeHead(200, { "content-length": bytes });
      for (let sent = 0; sent < bytes; sent += block.length) {
        if (!response.write(block)) await new Promise((resolve) => response.once("drain", resolve));
      }
      response.end();
    };
    global.gc?.();
    const before = process.memoryUsage().rss;
    let most = before;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 20);
    const down = object.open();
    const hash = createHash("sha256");
    down.isKeeping = false;
    down.onData = (part) => void hash.update(part);
    await vi.waitFor(() => expect(down.isEnded).toBe(true), { timeout: 50_000, interval: 20 });
    expect(hash.digest("hex")).toBe(wanted);

    const up = object.open({ method: "POST", hasBody: true });
    let sent = 0;
    const fill = () => {
      while (sent < bytes && !up.lane.isFull) {
        sent += block.length;
        up.push(block);
      }
      if (sent >= bytes) up.end();
    };
    up.lane.onDrain = fill;
    fill();
    await vi.waitFor(() => expect(up.isEnded).toBe(true), { timeout: 50_000, interval: 20 });
    expect(up.text()).toBe(wanted);
    clearInterval(watch);
    // All four programs of this test live in this process, and garbage with them.
    expect((most - before) / 1e6).toBeLessThan(150);
  });

  it("of events come one by one, and small ones that come together go together", async () => {
    let response: ServerResponse | null = null;
    serve = (_request, one) => {
      response = one;
      one.writeHead(200, { "content-type": "text/event-stream" });
      one.flushHeaders();
    };
    const stream = object.open();
    await seen(() => stream.head);
    response!.write("data: first\n\n");
    await seen(() => stream.text() === "data: first\n\n");
    await sleep(30);
    response!.write("data: second\n\n");
    await seen(() => stream.text().endsWith("second\n\n"));
    await sleep(30);
    const frames = () => stream.frames.filter(({ frame }) => frame.type === "data").length;
    const before = frames();
    for (let i = 0; i < 40; i++) {
      response!.write(`data: ${i}\n\n`);
      await new Promise(setImmediate);
    }
    response!.end();
    await seen(() => stream.isEnded);
    expect(stream.text().match(/data: /g)).toHaveLength(42);
    expect(frames() - before).toBeLessThan(20);
  });

  it("that nobody reads hold the gate back, and no other stream", async () => {
    let written = 0;
    serve = async (request, response) => {
      if (request.url !== "/slow") return void response.end(Buffer.alloc(3_000_000));
      const block = Buffer.alloc(frameBytes);
      for (let i = 0; i < 400 && !response.destroyed; i++) {
        written += block.length;
        if (!response.write(block)) await new Promise((resolve) => response.once("drain", resolve));
      }
      response.end();
    };
    const slow = object.open({ path: "/slow" });
    slow.isStalled = true;
    slow.isKeeping = false;
    await seen(() => slow.bytes === firstWindowBytes);
    const others = [1, 2, 3].map(() => object.open({ path: "/quick" }));
    await seen(() => others.every((stream) => stream.isEnded && stream.bytes === 3_000_000));
    expect(slow.bytes).toBe(firstWindowBytes);
    // What two kernels' buffers and the lane hold, and not all.
    expect(written).toBeLessThan(12_000_000);
    slow.goOn();
    await seen(() => slow.isEnded);
    expect(slow.bytes).toBe(400 * frameBytes);
  });

  it("that the service does not take hold back whoever sends", async () => {
    serve = () => undefined;
    const stream = object.open({ method: "POST", hasBody: true });
    stream.push(Buffer.alloc(40_000_000));
    await sleep(300);
    // The kernel takes some megabytes.
    expect(stream.lane.bytes).toBeGreaterThan(25_000_000);
  });
});

describe("ends", () => {
  beforeEach(() => started());

  it("do not come to an answer that takes its time", async () => {
    serve = (_request, response) => void setTimeout(() => response.end("late"), 4_500);
    const stream = object.open();
    await seen(() => stream.isEnded);
    expect(stream.text()).toBe("late");
  });

  it("of whoever asked reach the service, before and within its answer", async () => {
    const closed: string[] = [];
    serve = (request, response) => {
      response.on("close", () => closed.push(request.url!));
      if (request.url === "/late") response.write("half");
    };
    const early = object.open({ path: "/early" });
    const late = object.open({ path: "/late" });
    await seen(() => late.text() === "half");
    late.cancel();
    early.cancel();
    await seen(() => closed.length === 2);
  });

  it("of the service reach whoever asked, before and within its answer", async () => {
    serve = (request, response) => {
      if (request.url === "/early") return void request.socket.destroy();
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => request.socket.destroy());
    };
    const early = object.open({ path: "/early" });
    const late = object.open({ path: "/late" });
    await seen(() => early.reset && late.reset);
    expect([early.head, early.reset!.code]).toEqual([null, "broke"]);
    expect([late.head?.status, late.reset!.code]).toEqual([200, "broke"]);
  });

  it("of the worker's side reach every service, and the relay comes back", async () => {
    let closed = 0;
    serve = (_request, response) => void response.on("close", () => closed++);
    onSocket = (socket) => void socket.on("close", () => closed++);
    object.open();
    object.open({ method: "POST", hasBody: true });
    const socket = object.open({ isUpgrade: true });
    await seen(() => socket.head);
    await seen(() => gate.connections !== 0);
    await sleep(50);
    const first = object.socket;
    first!.terminate();
    await seen(() => closed === 3);
    await seen(() => object.socket !== first && relay.state() === "open");
    serve = (_request, response) => void response.end("again");
    const again = object.open();
    await seen(() => again.isEnded);
    expect(again.text()).toBe("again");
  });

  it("a reset of everything stops everything, and numbers may come again", async () => {
    let closed = 0;
    serve = (_request, response) => void response.on("close", () => closed++);
    object.open();
    object.open();
    await sleep(50);
    object.send({ type: "reset", stream: 0, code: "unknown", message: "begun anew" });
    await seen(() => closed === 2);
  });

  it("an answer that is through before its request keeps nothing", async () => {
    serve = (_request, response) => void response.writeHead(413).end("enough");
    const stream = object.open({ method: "POST", hasBody: true });
    stream.push(Buffer.alloc(1_000_000));
    await seen(() => stream.isEnded);
    expect([stream.head?.status, stream.text()]).toEqual([413, "enough"]);
  });

  it("frames of no stream, out of place or damaged never end the agent", async () => {
    object.send({ type: "data", stream: 77, bytes: new Uint8Array(3) });
    object.send({ type: "credit", stream: 77, bytes: 5 });
    object.send({ type: "reset", stream: 77, code: "cancelled", message: "" });
    serve = () => undefined;
    const confused = object.open();
    object.send({ type: "text", stream: confused.number, isFinal: true, bytes: new Uint8Array(1) });
    await seen(() => confused.reset?.code === "protocol");
    const twice = object.open();
    object.send({ type: "open", stream: twice.number, head: twice.open });
    await seen(() => twice.reset?.code === "protocol");
    const first = object.socket!;
    first.send(new Uint8Array([99, 1, 2, 3, 4, 5]));
    await seen(() => object.closes.includes(1002));
    await seen(() => object.socket !== first && relay.state() === "open");
  });
});

describe("WebSockets", () => {
  beforeEach(() => started());

  it("echo text, binary and large messages, with their subprotocol and their head", async () => {
    let got: IncomingMessage | null = null;
    onSocket = (socket, request) => {
      got = request;
      socket.on("message", (data: Buffer, isBinary) => socket.send(data, { binary: isBinary }));
    };
    const stream = object.open({
      path: "/ws?a=1",
      isUpgrade: true,
      headers: [
        ["x-soneca-gate", "t"],
        ["sec-websocket-protocol", "one, two"],
      ],
    });
    const messages: { type: string; bytes: Uint8Array }[] = [];
    stream.onMessage = (type, bytes) => void messages.push({ type, bytes });
    await seen(() => stream.head);
    expect(stream.head?.status).toBe(101);
    expect(pairOf(stream, "sec-websocket-protocol")).toEqual(["two"]);
    expect(got!.url).toBe("/ws?a=1");
    expect(got!.headers).toMatchObject({ "x-soneca-gate": "t", "sec-websocket-protocol": "one, two" });
    const big = randomBytes(12_000_000);
    stream.message("text", Buffer.from("olá"));
    stream.message("binary", big);
    stream.message("binary", new Uint8Array());
    await seen(() => messages.length === 3);
    expect(messages[0]).toMatchObject({ type: "text" });
    expect(Buffer.from(messages[0]!.bytes).toString()).toBe("olá");
    expect(Buffer.from(messages[1]!.bytes).equals(big)).toBe(true);
    expect(messages[2]!.bytes).toHaveLength(0);
  });

  it("open where the service knows no subprotocols", async () => {
    gateSockets.options.handleProtocols = () => false;
    const stream = object.open({ isUpgrade: true, headers: [["sec-websocket-protocol", "one"]] });
    await seen(() => stream.head?.status === 101);
    expect(pairOf(stream, "sec-websocket-protocol")).toEqual([]);
  });

  it("pass close codes both ways", async () => {
    const closes: [number, string][] = [];
    onSocket = (socket, request) => {
      socket.on("close", (code, reason) => void closes.push([code, reason.toString()]));
      if (request.url === "/theirs") socket.send("bye", () => socket.close(4_321, "done"));
      if (request.url === "/broken") socket.terminate();
    };
    const mine = object.open({ path: "/mine", isUpgrade: true });
    const theirs = object.open({ path: "/theirs", isUpgrade: true });
    const broken = object.open({ path: "/broken", isUpgrade: true });
    await seen(() => mine.head && theirs.closed && broken.closed);
    expect(theirs.closed).toMatchObject({ code: 4_321, reason: "done" });
    expect(broken.closed).toMatchObject({ code: 1006 });
    expect(theirs.frames.map(({ frame }) => frame.type)).toEqual(["head", "text", "close"]);
    mine.close(4_123, "enough");
    await seen(() => closes.some(([code, reason]) => code === 4_123 && reason === "enough"));
  });

  it("that the gate refuses are its plain answer", async () => {
    gate.removeAllListeners("upgrade");
    gate.on("upgrade", (_request, socket) =>
      socket.end("HTTP/1.1 403 No\r\nx-soneca-gate-error: refused\r\ncontent-length: 2\r\n\r\nno"),
    );
    const stream = object.open({ isUpgrade: true });
    await seen(() => stream.isEnded);
    expect([stream.head?.status, pairOf(stream, "x-soneca-gate-error"), stream.text()]).toEqual([
      403,
      ["refused"],
      "no",
    ]);
  });

  it("that nobody reads hold the service back", async () => {
    let service: WebSocket | null = null;
    onSocket = (socket) => {
      service = socket;
      for (let i = 0; i < 300; i++) socket.send(Buffer.alloc(100_000));
    };
    const stream = object.open({ isUpgrade: true });
    stream.isStalled = true;
    await seen(() => stream.bytes === firstWindowBytes);
    await sleep(200);
    expect(service!.bufferedAmount).toBeGreaterThan(10_000_000);
    stream.goOn();
    await seen(() => stream.bytes === 30_000_000);
  });

  it("end with whoever asked", async () => {
    let isClosed = false;
    onSocket = (socket) =>
      void socket.on("close", () => {
        isClosed = true;
      });
    const stream = object.open({ isUpgrade: true });
    await seen(() => stream.head);
    stream.cancel();
    await seen(() => isClosed);
  });
});

describe("the connection", () => {
  it("says who it is, and what it is", async () => {
    expect(relay.state()).toBe("closed");
    relay.start();
    expect(relay.state()).toBe("opening");
    await seen(() => relay.state() === "open");
    expect(object.connections[0]!.headers).toMatchObject({
      authorization: "Bearer the-token",
      "sec-websocket-protocol": "soneca-relay.1",
    });
    expect(object.connections[0]!.headers).not.toHaveProperty("sec-websocket-extensions");
    relay.stop();
    expect(relay.state()).toBe("closed");
    await seen(() => object.closes.includes(1000));
    expect(lines.join("")).not.toContain("the-token");
  });

  it("that is stopped and started again is one", async () => {
    await started({ minBackoffMs: 1 });
    relay.stop();
    relay.start();
    await seen(() => object.connections.length === 2 && relay.state() === "open");
    await sleep(100);
    expect(object.connections).toHaveLength(2);
    expect(relay.state()).toBe("open");
  });

  it("comes back after failures, sooner than after a refusal or a replacement", async () => {
    object.refusals = [500, 502];
    await started({ minBackoffMs: 5, refusedMs: 150, replacedMs: 300 });
    expect(object.connections).toHaveLength(3);
    const gapAfter = async (end: () => void) => {
      const [before, socket] = [object.connections.length, object.socket];
      const at = performance.now();
      end();
      await seen(() => object.connections.length > before && object.socket !== socket && relay.state() === "open");
      return object.connections[before]!.at - at;
    };
    expect(await gapAfter(() => object.socket!.terminate())).toBeLessThan(140);
    expect(await gapAfter(() => object.socket!.close(4001, "replaced"))).toBeGreaterThan(290);
    expect(await gapAfter(() => object.socket!.close(4002, "going"))).toBeGreaterThan(140);
    object.refusals = [403];
    const before = object.connections.length;
    object.socket!.terminate();
    await seen(() => object.connections.length === before + 2);
    expect(object.connections[before + 1]!.at - object.connections[before]!.at).toBeGreaterThan(140);
  });

  it("asks whether it lives, and begins anew when nothing comes", async () => {
    await started({ pingMs: 30, pongMs: 60, minBackoffMs: 5 });
    const first = object.socket;
    await sleep(300);
    expect(object.socket).toBe(first);
    object.answersPings = false;
    await seen(() => object.socket !== first);
    expect(object.closes).toContain(1006);
  });
});
