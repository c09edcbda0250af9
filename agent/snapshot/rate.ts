/** How fast an amount has grown over the last two minutes: long enough not to jump, short enough to follow a network. */
const windowMs = 120_000;
const sampleMs = 1000;
/** Before this nothing is said. */
const enoughMs = 2000;

export class Rate {
  readonly #samples: { at: number; amount: number }[] = [];
  #last = { at: 0, amount: 0 };

  /** `at`: monotonic, ms. */
  add(at: number, amount: number): void {
    this.#last = { at, amount };
    const newest = this.#samples.at(-1);
    if (!newest || at - newest.at >= sampleMs) this.#samples.push(this.#last);
    // The first one kept is the last that is as old as the window.
    while (this.#samples.length > 1 && this.#samples[1]!.at <= at - windowMs) this.#samples.shift();
  }

  /** Null as long as it cannot be told. */
  get perSecond(): number | null {
    const first = this.#samples[0];
    if (!first || this.#last.at - first.at < enoughMs) return null;
    return Math.max(0, this.#last.amount - first.amount) / ((this.#last.at - first.at) / 1000);
  }

  /** How long `left` more would take at this rate; null when nobody knows. */
  msFor(left: number): number | null {
    if (left <= 0) return 0;
    const rate = this.perSecond;
    return rate === null || rate === 0 ? null : Math.round((left / rate) * 1000);
  }
}
