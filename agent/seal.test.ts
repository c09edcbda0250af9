import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { kill, otherPids, read } from "../core/protocol/testing/processes.ts";
import { createLogger } from "./log.ts";
import { isAlive, isStopped, readStat } from "./proc.ts";
import { createSealer, detectScope, findWriters, type SealScope } from "./seal.ts";

let folder: string;
let workspace: string;
let home: string;
let pids: number[];
const machine = `t${process.pid}`;
const hasPython = spawnSync("python3", ["--version"]).status === 0;
const silent = createLogger({ write: () => {} });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "soneca-seal-"));
  workspace = join(folder, "workspace");
  home = join(folder, "home");
  mkdirSync(workspace);
  mkdirSync(home);
  pids = [];
});

afterEach(() => {
  for (const pid of pids) kill(pid);
  // Their children too, who may have left the group: all of them name this test's folder.
  for (let left = processesOf(folder); left.length > 0; left = processesOf(folder)) {
    for (const pid of left) kill(pid);
  }
  rmSync(folder, { recursive: true, force: true });
});

/** Living processes other than this one with `text` in their arguments or their environment. */
function processesOf(text: string): number[] {
  return otherPids().filter(
    (pid) => read(`/proc/${pid}/cmdline`).includes(text) || read(`/proc/${pid}/environ`).includes(text),
  );
}

interface Start {
  env?: Record<string, string>;
  cwd?: string;
}

/** A process that is no descendant of this one: the shell between them has ended. */
function startOrphan(script: string, { env = {}, cwd = "/" }: Start = {}): number {
  const text = execFileSync("/bin/sh", ["-c", 'setsid sh -c "$1" </dev/null >/dev/null 2>&1 & echo $!', "x", script], {
    env: { PATH: process.env.PATH, ...env },
    cwd,
    encoding: "utf8",
  });
  const pid = Number(text);
  pids.push(pid);
  return pid;
}

const ours = () => ({ CONTAINER_ID: machine, DATA_DIRECTORY: workspace });
const writer = (name: string) => `while :; do echo x >>${join(workspace, name)}; sleep 0.01; done`;
const size = (name: string) => statSync(join(workspace, name), { throwIfNoEntry: false })?.size ?? 0;

async function grows(name: string): Promise<boolean> {
  const before = size(name);
  await sleep(120);
  return size(name) > before;
}

function sealer(scope: SealScope = "machine") {
  return createSealer({ root: workspace, home, log: silent, scope, env: ours() });
}

const soon = () => Date.now() + 60_000;

