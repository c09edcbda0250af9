/** Workspaces that are hard to keep: everything that a file system can hold, and things large enough to be caught in flight. */
import { spawnSync } from "node:child_process";
import { createCipheriv } from "node:crypto";
import {
  chmodSync,
  chownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

export interface Nasty {
  /** Extended attributes by path, for as far as this host can write them. */
  xattrs: { path: string; name: string; hex: string }[];
}

const isRoot = process.getuid?.() === 0;

/** Fills `root` with what breaks naive backups. */
export function writeNastyWorkspace(root: string): Nasty {
  const at = (path: string) => join(root, path);
  const put = (path: string, content: string | Uint8Array, mode = 0o644) => {
    writeFileSync(at(path), content);
    chmodSync(at(path), mode);
  };
  mkdirSync(at("modes"));
  put("modes/setuid", "#!/bin/sh\n", 0o4755);
  put("modes/setgid", "#!/bin/sh\n", 0o2755);
  put("modes/none", "nobody may read this\n", 0o000);
  put("modes/secret", "key\n", 0o600);
  mkdirSync(at("modes/sticky"));
  chmodSync(at("modes/sticky"), 0o1777);

  put("empty", "");
  mkdirSync(at("folders/empty/deep/in/it"), { recursive: true });

  mkdirSync(at("links"));
  put("links/one", "three names, one file\n");
  linkSync(at("links/one"), at("links/two"));
  linkSync(at("links/one"), at("folders/three"));
  symlinkSync("one", at("links/relative"));
  symlinkSync("/no/such/place", at("links/dangling"));
  symlinkSync("x".repeat(300), at("links/long"));
  symlinkSync("../links", at("links/to-a-folder"));
  linkSync(at("links/dangling"), at("links/dangling-again"));

  mkdirSync(at("names"));
  put("names/with\nnewline", "1\n");
  put("names/ blanks at both ends ", "2\n");
  put("names/-rf", "3\n");
  put("names/'quote\" and $HOME and `x`", "4\n");
  put(`names/${"ä".repeat(127)}`, "5\n");
  put("names/é-composed", "6\n");
  put("names/é-decomposed", "7\n");
  put("names/..not-up", "8\n");
  const bytes = Buffer.concat([Buffer.from(at("names/")), Buffer.from([0xff, 0xfe, 0x80, 0x41])]);
  writeFileSync(bytes, "a name that is not UTF-8\n");
  symlinkSync(Buffer.from([0xc3, 0x28, 0xff]), Buffer.concat([bytes, Buffer.from("-link")]));

  const deep = Array.from({ length: 90 }, (_, i) => `level-${String(i).padStart(3, "0")}-of-many`).join("/");
  mkdirSync(at(deep), { recursive: true });
  put(`${deep}/bottom`, "found\n");

  // Sparse: 64 MB with a few bytes in the middle and a hole at the end.
  put("sparse", "");
  truncateSync(at("sparse"), 64 * 1024 * 1024);
  spawnSync("dd", ["of=sparse", "bs=1", "seek=33554432", "conv=notrunc"], { cwd: root, input: "in the middle" });

  if (spawnSync("mkfifo", ["-m", "640", at("fifo")]).status !== 0) throw new Error("mkfifo failed");
  if (isRoot) {
    put("owned", "by somebody else\n");
    chownSync(at("owned"), 12_345, 54_321);
  }

  const xattrs = writeXattrs(root);

  // Times to the nanosecond, last: whatever is written later would move them.
  for (const [path, time] of [
    ["links/one", "2001-02-03 04:05:06.123456789"],
    ["empty", "1969-12-31 23:59:58.000000001 UTC"],
    ["folders/empty", "2038-01-19 03:14:08.999999999 UTC"],
    ["sparse", "2026-11-24 00:00:00.000000007"],
  ] as const)
    if (spawnSync("touch", ["-d", time, at(path)]).status !== 0) throw new Error(`touch -d ${time}`);
  lutimesSync(at("links/dangling"), 1_000_000_000, 1_000_000_000.5);

  mkdirSync(at("read-only"));
  put("read-only/file", "in a folder that may not be written\n", 0o444);
  chmodSync(at("read-only"), 0o555);
  return { xattrs };
}

/** Extended attributes are written and read by python, which shares nothing with the agent; none where it is missing. */
function writeXattrs(root: string): Nasty["xattrs"] {
  const wanted = [
    { path: "links/one", name: "user.note", hex: Buffer.from("kept").toString("hex") },
    { path: "modes/sticky", name: "user.on-a-folder", hex: "00ff0a22" },
    { path: "empty", name: "user.empty", hex: "" },
    ...(isRoot ? [{ path: "modes/secret", name: "trusted.mark", hex: "01" }] : []),
  ];
  const script = "import os,sys\nos.setxattr(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]))";
  return wanted.filter(
    ({ path, name, hex }) => spawnSync("python3", ["-c", script, join(root, path), name, hex]).status === 0,
  );
}

/** null when the attribute is not there. */
export function readXattr(file: string, name: string): string | null {
  const script = "import os,sys\nprint(os.getxattr(sys.argv[1], sys.argv[2]).hex())";
  const run = spawnSync("python3", ["-c", script, file, name], { encoding: "utf8" });
  return run.status === 0 ? run.stdout.trim() : null;
}

/** Bytes on the disk, holes left out. */
export function usedBytes(file: string): number {
  return statSync(file).blocks * 512;
}

/** Incompressible bytes from a seed, `files` of them of `fileBytes` each, in folders of fifty. */
export function writeLargeWorkspace(
  root: string,
  { files, fileBytes, seed }: Record<"files" | "fileBytes" | "seed", number>,
) {
  const key = Buffer.alloc(16, seed);
  for (let i = 0; i < files; i++) {
    const iv = Buffer.alloc(16);
    iv.writeUInt32BE(i + 1);
    const folder = join(root, `shard-${Math.floor(i / 50)}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${i}.bin`), createCipheriv("aes-128-ctr", key, iv).update(Buffer.alloc(fileBytes)));
  }
  linkSync(join(root, "shard-0/0.bin"), join(root, "again.bin"));
  symlinkSync("shard-0/1.bin", join(root, "latest"));
  mkdirSync(join(root, "empty"));
  chmodSync(join(root, "shard-0/2.bin"), 0o640);
}
