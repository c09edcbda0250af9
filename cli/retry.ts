/** Bounded repeats with full jitter. */

export const tries = 4;
const baseMs = 300;
const capMs = 5_000;

/** `attempt` counts from 0. A server's own Retry-After is the least wait; the jitter goes on top. */
export function backoffMs(attempt: number, retryAfterMs: number | undefined, random: () => number): number {
  const jitter = random() * Math.min(capMs, baseMs * 2 ** attempt);
  return retryAfterMs === undefined ? jitter : retryAfterMs + jitter / 4;
}

/** Seconds or an HTTP date; undefined for anything else. */
export function readRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
