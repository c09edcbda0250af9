/** How a run names chunks and what it opens parts with. Without encryption: SHA-256, and nothing to open. */
import type { SnapshotCipher } from "../../core/snapshot/cipher.ts";
import { limits } from "../../core/snapshot/limits.ts";
import type { Primitives } from "../../core/snapshot/primitives.ts";
import { type Encryption, keyedChunkId, openCipher } from "./keys.ts";
import { nodePrimitives } from "./primitives.ts";
import { Stop } from "./stop.ts";

/** Gives the data key (32 bytes) of an encrypted snapshot. Errors: Stop. */
export type Unlock = (encryption: Encryption) => Promise<Uint8Array>;

export class Keyring {
  /** Null without encryption, as `cipher`. */
  readonly dataKey: Uint8Array | null;
  readonly cipher: SnapshotCipher | null;
  /** For the main thread; its ids are those of this keyring. */
  readonly primitives: Primitives;
  /** A chunk's id, as a byte string. */
  readonly idOf: (bytes: Uint8Array) => string;
  readonly #zeroIds = new Map<number, string>();

  constructor(dataKey: Uint8Array | null) {
    this.dataKey = dataKey;
    this.cipher = dataKey && openCipher(dataKey);
    const idKey = this.cipher?.idKey;
    this.idOf = idKey ? (bytes) => keyedChunkId(idKey, bytes) : nodePrimitives.chunkId;
    this.primitives = { ...nodePrimitives, chunkId: this.idOf };
  }

  /** The id of so many zeros. */
  zeroId(length: number): string {
    let id = this.#zeroIds.get(length);
    if (id === undefined) {
      id = this.idOf(zeroBytes(length));
      if (this.#zeroIds.size > 4096) this.#zeroIds.clear();
      this.#zeroIds.set(length, id);
    }
    return id;
  }

  /** Names files of the state folder that hold ids: under another key they mean nothing. No instance's name has a "~". */
  stateName(id: string): string {
    return this.cipher ? `${id}~${this.cipher.keyId}` : id;
  }
}

export const noKeys = new Keyring(null);

/** Errors: Stop `key_missing`, `key_wrong`, and what `unlock` throws. */
export async function openKeyring(encryption: Encryption | null, unlock: Unlock | undefined): Promise<Keyring> {
  if (!encryption) return noKeys;
  if (!unlock) throw new Stop("key_missing", "The snapshot is encrypted, and no key was given for it.", false);
  return keyringOf(await unlock(encryption), encryption);
}

/** Errors: Stop `key_wrong`. */
export function keyringOf(dataKey: Uint8Array, { keyId }: Encryption): Keyring {
  const keyring = new Keyring(dataKey);
  if (keyring.cipher?.keyId !== keyId)
    throw new Stop("key_wrong", `The data key is not the one that the snapshot names, ${keyId}.`, false);
  return keyring;
}

let zeros = Buffer.alloc(0);

export function zeroBytes(length: number): Uint8Array {
  if (zeros.length < length) zeros = Buffer.alloc(Math.max(length, limits.chunkBytes));
  return zeros.subarray(0, length);
}
