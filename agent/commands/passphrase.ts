/** The passphrase of an encrypted instance, and what the commands make of it. It is never an argument: others see those. */
import { closeSync, openSync, readSync } from "node:fs";
import { type SnapshotStore, StoreError } from "../../core/snapshot/store.ts";
import type { Unlock } from "../snapshot/keyring.ts";
import { type Encryption, newDataKey, unwrapDataKey, wrapDataKey } from "../snapshot/keys.ts";
import { readManifest } from "../snapshot/meta.ts";
import { Stop } from "../snapshot/stop.ts";
import type { TakeOptions } from "../snapshot/types.ts";
import { readWrapping } from "../snapshot/wrapping.ts";
import type { Options } from "./options.ts";
import type { SnapshotName } from "./places.ts";

const variable = "SONECA_PASSPHRASE";
const maxBytes = 4096;

/** Null when none is given. Errors: Stop `usage`. */
function readPassphrase(options: Options): string | null {
  const file = options["passphrase-file"];
  if (file !== undefined) {
    const passphrase = firstLine(file);
    if (passphrase === "")
      throw new Stop("usage", `The first line of ${file} is empty: a passphrase is wanted.`, false);
    return passphrase;
  }
  const passphrase = process.env[variable];
  if (passphrase === "") throw new Stop("usage", `${variable} is empty: a passphrase is wanted.`, false);
  return passphrase ?? null;
}

/** Reads no further than the first line, so a pipe that stays open is no trouble. */
function firstLine(file: string): string {
  const buffer = Buffer.alloc(maxBytes + 2);
  let filled = 0;
  try {
    const fd = openSync(file, "r");
    try {
      while (filled < buffer.length && !buffer.subarray(0, filled).includes(0x0a)) {
        const got = readSync(fd, buffer, filled, buffer.length - filled, null);
        if (got === 0) break;
        filled += got;
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new Stop("usage", `The passphrase file cannot be read: ${(error as Error).message}.`, false);
  }
  const end = buffer.subarray(0, filled).indexOf(0x0a);
  const line = buffer.subarray(0, end < 0 ? filled : end);
  if (line.length > maxBytes)
    throw new Stop("usage", `The first line of ${file} is longer than ${maxBytes} bytes.`, false);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(line).replace(/\r$/, "");
  } catch {
    throw new Stop("usage", `The first line of ${file} is not UTF-8.`, false);
  }
}

/** Asks for the passphrase when a manifest turns out to be encrypted, and unwraps each key once. */
export function unlockWith(options: Options): Unlock {
  const known = new Map<string, Promise<Uint8Array>>();
  return (encryption) => {
    const name = JSON.stringify(encryption);
    const key = known.get(name) ?? unwrap(options, encryption);
    known.set(name, key);
    return key;
  };
}

async function unwrap(options: Options, encryption: Encryption): Promise<Uint8Array> {
  return unwrapDataKey(encryption, demandPassphrase(options, "This snapshot is encrypted"));
}

function demandPassphrase(options: Options, why: string): string {
  const passphrase = readPassphrase(options);
  if (passphrase !== null) return passphrase;
  throw new Stop("key_missing", `${why}: set ${variable}, or give --passphrase-file FILE.`, false);
}

export interface NextSnapshot {
  store: SnapshotStore;
  id: string;
  /** Sorted. */
  snapshots: SnapshotName[];
  stateDir: string;
  signal: AbortSignal;
}

/**
 * How the next snapshot is encrypted: not at all where `undefined`. All snapshots of an instance have one data key, so the
 * wrapping comes from its newest encrypted manifest. Errors: Stop, StoreError.
 */
export async function encryptionOfNext(
  options: Options,
  { store, id, snapshots, stateDir, signal }: NextSnapshot,
): Promise<TakeOptions["encryption"]> {
  const { encrypt = false, "no-encrypt": isRefused = false } = options;
  if (encrypt && isRefused) throw new Stop("usage", "--encrypt and --no-encrypt contradict each other.", false);
  if (isRefused) return undefined;
  // Before anything is read: a run that lacks it would fail late.
  if (encrypt) demandPassphrase(options, "--encrypt wants a passphrase");
  const wrapped = await findWrapping(encrypt, store, id, snapshots, signal);
  if (wrapped) {
    const passphrase = demandPassphrase(options, `The snapshots of ${id} are encrypted (--no-encrypt ends that)`);
    return { dataKey: await unwrapDataKey(wrapped, passphrase), wrapped };
  }
  if (!encrypt) return undefined;
  const passphrase = demandPassphrase(options, "--encrypt wants a passphrase");
  const begun = readWrapping(stateDir, id);
  if (begun) {
    try {
      return { dataKey: await unwrapDataKey(begun, passphrase), wrapped: begun };
    } catch (error) {
      // Of a first run that was given up, with another passphrase: no snapshot needs it.
      if (!(error instanceof Stop)) throw error;
    }
  }
  const dataKey = newDataKey();
  return { dataKey, wrapped: await wrapDataKey(dataKey, passphrase) };
}

/** That of the newest snapshot; with `isFar` that of the newest encrypted one, however old. */
async function findWrapping(
  isFar: boolean,
  store: SnapshotStore,
  id: string,
  snapshots: SnapshotName[],
  signal: AbortSignal,
): Promise<Encryption | null> {
  for (const { seq, epoch } of snapshots.toReversed()) {
    let encryption: Encryption | null;
    try {
      encryption = (await readManifest(store, id, seq, epoch, signal)).manifest.encryption;
    } catch (error) {
      // One that nobody can read, or that was just collected, says nothing: the one before it does.
      if (error instanceof Stop || (error instanceof StoreError && error.code === "object_not_found")) continue;
      throw error;
    }
    if (encryption || !isFar) return encryption;
  }
  return null;
}
