/** Examples of the routes of what can be rented, and of what is rented already. */
import type { Examples } from "./example.ts";

export const offerExamples: Examples = {
  listOffers: {
    answer: {
      offers: [
        {
          gpu_type: "RTX 4090",
          gpu_count: 1,
          gpu_ram_mb: 24564,
          region: "BR",
          micro_usd_per_hour: 400000,
          disk_micro_usd_per_hour: 0,
          up_micro_usd_per_gb: null,
          down_micro_usd_per_gb: null,
          reliability: 0.991,
          verified: true,
          is_usual: false,
          is_over_price: false,
        },
        {
          gpu_type: "RTX 4090",
          gpu_count: 1,
          gpu_ram_mb: 24564,
          region: "BR",
          micro_usd_per_hour: 500000,
          disk_micro_usd_per_hour: 0,
          up_micro_usd_per_gb: null,
          down_micro_usd_per_gb: null,
          reliability: 0.991,
          verified: true,
          is_usual: false,
          is_over_price: false,
        },
      ],
      at: "2026-11-29T17:48:00.000Z",
    },
  },
  listAdoptable: {
    answer: {
      machines: [
        {
          vast_instance_id: 31337042,
          gpu_type: "RTX 4090",
          gpu_count: 1,
          region: "BR",
          micro_usd_per_hour: 400000,
          status: "running",
          image: "pytorch/pytorch",
          label: null,
          started_at: "2026-11-29T09:12:00.000Z",
        },
      ],
    },
  },
  estimate: {
    answer: {
      offer: {
        gpu_type: "RTX 4090",
        gpu_count: 1,
        region: "BR",
        micro_usd_per_hour: 400000,
        disk_micro_usd_per_hour: 0,
        up_micro_usd_per_gb: null,
        down_micro_usd_per_gb: null,
      },
      saved_share: null,
      is_at_most: true,
      is_low: null,
      cycle_traffic_micro_usd: null,
      break_even_seconds: null,
    },
  },
};
