/** Bytes a second over the last two minutes of what is told: a rate that does not jump with each message. */
import { useRef } from "react";

const windowMs = 120_000;
/** Two readings so close say nothing. */
const leastMs = 2_000;

interface Reading {
  at: number;
  bytes: number;
}

/** Null until enough was told. `key`: of another phase nothing of the one before counts. */
export function useRate(key: string, bytes: number | null): number | null {
  const kept = useRef<{ key: string; readings: Reading[] }>({ key, readings: [] });
  if (kept.current.key !== key) kept.current = { key, readings: [] };
  const { readings } = kept.current;
  if (bytes !== null) addReading(readings, { at: Date.now(), bytes });
  return rateOf(readings);
}

export function addReading(readings: Reading[], reading: Reading): void {
  const last = readings.at(-1);
  if (last && reading.bytes < last.bytes) readings.length = 0;
  if (last?.bytes !== reading.bytes || readings.length === 0) readings.push(reading);
  while (readings.length > 1 && readings[0]!.at < reading.at - windowMs) readings.shift();
}

export function rateOf(readings: readonly Reading[]): number | null {
  const [first, last] = [readings[0], readings.at(-1)];
  if (!first || !last || last.at - first.at < leastMs) return null;
  return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000;
}
