/** How long the wakes of an instance took, phase by phase: a small ring in the state, and what it says of the next one. */
import type { State, WakeTimes } from "./types.ts";

export const maxWakeTimes = 20;
/** Fewer say too little to be shown as what is usual. */
export const minWakeTimes = 3;

export function noteWake(state: State, times: WakeTimes): State {
  return { ...state, wakes: [...(state.wakes ?? []), times].slice(-maxWakeTimes) };
}

export interface Percentiles {
  p50Ms: number;
  p95Ms: number;
}

export interface UsualWake {
  samples: number;
  rent: Percentiles;
  boot: Percentiles;
  restore: Percentiles;
  total: Percentiles;
}

/** Null when too few wakes are known: unknown is never a guess. */
export function usualWake(wakes: readonly WakeTimes[]): UsualWake | null {
  if (wakes.length < minWakeTimes) return null;
  const of = (field: "rentMs" | "bootMs" | "restoreMs" | "wakeMs"): Percentiles => {
    const sorted = wakes.map((one) => one[field]).sort((a, b) => a - b);
    return { p50Ms: percentile(sorted, 0.5), p95Ms: percentile(sorted, 0.95) };
  };
  return {
    samples: wakes.length,
    rent: of("rentMs"),
    boot: of("bootMs"),
    restore: of("restoreMs"),
    total: of("wakeMs"),
  };
}

/** Of any order, and not empty. */
export function percentileOf(times: readonly number[], share: number): number {
  return percentile(
    [...times].sort((a, b) => a - b),
    share,
  );
}

/** Nearest rank: always a time that was measured. `sorted` is ascending and not empty. */
function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
