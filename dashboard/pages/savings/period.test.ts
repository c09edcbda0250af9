import { describe, expect, test } from "vitest";
import { addDays, datesOf, daysBetween, periodOf } from "./period.ts";

const zone = "America/Sao_Paulo";
/** In São Paulo still the last evening of November. */
const now = Date.parse("2026-12-01T01:30:00Z");

describe("periods", () => {
  test("are of the reader's calendar, not of UTC's", () => {
    expect(datesOf("month", zone, now)).toEqual({ from: "2026-11-01", slots: 30 });
    expect(datesOf("month", "UTC", now)).toEqual({ from: "2026-12-01", slots: 31 });
    expect(datesOf("7d", zone, now).from).toBe("2026-11-24");
    expect(datesOf("90d", zone, now).from).toBe("2026-09-02");
    expect(datesOf("year", zone, now).from).toBe("2026-01-01");
  });

  test("a month that is over ends where the next begins", () => {
    expect(datesOf("last-month", zone, now)).toEqual({ from: "2026-10-01", to: "2026-11-01", slots: null });
    const january = Date.parse("2026-01-15T12:00:00Z");
    expect(datesOf("last-month", zone, january)).toEqual({ from: "2025-12-01", to: "2026-01-01", slots: null });
  });

  test("February has its own days", () => {
    expect(datesOf("month", "UTC", Date.parse("2028-02-10T00:00:00Z")).slots).toBe(29);
    expect(daysBetween("2026-02-01", "2026-03-01")).toBe(28);
    expect(addDays("2026-02-28", 1)).toBe("2026-03-01");
  });

  test("an unknown name in the address is this month", () => {
    expect(periodOf("decade")).toBe("month");
    expect(periodOf(null)).toBe("month");
    expect(periodOf("90d")).toBe("90d");
  });
});
