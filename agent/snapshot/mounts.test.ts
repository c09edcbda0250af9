/** Other file systems inside a workspace and inside a target, each test in a mount namespace of its own. Needs root and unshare. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { agentProgram } from "../testing/run-command.ts";

const canMount = spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;
let dir: string;
const at = (name: string) => join(dir, name);

/** The mounts end with the shell. */
function run(mounts: string, args: string[]) {
  const script = `set -e; ${mounts}; exec "$@"`;
  const command = [
    "-m",
    "--propagation",
    "private",
    "sh",
    "-c",
    script,
    "sh",
    process.execPath,
    agentProgram,
    ...args,
    "--json",
  ];
  const { status, stdout } = spawnSync("unshare", command, {
    cwd: dir,
    encoding: "utf8",
    timeout: 25_000,
    stdio: ["ignore", "pipe", "inherit"],
  });
  return { code: status, last: JSON.parse(stdout.trim().split("\n").at(-1)!) as Record<string, unknown> };
}
const shared = () => ["--store", at("store"), "--state", at("state")];
const take = (mounts: string) => run(mounts, ["snapshot", at("work"), ...shared(), "--id", "i-mount"]);
const restore = (mounts: string, to: string, ...more: string[]) =>
  run(mounts, ["restore", "i-mount", at(to), ...shared(), ...more]);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-mount-"));
  mkdirSync(at("work/disk"), { recursive: true });
  mkdirSync(at("work/with space"));
  mkdirSync(at("other/inner"), { recursive: true });
  writeFileSync(at("other/inner/file"), "on another disk");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe.skipIf(!canMount)("a mount (needs root and unshare)", () => {
  test("of another disk is part of the workspace, proc is not, and both are said", () => {
    const mounts = `mount --bind other work/disk; mount -t proc none "work/with space"`;
    const { code, last } = take(mounts);
    expect(last).toMatchObject({
      ok: true,
      torn: 0,
      skipped: [{ path: "with space", reason: "all in it is made by proc" }],
      degraded: [expect.stringContaining("disk is a mount of its own")],
    });
    expect(code).toBe(0);
    expect(restore("true", "back")).toMatchObject({ code: 0, last: { ok: true } });
    expect(readFileSync(at("back/disk/inner/file"), "utf8")).toBe("on another disk");
    expect(readdirSync(at("back/with space"))).toEqual([]);
  });

  test("in the target is never emptied: as an extra it stays, in the way it is named", () => {
    rmSync(at("work/disk"), { recursive: true });
    expect(take("true").code).toBe(0);
    mkdirSync(at("back/extra/disk"), { recursive: true });
    expect(restore("mount --bind other back/extra/disk", "back", "--delete")).toMatchObject({
      code: 0,
      last: { ok: true, extras: 1 },
    });
    expect(readFileSync(at("other/inner/file"), "utf8")).toBe("on another disk");

    writeFileSync(at("work/extra"), "a file now");
    expect(take("true").code).toBe(0);
    expect(restore("mount --bind other back/extra/disk", "back", "--delete")).toMatchObject({
      code: 2,
      last: { ok: false, code: "restore_conflict", paths: ["extra"] },
    });
    expect(readFileSync(at("other/inner/file"), "utf8")).toBe("on another disk");
    expect(restore("true", "back", "--delete")).toMatchObject({ code: 0, last: { ok: true, extras: 0 } });
  });
});
