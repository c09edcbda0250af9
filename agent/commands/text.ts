/** Names and numbers as people and JSON get them. Paths inside the engine are byte strings. */
import { textOfBytes } from "../fs/paths.ts";

/** For JSON. `pathHex` has the exact bytes where they are not UTF-8. */
export function pathFields(path: string): { path: string; pathHex?: string } {
  const text = textOfBytes(path);
  const isExact = Buffer.from(text, "utf8").toString("latin1") === path;
  return isExact ? { path: text } : { path: text, pathHex: Buffer.from(path, "latin1").toString("hex") };
}

/** For a terminal: a name cannot move the cursor, change colours or look like a line of its own. */
export function printable(text: string): string {
  let out = "";
  for (const char of text) {
    const code = char.codePointAt(0)!;
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) out += `\\x${code.toString(16).padStart(2, "0")}`;
    else if (
      code === 0x2028 ||
      code === 0x2029 ||
      (code >= 0x202a && code <= 0x202e) ||
      (code >= 0x2066 && code <= 0x2069)
    )
      out += `\\u${code.toString(16)}`;
    else out += char;
  }
  return out;
}

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function size(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  // Not toLocaleString: that takes 13 ms to begin with.
  return `${String(n).replace(/\B(?=(\d{3})+$)/g, ",")} ${n === 1 ? one : many}`;
}

/** `2026-11-24 19:20:37`, UTC; whole seconds where a Date cannot hold the year. */
export function time(ns: bigint): string {
  const ms = ns / 1_000_000n;
  if (ms > 8_640_000_000_000_000n || ms < -8_640_000_000_000_000n) return `${ns / 1_000_000_000n} s`;
  return new Date(Number(ms)).toISOString().slice(0, -5).replace("T", " ");
}
