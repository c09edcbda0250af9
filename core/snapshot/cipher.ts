/** What encryption needs from its surroundings: keyed ids, and authenticated encryption of the pieces of a part. */

/** The table's number; frames count from 0. */
export const tableNumber = 0xffff_ffff;
/** An encrypted piece is longer by its tag. */
export const sealBytes = 16;

export interface PartCipher {
  /** `header`: the part's first 24 bytes. Fills `out` with the ciphertext and its tag: 16 bytes more than `plain` has. */
  seal(n: number, header: Uint8Array, plain: Uint8Array, out: Uint8Array): void;
  /** Errors: throws FormatError `snapshot_damaged`. */
  open(n: number, header: Uint8Array, sealed: Uint8Array): Uint8Array;
}

export interface SnapshotCipher {
  /** Names the data key; 16 hex digits. */
  readonly keyId: string;
  /** 32 bytes: chunk ids are HMAC-SHA-256 under it. */
  readonly idKey: Uint8Array;
  /** 16 random bytes. */
  newSalt(): Uint8Array;
  part(salt: Uint8Array): PartCipher;
}
