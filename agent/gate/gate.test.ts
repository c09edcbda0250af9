/** The gate, asked over real sockets; the services behind it are small servers of this test. */
import { once } from "node:events";
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { gateAudience, gateHeadBytes, gateHeaders, gateIssuer, gatePaths } from "../../core/protocol/gate.ts";
import { createLogger } from "../log.ts";
import { createGate, type Gate } from "./gate.ts";
import { createTraffic, type Traffic } from "./traffic.ts";

const instance = "i-aaaaaaaaaa";
const secret = Buffer.alloc(32, 7);
const log = createLogger({ write: () => undefined });

let gate: Gate;
let gatePort: number;
let traffic: Traffic;
let sealed = false;
let nudges = 0;
const servers: Server[] = [];
const tcpServers: TcpServer[] = [];

beforeEach(async () => {
  sealed = false;
  nudges = 0;
  traffic = createTraffic();
  gate = createGate({ instance, epoch: 3, traffic, isSealed: () => sealed, onNudge: () => nudges++, log });
  gatePort = await gate.start();
  gate.admission.setKey(secret.toString("base64url"));
});

afterEach(async () => {
  await gate.stop();
  for (const server of tcpServers.splice(0)) server.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function service(handle: (req: IncomingMessage, res: ServerResponse) => void, host = "127.0.0.1") {
  const server = createServer({ maxHeaderSize: gateHeadBytes }, handle);
  servers.push(server);
  server.listen(0, host);
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}

interface Claims {
  port?: number | null;
  quiet?: boolean;
  epoch?: number;
  sub?: string;
  lifeSeconds?: number;
  issuedAgo?: number;
  audience?: string;
  key?: Buffer;
}

function token({ port = null, quiet, epoch = 3, sub = instance, lifeSeconds = 60, issuedAgo = 0, ...more }: Claims) {
  const at = Math.floor(Date.now() / 1000) - issuedAgo;
  return new SignJWT({ epoch, port, ...(quiet !== undefined && { quiet }) })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(gateIssuer)
    .setAudience(more.audience ?? gateAudience)
    .setSubject(sub)
    .setIssuedAt(at)
    .setExpirationTime(at + lifeSeconds)
    .sign(more.key ?? secret);
}

async function ask(claims: Claims, path = "/", init: RequestInit & { headers?: Record<string, string> } = {}) {
  const headers = { ...init.headers, [gateHeaders.token]: await token(claims) };
  return fetch(`http://127.0.0.1:${gatePort}${path}`, { ...init, headers, redirect: "manual" });
}

describe("who is admitted", () => {
  it.each<[string, Claims]>([
    ["another key", { key: Buffer.alloc(32, 8) }],
    ["another instance", { sub: "i-bbbbbbbbbb" }],
    ["an older epoch", { epoch: 2 }],
    ["another audience", { audience: "soneca-agent" }],
    ["a token that is over", { issuedAgo: 120 }],
    ["a token that is good for too long", { lifeSeconds: 61 }],
  ])("not %s", async (_, claims) => {
    const { port } = await service((_req, res) => res.end("service"));
    const answer = await ask({ port, ...claims });
    expect(answer.status).toBe(403);
    expect(answer.headers.get(gateHeaders.error)).toBe("refused");
  });

  it("nobody without a token, and nobody before the key is known", async () => {
    const bare = await fetch(`http://127.0.0.1:${gatePort}/`);
    expect(bare.status).toBe(403);
    const fresh = createGate({ instance, epoch: 3, traffic, isSealed: () => false, onNudge: () => undefined, log });
    const port = await fresh.start();
    const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { [gateHeaders.token]: await token({}) } });
    expect(answer.status).toBe(403);
    await fresh.stop();
  });

  it("a token for the gate's own paths opens no service, and one for a service none of the gate's paths", async () => {
    const { port } = await service((req, res) => res.end(`service ${req.url}`));
    expect((await ask({ port: null }, "/")).status).toBe(403);
    expect(await (await ask({ port }, gatePaths.nudge, { method: "POST" })).text()).toBe(`service ${gatePaths.nudge}`);
    expect(nudges).toBe(0);
    expect((await ask({ port: null }, gatePaths.nudge, { method: "POST" })).status).toBe(204);
    expect(nudges).toBe(1);
  });

  it("says whether something listens, without asking it for anything", async () => {
    let asked = 0;
    const { server, port } = await service(() => asked++);
    const listens = () => ask({ port: null }, `${gatePaths.listens}?port=${port}`);
    expect((await listens()).status).toBe(204);
    server.close();
    await once(server, "close");
    const none = await listens();
    expect([none.status, none.headers.get(gateHeaders.error)]).toEqual([503, "no_service"]);
    expect(asked).toBe(0);
    expect((await ask({ port: null }, `${gatePaths.listens}?port=0`)).status).toBe(403);
  });
});

