/** Held awake over the real programs: a command under `soneca-agent run`, keep-awake and not-now, and why it is awake. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { InstanceView } from "../core/protocol/views.ts";
import type { LocalMachine } from "../local-cloud/vast/control.ts";
import {
  execIn,
  Instance,
  quick,
  setGpu,
  startTestCloud,
  type TestCloud,
  until,
  workspaceOf,
} from "./testing/cloud.ts";

let test: TestCloud;
let instance: Instance;
let machine: LocalMachine;

beforeAll(async () => {
  test = await startTestCloud();
  const auto_hibernation = { ...quick, not_now_minutes: 0.05, signals: { cpu: { enabled: true, threshold: 50 } } };
  instance = await Instance.create(test.cloud, { name: "held", gpu_type: "RTX 4090", auto_hibernation });
  machine = await instance.machine();
  await setGpu(test.cloud, machine, "90");
  await instance.untilState("running");
});
afterAll(async () => {
  await test?.end();
});

/** The command line, as its owner calls it. */
function soneca(...args: string[]): Promise<{ code: number | null; stdout: string }> {
  const env = { ...process.env, SONECA_URL: test.cloud.url, SONECA_TOKEN: test.cloud.apiToken };
  const child = spawn(process.execPath, [join(import.meta.dirname, "../cli/main.ts"), ...args], { env });
  let stdout = "";
  child.stdout.on("data", (text) => {
    stdout += text;
  });
  child.stderr.on("data", (text) => {
    stdout += text;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout })));
}

const agentProgram = () => {
  const name = readdirSync(join(machine.path, "agent")).find((one) => one === "soneca-agent.mjs");
  return join(machine.path, "agent", name ?? "soneca-agent.mjs");
};

it("a command under run holds a quiet machine to its end, and passes its code on", async () => {
  expect(existsSync(agentProgram())).toBe(true);
  const gate = join(workspaceOf(machine), "go");
  const script = `until [ -e ${gate} ]; do sleep 0.1; done; echo trained; exit 7`;
  const ran = execIn(test.cloud, machine, process.execPath, agentProgram(), "run", "--", "sh", "-c", script);
  const held = await instance.until("the command holds it", (view) => view.leases.length > 0);
  expect(held.leases[0]).toMatchObject({ by: "agent", what: expect.stringContaining("sh -c until") });
  await setGpu(test.cloud, machine, "0");
  await instance.until("the GPU is quiet", (view) => view.signals[0]?.state === "quiet");
  const end = Date.now() + 8_000;
  let view: InstanceView = held;
  while (Date.now() < end) {
    view = await instance.view();
    expect(view).toMatchObject({ state: "running", status: "running", next: null });
  }
  expect(view.awake_because[0]).toMatchObject({ signal: "lease", detail: expect.stringContaining("sh -c until") });
  expect(view.signals.map((one) => one.name)).toEqual([
    "gpu",
    "traffic",
    "cpu",
    "terminal",
    "jupyter",
    "network",
    "disk",
    "gpu_memory",
  ]);
  expect(view.signals[2]).toMatchObject({ name: "cpu", enabled: true, threshold: 50 });
  expect(view.signals[2]!.value).toBeGreaterThanOrEqual(0);
  const shown = await soneca("instance", "show", instance.id);
  expect(shown.stdout).toMatch(/Awake because +Held awake until/);
  expect(shown.stdout).toMatch(/CPU of the workspace .* decides/);
  // Held on before the command ends: else it might sleep before the next lines have run.
  const asked = await soneca("instance", "keep-awake", instance.id, "2h", "--reason", "lunch");
  expect(asked).toMatchObject({ code: 0, stdout: expect.stringContaining("Held awake until") });
  writeFileSync(gate, "");
  expect(await ran).toMatchObject({ code: 7, stdout: "trained\n" });
  await instance.until(
    "the command's lease is over",
    ({ leases }) => leases.length === 1 && leases[0]!.what === "lunch",
  );
});

it("ends keep-awake, tells of the sleep, puts it off by not-now, and sleeps at last", async () => {
  const freed = await soneca("instance", "keep-awake", instance.id, "--end");
  expect(freed).toMatchObject({ code: 0, stdout: expect.stringContaining("Not held awake") });
  const warned = await instance.until("the sleep is announced", (view) => view.next?.warned_at !== undefined, {
    everyMs: 50,
  });
  expect(warned).toMatchObject({ status: "idle", next: { what: "hibernate" } });
  const spared = await test.cloud.api<InstanceView>("POST", `/api/instances/${instance.id}/not-now`, {});
  expect(spared.status).toBe(200);
  expect(spared.body).toMatchObject({ state: "running", next: null });
  const sparedAt = Date.now();
  await instance.untilState("snapshotting");
  // Three seconds of not now, then a whole idle window of six.
  expect(Date.now() - sparedAt).toBeGreaterThan(8_500);
  await until("it sleeps", async () => ["hibernated", "deleted"].includes((await instance.view()).state));
  const types = await instance.eventTypesUpTo("hibernated");
  for (const type of ["keep_awake", "keep_awake_ended", "sleep_soon", "sleep_postponed"]) expect(types).toContain(type);
});
