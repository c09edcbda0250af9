import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HttpClient } from "../snapshot/http.ts";
import { createNetworkSensor } from "./network.ts";
import { countOwnTraffic } from "./own-traffic.ts";

let folder: string;
let own: number;
let now: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "soneca-network-"));
  own = 0;
  now = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = () => join(folder, "dev");
const put = (received: number, sent: number, lo = 0) =>
  writeFileSync(
    file(),
    `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: ${lo} 1 0 0 0 0 0 0 ${lo} 1 0 0 0 0 0 0
  eth0:${received} 5 0 0 0 0 0 0 ${sent} 6 0 0 0 0 0 0
`,
  );
const sensorOf = () => createNetworkSensor({ file: file(), ownBytes: () => own, now: () => now });

describe("the network's rate", () => {
  it("is in and out over all interfaces but loopback", async () => {
    const sensor = sensorOf();
    put(1_000, 500, 7);
    expect((await sensor.read()).network).toMatchObject({ value: null });
    put(5_000, 1_500, 900_000);
    now = 5_000;
    expect((await sensor.read()).network).toEqual({ value: 1_000 });
  });

  it("leaves out the agent's own upload, also when it leaves the sockets later", async () => {
    const sensor = sensorOf();
    put(0, 0);
    await sensor.read();
    // Written to the sockets, half of it still on its way.
    own = 10_000_000;
    put(0, 5_300_000);
    now = 1_000;
    expect((await sensor.read()).network).toEqual({ value: 0 });
    put(200_000, 10_700_000);
    now = 2_000;
    expect((await sensor.read()).network).toEqual({ value: 0 });
    put(1_200_000, 10_700_000);
    now = 3_000;
    expect((await sensor.read()).network!.value).toBeGreaterThan(800_000);
  });

  it.each([
    ["is missing", () => rmSync(file())],
    ["is empty", () => writeFileSync(file(), "")],
    ["is no table", () => writeFileSync(file(), "eth0: a b c\n")],
    ["counts backwards", () => put(1, 1)],
  ])("I12: a file that %s makes it unknown", async (_what, spoil) => {
    const sensor = sensorOf();
    put(1_000, 1_000);
    await sensor.read();
    spoil();
    now = 1_000;
    expect((await sensor.read()).network).toMatchObject({ value: null });
  });

  it("reads the real file", async () => {
    const sensor = createNetworkSensor({ ownBytes: () => 0 });
    await sensor.read();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await sensor.read()).network!.value).toBeGreaterThanOrEqual(0);
  });
});

it("own traffic is counted for fetch and for the stores' client, over closed connections, and not within the machine", async () => {
  const traffic = countOwnTraffic(() => false);
  const outside = countOwnTraffic();
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.end("x".repeat(50_000)));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  try {
    await (await fetch(url, { method: "POST", body: "y".repeat(100_000), headers: { connection: "close" } })).text();
    const afterFetch = traffic.bytes();
    expect(afterFetch).toBeGreaterThan(150_000);
    expect(afterFetch).toBeLessThan(155_000);
    const body = Buffer.alloc(200_000);
    const call = { method: "PUT" as const, url, headers: { "content-length": "200000" }, body, maxBytes: 1e6 };
    await new HttpClient(5_000).send({ ...call, signal: undefined });
    expect(traffic.bytes() - afterFetch).toBeGreaterThan(250_000);
    expect(traffic.bytes() - afterFetch).toBeLessThan(255_000);
    expect(outside.bytes()).toBe(0);
  } finally {
    traffic.stop();
    outside.stop();
    server.closeAllConnections();
    server.close();
  }
});

it("a kept connection is looked at once, however many requests it carries", async () => {
  const within = countOwnTraffic();
  const outwards = countOwnTraffic(() => false);
  const server = createServer((_request, response) => response.end("x"));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set<Socket>();
  const ask = () =>
    new Promise<void>((done) => {
      const asking = request({ agent, port: (server.address() as AddressInfo).port });
      asking.on("socket", (socket) => sockets.add(socket));
      asking.on("response", (response) => response.resume().on("end", () => setImmediate(done)));
      asking.end();
    });
  try {
    await ask();
    const [socket] = sockets;
    const listeners = socket!.listenerCount("close");
    for (let i = 0; i < 20; i++) await ask();
    expect(sockets.size).toBe(1);
    expect(socket!.listenerCount("close")).toBe(listeners);
    expect(within.bytes()).toBe(0);
    expect(outwards.bytes()).toBe(socket!.bytesRead + socket!.bytesWritten);
  } finally {
    within.stop();
    outwards.stop();
    agent.destroy();
    server.closeAllConnections();
    server.close();
  }
});
