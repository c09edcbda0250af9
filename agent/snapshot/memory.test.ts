/**
 * Memory is bounded whatever the size of the workspace, and the event loop turns, so that the heartbeat of the same
 * process is never late. The large case (`npm run test:slow`) makes a million files: minutes, and 6 GB below /tmp.
 */
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runMeasured } from "../testing/measured.ts";
import { noise } from "../testing/workspace.ts";

const isSlow = process.env.SONECA_SLOW === "1";
const mib = 1024 * 1024;
let dir: string;
const at = (name: string) => join(dir, name);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-memory-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }), 600_000);

interface Case {
  files: number;
  sparseGib: number;
  noiseMib: number;
  /** MiB, of each command. */
  most: number;
}

function makeWorkspace({ files, sparseGib, noiseMib }: Case): void {
  for (let i = 0; i < files; i++) {
    const folder = at(`work/tree/${i % 100}/${Math.floor(i / 100) % 100}`);
    if (i < 10_000) mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/some-file-name-${i}`, `content ${i}`);
  }
  for (let g = 0; g < sparseGib; g++) {
    const fd = openSync(at(`work/sparse-${g}`), "w");
    ftruncateSync(fd, 1024 * mib);
    writeSync(fd, `x${g}`, 512 * mib + g * 4096);
    closeSync(fd);
  }
  const piece = noise(8 * mib, 5);
  const fd = openSync(at("work/noise"), "w");
  for (let n = 0; n < noiseMib; n += 8) {
    piece.writeUInt32LE(n, 0);
    for (let i = 0; i < piece.length; i += 4096) piece[i]! ^= n;
    writeSync(fd, piece);
  }
  closeSync(fd);
}

async function runAll(size: Case): Promise<void> {
  makeWorkspace(size);
  const store = ["--store", at("store")];
  const commands = [
    ["snapshot", at("work"), ...store, "--id", "i-mem", "--state", at("state")],
    ["snapshot", at("work"), ...store, "--id", "i-mem", "--state", at("state")],
    ["verify", "i-mem", ...store],
    ["verify", "i-mem", ...store, "--data"],
    ["restore", "i-mem", at("back"), ...store, "--state", at("state2")],
  ];
  for (const command of commands) {
    const { code, last, maxRssMib, maxGapMs } = await runMeasured(command);
    if (isSlow) console.log(command[0], { code, maxRssMib, maxGapMs, wallMs: last.wallMs });
    expect(code, JSON.stringify(last)).toBe(0);
    expect(maxRssMib, command[0]).toBeLessThan(size.most);
    // Synchronous work in one piece would take seconds.
    expect(maxGapMs, command[0]).toBeLessThan(700);
  }
}

test("10,000 files, 4 GiB of holes and 200 MB of noise", { timeout: 150_000 }, () =>
  runAll({ files: 10_000, sparseGib: 4, noiseMib: 200, most: 500 }),
);

test.runIf(isSlow)("a million files and 50 GiB of holes", { timeout: 1_800_000 }, () =>
  runAll({ files: 1_000_000, sparseGib: 50, noiseMib: 64, most: 1024 }),
);
