/**
 * `pause_after_idle_minutes: "auto"`: rent or buy, decided per idle gap. Pure; the same code decides in the instance's
 * object, in `soneca simulate` and wherever a preview is shown.
 *
 *   cost(tau, g) = p g while awake; of a gap that outlasts tau: p tau + (C - p u) + s (g - tau)
 *   opt(g)       = the cheaper of p g and C + s g, known only afterwards
 *
 * tau is the idle time at which the machine goes. The upload runs in idle time that is paid anyway, hence C - p u. Of
 * the allowed moments the one is taken that would have cost least in the past: allowed is what can never spend more
 * than the credit K, which every gap adds `2 opt - cost` to. So whatever the gaps are, their cost stays below twice the
 * clairvoyant's plus one cycle.
 */
import type { AutoState, Costs, GapSample, Plan, Unknown } from "./auto-state.ts";

const hourMs = 3_600_000;
const minuteMs = 60_000;
/** Shorter ones are pauses between two steps of work and no sample. */
export const minGapMs = minuteMs;
/** Where the costs are not known: as long as the highest floor that a veto knows. A setting, not an estimate. */
export const unknownTauMs = 30 * minuteMs;

const halfLifeMs = 14 * 24 * hourMs;
const hourWidth = 2.5;
const otherHours = 0.2;
const candidateCount = 40;
const candidateRange = [minuteMs, 4 * hourMs] as const;
const priorCount = 24;
const priorWeight = 4;
const priorRange = [minuteMs, 16 * hourMs] as const;
/** The share of past gaps that "usually" speaks of. */
const usualShare = 0.75;
/** With fewer past gaps nothing is said of them. */
const usualAtLeast = 5;

export interface Question {
  now: number;
  /** Local hour at the gap's start, 0..24. */
  hour: number;
  /** What the vetoes leave: the upload starts then at the earliest. */
  floorMs: number;
  costs: { ok: true; costs: Costs } | { ok: false; unknown: Unknown[] };
}

/** C, in micro-dollars. */
export function cycleCost(costs: Costs): number {
  const paidMs = costs.uploadMs + costs.wakeMs;
  return (
    (costs.awakeMicroUsdPerHour * paidMs + costs.waitingMicroUsdPerHour * costs.wakeMs) / hourMs + costs.trafficMicroUsd
  );
}

/** B: a gap of this length costs the same awake and asleep. Null where sleeping never pays. */
export function breakEvenMs(costs: Costs): number | null {
  const perHour = costs.awakeMicroUsdPerHour - costs.asleepMicroUsdPerHour;
  return perHour > 0 ? (cycleCost(costs) / perHour) * hourMs : null;
}

/** What a gap costs when the machine goes after `tauMs` of it (null: never), in micro-dollars. */
export function gapCost(costs: Costs, tauMs: number | null, gapMs: number): number {
  const { awakeMicroUsdPerHour: awake, asleepMicroUsdPerHour: asleep } = costs;
  if (tauMs === null || gapMs <= tauMs) return (awake * gapMs) / hourMs;
  return costOfGoing(costs, tauMs) + (asleep * (gapMs - tauMs)) / hourMs;
}

/** What is spent on a gap that ends at the moment the machine went. */
function costOfGoing(costs: Costs, tauMs: number): number {
  return (costs.awakeMicroUsdPerHour * (tauMs - costs.uploadMs)) / hourMs + cycleCost(costs);
}

/** What it costs who knows its length beforehand. */
export function bestCost(costs: Costs, gapMs: number): number {
  const { awakeMicroUsdPerHour: awake, asleepMicroUsdPerHour: asleep } = costs;
  return Math.min((awake * gapMs) / hourMs, cycleCost(costs) + (asleep * gapMs) / hourMs);
}

/** The worst of `cost - 2 opt` over all gaps: it is met by a gap that ends right after the machine went. */
export function exposure(costs: Costs, tauMs: number): number {
  return Math.max(0, costOfGoing(costs, tauMs) - 2 * bestCost(costs, tauMs));
}

/** K after a gap. */
export function creditAfter(credit: number, costs: Costs, tauMs: number | null, gapMs: number): number {
  return credit + 2 * bestCost(costs, gapMs) - gapCost(costs, tauMs, gapMs);
}

