/** What the chart draws: a bar a day, or a bar a week where days would be too thin to see. */
import type { SavingsAnswer } from "../../../core/protocol/money.ts";
import { machinePaid, storagePaid } from "./amounts.ts";
import { addDays } from "./period.ts";

type Day = SavingsAnswer["days"][number];

export interface Bar {
  /** Of its first day. */
  date: string;
  from: string;
  machine: number;
  storage: number;
  saved: number;
  alwaysOn: number;
  hoursAwake: number;
  hoursAsleep: number;
}

const mostDays = 100;

export function isPerWeek(days: readonly Day[]): boolean {
  return days.length > mostDays;
}

export function barsOf(days: readonly Day[]): Bar[] {
  const all = days.map(barOf);
  if (!isPerWeek(days)) return all;
  const weeks = new Map<string, Bar[]>();
  for (const bar of all) {
    const monday = mondayOf(bar.date);
    weeks.set(monday, [...(weeks.get(monday) ?? []), bar]);
  }
  return [...weeks.values()].map((week) => week.reduce(add));
}

function barOf(day: Day): Bar {
  return {
    date: day.date,
    from: day.from,
    machine: machinePaid(day.paid),
    storage: storagePaid(day.paid),
    saved: day.saved_micro_usd,
    alwaysOn: day.always_on_micro_usd,
    hoursAwake: day.hours_awake,
    hoursAsleep: day.hours_hibernated,
  };
}

function add(sum: Bar, bar: Bar): Bar {
  return {
    ...sum,
    machine: sum.machine + bar.machine,
    storage: sum.storage + bar.storage,
    saved: sum.saved + bar.saved,
    alwaysOn: sum.alwaysOn + bar.alwaysOn,
    hoursAwake: sum.hoursAwake + bar.hoursAwake,
    hoursAsleep: sum.hoursAsleep + bar.hoursAsleep,
  };
}

function mondayOf(date: string): string {
  return addDays(date, -((new Date(date).getUTCDay() + 6) % 7));
}
