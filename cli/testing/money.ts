/** A ledger and savings to answer with. */
import type { LedgerAnswer, SavingsAnswer, SavingsView } from "../../core/protocol/money.ts";
import { testId } from "./server.ts";

const paid = {
  gpu_micro_usd: 1_800_000,
  disk_micro_usd: 200_000,
  machine_micro_usd: 0,
  traffic_up_micro_usd: 50_000,
  traffic_down_micro_usd: 0,
  storage_micro_usd: 1_233,
  operations_micro_usd: 2_916,
  total_micro_usd: 2_054_149,
};
const unpriced = { machine_seconds: 0, asleep_seconds: 0, traffic_up_bytes: 0, traffic_down_bytes: 10_000_000_000 };

const view: SavingsView = {
  paid,
  unpriced,
  hours_awake: 2,
  hours_hibernated: 4,
  avoided_micro_usd: 4_500_000,
  saved_micro_usd: 3_845_851,
  always_on_micro_usd: 5_900_000,
  hibernations: 1,
  mean_wake_seconds: 90,
};
const period = { from: "2026-11-27T03:00:00.000Z", to: "2026-11-29T03:00:00.000Z", tz: "America/Sao_Paulo" };

export function savingsAnswer(): SavingsAnswer {
  const nothing: SavingsView = {
    ...view,
    paid: Object.fromEntries(Object.keys(paid).map((key) => [key, 0])) as SavingsView["paid"],
    unpriced: { ...unpriced, traffic_down_bytes: 0 },
    hours_awake: 0,
    hours_hibernated: 0,
    avoided_micro_usd: 0,
    saved_micro_usd: 0,
    always_on_micro_usd: 0,
    hibernations: 0,
    mean_wake_seconds: null,
  };
  const middle = "2026-11-28T03:00:00.000Z";
  return {
    ...period,
    instances: [{ id: testId, name: "train", ...view, storage_measured_at: null }],
    days: [
      { date: "2026-11-27", from: period.from, to: middle, ...nothing },
      { date: "2026-11-28", from: middle, to: period.to, ...view },
    ],
    total: view,
    missing: ["i-bbbbbbbbbb"],
  };
}

export function ledgerAnswer(): LedgerAnswer {
  return {
    id: testId,
    name: "train",
    ...period,
    rows: [
      {
        kind: "gpu",
        epoch: 1,
        from: "2026-11-28T10:00:00.000Z",
        to: "2026-11-28T12:00:00.000Z",
        quantity: 7200,
        unit: "seconds",
        price_micro_usd: 900_000,
        price_per: "hour",
        micro_usd: 1_800_000,
      },
      {
        kind: "traffic_down",
        epoch: 2,
        from: "2026-11-28T03:00:00.000Z",
        to: null,
        quantity: 10_000_000_000,
        unit: "bytes",
        price_micro_usd: null,
        price_per: "gb",
        micro_usd: null,
      },
    ],
    cycles: [
      {
        slept_at: "2026-11-28T12:00:00.000Z",
        woken_at: "2026-11-28T12:06:00.000Z",
        ready_at: "2026-11-28T12:10:00.000Z",
        ended_at: null,
        asked: false,
        micro_usd_per_hour: 1_000_000,
        paid: { ...paid, total_micro_usd: 700_000 },
        unpriced: { ...unpriced, traffic_down_bytes: 0 },
        avoided_micro_usd: 166_667,
        net_micro_usd: -533_333,
        break_even_seconds: 2_520,
      },
    ],
    total: view,
    storage_measured_at: "2026-11-28T12:00:00.000Z",
  };
}
