import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Json, KEY, recordedCreate, TestStandIn, waitFor } from "./testing/stand-in.ts";

let standIn: TestStandIn;
beforeEach(async () => {
  standIn = await TestStandIn.open({ bootMs: 100 });
});
afterEach(() => standIn.close());

describe("search", () => {
  it("answers what the official client asks, as exactly application/json, 64 at most", async () => {
    const recorded = {
      verified: { eq: true },
      external: { eq: false },
      rentable: { eq: true },
      gpu_name: { eq: "RTX 4090" },
      num_gpus: { eq: "1" },
      disk_space: { gte: "150" },
      geolocation: { in: ["SE", "DE", "NO"] },
      driver_version: { gte: 535086005 },
      order: [["dph_total", "asc"]],
      type: "on-demand",
      allocated_storage: 150.0,
    };
    const answer = await standIn.ask("POST", "/api/v0/bundles/", recorded, null);
    expect(answer).toMatchObject({ status: 200, type: "application/json" });
    expect(answer.json.offers.length).toBeGreaterThan(0);
    for (const row of answer.json.offers) {
      expect(row).toMatchObject({ gpu_name: "RTX 4090", num_gpus: 1, verification: "verified", rentable: true });
      expect(row.geolocation).toMatch(/, (SE|DE|NO)$/);
    }
    expect((await standIn.search({ limit: 1000 })).length).toBe(64);
    const newer = await standIn.ask("PUT", "/api/v0/search/asks", { select_cols: ["*"], q: recorded });
    expect(newer.json.offers).toEqual(answer.json.offers.map(() => expect.anything()));
    expect(
      (await standIn.ask("GET", `/api/v0/bundles?q=${encodeURIComponent(JSON.stringify({ num_gpus: { eq: 8 } }))}`))
        .json.offers[0].num_gpus,
    ).toBe(8);
  });

  it("counts the disk in dph_total only", async () => {
    const [small] = await standIn.search({ order: [["id", "asc"]], allocated_storage: 8 });
    const [large] = await standIn.search({ order: [["id", "asc"]], allocated_storage: 808 });
    expect(large.dph_base).toBe(small.dph_base);
    expect(large.dph_total - small.dph_total).toBeCloseTo((800 * small.storage_cost) / 730, 5);
  });

  it("finds nothing by id, but by ask_contract_id", async () => {
    const [offer] = await standIn.search({});
    expect(await standIn.search({ id: { eq: offer.id } })).toEqual([]);
    expect(await standIn.search({ ask_contract_id: { eq: offer.id } })).toHaveLength(1);
  });

  it("refuses what is not JSON", async () => {
    const response = await fetch(`${standIn.url}/api/v0/bundles/`, { method: "POST", body: "{" });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ error: "invalid_request", msg: "Invalid json body" });
  });
});

describe("keys", () => {
  it("are refused in vast.ai's odd ways", async () => {
    expect(await standIn.ask("GET", "/api/v1/instances/", undefined, null)).toMatchObject({
      status: 403,
      json: { success: false, error: "auth_error", msg: "This action requires login." },
    });
    expect(await standIn.ask("DELETE", "/api/v0/instances/1/", {}, "wrong")).toMatchObject({
      status: 404,
      json: { error: "auth_error", msg: "Invalid user key" },
    });
    expect((await standIn.ask("GET", `/api/v1/instances/?api_key=${KEY}`, undefined, null)).status).toBe(200);
    expect((await standIn.ask("POST", "/api/v0/bundles/", {}, "wrong")).status).toBe(404);
  });

  it("of a machine reach that machine only", async () => {
    const one = await standIn.create();
    const other = await standIn.create({ label: "other" });
    expect((await standIn.ask("GET", `/api/v0/instances/${one.id}/`, undefined, one.key)).status).toBe(200);
    expect((await standIn.ask("DELETE", `/api/v0/instances/${other.id}/`, {}, one.key)).status).toBe(403);
    expect((await standIn.ask("GET", "/api/v1/instances/", undefined, one.key)).status).toBe(403);
    expect((await standIn.ask("DELETE", `/api/v0/instances/${one.id}/`, {}, one.key)).json).toEqual({ success: true });
    await standIn.absent(one.id);
  });
});