describe("what the service sees", () => {
  it("path, query, method, body and headers as they were asked, and nothing of ours", async () => {
    let seen: { line: string; raw: string[]; body: string } | null = null;
    const { port } = await service(async (req, res) => {
      let body = "";
      for await (const chunk of req) body += chunk;
      seen = { line: `${req.method} ${req.url}`, raw: req.rawHeaders, body };
      res.end();
    });
    const headers = {
      ...{ authorization: "Bearer of-the-service", cookie: "a=1; b=2", "x-forwarded-host": "i-aaaaaaaaaa.example.com" },
      ...{ "x-soneca-key": "snp_secret", te: "trailers", "accept-encoding": "br" },
    };
    await ask({ port }, "/v1/a%2Fb//c?x=1&y=%20", { method: "PUT", body: "hello", headers });
    expect(seen!.line).toBe("PUT /v1/a%2Fb//c?x=1&y=%20");
    expect(seen!.body).toBe("hello");
    const names = seen!.raw.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
    expect(names.filter((name) => name.startsWith("x-soneca") || name === "te")).toEqual([]);
    const headerOf = (name: string) => seen!.raw[names.indexOf(name) * 2 + 1];
    expect(headerOf("authorization")).toBe("Bearer of-the-service");
    expect(headerOf("cookie")).toBe("a=1; b=2");
    expect(headerOf("host")).toBe("i-aaaaaaaaaa.example.com");
    expect(headerOf("accept-encoding")).toBe("br");
    expect(headerOf("content-length")).toBe("5");
  });

  it("a service that listens on ::1 alone is found as well", async () => {
    const { port } = await service((_req, res) => res.end("six"), "::1");
    expect(await (await ask({ port })).text()).toBe("six");
  });
});

