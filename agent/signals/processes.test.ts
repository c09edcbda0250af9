import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createProcessSensor } from "./processes.ts";

let base: string;
let workspace: string;
let children: ChildProcess[];

beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), "soneca-processes-")));
  workspace = join(base, "workspace");
  mkdirSync(workspace);
  children = [];
});
afterEach(() => {
  for (const child of children) if (child.pid) process.kill(-child.pid, "SIGKILL");
  rmSync(base, { recursive: true, force: true });
});

describe("in a tree that is made up", () => {
  interface Fake {
    parent?: number;
    ticks?: number;
    read?: number;
    written?: number;
    cwd?: string | null;
    exe?: string;
    open?: string;
    kernel?: boolean;
    /** Its io may not be read. */
    hidesIo?: boolean;
  }
  let now = 0;

  const put = (pid: number, fake: Fake) => {
    const at = join(base, "proc", String(pid));
    rmSync(at, { recursive: true, force: true });
    mkdirSync(join(at, "fd"), { recursive: true });
    const half = Math.floor((fake.ticks ?? 0) / 2);
    const rest = (fake.ticks ?? 0) - half;
    const flags = fake.kernel ? 0x20_0000 : 0;
    const stat = `${pid} (a (strange) name) S ${fake.parent ?? 1} 1 1 0 -1 ${flags} 0 0 0 0 ${half} 0 ${rest} 0 20 0 1 0 ${pid * 10} 0`;
    writeFileSync(join(at, "stat"), stat);
    if (!fake.hidesIo) {
      const io = `rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: ${fake.read ?? 0}\nwrite_bytes: ${fake.written ?? 0}\ncancelled_write_bytes: 0\n`;
      writeFileSync(join(at, "io"), io);
    }
    if (fake.cwd !== null) symlinkSync(fake.cwd ?? "/", join(at, "cwd"));
    symlinkSync(fake.exe ?? "/usr/bin/thing", join(at, "exe"));
    if (fake.open) symlinkSync(fake.open, join(at, "fd", "3"));
  };
  const sensorOf = () => createProcessSensor({ workspace, self: 50, proc: join(base, "proc"), now: () => now });

  beforeEach(() => {
    now = 1_000;
    put(1, {});
    put(50, { parent: 1, cwd: workspace });
  });

  it("knows nothing from the first reading alone", async () => {
    expect(await sensorOf().read()).toMatchObject({ cpu: { value: null }, disk: { value: null } });
  });

  it.each([
    ["its cwd", { cwd: "WS/sub" }],
    ["its program", { exe: "WS/venv/bin/python" }],
    ["a file that it has open", { open: "WS/data.bin" }],
  ])("counts a process by %s", async (_what, where) => {
    const inside = Object.fromEntries(Object.entries(where).map(([key, path]) => [key, path.replace("WS", workspace)]));
    const sensor = sensorOf();
    put(60, { ...inside, ticks: 100, read: 1_000, written: 0 });
    await sensor.read();
    put(60, { ...inside, ticks: 350, read: 3_000, written: 8_000 });
    now += 5_000;
    const { cpu, disk } = await sensor.read();
    expect(cpu).toEqual({ value: 50, detail: "a (strange) name (60)" });
    expect(disk).toEqual({ value: 2_000, detail: "a (strange) name (60)" });
  });

  it("does not count the agent, its ancestors, its children, the kernel, or who uses no file of the workspace", async () => {
    const sensor = sensorOf();
    const all = (ticks: number) => {
      put(1, { ticks, cwd: workspace });
      put(50, { parent: 1, ticks, cwd: workspace, written: ticks });
      put(51, { parent: 50, ticks, cwd: workspace });
      put(52, { parent: 51, ticks, cwd: workspace });
      put(70, { ticks, cwd: workspace, kernel: true });
      put(71, { ticks, cwd: `${workspace}-other`, open: `${base}/elsewhere` });
    };
    all(0);
    await sensor.read();
    all(900);
    now += 1_000;
    expect(await sensor.read()).toEqual({ cpu: { value: 0 }, disk: { value: 0 } });
  });

  it("counts a process that began meanwhile as a whole, and one whose pid was given away anew", async () => {
    const sensor = sensorOf();
    await sensor.read();
    put(60, { cwd: workspace, ticks: 100 });
    now += 1_000;
    expect((await sensor.read()).cpu).toMatchObject({ value: 100 });
  });

  it("I12: what may not be looked into counts, and hidden disk use is not known", async () => {
    const sensor = sensorOf();
    put(80, { cwd: null, ticks: 0, hidesIo: true });
    await sensor.read();
    put(80, { cwd: null, ticks: 100, hidesIo: true });
    now += 1_000;
    const { cpu, disk } = await sensor.read();
    expect(cpu).toMatchObject({ value: 100 });
    expect(disk).toMatchObject({ value: null, detail: expect.stringContaining("may not be read") });
  });

  it("I12: without its own process in the tree nothing is known, not even by the next reading alone", async () => {
    const sensor = sensorOf();
    await sensor.read();
    rmSync(join(base, "proc", "50"), { recursive: true });
    now += 1_000;
    expect(await sensor.read()).toMatchObject({ cpu: { value: null }, disk: { value: null } });
    put(50, {});
    now += 1_000;
    expect((await sensor.read()).cpu).toMatchObject({ value: null });
  });
});

describe("in the real /proc", () => {
  it("sees a busy process of the workspace, not one elsewhere, and not the agent's own children", async () => {
    // The program that burns is started by a process that has ended: otherwise it would be this test's own child.
    const burn = (cwd: string) => {
      const child = spawn("sh", ["-c", "setsid sh -c 'while :; do :; done' & echo $!"], {
        cwd,
        detached: true,
        stdio: ["ignore", "pipe", "ignore"],
      });
      return new Promise<number>((resolve) => child.stdout.on("data", (text) => resolve(Number(text))));
    };
    const sensor = createProcessSensor({ workspace });
    const elsewhere = await burn("/");
    const own = spawn("sh", ["-c", "while :; do :; done"], { cwd: workspace, detached: true, stdio: "ignore" });
    children.push(own);
    try {
      await sensor.read();
      await sleep(600);
      expect((await sensor.read()).cpu).toEqual({ value: 0 });
      const inside = await burn(workspace);
      try {
        await sleep(1_000);
        const { cpu } = await sensor.read();
        expect(cpu!.value).toBeGreaterThan(3);
        expect(cpu!.detail).toMatch(/^sh \(\d+\)$/);
      } finally {
        process.kill(inside, "SIGKILL");
      }
    } finally {
      process.kill(elsewhere, "SIGKILL");
    }
  });

  it("sees what a process of the workspace writes to disk", async () => {
    const sensor = createProcessSensor({ workspace });
    await sensor.read();
    const script =
      "setsid sh -c 'dd if=/dev/zero of=big bs=1M count=16 conv=fsync 2>/dev/null; echo done; sleep 20' & wait";
    const writer = spawn("sh", ["-c", `(${script}) &`], {
      cwd: workspace,
      detached: true,
      stdio: ["ignore", "pipe", "ignore"],
    });
    await new Promise((resolve) => writer.stdout.once("data", resolve));
    const { disk } = await sensor.read();
    expect(disk!.value).toBeGreaterThan(10_000);
    children.push(writer);
  });
});
