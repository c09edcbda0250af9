/**
 * What the GPUs of an instance did over time: steps of 10 s for an hour, of a minute for a day, of ten minutes for today
 * and yesterday. Each day of ten-minute steps is handed out when it is over, and kept elsewhere for 90 days. Pure.
 *
 * One machine after another continues the same series: a line is an index, and its name is that of the newest GPU there.
 */
import type { Sample } from "./idle.ts";
import { maxColumns, StepRing, type StepValues, type Use } from "./step-ring.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;
export const seriesDays = 90;
const coarseMs = 10 * minuteMs;
const coarseOfDay = dayMs / coarseMs;
/** No agent reports so seldom; the rest of a longer interval is not believed. */
const longestMs = hourMs;
const version = 1;
const headerWords = 5;

/** A day that is over, or had something added to it since. */
export interface DayOfSeries {
  /** Days since the epoch. */
  day: number;
  bytes: Uint8Array<ArrayBuffer>;
}

/** Null: nothing was measured. */
export interface SeriesSteps {
  fromAt: number;
  toAt: number;
  stepMs: number;
  gpus: { index: number; name: string | null; max: (number | null)[]; mean: (number | null)[] }[];
  usedMb: (number | null)[];
  /** The most of any step. */
  totalMb: number | null;
}

export interface Peak {
  fromAt: number;
  toAt: number;
  /** Percent, of the busiest GPU. */
  max: number | null;
}

export class Series {
  readonly #fine = new StepRing(10_000, 370);
  /** With some minutes more than a day, for steps that begin earlier. */
  readonly #minutes = new StepRing(minuteMs, 1_450);
  /** Three days, so that yesterday is always whole. */
  readonly #coarse = new StepRing(coarseMs, 3 * coarseOfDay);
  #names: (string | null)[] = [];
  #done = new Map<number, Uint8Array<ArrayBuffer>>();

  /** What was not measured, or lies before all that is kept, adds nothing. */
  add(sample: Sample, now: number): void {
    const use = useOf(sample);
    if (!use || use.toAt > now || use.toAt < now - seriesDays * dayMs) return;
    this.#fine.add(use);
    this.#minutes.add(use);
    this.#addCoarse(use);
    for (const { index, name } of sample.gpus) if (name !== null && index < maxColumns) this.#names[index] = name;
  }

  #addCoarse(use: Use): void {
    const [first, last] = [Math.floor(use.fromAt / dayMs), Math.floor((use.toAt - 1) / dayMs)];
    const before = this.#today;
    if (before !== null && last > before) this.#finish(before);
    // Of days before yesterday not all is at hand any more.
    if (before !== null && first < before - 1) return;
    this.#coarse.add(use);
    for (let day = first; day <= last; day++) if (day < this.#today!) this.#finish(day);
  }

