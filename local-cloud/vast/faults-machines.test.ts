/** Faults of boots, of changes by id and of hosts, over real HTTP. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Json, TestStandIn, waitFor } from "./testing/stand-in.ts";

let standIn: TestStandIn;
beforeEach(async () => {
  standIn = await TestStandIn.open();
});
afterEach(() => standIn.close());

const row = async (id: number): Promise<Json> => (await standIn.list()).find((one) => one.id === id);
const change = (id: number, body: object) => standIn.ask("PUT", `/api/v0/instances/${id}/`, body);
const destroy = (id: number) => standIn.ask("DELETE", `/api/v0/instances/${id}/`, {});
const statesOf = async (id: number) =>
  (await standIn.bill()).find((one) => one.id === id)!.intervals.map(({ state }) => state);

describe("a boot", () => {
  it.each([
    ["boot_never", "loading", "loading", /Pull complete/],
    ["boot_never", "created", "created", null],
    ["boot_never", "null", null, null],
    ["boot_gpu_error", undefined, "created", /^Error: GPU error, unable to start instance$/],
    ["boot_host_error", "no_space", "loading", /no space left on device/],
    ["boot_host_error", "eof", "loading", /unexpected EOF/],
    ["boot_host_error", "cdi", "loading", /failed to inject CDI devices/],
    ["boot_host_error", "dockerfile", "loading", /docker_build\(\) error writing dockerfile/],
    ["boot_host_error", "nvidia_container", "loading", /nvidia-container-cli: device error/],
    ["boot_host_error", "device_handle", "loading", /unable to determine the device handle/],
    ["boot_image_error", "manifest_unknown", "loading", /manifest unknown/],
    ["boot_image_error", "pull_denied", "loading", /pull access denied/],
    ["boot_image_error", "unauthorized", "loading", /unauthorized: authentication required/],
    ["boot_exited", "exited", "exited", /OCI runtime/],
    ["boot_exited", "unknown", "unknown", null],
    ["boot_exited", "offline", "offline", null],
  ])("%s, %s: comes to rest in %s", async (name, variant, status, message) => {
    await standIn.arm({ name, variant, times: 1 });
    const { id } = await standIn.create();
    await new Promise((resolve) => setTimeout(resolve, 90));
    const shown = await row(id);
    expect(shown).toMatchObject({ actual_status: status, intended_status: "running" });
    if (message) expect(shown.status_msg).toMatch(message);
    else expect(shown.status_msg).toBeNull();
    // The disk is charged, the GPU is not.
    expect(await statesOf(id)).toEqual(["loading"]);
  });

  it("boot_slow takes longer", async () => {
    await standIn.arm({ name: "boot_slow", ms: 1500 });
    const { id } = await standIn.create();
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect((await row(id)).actual_status).not.toBe("running");
    await standIn.running(id);
  });
});

describe("a change", () => {
  it.each([
    ["500", 500],
    ["success_false", 200],
    ["html_502", 502],
  ])("destroy_fails, %s: it runs on", async (variant, status) => {
    const { id } = await standIn.create();
    await standIn.running(id);
    await standIn.arm({ name: "destroy_fails", variant });
    const answer = await destroy(id);
    expect([answer.status, answer.json?.success ?? false]).toEqual([status, false]);
    expect((await row(id)).actual_status).toBe("running");
  });

  it("destroy_lag, unloaded: listed for a while, and its GPU is charged no more", async () => {
    const { id } = await standIn.create();
    await standIn.running(id);
    await standIn.arm({ name: "destroy_lag", variant: "unloaded", ms: 1500 });
    expect((await destroy(id)).json).toEqual({ success: true });
    expect(await row(id)).toMatchObject({ cur_state: "unloaded" });
    await standIn.absent(id);
    expect(await statesOf(id)).toEqual(["loading", "running", "stopped"]);
  });

  it("destroy_lag, running: accepted, and it runs and costs for a while", async () => {
    const { id } = await standIn.create();
    await standIn.running(id);
    await standIn.arm({ name: "destroy_lag", variant: "running", ms: 1500, times: 1 });
    expect((await destroy(id)).json).toEqual({ success: true });
    expect(await row(id)).toMatchObject({ actual_status: "running" });
    // Nothing calls it off, and a second one does not shorten it.
    await change(id, { state: "stopped" });
    await destroy(id);
    expect(await row(id)).toMatchObject({ actual_status: "running" });
    await standIn.absent(id);
    expect((await statesOf(id)).slice(0, 2)).toEqual(["loading", "running"]);
  });

  it("a destroy that was accepted is kept over a death of the stand-in", async () => {
    const { id } = await standIn.create();
    await standIn.running(id);
    await standIn.arm({ name: "destroy_lag", variant: "running", ms: 600_000 });
    await destroy(id);
    await standIn.reopen();
    await standIn.absent(id);
  });

  it("stop_lag: accepted, shown as meant, done later; a start calls it off", async () => {
    const { id } = await standIn.create();
    await standIn.running(id);
    await standIn.arm({ name: "stop_lag", ms: 1500 });
    expect((await change(id, { state: "stopped" })).json).toEqual({ success: true });
    expect(await row(id)).toMatchObject({ actual_status: "running", intended_status: "stopped", cur_state: "running" });
    await change(id, { state: "running" });
    expect(await row(id)).toMatchObject({ intended_status: "running" });
    await change(id, { state: "stopped" });
    await waitFor(async () => (await row(id)).cur_state === "stopped");
    expect(await statesOf(id)).toEqual(["loading", "running", "stopped"]);
  });

  it.each([
    ["said", { success: true, msg: "Required resources are currently unavailable, state change queued" }],
    ["silent", { success: true }],
  ])("start_queued, %s: no GPU is free, until stop calls it off", async (variant, body) => {
    const { id } = await standIn.create();
    await standIn.running(id);
    await change(id, { state: "stopped" });
    await standIn.arm({ name: "start_queued", variant });
    expect((await change(id, { state: "running" })).json).toEqual(body);
    expect(await row(id)).toMatchObject({ intended_status: "running", cur_state: "stopped" });
    await change(id, { state: "stopped" });
    expect(await row(id)).toMatchObject({ intended_status: "stopped", cur_state: "stopped" });
  });
});

describe("behind one's back", () => {
  it("interrupted: vast.ai stops it, and its meter", async () => {
    const { id } = await standIn.create();
    await standIn.running(id);
    await standIn.arm({ name: "interrupted", times: 1, id });
    expect(await row(id)).toMatchObject({
      actual_status: "stopped",
      intended_status: "stopped",
      cur_state: "stopped",
    });
    expect((await statesOf(id)).at(-1)).toBe("stopped");
  });

  it("host_dies, offline: nothing of it runs, it is listed, not charged, and can come back", async () => {
    const { id } = await standIn.create();
    await standIn.running(id);
    await standIn.arm({ name: "host_dies", variant: "offline", times: 1 });
    expect(await row(id)).toMatchObject({ actual_status: "offline", intended_status: "running" });
    const [machine] = (await standIn.ask("GET", "/local/machines")).json.machines;
    expect(machine).toMatchObject({ id, status: "offline", processes: 0 });
    await change(id, { state: "running" });
    expect(await row(id)).toMatchObject({ actual_status: "offline" });
    expect((await statesOf(id)).at(-1)).toBe("offline");
    expect((await standIn.ask("POST", `/local/machines/${id}/host`, { how: "back" })).status).toBe(200);
    await standIn.running(id);
  });

  it("host_dies, gone: nobody knows it any more, and its bill has an end", async () => {
    const { id } = await standIn.create();
    await standIn.running(id);
    await standIn.arm({ name: "host_dies", variant: "gone", times: 1 });
    expect(await standIn.list()).toEqual([]);
    expect((await destroy(id)).json.error).toBe("no_such_instance");
    expect((await standIn.bill())[0]).toMatchObject({ id, endedAt: expect.any(Number) });
  });
});
