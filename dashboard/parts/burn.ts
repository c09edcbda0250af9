/** What is spent at this moment: machines by their price, and the storage of everything, awake or asleep. */
import { hoursPerMonth } from "../../core/lifecycle/amount.ts";
import type { InstanceSummary } from "../../core/protocol/views.ts";

export interface Burn {
  microUsdPerHour: number;
  /** Machines whose price is not known: they are in no sum. */
  unpriced: number;
}

export function burnOf(rows: readonly InstanceSummary[]): Burn {
  let microUsdPerHour = 0;
  let unpriced = 0;
  for (const row of rows) {
    const own = machineBurn(row);
    microUsdPerHour += own.microUsdPerHour + storageBurn(row);
    unpriced += own.unpriced;
  }
  return { microUsdPerHour, unpriced };
}

export function machineBurn({ glance, micro_usd_per_hour }: InstanceSummary): Burn {
  if (!glance) return { microUsdPerHour: micro_usd_per_hour ?? 0, unpriced: 0 };
  return { microUsdPerHour: glance.burn.micro_usd_per_hour, unpriced: glance.burn.unpriced };
}

export function storageBurn({ glance }: InstanceSummary): number {
  return (glance?.storage?.micro_usd_per_month ?? 0) / hoursPerMonth;
}
