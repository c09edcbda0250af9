/** Examples of the routes of what happened to an instance and what was measured. */
import type { Examples } from "./example.ts";

export const historyExamples: Examples = {
  listEvents: {
    answer: {
      events: [
        {
          seq: 1,
          instance_id: "i-k3v7q2m4xa",
          event_type: "created",
          timestamp: "2026-11-29T17:44:20.000Z",
          actor: "user:u-w6cekeftay",
          actor_name: "Ana",
          gpu_utilization: null,
          snapshot_id: null,
          reason: null,
          params: { name: "train" },
        },
        {
          seq: 2,
          instance_id: "i-k3v7q2m4xa",
          event_type: "machine_rented",
          timestamp: "2026-11-29T17:44:20.000Z",
          actor: "provider",
          actor_name: null,
          gpu_utilization: null,
          snapshot_id: null,
          reason: null,
          params: {
            epoch: 2,
            provider_id: 505,
            gpu_type: "RTX 4090",
            region: "BR",
            micro_usd_per_hour: 400000,
            rung: "same",
            ladder: "same: 2 offers",
          },
        },
        {
          seq: 3,
          instance_id: "i-k3v7q2m4xa",
          event_type: "machine_up",
          timestamp: "2026-11-29T17:44:20.000Z",
          actor: "agent",
          actor_name: null,
          gpu_utilization: 80,
          snapshot_id: null,
          reason: null,
          params: { epoch: 2, boot_ms: 0 },
        },
      ],
      next_after: 3,
    },
  },
  getSeries: {
    answer: {
      from: "2026-11-29T17:40:00.000Z",
      to: "2026-11-29T17:45:00.000Z",
      step_seconds: 60,
      gpus: [{ index: 0, name: "RTX 4090", max: [null, 80, 82, 3, 0], mean: [null, 74.5, 79, 0.4, 0] }],
      memory: { used_mb: [null, 18211, 18211, 18211, 18211], total_mb: 24564 },
      phases: [
        { at: "2026-11-29T17:41:10.000Z", status: "running" },
        { at: "2026-11-29T17:43:00.000Z", status: "idle" },
      ],
      marks: [{ at: "2026-11-29T17:41:10.000Z", event_type: "machine_up", actor: "agent" }],
      threshold: 5,
    },
  },
};
