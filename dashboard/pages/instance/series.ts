/** The API's series as what a chart draws: whole seconds, one line for each GPU, spans of states. */
import type { SeriesAnswer, SeriesSpan } from "../../../core/protocol/live.ts";

export const spans: readonly SeriesSpan[] = ["1h", "6h", "24h", "7d", "90d"];

export interface Span {
  from: number;
  to: number;
  status: SeriesAnswer["phases"][number]["status"];
}

/** The middle of each step, epoch seconds. */
export function timesOf({ from, step_seconds, memory, gpus }: SeriesAnswer): number[] {
  const count = Math.max(memory.used_mb.length, ...gpus.map((gpu) => gpu.max.length));
  const start = Date.parse(from) / 1000 + step_seconds / 2;
  return Array.from({ length: count }, (_, i) => start + i * step_seconds);
}

/** Of the states within the time shown; epoch seconds. */
export function spansOf({ phases, from, to }: SeriesAnswer): Span[] {
  const [first, last] = [Date.parse(from) / 1000, Date.parse(to) / 1000];
  return phases.flatMap(({ at, status }, i) => {
    const begins = Math.max(first, Date.parse(at) / 1000);
    const ends = Math.min(last, i + 1 < phases.length ? Date.parse(phases[i + 1]!.at) / 1000 : last);
    return ends > begins ? [{ from: begins, to: ends, status }] : [];
  });
}

/** Short states next to each other would be slivers: the ribbon shows each at least this wide, as a share of the whole. */
export function hasSamples({ gpus }: SeriesAnswer): boolean {
  return gpus.some((gpu) => gpu.max.some((value) => value !== null));
}
