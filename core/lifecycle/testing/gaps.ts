/** Idle times as people and jobs make them: seeded generators, and what a policy pays in them. */
import { bestCost, breakEvenMs, creditAfter, cycleCost, gapCost, minGapMs, planGap } from "../auto.ts";
import type { Costs, GapSample } from "../auto-state.ts";

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
const days = 28;

export interface Gap {
  startAt: number;
  lengthMs: number;
}

export type Random = () => number;

/** mulberry32. */
export function seeded(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function logNormal(random: Random, median: number, sigma: number): number {
  const normal = Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random());
  return median * Math.exp(sigma * normal);
}

/** Blocks of use, each followed by an idle time; what a block's last one is, the next block's start says. */
function session(
  gaps: Gap[],
  from: number,
  blocks: number,
  random: Random,
  use: [number, number],
  idle: [number, number],
) {
  let at = from;
  for (let i = 0; i < blocks; i++) {
    at += logNormal(random, use[0] * minuteMs, use[1]);
    const lengthMs = logNormal(random, idle[0] * minuteMs, idle[1]);
    gaps.push({ startAt: at, lengthMs });
    at += lengthMs;
  }
}

/** The last idle time of each session reaches to the next one. */
function joinUp(gaps: Gap[], sessionStarts: number[]): Gap[] {
  const sorted = gaps.toSorted((a, b) => a.startAt - b.startAt);
  return sorted.map((gap, i) => {
    const next = sorted[i + 1];
    const start = sessionStarts.find((at) => at > gap.startAt);
    const isLast = next === undefined || (start !== undefined && next.startAt > start);
    if (!isLast || start === undefined) return gap;
    return { ...gap, lengthMs: Math.max(minuteMs, start - gap.startAt) };
  });
}

function sessions(
  random: Random,
  startOf: (day: number) => number | null,
  play: (gaps: Gap[], from: number) => void,
): Gap[] {
  const gaps: Gap[] = [];
  const starts: number[] = [];
  for (let day = 0; day < days; day++) {
    const start = startOf(day);
    if (start === null) continue;
    const from = Math.max(start, (gaps.at(-1)?.startAt ?? 0) + (gaps.at(-1)?.lengthMs ?? 0));
    starts.push(from);
    play(gaps, from);
  }
  starts.push(days * 24 * hourMs + random() * hourMs);
  return joinUp(gaps, starts);
}

const at = (day: number, hour: number) => (day * 24 + hour) * hourMs;

export const generators: Record<string, (random: Random) => Gap[]> = {
  /** Nine to five, a lunch, short looks between runs, weekends mostly off. */
  office: (random) =>
    sessions(
      random,
      (day) => (day % 7 >= 5 && random() < 0.8 ? null : at(day, 8.5 + random())),
      (gaps, from) => {
        session(gaps, from, 8 + Math.floor(random() * 6), random, [12, 1], [4, 1.1]);
        const lunch = gaps.at(-1)!;
        lunch.lengthMs = (40 + 40 * random()) * minuteMs;
        session(gaps, lunch.startAt + lunch.lengthMs, 8 + Math.floor(random() * 8), random, [12, 1], [4, 1.1]);
      },
    ),
  /** Some runs in a row at any hour, then hours of nothing. */
  bursts: (random) => {
    const gaps: Gap[] = [];
    let from = 9 * hourMs;
    for (let i = 0; i < 60; i++) {
      session(gaps, from, 3 + Math.floor(random() * 8), random, [15, 0.8], [3, 0.8]);
      gaps.at(-1)!.lengthMs = logNormal(random, 5 * hourMs, 0.8);
      from = gaps.at(-1)!.startAt + gaps.at(-1)!.lengthMs;
    }
    return gaps;
  },
  /** A job each night, in one to three parts. */
  nightly: (random) =>
    sessions(
      random,
      (day) => at(day, 22 + random()),
      (gaps, from) => session(gaps, from, 1 + Math.floor(random() * 3), random, [100, 0.4], [5, 0.7]),
    ),
  /** Idle times without a typical length: most are minutes, some are days. */
  longTails: (random) => {
    const gaps: Gap[] = [];
    let from = 0;
    for (let i = 0; i < 300; i++) {
      from += logNormal(random, 20 * minuteMs, 1);
      const lengthMs = Math.min((2 * minuteMs) / (random() + 1e-9) ** (1 / 0.8), 72 * hourMs);
      gaps.push({ startAt: from, lengthMs });
      from += lengthMs;
    }
    return gaps;
  },
  /** Afternoons and evenings with breaks of about the length of a cycle: the hardest to tell apart. */
  evenings: (random) =>
    sessions(
      random,
      (day) => (random() < 0.3 ? null : at(day, 14 + 6 * random())),
      (gaps, from) => session(gaps, from, 4 + Math.floor(random() * 10), random, [25, 0.8], [12, 1]),
    ),
};

