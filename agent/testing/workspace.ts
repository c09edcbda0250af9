/** A workspace with everything that is hard to keep, and a walker of its own to compare two of them. */
import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { makeNode, native, setTimes } from "../fs/native.ts";
import { probeKeeping } from "../fs/probe.ts";

/** Version 2: owner rw, user 1000 r, group r, mask rw, others none. */
const accessList = Buffer.from(
  "0200000001000600ffffffff02000400e803000004000400ffffffff10000600ffffffff20000000ffffffff",
  "hex",
);
const isRoot = process.getuid?.() === 0;

export interface HardWorkspace {
  /** Closes what the workspace keeps open (a socket). */
  close: () => Promise<void>;
}

/** Deterministic noise. */
export function noise(bytes: number, seed: number): Buffer {
  const out = Buffer.allocUnsafe(bytes);
  let state = seed | 0;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    out[i] = state >>> 24;
  }
  return out;
}

export async function makeHardWorkspace(root: string): Promise<HardWorkspace> {
  mkdirSync(root, { recursive: true });
  const at = (name: string) => join(root, name);
  for (const dir of ["empty", "a", "a-b", "a/deep", "locked", "sticky", "many"]) mkdirSync(at(dir));
  writeFileSync(at("zero bytes"), "");
  writeFileSync(at("one"), "1");
  writeFileSync(at("a/x"), "below a");
  writeFileSync(at("a-b/x"), "below a-b: sorts between a and a/x");
  writeFileSync(at('new\nline "quoted" \\ back'), "odd name");
  writeFileSync(at("ünïcödé-日本"), "utf-8 name");
  writeFileSync(
    Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0xfe, 0x80, 0x20])]),
    "name that is not utf-8",
  );
  mkdirSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xc3, 0x28])]));
  writeFileSync(
    Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xc3, 0x28]), Buffer.from("/inside")]),
    "in such a folder",
  );
  writeFileSync(at("x".repeat(255)), "longest name");
  writeFileSync(at("big"), noise(9 * 1024 * 1024 + 123, 1));
  writeFileSync(at("big text"), Buffer.alloc(5 * 1024 * 1024, "the quick brown fox "));
  writeFileSync(at("zeros"), Buffer.alloc(20 * 1024 * 1024));
  writeFileSync(at("just below small"), noise(512 * 1024 - 1, 2));
  writeFileSync(at("just small"), noise(512 * 1024, 3));
  for (let i = 0; i < 300; i++) writeFileSync(at(`many/${i}`), `file ${i} `.repeat(i));
  let deep = at("deep");
  for (let i = 0; i < 40; i++) {
    mkdirSync(deep);
    deep = join(deep, `level-${i}-${"d".repeat(60)}`);
  }
  writeFileSync(deep, "deep down");

  symlinkSync("one", at("link"));
  symlinkSync("/nowhere/at all", at("dangling"));
  symlinkSync("../../../../etc/passwd", at("a/outward"));
  symlinkSync(".", at("loop"));
  symlinkSync(Buffer.from([0xfe, 0xfd, 0x41]), at("odd target"));
  symlinkSync("t".repeat(4095), at("longest target"));
  linkSync(at("one"), at("a/another name of one"));
  linkSync(at("big"), at("a-b/another name of big"));
  linkSync(at("link"), at("another name of link"));

  makeSparse(at("sparse small"), 256 * 1024, [[65_536, "middle"]]);
  makeSparse(at("sparse big"), 64 * 1024 * 1024, [
    [0, "start"],
    [30 * 1024 * 1024, "middle"],
    [64 * 1024 * 1024 - 3, "end"],
  ]);
  makeSparse(at("only a hole"), 40 * 1024 * 1024 + 5, []);

  makeNode(at("fifo"), 0o010644, 0);
  linkSync(at("fifo"), at("a/another name of fifo"));
  if (isRoot) {
    try {
      makeNode(at("device"), 0o020600, 0x103);
      linkSync(at("device"), at("another name of device"));
    } catch {
      // A container without the right to make devices.
    }
    lchownSync(at("a/x"), 1234, 4321);
    lchownSync(at("link"), 77, 78);
    lchownSync(at("many"), 1000, 1000);
  }
  chmodSync(at("one"), 0o4755);
  chmodSync(at("many/3"), 0o2755);
  chmodSync(at("many/4"), 0o000);
  chmodSync(at("sticky"), 0o1777);
  writeFileSync(at("locked/inside"), "in a folder without write permission");
  if (native) {
    native.setXattr(at("big text"), "user.comment", Buffer.from("hello"));
    native.setXattr(at("big text"), "user.binary", randomBytes(300));
    native.setXattr(at("empty"), "user.empty", new Uint8Array(0));
    native.setXattr(at("just small"), "system.posix_acl_access", accessList);
    native.setXattr(at("empty"), "system.posix_acl_default", accessList);
    // A container may not have the rights: then there is less to keep.
    if (isRoot && !probeKeeping(root).some(({ what }) => what.includes("trusted") || what.includes("capabilities"))) {
      native.setXattr(at("zero bytes"), "trusted.note", Buffer.from([0, 1, 2]));
      native.setXattr(at("dangling"), "trusted.of a link", Buffer.from([3]));
      native.setXattr(
        at("just below small"),
        "security.capability",
        Buffer.from(`0100000200040000${"0".repeat(24)}`, "hex"),
      );
    }
  }
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(at("socket"), resolve));

  setTimes(at("one"), 1_234_567_890_123_456_789n);
  setTimes(at("dangling"), 987_654_321_000_000_001n);
  setTimes(at("many/5"), -5_000_000_000n);
  setTimes(at("many/6"), 4_102_444_800_999_999_999n);
  setTimes(at("many/7"), 12_000_000_000_000_000_001n);
  setTimes(at("many/8"), -1_500_000_000_000_000_001n);
  setTimes(at("loop"), -1n);
  setTimes(at("a/deep"), 1_111_111_111_111_111_111n);
  setTimes(at("many"), 1_222_222_222_222_222_222n);
  chmodSync(at("locked"), 0o555);
  setTimes(root, 1_333_333_333_333_333_333n);
  return { close: () => new Promise((resolve) => server.close(() => resolve())) };
}

