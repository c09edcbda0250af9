/** `soneca-agent run -- COMMAND` as a real process. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { beginHold, readHeld, watchHeld } from "./held.ts";
import { readBootId, readStat } from "./proc.ts";

const main = join(import.meta.dirname, "main.ts");
const within = { timeout: 20_000, interval: 50 };
let home: string;
let children: ChildProcess[];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "soneca-hold-"));
  children = [];
  const lock = { pid: process.pid, startTime: readStat(process.pid)!.startTime, bootId: readBootId() };
  writeFileSync(join(home, "agent.lock"), JSON.stringify(lock));
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(home, { recursive: true, force: true });
});

function run(command: string[], input = "") {
  const child = spawn(process.execPath, [main, "run", "--", ...command], {
    env: { PATH: process.env.PATH, HOME: home, SONECA_HOME: home },
  });
  children.push(child);
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (output.stderr += text));
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.on("close", (code, signal) => resolve({ code, signal })),
  );
  return { child, output, ended };
}
const sh = (script: string) => ["sh", "-c", script];

it("holds from its begin to its end, and says what runs", { timeout: 60_000 }, async () => {
  const { ended, output } = run(sh(`until [ -e ${home}/go ]; do sleep 0.05; done`));
  await vi.waitFor(() => expect(readHeld(home)).toHaveLength(1), within);
  expect(readHeld(home)[0]!.what).toContain("sh -c until");
  writeFileSync(join(home, "go"), "");
  expect(await ended).toEqual({ code: 0, signal: null });
  expect(readHeld(home)).toEqual([]);
  expect(readdirSync(join(home, "held"))).toEqual([]);
  expect(output).toEqual({ stdout: "", stderr: "" });
});

it("passes input, output and the exit code on, through pipes", { timeout: 60_000 }, async () => {
  const { ended, output } = run(sh("cat; echo aside >&2; exit 37"), "through\n".repeat(20_000));
  expect(await ended).toEqual({ code: 37, signal: null });
  expect(output.stdout).toBe("through\n".repeat(20_000));
  expect(output.stderr).toBe("aside\n");
});

it("takes options of the command for its own", { timeout: 60_000 }, async () => {
  const { ended, output } = run(["printf", "%s|", "--log", "--", "-h"]);
  expect(await ended).toMatchObject({ code: 0 });
  expect(output.stdout).toBe("--log|--|-h|");
});

it("says what cannot be run as a shell does, and holds nothing then", { timeout: 60_000 }, async () => {
  const missing = run([join(home, "no-such-command")]);
  expect(await missing.ended).toMatchObject({ code: 127 });
  expect(missing.output.stderr).toContain("there is no such command");
  expect(readHeld(home)).toEqual([]);
});

it.each(["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"] as const)("passes %s on", { timeout: 60_000 }, async (signal) => {
  const name = signal.slice(3);
  const { child, ended, output } = run(sh(`trap 'echo got; exit 5' ${name}; echo ready; while :; do sleep 0.05; done`));
  await vi.waitFor(() => expect(output.stdout).toBe("ready\n"), within);
  child.kill(signal);
  expect(await ended).toEqual({ code: 5, signal: null });
  expect(output.stdout).toBe("ready\ngot\n");
  expect(readHeld(home)).toEqual([]);
});

it("dies of the signal that its command died of", { timeout: 60_000 }, async () => {
  const { ended } = run(sh("kill -9 $$"));
  expect(await ended).toEqual({ code: null, signal: "SIGKILL" });
});

it("goes on holding when it is killed itself and the command lives", { timeout: 60_000 }, async () => {
  const { child, ended, output } = run(sh("echo $$; exec sleep 30"));
  await vi.waitFor(() => expect(output.stdout).toMatch(/^\d+\n$/), within);
  const pid = Number(output.stdout);
  await vi.waitFor(() => expect(readHeld(home)).toHaveLength(1), within);
  // Its child's pid is written right after the child began.
  await new Promise((resolve) => setTimeout(resolve, 300));
  child.kill("SIGKILL");
  child.stdout?.destroy();
  child.stderr?.destroy();
  await ended;
  expect(readHeld(home)).toHaveLength(1);
  process.kill(pid, "SIGKILL");
  await vi.waitFor(() => expect(readHeld(home)).toEqual([]), within);
  expect(readdirSync(join(home, "held"))).toEqual([]);
});

it("runs the command all the same where nothing can hold", { timeout: 60_000 }, async () => {
  rmSync(join(home, "agent.lock"));
  writeFileSync(join(home, "held"), "a file in the way");
  const { ended, output } = run(sh("echo done"));
  expect(await ended).toMatchObject({ code: 0 });
  expect(output.stdout).toBe("done\n");
  expect(output.stderr).toContain("no agent runs with the home");
  expect(output.stderr).toContain("nothing holds the machine awake");
});

it("files of a boot before, of others, and broken ones hold nothing", () => {
  mkdirSync(join(home, "held"));
  const put = (name: string, value: unknown) => writeFileSync(join(home, "held", name), JSON.stringify(value));
  const processes = [{ pid: process.pid, startTime: readStat(process.pid)!.startTime }];
  put("old.json", { command: "x", bootId: "another", processes });
  put("reused.json", { command: "x", bootId: readBootId(), processes: [{ ...processes[0], startTime: 1 }] });
  put("broken.json", { command: 7 });
  put("notes.txt", {});
  expect(readHeld(home)).toEqual([]);
  expect(readdirSync(join(home, "held")).sort()).toEqual(["broken.json", "notes.txt"]);
});

it("a beginning and an end are told at once", async () => {
  const told = vi.fn();
  const watcher = watchHeld(home, told);
  const hold = beginHold(home, "a", "x");
  await vi.waitFor(() => expect(told).toHaveBeenCalled(), within);
  told.mockClear();
  hold.end();
  await vi.waitFor(() => expect(told).toHaveBeenCalled(), within);
  watcher.close();
  expect(existsSync(join(home, "held", "a.json"))).toBe(false);
});
