/** Periods by the reader's own calendar: whole days of the zone, up to now or up to where another month begins. */

export const periods = ["7d", "month", "last-month", "90d", "year"] as const;
export type PeriodName = (typeof periods)[number];

export interface PeriodDates {
  from: string;
  /** Not counted itself; without it: up to now. */
  to?: string;
  /** Days that the chart has room for: a month is drawn whole from its first day on. Null: as many as there are. */
  slots: number | null;
}

export function periodOf(name: string | null): PeriodName {
  return periods.find((one) => one === name) ?? "month";
}

export function datesOf(period: PeriodName, zone: string, now: number): PeriodDates {
  const today = dateIn(zone, now);
  const month = `${today.slice(0, 7)}-01`;
  const before = `${addDays(month, -1).slice(0, 7)}-01`;
  switch (period) {
    case "7d":
      return { from: addDays(today, -6), slots: null };
    case "90d":
      return { from: addDays(today, -89), slots: null };
    case "year":
      return { from: `${today.slice(0, 4)}-01-01`, slots: null };
    case "last-month":
      return { from: before, to: month, slots: null };
    case "month":
      return { from: month, slots: daysBetween(month, `${addDays(month, 31).slice(0, 7)}-01`) };
  }
}

/** The date that it is in the zone. */
export function dateIn(zone: string, now: number): string {
  const options = { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" } as const;
  const parts = new Intl.DateTimeFormat("en-CA", options).formatToParts(now);
  const of = (type: string) => parts.find((part) => part.type === type)!.value;
  return `${of("year")}-${of("month")}-${of("day")}`;
}

export function addDays(date: string, days: number): string {
  return new Date(Date.parse(date) + days * 86_400_000).toISOString().slice(0, 10);
}

export function daysBetween(from: string, to: string): number {
  return Math.round((Date.parse(to) - Date.parse(from)) / 86_400_000);
}
