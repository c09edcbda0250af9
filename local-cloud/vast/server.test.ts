import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BillRow } from "./bill.ts";
import { startVastStandIn, type VastStandIn } from "./server.ts";

const KEY = "key-of-the-account";
let stateDir: string;
let standIn: VastStandIn;
const open = () => startVastStandIn({ port: 0, stateDir, apiKey: KEY, bootMs: 100 });

beforeEach(async () => {
  stateDir = mkdtempSync(join(tmpdir(), "soneca-stand-in-"));
  standIn = await open();
});
afterEach(async () => {
  await standIn.close();
  rmSync(stateDir, { recursive: true, force: true });
});

// biome-ignore lint/suspicious/noExplicitAny: answers are asserted field by field
type Json = any;
async function ask(method: string, path: string, body?: unknown, key: string | null = KEY) {
  const response = await fetch(standIn.url + path, {
    method,
    headers: { ...(key && { authorization: `Bearer ${key}` }), "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(5000),
  });
  const text = await response.text();
  let json: Json = null;
  try {
    json = JSON.parse(text);
  } catch {}
  return { status: response.status, type: response.headers.get("content-type"), text, json };
}

/** The body that vast.ai's command line client 5567983 sends for `create instance`, recorded with --explain. */
const recordedCreate = (change: object = {}) => ({
  client_id: "me",
  image: "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
  env: { A: "b", "-p 8080:8080": "1" },
  price: null,
  disk: 40.0,
  label: "soneca:i-k3v7q2m4xa:9",
  extra: null,
  onstart: "# soneca-onstart\necho hello $A\n",
  image_login: null,
  python_utf8: false,
  lang_utf8: false,
  use_jupyter_lab: false,
  jupyter_dir: null,
  force: false,
  cancel_unavail: false,
  template_hash_id: null,
  user: null,
  runtype: "ssh_direc ssh_proxy",
  ...change,
});
const search = async (body: object, key: string | null = KEY) =>
  (await ask("POST", "/api/v0/bundles/", body, key)).json.offers as Json[];
const listAll = async () => (await ask("GET", "/api/v1/instances/")).json.instances as Json[];
async function create(change: object = {}): Promise<{ id: number; key: string; offerId: number }> {
  const [offer] = await search({ num_gpus: { eq: 1 }, order: [["dph_total", "asc"]] });
  const { json } = await ask("PUT", `/api/v0/asks/${offer.id}/`, recordedCreate(change));
  return { id: json.new_contract, key: json.instance_api_key, offerId: offer.id };
}
async function waitFor<T>(read: () => Promise<T | null | undefined | false>): Promise<T> {
  for (let i = 0; i < 200; i++) {
    const value = await read();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("it does not come");
}
const running = (id: number) =>
  waitFor(async () => (await listAll()).find((row) => row.id === id && row.actual_status === "running"));
const absent = (id: number) => waitFor(async () => !(await listAll()).some((row) => row.id === id));

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
    const answer = await ask("POST", "/api/v0/bundles/", recorded, null);
    expect(answer).toMatchObject({ status: 200, type: "application/json" });
    expect(answer.json.offers.length).toBeGreaterThan(0);
    for (const row of answer.json.offers) {
      expect(row).toMatchObject({ gpu_name: "RTX 4090", num_gpus: 1, verification: "verified", rentable: true });
      expect(row.geolocation).toMatch(/, (SE|DE|NO)$/);
    }
    expect((await search({ limit: 1000 })).length).toBe(64);
    const newer = await ask("PUT", "/api/v0/search/asks", { select_cols: ["*"], q: recorded });
    expect(newer.json.offers).toEqual(answer.json.offers.map(() => expect.anything()));
    expect(
      (await ask("GET", `/api/v0/bundles?q=${encodeURIComponent(JSON.stringify({ num_gpus: { eq: 8 } }))}`)).json
        .offers[0].num_gpus,
    ).toBe(8);
  });

  it("counts the disk in dph_total only", async () => {
    const [small] = await search({ order: [["id", "asc"]], allocated_storage: 8 });
    const [large] = await search({ order: [["id", "asc"]], allocated_storage: 808 });
    expect(large.dph_base).toBe(small.dph_base);
    expect(large.dph_total - small.dph_total).toBeCloseTo((800 * small.storage_cost) / 730, 5);
  });

  it("finds nothing by id, but by ask_contract_id", async () => {
    const [offer] = await search({});
    expect(await search({ id: { eq: offer.id } })).toEqual([]);
    expect(await search({ ask_contract_id: { eq: offer.id } })).toHaveLength(1);
  });

  it("refuses what is not JSON", async () => {
    const response = await fetch(`${standIn.url}/api/v0/bundles/`, { method: "POST", body: "{" });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ error: "invalid_request", msg: "Invalid json body" });
  });
});

