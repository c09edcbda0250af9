/** The stand-in as a process. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

const apiToken = "token-of-the-account";
let folder: string;
let child: ChildProcess | null;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "soneca-cloudflare-main-"));
  writeFileSync(join(folder, "token"), `${apiToken}\n`);
  child = null;
});
afterEach(async () => {
  await end("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

interface Ready {
  apiUrl: string;
  accountId: string;
  connectorAddress: string;
}

function begin(...more: string[]): Promise<Ready> {
  const program = join(import.meta.dirname, "main.ts");
  const args = ["--token-file", join(folder, "token"), "--state", join(folder, "state.json"), ...more];
  const started = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  child = started;
  return new Promise((resolve, reject) => {
    started.stdout!.once("data", (line: Buffer) => resolve(JSON.parse(line.toString())));
    started.stderr!.on("data", (text: Buffer) => {
      if (!text.includes("ExperimentalWarning")) reject(new Error(text.toString()));
    });
  });
}
async function end(signal: NodeJS.Signals): Promise<number | null> {
  const ending = child;
  child = null;
  if (!ending || ending.exitCode !== null || ending.signalCode !== null) return ending?.exitCode ?? null;
  const ended = new Promise<number | null>((resolve) => ending.once("exit", resolve));
  ending.kill(signal);
  return ended;
}
const ask = (ready: Ready, method: string, body?: object) =>
  fetch(`${ready.apiUrl}/accounts/${ready.accountId}/cfd_tunnel`, {
    method,
    headers: { authorization: `Bearer ${apiToken}` },
    body: body && JSON.stringify(body),
  });

it("says where it answers, and finds its tunnels again after a SIGKILL", async () => {
  const first = await begin("--zone", "machines.test", "--account", "acc");
  expect(first).toMatchObject({ event: "ready", zone: "machines.test", accountId: "acc" });
  expect((await ask(first, "POST", { name: "a", config_src: "cloudflare" })).status).toBe(200);
  await end("SIGKILL");
  const next = await begin("--zone", "machines.test", "--account", "acc");
  expect(await (await ask(next, "GET")).json()).toMatchObject({ result: [{ name: "a" }] });
  expect(await end("SIGTERM")).toBe(0);
});

it("without its options says how it is started", async () => {
  await expect(begin()).rejects.toThrow("usage:");
});