export interface Setting {
  usdPerHour: number;
  workspaceGb: number;
  megabytesPerSecond: number;
  usdPerGb: number;
}

export function gridOf(prices: number[], sizes: number[], speeds: number[], traffic: number[]): Setting[] {
  return prices.flatMap((usdPerHour) =>
    sizes.flatMap((workspaceGb) =>
      speeds.flatMap((megabytesPerSecond) =>
        traffic.map((usdPerGb) => ({ usdPerHour, workspaceGb, megabytesPerSecond, usdPerGb })),
      ),
    ),
  );
}

/** A sleep sends three tenths of what is stored, a wake brings all of it back half as fast again, a boot takes two minutes. */
export function costsOfSetting({ usdPerHour, workspaceGb, megabytesPerSecond, usdPerGb }: Setting): Costs {
  const storedGb = workspaceGb * 0.79;
  const sentGb = storedGb * 0.3;
  return {
    awakeMicroUsdPerHour: usdPerHour * 1e6,
    asleepMicroUsdPerHour: (storedGb * 15_000) / 730,
    uploadMs: (sentGb / megabytesPerSecond) * 1e6,
    wakeMs: 2 * minuteMs + (storedGb / (megabytesPerSecond * 1.5)) * 1e6,
    trafficMicroUsd: (sentGb + storedGb) * usdPerGb * 1e6,
    waitingMicroUsdPerHour: 0,
  };
}

export type PlayedPolicy = "auto" | "fixed" | "breakEven";

/** What the policy knows and owes after some gaps. */
export class Player {
  readonly #policy: PlayedPolicy;
  readonly #floorMs: number;
  gaps: GapSample[] = [];
  creditMicroUsd: number | null = null;
  paid = 0;
  best = 0;

  constructor(policy: PlayedPolicy, floorMs: number) {
    this.#policy = policy;
    this.#floorMs = floorMs;
  }

  tauFor(costs: Costs, startAt: number): number | null {
    const readyMs = this.#floorMs + costs.uploadMs;
    if (this.#policy === "fixed") return readyMs;
    if (this.#policy === "breakEven") return Math.max(readyMs, breakEvenMs(costs)!);
    const question = {
      now: startAt,
      hour: hourOf(startAt),
      floorMs: this.#floorMs,
      costs: { ok: true as const, costs },
    };
    return planGap(this, question).tauMs;
  }

  play(costs: Costs, { startAt, lengthMs }: Gap, tauMs = this.tauFor(costs, startAt)): void {
    this.paid += gapCost(costs, tauMs, lengthMs);
    this.best += bestCost(costs, lengthMs);
    const credit = this.creditMicroUsd ?? cycleCost(costs);
    this.creditMicroUsd = lengthMs < minGapMs ? credit : creditAfter(credit, costs, tauMs, lengthMs);
    if (lengthMs < minGapMs) return;
    this.gaps.push([Math.round((startAt + lengthMs) / 1000), Math.round(lengthMs / 1000), hourOf(startAt)]);
    if (this.gaps.length > 256) this.gaps.shift();
  }
}

function hourOf(startAt: number): number {
  return (startAt / hourMs) % 24;
}

/** Paid in all idle times, over what the clairvoyant pays. */
export function idleRatio(gaps: readonly Gap[], costs: Costs, policy: PlayedPolicy, floorMs = 3 * minuteMs): number {
  const player = new Player(policy, floorMs);
  for (const gap of gaps) player.play(costs, gap);
  return player.paid / player.best;
}

/** Where floor and upload end after the break-even no rule keeps the bound: the floor decides, and it is said. */
export function floorDecides(costs: Costs, floorMs = 3 * minuteMs): boolean {
  return floorMs + costs.uploadMs > (breakEvenMs(costs) ?? Number.POSITIVE_INFINITY);
}