describe("keys", () => {
  it("are refused in vast.ai's odd ways", async () => {
    expect(await ask("GET", "/api/v1/instances/", undefined, null)).toMatchObject({
      status: 403,
      json: { success: false, error: "auth_error", msg: "This action requires login." },
    });
    expect(await ask("DELETE", "/api/v0/instances/1/", {}, "wrong")).toMatchObject({
      status: 404,
      json: { error: "auth_error", msg: "Invalid user key" },
    });
    expect((await ask("GET", `/api/v1/instances/?api_key=${KEY}`, undefined, null)).status).toBe(200);
    expect((await ask("POST", "/api/v0/bundles/", {}, "wrong")).status).toBe(404);
  });

  it("of a machine reach that machine only", async () => {
    const one = await create();
    const other = await create({ label: "other" });
    expect((await ask("GET", `/api/v0/instances/${one.id}/`, undefined, one.key)).status).toBe(200);
    expect((await ask("DELETE", `/api/v0/instances/${other.id}/`, {}, one.key)).status).toBe(403);
    expect((await ask("GET", "/api/v1/instances/", undefined, one.key)).status).toBe(403);
    expect((await ask("DELETE", `/api/v0/instances/${one.id}/`, {}, one.key)).json).toEqual({ success: true });
    await absent(one.id);
  });
});

describe("a contract", () => {
  it("boots through null, created and loading to running, and runs its onstart", async () => {
    await standIn.close();
    standIn = await startVastStandIn({ port: 0, stateDir, apiKey: KEY, bootMs: 600 });
    const { id } = await create();
    const seen = new Set<unknown>();
    await waitFor(async () => {
      const [row] = await listAll();
      seen.add(row.actual_status);
      expect(row.start_date).toEqual(expect.any(Number));
      expect(row.extra_env).toEqual([
        ["A", "b"],
        ["-p 8080:8080", "1"],
      ]);
      return row.actual_status === "running";
    });
    expect([...seen]).toEqual([null, "created", "loading", "running"]);
    const asked = await ask("PUT", `/api/v0/instances/request_logs/${id}/`, { tail: "1" });
    const log = await waitFor(async () => {
      const response = await fetch(asked.json.result_url);
      return response.status === 200 && (await response.text());
    });
    expect(log).toBe("hello b\n");
  });

  it("takes its offer away until it is destroyed", async () => {
    const { id, offerId } = await create();
    const offered = async () => (await search({ ask_contract_id: { eq: offerId } })).length;
    expect(await offered()).toBe(0);
    const taken = await ask("PUT", `/api/v0/asks/${offerId}/`, recordedCreate());
    expect(taken).toMatchObject({
      status: 404,
      json: { ask_id: offerId, msg: expect.stringContaining("no_such_ask") },
    });
    await ask("DELETE", `/api/v0/instances/${id}/`, {});
    await absent(id);
    expect(await offered()).toBe(1);
  });

  it("is stopped, started, rebooted and labelled, with and without a slash", async () => {
    const { id } = await create();
    await running(id);
    expect((await ask("PUT", `/api/v0/instances/${id}`, { state: "stopped" })).json).toEqual({ success: true });
    expect((await listAll())[0]).toMatchObject({
      actual_status: "exited",
      intended_status: "stopped",
      cur_state: "stopped",
    });
    expect((await ask("PUT", `/api/v0/instances/${id}/`, { state: "running" })).json).toEqual({ success: true });
    await running(id);
    expect((await ask("PUT", `/api/v0/instances/reboot/${id}/`, {})).json).toEqual({ success: true });
    await running(id);
    await ask("PUT", `/api/v0/instances/${id}/`, { label: "renamed" });
    const filter = encodeURIComponent(JSON.stringify({ label: { eq: "renamed" } }));
    expect((await ask("GET", `/api/v1/instances?select_filters=${filter}`)).json.instances_found).toBe(1);
  });

  it("that is destroyed is null by id and 404 to a second destroy", async () => {
    const { id } = await create();
    await running(id);
    const folder = join(stateDir, "machines", String(id));
    expect(existsSync(folder)).toBe(true);
    expect((await ask("DELETE", `/api/v0/instances/${id}/`, {})).json).toEqual({ success: true });
    await absent(id);
    expect(existsSync(folder)).toBe(false);
    expect(await ask("GET", `/api/v0/instances/${id}/?owner=me`)).toMatchObject({
      status: 200,
      json: { instances: null },
    });
    expect(await ask("DELETE", `/api/v0/instances/${id}/`, {})).toMatchObject({
      status: 404,
      json: { error: "no_such_instance" },
    });
  });

  it("is refused with too small a disk, too long an onstart, no image", async () => {
    const [offer] = await search({});
    for (const change of [{ disk: 5 }, { onstart: "x".repeat(4049) }, { image: null }, { label: "x".repeat(257) }]) {
      expect(await ask("PUT", `/api/v0/asks/${offer.id}/`, recordedCreate(change))).toMatchObject({
        status: 400,
        json: { error: "invalid_args" },
      });
    }
    expect(await listAll()).toEqual([]);
  });
});

