/** The hour of the day where the instance's people are: the zone of its schedule, else UTC. */
import type { AutoHibernation } from "../protocol/config.ts";

/** A formatter is dear to make; there are few zones. */
const formatters = new Map<string, Intl.DateTimeFormat>();

/** 0..24, to a tenth. */
export function localHour(at: number, config: Pick<AutoHibernation, "schedule">): number {
  const timeZone = config.schedule?.timezone ?? "UTC";
  let formatter = formatters.get(timeZone);
  if (!formatter) {
    formatter = new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    formatters.set(timeZone, formatter);
  }
  const parts = formatter.formatToParts(at);
  const part = (type: "hour" | "minute") => Number(parts.find((one) => one.type === type)?.value ?? 0);
  return Math.round((part("hour") + part("minute") / 60) * 10) / 10;
}
