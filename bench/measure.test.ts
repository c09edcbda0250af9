import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { measure, parseHighWaterMark, parseTimes } from "./measure.ts";

const scratch = mkdtempSync(join(tmpdir(), "soneca-bench-measure-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const burn = (ms: number) => `"$1" -e 'while (process.cpuUsage().user < ${ms * 1000});'`;

describe("parsing", () => {
  test("the times of bash, behind other lines", () => {
    expect(parseTimes("warning\n1.234 0.560 0.070\n")).toEqual({ wallMs: 1234, cpuMs: 630 });
    expect(() => parseTimes("real 0m1.2s")).toThrow("no times");
  });
  test("the high-water mark, and a process without one", () => {
    expect(parseHighWaterMark("Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t    1234 kB\n")).toBe(1234 * 1024);
    expect(parseHighWaterMark("Name:\tx\nState:\tZ (zombie)\n")).toBe(null);
    expect(parseHighWaterMark("Name:\tbash\nVmHWM:\t 4000 kB\n")).toBe(null);
  });
});

describe("measuring", () => {
  test("CPU time of both sides of a pipe is counted", async () => {
    const { cpuMs } = await measure({ script: `${burn(400)} | ${burn(400)}`, args: [process.execPath] }, { scratch });
    // What each side has counted itself before it ends. Beside other work a process's start alone may take half of it.
    expect(cpuMs).toBeGreaterThan(790);
  });
  test("peak memory is the process's own, even when it is freed before the end", async () => {
    const script = `"$1" -e 'let a = Buffer.alloc(200e6, 1); a = null; globalThis.gc?.(); setTimeout(() => {}, 200)'`;
    const { peakBytes } = await measure({ script, args: [process.execPath] }, { scratch });
    expect(peakBytes).toBeGreaterThan(200e6);
    expect(peakBytes).toBeLessThan(400e6);
  });
  test("outputs come back; arguments are not parsed", async () => {
    const done = await measure(
      { script: `printf %s "$1"; echo no >&2; exit 3`, args: ["$(id) '"], goodExits: [3] },
      { scratch },
    );
    expect(done).toMatchObject({ exit: 3, stdout: "$(id) '", stderr: "no\n" });
  });
  test("a failing first half of a pipe is a failure, with its words", async () => {
    await expect(measure({ script: "{ echo broken >&2; false; } | cat" }, { scratch })).rejects.toThrow(
      /exit 1 of .*: broken$/,
    );
  });
  test("too long, or interrupted: every process of it is ended and nothing is left", async () => {
    await expect(measure({ script: "sleep 30 | sleep 30" }, { scratch, timeoutMs: 100 })).rejects.toThrow(
      "not done within",
    );
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 100);
    await expect(measure({ script: "sleep 30" }, { scratch, signal: abort.signal })).rejects.toThrow(/abort/i);
    expect(readdirSync(scratch)).toEqual([]);
  });
});
