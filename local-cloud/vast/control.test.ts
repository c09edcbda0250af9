/** The stand-in's own routes: who may ask, and what is done to one machine. */
import { existsSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readStat } from "./machines.ts";
import { type Json, TestStandIn, waitFor } from "./testing/stand-in.ts";

let standIn: TestStandIn;
beforeEach(async () => {
  standIn = await TestStandIn.open();
});
afterEach(() => standIn.close());

const on = (id: number, method: string, action: string, body?: object) =>
  standIn.ask(method, `/local/machines/${id}/${action}`, body);
const workspace = (id: number, name: string) => {
  const file = join(standIn.stateDir, "machines", String(id), "workspace", name);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
};

it("change and run nothing without the key, and answer no foreign host name", async () => {
  const { id } = await standIn.create();
  await standIn.running(id);
  for (const [method, path, body] of [
    ["POST", `/local/machines/${id}/exec`, { argv: ["id"] }],
    ["PUT", `/local/machines/${id}/gpu`, { load: ["busy"] }],
    ["POST", `/local/machines/${id}/kill`, {}],
    ["POST", `/local/machines/${id}/signal`, { signal: "SIGKILL", whom: "all" }],
    ["POST", `/local/machines/${id}/host`, { how: "gone" }],
    ["PUT", `/local/machines/${id}/disk`, { freeBytes: 0 }],
    ["POST", "/local/faults", { name: "slow" }],
    ["PUT", "/local/faults", { rules: [] }],
    ["DELETE", "/local/faults", {}],
  ] as const) {
    expect((await standIn.ask(method, path, body, null)).status).toBe(403);
    expect((await standIn.ask(method, path, body, "wrong-key")).status).toBe(403);
  }
  const status = await new Promise((resolve) =>
    request({ port: standIn.port, path: "/local/machines", headers: { host: "evil.example" } }, (response) =>
      resolve(response.resume().statusCode),
    ).end(),
  );
  expect(status).toBe(403);
});

it("list, load and run", async () => {
  const { id } = await standIn.create();
  await standIn.running(id);
  const { machines } = (await standIn.ask("GET", "/local/machines")).json;
  expect(machines).toMatchObject([{ id, status: "running", gpuLoad: ["idle"], pid: expect.any(Number) }]);
  expect(JSON.stringify(machines)).not.toContain('"A"');
  expect((await on(id, "PUT", "gpu", { load: ["busy"] })).json.load).toEqual(["busy"]);
  expect((await standIn.list())[0].gpu_util).toBe(97);
  expect((await on(id, "PUT", "gpu", { load: ["busy", "busy"] })).status).toBe(400);
  expect((await on(id, "PUT", "gpu", { load: ["$(reboot)"] })).status).toBe(400);
  expect((await on(id, "POST", "exec", { argv: ["sh", "-c", "echo $A"] })).json).toMatchObject({
    code: 0,
    stdout: "b\n",
  });
  const log = await waitFor(async () => (await on(id, "GET", "log?tail=1")).json.log as string);
  expect(log).toBe("hello b\n");
  expect((await standIn.ask("GET", "/local/nothing")).status).toBe(404);
  expect((await standIn.ask("PUT", "/local/machines/1/gpu", { load: ["busy"] })).status).toBe(404);
});

