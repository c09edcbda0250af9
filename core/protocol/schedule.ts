/** When an instance wakes and sleeps by the clock: the plan's `schedule` object, widened. */
import * as z from "zod";

const clockTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "a time of day as HH:MM, 00:00 to 23:59");
const timeZone = z.string().refine(isTimeZone, "an IANA time zone such as America/Sao_Paulo");

export const weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Weekday = (typeof weekdays)[number];

const windowSchema = z
  .strictObject({
    /** On which it begins; every day without. */
    days: z.array(z.enum(weekdays)).min(1).max(7).optional(),
    start: clockTime,
    /** Before `start`: on the next day. */
    end: clockTime,
    /** Whether it is woken at the start, and put to sleep at the end; both without. */
    wake: z.boolean().optional(),
    sleep: z.boolean().optional(),
  })
  .refine(({ start, end }) => start !== end, { error: "start and end are the same time", path: ["end"] });
export type ScheduleWindow = z.infer<typeof windowSchema>;

const calendarDate = z.iso.date("a date as YYYY-MM-DD");

const exceptionSchema = z.strictObject({
  /** On which windows begin otherwise than usual. */
  date: calendarDate,
  /** In place of those of that day; none without. */
  windows: z.array(windowSchema).max(20).optional(),
});

const onceSchema = z.strictObject({
  /** In the schedule's zone. */
  at: z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$/, "a local time as YYYY-MM-DDTHH:MM")
    .refine(isOfCalendar, "a day that the calendar has"),
  do: z.enum(["wake", "hibernate"]),
});

export const scheduleFields = {
  /** One window each day, where `windows` is not given. */
  wake_time: clockTime,
  sleep_time: clockTime,
  timezone: timeZone,
  windows: z.array(windowSchema).max(50).optional(),
  exceptions: z.array(exceptionSchema).max(400).optional(),
  once: z.array(onceSchema).max(100).optional(),
  /** What holds the sleep at the end of a window until it ends itself: leases (they do without a word), activity. */
  hold: z.strictObject({ leases: z.boolean().optional(), activity: z.boolean().optional() }).optional(),
};
export const scheduleSchema = z.strictObject(scheduleFields);
export type Schedule = z.infer<typeof scheduleSchema>;

/** What may be named although the default has none of it. */
export const scheduleExtras = ["windows", "exceptions", "once", "hold"] as const satisfies readonly (keyof Schedule)[];

export function windowsOf(schedule: Schedule): ScheduleWindow[] {
  return schedule.windows ?? [{ start: schedule.wake_time, end: schedule.sleep_time }];
}

/** 30 February is read as a day of March. */
function isOfCalendar(text: string): boolean {
  const at = Date.parse(`${text}Z`);
  return Number.isFinite(at) && new Date(at).toISOString().startsWith(text.slice(0, 10));
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return /^[A-Za-z]/.test(name);
  } catch {
    return false;
  }
}
