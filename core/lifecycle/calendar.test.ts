/** Schedules in time: four zones, both changes of the clock, windows over midnight, days that are left out. */
import { describe, expect, it } from "vitest";
import type { Schedule } from "../protocol/schedule.ts";
import { localText, nextOccurrences } from "./calendar.ts";

const daily = (timezone: string, change: Partial<Schedule> = {}): Schedule => {
  return { wake_time: "09:00", sleep_time: "18:00", timezone, ...change };
};
const at = (text: string) => Date.parse(text);
const tell = (schedule: Schedule, after: string, count = 4) =>
  nextOccurrences(schedule, at(after), count).map(
    (one) =>
      `${one.what} ${localText(one.at, schedule.timezone)}${one.until === null ? "" : ` until ${localText(one.until, schedule.timezone)}`}`,
  );

describe("a window each day", () => {
  it("is the plan's: 09:00 to 18:00 in America/Sao_Paulo", () => {
    expect(tell(daily("America/Sao_Paulo"), "2026-11-29T05:00:00-03:00")).toEqual([
      "wake 2026-11-29T09:00:00-03:00 until 2026-11-29T18:00:00-03:00",
      "sleep 2026-11-29T18:00:00-03:00",
      "wake 2026-11-30T09:00:00-03:00 until 2026-11-30T18:00:00-03:00",
      "sleep 2026-11-30T18:00:00-03:00",
    ]);
    // What lies at the very moment is past.
    expect(tell(daily("America/Sao_Paulo"), "2026-11-29T09:00:00-03:00", 1)).toEqual([
      "sleep 2026-11-29T18:00:00-03:00",
    ]);
  });

  it.each([
    // Forward on 8 March 2026, back on 1 November.
    ["America/New_York", "2026-03-07T20:00:00-05:00", "wake 2026-03-08T09:00:00-04:00", 61],
    ["America/New_York", "2026-10-31T20:00:00-04:00", "wake 2026-11-01T09:00:00-05:00", 14],
    // Forward on 29 March 2026, back on 25 October.
    ["Europe/Lisbon", "2026-03-28T20:00:00+00:00", "wake 2026-03-29T09:00:00+01:00", 12],
    ["Europe/Lisbon", "2026-10-24T20:00:00+01:00", "wake 2026-10-25T09:00:00+00:00", 14],
    // By half an hour: back on 5 April 2026, forward on 4 October.
    ["Australia/Lord_Howe", "2026-04-04T20:00:00+11:00", "wake 2026-04-05T09:00:00+10:30", 13.5],
    ["Australia/Lord_Howe", "2026-10-03T20:00:00+10:30", "wake 2026-10-04T09:00:00+11:00", 12.5],
    // No change since 2019.
    ["America/Sao_Paulo", "2026-10-17T20:00:00-03:00", "wake 2026-10-18T09:00:00-03:00", 13],
  ])("is at nine there, also after the clocks changed: %s", (zone, after, wanted, hours) => {
    expect(tell(daily(zone), after, 1)[0]).toMatch(wanted);
    const [next] = nextOccurrences(daily(zone), at(after), 1);
    const real = (next!.at - at(after)) / 3_600_000;
    if (hours !== 61) expect(real).toBe(hours);
    else expect(real).toBe(12);
  });
});

describe("times that a clock change touches", () => {
  const night = (zone: string, start: string, end: string) => daily(zone, { windows: [{ start, end }] });

  it("one that is skipped is that much later, one that comes twice is the first", () => {
    expect(tell(night("America/New_York", "02:30", "05:00"), "2026-03-08T00:00:00-05:00", 2)).toEqual([
      "wake 2026-03-08T03:30:00-04:00 until 2026-03-08T05:00:00-04:00",
      "sleep 2026-03-08T05:00:00-04:00",
    ]);
    expect(tell(night("America/New_York", "01:30", "05:00"), "2026-11-01T00:00:00-04:00", 3)).toEqual([
      "wake 2026-11-01T01:30:00-04:00 until 2026-11-01T05:00:00-05:00",
      "sleep 2026-11-01T05:00:00-05:00",
      "wake 2026-11-02T01:30:00-05:00 until 2026-11-02T05:00:00-05:00",
    ]);
    expect(tell(night("Australia/Lord_Howe", "02:15", "04:00"), "2026-10-04T00:00:00+10:30", 1)).toEqual([
      "wake 2026-10-04T02:45:00+11:00 until 2026-10-04T04:00:00+11:00",
    ]);
  });

  it("a window that lies in the skipped hour is none that day", () => {
    const [first, second] = tell(night("Europe/Lisbon", "01:00", "02:00"), "2026-03-29T00:00:00+00:00", 2);
    expect(first).toBe("wake 2026-03-30T01:00:00+01:00 until 2026-03-30T02:00:00+01:00");
    expect(second).toBe("sleep 2026-03-30T02:00:00+01:00");
  });

  it("each day of a year has one wake and one sleep, and they alternate", () => {
    for (const zone of [
      "America/New_York",
      "Europe/Lisbon",
      "America/Sao_Paulo",
      "Australia/Lord_Howe",
      "Asia/Kathmandu",
    ]) {
      const year = nextOccurrences(daily(zone), at("2026-01-01T00:00:00Z"), 730);
      expect(year.map(({ what }) => what).filter((what, i, all) => what === all[i - 1])).toEqual([]);
      const days = year.map((one) => localText(one.at, zone).slice(0, 10));
      expect(new Set(days).size).toBeGreaterThanOrEqual(364);
      expect(year.every((one, i) => i === 0 || one.at > year[i - 1]!.at)).toBe(true);
    }
  });
});

