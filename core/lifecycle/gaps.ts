/**
 * The life of an idle gap, beside the phases of the machine.
 *
 *   quiet, after all vetoes --> open --stage one: uploaded--> --tau--> asleep --wish--> learned
 *                                 |  one active sample: waits for the next          (a schedule's wake: dropped)
 *                                 +--two active samples in a row, or a wish for the machine--> learned
 *                                 +--asked to sleep, lost, discarded--> dropped
 */

import type { SnapshotStats } from "../protocol/wire.ts";
import { creditAfter, minGapMs, planGap } from "./auto.ts";
import { type AutoState, autoOf, type GapSample, maxGaps, type OpenGap } from "./auto-state.ts";
import { costsOf } from "./costs.ts";
import type { Context } from "./events.ts";
import { localHour } from "./hour.ts";
import { currentMachine } from "./machines.ts";
import type { Actor, Machine, State } from "./types.ts";
import { floorHoldsMs, floorMs, graceMs, highestFloorMs, quietFloorMs } from "./vetoes.ts";

const hourMs = 3_600_000;

function change(state: State, part: Partial<AutoState>): State {
  return { ...state, auto: { ...autoOf(state), ...part } };
}

function changeGap(state: State, part: Partial<OpenGap>): State {
  const { gap } = autoOf(state);
  return gap ? change(state, { gap: { ...gap, ...part } }) : state;
}

export function gapOf(state: State): OpenGap | null {
  return autoOf(state).gap;
}

/** Every veto is off since `since`. Opens the gap, or goes on with the one that a single active sample interrupted. */
export function beginGap(state: State, since: number, memoryHeld: boolean, ctx: Context): State {
  const gap = gapOf(state);
  const opened = gap
    ? gap.activeAt === null
      ? state
      : changeGap(state, { activeAt: null })
    : change(state, {
        gap: { startAt: since, hour: localHour(since, state.config), plan: null, activeAt: null, uploadedAt: null },
      });
  return withPlan(opened, memoryHeld, ctx);
}

/** Under `auto` each gap has its plan; a higher floor than the plan's makes a new one. */
function withPlan(state: State, memoryHeld: boolean, ctx: Context): State {
  const gap = gapOf(state);
  if (!gap || state.config.pause_after_idle_minutes !== "auto") return state;
  const floor = quietFloorMs(state, memoryHeld, ctx.now);
  if (gap.plan && gap.plan.floorMs >= floor) return state;
  const costs = costsOf(state, currentMachine(state)?.facts ?? null);
  const plan = planGap(autoOf(state), { now: ctx.now, hour: gap.hour, floorMs: floor, costs });
  const { creditMicroUsd } = autoOf(state);
  return change(state, { gap: { ...gap, plan }, creditMicroUsd: creditMicroUsd ?? plan.creditMicroUsd });
}

/** In the middle of a sleep that began under a fixed number. */
export function ensurePlan(state: State, ctx: Context): State {
  return gapOf(state)?.plan ? state : withPlan(state, true, ctx);
}

/** Costs or setting are others now: the next quiet beat plans anew. */
export function forgetPlan(state: State): State {
  return gapOf(state)?.plan ? changeGap(state, { plan: null }) : state;
}

/** One active sample may be a flicker; a second one, an interval later, ends the gap where the first one was. */
export function noteActivity(state: State, ctx: Context): State {
  const gap = gapOf(state);
  if (!gap) return state;
  if (gap.activeAt === null) return changeGap(state, { activeAt: ctx.now });
  // The same sample may be reported twice while beats come more often than samples.
  if (ctx.now - gap.activeAt < (state.config.check_interval_seconds * 1000) / 2) return state;
  return endGap(state, gap.activeAt, null);
}

/** Somebody wants the machine, or works on it: the gap is over and is learned. `sleptAt`: when the machine went, if it did. */
export function endGap(state: State, at: number, sleptAt: number | null): State {
  const { gap, gaps, creditMicroUsd } = autoOf(state);
  if (!gap) return state;
  const lengthMs = at - gap.startAt;
  if (lengthMs < minGapMs) return dropGap(state);
  const sample: GapSample = [Math.round(at / 1000), Math.round(lengthMs / 1000), gap.hour];
  const costs = gap.plan?.costs ?? null;
  const tauMs = sleptAt === null ? null : sleptAt - gap.startAt;
  const credit =
    costs && creditMicroUsd !== null ? Math.round(creditAfter(creditMicroUsd, costs, tauMs, lengthMs)) : creditMicroUsd;
  return change(state, { gap: null, gaps: [...gaps, sample].slice(-maxGaps), creditMicroUsd: credit });
}

/** The gap says nothing of how long the machine was not wanted. */
export function dropGap(state: State): State {
  return gapOf(state) ? change(state, { gap: null }) : state;
}

/** An upload was called off: its parts stay in the store, and the next one goes on from there. */
export function noteUploadStopped(state: State, since: number, ctx: Context): State {
  if (gapOf(state)?.uploadedAt) return state;
  return change(state, { uploadSoFarMs: autoOf(state).uploadSoFarMs + Math.max(0, ctx.now - since) });
}

