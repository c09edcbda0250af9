/** Files that a program changes through a mapping, which sets their times only now and then. Needs python3, which can map. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { diskDir } from "../testing/disk.ts";
import { hasWitness } from "../testing/witness.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";
import type { OnProgress } from "./types.ts";

/** Maps a file and writes each word that comes by the fifo into its front. */
const mapper = `
import mmap, os, sys
path, fifo, done = sys.argv[1:]
fd = os.open(path, os.O_RDWR)
memory = mmap.mmap(fd, 4096)
open(done + ".0", "w").close()
for n in (1, 2):
    with open(fifo, "rb") as orders: word = orders.read()
    memory[0:len(word)] = word
    open("%s.%d" % (done, n), "w").close()
sys.stdin.read()
`;

const restMs = 2_600;
let dir = "";
let child: ChildProcess | null = null;
const at = (name: string) => join(dir, name);
const pause = (ms: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** Not one moment of these may belong to the event loop: the scan must stand still meanwhile. */
function waitForFile(path: string): void {
  for (let n = 0; !existsSync(path); n++) {
    if (n === 1_000) throw new Error(`${path} does not appear`);
    pause(10);
  }
}

function startMapper(below: string) {
  dir = mkdtempSync(join(below, "soneca-still-"));
  mkdirSync(at("work"));
  writeFileSync(at("work/mapped"), Buffer.alloc(4096, "."));
  expect(spawnSync("mkfifo", [at("orders")]).status).toBe(0);
  child = spawn("python3", ["-c", mapper, at("work/mapped"), at("orders"), at("done")], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  waitForFile(at("done.0"));
  let stores = 0;
  return {
    store: (word: string) => {
      writeFileSync(at("orders"), word);
      waitForFile(at(`done.${++stores}`));
    },
  };
}

const common = () => ({ id: "i-still", epoch: 1, store: openFolderStore(at("store")) });
const take = (seq: number, onProgress?: OnProgress) =>
  takeSnapshot({ ...common(), seq, root: at("work"), stateDir: at("state"), ...(onProgress && { onProgress }) });

async function restored(seq: number): Promise<string> {
  const back = await restoreSnapshot({ ...common(), seq, root: at("back"), stateDir: at("state2") });
  expect(back).toMatchObject({ ok: true });
  return readFileSync(at("back/mapped"), "latin1").replace(/\.*$/, "");
}

afterEach(async () => {
  child?.stdin?.end();
  if (child && child.exitCode === null) await new Promise((resolve) => child!.once("close", resolve));
  rmSync(dir, { recursive: true, force: true });
});

describe.skipIf(!hasWitness)("a store through a mapping (needs python3)", () => {
  test("between the sync and the reading of a long round, and another one after it, is not lost", async () => {
    const mapped = startMapper(diskDir());
    pause(restMs);
    const seen: string[] = [];
    const first = await take(1, ({ phase }) => {
      if (seen.at(-1) === phase) return;
      seen.push(phase);
      // The page is clean, so this one sets the times; the file is read when they seem old.
      if (phase === "read") {
        mapped.store("first");
        pause(restMs);
      }
      // The page is dirty since: this one sets none.
      if (seen.filter((one) => one === "sync").length === 2 && phase === "sync") mapped.store("second");
    });
    expect(first).toMatchObject({ ok: true });
    expect(await restored(1)).toBe("second");
  });

  const memory = "/dev/shm";
  const isMemory = existsSync(memory) && statfsSync(memory).type === 0x01021994;
  test.skipIf(!isMemory)("to a file that only memory holds, where no time says so, is not lost", async () => {
    const mapped = startMapper(memory);
    mapped.store("first");
    pause(restMs);
    expect(await take(1)).toMatchObject({ ok: true });
    mapped.store("second");
    pause(restMs);
    expect(await take(2)).toMatchObject({ ok: true, stats: { torn: 0 } });
    expect(await restored(2)).toBe("second");
  });
});
