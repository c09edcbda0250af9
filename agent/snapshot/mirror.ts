/**
 * A nearer store in front of the main one. Only parts go through it: their names are their hashes, so what it gives can be
 * checked. Whatever is wrong with it, the main store does the work and the user is told once; what it lacks or has wrong
 * is left there for the next time.
 *
 *   get, whole part   mirror, checked by hash; else main, then kept in the mirror
 *   get, range        mirror, unchecked: the reader checks chunks. Asked for again, it was wrong: the whole part comes
 *                     from main, is checked, takes the wrong one's place, and the range is cut from it
 *   put               main, then the mirror
 *   all else          main alone
 */
import {
  type ByteRange,
  type CallOptions,
  parseObjectKey,
  type SnapshotStore,
  StoreError,
} from "../../core/snapshot/store.ts";
import { cutRange } from "./http.ts";
import { sha256Hex } from "./primitives.ts";

export interface MirrorOptions {
  main: SnapshotStore;
  mirror: SnapshotStore;
  /** Called at most once. */
  onTrouble: (words: string) => void;
  /** A call to the mirror may take this long, and as long again for each 10 MiB; 10 s by default. */
  timeoutMs?: number;
}

export interface MirrorStats {
  /** Gets that the mirror answered. */
  hits: number;
  hitBytes: number;
  misses: number;
  /** Found with other bytes than its name says. */
  damaged: number;
  /** Parts that were put into it. */
  stored: number;
}

const failuresAllowed = 3;

export function openMirroredStore(options: MirrorOptions): { store: SnapshotStore; stats: MirrorStats } {
  const { main } = options;
  const mirror = new Mirror(options);
  const store: SnapshotStore = {
    ...main,

    async put(key, bytes, sha256, call) {
      const result = await main.put(key, bytes, sha256, call);
      if (isPart(key)) await mirror.keep(key, bytes, call);
      return result;
    },

    async get(key, range, call) {
      if (!isPart(key)) return main.get(key, range, call);
      return range ? getRange(key, range, call) : getWhole(key, call);
    },
  };

  async function getWhole(key: string, call: CallOptions | undefined): Promise<Uint8Array> {
    const near = await mirror.get(key, undefined, call);
    if (near && hasItsHash(key, near)) return mirror.hit(near);
    mirror.miss(near !== null);
    return fetchAndKeep(key, call);
  }

  async function fetchAndKeep(key: string, call: CallOptions | undefined): Promise<Uint8Array> {
    // Not into memory that the caller uses again: a slow mirror may still be reading it then.
    const bytes = await main.get(key, undefined, { signal: call?.signal });
    if (hasItsHash(key, bytes)) await mirror.keep(key, bytes, call);
    return bytes;
  }

  /** Ranges that the mirror has answered. */
  const given = new Set<string>();

  async function getRange(key: string, range: ByteRange, call: CallOptions | undefined): Promise<Uint8Array> {
    const name = `${key} ${range.offset} ${range.length}`;
    if (given.delete(name)) {
      mirror.miss(true);
      const whole = await fetchAndKeep(key, call);
      return hasItsHash(key, whole) ? cutRange(whole, range, key) : main.get(key, range, call);
    }
    const near = await mirror.get(key, range, call);
    if (!near) {
      mirror.miss(false);
      return main.get(key, range, call);
    }
    given.add(name);
    return mirror.hit(near);
  }

  return { store, stats: mirror.stats };
}

function isPart(key: string): boolean {
  return parseObjectKey(key)?.kind === "part";
}

function hasItsHash(key: string, bytes: Uint8Array): boolean {
  const name = parseObjectKey(key);
  return name?.kind === "part" && sha256Hex(bytes) === name.sha256;
}

class Mirror {
  readonly #store: SnapshotStore;
  readonly #onTrouble: (words: string) => void;
  readonly #timeoutMs: number;
  readonly stats: MirrorStats = { hits: 0, hitBytes: 0, misses: 0, damaged: 0, stored: 0 };
  #failures = 0;
  #isOff = false;
  #takesNoMore = false;
  #hasTold = false;

  constructor({ mirror, onTrouble, timeoutMs = 10_000 }: MirrorOptions) {
    this.#store = mirror;
    this.#onTrouble = onTrouble;
    this.#timeoutMs = timeoutMs;
  }

  /** Null where it has nothing or fails. */
  async get(key: string, range: ByteRange | undefined, call: CallOptions | undefined): Promise<Uint8Array | null> {
    if (this.#isOff) return null;
    const bytes = range?.length ?? 64 * 1024 * 1024;
    try {
      const found = await this.#within(bytes, call, (signal) => this.#store.get(key, range, { signal }));
      this.#failures = 0;
      return found;
    } catch (error) {
      const code = error instanceof StoreError ? error.code : null;
      // Shorter than the part it should be: the next whole get finds that out.
      if (code !== "object_not_found" && code !== "range_invalid") this.#fail(error, call);
      return null;
    }
  }

  /** `bytes` are right. What lies in their place and is not, is replaced. */
  async keep(key: string, bytes: Uint8Array, call: CallOptions | undefined): Promise<void> {
    const name = parseObjectKey(key);
    if (this.#isOff || this.#takesNoMore || name?.kind !== "part") return;
    // A copy: a put that takes too long may still run when the caller uses the bytes for something else.
    const copy = Buffer.from(bytes);
    try {
      const result = await this.#within(bytes.length, call, (signal) =>
        this.#store.put(key, copy, name.sha256, { signal }),
      );
      this.#failures = 0;
      if (result === "created") this.stats.stored++;
    } catch (error) {
      this.#fail(error, call);
    }
  }

  hit(bytes: Uint8Array): Uint8Array {
    this.stats.hits++;
    this.stats.hitBytes += bytes.length;
    return bytes;
  }

  miss(wasDamaged: boolean): void {
    this.stats.misses++;
    if (wasDamaged) this.stats.damaged++;
  }

  async #within<T>(
    bytes: number,
    call: CallOptions | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const abort = new AbortController();
    const onAbort = () => abort.abort();
    call?.signal?.addEventListener("abort", onAbort, { once: true });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const ms = this.#timeoutMs * (1 + bytes / (10 * 1024 * 1024));
      timer = setTimeout(() => {
        reject(new Error("it did not answer in time"));
        abort.abort();
      }, ms);
      // The caller's abort does not wait for a mirror that hangs.
      abort.signal.addEventListener("abort", () => reject(new StoreError("aborted")), { once: true });
    });
    if (call?.signal?.aborted) abort.abort();
    late.catch(() => {});
    try {
      const running = work(abort.signal);
      running.catch(() => {});
      return await Promise.race([running, late]);
    } finally {
      clearTimeout(timer);
      call?.signal?.removeEventListener("abort", onAbort);
    }
  }

  #fail(error: unknown, call: CallOptions | undefined): void {
    // An abort is the caller's own affair; the main store's call ends with it.
    if (call?.signal?.aborted) return;
    const code = error instanceof StoreError ? error.code : null;
    if (code === "store_full" || code === "store_refused" || code === "delete_not_offered") this.#takesNoMore = true;
    else if (++this.#failures >= failuresAllowed) this.#isOff = true;
    if (this.#hasTold) return;
    this.#hasTold = true;
    this.#onTrouble(
      `The mirror is of no help: ${(error as Error).message.replace(/\.$/, "")}. The main store does the work.`,
    );
  }
}