describe("more than a window each day", () => {
  it("weekdays, and a window over midnight", () => {
    const schedule = daily("Europe/Lisbon", {
      windows: [
        { days: ["mon", "tue", "wed", "thu", "fri"], start: "08:00", end: "12:00" },
        { days: ["fri"], start: "22:00", end: "02:00" },
      ],
    });
    // 27 November 2026 is a Friday.
    expect(tell(schedule, "2026-11-27T00:00:00Z", 5)).toEqual([
      "wake 2026-11-27T08:00:00+00:00 until 2026-11-27T12:00:00+00:00",
      "sleep 2026-11-27T12:00:00+00:00",
      "wake 2026-11-27T22:00:00+00:00 until 2026-11-28T02:00:00+00:00",
      "sleep 2026-11-28T02:00:00+00:00",
      "wake 2026-11-30T08:00:00+00:00 until 2026-11-30T12:00:00+00:00",
    ]);
  });

  it("where windows touch or overlap it sleeps at the end of the last", () => {
    const schedule = daily("UTC", {
      windows: [
        { start: "08:00", end: "12:00" },
        { start: "11:00", end: "14:00" },
        { start: "14:00", end: "15:00" },
      ],
    });
    expect(
      nextOccurrences(schedule, at("2026-11-27T07:00:00Z"), 4).map(
        (one) => `${one.what} ${new Date(one.at).getUTCHours()}`,
      ),
    ).toEqual(["wake 8", "wake 11", "wake 14", "sleep 15"]);
  });

  it("a window that only wakes, and one that only sleeps", () => {
    const schedule = daily("UTC", {
      windows: [
        { start: "08:00", end: "12:00", sleep: false },
        { start: "13:00", end: "20:00", wake: false },
      ],
    });
    expect(tell(schedule, "2026-11-27T00:00:00Z", 2)).toEqual([
      "wake 2026-11-27T08:00:00+00:00 until 2026-11-27T12:00:00+00:00",
      "sleep 2026-11-27T20:00:00+00:00",
    ]);
  });

  it("a day that is left out, one with other windows, and single times", () => {
    const schedule = daily("America/Sao_Paulo", {
      exceptions: [{ date: "2026-12-24", windows: [{ start: "09:00", end: "12:00" }] }, { date: "2026-12-25" }],
      once: [
        { at: "2026-12-25T20:00", do: "wake" },
        { at: "2026-12-25T21:30", do: "hibernate" },
      ],
    });
    expect(tell(schedule, "2026-12-24T00:00:00-03:00", 5)).toEqual([
      "wake 2026-12-24T09:00:00-03:00 until 2026-12-24T12:00:00-03:00",
      "sleep 2026-12-24T12:00:00-03:00",
      "wake 2026-12-25T20:00:00-03:00 until 2026-12-25T21:00:00-03:00",
      "sleep 2026-12-25T21:30:00-03:00",
      "wake 2026-12-26T09:00:00-03:00 until 2026-12-26T18:00:00-03:00",
    ]);
  });

  it("single times alone, and nothing at all", () => {
    const only = daily("UTC", { windows: [], once: [{ at: "2031-01-01T00:00", do: "wake" }] });
    expect(tell(only, "2026-12-24T00:00:00Z")).toEqual([
      "wake 2031-01-01T00:00:00+00:00 until 2031-01-01T01:00:00+00:00",
    ]);
    expect(tell(daily("UTC", { windows: [] }), "2026-12-24T00:00:00Z")).toEqual([]);
    const never = daily("UTC", {
      windows: [{ days: ["sun"], start: "01:00", end: "02:00" }],
      exceptions: [{ date: "2026-12-27" }],
    });
    expect(tell(never, "2026-12-24T00:00:00Z", 1)).toEqual([
      "wake 2027-01-03T01:00:00+00:00 until 2027-01-03T02:00:00+00:00",
    ]);
  });
});
