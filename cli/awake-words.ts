/** Why an instance is awake: what counts as busy, and who holds it. */
import type { InstanceView } from "../core/protocol/views.ts";
import { actorWords } from "./event-words.ts";
import { formatPercent, formatTime } from "./format.ts";
import { signalAmount, signalName, signalWords } from "./signal-words.ts";

/** "Why is it still awake?", one line per reason. Null where the question does not arise. */
export function awakeReasons(view: InstanceView, now: number): string[] | null {
  if (view.status !== "running" && view.status !== "idle") return null;
  if (!view.auto_hibernation.enabled && !view.sleep_request)
    return ["Auto-hibernation is off: it stays awake until you say so."];
  if (view.awake_because.length > 0) return view.awake_because.map((one) => blockerWords(one, now));
  const sleeps = view.next?.what === "hibernate" ? ` It sleeps at ${formatTime(view.next.at, now)}.` : "";
  return [`Nothing keeps it awake.${sleeps}`];
}

function blockerWords(one: InstanceView["awake_because"][number], now: number): string {
  const until = one.until ? ` until ${formatTime(one.until, now)}` : "";
  const what = one.detail ?? "GPU";
  switch (one.code) {
    case "gpu_busy":
      return `${what} at ${formatPercent(one.value)}, the threshold is ${formatPercent(one.threshold)}`;
    case "gpu_unknown":
      return `${what} gives no reading, which counts as busy`;
    case "sensor_failed":
      return `The GPU cannot be read, which counts as busy${one.detail ? `: ${one.detail}` : ""}`;
    case "no_samples":
      return "There are no samples yet, which counts as busy";
    case "samples_stale":
      return "The last samples are too old, which counts as busy";
    case "signal_busy":
      return `${signalWords(one.signal, one.value)}, the threshold is ${signalAmount(one.signal, one.threshold)}${one.detail ? ` (${one.detail})` : ""}`;
    case "signal_unknown":
      return `${signalName(one.signal)} gives no reading, which counts as busy${one.detail ? `: ${one.detail}` : ""}`;
    case "lease":
      return `Held awake${until}${one.detail ? ` (${one.detail})` : ""}`;
    case "grace":
      return `It is left alone${until}, after a start, a wake or a sleep that failed`;
    case "hook_veto":
      return `Its before-sleep script put the sleep off${until}${one.detail ? `: ${one.detail}` : ""}`;
    default:
      return [one.signal, one.code, one.detail].filter(Boolean).join(" ");
  }
}

export function leaseWords(lease: InstanceView["leases"][number], now: number): string {
  const what = lease.what ? `: ${lease.what}` : "";
  return `until ${formatTime(lease.until, now)}, by ${actorWords(lease.by, lease.by_name)}${what}`;
}
