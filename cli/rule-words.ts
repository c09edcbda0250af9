/** The idle rule in sentences: as it is set, and when it lets a machine go. */
import type { AutoHibernation } from "../core/protocol/config.ts";
import { signalNames } from "../core/protocol/signals.ts";
import type { InstanceView } from "../core/protocol/views.ts";
import { formatPercent } from "./format.ts";
import { signalName } from "./signal-words.ts";

export function configSentence(config: AutoHibernation): string {
  if (!config.enabled) return "Auto-hibernation is off: it never goes to sleep by itself.";
  const { pause_after_idle_minutes: pause } = config;
  const after =
    pause === "auto"
      ? `When it stays below ${formatPercent(config.gpu_usage_threshold)} GPU for so long that sleeping pays,`
      : `After ${minutes(pause)} below ${formatPercent(config.gpu_usage_threshold)} GPU`;
  const others = signalNames.filter((name) => config.signals[name].enabled).map(signalName);
  const quiet = others.length === 0 ? "" : `${pause === "auto" ? "" : ","} with ${others.join(", ")} quiet as well,`;
  const end = config.pause_mode === "stop" ? "stops the machine, whose disk goes on costing" : "gives the machine back";
  const later = config.pause_mode === "stop" ? "the machine is given back, it" : "it";
  return `${after}${quiet} it takes a snapshot, proves it and ${end}; ${minutes(config.delete_after_pause_minutes)} later ${later} becomes deleted, and its snapshot stays.`;
}

/** When the idle rule lets the machine go and why; null where there is nothing to tell. */
export function sleepRuleWords(view: InstanceView): string | null {
  const { tau_seconds, reason, break_even_seconds } = view.sleep_rule;
  if (reason !== null) {
    return tau_seconds === null ? `not by itself: ${reason}` : `after ${minutes(tau_seconds / 60)} idle: ${reason}`;
  }
  return break_even_seconds === null ? null : `pays after ${minutes(break_even_seconds / 60)} idle`;
}

function minutes(count: number): string {
  return count >= 1 || count === 0 ? `${Math.round(count * 100) / 100} min` : `${Math.round(count * 60)} s`;
}
