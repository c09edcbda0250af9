/**
 * Hosts that failed are avoided for a time that doubles with each failure and halves with each success. A host that kept
 * quiet for as long again after its time is forgotten.
 */

import type { Context } from "./events.ts";
import type { Timings } from "./timings.ts";
import type { AvoidedHost, State } from "./types.ts";

const kept = 50;

/** The machine of this host did not come up, or did not restore. */
export function blameHost(state: State, machineId: number | null | undefined, ctx: Context): State {
  if (machineId === null || machineId === undefined) return forgetHosts(state, ctx);
  const known = state.avoid.find((one) => one.machineId === machineId);
  const fails = (known?.fails ?? (known ? 1 : 0)) + 1;
  const avoid = forgetHosts(state, ctx).avoid.filter((one) => one.machineId !== machineId);
  const until = ctx.now + avoidForMs(fails, ctx.timings);
  return { ...state, avoid: [...avoid, { machineId, until, fails }].slice(-kept) };
}

/** It came up and holds the workspace: what it did before counts half. */
export function praiseHost(state: State, machineId: number | null | undefined, ctx: Context): State {
  const clean = forgetHosts(state, ctx);
  const avoid = clean.avoid.flatMap((one) => {
    if (one.machineId !== machineId) return [one];
    const fails = (one.fails ?? 1) - 1;
    return fails > 0 ? [{ ...one, fails, until: Math.min(one.until, ctx.now) }] : [];
  });
  return { ...clean, avoid };
}

export function avoidedHosts(state: State, now: number): number[] {
  return state.avoid.filter((one) => one.until > now).map((one) => one.machineId);
}

function forgetHosts(state: State, ctx: Context): State {
  return { ...state, avoid: state.avoid.filter((one) => ctx.now < forgottenAt(one, ctx.timings)) };
}

function forgottenAt(host: AvoidedHost, timings: Timings): number {
  return host.until + avoidForMs(host.fails ?? 1, timings);
}

function avoidForMs(fails: number, timings: Timings): number {
  return Math.min(timings.avoidHostMs * 2 ** Math.min(fails - 1, 30), timings.avoidHostMaxMs);
}
