/** The world's own time, and what is to happen at some moment of it. */
export class Clock {
  now: number;
  readonly #timers: { at: number; run: () => void }[] = [];

  constructor(now: number) {
    this.now = now;
  }

  at(at: number, run: () => void): void {
    const index = this.#timers.findIndex((one) => one.at > at);
    this.#timers.splice(index < 0 ? this.#timers.length : index, 0, { at, run });
  }

  every(ms: number, run: () => void): void {
    this.at(this.now + ms, () => {
      run();
      this.every(ms, run);
    });
  }

  get next(): number {
    return this.#timers[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  runNext(): void {
    this.#timers.shift()?.run();
  }
}
