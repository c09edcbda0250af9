/**
 * Bytes that several requests of one isolate want: what came last, up to a bound. Keys begin with the instance, whose
 * owner was asked for, and go on with the hash of what they name: so nothing in here is ever out of date or another's.
 */
export class ByteCache {
  readonly #most: number;
  readonly #entries = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(mostBytes: number) {
    this.#most = mostBytes;
  }

  get(key: string): Uint8Array | undefined {
    const bytes = this.#entries.get(key);
    if (!bytes) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, bytes);
    return bytes;
  }

  put(key: string, bytes: Uint8Array): void {
    if (bytes.length > this.#most) return;
    this.#remove(key);
    this.#entries.set(key, bytes);
    this.#bytes += bytes.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#most) break;
      this.#remove(oldest);
    }
  }

  #remove(key: string): void {
    this.#bytes -= this.#entries.get(key)?.length ?? 0;
    this.#entries.delete(key);
  }
}
