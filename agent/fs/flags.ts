/**
 * Inode flags (`chattr`) that a user sets and sees: synchronous, immutable, append only, no dump, no atime, synchronous
 * folder. Flags that belong to a file system's own storage (extents, compression, copy on write) are not kept.
 */
import { closeSync, constants, openSync } from "node:fs";
import { NativeError, native } from "./native.ts";
import { fsPath } from "./paths.ts";

/** FS_SYNC_FL, FS_IMMUTABLE_FL, FS_APPEND_FL, FS_NODUMP_FL, FS_NOATIME_FL, FS_DIRSYNC_FL of linux/fs.h. */
export const keptFlags = 0x8 | 0x10 | 0x20 | 0x40 | 0x80 | 0x10000;
const immutableOrAppend = 0x30;

/** The kept flags of an open file or folder; 0 where the file system has none, or without FFI. */
export function readFlags(fd: number): number {
  return (native?.getFlags(fd) ?? 0) & keptFlags;
}

/** Sets the kept flags to `wanted` and leaves the others. Errors: throws a system error. */
export function writeFlags(path: string, wanted: number): void {
  if (!native) return;
  const { getFlags, setFlags } = native;
  withOpen(path, (fd) => {
    const now = getFlags(fd);
    if (now === null && wanted !== 0) throw new NativeError("ioctl", 95);
    if (now !== null && (now & keptFlags) !== wanted) setFlags(fd, (now & ~keptFlags) | wanted);
  });
}

/**
 * Takes `immutable` and `append` away from an entry, and with them all kept flags, so that it can be changed. One statx
 * where there are none. Errors: throws a system error; `EPERM` without the right.
 */
export function clearFlags(path: string): void {
  if (native && (native.statAttributes(path) & immutableOrAppend) !== 0) writeFlags(path, 0);
}

/** To look at a file or folder: no symlink is followed, no fifo waited for. `path`: a byte string. Errors: throws a system error. */
export function openToLook(path: string): number {
  return openSync(fsPath(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
}

/** `path`: of a file or folder, a byte string. Errors: throws a system error. */
export function withOpen<T>(path: string, work: (fd: number) => T): T {
  const fd = openToLook(path);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}
