import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildCatalog } from "./catalog.ts";
import { createMachines, isOwnOnstart, type MachineSpec, type Machines, readStat } from "./machines.ts";
import type { ProcessRef } from "./state.ts";

let root: string;
let machines: Machines;
let init: ProcessRef | null;
const id = 41_000_123;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "soneca-machines-"));
  machines = createMachines(root);
  init = null;
});
afterEach(async () => {
  await machines.remove(id, init);
  rmSync(root, { recursive: true, force: true });
});

const spec = (onstart: string | null, change: Partial<MachineSpec> = {}): MachineSpec => ({
  id,
  apiKey: "key-of-the-machine",
  env: { SONECA_URL: "http://127.0.0.1:1", "-p 8080:8080": "1" },
  onstart,
  gpu: buildCatalog()[0]!.gpu,
  gpuCount: 1,
  machineId: 4242,
  ...change,
});
const start = (onstart: string | null, change: Partial<MachineSpec> = {}) => {
  init = machines.start(spec(onstart, change));
  return init;
};
const inside = (...path: string[]) => join(machines.folderOf(id), ...path);
async function waitFor<T>(read: () => T | null | undefined | false): Promise<T> {
  for (let i = 0; i < 200; i++) {
    const value = read();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("it does not come");
}
const readFile = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : "");
const isRunning = (pid: number) => ![undefined, "Z"].includes(readStat(pid)?.state);

