import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, lstatSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { setTimes } from "./native.ts";
import { probeKeeping } from "./probe.ts";

const isRoot = process.getuid?.() === 0;
const hasSetpriv = spawnSync("setpriv", ["--version"]).status === 0;
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-probe-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** What a process with these rights says of `dir`. */
function probeAs(privileges: string[], env: Record<string, string> = {}): string[] {
  const script = `const { probeKeeping } = await import(${JSON.stringify(join(import.meta.dirname, "probe.ts"))});
    console.log(JSON.stringify(probeKeeping(process.argv[1])));`;
  const args = [...privileges, process.execPath, "--input-type=module", "-e", script, dir];
  const { stdout, stderr } = spawnSync("setpriv", args, { encoding: "utf8", env: { PATH: process.env.PATH, ...env } });
  if (!stdout) throw new Error(stderr);
  return (JSON.parse(stdout) as { what: string; reason: string }[]).map(({ what, reason }) => `${what} (${reason})`);
}

test("the folder is left as it was, its time too", () => {
  setTimes(dir, 1_234_567_890_123_456_789n);
  probeKeeping(dir);
  expect(readdirSync(dir)).toEqual([]);
  expect(lstatSync(dir, { bigint: true }).mtimeNs).toBe(1_234_567_890_123_456_789n);
});

test.skipIf(!isRoot || !hasSetpriv)("a right that is missing is named (needs root and setpriv)", () => {
  const all = probeAs(["--reuid=0"]);
  const without = probeAs(["--bounding-set=-mknod,-linux_immutable,-sys_admin"]);
  expect(without.filter((words) => !all.includes(words))).toEqual([
    "devices (EPERM)",
    "trusted.* attributes (EPERM)",
    "the immutable flag (EPERM)",
  ]);
});

test.skipIf(!isRoot || !hasSetpriv)("nobody, and a machine without the addon (needs root and setpriv)", () => {
  chmodSync(dir, 0o755);
  chownSync(dir, 65534, 65534);
  const nobody = probeAs(["--reuid=65534", "--regid=65534", "--clear-groups"]);
  expect(nobody).toEqual(expect.arrayContaining(["devices (EPERM)", "owners (EPERM)", "file capabilities (EPERM)"]));
  expect(nobody.filter((words) => /nanosecond|links|user/.test(words))).toEqual([]);
  expect(probeAs(["--reuid=0"], { SONECA_NO_FFI: "1" })).toEqual(
    expect.arrayContaining(["user.* attributes (no FFI addon)", "holes in files (the file system changes it)"]),
  );
});
