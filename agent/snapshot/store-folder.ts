/** A store in a folder: the keys are its paths. An object is written aside, synced, linked into place, and never changed; a damaged part is replaced. */

import { randomBytes } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  type ByteRange,
  type CallOptions,
  instancePrefix,
  isPartOf,
  parseObjectKey,
  type SnapshotStore,
  StoreError,
  type StoreObject,
} from "../../core/snapshot/store.ts";
import { canWriteDirect, writeDirect } from "../fs/direct.ts";
import { maxObjectBytes } from "./http.ts";
import { sha256Hex } from "./primitives.ts";

const tempPrefix = ".tmp-";

export function openFolderStore(folder: string): SnapshotStore {
  const fileOf = (key: string) => {
    if (!parseObjectKey(key)) throw new StoreError("key_invalid", { key });
    return join(folder, key);
  };
  /** Folders that are there, and whether their files are written past the page cache. */
  const made = new Map<string, boolean>();

  const store: SnapshotStore = {
    // A disk is busy with a few; each costs the memory of a part.
    mostInFlight: 2,

    async put(key, bytes, sha256, options) {
      const file = fileOf(key);
      throwIfCancelled(options);
      const there = await sameOrOther(file, bytes, sha256);
      if (there === "same") return "exists";
      if (there === "other" && !isPartOf(key, sha256)) throw new StoreError("manifest_exists", { key });
      return asStoreError(key, async () => {
        const parent = dirname(file);
        if (!made.has(parent)) {
          await mkdir(parent, { recursive: true, mode: 0o700 });
          made.set(parent, await canWriteDirect(parent));
        }
        return writeNew({ file, bytes, sha256, key }, made.get(parent) === true);
      });
    },

    async get(key, range, options) {
      const file = fileOf(key);
      throwIfCancelled(options);
      return asStoreError(key, () => readObject(file, key, range, options?.room));
    },

    async head(key, options) {
      const file = fileOf(key);
      throwIfCancelled(options);
      const name = parseObjectKey(key);
      try {
        const { size, mtimeMs } = await stat(file);
        const sha256 = name?.kind === "part" ? name.sha256 : null;
        return { key, bytes: size, sha256, modifiedMs: Math.floor(mtimeMs) };
      } catch (error) {
        if (isNotThere(error)) return null;
        throw toStoreError(key, error);
      }
    },

    async *list(prefix, options) {
      for await (const key of walkKeys(folder, prefix)) {
        throwIfCancelled(options);
        const object = await store.head(key, options);
        if (object) yield object satisfies StoreObject;
      }
    },

    async delete(key, options) {
      const file = fileOf(key);
      throwIfCancelled(options);
      try {
        await unlink(file);
        // A manifest is gone for good before a part of it may go.
        if (parseObjectKey(key)?.kind === "manifest") await syncFolder(dirname(file));
        return true;
      } catch (error) {
        if (isNotThere(error)) return false;
        throw toStoreError(key, error);
      }
    },
  };
  return store;
}

/** Names of instances that have something in the folder. */
export async function listInstances(folder: string): Promise<string[]> {
  const names = await readdir(join(folder, "i")).catch(() => [] as string[]);
  return names.sort();
}

/**
 * What killed puts left behind. Returns how much; deletes it unless `isDryRun`. `before`: epoch milliseconds; a younger one may
 * be a put at work.
 */
export async function sweepLeftovers(
  folder: string,
  instance: string,
  before: number,
  isDryRun: boolean,
): Promise<{ files: number; bytes: number }> {
  const swept = { files: 0, bytes: 0 };
  for (const kind of ["parts", "manifests"]) {
    const parent = join(folder, instancePrefix(instance), kind);
    const names = await readdir(parent).catch((error) => {
      if (isNotThere(error)) return [];
      throw toStoreError(parent, error);
    });
    for (const name of names) {
      if (!name.startsWith(tempPrefix)) continue;
      const { size, mtimeMs } = await stat(join(parent, name)).catch(() => ({ size: 0, mtimeMs: Infinity }));
      if (mtimeMs >= before) continue;
      if (!isDryRun) await rm(join(parent, name), { force: true });
      swept.files++;
      swept.bytes += size;
    }
  }
  return swept;
}

