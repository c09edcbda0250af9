/** `soneca instance schedule`: when it wakes and sleeps by the clock. */

import type { AnswerOf } from "../../core/protocol/api.ts";
import { routes } from "../../core/protocol/api.ts";
import { type Schedule, type ScheduleWindow, type Weekday, weekdays } from "../../core/protocol/schedule.ts";
import { command, idArg } from "../command.ts";
import { usageFailure } from "../failure.ts";
import { checked, readSchedule } from "../settings.ts";

const repeated = "; may be repeated";

export const scheduleCommand = command({
  name: "schedule",
  description: "When it wakes and sleeps by the clock; with options, changes that",
  args: {
    ...idArg,
    daily: { type: "string", valueHint: "09:00-18:00", description: "One window each day" },
    window: {
      type: "string",
      valueHint: "'mon-fri 09:00-18:00'",
      description: `A window of its own, in place of the daily one${repeated}`,
    },
    zone: { type: "string", valueHint: "ZONE", description: "Such as America/Sao_Paulo" },
    skip: { type: "string", valueHint: "DATE", description: `No window begins on this day${repeated}` },
    "wake-once": { type: "string", valueHint: "DATETHH:MM", description: `Wake at this time${repeated}` },
    "sleep-once": { type: "string", valueHint: "DATETHH:MM", description: `Sleep at this time${repeated}` },
    hold: {
      type: "string",
      valueHint: "leases|activity|both|none",
      description: "What may hold the sleep at the end of a window (leases)",
    },
    clear: { type: "boolean", description: "Forget windows, days that are skipped and single times first" },
    off: { type: "boolean", description: "Keep it and do nothing by it" },
  },
  async run({ call, resolve, output, all }, args) {
    const params = { id: await resolve(args.id) };
    const { auto_hibernation: config } = await call("getConfig", { params });
    const change = readChange(
      { ...args, windows: all("window"), skips: all("skip"), wakes: all("wake-once"), sleeps: all("sleep-once") },
      config.schedule,
    );
    if (!change) {
      const view = await call("getInstance", { params });
      output.document({ schedule: config.schedule, wake_method: config.wake_method, next: view.schedule });
      output.print(show(config.schedule, view.schedule));
      return;
    }
    const answer = await call("putSchedule", { params, body: checked(routes.putSchedule.body, change) });
    output.document(answer);
    output.print(`Changed.\n${show(answer.auto_hibernation.schedule, answer.schedule)}`);
  },
});

interface Flags {
  daily?: string | undefined;
  zone?: string | undefined;
  hold?: string | undefined;
  clear?: boolean | undefined;
  off?: boolean | undefined;
  windows: string[];
  skips: string[];
  wakes: string[];
  sleeps: string[];
}

/** Null when nothing was asked for. What is not named stays. Errors: Failure `usage`. */
function readChange(flags: Flags, now: Schedule | null): Record<string, unknown> | null {
  const { daily, zone, hold, clear, off, windows, skips, wakes, sleeps } = flags;
  const isAsked = [daily, zone, hold, clear, off].some((one) => one !== undefined && one !== false);
  if (!isAsked && windows.length + skips.length + wakes.length + sleeps.length === 0) return null;
  const kept = clear ? {} : { windows: now?.windows, exceptions: now?.exceptions, once: now?.once };
  const once = [
    ...wakes.map((at) => ({ at, do: "wake" as const })),
    ...sleeps.map((at) => ({ at, do: "hibernate" as const })),
  ];
  const change: Record<string, unknown> = {
    hold: hold === undefined ? now?.hold : readHold(hold),
    windows: windows.length > 0 ? windows.map(readWindow) : daily === undefined ? kept.windows : undefined,
    exceptions: joined(
      kept.exceptions,
      skips.map((date) => ({ date })),
    ),
    once: joined(kept.once, once),
    ...(daily !== undefined && readSchedule(daily)),
    ...(zone !== undefined && { timezone: zone }),
    ...(off && { enabled: false }),
  };
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
}

function joined<T>(kept: readonly T[] | undefined, more: readonly T[]): T[] | undefined {
  const all = [...(kept ?? []), ...more];
  return all.length > 0 ? all : undefined;
}

/** `mon-fri 09:00-18:00`, `sat,sun 10:00-14:00`, `22:00-06:00`. */
export function readWindow(text: string): ScheduleWindow {
  const match = /^(?:([a-z,-]+)\s+)?(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})$/.exec(text.trim().toLowerCase());
  if (!match?.[2] || !match[3]) throw usageFailure(`--window takes 'mon-fri 09:00-18:00', not "${text}".`);
  const days = match[1] === undefined ? undefined : match[1].split(",").flatMap(readDays);
  return {
    ...(days && { days: [...new Set(days)] }),
    start: match[2].padStart(5, "0"),
    end: match[3].padStart(5, "0"),
  };
}

function readDays(text: string): Weekday[] {
  const [first = "", last = first] = text.split("-");
  const [from, to] = [first, last].map((day) => (weekdays as readonly string[]).indexOf(day));
  if (from === undefined || to === undefined || from < 0 || to < 0)
    throw usageFailure(`"${text}" is no day of the week.`, `Days are ${weekdays.join(", ")}, or two with - between.`);
  return from <= to ? weekdays.slice(from, to + 1) : [...weekdays.slice(from), ...weekdays.slice(0, to + 1)];
}

function readHold(text: string): { leases: boolean; activity: boolean } {
  const known = { leases: [true, false], activity: [false, true], both: [true, true], none: [false, false] } as const;
  const found = Object.hasOwn(known, text) ? known[text as keyof typeof known] : null;
  if (!found) throw usageFailure(`--hold takes leases, activity, both or none, not "${text}".`);
  return { leases: found[0], activity: found[1] };
}

function show(schedule: Schedule | null, next: AnswerOf<"putSchedule">["schedule"]): string {
  if (!schedule) return "There is no schedule.\n";
  const windows = schedule.windows ?? [{ start: schedule.wake_time, end: schedule.sleep_time }];
  const lines = windows.map((one) => `${one.days?.join(",") ?? "every day"} ${one.start}-${one.end}`);
  const skipped = schedule.exceptions?.map(
    ({ date, windows: other }) => `${date}: ${other?.length ? "other windows" : "none"}`,
  );
  const once = schedule.once?.map(
    (one) => `${one.do === "wake" ? "wake" : "sleep"} once at ${one.at.replace("T", " ")}`,
  );
  const rest = next
    ? next.next.map(({ what, local }) => `next: ${what}s ${local.slice(0, 16).replace("T", " ")}`)
    : ["It does nothing now: turn it on by naming any part of it."];
  return `${[...lines, ...(skipped ?? []), ...(once ?? []), `zone: ${schedule.timezone}`, ...rest].join("\n")}\n`;
}
