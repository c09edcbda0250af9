import { ChildProcess } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createGpuMemorySensor, parseApps } from "./gpu-memory.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "soneca-apps-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("tells who holds how much", () => {
  expect(parseApps("4711, /usr/bin/python, 8012\n88, a, strange name, 500\n")).toEqual({
    value: 8512,
    detail: "python (4711) 8012 MiB, a,strange name (88) 500 MiB",
  });
  expect(parseApps("\n")).toEqual({ value: 0 });
});

it("what is not told is not known, and never 0", () => {
  expect(parseApps("4711, python, [N/A]\n")).toEqual({ value: null, detail: "python (4711)" });
  expect(parseApps("4711, python, 12\n9, other, [N/A]\n").value).toBeNull();
  expect(parseApps("GPU is lost. Reboot the system")).toMatchObject({ value: null });
});

it("asks nvidia-smi, and a failure of it is not known", async () => {
  const command = join(folder, "nvidia-smi");
  const ask = (body: string) => {
    writeFileSync(command, `#!/bin/sh\n${body}\n`);
    chmodSync(command, 0o755);
    return createGpuMemorySensor({ command, env: process.env, timeoutMs: 5_000 }).read();
  };
  const good = `[ "$1" = --query-compute-apps=pid,process_name,used_memory ] || exit 2; echo "7, python, 20"`;
  expect(await ask(good)).toEqual({ gpu_memory: { value: 20, detail: "python (7) 20 MiB" } });
  expect(await ask("echo 'driver not loaded'; exit 9")).toMatchObject({
    gpu_memory: { value: null, detail: expect.stringContaining("driver not loaded") },
  });
});

it("is not known while an nvidia-smi hangs that cannot be ended, and starts no other", async () => {
  const command = join(folder, "nvidia-smi");
  writeFileSync(command, `#!/bin/sh\necho $$ >>${folder}/pids; exec sleep 60\n`, { mode: 0o755 });
  const pids = () => readFileSync(join(folder, "pids"), "utf8").trim().split("\n").map(Number);
  const kill = vi.spyOn(ChildProcess.prototype, "kill").mockReturnValue(true);
  try {
    const sensor = createGpuMemorySensor({ command, env: process.env, timeoutMs: 100 });
    await sensor.read();
    for (let i = 0; i < 2; i++) {
      expect(await sensor.read()).toMatchObject({
        gpu_memory: { value: null, detail: expect.stringContaining("is still there") },
      });
    }
    expect(pids()).toHaveLength(1);
  } finally {
    kill.mockRestore();
    for (const pid of pids()) process.kill(pid, "SIGKILL");
  }
});