describe("a contract", () => {
  it("boots through null, created and loading to running, and runs its onstart", async () => {
    await standIn.reopen({ bootMs: 600 });
    const { id } = await standIn.create();
    const seen = new Set<unknown>();
    await waitFor(async () => {
      const [row] = await standIn.list();
      seen.add(row.actual_status);
      expect(row.start_date).toEqual(expect.any(Number));
      expect(row.extra_env).toEqual([
        ["A", "b"],
        ["-p 8080:8080", "1"],
      ]);
      return row.actual_status === "running";
    });
    expect([...seen]).toEqual([null, "created", "loading", "running"]);
    const asked = await standIn.ask("PUT", `/api/v0/instances/request_logs/${id}/`, { tail: "1" });
    const log = await waitFor(async () => {
      const response = await fetch(asked.json.result_url);
      return response.status === 200 && (await response.text());
    });
    expect(log).toBe("hello b\n");
  });

  it("takes its offer away until it is destroyed", async () => {
    const { id, offerId } = await standIn.create();
    const offered = async () => (await standIn.search({ ask_contract_id: { eq: offerId } })).length;
    expect(await offered()).toBe(0);
    const taken = await standIn.ask("PUT", `/api/v0/asks/${offerId}/`, recordedCreate());
    expect(taken).toMatchObject({
      status: 404,
      json: { ask_id: offerId, msg: expect.stringContaining("no_such_ask") },
    });
    await standIn.ask("DELETE", `/api/v0/instances/${id}/`, {});
    await standIn.absent(id);
    expect(await offered()).toBe(1);
  });

  it("is stopped, started, rebooted and labelled, with and without a slash", async () => {
    const { id } = await standIn.create();
    await standIn.running(id);
    expect((await standIn.ask("PUT", `/api/v0/instances/${id}`, { state: "stopped" })).json).toEqual({ success: true });
    expect((await standIn.list())[0]).toMatchObject({
      actual_status: "exited",
      intended_status: "stopped",
      cur_state: "stopped",
    });
    expect((await standIn.ask("PUT", `/api/v0/instances/${id}/`, { state: "running" })).json).toEqual({
      success: true,
    });
    await standIn.running(id);
    expect((await standIn.ask("PUT", `/api/v0/instances/reboot/${id}/`, {})).json).toEqual({ success: true });
    await standIn.running(id);
    await standIn.ask("PUT", `/api/v0/instances/${id}/`, { label: "renamed" });
    const filter = encodeURIComponent(JSON.stringify({ label: { eq: "renamed" } }));
    expect((await standIn.ask("GET", `/api/v1/instances?select_filters=${filter}`)).json.instances_found).toBe(1);
  });

  it("that is destroyed is null by id and 404 to a second destroy", async () => {
    const { id } = await standIn.create();
    await standIn.running(id);
    const folder = join(standIn.stateDir, "machines", String(id));
    expect(existsSync(folder)).toBe(true);
    expect((await standIn.ask("DELETE", `/api/v0/instances/${id}/`, {})).json).toEqual({ success: true });
    await standIn.absent(id);
    expect(existsSync(folder)).toBe(false);
    expect(await standIn.ask("GET", `/api/v0/instances/${id}/?owner=me`)).toMatchObject({
      status: 200,
      json: { instances: null },
    });
    expect(await standIn.ask("DELETE", `/api/v0/instances/${id}/`, {})).toMatchObject({
      status: 404,
      json: { error: "no_such_instance" },
    });
  });

  it("is refused with too small a disk, too long an onstart, no image", async () => {
    const [offer] = await standIn.search({});
    for (const change of [{ disk: 5 }, { onstart: "x".repeat(4049) }, { image: null }, { label: "x".repeat(257) }]) {
      expect(await standIn.ask("PUT", `/api/v0/asks/${offer.id}/`, recordedCreate(change))).toMatchObject({
        status: 400,
        json: { error: "invalid_args" },
      });
    }
    expect(await standIn.list()).toEqual([]);
  });
});

describe("the list", () => {
  it("is dead as v0", async () => {
    expect(await standIn.ask("GET", "/api/v0/instances/")).toMatchObject({
      status: 410,
      json: { success: false, error: "deprecated_endpoint" },
    });
  });

  it("comes in pages of 25 with a token", async () => {
    const offers = await standIn.search({ num_gpus: { eq: 1 } });
    for (const offer of offers.slice(0, 27))
      await standIn.ask("PUT", `/api/v0/asks/${offer.id}/`, recordedCreate({ onstart: null }));
    const first = (await standIn.ask("GET", "/api/v1/instances/?limit=100")).json;
    expect([first.instances.length, first.total_instances, first.instances_found]).toEqual([25, 27, 27]);
    expect(first.label_counts).toEqual({ "soneca:i-k3v7q2m4xa:9": 27 });
    const second = (await standIn.ask("GET", `/api/v1/instances/?after_token=${first.next_token}`)).json;
    expect(second.instances.length).toBe(2);
    expect(second.next_token).toBeNull();
    expect(new Set([...first.instances, ...second.instances].map((row: Json) => row.id)).size).toBe(27);
    expect((await standIn.ask("GET", "/api/v1/instances/?limit=0")).json.instances.length).toBe(5);
    expect(await standIn.ask("GET", "/api/v1/instances/?after_token=nonsense")).toMatchObject({
      status: 400,
      json: { error: "invalid_token" },
    });
  });

  it("gives the columns that are asked for, null for unknown ones, and refuses computed filters", async () => {
    await standIn.create();
    const columns = encodeURIComponent(JSON.stringify(["id", "label", "no_such"]));
    const { json } = await standIn.ask("GET", `/api/v1/instances/?select_cols=${columns}`);
    expect(json.instances).toEqual([{ id: expect.any(Number), label: "soneca:i-k3v7q2m4xa:9", no_such: null }]);
    const computed = encodeURIComponent(JSON.stringify({ dph_total: { gte: 0 } }));
    expect((await standIn.ask("GET", `/api/v1/instances/?select_filters=${computed}`)).status).toBe(400);
    expect((await standIn.ask("GET", "/api/v0/instances/filters/")).json.filters).toHaveLength(1);
  });
});
