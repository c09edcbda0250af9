/**
 * The store port and the names of its objects. Stands alone, without the manifest's schema: a coder
 * thread needs no more. The control plane imports this file and manifest.ts, and nothing else of the engine.
 *
 *   i/<instance>/parts/<sha256>              an immutable object, named by the SHA-256 of its bytes
 *   i/<instance>/manifests/<seq8>-<epoch>    the small JSON object that makes parts a snapshot
 */

/** Of a manifest. */
export const maxSeq = 99_999_999;
export const maxEpoch = 999_999_999;
const instancePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const sha256Pattern = /^[0-9a-f]{64}$/;

export function isInstanceName(text: string): boolean {
  return instancePattern.test(text);
}

/** `i/<instance>/`: the front of every key of that instance. */
export function instancePrefix(instance: string): string {
  if (!isInstanceName(instance)) throw new RangeError(`${JSON.stringify(instance)} is not the name of an instance`);
  return `i/${instance}/`;
}

export function partObjectKey(instance: string, sha256: string): string {
  if (!sha256Pattern.test(sha256)) throw new RangeError("a part is named by 64 lower-case hex digits");
  return `${instancePrefix(instance)}parts/${sha256}`;
}

export function manifestObjectKey(instance: string, seq: number, epoch: number): string {
  return `${instancePrefix(instance)}manifests/${manifestKey(seq, epoch)}`;
}

/** `00000007-2`: 8-digit `seq`, then `epoch`. Sorts by `seq`. Errors: throws RangeError for numbers that do not fit. */
export function manifestKey(seq: number, epoch: number): string {
  if (!Number.isInteger(seq) || seq < 1 || seq > maxSeq) throw new RangeError(`seq ${seq} is not in 1..${maxSeq}`);
  if (!Number.isInteger(epoch) || epoch < 1 || epoch > maxEpoch) {
    throw new RangeError(`epoch ${epoch} is not in 1..${maxEpoch}`);
  }
  return `${String(seq).padStart(8, "0")}-${epoch}`;
}

export function parseManifestKey(name: string): { seq: number; epoch: number } | null {
  const match = /^(\d{8})-([1-9]\d{0,8})$/.exec(name);
  if (!match) return null;
  const seq = Number(match[1]);
  return seq >= 1 ? { seq, epoch: Number(match[2]) } : null;
}

export type ObjectName =
  | { kind: "part"; instance: string; sha256: string }
  | { kind: "manifest"; instance: string; seq: number; epoch: number };

/** Null for every key that is not exactly one of ours. */
export function parseObjectKey(key: string): ObjectName | null {
  const [i, instance, folder, name, ...rest] = key.split("/");
  if (i !== "i" || instance === undefined || name === undefined || rest.length > 0 || !isInstanceName(instance))
    return null;
  if (folder === "parts") return sha256Pattern.test(name) ? { kind: "part", instance, sha256: name } : null;
  if (folder !== "manifests") return null;
  const numbers = parseManifestKey(name);
  return numbers && { kind: "manifest", instance, ...numbers };
}

/** Whether the key names these bytes by their SHA-256, so that no others can rightly lie there. */
export function isPartOf(key: string, sha256: string): boolean {
  const name = parseObjectKey(key);
  return name?.kind === "part" && name.sha256 === sha256;
}

export interface StoreObject {
  key: string;
  bytes: number;
  /** As the store verified it at the write; null where the store does not keep it. */
  sha256: string | null;
  /** Epoch milliseconds of the last write, the store's clock; null where the store does not tell. */
  modifiedMs: number | null;
}

/** `offset` may be negative: then it counts from the end, and `length` is everything from there. */
export interface ByteRange {
  offset: number;
  length?: number;
}

/** The part of AbortSignal that the port needs; `core` has no DOM types. */
export interface CancelSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

export interface CallOptions {
  signal?: CancelSignal;
  /** For `get`: gives memory of just that length, into which an adapter may put what it returns. */
  room?: ((bytes: number) => Uint8Array) | undefined;
}

/**
 * Where snapshots lie. Every adapter passes testing/store-conformance.ts.
 *
 * - An adapter retries what is transient by itself; a StoreError that comes out is final for this call.
 * - After `put` resolves, the object survives a crash of this machine.
 * - No reader ever sees half an object: an object is absent or whole.
 * - Bytes that come out of `get` are not yet checked; the caller knows what they must be. They belong to the caller.
 * - Bytes that go into `put` may be overwritten by the caller as soon as it resolves.
 */
export interface SnapshotStore {
  /** More calls at once than this bring nothing. Missing: as many as memory allows, up to 32. */
  readonly mostInFlight?: number;
  /** Its own collection leaves a part that a manifest may soon list: nobody but the store deletes. */
  readonly collectsItself?: boolean;
  /**
   * Create-only and idempotent. `sha256` is that of `bytes`; a store behind a network verifies it.
   * "created", or "exists" where the same bytes lie there already. What lies in a part's place and is not its bytes is damage, and
   * is replaced. Errors: `manifest_exists` where another manifest lies there.
   */
  put(key: string, bytes: Uint8Array, sha256: string, options?: CallOptions): Promise<"created" | "exists">;
  /** The whole object or a range, cut at its end. Errors: `object_not_found`; `range_invalid` when it starts past the end. */
  get(key: string, range?: ByteRange, options?: CallOptions): Promise<Uint8Array>;
  head(key: string, options?: CallOptions): Promise<StoreObject | null>;
  /** Every object whose key begins with `prefix`, in no promised order. A prefix ends with "/". */
  list(prefix: string, options?: CallOptions): AsyncIterable<StoreObject>;
  /** True when it was there. Errors: `delete_not_offered` where the store collects by itself. */
  delete(key: string, options?: CallOptions): Promise<boolean>;
}

const storeErrorTable = {
  object_not_found: "The store has no such object.",
  range_invalid: "The range starts past the end of the object.",
  manifest_exists: "Another object already has this name.",
  bytes_differ: "The bytes do not have the SHA-256 that was announced.",
  key_invalid: "The key is not one of this store's.",
  settings_invalid: "The store's settings are not complete.",
  bucket_not_found: "The store has no such bucket.",
  delete_not_offered: "This store collects its garbage by itself; it takes no delete.",
  store_refused: "The store refused the request.",
  store_fenced: "The store refused: a newer machine owns this instance.",
  store_unreachable: "The store did not answer.",
  store_full: "The store has no space left.",
  store_failed: "The store failed.",
  aborted: "The call was aborted.",
} as const;

export type StoreErrorCode = keyof typeof storeErrorTable;

/** `retryable`: whether the same call may succeed later, after the adapter's own tries are used up. */
export class StoreError extends Error {
  override name = "StoreError";
  readonly code: StoreErrorCode;
  readonly context: Record<string, unknown>;

  constructor(code: StoreErrorCode, context: Record<string, unknown> = {}, options?: { cause?: unknown }) {
    const detail = context.detail ?? context.key;
    super(detail === undefined ? storeErrorTable[code] : `${storeErrorTable[code]} (${detail})`, options);
    this.code = code;
    this.context = context;
  }

  get retryable(): boolean {
    return (
      this.code === "store_unreachable" ||
      this.code === "store_failed" ||
      this.code === "store_full" ||
      this.code === "bytes_differ"
    );
  }
}
