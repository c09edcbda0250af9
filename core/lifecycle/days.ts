/** The days of a time zone as spans of time. Summer time makes some of them 23 or 25 hours long. */
import { quarterMs, type Span } from "./books.ts";

const dayMs = 86_400_000;

export interface Day extends Span {
  /** 2026-11-28. */
  date: string;
}

/** The days, or parts of days, of the span. */
export function daysOf(span: Span, timeZone: string): Day[] {
  const dateOf = dateReader(timeZone);
  const days: Day[] = [];
  for (let fromAt = span.fromAt; fromAt < span.toAt; ) {
    const date = dateOf(fromAt);
    const toAt = Math.min(span.toAt, firstOf(nextDate(date), dateOf));
    days.push({ date, fromAt, toAt });
    fromAt = toAt;
  }
  return days;
}

/** When the day of this moment began. */
export function startOfDay(at: number, timeZone: string): number {
  const dateOf = dateReader(timeZone);
  return firstOf(dateOf(at), dateOf);
}

/** When the date (2026-11-28) begins there. */
export function startOfDate(date: string, timeZone: string): number {
  return firstOf(date, dateReader(timeZone));
}

function dateReader(timeZone: string): (at: number) => string {
  const format = new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" });
  return (at) => format.format(at);
}

function nextDate(date: string): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + dayMs).toISOString().slice(0, 10);
}

/** The first moment of a date: zones are at most 14 hours from UTC and change by whole quarters of an hour. */
function firstOf(date: string, dateOf: (at: number) => string): number {
  const utc = Date.parse(`${date}T00:00:00Z`);
  let [low, high] = [-15 * 4, 15 * 4];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (dateOf(utc + middle * quarterMs) >= date) high = middle;
    else low = middle + 1;
  }
  return utc + low * quarterMs;
}