describe("what comes back", () => {
  it("status, words, headers that come twice, and a compressed body untouched", async () => {
    const zipped = gzipSync("compressed");
    const { port } = await service((_req, res) => {
      res.writeHead(207, "Many Things", [
        ...["Set-Cookie", "a=1", "Set-Cookie", "b=2"],
        ...["Content-Encoding", "gzip", "X-Soneca-Gate-Error", "sealed", "Connection", "close, x-hop", "X-Hop", "1"],
      ]);
      res.end(zipped);
    });
    const raw = await rawAnswer({ port });
    expect(raw.statusMessage).toBe("Many Things");
    expect(raw.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
    expect(raw.headers[gateHeaders.error]).toBeUndefined();
    expect(raw.headers["x-hop"]).toBeUndefined();
    expect(raw.body.equals(zipped)).toBe(true);
  });

  it("HEAD, 204, 304 and ranges", async () => {
    const { port } = await service((req, res) => {
      if (req.url === "/204") return void res.writeHead(204).end();
      if (req.url === "/304") return void res.writeHead(304, { etag: '"x"' }).end();
      if (req.headers.range === "bytes=1-2")
        return void res.writeHead(206, { "content-range": "bytes 1-2/5" }).end("el");
      res.setHeader("content-length", "5");
      res.end(req.method === "HEAD" ? undefined : "hello");
    });
    const head = await ask({ port }, "/", { method: "HEAD" });
    expect(head.headers.get("content-length")).toBe("5");
    expect((await ask({ port }, "/204")).status).toBe(204);
    expect((await ask({ port }, "/304")).headers.get("etag")).toBe('"x"');
    const part = await ask({ port }, "/", { headers: { range: "bytes=1-2" } });
    expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([206, "bytes 1-2/5", "el"]);
  });

  it("events arrive as they are written", async () => {
    const { port } = await service(async (_req, res) => {
      res.writeHead(200, { "content-type": "text/event-stream" });
      for (let i = 0; i < 3; i++) {
        res.write(`data: ${i}\n\n`);
        await sleep(60);
      }
      res.end();
    });
    const reader = (await ask({ port })).body!.getReader();
    const times: number[] = [];
    for (let part = await reader.read(); !part.done; part = await reader.read()) times.push(performance.now());
    expect(times.length).toBe(3);
    expect(times[2]! - times[0]!).toBeGreaterThan(80);
  });

  it("64 MiB up and down at once, byte by byte", async () => {
    const { port } = await service((req, res) => req.pipe(res));
    const chunk = Buffer.alloc(1024 * 1024, "x");
    async function* chunks() {
      for (let i = 0; i < 64; i++) yield chunk;
    }
    const answer = await ask({ port }, "/", { method: "POST", body: chunks() as never, duplex: "half" } as never);
    let bytes = 0;
    for await (const part of answer.body as unknown as AsyncIterable<Uint8Array>) bytes += part.length;
    expect(bytes).toBe(64 * 1024 * 1024);
  });
});

describe("an answer that cannot be passed on", () => {
  /** A service that says these bytes to whatever it is asked. */
  async function saying(bytes: string): Promise<number> {
    const server = createTcpServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => socket.write(bytes));
    });
    tcpServers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  it.each([
    ["a status below all others", "HTTP/1.1 099 Odd"],
    ["no status", "HTTP/1.1 000 Odd"],
    ["a status above all others", "HTTP/1.1 600 Odd"],
    ["a control character among its words", "HTTP/1.1 200 O\x01K"],
    ["another protocol, which nobody asked for", "HTTP/1.1 101 Other\r\nUpgrade: other\r\nConnection: Upgrade"],
  ])("%s: the service broke, and the gate goes on", async (_, first) => {
    const port = await saying(`${first}\r\nContent-Length: 2\r\n\r\nok`);
    const answer = await ask({ port });
    expect([answer.status, answer.headers.get(gateHeaders.error)]).toEqual([502, "service_broke"]);
    await answer.text();
    await expect.poll(() => traffic.open()).toBe(0);
  });

  it("of a WebSocket's handshake neither", async () => {
    const port = await saying("HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok");
    const headers = { [gateHeaders.token]: await token({ port }) };
    const socket = new WebSocket(`ws://127.0.0.1:${gatePort}/`, { headers });
    const [error] = await once(socket, "error");
    expect(String(error)).toContain("502");
  });
});

it("heads of up to 64 KiB pass, both ways", async () => {
  const long = "x".repeat(60_000);
  const { port } = await service((req, res) => {
    res.setHeader("x-back", req.headers["x-long"] ?? "");
    res.end();
  });
  const answer = await rawAnswer({ port }, { "x-long": long });
  expect(answer.headers["x-back"]).toBe(long);
});