describe("the list", () => {
  it("is dead as v0", async () => {
    expect(await ask("GET", "/api/v0/instances/")).toMatchObject({
      status: 410,
      json: { success: false, error: "deprecated_endpoint" },
    });
  });

  it("comes in pages of 25 with a token", async () => {
    const offers = await search({ num_gpus: { eq: 1 } });
    for (const offer of offers.slice(0, 27))
      await ask("PUT", `/api/v0/asks/${offer.id}/`, recordedCreate({ onstart: null }));
    const first = (await ask("GET", "/api/v1/instances/?limit=100")).json;
    expect([first.instances.length, first.total_instances, first.instances_found]).toEqual([25, 27, 27]);
    expect(first.label_counts).toEqual({ "soneca:i-k3v7q2m4xa:9": 27 });
    const second = (await ask("GET", `/api/v1/instances/?after_token=${first.next_token}`)).json;
    expect(second.instances.length).toBe(2);
    expect(second.next_token).toBeNull();
    expect(new Set([...first.instances, ...second.instances].map((row: Json) => row.id)).size).toBe(27);
    expect((await ask("GET", "/api/v1/instances/?limit=0")).json.instances.length).toBe(5);
    expect(await ask("GET", "/api/v1/instances/?after_token=nonsense")).toMatchObject({
      status: 400,
      json: { error: "invalid_token" },
    });
  });

  it("gives the columns that are asked for, null for unknown ones, and refuses computed filters", async () => {
    await create();
    const columns = encodeURIComponent(JSON.stringify(["id", "label", "no_such"]));
    const { json } = await ask("GET", `/api/v1/instances/?select_cols=${columns}`);
    expect(json.instances).toEqual([{ id: expect.any(Number), label: "soneca:i-k3v7q2m4xa:9", no_such: null }]);
    const computed = encodeURIComponent(JSON.stringify({ dph_total: { gte: 0 } }));
    expect((await ask("GET", `/api/v1/instances/?select_filters=${computed}`)).status).toBe(400);
    expect((await ask("GET", "/api/v0/instances/filters/")).json.filters).toHaveLength(1);
  });
});

describe("the bill", () => {
  const bill = async () => (await ask("GET", "/local/bill")).json.bill as BillRow[];

  it("charges the GPU while it runs and the disk from creation to the end", async () => {
    await standIn.close();
    let now = Date.UTC(2026, 10, 24);
    standIn = await startVastStandIn({ port: 0, stateDir, apiKey: KEY, bootMs: 50, now: () => now });
    const { id } = await create();
    await waitFor(async () => existsSync(join(stateDir, "machines", String(id), "log")));
    now += 3_600_000;
    const [live] = await bill();
    expect(live).toMatchObject({
      id,
      label: "soneca:i-k3v7q2m4xa:9",
      endedAt: null,
      gpuSeconds: 3600,
      diskSeconds: 3600,
    });
    expect(live!.usd).toBeCloseTo(live!.dph + live!.diskDph, 5);
    await ask("PUT", `/api/v0/instances/${id}/`, { state: "stopped" });
    now += 7_200_000;
    await ask("DELETE", `/api/v0/instances/${id}/`, {});
    await absent(id);
    now += 7_200_000;
    const [done] = await bill();
    expect(done).toMatchObject({ gpuSeconds: 3600, diskSeconds: 10_800, endedAt: Date.UTC(2026, 10, 24, 3) });
    expect(done!.usd).toBeCloseTo(done!.dph + 3 * done!.diskDph, 5);
  });

  it("and the contracts survive a restart", async () => {
    const gone = await create();
    await ask("DELETE", `/api/v0/instances/${gone.id}/`, {});
    await absent(gone.id);
    const kept = await create();
    await running(kept.id);
    await standIn.close();
    standIn = await open();
    expect((await bill()).map(({ id, endedAt }) => [id, endedAt !== null])).toEqual([
      [gone.id, true],
      [kept.id, false],
    ]);
    await running(kept.id);
    const next = await create();
    expect(next.id).toBeGreaterThan(kept.id);
  });
});

