/** The whole bench as a process, on little data. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Results } from "./results.ts";

const repository = join(import.meta.dirname, "..");
const scratch = mkdtempSync(join(tmpdir(), "soneca-bench-smoke-"));
const main = [
  "--disable-warning=ExperimentalWarning",
  join(repository, "bench/main.ts"),
  "--size",
  "tiny",
  "--dir",
  scratch,
];
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
beforeAll(() => {
  if (existsSync(join(repository, "dist/soneca-agent.mjs"))) return;
  expect(spawnSync(process.execPath, [join(repository, "tools/build.ts")]).status).toBe(0);
}, 60_000);

test("measures every step of soneca and tar, compares what came back, leaves only its cache", () => {
  const json = join(scratch, "results.json");
  mkdirSync(join(scratch, "work-999999999"));
  const args = [...main, "--only", "mixed", "--tools", "soneca,tar-zstd", "--json", json];
  const run = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
  expect(run.stderr).not.toContain("FAILED");
  expect(run.status).toBe(0);
  const results = JSON.parse(readFileSync(json, "utf8")) as Results;
  expect(results.data.kind).toBe("synthetic");
  expect(results.tools.map(({ name }) => name)).toEqual(["soneca", "tar-zstd"]);
  for (const step of ["first", "unchanged", "day", "restore", "verify"])
    for (const tool of ["soneca", "tar-zstd"]) {
      const found = results.samples.filter((sample) => sample.step === step && sample.tool === tool);
      expect(found, `${step} ${tool}`).toHaveLength(1);
      expect(found[0]!.wallMs, `${step} ${tool}`).toBeGreaterThan(0);
    }
  const deep = results.samples.filter((sample) => sample.step === "verify --data");
  expect(deep.map(({ tool }) => tool)).toEqual(["soneca"]);
  const stored = results.samples.find(({ step, tool }) => step === "first" && tool === "soneca")!.storedBytes!;
  expect(stored).toBeGreaterThan(1e6);
  expect(stored).toBeLessThan(results.data.workspace!.bytes);
  expect(results.losses.find(({ tool }) => tool === "soneca")).toMatchObject({ missing: 0, extra: 0, differing: {} });
  expect(results.losses.find(({ tool }) => tool === "tar-zstd")!.differing.time).toBeGreaterThan(0);
  expect(run.stdout).toContain("stored bytes, against tar | zstd -3");
  expect(readdirSync(scratch).sort()).toEqual(["cache", "results.json"]);
}, 90_000);

test("interrupted, it ends with 130 and leaves nothing of its work", async () => {
  const child = spawn(process.execPath, [...main, "--only", "mixed", "--tools", "soneca,tar-zstd"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  child.stderr.on("data", (text) => {
    if (String(text).includes("soneca, first")) child.kill("SIGINT");
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect(code).toBe(130);
  expect(readdirSync(scratch).filter((name) => name.startsWith("work-"))).toEqual([]);
}, 60_000);

test("no room, or a folder that is taken: said before anything is written", () => {
  const run = spawnSync(process.execPath, [...main, "--keep", scratch], { encoding: "utf8" });
  expect(run.status).toBe(2);
  expect(run.stderr).toContain("is there already");
});