describe("when something ends early", () => {
  it("a service that is not there, and one that breaks off", async () => {
    const gone = await service(() => undefined);
    gone.server.close();
    await once(gone.server, "close");
    const none = await ask({ port: gone.port });
    expect([none.status, none.headers.get(gateHeaders.error)]).toEqual([503, "no_service"]);
    const { port } = await service((_req, res) => res.destroy());
    const broke = await ask({ port });
    expect([broke.status, broke.headers.get(gateHeaders.error)]).toEqual([502, "service_broke"]);
  });

  it("an answer that comes before the upload is through is the answer", async () => {
    const { port } = await service((_req, res) => {
      res.writeHead(413, { connection: "close", "content-length": "9" }).end("too large");
    });
    const body = Buffer.alloc(20_000_000);
    for (let i = 0; i < 10; i++) {
      const answer = await ask({ port }, "/", { method: "POST", body });
      expect([answer.status, await answer.text()]).toEqual([413, "too large"]);
    }
    await expect.poll(() => traffic.open()).toBe(0);
  });

  it("a service that ends in the middle of an upload broke off", async () => {
    const { port } = await service((req) => req.once("data", () => req.socket.destroy()));
    const answer = await ask({ port }, "/", { method: "POST", body: Buffer.alloc(20_000_000) });
    expect([answer.status, answer.headers.get(gateHeaders.error)]).toEqual([502, "service_broke"]);
  });

  it("an answer that breaks off in its middle is no whole one", async () => {
    const { port } = await service((_req, res) => {
      res.write("half");
      setTimeout(() => res.destroy(), 30);
    });
    const answer = await ask({ port });
    await expect(answer.text()).rejects.toThrow();
  });

  it("whoever asked goes away: the service hears of it", async () => {
    let closed: Promise<unknown> = Promise.resolve();
    const { port } = await service((_req, res) => {
      closed = once(res, "close");
      res.write("begin");
    });
    const abort = new AbortController();
    const answer = await ask({ port }, "/", { signal: abort.signal });
    await answer.body!.getReader().read();
    abort.abort();
    await closed;
  });

  it("a machine so busy that this process stands still finds its services all the same", async () => {
    const { port } = await service((_req, res) => res.end("service"));
    const begin = traffic.begin;
    traffic.begin = () => {
      // While the connection to the service is made.
      process.nextTick(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400));
      return begin();
    };
    const answer = await ask({ port });
    expect([answer.status, await answer.text()]).toEqual([200, "service"]);
  });

  it("a kept connection that the service closed is no error of the next request", async () => {
    const { server, port } = await service((_req, res) => res.end("ok"));
    for (let i = 0; i < 3; i++) {
      expect(await (await ask({ port })).text()).toBe("ok");
      server.closeAllConnections();
    }
  });
});

it.each([
  ["GET", 2],
  ["HEAD", 2],
  ["OPTIONS", 2],
  ["POST", 1],
  ["DELETE", 1],
  ["PUT", 1],
])("over a kept connection that breaks, a %s is sent %i time(s)", async (method, times) => {
  const seen: string[] = [];
  const { port } = await service((req, res) => {
    if (req.url === "/first") return void res.end("ok");
    seen.push(req.method!);
    res.destroy();
  });
  await (await ask({ port }, "/first")).text();
  const answer = await ask({ port }, "/", { method });
  expect([answer.status, seen]).toEqual([502, Array.from({ length: times }, () => method)]);
});

