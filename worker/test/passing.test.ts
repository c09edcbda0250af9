/** The wake proxy while the machine is there: what passes to its services, and whom it lets pass. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { gatePaths } from "../../core/protocol/gate.ts";
import type { Env } from "../env.ts";
import { serveService, serviceAddressOf } from "../proxy/serve.ts";
import { realWait, runningInstance, type Sleeper, type TestUser } from "./helpers.ts";
import { type AgentStream, RelayAgent } from "./relay-agent.ts";
import { endScene, setScene } from "./scene.ts";

let user: TestUser;
let nest: Sleeper;
/** What reached the service, and not the gate's own paths. */
let served: AgentStream[];

beforeEach(async () => {
  const scene = await setScene();
  user = scene.user;
  const { nest: one, agent } = await runningInstance(scene.vast, user, { wake_method: "auto" });
  nest = one;
  served = [];
  const relay = new RelayAgent();
  relay.onOpen = answer;
  expect(await relay.connect(nest.id, agent.epoch)).toBe(101);
  for (let i = 0; i < 20 && !(await nest.view()).proxy.is_open; i++) {
    await agent.beat({ extra: { gate: { port: 4711, keyed: true, pipe: "relay", isOpen: true } } });
    await realWait(50);
  }
});
afterEach(endScene);

function answer(stream: AgentStream): void {
  switch (stream.head.path) {
    case gatePaths.http:
      return void stream.answer(200).push("ok").end();
    case gatePaths.events:
      stream.answer(200).push("data: 1\n\n");
      return void setTimeout(() => stream.push("data: 2\n\n").end(), 4);
    case gatePaths.socket:
      stream.onMessage = (type, bytes) => void stream.message(type, bytes.slice());
      return void stream.answer(101);
    default:
      served.push(stream);
      stream.answer(200).push("of the service").end();
  }
}

function ask(init: RequestInit, bindings: Partial<Env> = {}): Promise<Response> {
  const request = new Request(`http://soneca.test/p/${nest.id}/v1/models`, init);
  const all = { ...env, ...bindings } as Env;
  return serveService(request, all, serviceAddressOf(request, all)!);
}

describe("without a key", () => {
  const preflight = { origin: "http://other.test", "access-control-request-method": "GET" };

  it("a browser's preflight passes, as the question that it is", async () => {
    const response = await ask({ method: "OPTIONS", headers: preflight });
    expect([response.status, await response.text()]).toEqual([200, "of the service"]);
    expect(served.map(({ head }) => [head.method, head.isUpgrade])).toEqual([["OPTIONS", false]]);
  });

  it("nothing that asks for a WebSocket is a preflight", async () => {
    for (const upgrade of ["websocket", "WebSocket", "h2c"]) {
      const response = await ask({ method: "OPTIONS", headers: { ...preflight, upgrade } });
      expect([upgrade, response.status]).toEqual([upgrade, 401]);
    }
    expect((await ask({ method: "GET", headers: { upgrade: "websocket" } })).status).toBe(401);
    expect(served).toEqual([]);
  });
});

it("only a GET is passed on as a WebSocket", async () => {
  const headers = { "x-soneca-key": user.token, upgrade: "websocket" };
  for (const method of ["POST", "OPTIONS", "GET"]) await ask({ method, headers });
  expect(served.map(({ head }) => [head.method, head.isUpgrade])).toEqual([
    ["POST", false],
    ["OPTIONS", false],
    ["GET", true],
  ]);
});

describe("a GET or HEAD", () => {
  /** As it comes from outside: by itself no Request is made so. */
  function withBody(method: string, headers: Record<string, string>, parts: string[]): Request {
    const request = new Request(`http://soneca.test/p/${nest.id}/v1/models`, {
      method,
      headers: { "x-soneca-key": user.token, ...headers },
    });
    const body = new ReadableStream({
      start(controller) {
        for (const part of parts) controller.enqueue(new TextEncoder().encode(part));
        controller.close();
      },
    });
    return Object.defineProperty(request, "body", { value: body });
  }
  const serve = (request: Request) => serveService(request, env as Env, serviceAddressOf(request, env as Env)!);

  it.each<[string, Record<string, string>]>([
    ["GET", { "content-length": "0" }],
    ["HEAD", { "content-length": "0" }],
    ["GET", { "transfer-encoding": "chunked" }],
  ])("%s with an empty body passes without one (%o)", async (method, headers) => {
    expect((await serve(withBody(method, headers, []))).status).toBe(200);
    expect(served.map(({ head }) => [head.method, head.hasBody])).toEqual([[method, false]]);
    const names = served[0]!.head.headers.map(([name]) => name);
    expect(names).not.toContain("content-length");
    expect(names).not.toContain("transfer-encoding");
  });

  it.each<[string, Record<string, string>]>([
    ["GET", { "content-length": "2" }],
    ["HEAD", { "content-length": "2" }],
    ["GET", { "transfer-encoding": "chunked" }],
  ])("%s with something in it is told that it cannot pass (%o)", async (method, headers) => {
    const response = await serve(withBody(method, headers, ["{}"]));
    expect([response.status, await response.json()]).toMatchObject([400, { error: { code: "get_has_body" } }]);
    expect(served).toEqual([]);
  });
});
