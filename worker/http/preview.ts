/** What other settings would have done, as the API shows it. Replayed here: the instance's object goes on with its beats meanwhile. */
import { clockChangesIn, localText, nextOccurrences } from "../../core/lifecycle/calendar.ts";
import { type PreviewFacts, type Replayed, replay, type Stretch } from "../../core/lifecycle/preview.ts";
import { dayMs } from "../../core/lifecycle/series.ts";
import type { AutoHibernation } from "../../core/protocol/config.ts";
import type { PreviewAnswer } from "../../core/protocol/live.ts";

export function previewView({ asIs, asSet, known, peaks }: PreviewFacts, now: number): PreviewAnswer {
  const replayed = replay(peaks, known, { asIs, asSet });
  return {
    replay: replayed && {
      ...stretchView(replayed),
      unknown_seconds: replayed.unknownMs / 1000,
      micro_usd_per_hour: replayed.microUsdPerHour,
      as_is: replayedView(replayed.asIs),
      as_set: replayedView(replayed.asSet),
      busy: replayed.busy.map(stretchView),
    },
    schedule: scheduleView(asSet, now),
  };
}

function replayedView(one: Replayed): NonNullable<PreviewAnswer["replay"]>["as_is"] {
  return {
    sleeps: one.sleeps,
    paid_micro_usd: one.paid,
    saved_micro_usd: one.saved,
    asleep_seconds: one.asleepMs / 1000,
    waited_seconds: one.waitedMs / 1000,
    asleep: one.asleep.map(stretchView),
  };
}

function scheduleView({ wake_method, schedule }: AutoHibernation, now: number): PreviewAnswer["schedule"] {
  if (wake_method !== "scheduled" || !schedule) return null;
  const changes = clockChangesIn(schedule, now, now + 365 * dayMs);
  return {
    next: nextOccurrences(schedule, now, 3).map(({ what, at }) => ({
      what,
      at: iso(at),
      local: localText(at, schedule.timezone),
    })),
    clock_changes: changes.map(({ date, shiftMinutes }) => ({ date, shift_minutes: shiftMinutes })),
  };
}

function stretchView({ fromAt, toAt }: Stretch): { from: string; to: string } {
  return { from: iso(fromAt), to: iso(toAt) };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
