/** Waking in workerd: the ladder, machines side by side, two clients at once, what is usual, wakes that keep trying. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ErrorBody } from "../../core/protocol/errors.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import {
  type Answer,
  advance,
  alarmAfter,
  api,
  type FakeAgent,
  fallAsleep,
  newUser,
  runningInstance,
  type Sleeper,
  settle,
  sqlOf,
  type TestUser,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import { type FakeVast, offer, vastErrors } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;

beforeEach(async () => {
  ({ vast, user } = await setScene());
});
afterEach(endScene);

async function asleep(): Promise<Sleeper> {
  const { nest, agent } = await runningInstance(vast, user, { delete_after_pause_minutes: 60 });
  await fallAsleep(nest, agent);
  advance(61_000);
  return nest;
}

async function restored(agent: FakeAgent): Promise<void> {
  await agent.beat({ gpu: 0 });
  const { id, snapshot } = agent.command("restore");
  await agent.beat({ gpu: 0, results: [{ commandId: id, outcome: "restored", digest: snapshot.digest }] });
}

const lastEvent = async (nest: Sleeper, type: string) =>
  (await nest.events()).findLast((one) => one.event_type === type)?.params;

describe("the ladder", () => {
  it("climbs to the same GPU elsewhere, and says why", async () => {
    const nest = await asleep();
    vast.offers = [offer(7101, 0.4, { geolocation: "Sweden, SE" })];
    await nest.post("wake", { region: "BR" });
    await settle(nest.id);
    expect(await lastEvent(nest, "machine_rented")).toMatchObject({
      rung: "elsewhere",
      ladder: "same: no offers; elsewhere: 1 offer",
    });
  });

  it("climbs to a GPU of at least that memory, the cheapest with its traffic", async () => {
    const nest = await asleep();
    vast.offers = [
      offer(7102, 0.3, { gpu_name: "RTX 3080", gpu_ram: 10_240 }),
      offer(7103, 0.5, { gpu_name: "A6000", gpu_ram: 49_140 }),
      offer(7104, 0.45, { gpu_name: "RTX 3090", gpu_ram: 24_576 }),
    ];
    await nest.post("wake");
    await settle(nest.id);
    expect(await lastEvent(nest, "machine_rented")).toMatchObject({ rung: "other_gpus", gpu_type: "RTX 3090" });
  });

  it("without a cap nothing dearer than twice the usual is rented; with one it is, up to the cap", async () => {
    const nest = await asleep();
    vast.offers = [offer(7105, 1.5), offer(7106, 2.5)];
    const before = vast.count("create");
    await nest.post("wake");
    await settle(nest.id);
    expect(await nest.view()).toMatchObject({ state: "hibernated", trouble: { code: "no_offer" } });
    expect((await lastEvent(nest, "wake_failed"))?.ladder).toBe(
      "same: no offers, 2 dearer than is usual; elsewhere: skipped, no region was asked for; other_gpus: no offers, 2 dearer than is usual; cap: skipped, no price cap is set",
    );
    expect(vast.count("create")).toBe(before);

    advance(61_000);
    await nest.post("wake", { max_micro_usd_per_hour: 2_000_000 });
    await settle(nest.id);
    expect(await lastEvent(nest, "machine_rented")).toMatchObject({ rung: "cap", micro_usd_per_hour: 1_500_000 });
    expect(await nest.view()).toMatchObject({ rent: { max_micro_usd_per_hour: 2_000_000, parallel: 2 } });
  });

  it("a machine that costs more than its offer said is given back", async () => {
    const nest = await asleep();
    vast.markup = 1.025;
    await nest.post("wake", { max_micro_usd_per_hour: 405_000, rent: { parallel: 1 } });
    await settle(nest.id);
    expect((await lastEvent(nest, "machine_abandoned"))?.code).toBe("price_above_cap");
    await alarmAfter(nest.id, 3_500);
    expect(vast.withLabel(`soneca:${nest.id}:2`)).toEqual([]);
  });
});

describe("an offer that is refused", () => {
  const asked = () => vast.calls.filter((one) => one.operation === "create").map((one) => one.id);
  const refuse = (status: number, msg: string) =>
    Response.json({ success: false, error: "no_such_ask", msg }, { status });

  it.each([
    [410, "error 410/3907: no_such_ask Instance type 7001 is no longer available."],
    [403, "error 403/3586: Offer 7001 is not your own"],
  ])("with %i and stays listed is not asked for again while there are others", async (status, msg) => {
    const nest = await asleep();
    vast.always.create = (id) => (id === 7001 ? refuse(status, msg) : null);
    const before = asked().length;
    await nest.post("wake");
    await settle(nest.id);
    expect(asked().slice(before)).toEqual([7001, 7002]);
    expect(await nest.view()).toMatchObject({
      state: "provisioning",
      machine: { epoch: 3, micro_usd_per_hour: 500_000 },
    });
    // Who looks around sees it all the same.
    const { body } = await api<{ offers: unknown[] }>("GET", `/api/offers?instance=${nest.id}`, { token: user.token });
    expect(body.offers).toHaveLength(2);
  });

  it("is left for a rung that has others, and asked for again where no rung has any", async () => {
    const nest = await asleep();
    vast.offers = [offer(7001, 0.4), offer(7003, 0.45, { geolocation: "Sweden, SE" })];
    vast.always.create = (id) => (id === 7001 ? vastErrors.offerGone() : null);
    await nest.post("wake", { region: "BR" });
    await settle(nest.id);
    expect(await lastEvent(nest, "machine_rented")).toMatchObject({
      rung: "elsewhere",
      ladder:
        "same: no offers, 1 refused or asked for a moment ago; elsewhere: 1 offer, 1 refused or asked for a moment ago",
    });

    vast.always = {};
    const other = await asleep();
    vast.offers = [offer(7004, 0.4)];
    vast.once("create", vastErrors.offerGone);
    const before = asked().length;
    await other.post("wake");
    await settle(other.id);
    expect(asked().slice(before)).toEqual([7004, 7004]);
    expect(await other.view()).toMatchObject({ state: "provisioning", machine: { epoch: 3 } });
    expect(await lastEvent(other, "machine_rented")).toMatchObject({ rung: "same", ladder: "same: 1 offer" });
  });
});

it("eight that wake at the same moment ask for eight offers", async () => {
  const nests: Sleeper[] = [];
  for (let i = 0; i < 8; i++) {
    const { nest, agent } = await runningInstance(vast, user, { delete_after_pause_minutes: 600 });
    await fallAsleep(nest, agent);
    nests.push(nest);
    advance(10_000);
  }
  advance(120_000);
  vast.offers = Array.from({ length: 20 }, (_, i) => offer(8001 + i, 0.3 + i / 100));
  vast.always.create = (id) => {
    if (!vast.offers.some((one) => one.id === id)) return vastErrors.offerGone();
    return null;
  };
  const effect = vast.effect.bind(vast);
  vi.spyOn(vast, "effect").mockImplementation((operation, id, body, account) => {
    const answer = effect(operation, id, body, account);
    if (operation === "create") vast.offers = vast.offers.filter((one) => one.id !== id);
    return answer;
  });
  const before = vast.count("create");
  await Promise.all(nests.map((nest) => nest.post("wake")));
  await Promise.all(nests.map((nest) => settle(nest.id)));
  expect(vast.count("create") - before).toBe(8);
  expect(vast.offers.map((one) => one.id)).toEqual(Array.from({ length: 12 }, (_, i) => 8009 + i));
  const views = await Promise.all(nests.map((nest) => nest.view()));
  expect(views.map((view) => [view.state, view.trouble])).toEqual(views.map(() => ["provisioning", null]));
});

describe("machines side by side", () => {
  const both = async () => {
    const nest = await asleep();
    await nest.post("wake", { rent: { second_after_seconds: 30 } });
    await settle(nest.id);
    await alarmAfter(nest.id, 31_000);
    expect(vast.ofInstance(nest.id)).toHaveLength(2);
    return { nest, slow: nest.agent(2), quick: nest.agent(3) };
  };

  it("both are shown and paid, the first that speaks stays, the other is fenced and destroyed", async () => {
    const { nest, slow, quick } = await both();
    const view = await nest.view();
    expect([view.machine?.epoch, view.rival_machines.map((one) => one.epoch)]).toEqual([2, [3]]);
    expect(view.wake).toMatchObject({ phase: "booting", machines_asked: 2 });
    // Before one has won none may touch the store.
    const empty = new Uint8Array([1]);
    expect((await quick.put(`parts/${"0".repeat(64)}`, empty)).status).toBe(403);
    await quick.beat({ gpu: 0 });
    const refused = await slow.post(slow.report({ gpu: 0 }));
    expect([refused.status, (refused.body as unknown as ErrorBody).error.code]).toEqual([403, "epoch_fenced"]);
    expect((await slow.put(`parts/${"0".repeat(64)}`, empty)).status).toBe(403);
    await settle(nest.id);
    expect(vast.withLabel(`soneca:${nest.id}:2`)).toEqual([]);
    // Gone by the provider's list alone: until then it stays on the bill.
    expect((await nest.view()).retiring_machines.map((one) => one.epoch)).toEqual([2]);
    await alarmAfter(nest.id, 3_500);
    const end = await nest.view();
    expect(end).toMatchObject({ state: "restoring", epoch: 3, machine: { epoch: 3 }, rival_machines: [] });
    expect(end.retiring_machines).toEqual([]);
    // The loser only loaded: of GPU time, nothing of it was paid.
    const paid = await sqlOf<{ epoch: number }>(nest.id, "SELECT epoch FROM paid ORDER BY epoch");
    expect(paid.map((one) => one.epoch)).toEqual([1]);
  });

  it("two that speak at once: one stays", async () => {
    const { nest, slow, quick } = await both();
    const answers = await Promise.all([slow.post(slow.report({ gpu: 0 })), quick.post(quick.report({ gpu: 0 }))]);
    expect(answers.map((one) => one.status).sort()).toEqual([200, 403]);
    await settle(nest.id);
    await alarmAfter(nest.id, 3_500);
    expect(vast.ofInstance(nest.id)).toHaveLength(1);
  });

  it("a hibernate gives both back", async () => {
    const { nest } = await both();
    expect((await nest.post("hibernate")).body.state).toBe("hibernated");
    await settle(nest.id);
    await alarmAfter(nest.id, 3_500);
    expect(vast.ofInstance(nest.id)).toEqual([]);
    expect((await nest.view()).retiring_machines).toEqual([]);
  });

  it("a second machine is not rented from the first one's host", async () => {
    const nest = await asleep();
    vast.offers = [offer(7001, 0.4), offer(7002, 0.5, { machine_id: 17_001 }), offer(7003, 0.6)];
    await nest.post("wake", { rent: { second_after_seconds: 0 } });
    await settle(nest.id);
    await alarmAfter(nest.id, 1_000);
    const rented = (await nest.events()).filter((one) => one.event_type === "machine_rented");
    expect(rented.slice(-2).map((one) => one.params.micro_usd_per_hour)).toEqual([400_000, 600_000]);
  });
});

describe("two clients", () => {
  it("one new wake a minute, whoever asks; joining does not count", async () => {
    const nest = await asleep();
    const create = vast.count("create");
    const answers = await Promise.all(Array.from({ length: 6 }, () => nest.post("wake")));
    expect(answers.map((one) => one.status)).toEqual([202, 202, 202, 202, 202, 202]);
    await settle(nest.id);
    expect(vast.count("create")).toBe(create + 1);
    await nest.post("hibernate");
    advance(20_000);
    const limited: Answer<InstanceView | ErrorBody>[] = await Promise.all([nest.post("wake"), nest.post("wake")]);
    for (const one of limited) {
      expect([one.status, (one.body as ErrorBody).error.code]).toEqual([429, "wake_rate_limited"]);
      expect(one.headers.get("retry-after")).toBe("40");
    }
    advance(40_000);
    const [first, second] = await Promise.all([nest.post("wake"), nest.post("wake")]);
    expect([first.status, second.status]).toEqual([202, 202]);
    await settle(nest.id);
    expect(vast.count("create")).toBe(create + 2);
    expect(vast.ofInstance(nest.id)).toHaveLength(1);
  });

  // What two open pages may send, in any order and at any step. A wake after a hibernate is a new one, and the minute of
  // the first is not over: it is refused, told when to come again, and nothing is rented.
  const orders: { asks: string[]; statuses: number[] }[] = [
    { asks: ["wake", "hibernate"], statuses: [202, 202] },
    { asks: ["hibernate", "wake"], statuses: [202, 429] },
    { asks: ["hibernate", "wake", "hibernate"], statuses: [202, 429, 202] },
    { asks: ["wake", "hibernate", "wake", "wake"], statuses: [202, 202, 429, 429] },
  ];
  for (const step of ["renting", "booting", "restoring"]) {
    it.each(orders)(`while ${step}: $asks`, async ({ asks, statuses }) => {
      const nest = await asleep();
      await nest.post("wake");
      if (step !== "renting") await settle(nest.id);
      if (step === "restoring") await nest.agent().beat({ gpu: 0 });
      const answers = await Promise.all(asks.map((ask) => nest.post(ask)));
      expect(answers.map((one) => one.status)).toEqual(statuses);
      await settle(nest.id);
      await alarmAfter(nest.id, 8_000);
      await alarmAfter(nest.id, 61_000);
      expect(await nest.view()).toMatchObject({ state: "hibernated", retiring_machines: [], trouble: null });
      expect(vast.ofInstance(nest.id)).toEqual([]);
      expect((await nest.post("wake")).status).toBe(202);
    });
  }

  it.each(["snapshotting", "destroying"])("while %s, wake and hibernate at once, both ways round", async (step) => {
    for (const asks of [
      ["wake", "hibernate"],
      ["hibernate", "wake"],
    ]) {
      const { nest, agent } = await runningInstance(vast, user);
      await nest.post("hibernate");
      if (step === "destroying") {
        await agent.beat({ gpu: 0 });
        const { id, seq } = agent.command("snapshot");
        const { ref } = await agent.store(seq);
        const stats = { entries: 1, files: 1, plainBytes: 1, storedBytes: 1, newStoredBytes: 1 };
        await agent.beat({ gpu: 0, results: [{ commandId: id, outcome: "snapshot_taken", snapshot: ref, stats }] });
        await settle(nest.id);
        await agent.beat({ gpu: 0 });
        await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
        expect((await nest.view()).state).toBe("destroying");
      }
      const answers = await Promise.all(asks.map((ask) => nest.post(ask)));
      expect(answers.map((one) => one.status)).toEqual([202, 202]);
      await settle(nest.id);
      await alarmAfter(nest.id, 3_500);
      const { state } = await nest.view();
      const last = asks.at(-1);
      if (step === "snapshotting") expect(state).toBe(last === "wake" ? "running" : "snapshotting");
      else expect(state).toBe(last === "wake" ? "provisioning" : "hibernated");
      expect(vast.ofInstance(nest.id).length).toBe(state === "hibernated" ? 0 : 1);
    }
  });
});

describe("what is usual", () => {
  it("unknown at first, then the account's, then its own", async () => {
    const nest = await asleep();
    const wakeOnce = async (bootMs: number) => {
      await nest.post("wake");
      await settle(nest.id);
      const usual = (await nest.view()).wake?.usual;
      advance(bootMs);
      await restored(nest.agent());
      await settle(nest.id);
      return usual;
    };
    const agent = () => nest.agent();
    for (const bootMs of [10_000, 20_000, 30_000]) {
      expect(await wakeOnce(bootMs)).toBeNull();
      await fallAsleep(nest, agent());
      advance(61_000);
    }
    expect(await wakeOnce(10_000)).toMatchObject({
      of: "instance",
      wakes: 3,
      booting: { p50_seconds: 20, p95_seconds: 30 },
    });
    const other = await asleep();
    await other.post("wake");
    await settle(other.id);
    expect((await other.view()).wake).toMatchObject({ phase: "booting", usual: { of: "account", wakes: 4 } });
    // Somebody else's wakes are nobody's business.
    user = await newUser("Bia");
    const stranger = await asleep();
    await stranger.post("wake");
    await settle(stranger.id);
    expect((await stranger.view()).wake?.usual).toBeNull();
  });
});

describe("keep trying", () => {
  it("each failed try is told, the next one planned, and the instance wakes at last", async () => {
    const nest = await asleep();
    vast.offers = [];
    await nest.post("wake", { keep_trying_minutes: 30 });
    await settle(nest.id);
    expect(await nest.view()).toMatchObject({
      state: "hibernated",
      trouble: { code: "no_offer" },
      keep_trying: { tries: 1, next_at: expect.any(String) },
      actions: ["wake", "hibernate", "configure"],
    });
    await alarmAfter(nest.id, 121_000);
    expect((await nest.view()).keep_trying).toMatchObject({ tries: 2 });
    vast.offers = [offer(7001, 0.4)];
    await alarmAfter(nest.id, 241_000);
    await restored(nest.agent());
    await settle(nest.id);
    expect(await nest.view()).toMatchObject({ state: "running", keep_trying: null, trouble: null });
    const types = await nest.eventTypes();
    expect(types.filter((one) => one === "wake_failed")).toHaveLength(2);
    expect(types.filter((one) => one === "wake_retry_planned")).toHaveLength(2);
  });

  it("a hibernate ends it", async () => {
    const nest = await asleep();
    vast.offers = [];
    await nest.post("wake", { keep_trying_minutes: 30 });
    await settle(nest.id);
    expect((await nest.post("hibernate")).body).toMatchObject({ state: "hibernated", keep_trying: null });
    vast.offers = [offer(7001, 0.4)];
    await alarmAfter(nest.id, 300_000);
    expect((await nest.view()).state).toBe("hibernated");
  });
});

it("a new instance gets what it asked for or nothing: the ladder is not climbed", async () => {
  vast.offers = [offer(7101, 0.4, { geolocation: "Sweden, SE" })];
  const { status, body } = await api<ErrorBody>("POST", "/api/instances", {
    token: user.token,
    json: { gpu_type: "RTX 4090", region: "BR" },
  });
  expect([status, body.error.code]).toEqual([409, "no_offer"]);
  expect(body.error.context?.ladder).toMatch(/^same: no offers; elsewhere: skipped, the reach is "same"/);
  expect(vast.count("create")).toBe(0);
});
