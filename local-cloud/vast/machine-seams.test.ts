/** What lies between a machine and this host: a wire that can be slowed and cut, a disk that can be full, a clock. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readStat } from "./machines.ts";
import { startVastStandIn, type VastStandInOptions } from "./server.ts";
import { KEY, TestStandIn, waitFor } from "./testing/stand-in.ts";

let standIn: TestStandIn;
afterEach(() => standIn.close());

const on = async (id: number, method: string, action: string, body?: object) =>
  standIn.ask(method, `/local/machines/${id}/${action}`, body);
const isRunning = (pid: number) => ![undefined, "Z"].includes(readStat(pid)?.state);
const exec = async (id: number, ...argv: string[]) => (await on(id, "POST", "exec", { argv, timeoutMs: 4000 })).json;

describe("the wire", () => {
  let target: Server;
  let url: string;
  beforeAll(async () => {
    target = createServer((request, response) => {
      request.resume();
      request.on("end", () => response.end("y".repeat(Number(request.url!.slice(1)) || 5)));
    });
    await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(target.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    target.closeAllConnections();
    target.close();
  });
  beforeEach(async () => {
    standIn = await TestStandIn.open({ network: true });
  });

  const program = "fetch(process.env.SONECA_URL + '/' + process.argv[1], { method: 'POST', body: 'z'.repeat(3000) })";
  const get = (id: number, bytes = 5) =>
    exec(
      id,
      "node",
      "-e",
      `${program}.then((r) => r.text()).then((t) => console.log(t.length), () => console.log("cut"))`,
      String(bytes),
    );
  const begin = async () => {
    const { id } = await standIn.create({ env: { SONECA_URL: url, SONECA_TOKEN: "t" } });
    await standIn.running(id);
    return id;
  };

  it("is between them, the provider shows what was asked for, and traffic is counted and charged", async () => {
    const id = await begin();
    expect((await get(id, 100_000)).stdout).toBe("100000\n");
    expect((await exec(id, "sh", "-c", "echo $SONECA_URL $SONECA_TOKEN")).stdout).not.toContain(url);
    expect((await standIn.list())[0].extra_env).toEqual([
      ["SONECA_URL", url],
      ["SONECA_TOKEN", "t"],
    ]);
    const [row] = await standIn.bill();
    expect(row!.traffic.upBytes).toBeGreaterThan(3000);
    expect(row!.traffic.upBytes).toBeLessThan(6000);
    expect(row!.traffic.downBytes).toBeGreaterThan(100_000);
    await standIn.ask("DELETE", `/api/v0/instances/${id}/`, {});
    await standIn.absent(id);
    expect((await standIn.bill())[0]!.traffic).toEqual(row!.traffic);
  });

  it("is cut and put together again, for one machine only", async () => {
    const [id, other] = [await begin(), await begin()];
    expect((await on(id, "PUT", "network", { mode: "down" })).json).toMatchObject({ mode: "down" });
    expect((await get(id)).stdout).toBe("cut\n");
    expect((await get(other)).stdout).toBe("5\n");
    await on(id, "PUT", "network", { mode: "up" });
    expect((await get(id)).stdout).toBe("5\n");
  });

  it("stalls, and what was stalled goes on", async () => {
    const id = await begin();
    await on(id, "PUT", "network", { mode: "stalled" });
    const getting = get(id);
    const early = await Promise.race([getting, new Promise((resolve) => setTimeout(resolve, 700, "nothing"))]);
    expect(early).toBe("nothing");
    await on(id, "PUT", "network", { mode: "up" });
    expect((await getting).stdout).toBe("5\n");
  });

  it("is slowed", async () => {
    const id = await begin();
    await on(id, "PUT", "network", { bytesPerSecond: 20_000 });
    const begun = Date.now();
    expect((await get(id, 20_000)).stdout).toBe("20000\n");
    expect(Date.now() - begun).toBeGreaterThan(950);
    expect((await on(id, "GET", "network")).json).toMatchObject({ bytesPerSecond: 20_000, mode: "up" });
    for (const odd of [{ mode: "sideways" }, { bytesPerSecond: 0 }, { bytesPerSecond: "fast" }]) {
      expect((await on(id, "PUT", "network", odd)).status).toBe(400);
    }
  });

  it("does not go with the stand-in, and the next one finds it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "soneca-wire-"));
    const options: VastStandInOptions = { port: 0, stateDir: folder, apiKey: KEY, bootMs: 10, network: true };
    const first = await startVastStandIn(options);
    const pid = JSON.parse(readFileSync(join(folder, "switch.json"), "utf8")).pid;
    await first.close({ keepMachines: true });
    const second = await startVastStandIn(options);
    expect(JSON.parse(readFileSync(join(folder, "switch.json"), "utf8")).pid).toBe(pid);
    expect(isRunning(pid)).toBe(true);
    await second.close();
    expect(isRunning(pid)).toBe(false);
    rmSync(folder, { recursive: true, force: true });
  });

  it("comes back on the same ports when it dies", async () => {
    const id = await begin();
    const { pid } = JSON.parse(readFileSync(join(standIn.stateDir, "switch.json"), "utf8"));
    const { ports } = (await on(id, "GET", "network")).json;
    process.kill(pid, "SIGKILL");
    expect((await on(id, "GET", "network")).json.ports).toEqual(ports);
    expect((await get(id)).stdout).toBe("5\n");
  });
});

const probe = mkdtempSync(join(tmpdir(), "soneca-mount-"));
const canMount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "soneca-probe", probe]).status === 0;
if (canMount) spawnSync("umount", [probe]);
rmSync(probe, { recursive: true, force: true });

describe.skipIf(!canMount)("the disk (where this host lets mount)", () => {
  it("is full for workspace and agent alike, and can be emptied again", async () => {
    standIn = await TestStandIn.open({ machines: { diskBytes: 4 * 1024 * 1024 } });
    const { id } = await standIn.create();
    await standIn.running(id);
    const write = (path: string) => exec(id, "sh", "-c", `head -c 300000 /dev/zero >"${path}"`);
    expect((await write("$DATA_DIRECTORY/a")).code).toBe(0);
    expect((await on(id, "PUT", "disk", { freeBytes: 0 })).json).toEqual({ ok: true });
    for (const path of ["$DATA_DIRECTORY/b", "$SONECA_HOME/b", "$HOME/b"]) {
      expect(await write(path)).toMatchObject({ code: 1, stderr: expect.stringContaining("No space left") });
    }
    await on(id, "PUT", "disk", { freeBytes: 1_000_000 });
    expect((await write("$DATA_DIRECTORY/c")).code).toBe(0);
    await on(id, "PUT", "disk", { freeBytes: null });
    expect((await write("$DATA_DIRECTORY/d")).code).toBe(0);
    expect((await on(id, "PUT", "disk", { freeBytes: -1 })).status).toBe(400);
    await standIn.ask("DELETE", `/api/v0/instances/${id}/`, {});
    await standIn.absent(id);
    expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(standIn.stateDir);
  });
});

describe("the clock", () => {
  it("jumps for a node program that runs, and for those that come", async () => {
    standIn = await TestStandIn.open({ machines: { clock: true } });
    const loop = "setInterval(() => require('fs').writeFileSync('seen', String(Date.now())), 20)";
    const { id } = await standIn.create({ onstart: `# soneca-onstart\nsetsid node -e "${loop}" &\n` });
    const aheadMs = async () => Number((await exec(id, "cat", "seen")).stdout) - Date.now();
    await waitFor(async () => Math.abs(await aheadMs()) < 3000);
    expect((await on(id, "PUT", "clock", { offsetMs: 7_200_000 })).json).toMatchObject({ offsetMs: 7_200_000 });
    await waitFor(async () => Math.abs((await aheadMs()) - 7_200_000) < 3000);
    await on(id, "PUT", "clock", { offsetMs: -3_600_000 });
    await waitFor(async () => Math.abs((await aheadMs()) + 3_600_000) < 3000);
    const shapes =
      "const d = new Date(); console.log(d instanceof Date, d.constructor === Date, new Date(5).getTime(), Date.UTC(2000, 0), d.getTime() - Date.now() < 500, Math.abs(Date.parse(Date()) - Date.now()) < 2500)";
    expect((await exec(id, "node", "-e", shapes)).stdout).toBe("true true 5 946684800000 true true\n");
    expect((await on(id, "PUT", "clock", { offsetMs: "later" })).status).toBe(400);
  });
});