describe("the seal on a shared host", () => {
  it("stops every process of the machine and lets all go on", async () => {
    startOrphan(writer("a"), { env: ours() });
    startOrphan(`${writer("b")} & ${writer("c")} & wait`, { env: ours() });
    await vi.waitFor(() => expect(size("a") * size("b") * size("c")).toBeGreaterThan(0));
    const one = sealer();
    const stopped = await one.stop("seal", soon());
    expect(stopped).toMatchObject({ ok: true });
    expect(stopped.ok && stopped.stopped).toBeGreaterThanOrEqual(4);
    expect(await grows("a")).toBe(false);
    expect(await grows("b")).toBe(false);
    expect(await grows("c")).toBe(false);
    expect(await one.stop("seal", soon())).toMatchObject({ ok: true, fresh: 0 });
    one.resume();
    expect(existsSync(join(home, "sealed.json"))).toBe(false);
    for (const name of ["a", "b", "c"]) expect(await grows(name)).toBe(true);
  });

  it("leaves other machines and strangers alone, even with a file of the workspace open", async () => {
    const other = startOrphan(`exec 3>>${join(workspace, "x")}; sleep 60`, { env: { CONTAINER_ID: "another" } });
    const twin = startOrphan("sleep 60", { env: { CONTAINER_ID: machine, DATA_DIRECTORY: "/elsewhere" } });
    const stranger = startOrphan("sleep 60");
    const one = sealer();
    expect(await one.stop("seal", soon())).toMatchObject({ ok: true, stopped: 0 });
    for (const pid of [other, twin, stranger]) expect(isStopped(pid)).toBe(false);
  });

  it("stops a stranger that holds a writable file, a shared map or a cwd in the workspace", async () => {
    writeFileSync(join(workspace, "map"), Buffer.alloc(4096));
    const fd = startOrphan(`exec 3>>${join(workspace, "x")}; exec sleep 60`);
    const cwd = startOrphan("exec sleep 60", { cwd: workspace });
    const reader = startOrphan(`exec 3<${join(workspace, "map")}; exec sleep 60`);
    await sleep(100);
    const one = sealer();
    await one.stop("seal", soon());
    expect([fd, cwd, reader].map((pid) => isStopped(pid))).toEqual([true, true, false]);
    one.resume();
    expect([fd, cwd].map((pid) => isStopped(pid))).toEqual([false, false]);
  });

  it("finds what cleared its environment", async () => {
    const pid = startOrphan(`env -i /bin/sh -c '${writer("a").replaceAll("'", "")}' & wait`, { env: ours() });
    await vi.waitFor(() => expect(size("a")).toBeGreaterThan(0));
    const one = sealer();
    await one.stop("seal", soon());
    expect(isStopped(pid)).toBe(true);
    expect(await grows("a")).toBe(false);
    one.resume();
  });

  it("keeps pace with a process that forks all the time", async () => {
    startOrphan(`while :; do (echo x >>${join(workspace, "a")}) & done`, { env: ours() });
    await vi.waitFor(() => expect(size("a")).toBeGreaterThan(0));
    const one = sealer();
    expect(await one.stop("seal", soon())).toMatchObject({ ok: true });
    expect(await grows("a")).toBe(false);
    one.resume();
    expect(await grows("a")).toBe(true);
  });

  it("finds what is new, and what somebody else let go on", async () => {
    const first = startOrphan("sleep 60", { env: ours() });
    const one = sealer();
    await one.stop("seal", soon());
    startOrphan("sleep 60", { env: ours() });
    process.kill(first, "SIGCONT");
    await vi.waitFor(() => expect(isStopped(first)).toBe(false));
    const again = await one.stop("seal", soon());
    expect(again.ok && again.fresh).toBeGreaterThanOrEqual(2);
    expect(isStopped(first)).toBe(true);
    one.resume();
  });

  it("does not let go on what was stopped before", async () => {
    const pid = startOrphan("sleep 60", { env: ours() });
    process.kill(pid, "SIGSTOP");
    await vi.waitFor(() => expect(isStopped(pid)).toBe(true));
    const one = sealer();
    await one.stop("seal", soon());
    one.resume();
    expect(isStopped(pid)).toBe(true);
  });

  it("never touches the agent, its ancestors and its children", async () => {
    const child = spawn("sleep", ["60"], { env: { ...process.env, ...ours() } });
    pids.push(child.pid!);
    const found = findWriters({ root: workspace, scope: "container", self: process.pid, env: ours() }).map(
      (one) => one.pid,
    );
    for (let pid = process.pid; pid > 0; pid = readStat(pid)?.parent ?? 0) expect(found).not.toContain(pid);
    expect(found).not.toContain(child.pid);
    expect(found).not.toContain(1);
  });

  it.runIf(hasPython)("counts a parent that waits in vfork for a stopped child as stopped", async () => {
    const fifo = join(folder, "fifo");
    execFileSync("mkfifo", [fifo]);
    const code = `import os; os.posix_spawn("/bin/true", ["true"], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 0, "${fifo}", os.O_RDONLY, 0)])`;
    const pid = startOrphan(`exec python3 -c '${code}'`, { env: ours() });
    await vi.waitFor(() => expect(readStat(pid)?.state).toBe("D"), 5_000);
    expect([isStopped(pid), isStopped(pid, true)]).toEqual([false, true]);
    const one = sealer();
    expect(await one.stop("seal", soon())).toMatchObject({ ok: true, stopped: 2 });
    expect(await one.stop("seal", soon())).toMatchObject({ ok: true, fresh: 0 });
    one.resume();
    writeFileSync(fifo, "");
    await vi.waitFor(() => expect(readStat(pid)?.state ?? "Z").toBe("Z"), 5_000);
  });
});

