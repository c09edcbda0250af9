/** Real processes, killed with SIGKILL at many moments; what they leave must be whole or found again. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { agentProgram } from "../testing/run-command.ts";
import { describeWorkspace, type HardWorkspace, makeHardWorkspace, noise } from "../testing/workspace.ts";

let dir: string;
let workspace: HardWorkspace;
const at = (name: string) => join(dir, name);

interface Line {
  type: string;
  [field: string]: unknown;
}

/** Runs to the end, or until `isTime` says to kill. */
function run(
  args: string[],
  isTime: (line: Line, child: ChildProcess) => boolean = () => false,
): Promise<{ code: number | null; killed: boolean; last: Line }> {
  const child = spawn(process.execPath, [agentProgram, ...args, "--json"], { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve) => {
    let text = "";
    let last: Line = { type: "none" };
    let killed = false;
    child.stdout.on("data", (data: Buffer) => {
      const lines = (text + data).split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        last = JSON.parse(line) as Line;
        if (!killed && isTime(last, child)) {
          killed = true;
          child.kill("SIGKILL");
        }
      }
    });
    child.on("close", (code, signal) => resolve({ code, killed: killed || signal === "SIGKILL", last }));
  });
}

const snapshotArgs = () => ["snapshot", at("work"), "--store", at("store"), "--state", at("state"), "--id", "i-kill"];
const restoreArgs = () => ["restore", "i-kill", at("back"), "--store", at("store"), "--state", at("state2")];
const verifyArgs = () => ["verify", "i-kill", "--store", at("store"), "--data"];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "soneca-kill-"));
  workspace = await makeHardWorkspace(at("work"));
  mkdirSync(at("work/models"));
  for (let i = 0; i < 6; i++) writeFileSync(at(`work/models/${i}`), noise(20 * 1024 * 1024, 100 + i));
});
afterEach(async () => {
  await workspace.close();
  rmSync(dir, { recursive: true, force: true });
});

test("a snapshot that is killed again and again goes on, and sends nothing twice", { timeout: 120_000 }, async () => {
  let kills = 0;
  for (const parts of [1, 2, 3, 5]) {
    const { killed } = await run(
      snapshotArgs(),
      (line) => line.type === "progress" && Number(line.partsDone) >= 1 && countParts() >= parts,
    );
    // A kill that came after the last write found nothing to interrupt.
    if (!killed || manifests().length > 0) break;
    kills++;
  }
  expect(kills).toBeGreaterThan(0);
  const before = countParts();
  expect(before).toBeGreaterThan(2);
  const { code, last } = await run(snapshotArgs());
  expect(last).toMatchObject({ type: "summary", ok: true, torn: 0 });
  expect(code).toBe(0);
  // All that was there is used: everything that the snapshot lists and did not send was found.
  expect(Number(last.newParts)).toBeLessThanOrEqual(Number(last.parts) - before + 1);
  expect((await run(verifyArgs())).code).toBe(0);
  expect((await run(restoreArgs())).code).toBe(0);
  expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));
});

test("a lost state folder is read back from the store", { timeout: 120_000 }, async () => {
  await run(snapshotArgs(), (line) => line.type === "progress" && Number(line.partsDone) >= 3);
  const before = countParts();
  rmSync(at("state"), { recursive: true });
  const { code, last } = await run(snapshotArgs());
  expect(code).toBe(0);
  expect(Number(last.parts) - Number(last.newParts)).toBeGreaterThanOrEqual(before - 1);
});

test("a restore that is killed again and again goes on and ends equal", { timeout: 120_000 }, async () => {
  expect((await run(snapshotArgs())).code).toBe(0);
  let killed = 0;
  // Times, not lines: four lines a second say too little of a restore that takes half a second.
  for (const ms of [0, 40, 80, 120, 160, 220, 300]) {
    let isTimed = false;
    const { killed: isKilled } = await run(restoreArgs(), (line, child) => {
      if (!isTimed && line.type === "progress") setTimeout(() => child.kill("SIGKILL"), ms);
      isTimed = true;
      return false;
    });
    if (isKilled) killed++;
  }
  expect(killed).toBeGreaterThan(2);
  const { code, last } = await run(restoreArgs());
  expect(code).toBe(0);
  expect(Number(last.reusedBytes)).toBeGreaterThan(0);
  expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));
});

test("an interrupted snapshot ends with 130 and can go on", { timeout: 120_000 }, async () => {
  let sent = false;
  const { code, last } = await run(snapshotArgs(), (line, child) => {
    if (!sent && line.type === "progress" && line.phase === "read") {
      sent = true;
      child.kill("SIGTERM");
    }
    return false;
  });
  expect(code).toBe(130);
  expect(last).toMatchObject({ type: "summary", ok: false, code: "aborted" });
  expect((await run(snapshotArgs())).code).toBe(0);
});

function countParts(): number {
  return listOf("parts").length;
}

function manifests(): string[] {
  return listOf("manifests");
}

function listOf(folder: string): string[] {
  try {
    return readdirSync(at(`store/i/i-kill/${folder}`)).filter((name) => !name.startsWith("."));
  } catch {
    return [];
  }
}
