/** The real program without the rights of root, or with some of them taken away: what it cannot keep, it says. */
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writeFlags } from "../fs/flags.ts";
import { native } from "../fs/native.ts";
import { probeKeeping } from "../fs/probe.ts";
import { file, folder, hardLink, link, node, putHandMade } from "../testing/hand-made.ts";
import { agentProgram } from "../testing/run-command.ts";
import { openFolderStore } from "./store-folder.ts";

const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
/** Rights are taken away one by one here, so all of them must be there. */
const isRoot = process.getuid?.() === 0 && probeKeeping(tmpdir()).length === 0;
const hasSetpriv = spawnSync("setpriv", ["--version"]).status === 0;
let dir: string;
const at = (name: string) => join(dir, name);

function run(privileges: string[], args: string[]) {
  const { status, stdout } = spawnSync("setpriv", [...privileges, process.execPath, agentProgram, ...args, "--json"], {
    encoding: "utf8",
    timeout: 25_000,
    env: { PATH: process.env.PATH, HOME: dir },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = stdout.trim().split("\n");
  return { code: status, last: JSON.parse(lines.at(-1)!) as Record<string, unknown> & { losses?: object[] } };
}
const restore = (privileges: string[], ...more: string[]) =>
  run(privileges, ["restore", "i-rights", at("back"), "--store", at("store"), "--state", at("state"), ...more]);
const put = (entries: Parameters<typeof putHandMade>[2]["entries"]) =>
  putHandMade(openFolderStore(at("store")), "i-rights", { entries, texts: ["text"] });
const mine = { uid: 65534, gid: 65534 };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-rights-"));
  chmodSync(dir, 0o755);
  for (const name of ["back", "state", "work", "store"]) {
    mkdirSync(at(name));
    chownSync(at(name), 65534, 65534);
  }
});
afterEach(() => {
  for (const path of ["work/fixed", "back/fixed"]) {
    try {
      writeFlags(at(path), 0);
    } catch {}
  }
  rmSync(dir, { recursive: true, force: true });
});
const openStore = () => spawnSync("chmod", ["-R", "a+rX", at("store")]);

describe.skipIf(!isRoot || !hasSetpriv)("a restore (needs root with all rights and setpriv)", () => {
  test("by nobody keeps all but the owners, proves it and lists them", async () => {
    await put([
      folder(""),
      folder("a", mine),
      file("a/mine", "text", { ...mine, mode: 0o400 }),
      file("a/program", "text", { mode: 0o6755 }),
      file("a/unreadable", "text", { ...mine, mode: 0 }),
      link("link", "a"),
    ]);
    openStore();
    const { code, last } = restore(nobody);
    expect(last).toMatchObject({ ok: false, code: "restore_inexact" });
    expect(last.losses).toEqual([{ what: "owner", reason: "EPERM", entries: 3, example: "." }]);
    expect(String(last.message)).toContain("--no-owner");
    expect(code).toBe(3);
    // A program of root's must not become one of nobody's.
    expect(lstatSync(at("back/a/program")).mode & 0o7777).toBe(0o755);
    expect(lstatSync(at("back/a/unreadable")).mode & 0o7777).toBe(0);
    expect(lstatSync(at("back/a")).mtimeMs).toBe(1_600_000_000_000);
    // Again over what is there: the same.
    expect(restore(nobody)).toMatchObject({ code: 3, last: { losses: [{ what: "owner", entries: 3 }] } });
    const given = restore(nobody, "--no-owner");
    expect(given).toMatchObject({ code: 0, last: { ok: true, disowned: 3 } });
    // And as root it becomes exact.
    expect(restore(["--reuid=0"])).toMatchObject({ code: 0, last: { ok: true, disowned: 0 } });
    expect(lstatSync(at("back/a/program")).mode & 0o7777).toBe(0o6755);
  });

  test("into a folder of somebody else says which one", async () => {
    await put([folder("", mine), folder("a", mine)]);
    openStore();
    chownSync(at("back"), 0, 0);
    const { code, last } = restore(nobody);
    expect(last).toMatchObject({ ok: false, code: "file_system_error" });
    expect(String(last.message)).toContain(at("back"));
    expect(code).not.toBe(0);
  });

  test("in a container that may make no devices lists them and keeps all else", async () => {
    await put([
      folder(""),
      node("device", "c"),
      node("disk", "b", { rdev: 0x801 }),
      node("fifo", "p"),
      file("file", "text"),
      hardLink("other name of the device", "device"),
    ]);
    const { code, last } = restore(["--bounding-set=-mknod"]);
    expect(last).toMatchObject({ ok: false, code: "restore_inexact" });
    expect(last.losses).toEqual([
      { what: "device", reason: "EPERM", entries: 2, example: "device" },
      { what: "hard link", reason: "EPERM", entries: 1, example: "other name of the device" },
    ]);
    expect(code).toBe(3);
    expect(lstatSync(at("back/fifo")).isFIFO()).toBe(true);
    expect(restore(["--reuid=0"])).toMatchObject({ code: 0 });
    expect(lstatSync(at("back/device")).rdev).toBe(0x103);
    expect(lstatSync(at("back/other name of the device")).ino).toBe(lstatSync(at("back/device")).ino);
  });

  test.skipIf(!native)("lists attributes and flags that the container may not set", async () => {
    const flags = ["soneca.flags", Buffer.from([0x10, 0, 0, 0])] as const;
    const capability = ["security.capability", Buffer.from("0100000200040000000000000000000000000000", "hex")] as const;
    const note = ["trusted.note", Buffer.from("x")] as const;
    const own = ["user.note", Buffer.from("y")] as const;
    await put([
      folder(""),
      file("capable", "text", { xattrs: [capability] }),
      file("fixed", "text", { xattrs: [flags] }),
      file("noted", "text", { xattrs: [note, own], mode: 0o444 }),
    ]);
    const { code, last } = restore(["--bounding-set=-linux_immutable,-setfcap,-sys_admin"]);
    expect(last).toMatchObject({ ok: false, code: "restore_inexact" });
    expect(last.losses).toEqual([
      { what: "security.capability", reason: "EPERM", entries: 1, example: "capable" },
      { what: "soneca.flags", reason: "EPERM", entries: 1, example: "fixed" },
      { what: "trusted.note", reason: "EPERM", entries: 1, example: "noted" },
    ]);
    expect(code).toBe(3);
    expect(native!.getXattr(at("back/noted"), "user.note")).toEqual(own[1]);
    expect(restore(["--reuid=0"])).toMatchObject({ code: 0 });
    // Over an immutable file: with the right it is taken away and comes back, without it the file is named.
    expect(restore(["--reuid=0"])).toMatchObject({ code: 0 });
    writeFlags(at("back/fixed"), 0);
    writeFileSync(at("back/fixed"), "other");
    writeFlags(at("back/fixed"), 0x10);
    expect(restore(["--bounding-set=-linux_immutable"]).last).toMatchObject({
      code: "restore_conflict",
      paths: ["fixed"],
    });
    expect(restore(["--reuid=0"])).toMatchObject({ code: 0 });
  });
});

