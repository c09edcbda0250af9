/** The schedule in the form: as it is edited, what is wrong with it, and how early its wakes begin. */
import type { Schedule } from "../../../core/protocol/schedule.ts";
import type { InstanceView } from "../../../core/protocol/views.ts";
import type { Form } from "./use-form.ts";
import { normalSchedule, problemsOf, type ScheduleProblem, weekdays } from "./windows.ts";

export interface ScheduleEditor {
  schedule: Schedule;
  problems: Record<string, ScheduleProblem>;
  change(next: Partial<Schedule>): void;
}

/** Where there is no schedule yet it begins with the working days, in the reader's own zone. */
export function editorOf(form: Form, zone: string): ScheduleEditor {
  const edit = form.edits.schedule;
  const raw = edit?.is === "bad" ? (edit.raw as Schedule) : form.draft.schedule;
  const schedule = normalSchedule(raw ?? starter(zone));
  return {
    schedule,
    problems: problemsOf(schedule),
    change(part) {
      const next = { ...schedule, ...part };
      if (Object.keys(problemsOf(next)).length > 0) form.setBad("schedule", next, "schedule");
      else form.set("schedule", normalSchedule(next));
    },
  };
}

function starter(timezone: string): Schedule {
  const times = { wake_time: "09:00", sleep_time: "18:00", timezone };
  return { ...times, windows: [{ days: [...weekdays.slice(0, 5)], start: "09:00", end: "18:00" }] };
}

/** How much earlier than its window its next wake begins; null: not known. */
export function leadOf(view: InstanceView): number | null {
  const next = view.schedule?.next.find(({ what }) => what === "wake");
  const begins = view.schedule?.wake_begins_at;
  if (!next || !begins) return null;
  const minutes = (Date.parse(next.at) - Date.parse(begins)) / 60_000;
  return minutes > 0 && minutes <= 60 ? minutes : null;
}
