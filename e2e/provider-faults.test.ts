/**
 * The adapter to vast.ai under every fault of the stand-in's API, both real, over HTTP. Whatever goes wrong: a create is
 * sent once; a list is whole or it failed; a machine is gone only by the words of one who has the key; every call ends.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { BillRow } from "../local-cloud/vast/bill.ts";
import type { LocalMachine } from "../local-cloud/vast/control.ts";
import type { FaultOrder } from "../local-cloud/vast/fault-rules.ts";
import { FAULTS, type FaultName, kindOf } from "../local-cloud/vast/faults.ts";
import { startVastStandIn, type VastStandIn } from "../local-cloud/vast/server.ts";
import type { CreateRequest, OfferQuery, Provider, ProviderErrorCode } from "../worker/providers/provider.ts";
import { createVastProvider } from "../worker/providers/vast.ts";

const apiKey = "faults-key-1234";
const stateDir = mkdtempSync(join(tmpdir(), "soneca-provider-faults-"));
const query: OfferQuery = {
  gpuType: null,
  gpuCount: 1,
  region: null,
  diskGb: 30,
  maxMicroUsdPerHour: null,
  avoidMachineIds: [],
  minGpuRamMb: null,
};
let standIn: VastStandIn;
/** Runs before the first fault and is there whatever is tried. */
let kept: number;
let labels = 0;

const isPatient = { readMs: 10_000, writeMs: 10_000, createMs: 10_000 };
const isHasty = { readMs: 150, writeMs: 150, createMs: 150 };

/** A provider that keeps count of what it sends. */
function open(timeouts = isPatient): Provider & { sent: string[] } {
  const sent: string[] = [];
  const send: typeof fetch = (input, init) => {
    sent.push(`${init?.method} ${new URL(String(input)).pathname}`);
    return fetch(input, init);
  };
  return {
    ...createVastProvider({ baseUrl: standIn.url, apiKey, fetch: send, sleep: async () => {}, timeouts }),
    sent,
  };
}

async function buildRequest(): Promise<CreateRequest> {
  const found = await open().searchOffers(query);
  if (!found.ok) throw new Error(found.message);
  const label = `soneca-faults:${++labels}`;
  return {
    offerId: found.offers[0]!.id,
    label,
    image: "x:1",
    diskGb: 30,
    env: {},
    onstart: "# soneca-onstart\ntrue\n",
  };
}

/** By the stand-in's own word, which no fault reaches. */
async function standing(): Promise<LocalMachine[]> {
  const answer = await fetch(`${standIn.url}/local/machines`);
  return ((await answer.json()) as { machines: LocalMachine[] }).machines;
}

async function arm(order: Record<string, unknown>): Promise<void> {
  const armed = standIn.faults.arm(order);
  if (!armed.ok) throw new Error(armed.message);
}

beforeAll(async () => {
  standIn = await startVastStandIn({ port: 0, stateDir, apiKey, bootMs: 20 });
  const made = await open().createMachine({ ...(await buildRequest()), label: "kept" });
  if (!made.ok) throw new Error(made.message);
  kept = made.id;
});
afterEach(async () => {
  standIn.faults.clear();
  for (const { id } of (await standing()).filter((one) => one.id !== kept)) await open().destroyMachine(id);
  for (let i = 0; i < 200 && (await standing()).length > 1; i++) await new Promise((done) => setTimeout(done, 20));
});
afterAll(async () => {
  await standIn.close();
  rmSync(stateDir, { recursive: true, force: true });
});

type Operation = "search" | "create" | "list" | "label" | "stop" | "start" | "destroy";
const OPERATIONS: Operation[] = ["search", "create", "list", "label", "stop", "start", "destroy"];

function call(provider: Provider, operation: Operation, request: CreateRequest) {
  switch (operation) {
    case "search":
      return provider.searchOffers(query);
    case "create":
      return provider.createMachine(request);
    case "list":
      return provider.listMachines();
    case "label":
      return provider.setLabel(kept, "kept");
    case "stop":
      return provider.stopMachine(kept);
    case "start":
      return provider.startMachine(kept);
    case "destroy":
      return provider.destroyMachine(kept);
  }
}

