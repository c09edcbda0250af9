/** The gate of a machine as its object knows it, where tunnels are wanted and Cloudflare is not there. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { gateHeaders } from "../../core/protocol/gate.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { GateReport } from "../../core/protocol/wire.ts";
import type { Env } from "../env.ts";
import { type GateRow, InstanceGate } from "../instance/gate.ts";
import { advance, startClock } from "./helpers.ts";

const account = {
  ...{ PIPE: "tunnel", CLOUDFLARE_ACCOUNT_ID: "a", CLOUDFLARE_ZONE_ID: "z", CLOUDFLARE_ZONE: "example.com" },
  ...{ CLOUDFLARE_API_TOKEN: "t", CLOUDFLARE_API_URL: "http://cloudflare.test" },
};

let row: GateRow | null;
let work: Promise<void>[];
beforeEach(() => {
  startClock();
  row = null;
  work = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response("down", { status: 503 }));
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Anew for each report, as after an eviction: what counts is what was written. */
function gate(more: object = {}): InstanceGate {
  return new InstanceGate({ ...env, ...account, ...more } as Env, {
    instance: () => "i-aaaaaaaaaa" as InstanceId,
    load: () => row,
    save: (next) => {
      row = next;
    },
    keep: (one) => void work.push(one),
    onReady: () => undefined,
  });
}

async function report(change: Partial<GateReport> = {}, epoch = 1, more: object = {}) {
  const said: GateReport = { port: 4711, keyed: false, pipe: null, isOpen: false, ...change };
  const one = gate(more);
  one.learn(epoch, said);
  const order = await one.order(epoch, said);
  await Promise.all(work);
  return order?.pipe.kind;
}

it("waits for its tunnel, notes that it may have one, and takes the relay once it waited long enough", async () => {
  expect(await report()).toBeUndefined();
  expect(row?.tunnels).toEqual([1]);
  advance(80_000);
  expect(await report()).toBeUndefined();
  advance(11_000);
  expect(await report()).toBe("relay");
  // For the rest of this machine's life, and not of the next one's.
  expect(await report({ keyed: true, pipe: "relay", isOpen: true })).toBeUndefined();
  expect(await report({}, 2)).toBeUndefined();
  expect(row?.tunnels).toEqual([1, 2]);
});

it("a tunnel that was open and is not for a while has its time anew", async () => {
  await report();
  advance(60_000);
  await report({ keyed: true, pipe: "tunnel", isOpen: true });
  advance(600_000);
  expect(await report({ keyed: true, pipe: "tunnel", isOpen: false })).toBeUndefined();
  advance(91_000);
  expect(await report({ keyed: true, pipe: "tunnel", isOpen: false })).toBe("relay");
});

it("without an account of Cloudflare there is nothing to wait for", async () => {
  expect(await report({}, 1, { CLOUDFLARE_API_TOKEN: "" })).toBe("relay");
});

/** A relay that answers every request of a probe with this. */
function relayOf(answer: () => Response) {
  return { PIPE: "relay", RELAY: { getByName: () => ({ fetch: async () => answer() }) } };
}
const pipeError = (code: string) => () => new Response("why", { status: 503, headers: { [gateHeaders.pipe]: code } });

it.each([
  ["that fails shuts it", "broken", null],
  ["that finds no room says nothing of it", "full", 1],
])("a way that is doubted stays open while it is tried; a probe %s", async (_, code, readyAt) => {
  row = { epoch: 1, port: 4711, pipe: "relay", readyAt: 1 };
  const one = gate(relayOf(pipeError(code)));
  const tried = one.doubt(1);
  expect(one.openWay(1)).toMatchObject({ epoch: 1 });
  await tried;
  expect(row).toMatchObject({ readyAt });
});

it("a way that was found shut is shut at once", () => {
  row = { epoch: 1, port: 4711, pipe: "relay", readyAt: 1 };
  const one = gate(relayOf(pipeError("broken")));
  one.shut(2);
  expect(one.openWay(1)).not.toBeNull();
  one.shut(1);
  expect(one.openWay(1)).toBeNull();
});
