/** What metrics tell of an instance, for its row in the read model. */
import { toMicroUsd } from "../../core/lifecycle/amount.ts";
import { allMachines } from "../../core/lifecycle/attempts.ts";
import type { State } from "../../core/lifecycle/types.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import type { Totals } from "./books.ts";
import type { Live } from "./view.ts";

export interface Meters {
  /** That cost now, a disk that stands still among them. */
  machines: number;
  burnMicroUsdPerHour: number;
  unpricedMachines: number;
  machineMicroUsd: number;
  trafficMicroUsd: number;
  storageMicroUsd: number;
  avoidedMicroUsd: number;
  storedBytes: number | null;
  lastReportAt: string | null;
  clockSkewMs: number | null;
  troubleCode: string | null;
}

export function metersOf(
  state: State,
  { burn, storage, trouble, last_report_at }: InstanceView,
  { clockSkewMs }: Pick<Live, "clockSkewMs">,
  totals: Totals,
): Meters {
  return {
    machines: allMachines(state).length,
    burnMicroUsdPerHour: burn.micro_usd_per_hour,
    unpricedMachines: burn.unpriced,
    machineMicroUsd: toMicroUsd(totals.machine),
    trafficMicroUsd: toMicroUsd(totals.traffic),
    storageMicroUsd: toMicroUsd(totals.storage),
    avoidedMicroUsd: toMicroUsd(totals.avoided),
    storedBytes: storage?.bytes ?? null,
    lastReportAt: last_report_at,
    clockSkewMs,
    troubleCode: trouble?.code ?? null,
  };
}
