import { ChildProcess } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { intervalSchema } from "../core/protocol/wire.ts";
import { createMonitor, highestUtilization, type MonitorOptions, parseSmi, runSmi, type Sample } from "./monitor.ts";
import { createSmi } from "./smi.ts";

const uuid = "GPU-5e1b0c3a-1111-2222-3333-444455556666";
const row = (index: number, util: string | number, used: string | number = 3, total: string | number = 24564) =>
  `${index}, ${uuid}, NVIDIA GeForce RTX 4090, ${util}, ${used}, ${total}`;

describe("parseSmi", () => {
  it("reads one row per GPU", () => {
    const { rows, problem } = parseSmi(`${row(0, 37, 8123)}\n${row(1, 0)}\n`);
    expect(problem).toBeNull();
    expect(rows).toEqual([
      { index: 0, name: "NVIDIA GeForce RTX 4090", utilization: 37, memoryUsedMb: 8123, memoryTotalMb: 24564 },
      { index: 1, name: "NVIDIA GeForce RTX 4090", utilization: 0, memoryUsedMb: 3, memoryTotalMb: 24564 },
    ]);
  });

  it.each([
    "[N/A]",
    "N/A",
    "[Not Supported]",
    "[Unknown Error]",
    "[GPU requires reset]",
    "[Insufficient Permissions]",
    "[Not Found]",
    "ERR!",
    "",
    "-",
    "-1",
    "101",
    "0x10",
    "1e1",
    "NaN",
  ])("takes %j for not known, never for 0", (word) => {
    expect(parseSmi(row(0, word, word, word)).rows[0]).toMatchObject({ index: 0, utilization: null });
    expect(parseSmi(row(0, 12, "[N/A]", "[N/A]")).rows[0]).toMatchObject({
      utilization: 12,
      memoryUsedMb: null,
      memoryTotalMb: null,
    });
  });

  it("keeps the words of a line that is no row", () => {
    const lost =
      "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost.  Reboot the system to recover this GPU";
    const { rows, problem } = parseSmi(`${row(0, 3)}\r\n${lost}\r\n${row(2, 4)}`);
    expect(rows.map((one) => one.index)).toEqual([0, 2]);
    expect(problem).toContain("GPU is lost. Reboot");
  });

  it("does not read a header, a wrong number of fields or a doubled index as a GPU", () => {
    expect(parseSmi("index, uuid, name, utilization.gpu [%], memory.used [MiB], memory.total [MiB]").rows).toEqual([]);
    expect(parseSmi("0, 37").rows).toEqual([]);
    expect(parseSmi(`${row(0, 1)}\n${row(0, 2)}`).problem).not.toBeNull();
  });
});

