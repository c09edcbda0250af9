/** When the instance must look at itself again: a function of the state. One physical alarm serves the earliest. */
import { attemptsOf, bootEndsAt, leavingOf, rivalAt } from "./attempts.ts";
import { copyAt } from "./copying.ts";
import { retryAt } from "./keep-trying.ts";
import { hasPauseEnd } from "./parked.ts";
import { scheduleAt } from "./schedule.ts";
import { collectAt } from "./snapshots.ts";
import type { Timings } from "./timings.ts";
import type { State } from "./types.ts";
import { awakeOf, warnAt } from "./warning.ts";

/** How long a heartbeat may be on its way; the agent gives up on it after that. */
export const reportTravelMs = 5_000;
/** How long a destroy may take from the question `mayEnd` until the provider has acted on it or never will. */
export const endCallMs = 10_000;

/** Named deadlines, epoch ms. Empty only for states that wait for somebody: `deleted` and `failed` without machines. */
export function deadlines(state: State, timings: Timings): Record<string, number> {
  const due: Record<string, number> = {};
  for (const one of state.retiring) due[`end.${one.machine.epoch}`] = one.nextTryAt;
  if (state.parked) due.parked = state.parked.nextAt;
  const schedule = scheduleAt(state);
  if (schedule !== null) due.schedule = schedule;
  const retry = retryAt(state);
  if (retry !== null) due.retry = retry;
  const collect = collectAt(state, timings);
  if (collect !== null) due.collect = collect;
  const copy = copyAt(state);
  if (copy !== null) due.copy = copy;
  const phase = state.now;
  switch (phase.status) {
    case "running":
      due.silence = phase.lastBeatAt + silenceMs(state, timings);
      if (state.standing) due.standing = state.standing.at;
      if (awakeOf(state).warnedAt === null) {
        const warn = warnAt(state, { timings });
        if (warn !== null) due.warn = warn;
      }
      break;
    case "snapshotting":
      due.progress = phase.progressAt + timings.progressLimitMs;
      due.silence = phase.lastBeatAt + silenceMs(state, timings);
      if (phase.proveAt !== null) due.prove = phase.proveAt;
      break;
    case "hibernated":
      if (hasPauseEnd(state)) due.delete = phase.verifyAt ?? phase.deleteAt;
      break;
    case "provisioning": {
      for (const one of attemptsOf(phase)) {
        due[`boot.${one.machine.epoch}`] = bootEndsAt(one, timings);
        if (one.lookAt !== null) due[`look.${one.machine.epoch}`] = one.lookAt;
      }
      const rival = rivalAt(state, timings);
      if (rival !== null) due.rival = rival;
      break;
    }
    case "restoring":
      due.progress = phase.progressAt + timings.progressLimitMs;
      break;
    case "unreachable":
      due.look = phase.lookAt;
      break;
    case "destroying":
      if (phase.proof && leavingOf(state, phase.epoch)?.acceptedAt === null) {
        due.seal = phase.sealedUntil + endCallMs;
      }
      break;
    case "deleted":
    case "failed":
      break;
  }
  return due;
}

export function nextDeadline(state: State, timings: Timings): number | null {
  const times = Object.values(deadlines(state, timings));
  return times.length > 0 ? Math.min(...times) : null;
}

/** How long without a beat is silence, for this instance's interval. */
export function silenceMs(state: State, timings: Timings): number {
  return Math.max(state.config.check_interval_seconds * 1000 * timings.silenceBeats, timings.silenceMinMs);
}