interface NewObject {
  file: string;
  bytes: Uint8Array;
  sha256: string;
  key: string;
}

async function writeNew({ file, bytes, sha256, key }: NewObject, isDirect: boolean): Promise<"created" | "exists"> {
  const parent = dirname(file);
  const temp = join(parent, `${tempPrefix}${randomBytes(8).toString("hex")}`);
  try {
    if (!isDirect || !(await writeDirect(temp, bytes, 0o600))) await writeSynced(temp, bytes);
    try {
      // link, not rename: it never replaces what another writer put there meanwhile.
      await link(temp, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      if ((await sameOrOther(file, bytes, sha256)) === "same") return "exists";
      if (!isPartOf(key, sha256)) throw new StoreError("manifest_exists", { key });
      await rename(temp, file);
    }
  } finally {
    await rm(temp, { force: true });
  }
  await syncFolder(parent);
  return "created";
}

async function writeSynced(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function sameOrOther(file: string, bytes: Uint8Array, sha256: string): Promise<"absent" | "same" | "other"> {
  try {
    const { size } = await stat(file);
    return size === bytes.length && sha256Hex(await readFile(file)) === sha256 ? "same" : "other";
  } catch (error) {
    if (isNotThere(error)) return "absent";
    throw toStoreError(file, error);
  }
}

/** In one read where the system does that: `readFile` takes five times as long for a part, in pieces of half a MiB. */
async function readObject(
  file: string,
  key: string,
  range: ByteRange = { offset: 0 },
  room?: CallOptions["room"],
): Promise<Uint8Array> {
  const handle = await open(file, "r");
  try {
    const { size } = await handle.stat();
    if (size > maxObjectBytes) throw new StoreError("store_failed", { key, detail: "longer than anything stored" });
    if (size === 0 && range.offset === 0 && range.length === undefined) return new Uint8Array(0);
    const from = range.offset < 0 ? Math.max(0, size + range.offset) : range.offset;
    if (from >= size) throw new StoreError("range_invalid", { key });
    const to = Math.min(size, from + (range.offset < 0 ? size : (range.length ?? size)));
    const bytes = room?.(to - from) ?? Buffer.allocUnsafeSlow(to - from);
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead } = await handle.read(bytes, at, bytes.length - at, from + at);
      if (bytesRead === 0) throw new StoreError("store_failed", { key, detail: "the object is shorter than its size" });
      at += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

/** Keys below a prefix that ends with "/", such as "i/x/parts/", "i/x/" or "i/". */
async function* walkKeys(folder: string, prefix: string): AsyncIterable<string> {
  const entries = await readdir(join(folder, prefix), { withFileTypes: true }).catch((error) => {
    if (isNotThere(error)) return [];
    throw toStoreError(prefix, error);
  });
  for (const entry of entries) {
    const key = `${prefix}${entry.name}`;
    if (entry.isDirectory()) yield* walkKeys(folder, `${key}/`);
    else if (parseObjectKey(key)) yield key;
  }
}

async function asStoreError<T>(key: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toStoreError(key, error);
  }
}

function toStoreError(key: string, error: unknown): unknown {
  if (error instanceof StoreError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (isNotThere(error)) return new StoreError("object_not_found", { key }, { cause: error });
  if (code === "ENOSPC" || code === "EDQUOT") return new StoreError("store_full", { key }, { cause: error });
  if (code === "EACCES" || code === "EPERM" || code === "EROFS")
    return new StoreError("store_refused", { key, detail: code }, { cause: error });
  if (typeof code === "string" && code.startsWith("E"))
    return new StoreError("store_failed", { key, detail: code }, { cause: error });
  return error;
}

function isNotThere(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ENOENT" || code === "ENOTDIR";
}

function throwIfCancelled(options: CallOptions | undefined): void {
  if (options?.signal?.aborted) throw new StoreError("aborted");
}