interface Case {
  order: Omit<FaultOrder, "on">;
  code: ProviderErrorCode;
  /** The call has its effect all the same, at once or later. */
  works?: boolean;
  timeouts?: typeof isPatient;
}

const slow = { ms: 60_000 };
const CASES: Case[] = [
  { order: { name: "lost_before" }, code: "provider_unavailable" },
  { order: { name: "html_502" }, code: "provider_unavailable" },
  { order: { name: "error_5xx" }, code: "provider_unavailable" },
  { order: { name: "success_false" }, code: "provider_unavailable" },
  { order: { name: "rate_limited" }, code: "provider_rate_limited" },
  { order: { name: "auth_error" }, code: "provider_auth" },
  { order: { name: "forbidden" }, code: "provider_auth" },
  { order: { name: "lost_before", ...slow }, code: "provider_unavailable", timeouts: isHasty },
  { order: { name: "slow", ms: 400 }, code: "provider_unavailable", works: true, timeouts: isHasty },
  { order: { name: "lost_after" }, code: "provider_unavailable", works: true },
  { order: { name: "lost_after", ...slow }, code: "provider_unavailable", works: true, timeouts: isHasty },
  { order: { name: "answer_slow", ...slow }, code: "provider_unavailable", works: true, timeouts: isHasty },
  { order: { name: "answer_trickle", amount: 1 }, code: "provider_unavailable", works: true, timeouts: isHasty },
  { order: { name: "answer_cut" }, code: "provider_unavailable", works: true },
  { order: { name: "error_after" }, code: "provider_unavailable", works: true },
  { order: { name: "answer_garbled" }, code: "provider_unavailable", works: true },
];
const variantsOf = (name: FaultName) => kindOf(name).variants ?? [undefined];

/** Every call under the first shape of a fault, and under the others those that can cost or lose something. */
function operationsOf(isFirst: boolean, works: boolean): Operation[] {
  const operations = isFirst ? OPERATIONS : (["create", "list", "destroy"] as const);
  // What has its effect would take the machine away that the others need.
  return operations.filter((one) => !works || !["stop", "start", "destroy"].includes(one));
}

const TABLE = CASES.flatMap((one) =>
  variantsOf(one.order.name).flatMap((variant, index) =>
    operationsOf(index === 0, one.works ?? false).map((operation) => ({ ...one, variant, operation })),
  ),
);

describe("a call ends in its code", () => {
  it.each(TABLE)("$operation under $order.name $order.ms $variant: $code", async (one) => {
    const { order, variant, operation, code, works = false, timeouts } = one;
    const request = await buildRequest();
    const provider = open(timeouts);
    await arm({ ...order, on: operation, ...(variant !== undefined && { variant }) });
    const answer = await call(provider, operation, request);
    expect(answer).toMatchObject({ ok: false, code });
    if (code === "provider_rate_limited") {
      expect((answer as { retryAfterMs?: number }).retryAfterMs).toBeGreaterThan(0);
    }
    const isRepeated = operation !== "create" && code === "provider_unavailable";
    expect(provider.sent).toHaveLength(isRepeated ? 3 : 1);
    standIn.faults.clear();
    const made = async () => (await standing()).filter(({ label }) => label === request.label).length;
    for (let i = 0; works && operation === "create" && i < 100 && (await made()) === 0; i++) {
      await new Promise((done) => setTimeout(done, 20));
    }
    expect(await made()).toBe(works && operation === "create" ? 1 : 0);
    expect((await standing()).some(({ id }) => id === kept)).toBe(true);
  });
});

