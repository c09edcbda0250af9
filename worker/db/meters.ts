/** What metrics and health read: the read model alone, in one call. No instance is woken for it. */
import { and, asc, count, desc, isNotNull, lt, min, sql, sum } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { counters, cronRuns, instanceStatus } from "./schema.ts";

/** Instances that have series of their own: a scrape reads, and a Prometheus keeps, no more. */
export const mostShown = 1_000;
/** A sweep pokes what is due for half a minute, each minute: what is due for longer was not looked at. */
export const lateAfterMs = 180_000;

export async function readMeters(db: D1Database, now: number) {
  const d1 = drizzle(db);
  const of = instanceStatus;
  const total = (column: Parameters<typeof sum>[0]) => sum(column).mapWith(Number);
  const [byState, shown, counts, crons, late, next] = await d1.batch([
    d1
      .select({
        state: of.state,
        instances: count(),
        machines: total(of.machines),
        burnMicroUsdPerHour: total(of.burnMicroUsdPerHour),
        unpricedMachines: total(of.unpricedMachines),
        machineMicroUsd: total(of.machineMicroUsd),
        trafficMicroUsd: total(of.trafficMicroUsd),
        storageMicroUsd: total(of.storageMicroUsd),
        avoidedMicroUsd: total(of.avoidedMicroUsd),
        storedBytes: total(of.storedBytes),
      })
      .from(of)
      .groupBy(of.state),
    // What has a machine first, then what changed last.
    d1
      .select()
      .from(of)
      .orderBy(asc(sql`${of.vastInstanceId} IS NULL`), desc(of.updatedAt))
      .limit(mostShown),
    d1.select().from(counters).limit(10_000),
    d1.select().from(cronRuns).limit(10),
    lateQuery(d1, now),
    nextQuery(d1),
  ]);
  return { byState, shown, counts, crons, late: late[0]?.instances ?? 0, nextDueAt: next[0]?.at ?? null };
}

export interface ClockFacts {
  /** Instances that have been due for longer than lateAfterMs. */
  late: number;
  /** Of all instances, epoch ms. */
  nextDueAt: number | null;
  /** Of the agents of machines that run. */
  largestSkewMs: number | null;
}

export async function readClock(db: D1Database, now: number): Promise<ClockFacts> {
  const d1 = drizzle(db);
  const { clockSkewMs, vastInstanceId } = instanceStatus;
  const [late, next, skew] = await d1.batch([
    lateQuery(d1, now),
    nextQuery(d1),
    d1
      .select({ ms: clockSkewMs })
      .from(instanceStatus)
      .where(and(isNotNull(vastInstanceId), isNotNull(clockSkewMs)))
      .orderBy(desc(sql`abs(${clockSkewMs})`))
      .limit(1),
  ]);
  return { late: late[0]?.instances ?? 0, nextDueAt: next[0]?.at ?? null, largestSkewMs: skew[0]?.ms ?? null };
}

/** Both read no more of the index than they count. */
function lateQuery(d1: ReturnType<typeof drizzle>, now: number) {
  const isLate = lt(instanceStatus.dueAt, now - lateAfterMs);
  return d1.select({ instances: count() }).from(instanceStatus).where(isLate);
}

function nextQuery(d1: ReturnType<typeof drizzle>) {
  return d1.select({ at: min(instanceStatus.dueAt) }).from(instanceStatus);
}

export type Meters = Awaited<ReturnType<typeof readMeters>>;
