/** An event in words: from its type and its parameters, never from free text alone. */
import type { EventView } from "../../../core/protocol/views.ts";
import type { useReader } from "../../i18n/context.tsx";

type Reader = ReturnType<typeof useReader>;

export function eventTitle(event: EventView, t: Reader["t"]): string {
  const words = t.events.types[event.event_type as keyof typeof t.events.types];
  return words ?? event.event_type.replaceAll("_", " ");
}

/** `name`: of a person, as the API has it. `me`: the id of who reads. */
export function actorTitle(actor: string, name: string | null, me: string | undefined, t: Reader["t"]): string {
  const words = t.events.actor;
  if (actor === `user:${me}`) return words.you;
  if (name) return name;
  if (actor.startsWith("proxy:")) return words.request(actor.slice("proxy:".length));
  const known = words[actor as "rule" | "agent" | "provider" | "system" | "schedule" | "reconcile"];
  return typeof known === "string" ? known : actor;
}

/** The one or two facts that say most. */
export function eventDetail(event: EventView, { t, f }: Pick<Reader, "t" | "f">): string {
  const p = event.params;
  const number = (name: string) => (typeof p[name] === "number" ? (p[name] as number) : null);
  const parts: string[] = [];
  const ms = number("wake_ms") ?? number("boot_ms") ?? number("held_ms") ?? number("silent_ms");
  if (ms !== null) parts.push(f.duration(ms));
  if (typeof p.gpu_type === "string") parts.push(p.gpu_type);
  if (typeof p.region === "string") parts.push(p.region);
  const price = number("micro_usd_per_hour");
  if (price !== null) parts.push(f.perHour(price));
  const [plain, stored] = [number("plain_bytes"), number("stored_bytes")];
  if (plain !== null) parts.push(f.bytes(plain));
  if (plain !== null && stored !== null && stored > 0) parts.push(f.ratio(plain / stored));
  if ((event.event_type === "idle_detected" || event.event_type === "active_again") && event.gpu_utilization !== null)
    parts.push(`${t.common.signal.gpu} ${f.percent(event.gpu_utilization)}`);
  const until = number("until");
  if (until !== null) parts.push(t.instance.why.until(f.moment(until, Date.now())));
  if (event.event_type === "renamed") parts.push(String(p.to ?? ""));
  if (typeof p.message === "string") parts.push(p.message);
  else if (typeof p.code === "string") parts.push(p.code.replaceAll("_", " "));
  return parts.join(", ");
}

/** What it changes in the price of an hour; null where it changes nothing. */
export function costEffect(event: EventView, f: Reader["f"], t: Reader["t"]): string | null {
  const price = event.params.micro_usd_per_hour;
  if (typeof price !== "number") return null;
  if (event.event_type === "machine_rented" || event.event_type === "machine_started")
    return t.events.starts(f.perHour(price));
  return event.event_type === "machine_gone" ? t.events.ends(f.perHour(price)) : null;
}