describe("a list is whole, or it failed", () => {
  const broken = ["list_fails", "list_short", "list_empty", "list_row_odd", "list_circle"] as const;
  it.each(broken.flatMap((name) => variantsOf(name).map((variant) => [name, variant] as const)))(
    "%s, %s",
    async (name, variant) => {
      await arm({ name, ...(variant && { variant }) });
      expect(await open().listMachines()).toMatchObject({ ok: false, code: "provider_unavailable" });
    },
  );

  it("over many pages, doubled rows and numbers that are text", async () => {
    for (let i = 0; i < 3; i++) await open().createMachine(await buildRequest());
    const ids = (await standing()).map(({ id }) => id).sort();
    for (const order of [{ name: "list_pages" }, { name: "list_doubled" }, { name: "numbers_as_text", on: "list" }]) {
      await arm(order);
      const list = await open().listMachines();
      expect(list.ok && list.machines.map(({ id }) => id).sort()).toEqual(ids);
    }
    await arm({ name: "list_short", after: 2 });
    expect(await open().listMachines()).toMatchObject({ ok: false });
    standIn.faults.replace([{ name: "list_pages" }, { name: "list_token_refused" }]);
    expect(await open().listMachines()).toMatchObject({ ok: false });
    standIn.faults.replace([{ name: "list_pages" }, { name: "error_5xx", on: "list", after: 2 }]);
    expect(await open().listMachines()).toMatchObject({ ok: false, code: "provider_unavailable" });
  });

  it("shows what it is told of a machine, and no more", async () => {
    for (const [order, seen] of [
      [{ name: "flap", variant: "offline" }, { phase: "lost" }],
      [{ name: "flap", variant: "unknown" }, { phase: "lost" }],
      [{ name: "status_null" }, { phase: "loading", rawStatus: null }],
      [{ name: "label_hidden" }, { label: null }],
      [{ name: "ports_late" }, { id: kept }],
      [{ name: "start_date_skew" }, { id: kept }],
    ] as const) {
      await arm({ ...order, times: 1 });
      const list = await open().listMachines();
      expect(list.ok && list.machines).toMatchObject([seen]);
    }
  });
});

describe("a create", () => {
  it.each([
    ...["400", "404", "410", "403"].map((variant) => ["offer_taken", variant, "offer_gone"] as const),
    ...["400", "402", "spend_rate_limit"].map((v) => ["insufficient_credit", v, "provider_no_credit"] as const),
    ["create_refused", undefined, "provider_refused"],
  ] as const)("%s, %s: nothing is made, and the code says why", async (name, variant, code) => {
    const request = await buildRequest();
    await arm({ name, ...(variant && { variant }) });
    expect(await open().createMachine(request)).toMatchObject({ ok: false, code });
    expect(await standing()).toHaveLength(1);
  });

  it.each(["400", "200"])("create_error_with_contract, %s: what it left is named", async (variant) => {
    await arm({ name: "create_error_with_contract", variant });
    const answer = await open().createMachine(await buildRequest());
    const stray = (await standing()).find(({ id }) => id !== kept)!;
    expect(answer).toMatchObject({ ok: false, strayId: stray.id });
  });

  it("created_twice: the list shows both under the label", async () => {
    const request = await buildRequest();
    await arm({ name: "created_twice", times: 1 });
    expect(await open().createMachine(request)).toMatchObject({ ok: true });
    const list = await open().listMachines();
    expect(list.ok && list.machines.filter(({ label }) => label === request.label)).toHaveLength(2);
  });

  it("price_changed and create_queued: the list tells the price that is billed, and that no GPU is there", async () => {
    const request = await buildRequest();
    standIn.faults.replace([{ name: "price_changed", amount: 500 }, { name: "create_queued" }]);
    await open().createMachine(request);
    const list = await open().listMachines();
    const made = list.ok && list.machines.find(({ label }) => label === request.label);
    const { bill } = (await (await fetch(`${standIn.url}/local/bill`)).json()) as { bill: BillRow[] };
    const row = bill.find(({ label }) => label === request.label)!;
    expect(made).toMatchObject({ phase: "queued" });
    expect(
      Math.abs((made as { microUsdPerHour: number }).microUsdPerHour - (row.dph + row.diskDph) * 1e6),
    ).toBeLessThan(2);
  });
});

