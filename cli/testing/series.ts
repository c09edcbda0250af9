/** A series and offers to answer with. */
import type { AnswerOf } from "../../core/protocol/api.ts";
import type { SeriesAnswer } from "../../core/protocol/live.ts";

/** Six hours up to noon; asleep from 08:00 to 10:00. */
export function seriesAnswer(): SeriesAnswer {
  const values = <T>(of: (minute: number) => T) =>
    Array.from({ length: 360 }, (_, i) => (i >= 120 && i < 240 ? null : of(i)));
  return {
    from: "2026-11-28T06:00:00.000Z",
    to: "2026-11-28T12:00:00.000Z",
    step_seconds: 60,
    gpus: [
      { index: 0, name: "RTX 4090", max: values((i) => (i === 300 ? 97 : 60)), mean: values(() => 40) },
      { index: 1, name: null, max: values(() => 0), mean: values(() => 0) },
    ],
    memory: { used_mb: values(() => 12_000), total_mb: 24_564 },
    phases: [
      { at: "2026-11-28T05:00:00.000Z", status: "running" },
      { at: "2026-11-28T08:00:00.000Z", status: "hibernated" },
      { at: "2026-11-28T10:00:00.000Z", status: "running" },
    ],
    marks: [
      { at: "2026-11-28T08:00:00.000Z", event_type: "hibernated", actor: "rule" },
      { at: "2026-11-28T10:00:00.000Z", event_type: "woke_up", actor: "agent" },
    ],
    threshold: 5,
  };
}

export function offersAnswer(): AnswerOf<"listOffers"> {
  const offer = {
    gpu_type: "RTX 4090",
    gpu_count: 1,
    gpu_ram_mb: 24_564,
    region: "SE",
    micro_usd_per_hour: 300_000,
    disk_micro_usd_per_hour: 10_000,
    up_micro_usd_per_gb: 3_000,
    down_micro_usd_per_gb: 3_000,
    reliability: 0.991,
    verified: true,
    is_usual: true,
    is_over_price: false,
  };
  const dear = {
    ...offer,
    gpu_type: "RTX A6000",
    gpu_count: 2,
    gpu_ram_mb: 49_140,
    micro_usd_per_hour: 1_200_000,
    up_micro_usd_per_gb: null,
    down_micro_usd_per_gb: null,
    reliability: null,
    verified: false,
    is_usual: false,
    is_over_price: true,
  };
  return { offers: [offer, dear], at: "2026-11-28T11:59:30.000Z" };
}
