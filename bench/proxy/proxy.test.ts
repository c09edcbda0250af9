import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ProxyResults, Sample } from "./proxy.ts";
import { judgeProxy, proxyBreaches, proxyMarkdown } from "./report.ts";

const repository = join(import.meta.dirname, "../..");

function resultsWith(samples: Sample[]): ProxyResults {
  return {
    startedAt: "2026-01-02T03:04:05.000Z",
    commit: "abc",
    machine: { cpu: "a cpu", cores: 2, memoryBytes: 1, kernel: "6", fileSystem: "ext4", node: "v22" },
    options: { rounds: 3, requests: 2, megabytes: 200, pipes: ["direct"] },
    samples,
  };
}
/** Three rounds, of which the one in the middle was slow for everybody. */
const rounds = (measure: string, way: string, value: number): Sample[] =>
  [value, value * 5, value].map((one, round) => ({ measure, way, round, values: [one, one] }));

describe("what the rounds say", () => {
  it("compares within each round, so that a slow one says nothing", () => {
    const results = resultsWith(
      [1, 8].flatMap((parallel) => [
        ...rounds(`answer after 100 ms, ${parallel} at a time`, "alone", 100),
        ...rounds(`answer after 100 ms, ${parallel} at a time`, "direct", 120),
        ...["down the line", "up the line"].flatMap((name) => [
          ...rounds(name, "alone", 120),
          ...rounds(name, "direct", 90),
        ]),
      ]),
    );
    expect(judgeProxy(results).map(({ value, isHeld }) => [value, isHeld])).toEqual([
      [1.2, true],
      [1.2, true],
      [0.75, false],
      [0.75, false],
    ]);
    expect(proxyBreaches(results)[0]).toBe(
      "MB/s down on a line of 1 Gbit/s, against the service alone, over direct: 0.75x; the bar is 0.8x",
    );
    expect(proxyMarkdown(results)).toContain("| 100 ms, 8 at a time | 100.00 |");
  });

  it("judges nothing where it was not measured, and takes what is missing for missed", () => {
    expect(judgeProxy({ ...resultsWith([]), options: { ...resultsWith([]).options, pipes: ["relay"] } })).toEqual([]);
    expect(judgeProxy(resultsWith([])).some(({ isHeld }) => isHeld)).toBe(false);
  });
});

it.runIf(process.env.SONECA_SLOW)(
  "measures everything of every way, as a process, and leaves nothing (npm run test:slow)",
  () => {
    const scratch = mkdtempSync(join(tmpdir(), "soneca-bench-proxy-"));
    try {
      const json = join(scratch, "results.json");
      const main = ["--disable-warning=ExperimentalWarning", join(repository, "bench/main.ts"), "proxy"];
      const args = [
        ...main,
        "--rounds",
        "1",
        "--requests",
        "8",
        "--megabytes",
        "2",
        "--pipes",
        "direct",
        "--json",
        json,
      ];
      const run = spawnSync(process.execPath, args, {
        encoding: "utf8",
        timeout: 120_000,
        env: { ...process.env, TMPDIR: scratch },
      });
      // 1: a bar was missed, which so few requests on a busy machine say nothing about.
      expect([0, 1], run.stderr).toContain(run.status);
      const { samples } = JSON.parse(readFileSync(json, "utf8")) as ProxyResults;
      const measures = [...new Set(samples.map((one) => one.measure))];
      expect(measures).toHaveLength(12);
      for (const measure of measures)
        for (const way of ["alone", "bare worker", "direct"]) {
          const [one, ...more] = samples.filter((sample) => sample.measure === measure && sample.way === way);
          expect(more, `${measure} ${way}`).toEqual([]);
          expect(Math.min(...one!.values), `${measure} ${way}`).toBeGreaterThanOrEqual(0);
        }
      expect(run.stdout).toContain("| 2 MB, MB/s |");
      expect(run.stdout).not.toContain("NaN");
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  },
  150_000,
);
