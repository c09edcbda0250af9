/** What GPUs did over time, as lines of blocks. */
import type { SeriesAnswer } from "../core/protocol/live.ts";
import { eventWord } from "./event-words.ts";
import { formatBytes, formatDuration, formatFacts, formatPercent, formatTime } from "./format.ts";

const blocks = [..."▁▂▃▄▅▆▇█"];
const width = 72;
const shownMarks = 12;

type Values = readonly (number | null)[];

/** One block for each step, or for the highest of some; a blank where nothing was measured, so that a gap is no zero. */
export function sparkline(values: Values, most: number): string {
  const each = Math.max(1, Math.ceil(values.length / width));
  const groups = Array.from({ length: Math.ceil(values.length / each) }, (_, i) =>
    highest(values.slice(i * each, (i + 1) * each)),
  );
  const block = (value: number) => {
    const share = most > 0 ? Math.min(1, Math.max(0, value / most)) : 0;
    return blocks[Math.round(share * (blocks.length - 1))]!;
  };
  return groups.map((value) => (value === null ? " " : block(value))).join("");
}

export function showSeries(series: SeriesAnswer, now: number): string {
  const { gpus, memory, phases, marks, threshold } = series;
  const each = Math.max(
    1,
    Math.ceil((Date.parse(series.to) - Date.parse(series.from)) / 1000 / series.step_seconds / width),
  );
  const blockMs = each * series.step_seconds * 1000;
  const time = (iso: string) => formatTime(iso, now);
  const lines = gpus.map(({ index, name, max, mean }): [string, string] => [
    `GPU ${index}${name === null ? "" : ` ${name}`}`,
    `[${sparkline(max, 100)}]  most ${formatPercent(highest(max))}, mean ${formatPercent(meanOf(mean))}`,
  ]);
  const used = highest(memory.used_mb);
  const most = memory.total_mb ?? used;
  if (used !== null && most !== null) {
    const of = memory.total_mb === null ? "" : ` of ${mb(memory.total_mb)}`;
    lines.push(["Memory", `[${sparkline(memory.used_mb, most)}]  most ${mb(used)}${of}`]);
  }
  const facts = formatFacts([
    ["From", time(series.from)],
    ["To", `${time(series.to)}, a block is ${formatDuration(blockMs)}; busy from ${formatPercent(threshold)} on`],
    ...(lines.length > 0 ? lines : [["GPUs", "nothing was measured in this time"] as [string, string]]),
    ["States", phases.length === 0 ? null : phaseWords(series, now)],
  ]);
  if (marks.length === 0) return facts;
  const older =
    marks.length > shownMarks ? `  and ${marks.length - shownMarks} before them: soneca instance events\n` : "";
  const rows = marks.slice(-shownMarks).map((one) => `  ${time(one.at)}  ${eventWord(one.event_type)}`);
  return `${facts}\n\nTurning points\n${older}${rows.join("\n")}`;
}

/** How long it was what, the longest first. */
function phaseWords({ phases, from, to }: SeriesAnswer, now: number): string {
  const total = new Map<string, number>();
  const end = Math.min(Date.parse(to), now);
  phases.forEach(({ at, status }, i) => {
    const [begins, ends] = [Math.max(Date.parse(at), Date.parse(from)), Date.parse(phases[i + 1]?.at ?? "") || end];
    total.set(status, (total.get(status) ?? 0) + Math.max(0, ends - begins));
  });
  return Array.from(total)
    .sort(([, a], [, b]) => b - a)
    .map(([status, ms]) => `${status} ${formatDuration(ms)}`)
    .join(", ");
}

function mb(megabytes: number): string {
  return formatBytes(megabytes * 1_000_000);
}

function highest(values: Values): number | null {
  return values.reduce((most, one) => (one === null ? most : Math.max(most ?? one, one)), null);
}

function meanOf(values: Values): number | null {
  const known = values.filter((one) => one !== null);
  return known.length === 0 ? null : known.reduce((sum, one) => sum + one, 0) / known.length;
}
