/** Long synchronous work in slices, so that the heartbeat in the same process is never late. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { Stop } from "./stop.ts";

const usualSliceMs = 25;

export class Breather {
  readonly #signal: AbortSignal | undefined;
  /** At most so long without a rest. Shorter where other work of the same thread waits for its turn. */
  sliceMs = usualSliceMs;
  #since = performance.now();

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Whether it is time to `rest`; costs 50 ns, so it can be asked often. */
  get due(): boolean {
    return performance.now() - this.#since > this.sliceMs;
  }

  /** Lets everything else run. Errors: throws Stop when the signal is aborted. */
  async rest(): Promise<void> {
    await nextTurn();
    if (this.#signal?.aborted) throw new Stop("aborted", "The work was interrupted; it can be resumed.", true);
    this.#since = performance.now();
  }
}
