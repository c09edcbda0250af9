/** A trace of GPU use from CSV text: `t,util`, seconds from the start and percent, each row holding until the next. */
import type { Trace, TraceRow } from "../../core/lifecycle/simulation/trace.ts";

export type ReadTrace = { ok: true; trace: Trace } | { ok: false; line: number; message: string };

/** A year at one row per second. */
const maxRows = 32_000_000;
const longestS = 10 * 366 * 86_400;

/**
 * A header, a byte order mark, CRLF, empty lines and lines that begin with # are taken. The header may name its columns
 * in another order and among others. The last row says when the trace ends.
 */
export function readTrace(text: string): ReadTrace {
  const rows: TraceRow[] = [];
  let columns = { t: 0, util: 1, count: 2, named: false };
  let startS = 0;
  let line = 0;
  for (const raw of linesOf(text)) {
    line++;
    const content = raw.trim();
    if (content === "" || content.startsWith("#")) continue;
    const fields = content.split(",").map((field) => unquote(field.trim()));
    if (rows.length === 0 && !columns.named && fields.every((field) => !/^[+-]?[.\d]/.test(field))) {
      const header = readHeader(fields);
      if (!header) return bad(line, `the header "${shorten(content)}" does not name the columns t and util`);
      columns = header;
      continue;
    }
    if (fields.length !== columns.count) {
      return bad(line, `${columns.count} columns are expected, "${shorten(content)}" has ${fields.length}`);
    }
    const t = readNumber(fields[columns.t]!);
    const util = readNumber(fields[columns.util]!);
    if (t === null) return bad(line, `t must be a number of seconds, not "${shorten(fields[columns.t]!)}"`);
    if (util === null) return bad(line, `util must be a number of percent, not "${shorten(fields[columns.util]!)}"`);
    if (t < 0) return bad(line, `t is ${t}; the trace begins at 0 or later`);
    if (util < 0 || util > 100) return bad(line, `util is ${util}; it goes from 0 to 100 percent`);
    if (rows.length === 0) startS = t;
    const atMs = Math.round((t - startS) * 1000);
    const last = rows.at(-1);
    if (last && atMs <= last.atMs) {
      return bad(
        line,
        `t is ${t}, not after the row before it (${last.atMs / 1000 + startS}): rows go forward in time`,
      );
    }
    if (t - startS > longestS)
      return bad(line, `t is ${t}: more than ten years after the first row; are these milliseconds?`);
    if (rows.length >= maxRows) return bad(line, `more than ${maxRows.toLocaleString("en-US")} rows`);
    rows.push({ atMs, util });
  }
  if (rows.length === 0) return bad(line, "there is no row in it");
  if (rows.length === 1) return bad(line, "there is one row in it; a second one must say when the trace ends");
  return { ok: true, trace: { rows: rows.slice(0, -1), endMs: rows.at(-1)!.atMs } };
}

function* linesOf(text: string): Generator<string> {
  let from = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  while (from < text.length) {
    const end = text.indexOf("\n", from);
    yield text.slice(from, end < 0 ? undefined : end);
    if (end < 0) return;
    from = end + 1;
  }
}

function readHeader(fields: string[]): { t: number; util: number; count: number; named: boolean } | null {
  const names = fields.map((field) => field.toLowerCase());
  const [t, util] = [names.indexOf("t"), names.indexOf("util")];
  return t < 0 || util < 0 ? null : { t, util, count: names.length, named: true };
}

function readNumber(field: string): number | null {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(field) && Number.isFinite(Number(field)) ? Number(field) : null;
}

function unquote(field: string): string {
  return /^".*"$/.test(field) ? field.slice(1, -1).trim() : field;
}

function shorten(text: string): string {
  const clean = text.replace(/\p{Cc}/gu, "?");
  return clean.length > 60 ? `${clean.slice(0, 57)}...` : clean;
}

function bad(line: number, message: string): ReadTrace {
  return { ok: false, line, message };
}
