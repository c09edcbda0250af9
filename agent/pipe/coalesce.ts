/**
 * Small chunks together: a token stream makes fifty of them a second, and each message costs the relay's object a turn. The
 * first goes at once, so that nothing waits that comes alone; what follows within `waitMs` goes together.
 */
export class Coalescer {
  readonly #emit: (chunks: Uint8Array[]) => void;
  readonly #waitMs: number;
  readonly #enoughBytes: number;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #lastAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;

  constructor(emit: (chunks: Uint8Array[]) => void, enoughBytes: number, waitMs = 10) {
    this.#emit = emit;
    this.#enoughBytes = enoughBytes;
    this.#waitMs = waitMs;
  }

  push(chunk: Uint8Array): void {
    this.#waiting.push(chunk);
    this.#bytes += chunk.length;
    const sinceMs = performance.now() - this.#lastAt;
    if (this.#bytes >= this.#enoughBytes || sinceMs >= this.#waitMs) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), this.#waitMs - sinceMs);
  }

  flush(): void {
    this.#clear();
    if (this.#bytes === 0) return;
    this.#lastAt = performance.now();
    const chunks = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    this.#emit(chunks);
  }

  /** What waits is for nobody. */
  stop(): void {
    this.#clear();
    this.#waiting = [];
    this.#bytes = 0;
  }

  #clear(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
