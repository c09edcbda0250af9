/** The whole program as processes: a machine on a shared host, a control plane that says what the test wants. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, request as httpRequest, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Command, type SnapshotRef, type StatusReport, statusReportSchema } from "../core/protocol/wire.ts";
import { isStopped } from "./proc.ts";
import { agentProgram } from "./testing/run-command.ts";
import { type StoreServer, startStoreServer } from "./testing/store-server.ts";

const instance = "i-abcdefghij";
const machine = `r${process.pid}`;
// For a machine whose processors and disk are busy with other work.
const within = { timeout: 50_000, interval: 20 };
const token = (iat: number) =>
  `h.${Buffer.from(JSON.stringify({ sub: instance, epoch: 2, iat })).toString("base64url")}.s`;

let folder: string;
let plane: Awaited<ReturnType<typeof startPlane>>;
let children: ChildProcess[];
let writerPid: number | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "soneca-run-"));
  for (const name of ["workspace", "bin", "home"]) mkdirSync(join(folder, name));
  const smi = `#!/bin/sh\necho "0, GPU-1, NVIDIA GeForce RTX 4090, $(cat ${folder}/load), 3, 24564"\n`;
  writeFileSync(join(folder, "bin", "nvidia-smi"), smi, { mode: 0o755 });
  writeFileSync(join(folder, "load"), "0");
  plane = await startPlane();
  children = [];
  writerPid = undefined;
});

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  if (writerPid) {
    try {
      process.kill(-writerPid, "SIGKILL");
    } catch {
      // It has ended.
    }
  }
  await plane.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Answers beats with `commands`; everything else goes to the store. */
