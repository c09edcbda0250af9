/** Examples of the routes of settings: an instance's own, and the policies of many. */
import type { AnswerOf } from "../../../core/protocol/api.ts";
import { defaultAutoHibernation } from "../../../core/protocol/config.ts";
import type { Examples } from "./example.ts";

const configuration: AnswerOf<"getConfig"> = {
  auto_hibernation: defaultAutoHibernation,
  sources: {
    enabled: "default",
    pause_after_idle_minutes: "instance",
    gpu_usage_threshold: "default",
    "signals.cpu.enabled": "default",
    "retention.keep_newest": "default",
  },
  gpu_type: "RTX 4090",
};

export const settingExamples: Examples = {
  getConfig: { answer: configuration },
  putConfig: {
    body: {
      auto_hibernation: { pause_after_idle_minutes: "auto", gpu_usage_threshold: 5 },
      unset: ["retention.keep_days"],
    },
    answer: configuration,
  },
  putSchedule: {
    body: { wake_time: "09:00", sleep_time: "18:00", timezone: "America/Sao_Paulo", enabled: true },
    answer: {
      ...configuration,
      schedule: {
        timezone: "America/Sao_Paulo",
        next: [
          { what: "sleep", at: "2026-11-29T21:00:00.000Z", local: "2026-11-29T18:00:00-03:00" },
          { what: "wake", at: "2026-11-30T12:00:00.000Z", local: "2026-11-30T09:00:00-03:00" },
        ],
        wake_begins_at: null,
        sleep_due_since: null,
      },
    },
  },
  previewConfig: {
    body: { auto_hibernation: { pause_after_idle_minutes: 10 } },
    answer: {
      replay: null,
      schedule: {
        next: [
          { what: "sleep", at: "2026-11-29T21:00:00.000Z", local: "2026-11-29T18:00:00-03:00" },
          { what: "wake", at: "2026-11-30T12:00:00.000Z", local: "2026-11-30T09:00:00-03:00" },
        ],
        clock_changes: [],
      },
    },
  },
  listPolicies: {
    answer: {
      policies: [
        { gpu_type: "RTX 4090", auto_hibernation: { not_now_minutes: 31 }, updated_at: "2026-11-29T17:45:30.000Z" },
      ],
    },
  },
  putPolicy: {
    body: { gpu_type: "RTX 4090", auto_hibernation: { not_now_minutes: 31 } },
    answer: {
      policy: {
        gpu_type: "RTX 4090",
        auto_hibernation: { not_now_minutes: 31 },
        updated_at: "2026-11-29T17:45:30.000Z",
      },
      instances: { told: 5, waiting: 0 },
    },
  },
  deletePolicy: {
    answer: {
      policy: { gpu_type: "H100", auto_hibernation: {}, updated_at: "2026-11-29T17:45:40.000Z" },
      instances: { told: 5, waiting: 0 },
    },
  },
};
