/** Waiting times; every passing state's deadline comes from here (I2). */
export interface Timings {
  /** Longest time from a rental until the provider says that the machine runs: only a limit bounds a slow image. */
  bootLimitMs: number;
  /** The same for one that was only stopped; until the shorter time the provider may still say that it is. */
  startLimitMs: number;
  startLagMs: number;
  /** How often a machine that stands still is looked at. */
  parkedEveryMs: number;
  /** Longest time from there until its agent speaks. */
  agentLimitMs: number;
  /** No beat for this many check intervals, and at least silenceMinMs, is silence. */
  silenceBeats: number;
  silenceMinMs: number;
  lookEveryMs: number;
  /** A snapshot or a restore that does not move for this long has failed. */
  progressLimitMs: number;
  proveEveryMs: number;
  sealHoldMs: number;
  endEveryMs: number;
  /** Between the two looks at the provider's list that find a machine gone. */
  goneAgainMs: number;
  /** A machine may be missing from the provider's list for so long after its rental. */
  listLagMs: number;
  endMaxEveryMs: number;
  /** After a failed sleep, how long the idle rule rests. One that was asked for is tried again after it, then twice as long each time up to the second. */
  restAfterFailureMs: number;
  restAfterFailureMaxMs: number;
  /** How long before a sleep of the idle rule it is announced. */
  warnBeforeMs: number;
  verifyEveryMs: number;
  /** How often a snapshot is looked for in place of a damaged one, until an answer comes. */
  salvageEveryMs: number;
  /** A copy that gives no answer is begun again after this. */
  copyEveryMs: number;
  /** The store is looked through so long after something may have to go from it, and no more often than the second. */
  collectAfterMs: number;
  collectEveryMs: number;
  /** Parts that no snapshot lists, and snapshots that were never proved, stay for so long. */
  partGraceMs: number;
  /** How long a host is avoided after its first failure, and at most. */
  avoidHostMs: number;
  avoidHostMaxMs: number;
  /** A wake that keeps trying waits this long, then twice as long each time, up to the second. */
  retryEveryMs: number;
  retryMaxEveryMs: number;
  wakeEveryMs: number;
  maxAttempts: number;
  maxRestores: number;
  /** How long a machine whose rental got no answer is looked for under its label. */
  labelChecks: number;
  labelCheckEveryMs: number;
}

export const defaultTimings: Timings = {
  bootLimitMs: 15 * 60_000,
  startLimitMs: 3 * 60_000,
  startLagMs: 20_000,
  parkedEveryMs: 10 * 60_000,
  agentLimitMs: 6 * 60_000,
  silenceBeats: 8,
  silenceMinMs: 30_000,
  lookEveryMs: 10_000,
  progressLimitMs: 10 * 60_000,
  proveEveryMs: 5_000,
  sealHoldMs: 120_000,
  endEveryMs: 3_000,
  goneAgainMs: 4_000,
  listLagMs: 60_000,
  endMaxEveryMs: 60_000,
  restAfterFailureMs: 5 * 60_000,
  restAfterFailureMaxMs: 60 * 60_000,
  warnBeforeMs: 60_000,
  verifyEveryMs: 60_000,
  salvageEveryMs: 5 * 60_000,
  copyEveryMs: 5 * 60_000,
  collectAfterMs: 5 * 60_000,
  collectEveryMs: 3_600_000,
  partGraceMs: 24 * 3_600_000,
  avoidHostMs: 6 * 3_600_000,
  avoidHostMaxMs: 7 * 24 * 3_600_000,
  retryEveryMs: 2 * 60_000,
  retryMaxEveryMs: 30 * 60_000,
  wakeEveryMs: 60_000,
  maxAttempts: 5,
  maxRestores: 3,
  labelChecks: 4,
  labelCheckEveryMs: 5_000,
};
