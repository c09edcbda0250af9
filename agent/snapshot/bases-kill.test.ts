/** A restore of checkpoints with bases, killed with SIGKILL at each of its requests, and run again. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Weights } from "../testing/weights.ts";
import { describeWorkspace } from "../testing/workspace.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";

let dir: string;
const at = (name: string) => join(dir, name);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bases-kill-"));
  const weights = new Weights(6 * 1024 * 1024);
  for (const step of [1, 2, 3]) {
    mkdirSync(at(`work/c-${step}`), { recursive: true });
    writeFileSync(at(`work/c-${step}/m.bin`), weights.bf16());
    weights.train(10, 1e-6);
  }
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Kills itself when the answer of its n-th request is there; returns the exit code, null when it was killed. */
function restoreUntil(n: number): Promise<number | null> {
  const url = (name: string) => JSON.stringify(pathToFileURL(join(import.meta.dirname, name)).href);
  const program = `
    const { openFolderStore } = await import(${url("store-folder.ts")});
    const { restoreSnapshot } = await import(${url("restore.ts")});
    const [store, root, stateDir] = ${JSON.stringify([at("store"), at("back"), at("state2")])};
    const inner = openFolderStore(store);
    let left = ${n};
    const get = async (...args) => {
      const bytes = await inner.get(...args);
      // Once more of what came before has been written.
      if (--left === 0) setTimeout(() => process.kill(process.pid, "SIGKILL"), 20);
      return bytes;
    };
    const mortal = new Proxy(inner, { get: (store, key) => (key === "get" ? get : store[key]?.bind?.(store) ?? store[key]) });
    const result = await restoreSnapshot({ id: "i-kill", seq: 1, epoch: 1, root, stateDir, store: mortal, concurrency: 1 });
    process.exit(result.ok ? 0 : 5);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  return new Promise((resolve) => void child.on("close", resolve));
}

test("goes on where it was and ends equal", { timeout: 120_000 }, async () => {
  const store = openFolderStore(at("store"));
  const taken = await takeSnapshot({ root: at("work"), id: "i-kill", epoch: 1, seq: 1, store, stateDir: at("state") });
  if (!taken.ok) throw new Error(taken.message);
  const { plainBytes, storedBytes } = taken.stats;
  expect(storedBytes).toBeLessThan(0.4 * plainBytes);
  const ends: (number | null)[] = [];
  for (let n = 2; ends.at(-1) !== 0 && n < 16; n++) ends.push(await restoreUntil(n));
  expect(ends.filter((end) => end === null).length).toBeGreaterThan(2);
  expect(ends.at(-1)).toBe(0);
  expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));
});
