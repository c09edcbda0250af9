/** What other settings would have done, for people: beside what the present ones would have. */
import type { AutoHibernation } from "../core/protocol/config.ts";
import type { PreviewAnswer } from "../core/protocol/live.ts";
import { leavesOf, settingAt } from "../core/protocol/policy.ts";
import { formatDuration, formatMoney, formatRate, formatTable, formatTime } from "./format.ts";
import { balanceWords } from "./money-words.ts";
import { configSentence } from "./rule-words.ts";
import { valueWords } from "./show-settings.ts";

export interface Previewed extends PreviewAnswer {
  settings: { as_is: AutoHibernation; as_set: AutoHibernation };
}
type Replay = NonNullable<PreviewAnswer["replay"]>;

/** The newest; all of them are in --json. */
const shownSleeps = 8;
const longUnknownSeconds = 3_600;

export function showPreview({ settings, replay, schedule }: Previewed, now: number): string {
  return [
    changesWords(settings),
    replay === null
      ? "What it would have done cannot be said: there is less than a day of samples, or a price, a size or a time is not known yet."
      : replayWords(replay, now),
    schedule && clockWords(schedule),
    "Nothing was changed. `soneca instance config ID` with the same options sets it.",
  ]
    .filter((one) => one !== null)
    .join("\n\n");
}

/** Only what differs: all settings are what `config` shows. */
function changesWords({ as_is, as_set }: Previewed["settings"]): string {
  const names = [...new Set([...leavesOf(as_is), ...leavesOf(as_set)])];
  const rows = names
    .map((name) => [name, ...[as_is, as_set].map((one) => valueWords(settingAt(one, name) ?? null))])
    .filter(([, before, after]) => before !== after);
  if (rows.length === 0) return `No setting would be another one. ${configSentence(as_is)}`;
  return `${formatTable(["SETTING", "NOW", "THEN"], rows)}\n\n${configSentence(as_set)}`;
}

function replayWords(replay: Replay, now: number): string {
  const { as_is, as_set, from, to } = replay;
  const time = (iso: string) => formatTime(iso, now);
  const duration = (seconds: number) => (seconds === 0 ? "-" : formatDuration(seconds * 1000));
  const row = (name: string, of: (one: Replay["as_is"]) => string) => [name, of(as_is), of(as_set)];
  const table = formatTable(
    ["", "NOW", "THEN"],
    [
      row("Sleeps", (one) => String(one.sleeps)),
      row("Asleep", (one) => duration(one.asleep_seconds)),
      row("Waited for wakes", (one) => duration(one.waited_seconds)),
      row("Paid", (one) => formatMoney(one.paid_micro_usd)),
      row("Against never sleeping", (one) => balanceWords(one.saved_micro_usd)),
    ],
    ["NOW", "THEN"],
  );
  const more = as_set.saved_micro_usd - as_is.saved_micro_usd;
  const sum = more === 0 ? "It would have cost the same." : moreWords(more);
  const unknown =
    replay.unknown_seconds > longUnknownSeconds
      ? [`For ${formatDuration(replay.unknown_seconds * 1000)} of it nothing was measured.`]
      : [];
  return [
    `From ${time(from)} to ${time(to)}, at ${formatRate(replay.micro_usd_per_hour)}, as its GPUs were used:`,
    table,
    [sum, ...unknown, "Other signals are not kept, so they are not replayed."].join(" "),
    ...sleepLines(as_set.asleep, time),
  ].join("\n");
}

function moreWords(microUsd: number): string {
  return `It would have cost ${formatMoney(Math.abs(microUsd))} ${microUsd > 0 ? "less" : "more"}.`;
}

function sleepLines(asleep: Replay["as_set"]["asleep"], time: (iso: string) => string): string[] {
  if (asleep.length === 0) return [];
  const older = asleep.length > shownSleeps ? [`  ${asleep.length - shownSleeps} before them, see --json`] : [];
  const lines = asleep.slice(-shownSleeps).map(({ from, to }) => {
    return `  ${time(from)} to ${time(to)}, ${formatDuration(Date.parse(to) - Date.parse(from))}`;
  });
  return ["", "Then asleep", ...older, ...lines];
}

function clockWords({ next, clock_changes }: NonNullable<PreviewAnswer["schedule"]>): string {
  const steps = next.map(({ what, local }) => `  ${what}s ${local.slice(0, 16).replace("T", " ")}`);
  const changes = clock_changes.map(
    ({ date, shift_minutes }) =>
      `  on ${date} the clock goes ${Math.abs(shift_minutes)} min ${shift_minutes > 0 ? "forward" : "back"} while it is open`,
  );
  return ["By the clock", ...(steps.length > 0 ? steps : ["  nothing is in sight"]), ...changes].join("\n");
}
