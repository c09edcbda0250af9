/** Faults of the list and of what it shows, over real HTTP. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LABEL, TestStandIn, waitFor } from "./testing/stand-in.ts";

let standIn: TestStandIn;
beforeEach(async () => {
  standIn = await TestStandIn.open();
});
afterEach(() => standIn.close());

const page = async (query = "") => standIn.ask("GET", `/api/v1/instances/${query}`);

describe("the list", () => {
  it.each([
    ["html_502", 502, /<html>/],
    ["success_false", 200, /"success":false/],
    ["410", 410, /deprecated_endpoint/],
    ["bad_json", 200, /^\{"success":true,"instances":\[\{"id":40$/],
    ["no_list", 200, /^\{"success":true,"total_instances":0\}$/],
    ["null_list", 200, /"instances":null/],
    ["list_is_object", 200, /"instances":\{\}/],
    ["no_total", 200, /^\{"success":true,"next_token":null,"instances":\[\]\}$/],
  ])("list_fails, %s", async (variant, status, body) => {
    await standIn.arm({ name: "list_fails", variant });
    const answer = await page();
    expect(answer.status).toBe(status);
    expect(answer.text).toMatch(body);
  });

  it("list_short leaves one out and counts it", async () => {
    await standIn.create();
    await standIn.create({ label: "other" });
    await standIn.arm({ name: "list_short" });
    const { json } = await page();
    expect([json.instances.length, json.total_instances]).toEqual([1, 2]);
  });

  it.each([
    ["total_instances", [0, 1, 0]],
    ["instances_found", [0, 0, 1]],
  ])("list_empty, %s: no row, and one total that knows better", async (variant, seen) => {
    await standIn.create();
    await standIn.arm({ name: "list_empty", variant });
    const { json } = await page();
    expect([json.instances.length, json.total_instances, json.instances_found]).toEqual(seen);
  });

  it("list_misses hides a machine whole, or all of them", async () => {
    const one = await standIn.create();
    const other = await standIn.create({ label: "other" });
    await standIn.arm({ name: "list_misses", id: one.id, times: 1 });
    const { json } = await page();
    expect(json.instances.map((row: { id: number }) => row.id)).toEqual([other.id]);
    expect([json.total_instances, json.label_counts]).toEqual([1, { other: 1 }]);
    await standIn.arm({ name: "list_misses" });
    expect((await page()).json).toMatchObject({ success: true, total_instances: 0, instances: [] });
  });

  it("list_stale shows the list of a while ago", async () => {
    let now = Date.now();
    await standIn.reopen({ now: () => now, bootMs: 0 });
    await standIn.arm({ name: "list_stale", ms: 4000 });
    await standIn.list();
    const { id } = await standIn.create();
    expect(await standIn.list()).toEqual([]);
    now += 5000;
    expect((await standIn.list()).map((row) => row.id)).toEqual([id]);
    await standIn.ask("DELETE", `/api/v0/instances/${id}/`, {});
    await waitFor(async () => (await standIn.bill())[0]!.endedAt !== null);
    now += 100;
    expect((await standIn.list()).map((row) => row.id)).toEqual([id]);
    now += 5000;
    expect(await standIn.list()).toEqual([]);
  });

  it("list_doubled holds a machine twice", async () => {
    const { id } = await standIn.create();
    await standIn.arm({ name: "list_doubled" });
    expect((await standIn.list()).map((row) => row.id)).toEqual([id, id]);
  });

  it.each([
    ["no_id", expect.not.objectContaining({ id: expect.anything() })],
    ["bad_id", expect.objectContaining({ id: expect.stringMatching(/^C\./) })],
    ["null", null],
    ["text", expect.stringMatching(/^instance \d+$/)],
  ])("list_row_odd, %s", async (variant, row) => {
    await standIn.create();
    await standIn.arm({ name: "list_row_odd", variant });
    expect(await standIn.list()).toEqual([row]);
  });

  it("list_pages, list_circle and list_token_refused: many pages, the same one, and none after the first", async () => {
    const ids = [await standIn.create(), await standIn.create(), await standIn.create()].map(({ id }) => id);
    await standIn.arm({ name: "list_pages", amount: 2 });
    const first = (await page()).json;
    const second = (await page(`?after_token=${first.next_token}`)).json;
    expect([...first.instances, ...second.instances].map((row) => row.id)).toEqual(ids);
    expect([first.instances.length, second.next_token]).toEqual([2, null]);
    await standIn.arm({ name: "list_token_refused", times: 1 });
    expect((await page(`?after_token=${first.next_token}`)).json.error).toBe("invalid_token");
    await standIn.arm({ name: "list_circle" });
    const again = (await page(`?after_token=${(await page()).json.next_token}`)).json;
    expect(again.instances.map((row: { id: number }) => row.id)).toEqual(ids.slice(0, 2));
    expect(again.next_token).toBe((await page()).json.next_token);
  });

  it("list_lag: a new machine is neither listed nor found for a while", async () => {
    await standIn.arm({ name: "list_lag", times: 1, ms: 1500 });
    const { id } = await standIn.create();
    expect(await standIn.list()).toEqual([]);
    expect((await standIn.ask("GET", `/api/v0/instances/${id}/`)).json.instances).toBeNull();
    await standIn.running(id);
  });
});

describe("a machine is shown", () => {
  it.each([
    ["flap", "offline", { actual_status: "offline", intended_status: "running" }],
    ["flap", "unknown", { actual_status: "unknown" }],
    ["flap", "exited", { actual_status: "exited", intended_status: "running" }],
    ["status_null", undefined, { actual_status: null, status_msg: null }],
    ["ports_late", undefined, { actual_status: "running", ports: null }],
    ["label_hidden", undefined, { label: null }],
  ])("%s, %s, and it runs on", async (name, variant, row) => {
    const { id } = await standIn.create();
    await standIn.running(id);
    await standIn.arm({ name, variant, on: "list", times: 1 });
    expect((await standIn.list())[0]).toMatchObject(row);
    const next = (await standIn.list())[0];
    expect(next).toMatchObject({ actual_status: "running", label: LABEL });
    expect(next.ports).not.toBeNull();
    await standIn.arm({ name, variant, on: "get", times: 1 });
    expect((await standIn.ask("GET", `/api/v0/instances/${id}/`)).json.instances).toMatchObject(row);
  });

  it("start_date_skew: born in the past, or in the future", async () => {
    await standIn.create();
    const [{ start_date }] = await standIn.list();
    await standIn.arm({ name: "start_date_skew", amount: 3600, times: 1 });
    await standIn.arm({ name: "start_date_skew", times: 1 });
    expect((await standIn.list())[0].start_date).toBeCloseTo(start_date + 3600, 3);
    expect((await standIn.list())[0].start_date).toBeCloseTo(start_date - 7200, 3);
  });
});
