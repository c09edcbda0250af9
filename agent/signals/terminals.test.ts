import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTerminalSensor, findTerminalUser } from "./terminals.ts";

let folder: string;
let children: ChildProcess[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "soneca-terminals-"));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

describe("in a folder that is made up", () => {
  let wall: number;
  let mono: number;
  const put = (name: string, inputAtMs: number) => {
    writeFileSync(join(folder, name), "");
    utimesSync(join(folder, name), inputAtMs / 1000, wall / 1000);
  };
  const sensorOf = (findUser: () => string | null = () => null) =>
    createTerminalSensor({ folder, wallNow: () => wall, now: () => mono, findUser });
  const pass = (ms: number) => {
    wall += ms;
    mono += ms;
  };
  beforeEach(() => {
    wall = 1_800_000_000_000;
    mono = 5_000_000;
  });

  it("says that there is none, which is no reading of zero", async () => {
    put("ptmx", wall);
    expect(await sensorOf().read()).toEqual({ terminal: { value: null, none: true } });
  });

  it("tells how long ago the newest input was, of whom, and how many there are", async () => {
    put("0", wall - 600_000);
    put("3", wall - 40_000);
    const { terminal } = await sensorOf(() => "SSH from 192.0.2.7").read();
    expect(terminal).toEqual({ value: 40, detail: "pts/3, SSH from 192.0.2.7, 2 open" });
  });

  it("output is no input", async () => {
    put("0", wall - 600_000);
    const sensor = sensorOf();
    await sensor.read();
    pass(60_000);
    utimesSync(join(folder, "0"), (wall - 660_000) / 1000, wall / 1000);
    expect((await sensor.read()).terminal!.value).toBe(660);
  });

  it("a clock that is set makes no input older, and one from the future is now", async () => {
    put("0", wall - 1_000);
    const sensor = sensorOf();
    await sensor.read();
    wall += 24 * 3_600_000;
    mono += 10_000;
    expect((await sensor.read()).terminal!.value).toBe(11);
    put("1", wall + 3_600_000);
    expect((await sensor.read()).terminal!.value).toBe(0);
  });

  it("input that is seen is as old as its reading", async () => {
    put("0", wall - 600_000);
    const sensor = sensorOf();
    await sensor.read();
    pass(30_000);
    put("0", wall - 8_000);
    expect((await sensor.read()).terminal!.value).toBe(0);
    pass(30_000);
    expect((await sensor.read()).terminal!.value).toBe(30);
  });

  it("I12: a folder that cannot be read is not known", async () => {
    const missing = createTerminalSensor({ folder: join(folder, "none") });
    expect((await missing.read()).terminal).toMatchObject({ value: null, detail: expect.stringContaining("ENOENT") });
  });
});

describe("real terminals", () => {
  const open = () => new Set(readdirSync("/dev/pts").filter((name) => /^\d+$/.test(name)));

  it("input to a real terminal is seen, and who sits there", { timeout: 40_000 }, async () => {
    const before = open();
    const env = { ...process.env, SSH_CONNECTION: "192.0.2.7 5000 192.0.2.1 22" };
    const shell = spawn("script", ["-qfc", "cat >/dev/null", "/dev/null"], {
      env,
      stdio: ["pipe", "ignore", "ignore"],
    });
    children.push(shell);
    await until(() => [...open()].some((name) => !before.has(name)));
    const sensor = createTerminalSensor();
    await sensor.read();
    // The kernel moves the time in steps of eight seconds.
    await sleep(9_000);
    shell.stdin!.write("typed\n");
    await sleep(300);
    const { terminal } = await sensor.read();
    expect(terminal!.value).toBeLessThanOrEqual(1);
    expect(terminal!.detail).toContain("SSH from 192.0.2.7");
    expect(findTerminalUser(0xffff)).toBeNull();
  });

  it("input to a tmux session is seen", { timeout: 40_000 }, async (context) => {
    if (spawnSync("tmux", ["-V"]).status !== 0) context.skip();
    mkdirSync(join(folder, "tmux"), { mode: 0o700 });
    const socket = join(folder, "tmux", "s");
    const env = { ...process.env, TERM: "xterm" };
    const tmux = (...args: string[]) => spawnSync("tmux", ["-S", socket, "-f", "/dev/null", ...args], { env });
    expect(tmux("new-session", "-d", "cat > /dev/null").status).toBe(0);
    try {
      const sensor = createTerminalSensor();
      await sensor.read();
      await sleep(9_000);
      tmux("send-keys", "typed", "Enter");
      await sleep(500);
      expect((await sensor.read()).terminal!.value).toBeLessThanOrEqual(1);
    } finally {
      tmux("kill-server");
    }
  });
});

async function until(look: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !look(); i++) await sleep(50);
  expect(look()).toBe(true);
}