describe("faults", () => {
  const arm = (fault: object) => ask("POST", "/local/faults", fault);

  it("are armed, listed and cleared over HTTP, and unknown ones refused with the names", async () => {
    expect(await arm({ name: "nope" })).toMatchObject({
      status: 400,
      json: { names: expect.arrayContaining(["list_fails"]) },
    });
    expect((await arm({ name: "list_fails", times: 1 })).status).toBe(200);
    expect((await ask("GET", "/local/faults")).json.armed).toMatchObject([{ name: "list_fails", times: 1, struck: 0 }]);
    await ask("DELETE", "/local/faults");
    expect((await ask("GET", "/local/faults")).json.armed).toEqual([]);
    await arm({ name: "slow" });
    await ask("DELETE", "/local/faults/slow");
    expect((await ask("GET", "/local/faults")).json.armed).toEqual([]);
  });

  it("rate limits in three bodies", async () => {
    await arm({ name: "rate_limited", times: 3 });
    const answers = [
      await ask("GET", "/api/v1/instances/"),
      await ask("GET", "/api/v1/instances/"),
      await ask("GET", "/api/v1/instances/"),
    ];
    expect(answers.map(({ status }) => status)).toEqual([429, 429, 429]);
    expect(answers.map(({ type }) => type)).toEqual(["text/plain", "application/json", "application/json"]);
    expect(answers[0]!.text).toBe("API requests too frequent: endpoint threshold=1.0");
    expect(answers[1]!.json).toEqual({ detail: "API requests too frequent endpoint threshold=1.0" });
    expect(answers[2]!.json.error).toBe("rate_limit_exceeded");
  });

  it("enforce vast.ai's intervals while rate_limits is armed", async () => {
    await arm({ name: "rate_limits" });
    expect([(await ask("GET", "/api/v1/instances/")).status, (await ask("GET", "/api/v1/instances/")).status]).toEqual([
      200, 429,
    ]);
  });

  it("take a list apart in four ways", async () => {
    await arm({ name: "list_fails", times: 4 });
    const answers: [number, string | null][] = [];
    for (let i = 0; i < 4; i++) {
      const { status, type } = await ask("GET", "/api/v1/instances/");
      answers.push([status, type]);
    }
    expect(answers).toEqual([
      [502, "text/html"],
      [200, "application/json"],
      [410, "application/json"],
      [200, "application/json"],
    ]);
  });

  it("hide a new machine and keep a destroyed one for a while", async () => {
    await arm({ name: "list_lag", times: 1, ms: 200 });
    await arm({ name: "destroy_lag", times: 1, ms: 200 });
    const { id } = await create();
    expect(await listAll()).toEqual([]);
    expect((await ask("GET", `/api/v0/instances/${id}/`)).json.instances).toBeNull();
    await running(id);
    await ask("DELETE", `/api/v0/instances/${id}/`, {});
    expect((await listAll())[0]).toMatchObject({ id, cur_state: "unloaded" });
    await absent(id);
  });

  it("make a machine and lose the answer", async () => {
    await arm({ name: "create_timeout_but_created", times: 1 });
    await expect(create()).rejects.toThrow();
    expect((await listAll()).map((row) => row.label)).toEqual(["soneca:i-k3v7q2m4xa:9"]);
  });

  it("leave a stopped contract behind a refused create", async () => {
    await arm({ name: "create_error_with_contract", times: 1 });
    const [offer] = await search({});
    const { status, json } = await ask("PUT", `/api/v0/asks/${offer.id}/`, recordedCreate());
    expect([status, json.success]).toEqual([400, false]);
    expect((await listAll())[0]).toMatchObject({ id: json.new_contract, intended_status: "stopped" });
  });

  it.each([
    ["boot_never", "loading", /Pull complete/],
    ["boot_gpu_error", "created", /^Error: GPU error, unable to start instance$/],
    ["boot_image_error", "loading", /manifest unknown/],
    ["boot_exited", "exited", /OCI runtime/],
  ])("%s ends in %s", async (name, status, message) => {
    await arm({ name, times: 1 });
    await create();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const [row] = await listAll();
    expect(row).toMatchObject({ actual_status: status, status_msg: expect.stringMatching(message) });
  });

  it("queue a start, until stop calls it off", async () => {
    const { id } = await create();
    await running(id);
    await ask("PUT", `/api/v0/instances/${id}/`, { state: "stopped" });
    await arm({ name: "start_queued", times: 1 });
    const { json } = await ask("PUT", `/api/v0/instances/${id}/`, { state: "running" });
    expect(json).toEqual({ success: true, msg: "Required resources are currently unavailable, state change queued" });
    expect((await listAll())[0]).toMatchObject({ intended_status: "running", cur_state: "stopped" });
    await ask("PUT", `/api/v0/instances/${id}/`, { state: "stopped" });
    expect((await listAll())[0]).toMatchObject({ intended_status: "stopped", cur_state: "stopped" });
  });

  it("stop a machine behind one's back, and stop its meter", async () => {
    const { id } = await create();
    await running(id);
    await arm({ name: "interrupted", times: 1, id });
    expect((await listAll())[0]).toMatchObject({
      actual_status: "stopped",
      intended_status: "stopped",
      cur_state: "stopped",
    });
  });

  it("flap", async () => {
    const { id } = await create();
    await running(id);
    await arm({ name: "flap", times: 1, variant: "offline" });
    expect((await listAll())[0].actual_status).toBe("offline");
    expect((await listAll())[0].actual_status).toBe("running");
  });
});

