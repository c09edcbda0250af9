/** Numbers, money, sizes, times and tables for people. Pure: the zone and the present are given. */
import { stripVTControlCharacters } from "node:util";

const missing = "-";

/** `US$ 0.42`; amounts under a cent keep four decimals so that they are not shown as nothing. */
export function formatMoney(microUsd: number | null): string {
  if (microUsd === null) return missing;
  const decimals = microUsd > 0 && microUsd < 10_000 ? 4 : 2;
  const text = (microUsd / 1_000_000).toLocaleString("en-US", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
  return `US$ ${text}`;
}

export function formatRate(microUsdPerHour: number | null): string {
  return microUsdPerHour === null ? missing : `${formatMoney(microUsdPerHour)}/h`;
}

export function formatBytes(bytes: number | null): string {
  if (bytes === null) return missing;
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit > 0 && value < 99.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** `45 s`, `6 min`, `3 h 20 min`, `2 d 4 h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return pair(hours, "h", minutes % 60, "min");
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

function pair(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

/** `2:14`, `1:02:09`. */
export function formatCountdown(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const tail = `${String(m).padStart(h > 0 ? 2 : 1, "0")}:${String(s).padStart(2, "0")}`;
  return h > 0 ? `${h}:${tail}` : tail;
}

/** `in 2:14`. */
export function formatUntil(iso: string, now: number): string {
  const ms = Date.parse(iso) - now;
  return ms <= 0 ? "any moment now" : `in ${formatCountdown(ms)}`;
}

export function formatAge(iso: string | null, now: number): string {
  if (iso === null) return "never";
  const age = now - Date.parse(iso);
  if (age < -1_500) return `in ${formatDuration(-age)}`;
  return age < 2_000 ? "now" : `${formatDuration(age)} ago`;
}

/** `24 Nov 14:34 GMT-3`; with seconds where they matter, with the year where it is another one. */
export function formatTime(iso: string, now: number, options: { seconds?: boolean; zone?: string } = {}): string {
  const at = new Date(iso);
  const timeZone = options.zone;
  const year = new Intl.DateTimeFormat("en-GB", { year: "numeric", ...(timeZone && { timeZone }) });
  const parts = new Intl.DateTimeFormat("en-GB", {
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
    timeZoneName: "short",
    ...(options.seconds && { second: "2-digit" }),
    ...(timeZone && { timeZone }),
  }).formatToParts(at);
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.find((one) => one.type === type)?.value ?? "";
  const isOtherYear = year.format(at) !== year.format(new Date(now));
  const date = [part("day"), part("month").slice(0, 3), isOtherYear ? year.format(at) : null].filter(Boolean).join(" ");
  const clock = [part("hour"), part("minute"), options.seconds ? part("second") : null].filter(Boolean).join(":");
  return `${date} ${clock} ${part("timeZoneName")}`;
}

export function formatPercent(value: number | null): string {
  return value === null ? missing : `${Math.round(value * 10) / 10} %`;
}

export function formatGpu(type: string | null, count: number | null): string {
  if (type === null) return count === null || count === 1 ? "any GPU" : `${count}x any GPU`;
  return count === null ? type : `${count}x ${type}`;
}

/** Columns as wide as their widest cell; colour codes take no room. No trailing blanks. */
export function formatTable(headers: string[], rows: string[][], rightAligned: readonly string[] = []): string {
  const all = [headers, ...rows];
  const widths = headers.map((_, column) => Math.max(...all.map((row) => widthOf(row[column] ?? ""))));
  const line = (row: string[]) =>
    headers
      .map((header, column) => {
        const cell = row[column] ?? "";
        const blanks = " ".repeat((widths[column] ?? 0) - widthOf(cell));
        return rightAligned.includes(header) ? blanks + cell : cell + blanks;
      })
      .join("  ")
      .trimEnd();
  return all.map(line).join("\n");
}

/** `label  value` lines under each other. A null value leaves its line out. */
export function formatFacts(facts: [string, string | null][]): string {
  const shown = facts.filter((fact): fact is [string, string] => fact[1] !== null);
  const width = Math.max(...shown.map(([label]) => label.length));
  const indent = `\n${" ".repeat(width + 2)}`;
  return shown.map(([label, value]) => `${label.padEnd(width)}  ${value.replaceAll("\n", indent)}`).join("\n");
}

function widthOf(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

/**
 * Everything that came from outside, made harmless for a terminal: no control characters, no marks that turn the
 * direction of the text. Arrays and objects are walked through.
 */
export function cleanDeep<T>(value: T): T {
  if (typeof value === "string") return cleanText(value) as T;
  if (Array.isArray(value)) return value.map(cleanDeep) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [cleanText(key), cleanDeep(one)])) as T;
}

/** Sequences go whole, so that no half of one is left to read; stripVTControlCharacters takes readable text with it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const sequences = /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const controls = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g;

function cleanText(text: string): string {
  return text.replace(sequences, "").replace(controls, " ");
}

export function expiryWords(iso: string, now: number): string {
  const time = formatTime(iso, now);
  return Date.parse(iso) <= now ? `expired ${time}` : `${time} (${formatAge(iso, now)})`;
}
