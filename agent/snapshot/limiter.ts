/**
 * How many requests may be in flight: one more after each full round that went well, half after the other side said
 * "too many" (AIMD). Begins at the most, since most stores never say it.
 */
export class Limiter {
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];
  #allowed: number;
  #inFlight = 0;

  constructor(most: number) {
    this.#most = most;
    this.#allowed = most;
  }

  get allowed(): number {
    return Math.floor(this.#allowed);
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    while (this.#inFlight >= this.allowed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#inFlight++;
    try {
      return await work();
    } finally {
      this.#inFlight--;
      this.#wake();
    }
  }

  onSuccess(): void {
    this.#allowed = Math.min(this.#most, this.#allowed + 1 / this.#allowed);
  }

  onBusy(): void {
    this.#allowed = Math.max(1, this.#allowed / 2);
  }

  #wake(): void {
    for (let free = this.allowed - this.#inFlight; free > 0; free--) this.#waiting.shift()?.();
  }
}
