/** The stand-in as a process: what a SIGKILL and a SIGTERM of it leave behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { LocalMachine } from "./control.ts";
import { readStat } from "./machines.ts";

const KEY = "key-of-the-account";
let folder: string;
let child: ChildProcess | null = null;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "soneca-main-"));
  writeFileSync(join(folder, "key"), `${KEY}\n`);
});
afterEach(async () => {
  await end("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

async function begin(...more: string[]): Promise<string> {
  const args = [
    "--port",
    "0",
    "--state",
    join(folder, "state"),
    "--api-key-file",
    join(folder, "key"),
    "--boot-ms",
    "50",
    ...more,
  ];
  const started = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  child = started;
  return new Promise((resolve, reject) => {
    started.stdout!.once("data", (line: Buffer) => resolve(JSON.parse(line.toString()).url));
    started.stderr!.once("data", (text: Buffer) => reject(new Error(text.toString())));
  });
}
async function end(signal: NodeJS.Signals): Promise<void> {
  const ending = child;
  child = null;
  if (!ending || ending.exitCode !== null || ending.signalCode !== null) return;
  const ended = new Promise((resolve) => ending.once("exit", resolve));
  ending.kill(signal);
  await ended;
}
// biome-ignore lint/suspicious/noExplicitAny: the answers are the stand-in's, tested elsewhere
const ask = async (url: string, method: string, path: string, body?: object): Promise<any> => {
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  return (await fetch(url + path, { method, headers, body: body && JSON.stringify(body) })).json();
};
async function waitForMachine(url: string, accept: (machine: LocalMachine) => boolean): Promise<LocalMachine> {
  for (let i = 0; i < 300; i++) {
    const { machines } = await ask(url, "GET", "/local/machines");
    if (machines[0] && accept(machines[0])) return machines[0];
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("it does not come");
}
async function rent(url: string): Promise<LocalMachine> {
  const { offers } = await ask(url, "POST", "/api/v0/bundles/", {});
  const onstart = "# soneca-onstart\nsetsid sleep 1000 &\n";
  await ask(url, "PUT", `/api/v0/asks/${offers[0].id}/`, { image: "x", disk: 10, onstart });
  return waitForMachine(url, ({ status, processes }) => status === "running" && processes >= 3);
}
const isRunning = (pid: number) => ![undefined, "Z"].includes(readStat(pid)?.state);

it("a SIGKILL leaves machines running, and the next start finds them", async () => {
  const before = await rent(await begin());
  await end("SIGKILL");
  expect(isRunning(before.pid!)).toBe(true);
  const after = await waitForMachine(await begin(), () => true);
  expect(after).toMatchObject({ id: before.id, status: "running", pid: before.pid, processes: before.processes });
});

it("a machine that died meanwhile is started again, once", async () => {
  const before = await rent(await begin());
  await end("SIGKILL");
  process.kill(before.pid!, "SIGKILL");
  const after = await waitForMachine(await begin(), ({ status, processes }) => status === "running" && processes >= 3);
  expect(after.pid).not.toBe(before.pid);
  expect(after.processes).toBe(before.processes);
});

it("a SIGTERM ends every machine and keeps the contract", async () => {
  const before = await rent(await begin());
  await end("SIGTERM");
  expect(isRunning(before.pid!)).toBe(false);
  const after = await waitForMachine(await begin(), ({ status, processes }) => status === "running" && processes >= 3);
  expect(after.id).toBe(before.id);
});

it("a machine that was started but not yet on record does not run twice", async () => {
  const before = await rent(await begin());
  await end("SIGKILL");
  const file = join(folder, "state", "vast.json");
  const state = JSON.parse(readFileSync(file, "utf8"));
  Object.assign(state.contracts[0], { stage: "booting", process: null });
  writeFileSync(file, JSON.stringify(state));
  const after = await waitForMachine(await begin(), ({ status, processes }) => status === "running" && processes >= 3);
  expect(isRunning(before.pid!)).toBe(false);
  expect(after.processes).toBe(before.processes);
});

it("rules go on after a SIGKILL where they were, and the wire to its machines stays up", async () => {
  const rules = JSON.stringify([{ name: "success_false", on: "user", times: 2 }]);
  const flags = ["--faults", rules, "--network", "--clock"];
  const user = (url: string) => ask(url, "GET", "/api/v0/users/current/");
  const before = await begin(...flags);
  expect(await user(before)).toMatchObject({ success: false });
  const wire = () => JSON.parse(readFileSync(join(folder, "state", "switch.json"), "utf8")).pid;
  const pid = wire();
  await end("SIGKILL");
  expect(isRunning(pid)).toBe(true);
  const after = await begin(...flags);
  expect(wire()).toBe(pid);
  expect(await user(after)).toMatchObject({ success: false });
  expect(await user(after)).toMatchObject({ credit: 100 });
  expect((await ask(after, "GET", "/local/faults/counts")).total).toBe(2);
  await end("SIGTERM");
  expect(isRunning(pid)).toBe(false);
});

it("a start with wrong rules ends in words", async () => {
  await expect(begin("--faults", '[{"name":"nope"}]')).rejects.toThrow("no fault named");
  await expect(begin("--disk-bytes", "many")).rejects.toThrow("usage");
});

it("two cannot work on one state", async () => {
  await begin();
  const first = child;
  await expect(begin()).rejects.toThrow("another stand-in");
  child = first;
});