describe("other scopes", () => {
  it("on a plain host only what uses the workspace is found", async () => {
    const user = startOrphan("exec sleep 60", { cwd: workspace });
    const idle = startOrphan("exec sleep 60");
    await sleep(50);
    const found = findWriters({ root: workspace, scope: "host", self: process.pid, env: {} }).map((one) => one.pid);
    expect(found).toContain(user);
    expect(found).not.toContain(idle);
  });

  it("in a container everything is found", async () => {
    const idle = startOrphan("exec sleep 60");
    const found = findWriters({ root: workspace, scope: "container", self: process.pid, env: {} }).map(
      (one) => one.pid,
    );
    expect(found).toContain(idle);
  });

  it("a container id that process 1 does not have is a machine that shares its host", () => {
    expect(detectScope({ CONTAINER_ID: "41000123" })).toBe("machine");
    expect(detectScope({ CONTAINER_ID: "1", SONECA_SEAL_SCOPE: "host" })).toBe("host");
    expect(["host", "container"]).toContain(detectScope({}));
  });
});

describe("an agent that is killed while it holds a seal", () => {
  it("leaves the list to its successor, which lets everything go on", async () => {
    const pid = startOrphan(writer("a"), { env: ours() });
    await vi.waitFor(() => expect(size("a")).toBeGreaterThan(0));
    const script = join(folder, "agent.ts");
    writeFileSync(
      script,
      `import { createSealer } from "${import.meta.dirname}/seal.ts";
       import { createLogger } from "${import.meta.dirname}/log.ts";
       const sealer = createSealer({ root: ${JSON.stringify(workspace)}, home: ${JSON.stringify(home)}, log: createLogger({ write() {} }),
         scope: "machine", env: ${JSON.stringify(ours())} });
       await sealer.stop("seal", Date.now() + 5000);
       process.kill(process.pid, "SIGKILL");`,
    );
    await new Promise((done) => spawn(process.execPath, [script], { stdio: "inherit" }).on("exit", done));
    expect(isStopped(pid)).toBe(true);
    const next = sealer();
    const found = next.recover();
    expect(found).toMatchObject({ kind: "seal" });
    expect(found!.held).toBeGreaterThanOrEqual(1);
    expect(found!.untilAt - Date.now()).toBeGreaterThan(1_000);
    expect(next.resume()).toBeGreaterThanOrEqual(1);
    expect(await grows("a")).toBe(true);
    expect(next.recover()).toBeNull();
  });

  it("does not touch a pid that belongs to another process by now, nor believe a list of an earlier boot", async () => {
    const pid = startOrphan("sleep 60");
    process.kill(pid, "SIGSTOP");
    await vi.waitFor(() => expect(isStopped(pid)).toBe(true));
    const file = join(home, "sealed.json");
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const list = { kind: "seal", untilAt: 0, bootId, processes: [{ pid, startTime: 1 }] };
    writeFileSync(file, JSON.stringify(list));
    const one = sealer();
    expect(one.recover()).toMatchObject({ held: 0 });
    expect(one.resume()).toBe(0);
    expect(isStopped(pid)).toBe(true);
    const startTime = readStat(pid)!.startTime;
    writeFileSync(file, JSON.stringify({ ...list, bootId: "another", processes: [{ pid, startTime }] }));
    expect(one.recover()).toBeNull();
    writeFileSync(file, "{ half");
    expect(one.recover()).toBeNull();
    expect(isAlive({ pid, startTime })).toBe(true);
  });
});
