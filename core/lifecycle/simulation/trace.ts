/** How a GPU was wanted over time: steps of utilisation, each holding until the next. */
export interface TraceRow {
  /** From the trace's start; a whole number, as every time of a simulation is: a clock in fractions never quite arrives. */
  atMs: number;
  /** Percent. */
  util: number;
}

export interface Trace {
  /** Ascending by time, the first at 0. */
  rows: readonly TraceRow[];
  endMs: number;
}

export interface IdleTime {
  fromMs: number;
  toMs: number;
}

/** Every time without use, as the clairvoyant sees it. `threshold`: percent, from there on it is use. */
export function idleTimes(trace: Trace, threshold: number): IdleTime[] {
  const found: IdleTime[] = [];
  let fromMs: number | null = null;
  for (const { atMs, util } of trace.rows) {
    if (util < threshold) fromMs ??= atMs;
    else if (fromMs !== null) {
      found.push({ fromMs, toMs: atMs });
      fromMs = null;
    }
  }
  if (fromMs !== null && trace.endMs > fromMs) found.push({ fromMs, toMs: trace.endMs });
  return found;
}

/** Walks through a trace, forward only. */
export class TraceWalk {
  readonly #trace: Trace;
  readonly #idle: IdleTime[];
  readonly #threshold: number;
  #row = 0;
  #gap = 0;
  posMs = 0;

  constructor(trace: Trace, threshold: number) {
    this.#trace = trace;
    this.#threshold = threshold;
    this.#idle = idleTimes(trace, threshold);
  }

  get isOver(): boolean {
    return this.posMs >= this.#trace.endMs;
  }

  get isActive(): boolean {
    // The trace ends with use: whoever sleeps then pays for a whole cycle, as every other sleep does.
    return this.isOver || this.#trace.rows[this.#row]!.util >= this.#threshold;
  }

  /** The idle time that the present moment lies in; null in use. */
  get idle(): IdleTime | null {
    while (this.#gap < this.#idle.length && this.#idle[this.#gap]!.toMs <= this.posMs) this.#gap++;
    const next = this.#idle[this.#gap];
    return next && next.fromMs <= this.posMs ? next : null;
  }

  /** How long until it is wanted; 0 while it is. */
  get untilUseMs(): number {
    return this.isActive ? 0 : (this.idle?.toMs ?? this.#trace.endMs) - this.posMs;
  }

  /** How long it is wanted without a break; 0 while it is not. */
  get untilIdleMs(): number {
    if (this.isOver || !this.isActive) return 0;
    const { rows, endMs } = this.#trace;
    let next = this.#row + 1;
    while (next < rows.length && rows[next]!.util >= this.#threshold) next++;
    return (rows[next]?.atMs ?? endMs) - this.posMs;
  }

  /** When the present idle time begins, if it does within the next `ms`. */
  nextIdleWithin(ms: number): IdleTime | null {
    void this.idle;
    const next = this.#idle[this.#gap];
    return next && next.fromMs > this.posMs && next.fromMs <= this.posMs + ms ? next : null;
  }

  /** Goes on by `ms`; the highest utilisation on the way and how much of it was use. */
  advance(ms: number): { peak: number; usedMs: number } {
    const end = Math.min(this.posMs + ms, this.#trace.endMs);
    const { rows } = this.#trace;
    let peak = rows[this.#row]!.util;
    let usedMs = 0;
    for (;;) {
      const until = Math.min(rows[this.#row + 1]?.atMs ?? this.#trace.endMs, end);
      if (until > this.posMs) {
        peak = Math.max(peak, rows[this.#row]!.util);
        if (rows[this.#row]!.util >= this.#threshold) usedMs += until - this.posMs;
      }
      this.posMs = until;
      if (this.#row + 1 < rows.length && rows[this.#row + 1]!.atMs <= this.posMs) this.#row++;
      if (this.posMs >= end) break;
    }
    return { peak, usedMs };
  }
}
