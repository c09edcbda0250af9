/** The demo as a command: what it says, what it leaves, what it refuses. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, describe, expect, it } from "vitest";
import { makeTestFolder, mustBeEqual, processesWith, removeFolder } from "./testing/cloud.ts";
import { readXattr, usedBytes, writeNastyWorkspace } from "./testing/workspace.ts";

const demo = join(import.meta.dirname, "../local-cloud/demo.ts");
const base = makeTestFolder();
afterAll(() => removeFolder(base));

async function runDemo(...argv: string[]) {
  // Its own folder for temporary files, so that what it leaves there is seen.
  const scratch = mkdtempSync(join(base, "tmp-"));
  const child = spawn(process.execPath, [demo, ...argv], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TMPDIR: scratch },
    timeout: 300_000,
  });
  const [status, stdout, stderr] = await Promise.all([
    new Promise<number | null>((done) => child.on("close", done)),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { status, stdout, stderr, scratch };
}

function eventsOf(stdout: string): Record<string, unknown>[] {
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

function told(events: Record<string, unknown>[], keep: string): void {
  const types = events.filter((one) => one.event === "instance").map((one) => one.event_type);
  for (const type of ["idle_detected", "hibernated", "deleted", "woke_up"]) expect(types).toContain(type);
  expect(events.filter((one) => one.event === "cost").map((one) => one.machinesRented)).toEqual([0, 1]);
  const [compared, kept] = events.slice(-2);
  expect(compared).toMatchObject({ event: "compared", equal: true, differenceCount: 0 });
  expect(kept).toEqual({ ...kept, event: "kept", before: join(keep, "before"), after: join(keep, "after") });
}

describe.concurrent("npm run demo", () => {
  it("tells the whole story and proves it, with a workspace that holds everything a file system can", async () => {
    const [workspace, keep] = [join(base, "nasty"), join(base, "kept")];
    mkdirSync(workspace);
    const { xattrs } = writeNastyWorkspace(workspace);
    const { status, stdout, stderr, scratch } = await runDemo("--workspace", workspace, "--keep", keep, "--json");
    const events = eventsOf(stdout);
    const differences = events.find((one) => one.event === "compared")?.differences;
    expect({ status, stderr, differences }).toEqual({ status: 0, stderr: "", differences: [] });
    told(events, keep);
    const after = join(keep, "after");
    mustBeEqual(workspace, after);
    expect(usedBytes(join(after, "sparse"))).toBeLessThan(64 * 1024);
    for (const { path, name, hex } of xattrs)
      expect({ path, name, hex: readXattr(join(after, path), name) }).toEqual({ path, name, hex });
    expect(readdirSync(scratch)).toEqual([]);
    expect(processesWith(scratch)).toEqual([]);
  });

  it.runIf(process.env.SONECA_SLOW)("tells it with its own sample (npm run test:slow)", async () => {
    const keep = join(base, "kept-sample");
    const { status, stdout, stderr } = await runDemo("--keep", keep, "--json");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    told(eventsOf(stdout), keep);
    expect(mustBeEqual(join(keep, "before"), join(keep, "after")).entries).toBeGreaterThan(200);
  });

  it("refuses bad options with words and exit code 2", async () => {
    const full = join(base, "full");
    mkdirSync(join(full, "before"), { recursive: true });
    writeFileSync(join(full, "before", "file"), "already there");
    const file = join(base, "a-file");
    writeFileSync(file, "not a folder");
    for (const [argv, words] of [
      [["--nonsense"], /--nonsense/],
      [["--keep"], /--keep/],
      [["stray"], /stray/],
      [["--workspace", join(base, "missing")], /missing/],
      [["--workspace", file], /folder/],
      [["--workspace", tmpdir()], /temporary/],
      [["--keep", full], /not empty/],
      [["--keep", file], /a-file/],
    ] as const) {
      const { status, stderr, stdout } = await runDemo(...argv);
      expect({ argv, status, stdout }).toEqual({ argv, status: 2, stdout: "" });
      expect(stderr).toMatch(words);
      expect(stderr).toContain("usage:");
    }
  });
});