describe("the local routes", () => {
  it("change and run nothing without the key, and answer no foreign host name", async () => {
    const { id } = await create();
    await running(id);
    for (const [method, path, body] of [
      ["POST", `/local/machines/${id}/exec`, { argv: ["id"] }],
      ["PUT", `/local/machines/${id}/gpu`, { load: ["busy"] }],
      ["POST", `/local/machines/${id}/kill`, {}],
      ["POST", "/local/faults", { name: "slow" }],
      ["DELETE", "/local/faults", {}],
    ] as const) {
      expect((await ask(method, path, body, null)).status).toBe(403);
      expect((await ask(method, path, body, "wrong-key")).status).toBe(403);
    }
    const { request } = await import("node:http");
    const status = await new Promise((resolve) =>
      request({ port: standIn.port, path: "/local/machines", headers: { host: "evil.example" } }, (response) =>
        resolve(response.resume().statusCode),
      ).end(),
    );
    expect(status).toBe(403);
  });

  it("list, load and run", async () => {
    const { id } = await create();
    await running(id);
    const { machines } = (await ask("GET", "/local/machines")).json;
    expect(machines).toMatchObject([{ id, status: "running", gpuLoad: ["idle"], pid: expect.any(Number) }]);
    expect(JSON.stringify(machines)).not.toContain('"A"');
    expect((await ask("PUT", `/local/machines/${id}/gpu`, { load: ["busy"] })).json.load).toEqual(["busy"]);
    expect((await listAll())[0].gpu_util).toBe(97);
    expect((await ask("PUT", `/local/machines/${id}/gpu`, { load: ["busy", "busy"] })).status).toBe(400);
    expect((await ask("PUT", `/local/machines/${id}/gpu`, { load: ["$(reboot)"] })).status).toBe(400);
    expect((await ask("POST", `/local/machines/${id}/exec`, { argv: ["sh", "-c", "echo $A"] })).json).toMatchObject({
      code: 0,
      stdout: "b\n",
    });
    expect((await ask("GET", `/local/machines/${id}/log?tail=1`)).json.log).toBe("hello b\n");
    expect((await ask("GET", "/local/nothing")).status).toBe(404);
  });
});
