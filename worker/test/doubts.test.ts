/** What the proxy does about a try that failed, and what it tells the instance's object, which is a script here. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { gateHeaders } from "../../core/protocol/gate.ts";
import { type InstanceId, newInstanceId } from "../../core/protocol/ids.ts";
import { defaultProxy } from "../../core/protocol/proxy.ts";
import type { Env } from "../env.ts";
import { type KnockAnswer, Knocking, type KnockRequest } from "../instance/knocking.ts";
import { serveService, serviceAddressOf } from "../proxy/serve.ts";

const proxy = { ...defaultProxy, access: "public" as const };
let instance: InstanceId;
let knocks: Partial<KnockRequest>[];
let sent: string[];

beforeEach(() => {
  instance = newInstanceId(crypto.getRandomValues(new Uint8Array(10)));
  knocks = [];
  sent = [];
});
afterEach(() => vi.restoreAllMocks());

const open = (): KnockAnswer => ({
  ...{ kind: "open", name: "nest", owner: "u-aaaaaaaaaa" as never, proxy },
  way: { instance, epoch: 7, pipe: "tunnel", gatePort: 4711 },
});
const waking = (): KnockAnswer => ({
  ...{ kind: "closed", code: "waking", name: "nest", status: "waking", proxy },
  wait: { phase: "booting", since: 0, left: null, retryAfterMs: 1_000 },
});

/** Each answer stands for one call, the last for all that follow. */
function script<T>(steps: (() => T)[]): () => T {
  let n = 0;
  return () => steps[Math.min(n++, steps.length - 1)]!();
}

interface Script {
  object?: (() => KnockAnswer)[];
  edge: (() => Response)[];
  method?: string;
  headers?: Record<string, string>;
}

async function ask({ object = [open], edge, method = "GET", headers = {} }: Script): Promise<string> {
  const [nextKnock, nextAnswer] = [script(object), script(edge)];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (request) => {
    sent.push((request as Request).method);
    return nextAnswer();
  });
  const knock = async ({ shut, doubted, sealed }: KnockRequest) => {
    knocks.push({ ...(shut && { shut }), ...(doubted && { doubted }), ...(sealed && { sealed }) });
    return nextKnock();
  };
  const bindings = {
    ...env,
    ...{
      CLOUDFLARE_ACCOUNT_ID: "a",
      CLOUDFLARE_ZONE_ID: "z",
      CLOUDFLARE_ZONE: "example.com",
      CLOUDFLARE_API_TOKEN: "t",
    },
    INSTANCE: { getByName: () => ({ knock }) },
  } as unknown as Env;
  const request = new Request(`http://soneca.test/p/${instance}/`, { method, headers });
  const response = await serveService(request, bindings, serviceAddressOf(request, bindings)!);
  const text = await response.text();
  return `${response.status} ${response.ok ? text : JSON.parse(text).error.code}`;
}

const ok = () => new Response("of the service");
const edgePage = (status: number) => () =>
  new Response(`error code: ${status}`, { status, headers: { "content-type": "text/plain" } });
const sealed = () => new Response("sealed", { status: 503, headers: { [gateHeaders.error]: "sealed" } });

it("an answer that the edge waits for no longer is said to be late: nothing is sent again, and the way is not doubted", async () => {
  expect(await ask({ edge: [edgePage(524)] })).toBe("504 answer_too_late");
  expect(sent).toEqual(["GET"]);
  expect(knocks).toEqual([{}]);
});

it("a way that breaks is tried again by what changes nothing, and doubted, not shut", async () => {
  expect(await ask({ edge: [edgePage(520)] })).toBe("503 machine_out_of_reach");
  expect(sent).toEqual(["GET", "GET", "GET"]);
  expect(knocks.filter((one) => "shut" in one)).toEqual([]);
  expect(knocks.filter((one) => "doubted" in one)).toEqual([{ doubted: 7 }, { doubted: 7 }]);
});

it("what may have an effect is sent over it once", async () => {
  expect(await ask({ edge: [edgePage(520)], method: "POST" })).toBe("503 machine_out_of_reach");
  expect(sent).toEqual(["POST"]);
});

it("a way that leads nowhere is shut", async () => {
  expect(await ask({ object: [open, waking], edge: [edgePage(530)] })).toBe("503 waking");
  expect(knocks).toEqual([{}, { shut: 7 }]);
});

it("who is held is told of the seal once, and goes on as soon as the machine is back", async () => {
  const told = await ask({ object: [open, waking, open], edge: [sealed, ok], headers: { prefer: "wait=30" } });
  expect(told).toBe("200 of the service");
  expect(knocks).toEqual([{}, { sealed: true }, {}]);
});

it("one call may hold for long: of it, the seal counts for the first look alone", async () => {
  const state = { instance, owner: "u", name: "nest", config: { proxy, wake_method: "auto" } };
  const now = { status: "running", since: 0, machine: { epoch: 7 } };
  const knocking = new Knocking({
    state: () => ({ ...state, now }),
    context: () => ({ now: Date.now(), timings: {} }),
    progress: () => null,
    gate: { openWay: () => ({ instance, epoch: 7 }), tryAgain: () => undefined },
    pastWakes: { learn: async () => undefined, of: () => null },
  } as never);
  const nature = { method: "GET", path: "/", isRobot: false, isPreflight: false };
  const held = knocking.knock({ ...nature, caller: { kind: "anybody" }, port: null, waitMs: 20_000, sealed: true });
  const isHeld = await Promise.race([held, scheduler.wait(50).then(() => "held")]);
  expect(isHeld).toBe("held");
  knocking.notify();
  expect(await held).toMatchObject({ kind: "open" });
});

it("an object that begins anew is asked once more, and one that has too much to do is not", async () => {
  const broken = (more: object) => (): KnockAnswer => {
    throw Object.assign(new Error("Durable Object reset because its code was updated."), more);
  };
  const anew = broken({ retryable: true });
  expect(await ask({ object: [anew, open], edge: [ok] })).toBe("200 of the service");
  expect(knocks).toHaveLength(2);
  knocks = [];
  instance = newInstanceId(crypto.getRandomValues(new Uint8Array(10)));
  expect(await ask({ object: [anew, anew, open], edge: [ok] })).toBe("500 internal");
  expect(await ask({ object: [broken({ retryable: true, overloaded: true }), open], edge: [ok] })).toBe("500 internal");
  expect(await ask({ object: [broken({}), open], edge: [ok] })).toBe("500 internal");
  expect(knocks).toHaveLength(4);
});
