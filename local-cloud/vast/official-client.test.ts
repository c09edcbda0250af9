/**
 * vast.ai's own command line client against the stand-in. Opt-in, because it is not part of this repository:
 *
 *   VAST_CLI_DIR=/path/to/vast-cli PYTHON=/usr/bin/python3 vitest run local-cloud/vast/official-client.test.ts
 *
 * It needs python3 with requests, rich, argcomplete, dateutil, xdg and aiohttp.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { startVastStandIn } from "./server.ts";

const { VAST_CLI_DIR, PYTHON = "python3" } = process.env;
const KEY = "key-of-the-account";

it.skipIf(!VAST_CLI_DIR)(
  "the official client rents, watches, stops, starts and destroys",
  { timeout: 120_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "soneca-official-"));
    const standIn = await startVastStandIn({ port: 0, stateDir: folder, apiKey: KEY, bootMs: 200 });
    const env = {
      PATH: process.env.PATH,
      HOME: folder,
      PYTHONPATH: VAST_CLI_DIR,
      VAST_URL: standIn.url,
      VAST_API_KEY: KEY,
      VASTAI_NO_UPDATE_CHECK: "1",
    };
    const vastai = async (...args: string[]) => {
      const program = "from vastai.cli.main import main; main()";
      const run = promisify(execFile)(PYTHON, ["-c", program, ...args], { env });
      // Some commands end with the code 1 although all went well.
      return (await run.catch((error: { stdout: string }) => error)).stdout;
    };
    try {
      const offers = JSON.parse(
        await vastai("search", "offers", "--raw", "gpu_name=RTX_4090 num_gpus=1 disk_space>=100", "-o", "dph"),
      );
      expect(offers.length).toBeGreaterThan(3);
      const onstart = "# soneca-onstart\necho hello from $VAST_CONTAINERLABEL\n";
      const rented = [
        "--image",
        "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
        "--disk",
        "40",
        "--label",
        "first",
        "--ssh",
        "--direct",
      ];
      const made = await vastai(
        "create",
        "instance",
        String(offers[0].id),
        ...rented,
        "--env",
        "-e A=b -p 8080:8080",
        "--onstart-cmd",
        onstart,
      );
      expect(made).toMatch(/^Started\. \{'success': True, 'new_contract': \d+/);
      await sleep(600);
      const id = (await vastai("show", "instances", "-q")).trim();
      expect(await vastai("show", "instance", id)).toContain("running");
      expect(await vastai("label", "instance", id, "second")).toBe(`label for ${id} set to second.\n`);
      const [row] = JSON.parse(await vastai("show", "instances", "--raw", "--label", "second"));
      expect(row).toMatchObject({
        id: Number(id),
        actual_status: "running",
        extra_env: { A: "b", "-p 8080:8080": "1" },
      });
      expect(await vastai("logs", id, "--tail", "1")).toContain(`hello from C.${id}`);
      expect(await vastai("stop", "instance", id)).toBe(`stopping instance ${id}.\n`);
      expect(await vastai("show", "instances")).toContain("exited");
      expect(await vastai("start", "instance", id)).toBe(`starting instance ${id}.\n`);
      await sleep(600);
      expect(await vastai("reboot", "instance", id)).toBe(`Rebooting instance ${id}.\n`);
      expect(await vastai("destroy", "instance", id, "-y")).toBe(`destroying instance ${id}.\n`);
      await sleep(300);
      expect(await vastai("show", "instances", "-q")).toBe("");
    } finally {
      await standIn.close();
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