/** The first proof of a sleep. A second look at a workspace that is in the store already measures nothing. */
export function noteUploaded(state: State, since: number, made: SnapshotStats | null, ctx: Context): State {
  const { gap, measured, uploadSoFarMs } = autoOf(state);
  if (gap?.uploadedAt) return state;
  const uploadMs = uploadSoFarMs + Math.max(0, ctx.now - since);
  const sent = made?.newStoredBytes ?? null;
  // What a called-off upload had sent already is in nobody's report: the larger of both is nearer to a whole one.
  const uploadBytes =
    sent === null || (uploadSoFarMs > 0 && (measured.uploadBytes ?? 0) > sent) ? measured.uploadBytes : sent;
  const next = change(state, { measured: { ...measured, uploadMs, uploadBytes }, uploadSoFarMs: 0 });
  return changeGap(next, { uploadedAt: ctx.now });
}

export function noteBooted(state: State, bootMs: number): State {
  return change(state, { measured: { ...autoOf(state).measured, bootMs } });
}

export function noteRestored(state: State, restoreMs: number): State {
  return change(state, { measured: { ...autoOf(state).measured, restoreMs } });
}

/** The machine is on its way out; should it stay after all, `noteStays` takes this back. */
export function noteLeaving(state: State, machine: Machine, asked: boolean, at: number): State {
  const { gap } = autoOf(state);
  const known = costsOf(state, machine.facts);
  const costs = gap?.plan?.costs ?? (known.ok ? known.costs : null);
  return change(state, { gap: asked ? null : gap, sleep: { at, asked, costs, wokenAt: null } });
}

export function noteStays(state: State): State {
  return change(state, { sleep: null });
}

/** The machine is gone and its work is kept. */
export function noteAsleep(state: State, at: number): State {
  const { sleep, recentSleeps, sleeps } = autoOf(state);
  if (!sleep) return state;
  const lately = recentSleeps.filter((one) => at - one < hourMs);
  return change(state, {
    sleep: { ...sleep, at },
    recentSleeps: sleep.asked ? lately : [...lately, at],
    sleeps: sleeps + 1,
  });
}

/** Somebody asks for the machine while it is asleep. */
export function noteWoken(state: State, actor: Actor, askedAt: number): State {
  const { gap, sleep } = autoOf(state);
  if (!sleep || sleep.wokenAt !== null) return dropGap(state);
  // Asked for while the machine was going: the cycle is paid all the same.
  const at = Math.max(askedAt, sleep.at + 1);
  const marked = change(state, { sleep: { ...sleep, wokenAt: at } });
  // A schedule's hour says nothing of how long the machine was not wanted.
  if (!gap || actor.kind === "schedule") return dropGap(marked);
  return endGap(judgeSleep(marked, at), at, sleep.at);
}

/** The wake ended without a machine: the sleep goes on. */
export function noteStillAsleep(state: State): State {
  const { sleep } = autoOf(state);
  return sleep?.wokenAt ? change(state, { sleep: { ...sleep, wokenAt: null } }) : state;
}

/** A sleep that was over within its own cycle was a false one: for a day it takes longer until the next. */
function judgeSleep(state: State, at: number): State {
  const { sleep, floor, falseSleeps } = autoOf(state);
  if (!sleep || sleep.asked) return state;
  const present = floor && at < floor.until ? floor.ms : floorMs;
  if (isFalse(sleep.costs, at - sleep.at)) {
    const ms = Math.min(highestFloorMs, present * 2);
    return change(state, { floor: { ms, until: at + floorHoldsMs }, falseSleeps: falseSleeps + 1 });
  }
  if (!floor) return state;
  const ms = present / 2;
  return change(state, { floor: ms > floorMs ? { ms, until: floor.until } : null });
}

/** Without measurements the grace after a wake stands for the cycle's own time. */
function isFalse(costs: { uploadMs: number; wakeMs: number } | null, asleepMs: number): boolean {
  return asleepMs < (costs ? costs.uploadMs + costs.wakeMs : graceMs);
}

/** It runs again: what the sleep saved against leaving the machine on. */
export function noteAwake(state: State, machine: Machine, now: number): State {
  const { sleep, savedMicroUsd } = autoOf(state);
  if (!sleep) return state;
  const wokenAt = sleep.wokenAt ?? now;
  const price = machine.facts?.microUsdPerHour ?? null;
  const { costs } = sleep;
  const saved =
    costs && price !== null
      ? Math.round(
          ((costs.awakeMicroUsdPerHour - costs.asleepMicroUsdPerHour) * (now - sleep.at) - price * (now - wokenAt)) /
            hourMs -
            costs.trafficMicroUsd,
        )
      : null;
  const isShort = !sleep.asked && isFalse(costs, wokenAt - sleep.at);
  return change(state, {
    sleep: null,
    last: { at: sleep.at, wokenAt, savedMicroUsd: saved, isFalse: isShort },
    savedMicroUsd: savedMicroUsd + (saved ?? 0),
  });
}

/** What slept is no more: discarded, or its snapshot is damaged. */
export function forgetSleep(state: State): State {
  const { gap, sleep } = autoOf(state);
  return gap || sleep ? change(state, { gap: null, sleep: null }) : state;
}