describe("a call by id", () => {
  it.each([
    ["no_such_instance", { ok: true, gone: true }],
    ["not_found", { ok: true, gone: true }],
    ["html", { ok: false, code: "provider_unavailable" }],
  ])("not_found, %s: gone only by the provider's own words", async (variant, expected) => {
    await arm({ name: "not_found", variant, on: "destroy" });
    expect(await open().destroyMachine(kept)).toMatchObject(expected);
    await arm({ name: "not_found", variant: "no_such_instance", on: "label" });
    expect(await open().setLabel(kept, "x")).toMatchObject({ ok: false, code: "provider_refused" });
  });

  it("a destroy whose answer is lost, or that is sent twice, is repeated and ends well", async () => {
    for (const name of ["lost_after", "error_after", "answer_garbled", "call_doubled"] as const) {
      const made = await open().createMachine(await buildRequest());
      if (!made.ok) throw new Error(made.message);
      await arm({ name, on: "destroy", times: 1 });
      const provider = open();
      expect(await provider.destroyMachine(made.id)).toMatchObject({ ok: true });
      expect(provider.sent.length).toBeLessThanOrEqual(2);
    }
    expect((await standing()).some(({ id }) => id === kept)).toBe(true);
  });

  it.each(["500", "success_false", "html_502"])("destroy_fails, %s: not done and not said to be", async (variant) => {
    await arm({ name: "destroy_fails", variant });
    expect(await open().destroyMachine(kept)).toMatchObject({ ok: false, code: "provider_unavailable" });
  });

  it("ignored and destroy_lag: accepted is not gone", async () => {
    await arm({ name: "ignored" });
    expect(await open().destroyMachine(kept)).toEqual({ ok: true, gone: false });
    standIn.faults.clear();
    const made = await open().createMachine(await buildRequest());
    await arm({ name: "destroy_lag", ms: 60_000, variant: "running", times: 1 });
    const id = made.ok ? made.id : 0;
    expect(await open().destroyMachine(id)).toEqual({ ok: true, gone: false });
    const list = await open().listMachines();
    expect(list.ok && list.machines.some((one) => one.id === id)).toBe(true);
    await standIn.close();
    standIn = await startVastStandIn({ port: 0, stateDir, apiKey, bootMs: 20 });
  });
});

describe("a search", () => {
  it("never offers what does not fit, whatever the provider filtered, nor fails for numbers that are text", async () => {
    for (const order of [{ name: "search_ignores_filters" }, { name: "numbers_as_text", on: "search" }]) {
      await arm(order);
      const found = await open().searchOffers({ ...query, gpuType: "RTX 4090", region: "EU" });
      expect(found.ok && found.offers.length).toBeGreaterThan(0);
      expect(found.ok && new Set(found.offers.map(({ gpuType }) => gpuType))).toEqual(new Set(["RTX 4090"]));
    }
    await arm({ name: "search_empty" });
    expect(await open().searchOffers(query)).toEqual({ ok: true, offers: [] });
  });

  it("that is stale offers what is taken, and a create says so", async () => {
    const request = await buildRequest();
    await open().createMachine(request);
    await arm({ name: "search_stale" });
    const found = await open().searchOffers(query);
    expect(found.ok && found.offers.some(({ id }) => id === request.offerId)).toBe(true);
    expect(await open().createMachine({ ...request, label: "again" })).toMatchObject({ ok: false, code: "offer_gone" });
  });
});

/** Beyond what an adapter can see: who decides must look again, at the label and at the next list. */
const LIES: Record<string, string> = {
  list_misses: "a list that is whole by its own word",
  list_stale: "the same",
  list_lag: "the same",
  answer_repeated: "an answer to another call",
  label_lost: "a machine that is nobody's",
  search_stale: "seen at the create",
  stop_lag: "seen in the list",
  start_queued: "seen in the list, and in conformance",
  create_timeout_but_created: "in conformance",
  rate_limits: "as rate_limited",
};

it("every fault of the API is looked at here, or said to be beyond an adapter", async () => {
  const text = (await import("node:fs")).readFileSync(import.meta.filename, "utf8");
  const ofBoots = Object.keys(FAULTS).filter((name) => kindOf(name as FaultName).at[0] === "boot");
  const ofHosts = ["interrupted", "host_dies"];
  const left = Object.keys(FAULTS).filter(
    (name) => !text.includes(`"${name}"`) && !(name in LIES) && !ofBoots.includes(name) && !ofHosts.includes(name),
  );
  expect(left).toEqual([]);
});
