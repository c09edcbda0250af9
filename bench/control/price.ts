/** What heartbeats cost at Cloudflare's list prices (Workers Paid), from what was counted. */

/** What one heartbeat uses, as measured. */
export interface PerBeat {
  requests: number;
  cpuMs: number;
  objectRequests: number;
  /** While the object works on it, ms. */
  objectMs: number;
  rowsWritten: number;
  rowsRead: number;
  d1RowsWritten: number;
  d1RowsRead: number;
}

/** A month's allowance and the price of what is beyond it; US$ per million. */
interface Price {
  included: number;
  usdPerMillion: number;
}

export const monthSeconds = 30 * 86_400;
export const baseUsd = 5;
const objectGb = 0.128;
export const prices = {
  requests: { included: 10e6, usdPerMillion: 0.3 },
  cpuMs: { included: 30e6, usdPerMillion: 0.02 },
  objectRequests: { included: 1e6, usdPerMillion: 0.15 },
  objectGbSeconds: { included: 400e3, usdPerMillion: 12.5 },
  rowsWritten: { included: 50e6, usdPerMillion: 1 },
  rowsRead: { included: 25e9, usdPerMillion: 0.001 },
  d1RowsWritten: { included: 50e6, usdPerMillion: 1 },
  d1RowsRead: { included: 25e9, usdPerMillion: 0.001 },
} satisfies Record<string, Price>;
export type Use = Record<keyof typeof prices, number>;

/** Of instances that run all month. */
export function monthUse(perBeat: PerBeat, instances: number, intervalSeconds: number): Use {
  const beats = (instances * monthSeconds) / intervalSeconds;
  const { objectMs, ...rest } = perBeat;
  const use = Object.fromEntries(Object.entries(rest).map(([name, count]) => [name, count * beats]));
  return { ...use, objectGbSeconds: (objectMs / 1000) * objectGb * beats } as Use;
}

export function usdOf(use: Use): { total: number; by: Use } {
  const by = Object.fromEntries(
    Object.entries(prices).map(([name, { included, usdPerMillion }]) => [
      name,
      (Math.max(0, use[name as keyof Use] - included) / 1e6) * usdPerMillion,
    ]),
  ) as Use;
  return { total: baseUsd + Object.values(by).reduce((a, b) => a + b, 0), by };
}