export function planGap(memory: Pick<AutoState, "gaps" | "creditMicroUsd">, question: Question): Plan {
  const { floorMs } = question;
  const usual = usualGap(memory.gaps, question);
  const base = { floorMs, breakEvenMs: null, cycleMicroUsd: null, creditMicroUsd: memory.creditMicroUsd, ...usual };
  if (!question.costs.ok) {
    const { unknown } = question.costs;
    return { ...base, tauMs: Math.max(unknownTauMs, floorMs), reason: "costs_unknown", costs: null, unknown };
  }
  const { costs } = question.costs;
  const cycle = cycleCost(costs);
  const known = { ...base, cycleMicroUsd: Math.round(cycle), costs, unknown: [] };
  const pays = breakEvenMs(costs);
  if (pays === null) return { ...known, tauMs: null, reason: "never_pays" };
  const credit = memory.creditMicroUsd ?? cycle;
  const readyMs = floorMs + costs.uploadMs;
  const evenMs = Math.max(pays, readyMs);
  const isAllowed = (tauMs: number) =>
    tauMs >= pays / 3 && tauMs <= pays * 3 && exposure(costs, tauMs) <= Math.max(0, credit);
  const past = addUp(memory.gaps, question);
  let best = { tauMs: evenMs, cost: pastCost(past, costs, evenMs) };
  for (const candidate of candidates) {
    const tauMs = Math.max(candidate, readyMs);
    if (!isAllowed(tauMs)) continue;
    const cost = pastCost(past, costs, tauMs);
    if (cost < best.cost) best = { tauMs, cost };
  }
  const isEven = best.tauMs === evenMs;
  return {
    ...known,
    tauMs: Math.round(best.tauMs),
    breakEvenMs: Math.round(pays),
    creditMicroUsd: Math.round(credit),
    reason: readyMs > pays && best.tauMs === readyMs ? "floor" : isEven ? "break_even" : "learned",
  };
}

/** Past gaps and those that stand for what is not known yet, by length; `weights` and `sums` (weight x length) add up. */
interface Past {
  lengthsMs: number[];
  weights: number[];
  sums: number[];
}

function addUp(gaps: readonly GapSample[], question: Question): Past {
  const weighted = [...prior, ...gaps.map((gap) => ({ lengthMs: gap[1] * 1000, weight: weightOf(gap, question) }))];
  weighted.sort((a, b) => a.lengthMs - b.lengthMs);
  const past: Past = { lengthsMs: [], weights: [0], sums: [0] };
  let [total, sum] = [0, 0];
  for (const { lengthMs, weight } of weighted) {
    total += weight;
    sum += weight * lengthMs;
    past.lengthsMs.push(lengthMs);
    past.weights.push(total);
    past.sums.push(sum);
  }
  return past;
}

/** J: what the past gaps had cost with this tau. The same as the weighted sum of their `gapCost`. */
function pastCost({ lengthsMs, weights, sums }: Past, costs: Costs, tauMs: number): number {
  let ended = 0;
  while (ended < lengthsMs.length && lengthsMs[ended]! <= tauMs) ended++;
  const outlasting = weights.at(-1)! - weights[ended]!;
  const asleepMs = sums.at(-1)! - sums[ended]! - outlasting * tauMs;
  return (
    (costs.awakeMicroUsdPerHour * sums[ended]! + costs.asleepMicroUsdPerHour * asleepMs) / hourMs +
    outlasting * costOfGoing(costs, tauMs)
  );
}

/** Newer gaps and those that began near this hour of the day count more. */
function weightOf([endS, , hour]: GapSample, { now, hour: nowHour }: Question): number {
  const ageMs = Math.max(0, now - endS * 1000);
  const apart = Math.abs(hour - nowHour) % 24;
  const hours = Math.min(apart, 24 - apart);
  return 2 ** (-ageMs / halfLifeMs) * (otherHours + Math.exp(-((hours / hourWidth) ** 2) / 2));
}

const prior = geometric(priorRange, priorCount).map((lengthMs) => ({ lengthMs, weight: priorWeight / priorCount }));
const candidates = geometric(candidateRange, candidateCount);

function geometric([from, to]: readonly [number, number], count: number): number[] {
  return Array.from({ length: count }, (_, i) => from * (to / from) ** (i / (count - 1)));
}

function usualGap(gaps: readonly GapSample[], question: Question): { usualMs: number | null; known: number } {
  const known = gaps.length;
  if (known < usualAtLeast) return { usualMs: null, known };
  const sorted = gaps
    .map((gap) => ({ lengthMs: gap[1] * 1000, weight: weightOf(gap, question) }))
    .sort((a, b) => a.lengthMs - b.lengthMs);
  let left = usualShare * sorted.reduce((sum, one) => sum + one.weight, 0);
  for (const { lengthMs, weight } of sorted) {
    left -= weight;
    if (left <= 0) return { usualMs: lengthMs, known };
  }
  return { usualMs: sorted.at(-1)!.lengthMs, known };
}