describe.skipIf(!isRoot || !hasSetpriv)("without the FFI addon", () => {
  test("times are exact, devices and odd names come back, and attributes are listed as lost", async () => {
    const time = (mtimeNs: bigint) => ({ mtimeNs });
    await put(
      [
        folder("", time(1_600_000_000_123_456_789n)),
        file("\xff\xfe\n'", "text", time(-5_000_000_001n)),
        node("device", "c", { rdev: 0x12_345_678, mode: 0o640 }),
        node("fifo \xff", "p"),
        file("later", "text", time(7_000_000_000_000_000_001n)),
        { ...link("link", "nowhere"), mtimeNs: 1n },
        file("noted", "text", { xattrs: [["user.note", Buffer.from("x")]] }),
      ].sort((a, b) => (a.path < b.path ? -1 : 1)),
    );
    const withoutFfi = ["--reuid=0", "env", "SONECA_NO_FFI=1"];
    const { code, last } = restore(withoutFfi);
    expect(last).toMatchObject({ ok: false, code: "restore_inexact" });
    expect(last.losses).toEqual([{ what: "user.note", reason: "no FFI addon", entries: 1, example: "noted" }]);
    expect(code).toBe(3);
    expect(restore(["--reuid=0"])).toMatchObject({ code: 0, last: { ok: true, receivedBytes: 0 } });
    expect(lstatSync(at("back/device")).rdev).toBe(0x12_345_678);
  });
});

describe.skipIf(!isRoot || !hasSetpriv)("a snapshot (needs root with all rights and setpriv)", () => {
  test("by nobody lists what it may not read and is no proof", () => {
    writeFileSync(at("work/mine"), "text");
    chownSync(at("work/mine"), 65534, 65534);
    writeFileSync(at("work/secret"), "of root", { mode: 0o600 });
    mkdirSync(at("work/closed"), 0o700);
    writeFileSync(at("work/closed/inside"), "of root");
    const args = ["snapshot", at("work"), "--store", at("store"), "--state", at("state"), "--id", "i-rights"];
    const { code, last } = run(nobody, args);
    expect(last).toMatchObject({ ok: false, torn: 2 });
    expect(last.skipped).toEqual([
      { path: "closed", reason: "EACCES" },
      { path: "secret", reason: "EACCES" },
    ]);
    expect(code).toBe(3);
    const verified = run(nobody, ["verify", "i-rights", at("work"), ...args.slice(2, 6)]);
    expect(verified).toMatchObject({ code: 5, last: { ok: false, code: "folder_differs" } });
    const compared = run(nobody, ["diff", "i-rights", at("work"), ...args.slice(2, 6)]);
    expect(compared.last).toMatchObject({ ok: true, isEqual: false, unsure: 2, changed: 0 });
  });
});