describe("a machine", () => {
  it("runs its onstart in a session of its own, with its own environment and nothing of ours", async () => {
    process.env.SONECA_TEST_LEAK = "leak";
    const { pid } = start(
      "#!/bin/sh\n# soneca-onstart\nenv; pwd; command -v nvidia-smi; command -v cloudflared; node --version; echo done\n",
    );
    delete process.env.SONECA_TEST_LEAK;
    const log = await waitFor(() => readFile(inside("log")).includes("done\n") && readFile(inside("log")));
    const lines = log.split("\n");
    expect(lines).toEqual(
      expect.arrayContaining([
        `CONTAINER_ID=${id}`,
        "CONTAINER_API_KEY=key-of-the-machine",
        `VAST_CONTAINERLABEL=C.${id}`,
        "PUBLIC_IPADDR=127.0.0.1",
        "GPU_COUNT=1",
        "SONECA_URL=http://127.0.0.1:1",
        "VAST_TCP_PORT_8080=8080",
        `DATA_DIRECTORY=${inside("workspace")}`,
        `SONECA_HOME=${inside("agent")}`,
        `HOME=${inside("home")}`,
        inside("workspace"),
        inside("bin", "nvidia-smi"),
        process.version,
      ]),
    );
    expect(log).not.toContain("SONECA_TEST_LEAK");
    expect(log).not.toMatch(/cloudflared|SONECA_FAKE_EDGE/);
    expect(readStat(pid)!.session).toBe(pid);
  });

  it("has a cloudflared of its own where there are tunnels", async () => {
    machines = createMachines(root, { tunnelEdge: "127.0.0.1:7" });
    machines.prepare(spec(null));
    const ran = await machines.exec(spec(null), ["sh", "-c", "command -v cloudflared; cloudflared --version; env"]);
    expect(ran.stdout).toContain(`${inside("bin", "cloudflared")}\ncloudflared version`);
    expect(ran.stdout).toContain("SONECA_FAKE_EDGE=127.0.0.1:7\n");
  });

  it("outlives its onstart, as a container's init does", async () => {
    const ref = start("# soneca-onstart\ntrue\n");
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(machines.isAlive(ref)).toBe(true);
    expect(machines.isAlive({ ...ref, startTime: ref.startTime - 1 })).toBe(false);
  });

  it("does not run an onstart that is not marked as ours", async () => {
    const touched = join(root, "touched");
    start(`touch ${touched}\n`);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(existsSync(touched)).toBe(false);
    expect(machines.processes(id).length).toBeGreaterThan(0);
    expect(machines.readLog(id)).toContain("not run");
  });

  it("is killed with everything that escaped it, stopped processes too, and its folder goes", async () => {
    start(`# soneca-onstart
setsid sh -c 'echo $$ >escaped; exec sleep 1000' &
setsid setsid sh -c 'trap "" TERM HUP INT; echo $$ >deaf; while :; do sleep 1; done' &
setsid sh -c 'echo $$ >stopped; kill -STOP $$; sleep 1000' &
`);
    const names = ["escaped", "deaf", "stopped"];
    const pids = await waitFor(() => {
      const read = names.map((name) => Number(readFile(inside("workspace", name))));
      return read.every((pid) => pid > 0) && read;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await machines.remove(id, init);
    expect(pids.filter(isRunning)).toEqual([]);
    expect(machines.processes(id)).toEqual([]);
    expect(existsSync(machines.folderOf(id))).toBe(false);
  });

  it("never kills a namesake of another root", async () => {
    const other = createMachines(join(root, "other"));
    const ref = other.start(spec(null));
    start(null);
    await machines.remove(id, init);
    expect(other.isAlive(ref)).toBe(true);
    await other.remove(id, ref);
    expect(other.isAlive(ref)).toBe(false);
  });

  it("loses only its agent to a crash, and the loop starts it again", async () => {
    start(`# soneca-onstart
cat >"$SONECA_HOME/soneca-agent.mjs" <<'END'
import { appendFileSync } from "node:fs";
appendFileSync("starts", process.pid + "\\n");
setInterval(() => {}, 1000);
END
setsid sh -c 'while :; do node "$SONECA_HOME/soneca-agent.mjs" run; sleep 0.05; done' soneca-agent.mjs &
`);
    const starts = () => readFile(inside("workspace", "starts")).split("\n").filter(Boolean).map(Number);
    await waitFor(() => starts().length === 1);
    expect(machines.signal(id, "SIGKILL", "agent")).toEqual([starts()[0]]);
    await waitFor(() => starts().length === 2);
    expect(isRunning(starts()[0]!)).toBe(false);
    expect(isRunning(starts()[1]!)).toBe(true);
  });

  it("executes commands in its environment", async () => {
    start(null);
    const order = spec(null);
    const seen = await machines.exec(order, ["sh", "-c", "cat; pwd; echo $CONTAINER_ID; echo oops >&2; exit 3"], {
      stdin: "in\n",
    });
    expect(seen).toEqual({ code: 3, signal: null, stdout: `in\n${inside("workspace")}\n${id}\n`, stderr: "oops\n" });
    expect(await machines.exec(order, ["no-such-command"])).toMatchObject({ code: 127 });
    expect(await machines.exec(order, ["sleep", "60"], { timeoutMs: 50 })).toMatchObject({
      code: null,
      signal: "SIGKILL",
    });
  });

  it("changes what its GPUs say", async () => {
    start(null, { gpuCount: 2 });
    expect(machines.readGpuLoad(id)).toEqual(["idle", "idle"]);
    machines.writeGpuLoad(id, ["busy", "12"]);
    const order = spec(null, { gpuCount: 2 });
    const query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"];
    expect((await machines.exec(order, query)).stdout).toBe("97\n12\n");
  });

  it("keeps its workspace over a stop and a start", async () => {
    const ref = start(null);
    writeFileSync(inside("workspace", "kept"), "x");
    await machines.kill(id, ref);
    expect(machines.isAlive(ref)).toBe(false);
    start(null);
    expect(readFile(inside("workspace", "kept"))).toBe("x");
  });
});

describe("the mark", () => {
  it("is the first line, or the second after #!/bin/sh", () => {
    expect(isOwnOnstart("# soneca-onstart\nx")).toBe(true);
    expect(isOwnOnstart("#!/bin/sh\n# soneca-onstart\nx")).toBe(true);
    for (const other of [
      null,
      "",
      "x\n# soneca-onstart",
      "#!/bin/bash\n# soneca-onstart",
      "# soneca-onstart2",
      "echo # soneca-onstart",
    ]) {
      expect(isOwnOnstart(other)).toBe(false);
    }
  });
});
