import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readBootId, readStat } from "../proc.ts";
import { scanDigest } from "./scan-folder.ts";
import { lockState } from "./state-lock.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-lock-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const inUse = expect.objectContaining({ code: "state_in_use" });

test("a second run of the same instance is refused, another instance is not", () => {
  const release = lockState(dir, "a");
  expect(() => lockState(dir, "a")).toThrow(inUse);
  lockState(dir, "b")();
  release();
  lockState(dir, "a")();
  expect(readdirSync(dir)).toEqual([]);
});

test("a live process keeps it; what a dead one left is taken over", async () => {
  const code = `import { lockState } from ${JSON.stringify(join(import.meta.dirname, "state-lock.ts"))};
    lockState(${JSON.stringify(dir)}, "a"); console.log("held"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", code], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  expect(() => lockState(dir, "a")).toThrow(inUse);
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await ended;
  expect(existsSync(join(dir, "lock-a"))).toBe(true);
  lockState(dir, "a")();
  expect(readdirSync(dir)).toEqual([]);
});

test("a pid that belongs to another process by now, another boot, and rubbish are taken over", () => {
  const startTime = readStat(process.ppid)!.startTime;
  for (const text of [
    JSON.stringify({ pid: process.ppid, startTime: startTime + 1, bootId: readBootId() }),
    JSON.stringify({ pid: process.ppid, startTime, bootId: "another" }),
    "{",
  ]) {
    writeFileSync(join(dir, "lock-a"), text);
    writeFileSync(join(dir, "lock-a.turn"), text);
    lockState(dir, "a")();
    expect(readdirSync(dir)).toEqual([]);
  }
});

test("two scans at once on one state folder: one is refused", async () => {
  const root = mkdtempSync(join(tmpdir(), "soneca-lock-root-"));
  const scan = () => scanDigest({ root, id: "a", stateDir: dir });
  const results = await Promise.all([scan(), scan()]);
  expect(results.map((result) => (result.ok ? "ok" : result.code)).sort()).toEqual(["ok", "state_in_use"]);
  expect((await scan()).ok).toBe(true);
  rmSync(root, { recursive: true });
});
