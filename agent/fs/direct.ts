/**
 * Files written past the page cache (O_DIRECT): a part is written once and not read again here, so copying it into the cache
 * costs a tenth of a snapshot's processor time and drives out what the workspace's programs read. Where a file system, or
 * the place of the bytes in memory, does not allow it, the caller writes as usual.
 */
import { constants } from "node:fs";
import { type FileHandle, open, rm, statfs } from "node:fs/promises";

/** Memory, length and place in the file: enough for every disk. */
const pageBytes = 4096;
/** glibc puts this before the bytes of a large buffer, which otherwise begin with a page. */
const mallocHeadBytes = 16;
/** Below this it gains nothing. */
const leastBytes = 1 << 20;
/** Local ones that are known to do it well: ext4 and xfs. */
const fileSystems = new Set([0xef53, 0x58465342]);

/** Shared memory that can be written from past the cache where glibc lays it out as it does; any other is only slower. */
export function newDirectRoom(length: number): Uint8Array<SharedArrayBuffer> {
  return new Uint8Array(new SharedArrayBuffer(length + 2 * pageBytes), pageBytes - mallocHeadBytes, length);
}

/** Whether it is worth a try below this folder. */
export async function canWriteDirect(folder: string): Promise<boolean> {
  try {
    return process.platform === "linux" && fileSystems.has((await statfs(folder)).type);
  } catch {
    return false;
  }
}

/**
 * Makes the file and writes `bytes`, synced. What lies behind them in their buffer goes to the disk for a moment, up to a page.
 * False, and no file, where it cannot be done this way. Errors: throws a system error for all other reasons.
 */
export async function writeDirect(file: string, bytes: Uint8Array, mode: number): Promise<boolean> {
  const padded = Math.ceil(bytes.length / pageBytes) * pageBytes;
  if (bytes.length < leastBytes || bytes.byteOffset + padded > bytes.buffer.byteLength) return false;
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_DIRECT;
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, flags, mode);
    await writeAll(handle, new Uint8Array(bytes.buffer, bytes.byteOffset, padded));
    await handle.truncate(bytes.length);
    await handle.sync();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error;
    // Some file systems make the file before they refuse.
    await rm(file, { force: true });
    return false;
  } finally {
    await handle?.close();
  }
}

/** A short write that ends inside a page is followed by one that the system refuses. */
async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at, bytes.length - at, at)).bytesWritten;
}
