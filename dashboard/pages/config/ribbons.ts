/** The days of a replay as ribbons: awake, slept as it is set now, and what the settings in the form would change. */
import type { PreviewAnswer } from "../../../core/protocol/live.ts";

export type Replay = NonNullable<PreviewAnswer["replay"]>;
export type PieceKind = "awake" | "slept" | "more" | "less";

export interface Piece {
  kind: PieceKind;
  /** Of the day, 0 to 1. */
  from: number;
  to: number;
}

export interface Day {
  at: number;
  pieces: Piece[];
  /** How long, ms. */
  sums: Record<PieceKind, number>;
}

const stepMs = 15 * 60_000;

export function daysOf(replay: Replay, zone: string): Day[] {
  const [from, to] = [Date.parse(replay.from), Date.parse(replay.to)];
  const [asIs, asSet] = [replay.as_is.asleep, replay.as_set.asleep].map((all) =>
    all.map((one) => [Date.parse(one.from), Date.parse(one.to)] as const),
  ) as [Interval[], Interval[]];
  const starts = dayStarts(from, to, zone);
  const edges = [from, to, ...starts, ...[...asIs, ...asSet].flat()].filter((at) => at >= from && at <= to);
  const sorted = [...new Set(edges)].sort((a, b) => a - b);
  return starts.map((at, i) => {
    const end = starts[i + 1] ?? nextMidnight(at, zone);
    const sums = { awake: 0, slept: 0, more: 0, less: 0 };
    const pieces: Piece[] = [];
    for (const [j, begin] of sorted.entries()) {
      const until = sorted[j + 1];
      if (until === undefined || begin < at || begin >= end) continue;
      const kind = kindOf(isIn(asIs, begin), isIn(asSet, begin));
      sums[kind] += until - begin;
      const piece = { kind, from: (begin - at) / (end - at), to: (until - at) / (end - at) };
      const last = pieces.at(-1);
      if (last?.kind === kind) last.to = piece.to;
      else pieces.push(piece);
    }
    return { at, pieces, sums };
  });
}

type Interval = readonly [from: number, to: number];

function isIn(intervals: readonly Interval[], at: number): boolean {
  return intervals.some(([from, to]) => from <= at && at < to);
}

function kindOf(slept: boolean, sleeps: boolean): PieceKind {
  if (slept) return sleeps ? "slept" : "less";
  return sleeps ? "more" : "awake";
}

/** The midnights of the zone, the one before `from` first. */
function dayStarts(from: number, to: number, zone: string): number[] {
  const starts = [lastMidnight(from, zone)];
  while (starts.length < 60) {
    const next = nextMidnight(starts.at(-1)!, zone);
    if (next >= to) break;
    starts.push(next);
  }
  return starts;
}

function lastMidnight(at: number, zone: string): number {
  const dayOf = dayIn(zone);
  let start = Math.floor(at / stepMs) * stepMs;
  while (dayOf(start - stepMs) === dayOf(at)) start -= stepMs;
  return start;
}

/** Days are of 23 to 25 hours; offsets of zones are whole quarters of an hour. */
function nextMidnight(start: number, zone: string): number {
  const dayOf = dayIn(zone);
  let next = start + 22 * 3_600_000;
  while (dayOf(next) === dayOf(start)) next += stepMs;
  return next;
}

function dayIn(zone: string): (at: number) => string {
  const format = new Intl.DateTimeFormat("en-CA", { timeZone: zone, dateStyle: "short" });
  return (at) => format.format(at);
}
