/** Windows of a week, and the grid of its hours: one to the other. All in the schedule's own zone. */
import type { Schedule, ScheduleWindow, Weekday } from "../../../core/protocol/schedule.ts";

export const weekdays: readonly Weekday[] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const dayMinutes = 1_440;
const weekMinutes = 7 * dayMinutes;

/** Minutes from Monday 00:00. `to` may lie in the next week. */
interface Span {
  from: number;
  to: number;
  wake: boolean;
  sleep: boolean;
}

export function windowsOf(schedule: Schedule): ScheduleWindow[] {
  return schedule.windows ?? [{ start: schedule.wake_time, end: schedule.sleep_time }];
}

/** With all that the API would take as said, and in one order: two that mean the same are the same. */
export function normalSchedule(schedule: Schedule): Schedule {
  const { wake_time, sleep_time, timezone, exceptions = [], once = [], hold = {} } = schedule;
  return {
    wake_time,
    sleep_time,
    timezone,
    windows: windowsOf(schedule).map(normalWindow),
    exceptions: exceptions.map(({ date, windows }) => ({ date, windows: (windows ?? []).map(normalWindow) })),
    once: once.map(({ at, do: what }) => ({ at, do: what })),
    hold: { leases: hold.leases !== false, activity: hold.activity === true },
  };
}

function normalWindow({ days, start, end, wake, sleep }: ScheduleWindow): ScheduleWindow {
  const own = weekdays.filter((day) => !days || days.includes(day));
  return { days: own, start, end, wake: wake !== false, sleep: sleep !== false };
}

export function minutesOf(clock: string): number {
  return Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));
}

