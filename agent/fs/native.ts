/**
 * The Linux calls that Node 22 lacks, by FFI into libc: times to the nanosecond, xattrs, holes, fifos and devices,
 * syncfs. koffi comes from node_modules, or from inside the bundle (written to a file for a moment, loaded, removed).
 * Where it does not load, `native` is null and `degraded` says in words what is not kept.
 */
import { execFile, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, lstatSync, lutimesSync, openSync, unlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { getSystemErrorName, promisify } from "node:util";
import type { Hole } from "../../core/snapshot/tree.ts";
import { fsPath } from "./paths.ts";

interface CFunction {
  (...args: unknown[]): number | bigint;
  async(fd: number, done: (error: Error | null, result: number) => void): void;
}
interface Koffi {
  load(path: string): { func(signature: string): CFunction };
  errno(): number;
}

const execFileAsync = promisify(execFile);

const atFdCwd = -100;
const atSymlinkNoFollow = 0x100;
/** The same number on every machine. */
const fchmodat2 = 452;
const seekData = 3;
const seekHole = 4;
const enxio = 6;
const enodata = 61;
const erange = 34;
const enotsup = 95;
const enotty = 25;
const enosys = 38;
const einval = 22;
const eperm = 1;
const trimThreshold = -1;
const mmapThreshold = -3;
const arenaMax = -8;
const getFlagsRequest = 0x80086601;
const setFlagsRequest = 0x40086602;

export class NativeError extends Error {
  override name = "NativeError";
  /** As in Node's own system errors: `ENOENT` and the call's name. */
  readonly code: string;
  readonly syscall: string;

  constructor(call: string, errno: number) {
    const code = errno > 0 ? getSystemErrorName(-errno) : "EUNKNOWN";
    super(`${code}: ${call} failed`);
    this.code = code;
    this.syscall = call;
  }
}

async function loadKoffi(): Promise<Koffi | null> {
  if (process.env.SONECA_NO_FFI === "1") return null;
  try {
    const { default: bytes } = await import("soneca:koffi-linux-x64");
    return process.platform === "linux" && process.arch === "x64" ? loadAddon(bytes) : null;
  } catch {
    // Not bundled, or the bundle has no addon: node_modules is next.
  }
  try {
    return createRequire(import.meta.url)("koffi") as Koffi;
  } catch {
    return null;
  }
}

/** A folder may forbid execution (noexec), so more than one is tried. */
function loadAddon(bytes: Uint8Array): Koffi | null {
  for (const folder of [tmpdir(), "/dev/shm", process.env.SONECA_HOME, "/var/tmp", process.cwd()]) {
    if (!folder) continue;
    const file = join(folder, `.soneca-ffi-${randomBytes(8).toString("hex")}.node`);
    try {
      writeFileSync(file, bytes, { mode: 0o700, flag: "wx" });
      const module = { exports: {} };
      process.dlopen(module, file);
      return module.exports as Koffi;
    } catch {
    } finally {
      try {
        unlinkSync(file);
      } catch {}
    }
  }
  return null;
}

const cString = (text: string) => Buffer.from(`${text}\0`, "latin1");

/**
 * glibc moves this bound up to 32 MB by itself, as buffers of that size are freed. From then on they lie in its heaps, which
 * give nothing back but their end: a hundred MB and more that nobody uses. Fixed, the buffer of a part is a mapping of
 * its own and goes when it is freed; those of frames, of which there are many more, are quicker to have from a heap.
 */
const ownMappingBytes = 10 * 1024 * 1024;
/**
 * Once the bound above is fixed glibc gives back every free end of a heap over 128 KB, and the next frame pays for the same pages anew:
 * an eighth of a snapshot's processor time, a third of a deep verify's.
 */
const keptHeapBytes = 32 * 1024 * 1024;
/** Each heap keeps as much, so there are few: the threads ask for little memory, in large pieces. */
const coresPerHeap = 8;

function bindNative(koffi: Koffi) {
  const libc = koffi.load("libc.so.6");
  const mallopt = libc.func("int mallopt(int parameter, int value)");
  mallopt(mmapThreshold, ownMappingBytes);
  mallopt(trimThreshold, keptHeapBytes);
  mallopt(arenaMax, Math.ceil(availableParallelism() / coresPerHeap));
  const utimensat = libc.func("int utimensat(int fd, const uint8_t *path, const uint8_t *times, int flags)");
  const llistxattr = libc.func("int64_t llistxattr(const uint8_t *path, _Out_ uint8_t *list, size_t size)");
  const flistxattr = libc.func("int64_t flistxattr(int fd, _Out_ uint8_t *list, size_t size)");
  const lgetxattr = libc.func(
    "int64_t lgetxattr(const uint8_t *path, const uint8_t *name, _Out_ uint8_t *value, size_t size)",
  );
  const lsetxattr = libc.func(
    "int lsetxattr(const uint8_t *path, const uint8_t *name, const uint8_t *value, size_t size, int flags)",
  );
  const lremovexattr = libc.func("int lremovexattr(const uint8_t *path, const uint8_t *name)");
  const lseek = libc.func("int64_t lseek(int fd, int64_t offset, int whence)");
  const mknod = libc.func("int mknod(const uint8_t *path, uint32_t mode, uint64_t dev)");
  const syncfs = libc.func("int syncfs(int fd)");
  const ioctl = libc.func("int ioctl(int fd, uint64_t request, _Inout_ uint8_t *value)");
  const statx = libc.func("int statx(int fd, const uint8_t *path, int flags, uint32_t mask, _Out_ uint8_t *result)");
  const syscall = libc.func(
    "int64_t syscall(int64_t number, int64_t fd, const uint8_t *path, uint64_t mode, int64_t flags)",
  );
  const flags = Buffer.alloc(8);
  const statxResult = Buffer.alloc(256);
  const times = Buffer.alloc(32);
  const list = Buffer.alloc(65_536);
  const value = Buffer.alloc(65_536);

  const check = (call: string, result: number | bigint) => {
    if (result < 0) throw new NativeError(call, koffi.errno());
    return Number(result);
  };

  return {
    setTimes(path: string, mtimeNs: bigint): void {
      const billion = 1_000_000_000n;
      const nanoseconds = ((mtimeNs % billion) + billion) % billion;
      const seconds = (mtimeNs - nanoseconds) / billion;
      for (const at of [0, 16]) {
        times.writeBigInt64LE(seconds, at);
        times.writeBigInt64LE(nanoseconds, at + 8);
      }
      check("utimensat", utimensat(atFdCwd, cString(path), times, atSymlinkNoFollow));
    },
    /** Names, unsorted. Empty where the file system has none. `fd`: the entry, where it is open already. */
    listXattrs(path: string, fd?: number): string[] {
      const length =
        fd === undefined ? llistxattr(cString(path), list, list.length) : flistxattr(fd, list, list.length);
      const bytes = Number(length);
      if (bytes < 0) {
        if (koffi.errno() === enotsup) return [];
        throw new NativeError(fd === undefined ? "llistxattr" : "flistxattr", koffi.errno());
      }
      if (bytes === 0) return [];
      return list.toString("latin1", 0, bytes - 1).split("\0");
    },
    /** Null when it went away. */
    getXattr(path: string, name: string): Uint8Array | null {
      const bytes = Number(lgetxattr(cString(path), cString(name), value, value.length));
      if (bytes >= 0) return Uint8Array.prototype.slice.call(value, 0, bytes);
      if (koffi.errno() === enodata) return null;
      throw new NativeError("lgetxattr", koffi.errno() || erange);
    },
    setXattr(path: string, name: string, bytes: Uint8Array): void {
      // A pointer is wanted even for zero bytes.
      const buffer = bytes.length > 0 ? bytes : new Uint8Array(1);
      check("lsetxattr", lsetxattr(cString(path), cString(name), buffer, bytes.length, 0));
    },
    removeXattr(path: string, name: string): void {
      check("lremovexattr", lremovexattr(cString(path), cString(name)));
    },
    /** The holes of an open file, cut at `size`, at most `max` of them. Leaves the file's position anywhere. */
    findHoles(fd: number, size: number, max: number): Hole[] {
      const holes: Hole[] = [];
      for (let at = 0; at < size && holes.length < max; ) {
        const hole = Number(lseek(fd, at, seekHole));
        if (hole < 0 || hole >= size) break;
        let data = Number(lseek(fd, hole, seekData));
        if (data < 0) {
          if (koffi.errno() !== enxio) break;
          data = size;
        }
        holes.push({ offset: hole, length: Math.min(data, size) - hole });
        at = data;
      }
      return holes.filter((hole) => hole.length > 0);
    },
    /** Whether `length` bytes from `offset` of an open file hold no data at all; the file is at least that long. */
    isHole(fd: number, offset: number, length: number): boolean {
      const data = Number(lseek(fd, offset, seekData));
      return data < 0 ? koffi.errno() === enxio : data >= offset + length;
    },
    /** `mode` with its type bits. */
    makeNode(path: string, mode: number, rdev: number): void {
      check("mknod", mknod(cString(path), mode, rdev));
    },
    /** By fchmodat2 of Linux 6.6. False where the kernel or a container's filter does not have it, or it is refused. */
    chmodNoFollow(path: string, mode: number): boolean {
      return Number(syscall(fchmodat2, atFdCwd, cString(path), mode, atSymlinkNoFollow)) === 0;
    },
    /** FS_IOC_GETFLAGS: null where the file system has no such flags. */
    getFlags(fd: number): number | null {
      flags.fill(0);
      if (Number(ioctl(fd, getFlagsRequest, flags)) === 0) return flags.readUInt32LE(0);
      const errno = koffi.errno();
      if (errno === enotty || errno === enotsup || errno === enosys || errno === einval) return null;
      throw new NativeError("ioctl", errno);
    },
    setFlags(fd: number, value: number): void {
      flags.fill(0);
      flags.writeUInt32LE(value, 0);
      check("ioctl", ioctl(fd, setFlagsRequest, flags));
    },
    /** stx_attributes of the entry itself: immutable, append and no dump have the values of the flags. 0 where unknown. */
    statAttributes(path: string): number {
      if (Number(statx(atFdCwd, cString(path), atSymlinkNoFollow, 0, statxResult)) !== 0) return 0;
      return statxResult.readUInt32LE(8);
    },
    /** On another thread: it can take minutes. */
    syncFileSystem(fd: number): Promise<void> {
      return new Promise((resolve, reject) => {
        syncfs.async(fd, (error, result) => (error || result < 0 ? reject(new NativeError("syncfs", 5)) : resolve()));
      });
    },
  };
}

export type Native = ReturnType<typeof bindNative>;

function tryBind(koffi: Koffi | null): Native | null {
  if (!koffi || process.platform !== "linux") return null;
  try {
    return bindNative(koffi);
  } catch {
    return null;
  }
}

export const native: Native | null = tryBind(await loadKoffi());

/** What this process cannot record or restore exactly. */
export const degraded: string[] = native
  ? []
  : [
      "without the FFI addon extended attributes, ACLs, file capabilities and inode flags are not kept",
      "without the FFI addon holes in files are not found; they are kept as zeros",
    ];

/** Sets mtime to the nanosecond, on a symlink itself. atime becomes the same. Errors: throws a system error. */
export function setTimes(path: string, mtimeNs: bigint): void {
  if (native) {
    native.setTimes(path, mtimeNs);
    return;
  }
  const nanoseconds = ((mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = (mtimeNs - nanoseconds) / 1_000_000_000n;
  lutimesSync(fsPath(path), Number(mtimeNs) / 1e9, Number(mtimeNs) / 1e9);
  if (lstatSync(fsPath(path), { bigint: true }).mtimeNs === mtimeNs) return;
  // Node's calls have microseconds. In words, as touch reads a negative "@-5.5" wrongly.
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) throw new NativeError("utimensat", einval);
  const words = `${date.toISOString().slice(0, 19).replace("T", " ")}.${String(nanoseconds).padStart(9, "0")} UTC`;
  runOn(path, "touch", ["-h", "-c", "-d", words, "--"]);
}

/** `mode` with its type bits. Errors: throws a system error. */
export function makeNode(path: string, mode: number, rdev: number): void {
  if (native) {
    native.makeNode(path, mode, rdev);
    return;
  }
  const type = mode & 0o170000;
  const kind = type === 0o020000 ? "c" : type === 0o060000 ? "b" : "p";
  const numbers = kind === "p" ? [] : [String(majorOf(rdev)), String(minorOf(rdev))];
  runOn(path, "sh", ["-c", 'path=$1; shift; exec mknod -m 600 -- "$path" "$@"', "sh"], [kind, ...numbers]);
}

/** The path goes in by standard input: an argument of Node's is UTF-8. The other process has descriptors of its own. */
function runOn(path: string, program: string, before: string[], after: string[] = []): void {
  const way = path.replace(/^\/proc\/self\//, `/proc/${process.pid}/`);
  const input = Buffer.from([way, ...after].map((text) => `${text}\0`).join(""), "latin1");
  const { status } = spawnSync("xargs", ["-0", program, ...before], { input, stdio: ["pipe", "ignore", "ignore"] });
  if (status !== 0) throw new NativeError(program, eperm);
}

/** The file system that holds a path. The kernel tells an open file of what could not be written back since it was opened. */
export class OpenFileSystem {
  readonly #path: string;
  readonly #fd: number;

  /** Errors: throws a system error. */
  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(fsPath(path), "r");
  }

  /** Writes everything of it to its disk. False when that failed, now or since this was opened, or could not be tried. */
  async sync(): Promise<boolean> {
    try {
      if (native) await native.syncFileSystem(this.#fd);
      else await execFileAsync("sync", ["-f", "--", fsPath(this.#path) as string]);
      return true;
    } catch {
      return false;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** False when that could not be done. */
export async function syncFileSystem(path: string): Promise<boolean> {
  let opened: OpenFileSystem;
  try {
    opened = new OpenFileSystem(path);
  } catch {
    return false;
  }
  try {
    return await opened.sync();
  } finally {
    opened.close();
  }
}

function majorOf(rdev: number): number {
  const dev = BigInt(rdev);
  return Number(((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn));
}

function minorOf(rdev: number): number {
  const dev = BigInt(rdev);
  return Number((dev & 0xffn) | ((dev >> 12n) & ~0xffn));
}
