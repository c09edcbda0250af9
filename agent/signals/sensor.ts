/** A sensor gives readings of one or more signals; the poller asks it again and again. */
import type { SignalReading, SignalReadings } from "../../core/protocol/signals.ts";

export interface Sensor {
  names: (keyof SignalReadings)[];
  /** Asked no more often than this. */
  leastMs: number;
  /** May take its time and may fail: the poller takes both for "not known". */
  read(): Promise<SignalReadings>;
}

export function unknown(detail: string): SignalReading {
  return { value: null, detail: detail.slice(0, 200) };
}

/** A rate since an earlier moment, rounded so that it travels short. */
export function rate(amount: number, ms: number): number {
  return Number((Math.max(0, amount) / (ms / 1000)).toPrecision(4));
}