describe("signals", () => {
  const ticker = `# soneca-onstart
setsid sh -c 'while :; do echo x >>ticks; sleep 0.02; done' the-ticker &
setsid sleep 1000 &
`;

  it("pause the whole machine and let it go on, and it counts as running all along", async () => {
    const { id } = await standIn.create({ onstart: ticker });
    const ticks = () => workspace(id, "ticks").length;
    await waitFor(() => ticks() > 3);
    const paused = (await on(id, "POST", "signal", { signal: "SIGSTOP", whom: "all" })).json.pids;
    expect(paused.length).toBeGreaterThanOrEqual(3);
    await waitFor(() => paused.every((pid: number) => ["T", undefined].includes(readStat(pid)?.state)));
    const before = ticks();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(ticks()).toBe(before);
    expect((await standIn.list())[0].actual_status).toBe("running");
    await on(id, "POST", "signal", { signal: "SIGCONT", whom: "all" });
    await waitFor(() => ticks() > before);
  });

  it("reach one process, by its number or its words, and none of another machine", async () => {
    const { id } = await standIn.create({ onstart: ticker });
    const other = await standIn.create({ onstart: ticker });
    await waitFor(() => workspace(id, "ticks") !== "" && workspace(other.id, "ticks") !== "");
    const [sleeper] = (await on(id, "POST", "signal", { signal: "SIGKILL", whom: { match: "sleep 1000" } })).json.pids;
    await waitFor(() => [undefined, "Z"].includes(readStat(sleeper)?.state));
    const { pids } = (await on(id, "POST", "signal", { signal: "SIGCONT", whom: { match: "the-ticker" } })).json;
    expect((await on(other.id, "POST", "signal", { signal: "SIGKILL", whom: { pid: pids[0] } })).json.pids).toEqual([]);
    expect((await on(id, "POST", "signal", { signal: "SIGKILL", whom: { pid: pids[0] } })).json.pids).toEqual([
      pids[0],
    ]);
    expect(
      (await on(other.id, "POST", "signal", { signal: "SIGCONT", whom: { match: "sleep 1000" } })).json.pids,
    ).toHaveLength(1);
  });

  it("kill the machine's own init, and it is shown as exited", async () => {
    const { id } = await standIn.create();
    await standIn.running(id);
    await on(id, "POST", "signal", { signal: "SIGKILL", whom: "all" });
    const shown: Json = await waitFor(async () => (await standIn.list()).find((row) => row.actual_status === "exited"));
    expect(shown).toMatchObject({ id, intended_status: "running", cur_state: "running" });
  });

  it("are refused when they are none", async () => {
    const { id } = await standIn.create();
    for (const body of [
      { signal: "SIGNOPE", whom: "all" },
      { signal: "SIGKILL" },
      { signal: "SIGKILL", whom: { pid: 1 } },
      { signal: "SIGKILL", whom: { match: "" } },
      { signal: "SIGKILL", whom: "everybody" },
    ]) {
      expect((await on(id, "POST", "signal", body)).status).toBe(400);
    }
  });
});

describe("a host", () => {
  it("dies and comes back, or is gone for good", async () => {
    const { id } = await standIn.create({ onstart: "# soneca-onstart\necho x >>boots\n" });
    await waitFor(() => workspace(id, "boots") === "x\n");
    const [{ pid }] = (await standIn.ask("GET", "/local/machines")).json.machines;
    expect((await on(id, "POST", "host", { how: "offline" })).status).toBe(200);
    expect([undefined, "Z"]).toContain(readStat(pid)?.state);
    expect((await standIn.list())[0]).toMatchObject({ id, actual_status: "offline" });
    await on(id, "POST", "host", { how: "back" });
    await waitFor(() => workspace(id, "boots") === "x\nx\n");
    await on(id, "POST", "host", { how: "gone" });
    expect(await standIn.list()).toEqual([]);
    expect(existsSync(join(standIn.stateDir, "machines", String(id)))).toBe(false);
    expect((await standIn.bill())[0]!.intervals.map(({ state }) => state)).toContain("offline");
  });

  it("does nothing that it does not know", async () => {
    const { id } = await standIn.create();
    expect((await on(id, "POST", "host", { how: "burns" })).status).toBe(400);
  });
});

it("say what the stand-in was not started with", async () => {
  const { id } = await standIn.create();
  for (const [action, body, words] of [
    ["network", { mode: "down" }, "--network"],
    ["disk", { freeBytes: 0 }, "--disk-bytes"],
    ["clock", { offsetMs: 1 }, "--clock"],
  ] as const) {
    const answer = await on(id, "PUT", action, body);
    expect(answer).toMatchObject({ status: 409, json: { message: expect.stringContaining(words) } });
  }
});
