import type { Occurrence } from "./calendar.ts";

/** What the schedule wants next. Everything up to `doneUntil` was done, or lies before the schedule was set. */
export interface ScheduleState {
  /** The schedule that it follows: another one begins anew. */
  of: string;
  doneUntil: number;
  next: Occurrence | null;
  /** A sleep that was due and waits: for the machine, or for what holds it. */
  sleep?: { dueAt: number };
}
