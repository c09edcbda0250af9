/** Each cycle of sleep and wake as a record: seen from the state before and after a transition. */
import { leavingOf } from "./attempts.ts";
import { autoOf } from "./auto-state.ts";
import type { State, Status } from "./types.ts";

export interface Cycle {
  /** When the machine was gone; names the cycle. */
  sleptAt: number;
  /** Of the machine that went; null where it is not known any more. */
  epoch: number | null;
  /** By a person, not by the idle rule. */
  asked: boolean;
  /** What the machine that went would have gone on costing. */
  microUsdPerHour: number | null;
  /** When it was asked for again. */
  wokenAt: number | null;
  /** When it ran again, and on the machine of which epoch. */
  readyAt: number | null;
  readyEpoch: number | null;
  /** When it ended otherwise: discarded, or the machine turned out not to be gone. */
  endedAt: number | null;
}

const awake: readonly Status[] = ["running", "snapshotting", "destroying", "unreachable"];

function isAsleep(state: State): boolean {
  const { now } = state;
  return autoOf(state).sleep !== null && !awake.includes(now.status) && !(now.status === "failed" && now.machine);
}

/** The cycle as it stands after a transition that changed it; null where it changed nothing. */
export function cycleChange(before: State, after: State, now: number): Cycle | null {
  const [was, is] = [isAsleep(before), isAsleep(after)];
  if (!was && !is) return null;
  const sleep = is ? autoOf(after).sleep! : autoOf(before).sleep!;
  const cycle: Cycle = {
    sleptAt: sleep.at,
    epoch: null,
    asked: sleep.asked,
    microUsdPerHour: sleep.costs?.awakeMicroUsdPerHour ?? null,
    wokenAt: sleep.wokenAt,
    readyAt: null,
    readyEpoch: null,
    endedAt: null,
  };
  if (!was) {
    const epoch = before.now.status === "destroying" ? before.now.epoch : null;
    const machine = epoch === null ? null : leavingOf(before, epoch)?.machine;
    return { ...cycle, epoch, microUsdPerHour: machine?.facts?.microUsdPerHour ?? cycle.microUsdPerHour };
  }
  if (is) return autoOf(before).sleep?.wokenAt === sleep.wokenAt ? null : cycle;
  const { last } = autoOf(after);
  if (last?.at !== sleep.at || after.now.status !== "running") return { ...cycle, endedAt: now };
  return { ...cycle, wokenAt: last.wokenAt, readyAt: now, readyEpoch: after.now.machine.epoch };
}