function clockOf(minutes: number): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${two(Math.floor(minutes / 60) % 24)}:${two(minutes % 60)}`;
}

export function isClock(text: string): boolean {
  return /^([01]\d|2[0-3]):[0-5]\d$/.test(text);
}

function spansOf(windows: readonly ScheduleWindow[]): Span[] {
  return windows
    .filter(({ start, end }) => isClock(start) && isClock(end) && start !== end)
    .flatMap((window) => {
      const { start, end, wake, sleep, days } = normalWindow(window);
      const length = (minutesOf(end) - minutesOf(start) + dayMinutes) % dayMinutes;
      return days!.map((day) => {
        const from = weekdays.indexOf(day) * dayMinutes + minutesOf(start);
        return { from, to: from + length, wake: wake!, sleep: sleep! };
      });
    });
}

export interface Cell {
  /** How much of the hour is in a window, and which part: 0 to 1. */
  from: number;
  to: number;
}

/** Seven days of 24 hours; null: in no window. */
export function gridOf(windows: readonly ScheduleWindow[]): (Cell | null)[][] {
  const spans = spansOf(windows).flatMap(({ from, to }) => [
    { from, to },
    { from: from - weekMinutes, to: to - weekMinutes },
  ]);
  return weekdays.map((_, day) =>
    Array.from({ length: 24 }, (_, hour) => {
      const begin = day * dayMinutes + hour * 60;
      const parts = spans
        .map(({ from, to }) => ({ from: Math.max(0, from - begin), to: Math.min(60, to - begin) }))
        .filter(({ from, to }) => from < to);
      if (parts.length === 0) return null;
      const from = Math.min(...parts.map((part) => part.from));
      const to = Math.max(...parts.map((part) => part.to));
      return { from: from / 60, to: to / 60 };
    }),
  );
}

export function isWhole(cell: Cell | null | undefined): boolean {
  return cell?.from === 0 && cell.to === 1;
}

/** With this hour in a window, or in none. What lies beside it joins with it, or keeps what it was. */
export function withHour(
  windows: readonly ScheduleWindow[],
  day: number,
  hour: number,
  isOn: boolean,
): ScheduleWindow[] {
  const from = day * dayMinutes + hour * 60;
  const spans = spansOf(windows);
  return windowsFrom(isOn ? added(spans, from, from + 60) : taken(spans, from, from + 60));
}

function added(spans: readonly Span[], from: number, to: number): Span[] {
  const near = (span: Span) =>
    [-weekMinutes, 0, weekMinutes].map((by) => ({ ...span, from: span.from + by, to: span.to + by }));
  let joined: Span = { from, to, wake: true, sleep: true };
  const left: Span[] = [];
  for (const span of spans) {
    const touching = near(span).find((one) => one.from <= to && one.to >= from);
    if (!touching) {
      left.push(span);
      continue;
    }
    joined = {
      from: Math.min(joined.from, touching.from),
      to: Math.max(joined.to, touching.to),
      wake: touching.from < joined.from ? touching.wake : joined.wake,
      sleep: touching.to > joined.to ? touching.sleep : joined.sleep,
    };
  }
  return [...left, joined];
}

function taken(spans: readonly Span[], from: number, to: number): Span[] {
  return spans.flatMap((span) => {
    const by = [0, weekMinutes].find((shift) => span.from < to + shift && span.to > from + shift);
    if (by === undefined) return [span];
    const parts = [
      { ...span, to: from + by },
      { ...span, from: to + by },
    ];
    return parts.filter((part) => part.from < part.to);
  });
}

/** Spans that go on into one another are one, and each becomes windows of less than a day; the same times share their days. */
function windowsFrom(spans: readonly Span[]): ScheduleWindow[] {
  const sorted = spans
    .map((span) => ({
      ...span,
      from: span.from % weekMinutes < 0 ? span.from + weekMinutes : span.from % weekMinutes,
      length: Math.min(span.to - span.from, weekMinutes),
    }))
    .map(({ length, ...span }) => ({ ...span, to: span.from + length }))
    .sort((a, b) => a.from - b.from);
  const whole: Span[] = [];
  for (const span of sorted) {
    const last = whole.at(-1);
    if (last && !span.wake && last.to === span.from)
      whole[whole.length - 1] = { ...last, to: span.to, sleep: span.sleep };
    else whole.push(span);
  }
  const windows: ScheduleWindow[] = [];
  for (const span of whole.flatMap(piecesOf)) {
    const day = weekdays[Math.floor(span.from / dayMinutes) % 7]!;
    const { wake, sleep } = span;
    const [start, end] = [clockOf(span.from % dayMinutes), clockOf(span.to % dayMinutes)];
    const like = windows.find((w) => w.start === start && w.end === end && w.wake === wake && w.sleep === sleep);
    if (!like) windows.push({ days: [day], start, end, wake, sleep });
    else if (!like.days!.includes(day)) like.days = weekdays.filter((one) => one === day || like.days!.includes(one));
  }
  return windows;
}

/** No window is as long as a day: a longer one goes on in a second that wakes nothing. */
function piecesOf(span: Span): Span[] {
  if (span.to - span.from < dayMinutes) return [span];
  const midnight = (Math.floor(span.from / dayMinutes) + 1) * dayMinutes;
  const cut = span.from % dayMinutes === 0 ? midnight - dayMinutes / 2 : midnight;
  return [{ ...span, to: cut, sleep: false }, ...piecesOf({ ...span, from: cut, wake: false })];
}

export type ScheduleProblem = "clock" | "same" | "days" | "date" | "twice" | "zone";

/** By its place, such as `windows.0.start`. */
export function problemsOf(schedule: Schedule): Record<string, ScheduleProblem> {
  const found: Record<string, ScheduleProblem> = {};
  const check = (window: ScheduleWindow, at: string) => {
    if (!isClock(window.start)) found[`${at}.start`] = "clock";
    if (!isClock(window.end)) found[`${at}.end`] = "clock";
    else if (window.start === window.end) found[`${at}.end`] = "same";
    if (window.days?.length === 0) found[`${at}.days`] = "days";
  };
  windowsOf(schedule).forEach((window, i) => void check(window, `windows.${i}`));
  const dates = schedule.exceptions ?? [];
  for (const [i, { date, windows = [] }] of dates.entries()) {
    if (!/^\d{4}-\d{2}-\d{2}$/.test(date)) found[`exceptions.${i}.date`] = "date";
    else if (dates.findIndex((one) => one.date === date) < i) found[`exceptions.${i}.date`] = "twice";
    windows.forEach((window, j) => void check(window, `exceptions.${i}.windows.${j}`));
  }
  for (const [i, { at }] of (schedule.once ?? []).entries())
    if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/.test(at)) found[`once.${i}.at`] = "date";
  if (schedule.timezone === "") found.timezone = "zone";
  return found;
}

/** Neighbouring days as runs: `[["mon", "fri"], ["sun", "sun"]]`. */
export function runsOf(days: readonly Weekday[] | undefined): [Weekday, Weekday][] {
  const runs: [Weekday, Weekday][] = [];
  for (const day of weekdays.filter((one) => !days || days.includes(one))) {
    const last = runs.at(-1);
    if (last && weekdays.indexOf(last[1]) + 1 === weekdays.indexOf(day)) last[1] = day;
    else runs.push([day, day]);
  }
  return runs;
}
