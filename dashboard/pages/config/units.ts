/** What people type, to the contract's values, and back. */
import type { Language } from "../../i18n/format.ts";

/** Null: no number. Both marks are taken; the one that is not the language's own groups by threes, or else is a decimal mark. */
export function readNumber(text: string, language: Language): number | null {
  const bare = text.replace(/[\s\u00a0]/g, "").replace("−", "-");
  const [mark, other] = language === "pt-BR" ? [",", "."] : [".", ","];
  const grouped = new RegExp(`^-?[1-9]\\d{0,2}(\\${other}\\d{3})+(\\${mark}\\d*)?$`);
  const plain = grouped.test(bare) ? bare.replaceAll(other, "") : bare.replace(other, mark);
  const dotted = plain.replace(mark, ".");
  return /^-?(\d+\.?\d*|\.\d+)$/.test(dotted) ? Number(dotted) : null;
}

export function writeNumber(value: number, language: Language): string {
  const text = String(Number(value.toPrecision(12)));
  return language === "pt-BR" ? text.replace(".", ",") : text;
}

/** From the unit that is shown to the one that is kept, without the dust of binary fractions. */
export function scaled(shown: number, per: number): number {
  return Number((shown * per).toPrecision(12));
}

export const rateUnits = [
  { word: "KB/s", per: 1_000 },
  { word: "MB/s", per: 1_000_000 },
] as const;

/** The larger unit, once the number in it is not below one. */
export function rateUnitOf(bytesPerSecond: number): number {
  return bytesPerSecond >= 1_000_000 ? 1 : 0;
}

/** `9`, `930`, `09:30`, `9h30` to `09:30`. Null: no time of day. */
export function readClock(text: string): string | null {
  const match = /^\s*(\d{1,2})\s*(?:[:h.]\s*(\d{2})?|(\d{2}))?\s*$/i.exec(text);
  if (!match) return null;
  const [hour, minute] = [Number(match[1]), Number(match[2] ?? match[3] ?? 0)];
  if (hour > 23 || minute > 59) return null;
  return `${String(hour).padStart(2, "0")}:${String(minute).padStart(2, "0")}`;
}

/** `8888, 6006`. Null: something in it is no port. */
export function readPorts(text: string): number[] | null {
  const parts = text.split(/[\s,;]+/).filter(Boolean);
  const ports = parts.map((part) => (/^\d+$/.test(part) ? Number(part) : 0));
  return ports.every((port) => port >= 1 && port <= 65_535) && ports.length <= 32 ? [...new Set(ports)] : null;
}

/** One path a line. Null: one that begins with neither / nor *. */
export function readPaths(text: string): string[] | null {
  const paths = text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
  return paths.every((path) => /^[/*]/.test(path) && path.length <= 200) && paths.length <= 50 ? paths : null;
}
