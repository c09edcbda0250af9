/** What the rules in the form do, in one sentence. Pure: from the form's present values. Words between two stars are bold. */
import type { AutoHibernation } from "../../../core/protocol/config.ts";
import type { SignalName } from "../../../core/protocol/signals.ts";
import type { Words } from "../../i18n/en.ts";
import type { Formats } from "../../i18n/format.ts";

const signals: readonly SignalName[] = ["terminal", "traffic", "jupyter", "cpu", "network", "disk"];

export function idleSentence(
  draft: AutoHibernation,
  microUsdPerHour: number | null,
  { t, f }: { t: Words; f: Formats },
): string {
  const words = t.config.sentence;
  const price = microUsdPerHour === null ? null : f.perHour(microUsdPerHour);
  if (!draft.enabled) return words.off(price);
  const digits = Number.isInteger(draft.gpu_usage_threshold) ? 0 : 1;
  const threshold = f.percent(draft.gpu_usage_threshold, digits);
  const minutes = draft.pause_after_idle_minutes;
  const after = minutes === "auto" ? words.auto(threshold) : words.after(f.duration(minutes * 60_000), threshold);
  const counted = signals.filter((name) => draft.signals[name].enabled).map((name) => words.signal[name]);
  const none = counted.length === 0 ? "" : words.none(listOf(counted, f.language));
  return `${after}${none}, ${draft.pause_mode === "stop" ? words.stops(price) : words.destroys(price)}`;
}

function listOf(parts: readonly string[], language: string): string {
  return new Intl.ListFormat(language, { type: "disjunction" }).format(parts);
}

/** `[text, isBold]` of words with stars. */
export function boldParts(words: string): [text: string, isBold: boolean][] {
  return words
    .split("**")
    .map((text, i): [string, boolean] => [text, i % 2 === 1])
    .filter(([text]) => text !== "");
}