  /** The newest day that anything is known of. */
  get #today(): number | null {
    const { newest } = this.#coarse;
    return newest === null ? null : Math.floor(newest / coarseOfDay);
  }

  #finish(day: number): void {
    this.#done.set(day, this.#coarse.toBytes(day * coarseOfDay, (day + 1) * coarseOfDay - 1));
  }

  /** The days to be written. */
  done(): DayOfSeries[] {
    return Array.from(this.#done, ([day, bytes]) => ({ day, bytes }));
  }

  /** They are kept elsewhere now. */
  forgetDone(): void {
    this.#done.clear();
  }

  /** The newest `count` steps, the last one with `toAt` in it. `days`: as they were handed out, and kept elsewhere. */
  read(toAt: number, stepMs: number, count: number, days: readonly DayOfSeries[]): SeriesSteps {
    const end = Math.ceil(toAt / stepMs);
    const ring = stepMs < minuteMs ? this.#fine : stepMs < coarseMs ? this.#minutes : this.#coarse;
    const look = ring === this.#coarse ? this.#coarseLook(days) : (step: number) => ring.at(step);
    const each = stepMs / ring.stepMs;
    const steps = Array.from({ length: count }, (_, i) => {
      const first = (end - count + i) * each;
      return joined(Array.from({ length: each }, (_, j) => look(first + j)));
    });
    const columns = steps.reduce((most, one) => Math.max(most, one?.max.length ?? 0), 0);
    const lines = Array.from({ length: columns }, (_, index) => ({
      index,
      name: this.#names[index] ?? null,
      max: steps.map((one) => one?.max[index] ?? null),
      mean: steps.map((one) => one?.mean[index] ?? null),
    }));
    return {
      fromAt: (end - count) * stepMs,
      toAt: end * stepMs,
      stepMs,
      gpus: lines.filter((line) => line.max.some((one) => one !== null)),
      usedMb: steps.map((one) => one?.usedMb ?? null),
      totalMb: steps.reduce<number | null>((most, one) => highest(most, one?.totalMb ?? null), null),
    };
  }

  /** The use of the busiest GPU, in the finest steps at hand: minutes of the last day, before that ten of them at a time. */
  peaks(fromAt: number, toAt: number, days: readonly DayOfSeries[]): Peak[] {
    const oldest = this.#minutes.oldest;
    const fineFrom = oldest === null ? toAt : Math.ceil((oldest * minuteMs) / coarseMs) * coarseMs;
    const rings = this.#rings(days);
    const peaks: Peak[] = [];
    for (let at = Math.floor(fromAt / coarseMs) * coarseMs; at < toAt; ) {
      const isFine = at >= fineFrom;
      const next = at + (isFine ? minuteMs : coarseMs);
      const step = at / (next - at);
      const ring = isFine ? this.#minutes : rings.get(Math.floor(at / dayMs));
      peaks.push({ fromAt: Math.max(at, fromAt), toAt: Math.min(next, toAt), max: ring?.peakAt(step) ?? null });
      at = next;
    }
    return peaks;
  }

  #coarseLook(days: readonly DayOfSeries[]): (step: number) => StepValues | null {
    const rings = this.#rings(days);
    return (step) => rings.get(Math.floor(step / coarseOfDay))?.at(step) ?? null;
  }

  /** What is at hand is newer than what was handed out. */
  #rings(days: readonly DayOfSeries[]): Map<number, StepRing> {
    const rings = new Map<number, StepRing>();
    const load = (day: number, bytes: Uint8Array) => {
      const ring = new StepRing(coarseMs, coarseOfDay);
      ring.load(bytes);
      rings.set(day, ring);
    };
    for (const { day, bytes } of days) load(day, bytes);
    for (const [day, bytes] of this.#done) load(day, bytes);
    const today = this.#today;
    if (today !== null) for (const day of [today - 1, today]) rings.set(day, this.#coarse);
    return rings;
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    const yesterday = Math.max(0, ((this.#today ?? 1) - 1) * coarseOfDay);
    const names = halvesOf(JSON.stringify(this.#names));
    const parts = [names, this.#fine.toBytes(), this.#minutes.toBytes(), this.#coarse.toBytes(yesterday)];
    const size = parts.reduce((sum, one) => sum + aligned(one.length), headerWords * 4);
    const bytes = new Uint8Array(size);
    new Uint32Array(bytes.buffer, 0, headerWords).set([version, ...parts.map((one) => one.length)]);
    let at = headerWords * 4;
    for (const part of parts) {
      bytes.set(part, at);
      at += aligned(part.length);
    }
    return bytes;
  }

  /** What `toBytes` wrote; an empty series of anything else. */
  static fromBytes(bytes: Uint8Array | null): Series {
    const series = new Series();
    if (!bytes || bytes.length < headerWords * 4) return series;
    const [found, ...lengths] = new Uint32Array(bytes.slice(0, headerWords * 4).buffer);
    const size = lengths.reduce((sum, one) => sum + aligned(one), headerWords * 4);
    if (found !== version || size !== bytes.length) return series;
    let at = headerWords * 4;
    const parts = lengths.map((length) => {
      const part = bytes.slice(at, at + length);
      at += aligned(length);
      return part;
    });
    series.#names = JSON.parse(textOf(parts[0]!));
    series.#fine.load(parts[1]!);
    series.#minutes.load(parts[2]!);
    series.#coarse.load(parts[3]!);
    return series;
  }
}

/** Null: nothing was measured. */
function useOf(sample: Sample): Use | null {
  const { fromAt, toAt, taken, sensorError } = sample;
  const gpus = sample.gpus.filter(({ index, max, mean }) => index < maxColumns && (max !== null || mean !== null));
  if (sensorError !== null || taken === 0 || gpus.length === 0 || toAt <= fromAt) return null;
  const sum = (field: "memoryUsedMb" | "memoryTotalMb") =>
    sample.gpus.reduce<number | null>((all, one) => plus(all, one[field]), 0);
  const from = Math.max(fromAt, toAt - longestMs);
  return { fromAt: from, toAt, gpus, usedMb: sum("memoryUsedMb"), totalMb: sum("memoryTotalMb") };
}

/** The parts of a longer step as one. */
function joined(parts: readonly (StepValues | null)[]): StepValues | null {
  const known = parts.filter((one) => one !== null);
  if (known.length <= 1) return known[0] ?? null;
  const columns = Math.max(...known.map((one) => one.max.length));
  const each = <T>(of: (index: number) => T) => Array.from({ length: columns }, (_, index) => of(index));
  return {
    max: each((index) => known.reduce<number | null>((most, one) => highest(most, one.max[index] ?? null), null)),
    mean: each((index) => meanOf(known, index)),
    usedMb: known.reduce<number | null>((most, one) => highest(most, one.usedMb), null),
    totalMb: known.reduce<number | null>((most, one) => highest(most, one.totalMb), null),
    knownMs: known.reduce((sum, one) => sum + one.knownMs, 0),
  };
}

function meanOf(parts: readonly StepValues[], index: number): number | null {
  let [sum, ms] = [0, 0];
  for (const { mean, knownMs } of parts) {
    const value = mean[index] ?? null;
    if (value === null) continue;
    sum += value * knownMs;
    ms += knownMs;
  }
  return ms === 0 ? null : Math.round((sum / ms) * 100) / 100;
}

function highest(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : Math.max(a, b);
}

function plus(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}

function aligned(length: number): number {
  return Math.ceil(length / 4) * 4;
}

function halvesOf(text: string): Uint8Array {
  const halves = Uint16Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
  return new Uint8Array(halves.buffer);
}

function textOf(bytes: Uint8Array): string {
  const halves = new Uint16Array(bytes.slice().buffer);
  let text = "";
  for (const one of halves) text += String.fromCharCode(one);
  return text;
}
