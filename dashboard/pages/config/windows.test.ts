import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ScheduleWindow } from "../../../core/protocol/schedule.ts";
import { gridOf, isWhole, normalSchedule, problemsOf, runsOf, weekdays, withHour } from "./windows.ts";

const days = weekdays.slice(0, 5);
const week: ScheduleWindow[] = [{ days, start: "09:00", end: "18:00", wake: true, sleep: true }];
const hoursOf = (windows: readonly ScheduleWindow[]) => gridOf(windows).map((day) => day.map(isWhole));

describe("the grid", () => {
  test("has the hours of the windows, and the parts of hours", () => {
    const grid = gridOf([{ days: ["mon"], start: "09:15", end: "11:30" }]);
    expect(grid[0]![8]).toBeNull();
    expect(grid[0]![9]).toEqual({ from: 0.25, to: 1 });
    expect(grid[0]![10]).toEqual({ from: 0, to: 1 });
    expect(grid[0]![11]).toEqual({ from: 0, to: 0.5 });
    expect(grid[1]!.every((cell) => cell === null)).toBe(true);
  });

  test("goes over midnight, and over the end of the week", () => {
    const grid = hoursOf([{ days: ["sun"], start: "22:00", end: "02:00" }]);
    expect(grid[6]!.map(Number).join("")).toBe("000000000000000000000011");
    expect(grid[0]!.map(Number).join("")).toBe("110000000000000000000000");
  });

  test("every day, where none is named", () => {
    expect(hoursOf([{ start: "09:00", end: "10:00" }]).every((day) => day[9])).toBe(true);
  });

  test("leaves out what has no times yet", () => {
    expect(
      hoursOf([{ start: "9", end: "10:00" }])
        .flat()
        .some(Boolean),
    ).toBe(false);
  });
});

describe("an hour that is changed", () => {
  test("joins with the window beside it, on its day alone", () => {
    expect(withHour(week, 0, 18, true)).toEqual(
      [
        { days: ["tue", "wed", "thu", "fri"], start: "09:00", end: "18:00", wake: true, sleep: true },
        { days: ["mon"], start: "09:00", end: "19:00", wake: true, sleep: true },
      ].sort((a) => (a.days.includes("mon") ? -1 : 1)),
    );
  });

  test("parts a window in two, and back again makes it one", () => {
    const parted = withHour(week, 2, 12, false);
    expect(parted).toContainEqual({ days: ["wed"], start: "09:00", end: "12:00", wake: true, sleep: true });
    expect(parted).toContainEqual({ days: ["wed"], start: "13:00", end: "18:00", wake: true, sleep: true });
    expect(withHour(parted, 2, 12, true)).toEqual(week);
  });

  test("away from all others is a window of its own, that wakes and sleeps", () => {
    expect(withHour([], 5, 23, true)).toEqual([
      { days: ["sat"], start: "23:00", end: "00:00", wake: true, sleep: true },
    ]);
  });

  test("keeps what the window it joins does at its other end", () => {
    const quiet: ScheduleWindow[] = [{ days: ["mon"], start: "09:00", end: "10:00", wake: false, sleep: false }];
    expect(withHour(quiet, 0, 10, true)).toEqual([
      { days: ["mon"], start: "09:00", end: "11:00", wake: false, sleep: true },
    ]);
    expect(withHour(quiet, 0, 8, true)).toEqual([
      { days: ["mon"], start: "08:00", end: "10:00", wake: true, sleep: false },
    ]);
  });

  test("takes the rest of an hour that is in a window for a part", () => {
    expect(withHour([{ days: ["mon"], start: "09:15", end: "11:00" }], 0, 9, true)).toEqual([
      { days: ["mon"], start: "09:00", end: "11:00", wake: true, sleep: true },
    ]);
    expect(withHour([{ days: ["mon"], start: "09:15", end: "11:00" }], 0, 9, false)).toEqual([
      { days: ["mon"], start: "10:00", end: "11:00", wake: true, sleep: true },
    ]);
  });

  test("a whole day is two windows, of which the second wakes nothing", () => {
    let windows: ScheduleWindow[] = [];
    for (let hour = 0; hour < 24; hour++) windows = withHour(windows, 0, hour, true);
    expect(windows).toEqual([
      { days: ["mon"], start: "00:00", end: "12:00", wake: true, sleep: false },
      { days: ["mon"], start: "12:00", end: "00:00", wake: false, sleep: true },
    ]);
    expect(hoursOf(windows)[0]!.every(Boolean)).toBe(true);
  });

  test("any hours, in any order: the grid is what was pressed, and every window can be sent", () => {
    const press = fc.record({ day: fc.nat(6), hour: fc.nat(23), isOn: fc.boolean() });
    fc.assert(
      fc.property(fc.array(press, { maxLength: 120 }), (presses) => {
        const wanted = weekdays.map(() => Array.from({ length: 24 }, () => false));
        let windows: ScheduleWindow[] = [];
        for (const { day, hour, isOn } of presses) {
          windows = withHour(windows, day, hour, isOn);
          wanted[day]![hour] = isOn;
        }
        expect(hoursOf(windows)).toEqual(wanted);
        const schedule = { wake_time: "09:00", sleep_time: "18:00", timezone: "UTC", windows };
        expect(problemsOf(schedule)).toEqual({});
      }),
      { numRuns: 200 },
    );
  });

  test("the whole week", () => {
    let windows: ScheduleWindow[] = [];
    for (let at = 0; at < 168; at++) windows = withHour(windows, Math.floor(at / 24), at % 24, true);
    expect(hoursOf(windows).flat().every(Boolean)).toBe(true);
    windows = withHour(windows, 3, 4, false);
    expect(
      hoursOf(windows)
        .flat()
        .filter((is) => !is),
    ).toHaveLength(1);
  });
});

describe("a schedule", () => {
  const plain = { wake_time: "09:00", sleep_time: "18:00", timezone: "America/Sao_Paulo" };

  test("has one form, whichever way it was written", () => {
    const written = { ...plain, windows: [{ start: "09:00", end: "18:00", days: [...weekdays].reverse() }] };
    expect(normalSchedule(written)).toEqual(normalSchedule(plain));
    expect(normalSchedule(plain).hold).toEqual({ leases: true, activity: false });
  });

  test("says what is wrong and where", () => {
    const windows: ScheduleWindow[] = [
      { days: [], start: "9", end: "10:00" },
      { days: ["mon"], start: "09:00", end: "09:00" },
    ];
    const exceptions = [{ date: "2026-12-25" }, { date: "2026-12-25", windows: [] }, { date: "" }];
    expect(problemsOf({ ...plain, windows, exceptions, once: [{ at: "", do: "wake" }] })).toEqual({
      "windows.0.days": "days",
      "windows.0.start": "clock",
      "windows.1.end": "same",
      "exceptions.1.date": "twice",
      "exceptions.2.date": "date",
      "once.0.at": "date",
    });
  });

  test("names neighbouring days as runs", () => {
    expect(runsOf(["mon", "tue", "wed", "sun"])).toEqual([
      ["mon", "wed"],
      ["sun", "sun"],
    ]);
    expect(runsOf(undefined)).toEqual([["mon", "sun"]]);
  });
});