function makeSparse(path: string, size: number, pieces: [number, string][]): void {
  const fd = openSync(path, "w");
  ftruncateSync(fd, size);
  for (const [offset, text] of pieces) writeSync(fd, text, offset);
  closeSync(fd);
}

/** One line for each path with all that can be seen of it. Sockets are left out. */
export function describeWorkspace(root: string): Map<string, string> {
  const lines = new Map<string, string>();
  const inodes = new Map<bigint, string>();
  const bytes = (text: string) => Buffer.from(text, "latin1");
  const visit = (path: string) => {
    const full = bytes(path === "" ? root : `${root}/${path}`);
    const stat = lstatSync(full, { bigint: true });
    if (!stat.isSocket()) {
      const { mode, uid, gid, mtimeNs, size, rdev, ino, nlink, blocks } = stat;
      const words: unknown[] = [mode.toString(8), uid, gid, mtimeNs];
      if (stat.isFile()) {
        words.push(size, createHash("sha256").update(readFileSync(full)).digest("hex"));
        // Far fewer blocks than bytes must stay so.
        if (blocks * 512n < size / 2n) words.push("sparse");
      }
      if (stat.isSymbolicLink()) words.push(readlinkSync(full, { encoding: "hex" as "utf8" }));
      if (stat.isCharacterDevice() || stat.isBlockDevice()) words.push(rdev);
      if (!stat.isDirectory() && nlink > 1n) {
        words.push(`same as ${inodes.get(ino) ?? "itself"}`);
        if (!inodes.has(ino)) inodes.set(ino, path);
      }
      if (native) {
        const name = full.toString("latin1");
        for (const key of native.listXattrs(name).sort())
          words.push(key, Buffer.from(native.getXattr(name, key) ?? []).toString("hex"));
      }
      lines.set(path, words.join(" "));
    }
    if (stat.isDirectory()) {
      for (const name of readdirSync(full, { encoding: "latin1" }).sort())
        visit(path === "" ? name : `${path}/${name}`);
    }
  };
  visit("");
  return lines;
}
