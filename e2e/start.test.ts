/** `npm start` as a person runs it: one line that says it is ready, Ctrl-C, and the next start that goes on from there. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { InstanceView } from "../core/protocol/views.ts";
import { writeSampleWorkspace } from "../local-cloud/sample.ts";
import { freePort } from "../local-cloud/secrets.ts";
import type { LocalMachine } from "../local-cloud/vast/control.ts";
import {
  keepCopy,
  makeTestFolder,
  mustBeEqual,
  processesWith,
  removeFolder,
  until,
  workspaceOf,
} from "./testing/cloud.ts";

interface Ready {
  event: "ready";
  url: string;
  apiToken: string;
  vastUrl: string;
  vastApiKey: string;
  adminToken: string;
  stateDir: string;
}

const startFile = join(import.meta.dirname, "../local-cloud/start.ts");
const base = makeTestFolder();
const stateDir = join(base, "state");
const config = { enabled: false, check_interval_seconds: 1, delete_after_pause_minutes: 30 };

let port: number;
let earlyPort: string;
let child: ChildProcess | null = null;
let ready: Ready;
let asleep: InstanceView;
let awake: InstanceView;

beforeAll(async () => {
  port = await freePort();
  earlyPort = String(await freePort());
});
afterAll(async () => {
  if (child) await endBySigint(child);
  removeFolder(base);
});

async function start(...more: string[]): Promise<Ready> {
  const argv = [startFile, "--json", "--no-sample", "--state", stateDir, "--port", String(port), ...more];
  const started = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"] });
  child = started;
  let errors = "";
  started.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  return new Promise((done, fail) => {
    let isFirst = true;
    createInterface({ input: started.stdout }).on("line", (line) => {
      if (!isFirst) return;
      isFirst = false;
      // The very first line is the one that a script waits for.
      const event = JSON.parse(line);
      if (event.event === "ready") done(event);
      else fail(new Error(`the first line is ${line}`));
    });
    started.on("exit", (code) => fail(new Error(`start ended with ${code}: ${errors}`)));
  });
}

/** As Ctrl-C in the terminal; the exit code. */
async function endBySigint(program: ChildProcess): Promise<number | null> {
  child = null;
  if (program.exitCode !== null) return program.exitCode;
  return new Promise((done) => {
    program.on("exit", done);
    program.kill("SIGINT");
  });
}

