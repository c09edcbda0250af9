/**
 * The tunnel as one: the worker's calls against the stand-in's API under every fault, and the way of a request from the
 * pipe, in the runtime itself, over the edge and a cloudflared that the agent runs, to a server in the gate's place.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { createLogger } from "../agent/log.ts";
import { type Cloudflared, createCloudflared } from "../agent/pipe/cloudflared.ts";
import { gateHeaders } from "../core/protocol/gate.ts";
import type { InstanceId } from "../core/protocol/ids.ts";
import { FAULTS, type FaultName, OPERATIONS, type Operation } from "../local-cloud/cloudflare/faults.ts";
import { writeCloudflared } from "../local-cloud/cloudflare/launcher.ts";
import { createTunnelServer, type TunnelServer } from "../local-cloud/cloudflare/server.ts";
import { startTestGate, type TestGate } from "../local-cloud/cloudflare/testing/gate.ts";
import type { Hands } from "../worker/tunnel/cloudflare.ts";
import type { TunnelSettings } from "../worker/tunnel/settings.ts";
import { createTunnels, type Tunnels, type Whose } from "../worker/tunnel/tunnels.ts";
import { startWorkerd, type Workerd } from "./testing/workerd.ts";

const apiToken = "token-of-the-account";
const whose: Whose = { instance: "i-k3v7q2m4xa" as InstanceId, epoch: 7 };
let server: TunnelServer;

const settings = (): TunnelSettings => ({ ...server, apiToken, deployment: "https://soneca.test", access: null });
const hasty: Hands = { sleep: async () => {}, timeoutMs: 250 };
const open = (tunnels: Tunnels, gatePort = 7070) => tunnels.openTunnel({ ...whose, gatePort });
const standing = () => server.state.tunnels.filter((one) => one.deletedAt === null);

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await isTrue()) return;
    await sleep(20);
  }
  throw new Error("it does not come");
}

describe("under every fault of the API", () => {
  beforeEach(async () => {
    server = await createTunnelServer({ apiToken });
  });
  afterEach(() => server.close());

  const opening: Operation[] = ["tunnel_list", "tunnel_create", "config_write", "dns_list", "dns_create"];
  const again: Operation[] = ["tunnel_list", "token", "config_read", "config_write", "dns_list", "dns_change"];
  const closing: Operation[] = ["tunnel_list", "connections_delete", "dns_list", "dns_delete", "tunnel_delete"];
  const isOfLists = (name: FaultName) => name.startsWith("list_");
  const pairs = (operations: Operation[]) =>
    operations.flatMap((on) =>
      (Object.keys(FAULTS) as FaultName[])
        .filter((name) => !isOfLists(name) || on.endsWith("_list"))
        .map((name) => [name, on] as const),
    );
  const arm = (name: FaultName, on: Operation, times: number) =>
    server.faults.arm({
      name,
      on,
      times,
      ...(name === "timeout" && { ms: 400 }),
      ...(name === "rate_limited" && { seconds: 1 }),
    });

  it("every operation is met", () => {
    expect([...new Set([...opening, ...again, ...closing])].sort()).toEqual([...OPERATIONS].sort());
  });

  it.each(pairs(opening))("opening with %s on %s makes one tunnel and one name", async (name, on) => {
    const tunnels = createTunnels(settings(), hasty);
    // So often that no repeat within a call helps, then once: it may come through then.
    for (const times of [3, 1]) {
      server.faults.clear();
      arm(name, on, times);
      const opened = await open(tunnels);
      if (!opened.ok) expect(opened).toMatchObject({ code: "unavailable" });
      expect(JSON.stringify(opened)).not.toContain(apiToken);
    }
    server.faults.clear();
    expect(await open(tunnels)).toMatchObject({ ok: true, tunnel: { hostname: "t-k3v7q2m4xa-7.machines.test" } });
    expect([standing().length, server.state.records.length]).toEqual([1, 1]);
    expect(standing()[0]!.ingress).toMatchObject([{ service: "http://127.0.0.1:7070" }, {}]);
  });

  it.each(pairs(again))("opening again with %s on %s changes only what has to be", async (name, on) => {
    const tunnels = createTunnels(settings(), hasty);
    await open(tunnels);
    const [tunnel, record] = [standing()[0]!, server.state.records[0]!];
    record.content = "00000000-0000-0000-0000-000000000000.cfargotunnel.com";
    arm(name, on, 3);
    await open(tunnels, 8080);
    server.faults.clear();
    expect(await open(tunnels, 8080)).toMatchObject({ ok: true, tunnel: { id: tunnel.id } });
    expect(standing()).toMatchObject([{ id: tunnel.id, ingress: [{ service: "http://127.0.0.1:8080" }, {}] }]);
    expect(server.state.records).toMatchObject([{ id: record.id, content: `${tunnel.id}.cfargotunnel.com` }]);
  });

  it.each(pairs(closing))("closing with %s on %s leaves nothing, and says so only then", async (name, on) => {
    const tunnels = createTunnels(settings(), hasty);
    await open(tunnels);
    arm(name, on, 3);
    const closed = await tunnels.closeTunnel(whose);
    // A list that does not know the tunnel yet cannot be told from one without it: the sweep is for those.
    if (closed.ok && name !== "list_stale") expect([standing(), server.state.records]).toEqual([[], []]);
    server.faults.clear();
    expect(await tunnels.closeTunnel(whose)).toEqual({ ok: true });
    expect([standing(), server.state.records]).toEqual([[], []]);
  });

  it("a create without an answer whose tunnel is not in the list yet makes no second one", async () => {
    const tunnels = createTunnels(settings(), hasty);
    server.faults.arm({ name: "answer_lost", on: "tunnel_create", times: 1 });
    server.faults.arm({ name: "list_stale", on: "tunnel_list", times: 2 });
    expect(await open(tunnels)).toMatchObject({ ok: false, code: "unavailable" });
    expect(await open(tunnels)).toMatchObject({ ok: true });
    expect(standing().length).toBe(1);
  });

  it("two that open at once have one tunnel", async () => {
    const results = await Promise.all([1, 2, 3].map(() => open(createTunnels(settings(), hasty))));
    expect(results.filter((one) => one.ok).length).toBeGreaterThan(0);
    expect(await open(createTunnels(settings(), hasty))).toMatchObject({ ok: true });
    expect([standing().length, server.state.records.length]).toEqual([1, 1]);
  });

  it("a token without the scope is refused, with Cloudflare's words", async () => {
    await server.close();
    server = await createTunnelServer({ apiToken, scopes: ["tunnel"] });
    const refused = await open(createTunnels(settings(), hasty));
    expect(refused).toEqual({ ok: false, code: "refused", message: "GET: HTTP 403: 10000 Authentication error" });
  });

  it("the sweep finds what is left over, over several pages of others", async () => {
    const hourLater: Hands = { ...hasty, now: () => Date.now() + 3_600_000 };
    const tunnels = createTunnels(settings(), hourLater);
    await open(tunnels);
    const [mine] = standing();
    for (let n = 0; n < 1_200; n++) {
      server.state.tunnels.push({
        ...mine!,
        id: `${String(n).padStart(8, "0")}${mine!.id.slice(8)}`,
        name: `soneca-other-${n}`,
      });
    }
    expect(await tunnels.sweepTunnels(() => true)).toMatchObject({ ok: true, seen: 1, closed: [] });
    expect(await tunnels.sweepTunnels(() => false)).toMatchObject({ ok: true, closed: [whose], left: 0, failed: [] });
    expect(standing().length).toBe(1_200);
    expect(server.state.records).toEqual([]);
    for (const name of ["list_short", "timeout", "garbled"] as const) {
      server.faults.clear();
      arm(name, "tunnel_list", 3);
      expect(await tunnels.sweepTunnels(() => false)).toMatchObject({ ok: false, code: "unavailable" });
    }
  });
});

describe("the way to a machine", () => {
  let workerd: Workerd;
  let gate: TestGate;
  let home: string;
  let cloudflared: Cloudflared;
  let hostname: string;
  let token: string;
  const lines: string[] = [];

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), "soneca-tunnel-"));
    server = await createTunnelServer({ apiToken });
    gate = await startTestGate();
    workerd = await startWorkerd(join(import.meta.dirname, "testing/pipe-worker.ts"), { EDGE_URL: server.edgeUrl });
    const opened = await open(createTunnels(settings()), gate.port);
    if (!opened.ok) throw new Error(opened.message);
    ({ hostname, token } = opened.tunnel);
    await begin("");
  });
  afterAll(async () => {
    await cloudflared.stop();
    await workerd.close();
    await server.close();
    await gate.close();
    rmSync(home, { recursive: true, force: true });
  });

  /** `patienceMs`: on a busy machine the first protocol may take a while. */
  async function begin(faults: string, patienceMs = 30_000): Promise<void> {
    await cloudflared?.stop();
    cloudflared = createCloudflared({
      home,
      log: createLogger({ write: (line) => lines.push(line) }),
      env: {
        PATH: process.env.PATH,
        SONECA_CLOUDFLARED: writeCloudflared(join(home, "bin")),
        SONECA_FAKE_EDGE: server.connectorAddress,
        SONECA_FAKE_CLOUDFLARED_FAULTS: faults,
      },
      backoffMs: 50,
      patienceMs,
    });
    expect(await cloudflared.run({ token })).toEqual({ ok: true });
    await until(() => cloudflared.state().phase === "connected");
  }

  const ask = (path: string, init: RequestInit = {}) =>
    fetch(workerd.url + path, {
      redirect: "manual",
      ...init,
      headers: { ...init.headers, "x-test-hostname": hostname },
    });
  const connect = () =>
    new Promise<WebSocket | string>((resolve) => {
      const headers = { "x-test-hostname": hostname };
      const socket = new WebSocket(`${workerd.url.replace("http", "ws")}/socket`, { headers });
      socket.on("open", () => resolve(socket));
      socket.on("error", (error) => resolve(error.message));
    });

  it("HTTP passes as it is", async () => {
    const answer = await ask("/headers?a=b&a=c", { method: "DELETE", headers: { "x-more": "1" } });
    expect(await answer.json()).toMatchObject({
      method: "DELETE",
      url: "/headers?a=b&a=c",
      headers: { host: hostname, "x-more": "1" },
    });
    const own = await ask("/status/502");
    expect([own.status, await own.text(), own.headers.get(gateHeaders.pipe)]).toEqual([502, "of the service", null]);
  });

  it("20 MB pass there and back", async () => {
    const body = Buffer.alloc(20_000_000, "0123456789abcdef");
    const answer = await ask("/echo", { method: "POST", body });
    expect(Buffer.from(await answer.arrayBuffer()).equals(body)).toBe(true);
  });

  it("events come one by one, and stop when their reader goes", async () => {
    const reader = (await ask("/events")).body!.getReader();
    const decoder = new TextDecoder();
    const first = decoder.decode((await reader.read()).value);
    expect(first).toMatch(/^data: 0\n\n/);
    expect(first.length).toBeLessThan(50);
    let seen = first;
    while (!seen.includes("data: 4")) seen += decoder.decode((await reader.read()).value);
    await reader.cancel();
    await until(() => gate.open() === 0);
  });

  it("WebSockets echo, and close with their code", async () => {
    const socket = await connect();
    if (typeof socket === "string") throw new Error(socket);
    const binary = Buffer.alloc(200_000, 7);
    const back = new Promise<Buffer[]>((resolve) => {
      const got: Buffer[] = [];
      socket.on("message", (data: Buffer) => got.push(data) === 2 && resolve(got));
    });
    socket.send("hello");
    socket.send(binary);
    const got = await back;
    expect([got[0]!.toString(), got[1]!.equals(binary)]).toEqual(["hello", true]);
    const closed = new Promise<number>((resolve) => socket.on("close", resolve));
    socket.close(4001, "bye");
    expect(await closed).toBe(4001);
  });

  it("a caller who goes before the answer is gone at the gate", async () => {
    // By a reset: one who only closes his half may still read, as far as this runtime sees.
    const caller = createConnection(Number(new URL(workerd.url).port), "127.0.0.1");
    caller.write(`GET /silence HTTP/1.1\r\nhost: x\r\nx-test-hostname: ${hostname}\r\n\r\n`);
    await until(() => gate.open() === 1);
    caller.resetAndDestroy();
    await until(() => gate.open() === 0);
  });

  it("a machine that goes in the middle of an answer is gone at its caller", async () => {
    const reader = (await ask("/events")).body!.getReader();
    await reader.read();
    process.kill(cloudflared.state().pid!, "SIGKILL");
    const readToEnd = async () => {
      while (!(await reader.read()).done);
      return "ended";
    };
    expect(await readToEnd().catch(() => "broke")).toBe("broke");
    await until(async () => (await ask("/")).status === 200);
  });

  it("a service that breaks off is a pipe that broke", async () => {
    const broken = await ask("/break");
    expect([broken.status, broken.headers.get(gateHeaders.pipe)]).toEqual([503, "broken"]);
  });

  it("a killed cloudflared is a closed pipe, and comes again", async () => {
    const { pid } = cloudflared.state();
    process.kill(pid!, "SIGKILL");
    await until(() => server.connections(standing()[0]!.id) === 0 || cloudflared.state().pid !== pid);
    await until(async () => (await ask("/")).status === 200);
    expect(cloudflared.state().pid).not.toBe(pid);
    await cloudflared.stop();
    // The edge may learn a moment later that it is gone.
    await until(async () => (await ask("/")).headers.get(gateHeaders.pipe) === "closed");
    await begin("");
  });

  it("where quic loses upgrades, the other protocol cures it", async () => {
    await begin("drop_upgrade");
    expect(cloudflared.state().protocol).toBe("quic");
    expect(await connect()).toContain("200");
    cloudflared.switchProtocol();
    await until(() => cloudflared.state().protocol === "http2" && cloudflared.state().phase === "connected");
    const socket = await connect();
    expect(typeof socket).not.toBe("string");
    if (typeof socket !== "string") socket.terminate();
  });

  it("where no quic gets out, http2 has its turn", async () => {
    await begin("block_quic", 1_000);
    expect(cloudflared.state().protocol).toBe("http2");
    expect(await (await ask("/echo", { method: "POST", body: "hello" })).text()).toBe("hello");
  });

  it("the token is in no argument and no log", () => {
    expect(readFileSync(`/proc/${cloudflared.state().pid}/cmdline`, "utf8")).not.toContain(token);
    expect(JSON.stringify([lines, cloudflared.state()])).not.toContain(token);
  });

  it("a closed tunnel lets nobody through, and its cloudflared may not come again", async () => {
    const tunnels = createTunnels(settings());
    expect(await tunnels.closeTunnel(whose)).toEqual({ ok: true });
    const closed = await ask("/");
    expect([closed.status, closed.headers.get(gateHeaders.pipe)]).toEqual([503, "closed"]);
    await until(() => cloudflared.state().phase === "waiting");
    expect(server.state.records).toEqual([]);
  });
});
