/**
 * From a schedule to moments. Local times are read as Temporal does ("compatible"): one that a clock change skips is that
 * much later, one that comes twice is the first of the two.
 */
import { Temporal } from "temporal-polyfill";
import { type Schedule, type ScheduleWindow, type Weekday, weekdays, windowsOf } from "../protocol/schedule.ts";

/** Something that is due at a moment, epoch ms. */
export interface Occurrence {
  at: number;
  what: "wake" | "sleep";
  /** Of a wake: when its window ends. */
  until: number | null;
}

/** A window, as it lies in time. */
interface Placed {
  from: number;
  to: number;
  window: ScheduleWindow;
}

const searchDays = 800;
/** How long a wake at a single time is worth trying. */
const onceForMs = 3_600_000;

/** The first one after `after`; null where none is in sight. */
export function nextOccurrence(schedule: Schedule, after: number): Occurrence | null {
  return nextOccurrences(schedule, after, 1)[0] ?? null;
}

/** Ascending. At one moment a wake comes after a sleep, so that what is wanted from then on is the last. */
export function nextOccurrences(schedule: Schedule, after: number, count: number): Occurrence[] {
  const onces = onceOf(schedule).filter((one) => one.at > after);
  return [...ofWindows(schedule, after, count), ...onces]
    .sort((a, b) => a.at - b.at || rank(a) - rank(b))
    .slice(0, count);
}

/** The first `count` of the windows' own, at least: eight days at a time. */
function ofWindows(schedule: Schedule, after: number, count: number): Occurrence[] {
  const found: Occurrence[] = [];
  if (windowsOf(schedule).length === 0 && !schedule.exceptions?.length) return found;
  const first = dateOf(after, schedule.timezone);
  for (let day = 0; day <= searchDays && found.length < count; day += 8) {
    // With the days around them: a window may begin the day before and end the day after.
    const placed = placeWindows(schedule, first.add({ days: day - 2 }), 12);
    const [begins, ends] = [day, day + 8].map((days) => momentOf(first.add({ days }), "00:00", schedule)) as [
      number,
      number,
    ];
    found.push(...occurrencesOf(placed).filter(({ at }) => at > after && at >= begins && at < ends));
  }
  return found;
}

/** Moments at which the zone's clock is set while a window is open, between two moments. */
export function clockChangesIn(
  schedule: Schedule,
  after: number,
  until: number,
): { date: string; shiftMinutes: number }[] {
  const found: { date: string; shiftMinutes: number }[] = [];
  let at = Temporal.Instant.fromEpochMilliseconds(after).toZonedDateTimeISO(schedule.timezone);
  for (;;) {
    const change = at.getTimeZoneTransition("next");
    if (!change || change.epochMilliseconds >= until) return found;
    at = change;
    const shiftMs = (change.offsetNanoseconds - change.subtract({ nanoseconds: 1 }).offsetNanoseconds) / 1e6;
    // A change of the zone's rules may leave its clock as it was.
    if (shiftMs === 0) continue;
    const placed = placeWindows(schedule, change.toPlainDate().subtract({ days: 2 }), 4);
    const moment = change.epochMilliseconds;
    if (placed.some(({ from, to }) => from < moment && moment < to))
      found.push({ date: change.toPlainDate().toString(), shiftMinutes: shiftMs / 60_000 });
  }
}

function rank({ what }: Occurrence): number {
  return what === "sleep" ? 0 : 1;
}

function onceOf({ once = [], timezone }: Schedule): Occurrence[] {
  return once.map((one) => {
    const at = Temporal.PlainDateTime.from(one.at).toZonedDateTime(timezone).epochMilliseconds;
    return one.do === "wake" ? { at, what: "wake", until: at + onceForMs } : { at, what: "sleep", until: null };
  });
}

/** Where windows touch or overlap, it sleeps at the end of the last alone. */
function occurrencesOf(placed: readonly Placed[]): Occurrence[] {
  return placed.flatMap(({ from, to, window }) => {
    const occurrences: Occurrence[] = [];
    if (window.wake !== false) occurrences.push({ at: from, what: "wake", until: to });
    const isOpen = placed.some((other) => other.from <= to && other.to > to);
    if (window.sleep !== false && !isOpen) occurrences.push({ at: to, what: "sleep", until: null });
    return occurrences;
  });
}

function placeWindows(schedule: Schedule, first: Temporal.PlainDate, count: number): Placed[] {
  const dates = Array.from({ length: count }, (_, i) => first.add({ days: i }));
  const placed = dates.flatMap((date) =>
    windowsOn(schedule, date).map((window) => {
      const endDate = window.end <= window.start ? date.add({ days: 1 }) : date;
      return { from: momentOf(date, window.start, schedule), to: momentOf(endDate, window.end, schedule), window };
    }),
  );
  // One that lies within the hour that a clock change skips is none.
  return placed.filter(({ from, to }) => from < to);
}

function windowsOn(schedule: Schedule, date: Temporal.PlainDate): ScheduleWindow[] {
  const exception = schedule.exceptions?.find((one) => one.date === date.toString());
  const weekday: Weekday = weekdays[date.dayOfWeek - 1]!;
  return (exception ? (exception.windows ?? []) : windowsOf(schedule)).filter(
    ({ days }) => days === undefined || days.includes(weekday),
  );
}

function momentOf(date: Temporal.PlainDate, time: string, { timezone }: Schedule): number {
  return date.toPlainDateTime(Temporal.PlainTime.from(time)).toZonedDateTime(timezone).epochMilliseconds;
}

function dateOf(at: number, timezone: string): Temporal.PlainDate {
  return Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(timezone).toPlainDate();
}

/** As a clock on the wall there shows it: 2026-11-30T09:00:00-03:00. */
export function localText(at: number, timezone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(at)
    .toZonedDateTimeISO(timezone)
    .toString({ timeZoneName: "never", smallestUnit: "second" });
}
