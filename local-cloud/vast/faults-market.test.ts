/** Faults of search and create, over real HTTP. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LABEL, TestStandIn } from "./testing/stand-in.ts";

let standIn: TestStandIn;
beforeEach(async () => {
  standIn = await TestStandIn.open();
});
afterEach(() => standIn.close());

describe("search", () => {
  it("search_empty finds nothing", async () => {
    await standIn.arm({ name: "search_empty", times: 1 });
    expect(await standIn.search()).toEqual([]);
    expect(await standIn.search()).not.toEqual([]);
  });

  it("search_ignores_filters finds what was not asked for", async () => {
    await standIn.arm({ name: "search_ignores_filters" });
    const found = await standIn.search({ gpu_name: { eq: "H200" } });
    expect(new Set(found.map((row) => row.gpu_name)).size).toBeGreaterThan(1);
  });

  it("search_stale shows what is rented, and it cannot be rented", async () => {
    const { offerId } = await standIn.create();
    const filter = { ask_contract_id: { eq: offerId } };
    expect(await standIn.search(filter)).toEqual([]);
    await standIn.arm({ name: "search_stale" });
    expect(await standIn.search(filter)).toHaveLength(1);
    expect((await standIn.rent()).json.msg).toContain("no_such_ask");
  });

  it("numbers_as_text writes numbers as text, in machines too", async () => {
    const { id } = await standIn.create();
    await standIn.arm({ name: "numbers_as_text" });
    const [offer] = await standIn.search({ num_gpus: { eq: 1 } });
    expect(offer).toMatchObject({ num_gpus: "1", dph_total: expect.stringMatching(/^0\.\d+$/), rentable: true });
    expect((await standIn.list())[0]).toMatchObject({ id: String(id), num_gpus: "1" });
    expect((await standIn.ask("GET", `/api/v0/instances/${id}/`)).json.instances.id).toBe(String(id));
  });
});

describe("create", () => {
  it.each([
    ["offer_taken", "400", 400, /3603: no_such_ask/],
    ["offer_taken", "404", 404, /3603: no_such_ask/],
    ["offer_taken", "410", 410, /3907: no_such_ask .* no longer available/],
    ["offer_taken", "403", 403, /3586/],
    ["create_refused", undefined, 400, /Invalid args/],
    ["insufficient_credit", "400", 400, /insufficient_credit/],
    ["insufficient_credit", "402", 402, /insufficient_credit/],
    ["insufficient_credit", "spend_rate_limit", 400, /spend_rate_limit/],
  ])("%s, %s: refused with %i, and nothing is made", async (name, variant, status, words) => {
    await standIn.arm({ name, variant });
    const answer = await standIn.rent();
    expect([answer.status, answer.json.success]).toEqual([status, false]);
    expect(answer.json.msg).toMatch(words);
    expect(await standIn.list()).toEqual([]);
    expect(await standIn.bill()).toEqual([]);
  });

  it("create_timeout_but_created makes a machine and loses the answer", async () => {
    await standIn.arm({ name: "create_timeout_but_created", times: 1 });
    await expect(standIn.rent()).rejects.toThrow();
    expect((await standIn.list()).map((row) => row.label)).toEqual([LABEL]);
  });

  it.each([
    ["400", 400],
    ["200", 200],
  ])("create_error_with_contract, %s: a stopped contract is left behind", async (variant, status) => {
    await standIn.arm({ name: "create_error_with_contract", variant });
    const answer = await standIn.rent();
    expect([answer.status, answer.json.success]).toEqual([status, false]);
    expect((await standIn.list())[0]).toMatchObject({ id: answer.json.new_contract, intended_status: "stopped" });
    expect((await standIn.bill())[0]!.intervals).toMatchObject([{ state: "stopped", to: null }]);
  });

  it("create_queued makes a contract that waits for a GPU, and boots later", async () => {
    await standIn.arm({ name: "create_queued", times: 1, ms: 300 });
    const { id } = await standIn.create();
    expect((await standIn.list())[0]).toMatchObject({ id, intended_status: "running", cur_state: "stopped" });
    await standIn.running(id);
    expect((await standIn.bill())[0]!.intervals.map(({ state }) => state)).toEqual(["stopped", "loading", "running"]);
  });

  it("created_twice makes two machines with one label, both on the bill", async () => {
    await standIn.arm({ name: "created_twice", times: 1 });
    const { id } = await standIn.create();
    const rows = await standIn.list();
    expect(rows.map((row) => row.label)).toEqual([LABEL, LABEL]);
    expect(rows.map((row) => row.id)).toContain(id);
    expect(new Set(rows.map((row) => row.machine_id)).size).toBe(2);
    expect(await standIn.bill()).toHaveLength(2);
  });

  it("label_lost makes a machine without its label", async () => {
    await standIn.arm({ name: "label_lost", times: 1 });
    const { id } = await standIn.create();
    expect((await standIn.list())[0]).toMatchObject({ id, label: null });
  });

  it("price_changed bills another price than the one offered", async () => {
    await standIn.arm({ name: "price_changed", amount: 300 });
    const { offer } = await standIn.rent();
    const [row] = await standIn.list();
    expect(row.dph_base).toBeCloseTo(3 * offer.dph_base, 5);
    expect(row.dph_total).toBeGreaterThan(2.5 * offer.dph_base);
    expect((await standIn.bill())[0]!.dph).toBeCloseTo(3 * offer.dph_base, 5);
  });
});
