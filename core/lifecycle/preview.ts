/**
 * What other settings would have done with the use of the last days: the same replay as `soneca simulate`, at the prices of
 * the machine there is, or was last, and with the times that were measured. What is not known is never made up: without it
 * there is no replay. Only the use of the GPUs is known over time, so no other signal is replayed, and no memory of GPUs.
 */
import type { AutoHibernation } from "../protocol/config.ts";
import { autoOf } from "./auto-state.ts";
import type { Books } from "./books.ts";
import { currentMachine } from "./machines.ts";
import { dayMs, type Peak } from "./series.ts";
import { referenceOf, simulate } from "./simulation/simulate.ts";
import type { Trace, TraceRow } from "./simulation/trace.ts";
import { proveMs, type SimulatedWorld } from "./simulation/world.ts";
import type { State } from "./types.ts";
import type { UsualWake } from "./wake-times.ts";

/** Micro-dollars. */
export interface KnownPrices {
  perHour: number | null;
  diskPerHour: number | null;
  upPerGb: number | null;
  downPerGb: number | null;
}

/** What is known of the instance, whatever the settings. */
export interface Known {
  prices: KnownPrices;
  storedBytes: number | null;
  /** Of one upload before a sleep. */
  uploadBytes: number | null;
  uploadMs: number | null;
  bootMs: number | null;
  restoreMs: number | null;
}

/** Money in whole micro-dollars. */
export interface Replayed {
  sleeps: number;
  paid: number;
  saved: number;
  asleepMs: number;
  waitedMs: number;
  asleep: Stretch[];
}

/** Epoch ms. */
export interface Stretch {
  fromAt: number;
  toAt: number;
}

export interface Replay extends Stretch {
  unknownMs: number;
  microUsdPerHour: number;
  asIs: Replayed;
  asSet: Replayed;
  busy: Stretch[];
}

/** All that a preview is made of. */
export interface PreviewFacts extends Configs {
  known: Known;
  peaks: Peak[];
}

interface Configs {
  asIs: AutoHibernation;
  asSet: AutoHibernation;
}

export const replayDays = 7;
/** A report more often than this moves a sleep by seconds and takes as many more steps. */
const leastIntervalMs = 60_000;
/** Each may be a whole sleep and wake, and takes time to be replayed: of a week that has more, the newest part alone. */
const mostIdleTimes = 100;
const leastIdleMs = 180_000;
/** A boot that takes longer is given up by the wake itself. */
const longestBootMs = 840_000;

export function knownOf(state: State, books: Books, usual: UsualWake | null): Known {
  const { measured } = autoOf(state);
  const stats = state.snapshot?.stats ?? state.checkpoint?.latest?.stats ?? null;
  return {
    prices: pricesOf(state, books),
    storedBytes: stats?.storedBytes ?? null,
    uploadBytes: measured.uploadBytes,
    uploadMs: measured.uploadMs,
    bootMs: measured.bootMs ?? usual?.boot.p50Ms ?? null,
    restoreMs: measured.restoreMs ?? usual?.restore.p50Ms ?? null,
  };
}

/** Of the machine there is; of one that went, as the books have them. */
function pricesOf(state: State, { machines, moved }: Books): KnownPrices {
  const facts = (currentMachine(state) ?? state.parked?.machine)?.facts;
  const paid = machines.findLast((one) => !one.isDisk && one.microUsdPerHour !== null);
  const sent = moved.findLast((one) => one.upMicroUsdPerGb !== null && one.downMicroUsdPerGb !== null);
  return {
    perHour: facts?.microUsdPerHour ?? paid?.microUsdPerHour ?? null,
    diskPerHour: facts?.diskMicroUsdPerHour ?? paid?.diskMicroUsdPerHour ?? null,
    upPerGb: facts?.upMicroUsdPerGb ?? sent?.upMicroUsdPerGb ?? null,
    downPerGb: facts?.downMicroUsdPerGb ?? sent?.downMicroUsdPerGb ?? null,
  };
}

/** Null: something that it needs is not known. The seconds of a seal and of a destroy are nobody's measurement, and left out. */
export function worldOf(known: Known, config: AutoHibernation): SimulatedWorld | null {
  const { prices, storedBytes, uploadBytes, uploadMs, bootMs, restoreMs } = known;
  const isStop = config.pause_mode === "stop";
  const { perHour, upPerGb } = prices;
  // A machine that is only stopped brings nothing back, and its disk goes on costing.
  const downPerGb = isStop ? 0 : prices.downPerGb;
  const disk = isStop ? prices.diskPerHour : 0;
  const backMs = isStop ? 0 : restoreMs;
  if (perHour === null || upPerGb === null || downPerGb === null || disk === null) return null;
  if (storedBytes === null || uploadBytes === null || uploadMs === null || bootMs === null || backMs === null)
    return null;
  const sendMs = Math.max(0, uploadMs - proveMs);
  return {
    microUsdPerHour: perHour,
    upMicroUsdPerGb: upPerGb,
    downMicroUsdPerGb: downPerGb,
    storedBytes,
    uploadBytes,
    changedBytesPerHour: 0,
    upBytesPerSecond: rateOf(uploadBytes, sendMs),
    downBytesPerSecond: rateOf(storedBytes, backMs),
    bootMs: Math.min(longestBootMs, Math.round(bootMs)),
    scanMs: uploadBytes > 0 ? 0 : sendMs,
    sealMs: 0,
    endMs: 0,
    intervalMs: Math.max(leastIntervalMs, config.check_interval_seconds * 1000),
    threshold: config.gpu_usage_threshold,
    memory: "unknown",
    isMeasured: true,
    keptDiskMicroUsdPerHour: disk,
  };
}

