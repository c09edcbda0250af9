/** The one retry: full jitter, so that many clients that failed together do not come back together. */
import { setTimeout as sleep } from "node:timers/promises";

export interface RetryOptions {
  /** Including the first; 8 by default. */
  tries?: number;
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
  const { tries = 8, baseMs = 200, maxMs = 20_000, signal } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      const verdict = signal?.aborted || attempt >= tries ? "stop" : judge(error);
      if (verdict === "stop") throw error;
      const jitterMs = Math.random() * Math.min(maxMs, baseMs * 2 ** (attempt - 1));
      await sleep(Math.max(verdict.afterMs ?? 0, jitterMs), undefined, signal ? { signal } : {});
    }
  }
}
