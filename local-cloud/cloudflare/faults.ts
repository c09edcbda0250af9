/** What goes wrong with the stand-in's API, on demand. */

export const FAULTS = {
  timeout: "the call is not carried out, and its answer does not come",
  error_500: "the call is not carried out: 500 in Cloudflare's envelope",
  html_502: "the call is not carried out: 502 as a page",
  rate_limited: "the call is not carried out: 429 with Retry-After",
  answer_lost: "the call is carried out, and the connection ends before the answer",
  error_after: "the call is carried out, and the answer is a 500",
  garbled: "the call is carried out, and the answer is a page with status 200",
  list_short: "a list leaves its last row out, and counts it",
  list_stale: "a list does not know its last row yet",
} as const;
export type FaultName = keyof typeof FAULTS;

export const OPERATIONS = [
  "tunnel_create",
  "tunnel_list",
  "tunnel_delete",
  "token",
  "config_read",
  "config_write",
  "connections_delete",
  "dns_list",
  "dns_create",
  "dns_change",
  "dns_delete",
] as const;
export type Operation = (typeof OPERATIONS)[number];

export interface FaultOrder {
  name: FaultName;
  /** Only this operation. */
  on?: Operation;
  /** Strikes so often and is spent; without it until it is cleared. */
  times?: number;
  /** So many chances pass first. */
  after?: number;
  /** timeout: how long nothing comes until the connection ends. */
  ms?: number;
  /** rate_limited: Retry-After. */
  seconds?: number;
}

export interface Faults {
  /** Errors: throws with words for people when the order is wrong. */
  arm(order: FaultOrder): void;
  clear(): void;
  /** Whether the fault strikes now; asking counts as one chance. */
  strike(name: FaultName, on: Operation): FaultOrder | null;
}

export function createFaults(): Faults {
  let rules: { order: FaultOrder; chances: number; struck: number }[] = [];
  return {
    arm(order) {
      if (!Object.hasOwn(FAULTS, order?.name)) throw new Error(`no fault named ${JSON.stringify(order?.name)}`);
      if (order.on !== undefined && !OPERATIONS.includes(order.on)) throw new Error(`no operation named ${order.on}`);
      rules.push({ order, chances: 0, struck: 0 });
    },
    clear() {
      rules = [];
    },
    strike(name, on) {
      for (const rule of rules) {
        const { order } = rule;
        if (order.name !== name || (order.on !== undefined && order.on !== on)) continue;
        if (order.times !== undefined && rule.struck >= order.times) continue;
        if (++rule.chances <= (order.after ?? 0)) continue;
        rule.struck++;
        return order;
      }
      return null;
    },
  };
}
