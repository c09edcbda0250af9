/** The edge and a cloudflared as a process: what passes between a caller and a service on 127.0.0.1. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { createTunnelServer, type TunnelServer } from "./server.ts";
import { newRecordId, newTunnel, type Tunnel, tokenOf } from "./state.ts";
import { type Connector, type ConnectorOptions, startConnector } from "./testing/connector.ts";
import { startTestGate, type TestGate } from "./testing/gate.ts";

const hostname = "t-a.machines.test";
let server: TunnelServer;
let gate: TestGate;
let tunnel: Tunnel;
let connectors: Connector[];

beforeEach(async () => {
  server = await createTunnelServer({ apiToken: "token-of-the-account", firstByteMs: 1_000, maxBodyBytes: 30_000_000 });
  gate = await startTestGate();
  tunnel = add(hostname, gate.port);
  connectors = [];
});
afterEach(async () => {
  for (const one of connectors) await one.stop("SIGKILL");
  await server.close();
  await gate.close();
});

function add(name: string, port: number): Tunnel {
  const at = new Date().toISOString();
  const made = newTunnel(`tunnel of ${name}`, {}, at);
  made.ingress = [{ hostname: name, service: `http://127.0.0.1:${port}` }, { service: "http_status:404" }];
  const content = `${made.id}.cfargotunnel.com`;
  const record = { type: "CNAME", name, content, proxied: true, ttl: 1, comment: null, tags: [] };
  server.state.tunnels.push(made);
  server.state.records.push({ ...record, id: newRecordId(), createdAt: at, modifiedAt: at });
  return made;
}
async function connect(options: ConnectorOptions = {}, of = tunnel): Promise<Connector> {
  const one = await startConnector(server, of.id, options);
  connectors.push(one);
  return one;
}
const ask = (path: string, init: RequestInit = {}, host = hostname) =>
  fetch(server.edgeUrl + path, { ...init, headers: { ...init.headers, "x-tunnel-host": host } });
const open = (path = "/socket") =>
  new WebSocket(server.edgeUrl.replace("http", "ws") + path, { headers: { "x-tunnel-host": hostname } });
const opened = (socket: WebSocket) =>
  new Promise<string>((resolve) => {
    socket.on("open", () => resolve("open"));
    socket.on("error", (error) => resolve(error.message));
  });
async function until(isTrue: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !isTrue(); i++) await sleep(20);
  expect(isTrue()).toBe(true);
}

describe("what passes", () => {
  it("method, path, query and headers, with the hostname as Host", async () => {
    await connect();
    const answer = await ask("/headers?a=b", { method: "POST", body: "x", headers: { "x-more": "1" } });
    expect(await answer.json()).toMatchObject({
      method: "POST",
      url: "/headers?a=b",
      headers: { host: hostname, "x-more": "1", "cf-connecting-ip": "127.0.0.1" },
    });
    expect(answer.headers.get("cf-ray")).toMatch(/-LOC$/);
  });

  it("20 MB there and back", async () => {
    await connect();
    const body = Buffer.alloc(20_000_000, "0123456789abcdef");
    const answer = await ask("/echo", { method: "PUT", body });
    expect(Buffer.from(await answer.arrayBuffer()).equals(body)).toBe(true);
  });

  it("events as they are written, and the reader's end", async () => {
    await connect();
    const reader = (await ask("/events")).body!.getReader();
    const first = new TextDecoder().decode((await reader.read()).value);
    expect(first).toMatch(/^data: 0\n\n/);
    expect(first.length).toBeLessThan(100);
    await reader.cancel();
    await until(() => gate.open() === 0);
  });

  it("WebSockets, text and binary", async () => {
    await connect();
    const socket = open();
    expect(await opened(socket)).toBe("open");
    const back = new Promise<Buffer[]>((resolve) => {
      const got: Buffer[] = [];
      socket.on("message", (data: Buffer) => got.push(data) === 2 && resolve(got));
    });
    socket.send("hello");
    socket.send(Buffer.alloc(300_000, 7));
    const [text, binary] = await back;
    expect(text!.toString()).toBe("hello");
    expect(binary!.equals(Buffer.alloc(300_000, 7))).toBe(true);
    const closed = new Promise<number>((resolve) => socket.on("close", resolve));
    socket.close(4001);
    expect(await closed).toBe(4001);
  });

  it("two tunnels over one caller's connections, each to its own service", async () => {
    const second = await startTestGate();
    const other = add("t-b.machines.test", second.port);
    await connect();
    await connect({}, other);
    const hosts = ["t-a.machines.test", "t-b.machines.test"];
    for (const host of [...hosts, ...hosts]) {
      const { headers } = (await (await ask("/headers", {}, host)).json()) as { headers: { host: string } };
      expect(headers.host).toBe(host);
    }
    await second.close();
  });
});

describe("what the edge answers itself", () => {
  it("530 for a name without a tunnel, and for a tunnel without a connector", async () => {
    const noName = await ask("/", {}, "t-x.machines.test");
    expect([noName.status, await noName.text()]).toEqual([530, "error code: 1016"]);
    const noConnector = await ask("/");
    expect([noConnector.status, await noConnector.text()]).toEqual([530, "error code: 1033"]);
    expect(await opened(open())).toContain("530");
  });

  it("502 when nobody listens and when the service breaks off, 404 by the ingress", async () => {
    await connect();
    expect((await ask("/break")).status).toBe(502);
    tunnel.ingress = [{ service: "http_status:404" }];
    const put = `${server.apiUrl}/accounts/${server.accountId}/cfd_tunnel/${tunnel.id}/configurations`;
    const write = (ingress: object[]) =>
      fetch(put, {
        method: "PUT",
        headers: { authorization: "Bearer token-of-the-account" },
        body: JSON.stringify({ config: { ingress } }),
      });
    await write([{ hostname, service: "http://127.0.0.1:1" }, { service: "http_status:404" }]);
    await sleep(50);
    const refused = await ask("/");
    expect([refused.status, await refused.text()]).toEqual([502, expect.stringContaining("traffic from cloudflared")]);
    await write([{ service: "http_status:404" }]);
    await sleep(50);
    expect((await ask("/")).status).toBe(404);
  });

  it("524 without a first byte, 413 for a body that is too large", async () => {
    await connect();
    expect((await ask("/silence")).status).toBe(524);
    const tooMuch = await ask("/echo", { method: "POST", body: Buffer.alloc(30_000_001) }).catch(() => null);
    expect(tooMuch?.status ?? 413).toBe(413);
  });
});

describe("the connector", () => {
  it("speaks like the real one, and never of its token", async () => {
    const one = await connect();
    expect(one.log()).toMatch(
      /INF Registered tunnel connection connIndex=0 connection=\S+ event=0 ip=\S+ location=\S+ protocol=http2/,
    );
    const token = tokenOf(tunnel, server.accountId);
    expect(one.log()).not.toContain(token);
    expect(readFileSync(`/proc/${one.pid}/cmdline`, "utf8")).not.toContain(token);
  });

  it("with a token of no tunnel is refused, and ends", async () => {
    const one = await connect({ token: tokenOf({ ...tunnel, secret: "another" }, server.accountId) });
    expect(one.child.exitCode).toBe(1);
    expect(one.log()).toContain("Unauthorized");
    expect(server.connections(tunnel.id)).toBe(0);
  });

  it("comes again when its connections are ended, and not when its tunnel is gone", async () => {
    const one = await connect();
    const call = (method: string, rest: string) =>
      fetch(`${server.apiUrl}/accounts/${server.accountId}/cfd_tunnel/${tunnel.id}${rest}`, {
        method,
        headers: { authorization: "Bearer token-of-the-account" },
      });
    expect((await call("DELETE", "")).status).toBe(400);
    await call("DELETE", "/connections");
    expect(server.connections(tunnel.id)).toBe(0);
    await until(() => server.connections(tunnel.id) === 1);
    expect((await ask("/")).status).toBe(200);
    expect((await call("DELETE", "?cascade=true")).status).toBe(200);
    await until(() => one.child.exitCode === 1);
  });

  it("lets what it carries come to its end when it is asked to end", async () => {
    const one = await connect();
    const answer = await ask("/events");
    const ended = one.stop();
    await sleep(150);
    expect(one.child.exitCode).toBeNull();
    expect((await ask("/")).status).toBe(530);
    await answer.body!.cancel();
    await ended;
    expect(one.child.exitCode).toBe(0);
  });

  it("over quic can lose the Upgrade header, as cloudflared#1652 does, and nothing else", async () => {
    await connect({ protocol: "quic", faults: "drop_upgrade" });
    expect(await opened(open())).toContain("200");
    expect(await (await ask("/echo", { method: "POST", body: "hello" })).text()).toBe("hello");
    for (const one of connectors) await one.stop();
    await connect({ protocol: "http2", faults: "drop_upgrade" });
    expect(await opened(open())).toBe("open");
  });
});
