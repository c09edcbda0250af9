/** What other settings would have done, to answer with. */
import type { PreviewAnswer } from "../../core/protocol/live.ts";

export function previewAnswer(): PreviewAnswer {
  const nap = { from: "2026-11-27T20:00:00.000Z", to: "2026-11-28T08:00:00.000Z" };
  return {
    replay: {
      from: "2026-11-21T12:00:00.000Z",
      to: "2026-11-28T12:00:00.000Z",
      unknown_seconds: 7_200,
      micro_usd_per_hour: 400_000,
      as_is: {
        sleeps: 12,
        paid_micro_usd: 20_000_000,
        saved_micro_usd: 15_000_000,
        asleep_seconds: 360_000,
        waited_seconds: 1_440,
        asleep: [nap],
      },
      as_set: {
        sleeps: 7,
        paid_micro_usd: 21_500_000,
        saved_micro_usd: 13_500_000,
        asleep_seconds: 342_000,
        waited_seconds: 840,
        asleep: Array.from({ length: 10 }, () => nap),
      },
      busy: [],
    },
    schedule: {
      next: [{ what: "sleep", at: "2026-11-28T21:00:00.000Z", local: "2026-11-28T18:00:00-03:00" }],
      clock_changes: [{ date: "2027-03-28", shift_minutes: 60 }],
    },
  };
}