function rateOf(bytes: number, ms: number): number {
  return ms > 0 && bytes > 0 ? bytes / (ms / 1000) : Number.POSITIVE_INFINITY;
}

/** `peaks`: ascending, without holes. Null with less than a day of them, or where something is not known. */
export function replay(peaks: readonly Peak[], known: Known, configs: Configs): Replay | null {
  const first = peaks.findIndex(({ max }) => max !== null);
  const told = first < 0 ? [] : newestOf(peaks.slice(first), configs.asSet.gpu_usage_threshold);
  const [fromAt, toAt] = [told[0]?.fromAt ?? 0, told.at(-1)?.toAt ?? 0];
  const [worldAsIs, worldAsSet] = [worldOf(known, configs.asIs), worldOf(known, configs.asSet)];
  if (toAt - fromAt < dayMs || !worldAsIs || !worldAsSet) return null;
  const worlds = { asIs: worldAsIs, asSet: worldAsSet };
  const unknown = told.filter(({ max }) => max === null);
  const asIs = replayOne(told, configs.asIs, worlds.asIs);
  return {
    fromAt,
    toAt,
    unknownMs: unknown.reduce((sum, one) => sum + one.toAt - one.fromAt, 0),
    microUsdPerHour: worlds.asIs.microUsdPerHour,
    asIs,
    asSet: isSame(configs, worlds) ? asIs : replayOne(told, configs.asSet, worlds.asSet),
    busy: stretchesOf(told, configs.asSet.gpu_usage_threshold)
      .filter(({ isBusy }) => isBusy)
      .map((one) => ({ fromAt: one.fromAt, toAt: one.toAt })),
  };
}

/** A change of what a replay does not look at. */
function isSame(configs: Configs, worlds: { asIs: SimulatedWorld; asSet: SimulatedWorld }): boolean {
  const ruleOf = ({ enabled, pause_after_idle_minutes: pause, grace_minutes: grace }: AutoHibernation) =>
    JSON.stringify({ enabled, pause, grace });
  return ruleOf(configs.asIs) === ruleOf(configs.asSet) && JSON.stringify(worlds.asIs) === JSON.stringify(worlds.asSet);
}

function newestOf(peaks: readonly Peak[], threshold: number): readonly Peak[] {
  const idle = stretchesOf(peaks, threshold).filter((one) => !one.isBusy && one.toAt - one.fromAt >= leastIdleMs);
  const cutAt = Math.min(idle.at(-mostIdleTimes)?.fromAt ?? 0, (peaks.at(-1)?.toAt ?? 0) - dayMs);
  return peaks.filter(({ toAt }) => toAt > cutAt);
}

function replayOne(peaks: readonly Peak[], config: AutoHibernation, world: SimulatedWorld): Replayed {
  const startAt = peaks[0]!.fromAt;
  const trace = traceOf(peaks, world.threshold);
  const alwaysOn = Math.round(referenceOf(trace, world).alwaysOn);
  // On through all of it.
  if (!config.enabled) return { sleeps: 0, paid: alwaysOn, saved: 0, asleepMs: 0, waitedMs: 0, asleep: [] };
  const pause = config.pause_after_idle_minutes;
  const policy = pause === "auto" ? ({ kind: "auto" } as const) : ({ kind: "fixed", minutes: pause } as const);
  const outcome = simulate(trace, policy, world, { graceMinutes: config.grace_minutes, isCoarse: true });
  const { asleep, asleepMs, waitedMs } = outcome;
  const paid = Math.round(outcome.paid);
  return {
    sleeps: asleep.length,
    paid,
    saved: alwaysOn - paid,
    asleepMs,
    waitedMs,
    asleep: asleep.map(({ fromMs, toMs }) => ({ fromAt: startAt + fromMs, toAt: startAt + toMs })),
  };
}

/** In use or not is all that decides. Time without a measurement is without use: nothing was running. */
function traceOf(peaks: readonly Peak[], threshold: number): Trace {
  const startAt = peaks[0]!.fromAt;
  const rows: TraceRow[] = stretchesOf(peaks, threshold).map(({ fromAt, isBusy }) => ({
    atMs: fromAt - startAt,
    util: isBusy ? 100 : 0,
  }));
  return { rows, endMs: peaks.at(-1)!.toAt - startAt };
}

function stretchesOf(peaks: readonly Peak[], threshold: number): (Stretch & { isBusy: boolean })[] {
  const found: (Stretch & { isBusy: boolean })[] = [];
  for (const { fromAt, toAt, max } of peaks) {
    const isBusy = max !== null && max >= threshold;
    const last = found.at(-1);
    if (last?.isBusy === isBusy) last.toAt = toAt;
    else found.push({ fromAt, toAt, isBusy });
  }
  return found;
}