describe("runSmi with a program", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "soneca-smi-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const fake = (body: string) => {
    const command = join(folder, "nvidia-smi");
    writeFileSync(command, `#!/bin/sh\n${body}\n`);
    chmodSync(command, 0o755);
    return command;
  };
  const query = (body: string, timeoutMs = 5_000) =>
    runSmi(createSmi({ command: fake(body), env: process.env, timeoutMs }));

  it("asks for the right fields", async () => {
    const sample =
      await query(`[ "$1" = --query-gpu=index,uuid,name,utilization.gpu,memory.used,memory.total ] || exit 2
      [ "$2" = --format=csv,noheader,nounits ] || exit 2
      echo "${row(0, 50)}"`);
    expect(sample).toMatchObject({ ok: true, rows: [{ utilization: 50 }], problem: null });
  });

  it.each([
    [2, 'Field "x" is not a valid field to query.'],
    [6, "No devices were found"],
    [9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."],
    [12, "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system."],
    [15, "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost."],
    [18, "Failed to initialize NVML: Driver/library version mismatch"],
    [255, "Failed to initialize NVML: Unknown Error"],
  ])("code %i is a failure with the words of stdout", async (code, words) => {
    const sample = await query(`cat <<'X'\n${words}\nX\nexit ${code}`);
    expect(sample).toMatchObject({ ok: false });
    expect(!sample.ok && sample.message).toContain(words);
    expect(!sample.ok && sample.message).toContain(`code ${code}`);
  });

  it("a failure code is believed even when good rows came with it", async () => {
    expect(await query(`echo "${row(0, 0)}"; exit 15`)).toMatchObject({ ok: false });
  });

  it("success without a row is a failure", async () => {
    expect(await query("exit 0")).toMatchObject({ ok: false, message: "nvidia-smi listed no GPU" });
    expect(await query("echo No devices were found")).toMatchObject({ ok: false, message: "No devices were found" });
  });

  it("a missing program is a failure in words", async () => {
    const sample = await runSmi(createSmi({ command: join(folder, "none"), env: process.env, timeoutMs: 1_000 }));
    expect(sample).toEqual({ ok: false, message: "nvidia-smi is not installed" });
  });

  it("one that hangs is killed after the timeout", async () => {
    const startedAt = performance.now();
    const sample = await query(`echo $$ >${folder}/pid; exec sleep 60`, 200);
    expect(sample).toMatchObject({ ok: false, message: "nvidia-smi gave no answer within 0.2 s" });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    const pid = Number(readFileSync(join(folder, "pid"), "utf8"));
    await sleep(50);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  it("none is started beside one that hangs in the kernel, and that is said", async () => {
    const command = fake(`echo $$ >>${folder}/pids; [ -f ${folder}/well ] && echo "${row(0, 50)}" || exec sleep 60`);
    const pids = () => readFileSync(join(folder, "pids"), "utf8").trim().split("\n").map(Number);
    const smi = createSmi({ command, env: process.env, timeoutMs: 100 });
    // In the kernel a process does not hear SIGKILL.
    const kill = vi.spyOn(ChildProcess.prototype, "kill").mockReturnValue(true);
    try {
      expect(await runSmi(smi)).toMatchObject({ ok: false, message: "nvidia-smi gave no answer within 0.1 s" });
      for (let i = 0; i < 3; i++) {
        const message = `nvidia-smi hangs: process ${pids()[0]} was killed and is still there`;
        expect(await runSmi(smi)).toEqual({ ok: false, message });
      }
      expect(pids()).toHaveLength(1);
    } finally {
      kill.mockRestore();
      for (const pid of pids()) process.kill(pid, "SIGKILL");
    }
    // Once the kernel lets it go, the next one is asked.
    writeFileSync(join(folder, "well"), "");
    await vi.waitFor(async () => expect(await runSmi(smi)).toMatchObject({ ok: true, rows: [{ utilization: 50 }] }));
  });

  it("does not hand the secrets on, and samples without overlap", async () => {
    const command = fake(`[ -z "$SONECA_TOKEN" ] || exit 99
      echo x >>${folder}/runs
      mkdir ${folder}/lock || echo overlap >>${folder}/runs
      sleep 0.15; rmdir ${folder}/lock
      echo "${row(0, 7)}"`);
    const monitor = createMonitor({
      command,
      env: { ...process.env, SONECA_TOKEN: "secret" },
      sampleMs: 100,
      gpuCount: 1,
    });
    monitor.setPace({ intervalMs: 1_000, threshold: 5 });
    monitor.start();
    const runs = () => readFileSync(join(folder, "runs"), "utf8").split("\n").length - 1;
    await vi.waitFor(() => expect(runs()).toBeGreaterThanOrEqual(5), { timeout: 20_000, interval: 50 });
    const interval = await vi.waitUntil(() => monitor.takeInterval(), { timeout: 5_000, interval: 50 });
    monitor.stop();
    expect(interval.sensorError).toBeNull();
    expect(interval.taken).toBeGreaterThanOrEqual(4);
    // The program itself is slower than the pace: what is due is what can be had. At its pace it would be half.
    expect(interval.taken / interval.expected).toBeGreaterThan(0.65);
    expect(interval.gpus[0]).toMatchObject({ index: 0, max: 7, mean: 7, busyShare: 1, memoryUsedMb: 3 });
    expect(readFileSync(join(folder, "runs"), "utf8")).not.toContain("overlap");
  });
});

describe("createMonitor", () => {
  const clock = { ms: 0 };
  const ok = (...utils: (number | null)[]): Sample => ({
    ok: true,
    problem: null,
    rows: utils.map((utilization, index) => ({ index, name: "GPU", utilization, memoryUsedMb: 1, memoryTotalMb: 2 })),
  });

  /** One interval of these samples, on a clock of its own. */
  async function intervalOf(samples: Sample[], options: MonitorOptions = {}) {
    clock.ms = 0;
    let at = 0;
    const monitor = createMonitor({
      now: () => clock.ms,
      takeSample: async () => samples[Math.min(at++, samples.length - 1)]!,
      sampleMs: 1,
      ...options,
    });
    monitor.setPace({ intervalMs: 1_000, threshold: 5 });
    // A sample each 100 ms is the fastest pace; the real timers only drive the loop.
    monitor.start();
    while (at < samples.length) await sleep(5);
    await sleep(5);
    monitor.stop();
    clock.ms = 1_000;
    return monitor.takeInterval()!;
  }

  it("keeps highest, mean and busy share of each GPU", async () => {
    const interval = await intervalOf([ok(0, 10), ok(4, 20), ok(5, 0)]);
    expect(interval).toMatchObject({ n: 0, fromMs: 0, toMs: 1_000, taken: 3, sensorError: null });
    expect(interval.gpus.map(({ max, mean, busyShare }) => [max, mean, busyShare])).toEqual([
      [5, 3, 0.3333],
      [20, 10, 0.6667],
    ]);
    expect(highestUtilization(interval, 5)).toBe(20);
    expect(() => intervalSchema.parse({ ...interval, fromAt: 0, toAt: 1 })).not.toThrow();
  });

  it("a GPU that is no longer listed, or unknown once, is unknown", async () => {
    expect((await intervalOf([ok(0, 0), ok(0)])).gpus[1]).toMatchObject({
      index: 1,
      max: null,
      mean: null,
      busyShare: null,
    });
    const interval = await intervalOf([ok(0, 0), ok(0, null), ok(0, 0)]);
    expect(interval.gpus.map((gpu) => gpu.max)).toEqual([0, null]);
    expect(highestUtilization(interval, 5)).toBeNull();
  });

  it("fewer GPUs than were rented: those that are missing are unknown", async () => {
    const interval = await intervalOf([ok(0, 0)], { gpuCount: 4 });
    expect(interval.gpus.map((gpu) => gpu.max)).toEqual([0, 0, null, null]);
  });

  it("one failed sample makes the sensor failed, and is not counted as taken", async () => {
    const interval = await intervalOf([ok(0), { ok: false, message: "GPU is lost" }, ok(0)]);
    expect(interval).toMatchObject({ taken: 2, sensorError: "GPU is lost" });
    expect(highestUtilization(interval, 5)).toBeNull();
    expect(highestUtilization({ ...interval, gpus: [{ ...interval.gpus[0]!, max: 60 }] }, 5)).toBe(60);
  });

  it("a sensor that never worked gives no GPU and no number", async () => {
    const interval = await intervalOf([{ ok: false, message: "nvidia-smi is not installed" }]);
    expect(interval).toMatchObject({ taken: 0, gpus: [], sensorError: "nvidia-smi is not installed" });
    expect(highestUtilization(interval, 5)).toBeNull();
  });

  it("an interval closes only when it is long enough, and n grows by one", () => {
    const at = { ms: 0 };
    const monitor = createMonitor({ now: () => at.ms, takeSample: async () => ok(0) });
    monitor.setPace({ intervalMs: 10_000, threshold: 5 });
    at.ms = 8_900;
    expect(monitor.takeInterval()).toBeNull();
    at.ms = 10_000;
    expect(monitor.takeInterval()).toMatchObject({ n: 0, fromMs: 0, toMs: 10_000, expected: 10, taken: 0 });
    at.ms = 20_000;
    expect(monitor.takeInterval()).toMatchObject({ n: 1, fromMs: 10_000, toMs: 20_000 });
  });

  it("samples five times in a short interval", () => {
    const at = { ms: 0 };
    const monitor = createMonitor({ now: () => at.ms, takeSample: async () => ok(0) });
    monitor.setPace({ intervalMs: 2_000, threshold: 5 });
    at.ms = 2_000;
    expect(monitor.takeInterval()!.expected).toBe(5);
  });

  it("a pace that changes within an interval changes what is due from then on, and the next sample comes sooner", async () => {
    const at = { ms: 0 };
    let samples = 0;
    const monitor = createMonitor({
      now: () => at.ms,
      takeSample: async () => {
        samples++;
        return ok(0);
      },
    });
    monitor.setPace({ intervalMs: 10_000, threshold: 5 });
    at.ms = 9_000;
    monitor.setPace({ intervalMs: 2_000, threshold: 5 });
    at.ms = 10_000;
    expect(monitor.takeInterval()!.expected).toBe(11);
    monitor.setPace({ intervalMs: 30_000, threshold: 5 });
    monitor.start();
    await sleep(10);
    monitor.setPace({ intervalMs: 500, threshold: 5 });
    await sleep(250);
    monitor.stop();
    expect(samples).toBeGreaterThanOrEqual(2);
  });
});
