/** The one retry: full jitter, so that many clients that failed together do not come back together. */
import { setTimeout as sleep } from "node:timers/promises";

export interface RetryOptions {
  /** Including the first. 8 by default; without `forMs` only. */
  tries?: number;
  /** Tries begin for so long, ms; the last one at its end. Without it the number of tries alone decides. */
  forMs?: number;
  baseMs?: number;
  maxMs?: number;
  signal?: AbortSignal | undefined;
}

/** What to do after a failed try: give up, or wait (at least `afterMs` where the other side named a time). */
export type Verdict = "stop" | { afterMs: number | null };

/** Errors: throws the last error of `work`, or the signal's reason when aborted while it waits. */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  judge: (error: unknown) => Verdict,
  options: RetryOptions = {},
): Promise<T> {
  const { forMs = Number.POSITIVE_INFINITY, baseMs = 200, maxMs = 20_000, signal } = options;
  const tries = options.tries ?? (options.forMs === undefined ? 8 : Number.POSITIVE_INFINITY);
  const startAt = performance.now();
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      const leftMs = startAt + forMs - performance.now();
      const verdict = signal?.aborted || attempt >= tries || leftMs <= 0 ? "stop" : judge(error);
      if (verdict === "stop") throw error;
      const jitterMs = Math.random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 20));
      // Timers drop fractions: rounded down, the last try would come before the end, and others after it.
      const pauseMs = Math.ceil(Math.min(Math.max(verdict.afterMs ?? 0, jitterMs), leftMs));
      await sleep(pauseMs, undefined, signal ? { signal } : {});
    }
  }
}
