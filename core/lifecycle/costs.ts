/** What a cycle of sleep and wake costs, from the machine's prices and what was measured. What is not known is named, never guessed. */
import { bytesPerGb, hoursPerMonth } from "./amount.ts";
import { autoOf, type Costs, type Unknown } from "./auto-state.ts";
import type { RentedFacts, State } from "./types.ts";

/** R2's list prices in micro-dollars: of a gigabyte and month, and of a million requests; the free allowance is not counted. */
export const storageMicroUsdPerGbMonth = 15_000;
/** Writes and lists. */
export const classAMicroUsdPerMillion = 4_500_000;
/** Reads. */
export const classBMicroUsdPerMillion = 360_000;

export type KnownCosts = { ok: true; costs: Costs } | { ok: false; unknown: Unknown[] };

/** Of the machine with these facts. */
export function costsOf(state: State, facts: RentedFacts | null): KnownCosts {
  const { measured } = autoOf(state);
  const storedBytes = state.snapshot?.stats?.storedBytes ?? null;
  const { uploadMs, uploadBytes, bootMs, restoreMs } = measured;
  const awake = facts?.microUsdPerHour ?? null;
  const up = facts?.upMicroUsdPerGb ?? null;
  // A machine that is only stopped brings nothing back, and its disk goes on costing.
  const isStop = state.config.pause_mode === "stop";
  const down = isStop ? 0 : (facts?.downMicroUsdPerGb ?? null);
  const disk = isStop ? (facts?.diskMicroUsdPerHour ?? null) : 0;
  if (
    awake === null ||
    up === null ||
    down === null ||
    disk === null ||
    storedBytes === null ||
    uploadMs === null ||
    uploadBytes === null ||
    bootMs === null ||
    restoreMs === null
  ) {
    const lacking: [Unknown, unknown][] = [
      ["machine_price", disk === null ? null : awake],
      ["upload_price", up],
      ["download_price", down],
      ["snapshot_size", storedBytes],
      ["upload_time", uploadMs === null ? null : uploadBytes],
      ["boot_time", bootMs],
      ["restore_time", restoreMs],
    ];
    return { ok: false, unknown: lacking.filter(([, value]) => value === null).map(([name]) => name) };
  }
  return {
    ok: true,
    costs: {
      awakeMicroUsdPerHour: awake,
      asleepMicroUsdPerHour: storageMicroUsdPerHour(storedBytes) + disk,
      uploadMs,
      wakeMs: bootMs + (isStop ? 0 : restoreMs),
      trafficMicroUsd: (uploadBytes * up + storedBytes * down) / bytesPerGb,
      // Nobody has said yet what waiting is worth.
      waitingMicroUsdPerHour: 0,
    },
  };
}

export function storageMicroUsdPerHour(storedBytes: number): number {
  return (storedBytes / bytesPerGb) * (storageMicroUsdPerGbMonth / hoursPerMonth);
}