async function startPlane() {
  const store: StoreServer = await startStoreServer();
  store.token = token(100);
  const state = {
    store,
    url: "",
    commands: [] as Command[],
    reports: [] as StatusReport[],
    token: undefined as string | undefined,
    isFenced: false,
    isSilent: false,
    last: () => state.reports.at(-1),
    close: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await store.close();
    },
  };
  const server: Server = createServer(async (request, response) => {
    if (request.url !== "/api/agent/status") {
      const { host: _, ...headers } = request.headers;
      const onward = httpRequest(`${store.url}${request.url}`, { method: request.method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
      onward.on("error", () => response.destroy());
      request.pipe(onward);
      return;
    }
    let text = "";
    for await (const chunk of request) text += chunk;
    if (state.isSilent) return void request.socket.destroy();
    if (state.isFenced) {
      response
        .writeHead(403)
        .end(JSON.stringify({ error: { code: "epoch_fenced", message: "replaced", hint: "", retryable: false } }));
      return;
    }
    const report = statusReportSchema.parse(JSON.parse(text));
    state.reports.push(report);
    response.end(
      JSON.stringify({
        ok: true,
        status: "running",
        nextBeatMs: 300,
        gpuUsageThreshold: 5,
        commands: state.commands,
        intervalsKept: report.intervals?.at(-1)?.n ?? -1,
        resultsKept: report.results?.map((one) => one.commandId) ?? [],
        ...(state.token ? { token: state.token } : {}),
      }),
    );
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return state;
}

function environment(): NodeJS.ProcessEnv {
  return {
    PATH: `${join(folder, "bin")}:${process.env.PATH}`,
    HOME: join(folder, "home"),
    CONTAINER_ID: machine,
    DATA_DIRECTORY: join(folder, "workspace"),
    GPU_COUNT: "1",
    SONECA_URL: plane.url,
    SONECA_TOKEN: token(100),
    SONECA_HOME: join(folder, "agent"),
  };
}

function startAgent(...args: string[]): { child: ChildProcess; ended: Promise<number | null>; stderr: () => string } {
  const child = spawn(process.execPath, [agentProgram, "run", ...args], {
    env: environment(),
    cwd: join(folder, "workspace"),
    stdio: ["ignore", "ignore", "pipe"],
  });
  children.push(child);
  let text = "";
  child.stderr!.on("data", (chunk) => {
    text += chunk;
  });
  return { child, ended: new Promise((done) => child.on("exit", (code) => done(code))), stderr: () => text };
}

/** A program of the user that writes all the time, of the machine but no child of the agent. */
function startWriter(): void {
  const script = `while :; do echo x >>${join(folder, "workspace", "data")}; sleep 0.02; done`;
  const child = spawn("/bin/sh", ["-c", script], { env: environment(), detached: true, stdio: "ignore" });
  children.push(child);
  writerPid = child.pid;
}

const dataSize = () => statSync(join(folder, "workspace", "data")).size;
const log = () => readFileSync(join(folder, "agent", "agent.log"), "utf8");

describe("soneca-agent run", { timeout: 180_000 }, () => {
  it("reports what the GPU does, keeps a renewed token, and ends when asked to", async () => {
    const { child, ended } = startAgent("--log", join(folder, "agent.log"));
    await vi.waitFor(
      () => expect(plane.last()).toMatchObject({ instance_id: instance, gpu_util: 0, status: "idle" }),
      within,
    );
    plane.token = token(200);
    writeFileSync(join(folder, "load"), "88");
    await vi.waitFor(() => expect(plane.last()).toMatchObject({ gpu_util: 88, status: "active" }), within);
    writeFileSync(join(folder, "load"), "[N/A]");
    await vi.waitFor(() => expect(plane.last()).toMatchObject({ gpu_util: null, status: "unknown" }), within);
    expect(readFileSync(join(folder, "agent", "token"), "utf8").trim()).toBe(token(200));
    const count = plane.reports.length;
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    expect(plane.reports.length).toBeGreaterThan(count);
    const text = readFileSync(join(folder, "agent.log"), "utf8");
    for (const secret of [token(100), token(200)]) expect(text).not.toContain(secret);
    expect(existsSync(join(folder, "agent", "agent.lock"))).toBe(false);
  });

  it("hibernates a workspace that is written to all the time: snapshot, seal, crash of the agent, proof, and back", async () => {
    startWriter();
    await vi.waitFor(() => expect(dataSize()).toBeGreaterThan(0), within);
    const args = ["--log", join(folder, "agent", "agent.log")];
    const first = startAgent(...args);
    plane.commands = [{ id: "snapshot.2.1", kind: "snapshot", seq: 1 }];
    const result = await vi.waitFor(() => {
      const found = plane.reports
        .flatMap((report) => report.results ?? [])
        .find((one) => one.commandId === "snapshot.2.1");
      expect(found, log()).toBeDefined();
      return found!;
    }, within);
    expect(result).toMatchObject({ outcome: "snapshot_taken", snapshot: { seq: 1, epoch: 2 } });
    if (result.outcome !== "snapshot_taken") throw new Error("no snapshot");
    const proved = result.snapshot;
    expect(isStopped(writerPid!)).toBe(false);

    // It went on writing, so the seal takes a snapshot of its own.
    await sleep(100);
    plane.commands = [{ id: "seal.2.1", kind: "seal", proved, seq: 2, holdMs: 30_000 }];
    const seal = await vi.waitFor(() => {
      const found = plane.last()?.seal;
      expect(found, log()).toMatchObject({ commandId: "seal.2.1", snapshot: { seq: 2, epoch: 2 } });
      return found!;
    }, within);
    expect(isStopped(writerPid!)).toBe(true);
    expect(plane.store.objects.has("manifests/00000002-2")).toBe(true);
    const size = dataSize();

    // Killed: the writer stays stopped, and the next agent finds the same digest.
    first.child.kill("SIGKILL");
    await first.ended;
    plane.reports = [];
    plane.commands = [{ id: "seal.2.1", kind: "seal", proved: seal.snapshot as SnapshotRef, seq: 3, holdMs: 30_000 }];
    const second = startAgent(...args);
    await vi.waitFor(() => expect(plane.last()?.seal, log()).toMatchObject({ snapshot: seal.snapshot }), within);
    expect(isStopped(writerPid!)).toBe(true);
    expect(dataSize()).toBe(size);
    expect(plane.store.objects.has("manifests/00000003-2")).toBe(false);

    plane.commands = [];
    await vi.waitFor(() => expect(dataSize()).toBeGreaterThan(size), within);
    second.child.kill("SIGTERM");
    expect(await second.ended).toBe(0);
  });

  it("lets everything go on when it loses the control plane, when it is asked to end, and when it is replaced", async () => {
    startWriter();
    await vi.waitFor(() => expect(dataSize()).toBeGreaterThan(0), within);
    const proved = { seq: 1, epoch: 2, digest: "0".repeat(64) };
    plane.commands = [{ id: "seal.2.1", kind: "seal", proved, seq: 2, holdMs: 1_500 }];
    const args = ["--log", join(folder, "agent", "agent.log")];
    const first = startAgent(...args);
    await vi.waitFor(() => expect(plane.last()?.seal).toBeTruthy(), within);
    expect(isStopped(writerPid!)).toBe(true);
    plane.isSilent = true;
    await vi.waitFor(() => expect(isStopped(writerPid!)).toBe(false), within);

    // Its number is used up, so the next seal needs the next one.
    plane.commands = [{ id: "seal.2.2", kind: "seal", proved, seq: 3, holdMs: 30_000 }];
    plane.isSilent = false;
    await vi.waitFor(() => expect(plane.last()?.seal).toMatchObject({ commandId: "seal.2.2" }), within);
    first.child.kill("SIGTERM");
    expect(await first.ended).toBe(0);
    expect(isStopped(writerPid!)).toBe(false);
    expect(plane.last()?.seal).toBeNull();

    plane.commands = [{ id: "seal.2.3", kind: "seal", proved, seq: 4, holdMs: 30_000 }];
    const second = startAgent(...args);
    await vi.waitFor(() => expect(plane.last()?.seal).toBeTruthy(), within);
    plane.isFenced = true;
    expect(await second.ended).toBe(7);
    expect(isStopped(writerPid!)).toBe(false);
  });

  it("says that one runs already, and what is missing", async () => {
    const first = startAgent();
    await vi.waitFor(() => expect(plane.reports.length).toBeGreaterThan(0), within);
    const second = startAgent();
    expect(await second.ended).toBe(6);
    expect(second.stderr()).toContain(`as process ${first.child.pid}`);
    const third = spawn(process.execPath, [agentProgram, "run"], { env: { PATH: process.env.PATH }, stdio: "ignore" });
    expect(await new Promise((done) => third.on("exit", done))).toBe(2);
  });

  it("restores once, and removes what the snapshot does not have", async () => {
    writeFileSync(join(folder, "workspace", "kept"), "kept");
    plane.commands = [{ id: "snapshot.2.1", kind: "snapshot", seq: 1 }];
    startAgent();
    const outcome = (id: string) =>
      plane.reports.flatMap((report) => report.results ?? []).find((one) => one.commandId === id);
    await vi.waitFor(() => expect(outcome("snapshot.2.1")).toMatchObject({ outcome: "snapshot_taken" }), within);
    const taken = outcome("snapshot.2.1");
    if (taken?.outcome !== "snapshot_taken") throw new Error("no snapshot");
    writeFileSync(join(folder, "workspace", "extra"), "extra");
    rmSync(join(folder, "workspace", "kept"));
    plane.commands = [{ id: "restore.2.1", kind: "restore", snapshot: taken.snapshot }];
    await vi.waitFor(
      () => expect(outcome("restore.2.1")).toMatchObject({ outcome: "restored", digest: taken.snapshot.digest }),
      within,
    );
    expect(readFileSync(join(folder, "workspace", "kept"), "utf8")).toBe("kept");
    expect(existsSync(join(folder, "workspace", "extra"))).toBe(false);
  });
});
