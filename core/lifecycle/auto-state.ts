/** What an instance remembers of its idle times: part of the state, so it is kept small. See auto.ts and gaps.ts. */

/** One idle time after all vetoes: when it ended (epoch seconds), its length (seconds), the local hour at its start (0..24). */
export type GapSample = readonly [endS: number, lengthS: number, hour: number];

/** What awake time, sleeping time and one cycle of sleep and wake cost. From prices and measurements, never learned. */
export interface Costs {
  awakeMicroUsdPerHour: number;
  asleepMicroUsdPerHour: number;
  /** Of the last upload. */
  uploadMs: number;
  /** Boot and restore. */
  wakeMs: number;
  /** Both ways, of one cycle. */
  trafficMicroUsd: number;
  /** What an hour of a person's waiting is worth. */
  waitingMicroUsdPerHour: number;
}

/** What a cost lacks. */
export const unknowns = [
  "machine_price",
  "upload_price",
  "download_price",
  "snapshot_size",
  "upload_time",
  "boot_time",
  "restore_time",
] as const;
export type Unknown = (typeof unknowns)[number];

export type PlanReason =
  /** The costs are not known: a fixed wait. */
  | "costs_unknown"
  /** The machine costs no more than the store. */
  | "never_pays"
  /** The floor and the upload end after the break-even, so they decide. */
  | "floor"
  /** The break-even: nothing better is known, or the credit allows nothing else. */
  | "break_even"
  /** Past idle times at this hour make another moment cheaper. */
  | "learned";

/** When this idle time becomes a sleep, and why. Made once per gap. */
export interface Plan {
  /** Idle time after which the machine is sealed and goes; null for never. */
  tauMs: number | null;
  reason: PlanReason;
  floorMs: number;
  breakEvenMs: number | null;
  /** The cost of one cycle, C. */
  cycleMicroUsd: number | null;
  /** K when the plan was made. */
  creditMicroUsd: number | null;
  /** How long past gaps at this hour usually were, and how many are known. */
  usualMs: number | null;
  known: number;
  costs: Costs | null;
  unknown: Unknown[];
}

/** An idle time that goes on, from its first quiet moment to the next wish for the machine; a sleep lies within it. */
export interface OpenGap {
  startAt: number;
  hour: number;
  /** Null under a fixed number of minutes. */
  plan: Plan | null;
  /** When one active sample came; a second one in a row ends the gap at this moment. */
  activeAt: number | null;
  /** When the first stage was done: the workspace is in the store. */
  uploadedAt: number | null;
}

/** A sleep that goes on: what it is compared with when it ends. */
export interface OpenSleep {
  at: number;
  /** A person's wish, not the idle rule's. */
  asked: boolean;
  costs: Costs | null;
  /** When it was first asked to end. */
  wokenAt: number | null;
}

export interface SleepResult {
  at: number;
  wokenAt: number;
  /** Below zero: lost. Null where a price is not known. */
  savedMicroUsd: number | null;
  /** Woken within the cycle's own time. */
  isFalse: boolean;
}

export interface AutoState {
  /** Oldest first, at most `maxGaps`. */
  gaps: GapSample[];
  /** K; null until the first cost of a cycle is known: it starts there. */
  creditMicroUsd: number | null;
  measured: { uploadMs: number | null; uploadBytes: number | null; bootMs: number | null; restoreMs: number | null };
  /** Spent on uploads that were called off since the last one that was finished: the next one goes on from there. */
  uploadSoFarMs: number;
  /** After a false sleep: no sleep before so much quiet, until then. */
  floor: { ms: number; until: number } | null;
  /** Sleeps of the idle rule in the last hour. */
  recentSleeps: number[];
  gap: OpenGap | null;
  sleep: OpenSleep | null;
  last: SleepResult | null;
  sleeps: number;
  falseSleeps: number;
  /** Of the sleeps whose prices were known. */
  savedMicroUsd: number;
}

export const maxGaps = 256;

const empty: AutoState = {
  gaps: [],
  creditMicroUsd: null,
  measured: { uploadMs: null, uploadBytes: null, bootMs: null, restoreMs: null },
  uploadSoFarMs: 0,
  floor: null,
  recentSleeps: [],
  gap: null,
  sleep: null,
  last: null,
  sleeps: 0,
  falseSleeps: 0,
  savedMicroUsd: 0,
};

/** Of a state that was written before there was one: empty. */
export function autoOf(state: { auto?: Partial<AutoState> }): AutoState {
  return { ...empty, ...state.auto };
}
