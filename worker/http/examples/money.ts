/** Examples of the routes of money. */
import type { SavingsView } from "../../../core/protocol/money.ts";
import type { Examples } from "./example.ts";

/** Of a machine at 0.40 US$ an hour that ran so long and did not sleep. */
function figuresOf(seconds: number): SavingsView {
  const microUsd = Math.round((seconds * 400_000) / 3_600);
  return {
    paid: {
      gpu_micro_usd: 0,
      disk_micro_usd: 0,
      machine_micro_usd: microUsd,
      traffic_up_micro_usd: 0,
      traffic_down_micro_usd: 0,
      storage_micro_usd: 0,
      operations_micro_usd: 0,
      total_micro_usd: microUsd,
    },
    unpriced: { machine_seconds: 0, asleep_seconds: 0, traffic_up_bytes: 0, traffic_down_bytes: 0 },
    hours_awake: seconds / 3_600,
    hours_hibernated: 0,
    avoided_micro_usd: 0,
    saved_micro_usd: 0,
    always_on_micro_usd: microUsd,
    hibernations: 0,
    mean_wake_seconds: null,
  };
}

export const moneyExamples: Examples = {
  getLedger: {
    answer: {
      id: "i-k3v7q2m4xa",
      name: "train",
      from: "2026-11-01T00:00:00.000Z",
      to: "2026-11-29T17:46:40.000Z",
      tz: "UTC",
      rows: [
        {
          epoch: 2,
          from: "2026-11-29T17:44:17.000Z",
          to: null,
          quantity: 143,
          unit: "seconds",
          price_per: "hour",
          kind: "machine",
          price_micro_usd: 400000,
          micro_usd: 15889,
        },
      ],
      cycles: [],
      total: figuresOf(143),
      storage_measured_at: null,
    },
  },
  getSavings: {
    answer: {
      from: "2026-11-01T00:00:00.000Z",
      to: "2026-11-29T17:46:50.000Z",
      tz: "UTC",
      instances: [
        {
          id: "i-k3v7q2m4xa",
          name: "train",
          ...figuresOf(153),
          storage_measured_at: null,
        },
      ],
      days: [
        {
          date: "2026-11-29",
          from: "2026-11-29T00:00:00.000Z",
          to: "2026-11-29T17:46:50.000Z",
          ...figuresOf(153),
        },
      ],
      total: figuresOf(153),
      missing: [],
    },
  },
};