describe("WebSockets", () => {
  async function echo() {
    const { server, port } = await service((_req, res) => res.writeHead(404).end("not here"));
    const sockets = new WebSocketServer({ noServer: true, handleProtocols: (all) => [...all][0] ?? false });
    server.on("upgrade", (req, socket, head) => {
      if (req.url === "/no") return void socket.end("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno");
      sockets.handleUpgrade(req, socket, head, (client) => {
        client.send(`hello ${req.headers.host} ${req.headers[gateHeaders.token] ?? "nothing of ours"}`);
        client.on("message", (data, isBinary) => client.send(data, { binary: isBinary }));
        client.on("close", (code) => sockets.emit("left", code));
      });
    });
    return { port, sockets };
  }
  const open = async (claims: Claims, path = "/", protocols: string[] = []) =>
    new WebSocket(`ws://127.0.0.1:${gatePort}${path}`, protocols, {
      headers: { [gateHeaders.token]: await token(claims) },
    });

  it("text, binary, a subprotocol and the close code, both ways", async () => {
    const { port, sockets } = await echo();
    const socket = await open({ port }, "/ws", ["v2.kernel"]);
    const [hello] = await once(socket, "message");
    expect(String(hello)).toContain("nothing of ours");
    expect(socket.protocol).toBe("v2.kernel");
    const big = Buffer.alloc(1024 * 1024, 3);
    socket.send(big);
    const [back, isBinary] = await once(socket, "message");
    expect([isBinary, (back as Buffer).equals(big)]).toEqual([true, true]);
    const left = once(sockets, "left");
    socket.close(4321, "bye");
    expect(await left).toEqual([4321]);
  });

  it("a service that wants none says so itself", async () => {
    const { port } = await echo();
    const socket = await open({ port }, "/no");
    const [error] = await once(socket, "error");
    expect(String(error)).toContain("401");
  });

  it("an open one is use until it ends", async () => {
    const { port } = await echo();
    const socket = await open({ port });
    await once(socket, "message");
    expect(traffic.take()).toEqual({ value: 1, detail: "1 under way" });
    expect(traffic.take().value).toBe(1);
    socket.close();
    await once(socket, "close");
    await expect.poll(() => traffic.take().value).toBe(0);
  });

  it("an open one holds up no end of the gate", async () => {
    const { port } = await echo();
    const socket = await open({ port });
    await once(socket, "message");
    const closed = once(socket, "close");
    await gate.stop();
    await closed;
  });

  it("one that is not admitted is refused before anything is asked of the service", async () => {
    const { port } = await echo();
    const socket = await open({ port, epoch: 2 });
    const [error] = await once(socket, "error");
    expect(String(error)).toContain("403");
  });
});

describe("traffic", () => {
  it("counts requests, but for those that are no use", async () => {
    const { port } = await service((_req, res) => res.end());
    await ask({ port });
    await ask({ port });
    await ask({ port, quiet: true });
    await ask({ port: null }, gatePaths.http);
    await expect.poll(() => traffic.take().value).toBe(2);
    expect(traffic.take().value).toBe(0);
  });

  it("says at once when it begins after a rest", () => {
    let begun = 0;
    const counted = createTraffic(() => begun++);
    const ends = [counted.begin(), counted.begin()];
    for (const end of ends) end();
    ends[0]!();
    expect(counted.take().value).toBe(2);
    counted.begin();
    expect(begun).toBe(2);
  });

  it("says it once between two takes, however many requests follow each other", () => {
    let begun = 0;
    const counted = createTraffic(() => begun++);
    for (let i = 0; i < 50; i++) counted.begin()();
    expect(begun).toBe(1);
    expect(counted.take().value).toBe(50);
    counted.begin()();
    expect(begun).toBe(2);
  });

  it("nothing passes while everything stands still, and that is said", async () => {
    const { port } = await service((_req, res) => res.end("service"));
    sealed = true;
    const answer = await ask({ port });
    expect([answer.status, answer.headers.get(gateHeaders.error)]).toEqual([503, "sealed"]);
    expect(traffic.take().value).toBe(0);
    expect((await ask({ port: null }, gatePaths.http)).status).toBe(200);
  });
});

it("what is no HTTP harms nobody", async () => {
  const socket = connect(gatePort, "127.0.0.1");
  socket.resume();
  socket.write("\x16\x03\x01 nonsense\r\n\r\n");
  await once(socket, "close");
  expect((await ask({ port: null }, gatePaths.http)).status).toBe(200);
});

async function rawAnswer(claims: Claims, more: Record<string, string> = {}) {
  const headers = { ...more, [gateHeaders.token]: await token(claims) };
  const request = httpRequest({ host: "127.0.0.1", port: gatePort, headers, maxHeaderSize: gateHeadBytes });
  request.end();
  const [answer] = (await once(request, "response")) as [IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  return { statusMessage: answer.statusMessage, headers: answer.headers, body: Buffer.concat(parts) };
}
