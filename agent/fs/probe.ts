/** Tries everything that a workspace can hold, in a folder of its own, to say before any snapshot what would be lost. */
import {
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { chmodNoFollow } from "./chmod.ts";
import { writeFlags } from "./flags.ts";
import { makeNode, native, setTimes } from "./native.ts";

export interface Unkept {
  what: string;
  /** The system's code or words. */
  reason: string;
}

const timeNs = 8_765_432_109_123_456_789n;
/** Version 2 list: owner, user 1, group, mask, others. */
const accessList = Buffer.from(
  "0200000001000600ffffffff020004000100000004000400ffffffff10000600ffffffff20000400ffffffff",
  "hex",
);
const capability = Buffer.from("0100000200040000000000000000000000000000", "hex");

/** `folder` is left as it was, its times too. Errors: throws a system error when nothing can be made in it. */
export function probeKeeping(folder: string): Unkept[] {
  const before = lstatSync(folder, { bigint: true }).mtimeNs;
  const dir = mkdtempSync(`${folder}/.soneca-doctor-`);
  const unkept: Unkept[] = [];
  const attempt = (what: string, work: () => boolean | undefined) => {
    try {
      if (work() === false) unkept.push({ what, reason: "the file system changes it" });
    } catch (error) {
      unkept.push({ what, reason: (error as NodeJS.ErrnoException).code ?? String(error) });
    }
  };
  try {
    probeNames(dir, attempt);
    probeAttributes(dir, attempt);
  } finally {
    rmSync(dir, { recursive: true, force: true });
    try {
      setTimes(folder, before);
    } catch {
      // Of somebody else: the folder is newer then.
    }
  }
  return unkept;
}

type Attempt = (what: string, work: () => boolean | undefined) => void;

function probeNames(dir: string, attempt: Attempt): void {
  const file = `${dir}/file`;
  writeFileSync(file, "text");
  attempt("names that are not UTF-8", () => writeFileSync(Buffer.from(`${dir}/\xff\xfe`, "latin1"), "") as undefined);
  attempt("names of 255 bytes", () => writeFileSync(`${dir}/${"n".repeat(255)}`, "") as undefined);
  attempt("names that differ in case alone", () => {
    writeFileSync(`${dir}/FILE`, "");
    return lstatSync(file).size === 4;
  });
  attempt("symbolic links", () => symlinkSync("t".repeat(4095), `${dir}/link`) as undefined);
  attempt("hard links", () => linkSync(file, `${dir}/name`) as undefined);
  attempt("fifos", () => makeNode(`${dir}/fifo`, 0o010600, 0) as undefined);
  attempt("devices", () => makeNode(`${dir}/device`, 0o020600, 0x103) as undefined);
  attempt("holes in files", () => {
    const fd = openSync(`${dir}/sparse`, "w");
    ftruncateSync(fd, 1 << 20);
    closeSync(fd);
    return native !== null && lstatSync(`${dir}/sparse`).blocks === 0;
  });
}

function probeAttributes(dir: string, attempt: Attempt): void {
  const file = `${dir}/attributes`;
  const folder = `${dir}/folder`;
  writeFileSync(file, "text");
  mkdirSync(folder);
  attempt("times to the nanosecond", () => {
    setTimes(file, timeNs);
    return lstatSync(file, { bigint: true }).mtimeNs === timeNs;
  });
  const setXattr = (path: string, name: string, value: Uint8Array) => {
    if (!native) throw Object.assign(new Error("no FFI"), { code: "no FFI addon" });
    native.setXattr(path, name, value);
  };
  attempt("user.* attributes", () => setXattr(file, "user.soneca", Buffer.from("x")) as undefined);
  attempt("trusted.* attributes", () => setXattr(file, "trusted.soneca", Buffer.from("x")) as undefined);
  attempt("ACLs", () => setXattr(file, "system.posix_acl_access", accessList) as undefined);
  attempt("default ACLs", () => setXattr(folder, "system.posix_acl_default", accessList) as undefined);
  attempt("file capabilities", () => setXattr(file, "security.capability", capability) as undefined);
  attempt("the no-dump flag", () => withFlags(file, 0x40));
  attempt("the immutable flag", () => withFlags(file, 0x10));
  attempt("owners", () => lchownSync(file, 12_345, 54_321) as undefined);
  attempt("setuid and sticky", () => {
    chmodNoFollow(folder, 0o7755);
    return (lstatSync(folder).mode & 0o7777) === 0o7755;
  });
}

function withFlags(file: string, flags: number): undefined {
  if (!native) throw Object.assign(new Error("no FFI"), { code: "no FFI addon" });
  writeFlags(file, flags);
  writeFlags(file, 0);
}
