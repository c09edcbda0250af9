/** How much of an always-on machine's price sleeping will save: from an instance's own days, or from how it will be used. */
import { bytesPerGb, toMicroUsd } from "./amount.ts";
import { type Books, overlapMs, type Span } from "./books.ts";
import { storageMicroUsdPerHour } from "./costs.ts";
import { asleepSpan, savingsBetween } from "./savings.ts";

/** Savings below this share of the always-on price are said beforehand. */
export const lowShare = 0.7;

const dayMs = 86_400_000;
const hourMs = 3_600_000;
/** How far back an instance's own days are looked at, and how much of them says anything. */
export const lookBackMs = 14 * dayMs;
const leastMs = dayMs;
const leastSleeps = 3;

export interface OwnForecast {
  days: number;
  usesPerDay: number;
  /** Null where something was paid, or slept, at a price that is not known. */
  savedShare: number | null;
}

/** From what the last days were; null while they are too few to say anything. `books` are of that time at least. */
export function ownForecast(books: Books, createdAt: number, now: number): OwnForecast | null {
  const span: Span = { fromAt: Math.max(createdAt, now - lookBackMs), toAt: now };
  const ms = span.toAt - span.fromAt;
  const sleeps = books.cycles.filter((cycle) => overlapMs(asleepSpan(cycle, now), span) > 0).length;
  if (ms < leastMs || sleeps < leastSleeps) return null;
  const { paid, unknownAsleepMs, saved, alwaysOn } = savingsBetween(books, span, now);
  const { machineMs, upBytes, downBytes } = paid.unknown;
  const isKnown = unknownAsleepMs + machineMs + upBytes + downBytes === 0 && alwaysOn > 0n;
  return {
    days: ms / dayMs,
    usesPerDay: (sleeps * dayMs) / ms,
    savedShare: isKnown ? toMicroUsd(saved) / toMicroUsd(alwaysOn) : null,
  };
}

export interface Habit {
  /** Blocks of use a day, a sleep after each. */
  usesPerDay: number;
  /** In all of them together. */
  hoursPerDay: number;
  /** Idle time before the machine goes. */
  idleMs: number;
}

export interface ForecastCosts {
  awakeMicroUsdPerHour: number;
  upMicroUsdPerGb: number | null;
  downMicroUsdPerGb: number | null;
  storedBytes: number;
  /** Of one sleep: all of it, unless most of it does not change. */
  uploadBytes: number;
  /** Boot and restore; null: not known, and the forecast is the most that may be saved. */
  wakeMs: number | null;
}

export interface Forecast {
  /** Of the always-on price; below zero: sleeping would cost more. Null where a price of traffic is not known. */
  savedShare: number | null;
  /** It is a bound: the true share is lower. */
  isAtMost: boolean;
  cycleTrafficMicroUsd: number | null;
  /** Idle time that pays for one cycle; at least so long where `isAtMost`. Null: not known, or sleeping never pays. */
  breakEvenMs: number | null;
}

export function forecast(costs: ForecastCosts, habit: Habit): Forecast {
  const { awakeMicroUsdPerHour: awake, upMicroUsdPerGb: up, downMicroUsdPerGb: down, wakeMs } = costs;
  const isAtMost = wakeMs === null;
  if (up === null || down === null)
    return { savedShare: null, isAtMost, cycleTrafficMicroUsd: null, breakEvenMs: null };
  const traffic = (costs.uploadBytes * up + costs.storedBytes * down) / bytesPerGb;
  const storage = storageMicroUsdPerHour(costs.storedBytes);
  const awakeHours = Math.min(24, habit.hoursPerDay + (habit.usesPerDay * (habit.idleMs + (wakeMs ?? 0))) / hourMs);
  const perDay = awake * awakeHours + habit.usesPerDay * traffic + 24 * storage;
  const perHour = awake - storage;
  return {
    savedShare: 1 - perDay / (24 * awake),
    isAtMost,
    cycleTrafficMicroUsd: Math.round(traffic),
    breakEvenMs: perHour > 0 ? ((traffic + (awake * (wakeMs ?? 0)) / hourMs) / perHour) * hourMs : null,
  };
}
