/**
 * Exact sums of money. One micro-dollar is `perMicroUsd` grains, so many that every product of the books (time by hourly
 * price, bytes by price per GB, bytes by time by price per GB and month) is a whole number of them. A sum is rounded once,
 * at its end.
 */

export type Grains = bigint;

export const msPerHour = 3_600_000;
export const hoursPerMonth = 730;
export const bytesPerGb = 1_000_000_000;
const [ms, hours, bytes] = [BigInt(msPerHour), BigInt(hoursPerMonth), BigInt(bytesPerGb)];
const perMicroUsd = ms * hours * bytes;

/** Clocks and prices are whole here; a trace that is simulated may have fractions of both. */
function whole(value: number): bigint {
  return BigInt(Math.round(value));
}

/** `forMs` at an hourly price in whole micro-dollars. */
export function ofTime(forMs: number, microUsdPerHour: number): Grains {
  return whole(forMs) * whole(microUsdPerHour) * hours * bytes;
}

export function ofBytes(count: number, microUsdPerGb: number): Grains {
  return whole(count) * whole(microUsdPerGb) * ms * hours;
}

export function ofStorage(count: number, forMs: number, microUsdPerGbMonth: number): Grains {
  return whole(count) * whole(forMs) * whole(microUsdPerGbMonth);
}

export function ofCount(count: number, microUsdPerMillion: number): Grains {
  return (whole(count) * whole(microUsdPerMillion) * perMicroUsd) / 1_000_000n;
}

/** Whole micro-dollars, to the nearest; halves away from zero. */
export function toMicroUsd(grains: Grains): number {
  const half = perMicroUsd / 2n;
  return Number((grains < 0n ? grains - half : grains + half) / perMicroUsd);
}
