import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildCatalog } from "./catalog.ts";
import { buildNvidiaSmi, GPU_LOAD_PATTERN } from "./nvidia-smi.ts";

let folder: string;
beforeAll(() => {
  // A quote in the path must not break the script.
  folder = mkdtempSync(join(tmpdir(), "soneca's smi-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const gpu = buildCatalog().find((offer) => offer.gpu.name === "RTX 4090")!.gpu;
const FIELDS = "index,uuid,name,utilization.gpu,utilization.memory,memory.used,memory.total,power.draw,temperature.gpu";

function runSmi(load: string, args: string[], gpuCount = 2) {
  const loadFile = join(folder, "gpu-load");
  const script = join(folder, "nvidia-smi");
  writeFileSync(loadFile, load);
  writeFileSync(script, buildNvidiaSmi({ machineId: 4242, gpu, gpuCount, loadFile }), { mode: 0o755 });
  const { status, stdout, stderr } = spawnSync(script, args, {
    encoding: "utf8",
    timeout: 500,
    env: { PATH: "/usr/bin:/bin" },
  });
  return { status, stdout, stderr };
}

const readRows = (load: string, gpuCount = 2) =>
  runSmi(load, [`--query-gpu=${FIELDS}`, "--format=csv,noheader,nounits"], gpuCount)
    .stdout.trimEnd()
    .split("\n")
    .map((line) => line.split(", "));

describe("nvidia-smi", () => {
  it("answers a query as the real one does", () => {
    const rows = readRows("37 8123\nidle\n");
    expect(rows).toEqual([
      [
        "0",
        expect.stringMatching(/^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
        "NVIDIA GeForce RTX 4090",
        "37",
        "12",
        "8123",
        "24564",
        expect.stringMatching(/^\d+\.\d\d$/),
        expect.stringMatching(/^\d+$/),
      ],
      ["1", expect.any(String), "NVIDIA GeForce RTX 4090", "0", "0", "3", "24564", expect.any(String), "34"],
    ]);
    expect(rows[0]![1]).not.toBe(rows[1]![1]);
  });

  it("has the words busy and idle, and one line for all GPUs", () => {
    expect(readRows("busy\n", 4).map((row) => row[3])).toEqual(["97", "97", "97", "97"]);
    expect(readRows("95\nidle\n", 3).map((row) => row[3])).toEqual(["95", "0", "0"]);
    expect(readRows("100", 1).map((row) => row[3])).toEqual(["100"]);
    expect(readRows("", 1).map((row) => row[3])).toEqual(["0"]);
  });

  it("prints header and units unless told not to", () => {
    const query = "--query-gpu=utilization.gpu,memory.used,power.draw,temperature.gpu,gpu_name";
    expect(runSmi("idle\n", [query, "--format=csv"], 1).stdout).toBe(
      "utilization.gpu [%], memory.used [MiB], power.draw [W], temperature.gpu, name\n0 %, 3 MiB, 36.10 W, 34, NVIDIA GeForce RTX 4090\n",
    );
    expect(runSmi("idle\n", [query, "--format=csv,noheader"], 1).stdout).toMatch(/^0 %, 3 MiB/);
  });

  it("gives readings that are not there as bracketed words, also with units", () => {
    const query = ["--query-gpu=index,utilization.gpu", "--format=csv,noheader"];
    expect(runSmi("[N/A]\n[Unknown Error]\n", query).stdout).toBe("0, [N/A]\n1, [Unknown Error]\n");
  });

  it("puts an error line in the place of a lost GPU, and nothing for a missing one", () => {
    const query = ["--query-gpu=index,utilization.gpu", "--format=csv,noheader,nounits"];
    const lost = runSmi("lost\n50\n", query);
    expect(lost.stdout).toMatch(/^Unable to determine the device handle for GPU 0000:01:00.0: Unknown Error\n1, 50\n$/);
    expect(runSmi("missing\n50\n", query).stdout).toBe("1, 50\n");
  });

  it.each([
    [6, "No devices were found"],
    [9, "couldn't communicate with the NVIDIA driver"],
    [12, "couldn't find libnvidia-ml.so"],
    [15, "GPU is lost.  Reboot the system to recover this GPU"],
    [18, "Driver/library version mismatch\nNVML library version: 550.144"],
    [255, "Failed to initialize NVML: Unknown Error"],
  ])("fails with exit code %i and its text on stdout", (code, text) => {
    const { status, stdout } = runSmi(`fail ${code}\n`, ["--query-gpu=index", "--format=csv"]);
    expect(status).toBe(code);
    expect(stdout).toContain(text);
  });

  it("refuses a field that it does not know", () => {
    expect(runSmi("idle\n", ["--query-gpu=index,foo", "--format=csv"])).toMatchObject({
      status: 2,
      stdout: 'Field "foo" is not a valid field to query.\n\n',
    });
  });

  it("hangs when told to", () => {
    expect(runSmi("hang\n", ["-L"]).status).toBeNull();
  });

  it("lists GPUs, apps of busy ones, and draws its table", () => {
    expect(runSmi("idle\n", ["-L"]).stdout.split("\n")[1]).toMatch(/^GPU 1: NVIDIA GeForce RTX 4090 \(UUID: GPU-/);
    const apps = ["--query-compute-apps=pid,process_name,used_memory", "--format=csv,noheader,nounits"];
    expect(runSmi("idle\n", apps)).toMatchObject({ status: 0, stdout: "" });
    expect(runSmi("busy\nidle\n", apps).stdout).toBe("4711, python, 14735\n");
    const table = runSmi("busy\n", []).stdout.trimEnd().split("\n").slice(1);
    expect(new Set(table.map((line) => line.length))).toEqual(new Set([91]));
  });

  it("is asked for one GPU by -i", () => {
    expect(runSmi("10\n20\n", ["-i", "1", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]).stdout).toBe(
      "20\n",
    );
  });

  it("takes only loads that it understands", () => {
    for (const good of ["busy", "idle", "0", "100", "40 8000", "[N/A]", "fail 9", "hang", "lost"])
      expect(good).toMatch(GPU_LOAD_PATTERN);
    for (const bad of ["", "x", "-1", "$(id)", "busy; rm", "`id`", "fail", "[$(x)]"])
      expect(bad).not.toMatch(GPU_LOAD_PATTERN);
  });
});