async function api<T>(method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(ready.url + path, {
    method,
    headers: { authorization: `Bearer ${ready.apiToken}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

async function untilState(id: string, state: string): Promise<InstanceView> {
  let seen = "";
  return until(
    `${id} is ${state}`,
    async () => {
      const view = await api<InstanceView>("GET", `/api/instances/${id}`);
      seen = `${view.state} ${JSON.stringify(view.trouble)}`;
      return view.state === state && view;
    },
    { withinMs: 90_000, seen: () => seen },
  );
}

async function machineOf(id: string): Promise<LocalMachine> {
  return until(`${id} has a running machine`, async () => {
    const response = await fetch(`${ready.vastUrl}/local/machines`);
    const { machines } = (await response.json()) as { machines: LocalMachine[] };
    return machines.find((one) => one.label?.startsWith(`soneca:${id}:`) && one.status === "running");
  });
}

/** The one process of this state that is the stand-in: found by its key file, never by its name alone. */
function killStandIn(): void {
  const found = processesWith(join(stateDir, "vast-api-key")).filter(({ argv }) => argv.includes("vast/main.ts"));
  expect(found).toHaveLength(1);
  process.kill(found[0]!.pid, "SIGKILL");
}

describe("npm start", () => {
  it("prints one line with all that a script needs, and carries an instance to sleep", async () => {
    ready = await start();
    expect(ready).toMatchObject({ event: "ready", url: `http://127.0.0.1:${port}`, stateDir });
    expect(ready.apiToken).toMatch(/^sn[a-z]*_/);
    expect(ready.vastUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(ready.vastApiKey).toBe(readFileSync(join(stateDir, "vast-api-key"), "utf8"));
    expect(await api("GET", "/api/me")).toMatchObject({ name: "local" });

    const made = await api<InstanceView>("POST", "/api/instances", { name: "asleep", auto_hibernation: config });
    await untilState(made.id, "running");
    const machine = await machineOf(made.id);
    writeSampleWorkspace(workspaceOf(machine));
    keepCopy(workspaceOf(machine), join(base, "asleep"));
    await api("POST", `/api/instances/${made.id}/hibernate`);
    asleep = await untilState(made.id, "hibernated");

    const other = await api<InstanceView>("POST", "/api/instances", { name: "awake", auto_hibernation: config });
    awake = await untilState(other.id, "running");
    writeFileSync(join(workspaceOf(await machineOf(other.id)), "note.txt"), "written before Ctrl-C\n");
  });

  it("refuses a second start with the same state, in words", async () => {
    const argv = [startFile, "--json", "--no-sample", "--state", stateDir];
    const second = spawn(process.execPath, argv, { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    second.stderr.on("data", (chunk) => {
      errors += chunk;
    });
    expect(await new Promise((done) => second.on("exit", done))).toBe(1);
    expect(errors).toContain("is running already");
    expect(await api("GET", "/api/me")).toMatchObject({ name: "local" });
  });

  it("answers again when what serves the worker was killed and what started it lives on", async () => {
    const serving = processesWith(stateDir).filter(({ argv }) => argv.includes("workerd serve"));
    expect(serving.length).toBeGreaterThan(0);
    for (const { pid } of serving) process.kill(pid, "SIGKILL");
    await expect(api("GET", "/api/me")).rejects.toThrow();
    const answer = () => api("GET", "/api/me").catch(() => null);
    expect(await until("the worker answers", answer, { withinMs: 90_000 })).toMatchObject({ name: "local" });
    expect((await untilState(awake.id, "running")).machine?.label).toBe(awake.machine?.label);
  });

  it("leaves no process behind after Ctrl-C", async () => {
    expect(processesWith(stateDir).length).toBeGreaterThan(3);
    expect(await endBySigint(child!)).toBe(0);
    expect(processesWith(stateDir)).toEqual([]);
    await expect(fetch(ready.url)).rejects.toThrow();
  });

  it("finds everything again at the next start; what runs runs again, what sleeps can be woken", async () => {
    const before = ready;
    ready = await start();
    expect(ready).toEqual({ ...before, vastUrl: ready.vastUrl });
    const { instances } = await api<{ instances: InstanceView[] }>("GET", "/api/instances");
    expect(instances.map((one) => one.id).sort()).toEqual([asleep.id, awake.id].sort());
    expect(await api("GET", `/api/instances/${asleep.id}`)).toMatchObject({
      state: "hibernated",
      snapshot_id: asleep.snapshot_id,
      hibernated_at: asleep.hibernated_at,
    });

    const machine = await machineOf(awake.id);
    expect(machine.id).toBe(awake.machine!.vast_instance_id);
    expect(readFileSync(join(workspaceOf(machine), "note.txt"), "utf8")).toBe("written before Ctrl-C\n");
    const startedAt = new Date().toISOString();
    await until("its agent reports again", async () => {
      const view = await api<InstanceView>("GET", `/api/instances/${awake.id}`);
      return view.state === "running" && (view.last_report_at ?? "") > startedAt;
    });

    await api("POST", `/api/instances/${asleep.id}/wake`);
    const woken = await untilState(asleep.id, "running");
    expect(woken.epoch).toBe(2);
    mustBeEqual(join(base, "asleep"), workspaceOf(await machineOf(asleep.id)));
  });

  it("leaves no process behind when it is ended while it still starts, with the signal given twice", async () => {
    for (const afterMs of [300, 900, 3_000]) {
      const argv = [startFile, "--json", "--no-sample", "--state", `${stateDir}-early`, "--port", earlyPort, "--fresh"];
      const early = spawn(process.execPath, argv, { stdio: "ignore" });
      const ended = new Promise((done) => early.on("exit", done));
      await new Promise((done) => setTimeout(done, afterMs));
      // npm passes on the signal that the terminal has sent already.
      early.kill("SIGINT");
      early.kill("SIGINT");
      await ended;
      expect(processesWith(`${stateDir}-early`)).toEqual([]);
    }
  });

  it("a start that was killed while it started is cleaned up by the next one", async () => {
    const argv = [startFile, "--json", "--no-sample", "--state", `${stateDir}-early`, "--port", earlyPort];
    const killed = spawn(process.execPath, argv, { stdio: "ignore" });
    await until("the worker is being started", () =>
      processesWith(`${stateDir}-early`).some(({ argv }) => argv.includes("local-cloud/worker/main.ts")),
    );
    killed.kill("SIGKILL");
    const next = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "ignore"] });
    await new Promise((done) => next.stdout.once("data", done));
    const ended = new Promise((done) => next.on("exit", done));
    next.kill("SIGINT");
    expect(await ended).toBe(0);
    expect(processesWith(`${stateDir}-early`)).toEqual([]);
  });

  it("ends the machines even when the stand-in is dead", async () => {
    expect((await machineOf(awake.id)).processes).toBeGreaterThan(1);
    killStandIn();
    expect(await endBySigint(child!)).toBe(0);
    expect(processesWith(stateDir)).toEqual([]);
  });

  it("--fresh begins with nothing, also after everything was killed", async () => {
    ready = await start();
    const { path } = await machineOf(awake.id);
    // No word of goodbye from anybody: the machines are all that lives.
    const killed = child!;
    child = null;
    killed.kill("SIGKILL");
    killStandIn();
    expect(processesWith(path).length).toBeGreaterThan(1);
    ready = await start("--fresh");
    expect(processesWith(path)).toEqual([]);
    expect(await api("GET", "/api/instances")).toEqual({ instances: [] });
    const bill = await (await fetch(`${ready.vastUrl}/local/bill`)).json();
    expect(bill).toEqual({ bill: [], usd: 0, microUsd: 0 });
    expect(existsSync(join(stateDir, "sample"))).toBe(false);
    expect(await endBySigint(child!)).toBe(0);
    expect(processesWith(stateDir)).toEqual([]);
  });
});
