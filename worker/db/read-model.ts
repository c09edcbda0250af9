/** Copies of what the objects know, for lists: instance_status and hibernation_events. Written from the outbox alone. */
import { and, asc, desc, eq, isNotNull, lt, ne, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { EventView, Glance, InstanceSummary, InstanceView } from "../../core/protocol/views.ts";
import type { Meters } from "../instance/meters.ts";
import { countEvents } from "./counters.ts";
import { deploymentAccount } from "./provider-keys.ts";
import { hibernationEvents, instanceStatus } from "./schema.ts";

interface Beside {
  version: number;
  dueAt: number | null;
  policyVersion: number;
  meters: Meters;
  /** Null: the deployment's. */
  providerAccount: string | null;
}

/** What was paid up to now may prove to be less, when a machine's end is learned of late; who counts sees no step back. */
const growing = ["machineMicroUsd", "trafficMicroUsd", "storageMicroUsd", "avoidedMicroUsd"] as const;

/** Upsert; a row with a newer version stays. Idempotent. */
export async function mirrorStatus(
  db: D1Database,
  view: InstanceView,
  glance: Glance,
  { version, dueAt, policyVersion, meters, providerAccount }: Beside,
): Promise<void> {
  const row = {
    instanceId: view.id,
    userId: view.user_id,
    status: view.status,
    gpuUtilization: view.gpu_utilization,
    lastActivity: view.last_activity,
    idleSince: view.idle_since,
    hibernatedAt: view.hibernated_at,
    snapshotId: view.snapshot_id,
    autoHibernationEnabled: view.auto_hibernation.enabled,
    pauseAfterMinutes: minutesOrNull(view.auto_hibernation.pause_after_idle_minutes),
    deleteAfterMinutes: view.auto_hibernation.delete_after_pause_minutes,
    vastInstanceId: view.machine?.vast_instance_id ?? null,
    gpuType: view.gpu_type,
    region: view.region,
    createdAt: view.created_at,
    updatedAt: new Date().toISOString(),
    name: view.name,
    state: view.state,
    microUsdPerHour: view.machine?.micro_usd_per_hour ?? null,
    recoveryPointAt: view.recovery_point?.at ?? null,
    glance: JSON.stringify(glance),
    version,
    dueAt,
    policyVersion,
    ...meters,
    providerAccount,
  };
  const grown = growing.map((name) => {
    const column = instanceStatus[name];
    return [name, sql`max(coalesce(${column}, 0), ${row[name]})`] as const;
  });
  await drizzle(db)
    .insert(instanceStatus)
    .values(row)
    .onConflictDoUpdate({
      target: instanceStatus.instanceId,
      set: { ...row, ...Object.fromEntries(grown) },
      setWhere: sql`${instanceStatus.version} <= ${version}`,
    });
}

/** The column is the plan's own number; `auto` has none. */
function minutesOrNull(pause: number | "auto"): number | null {
  return pause === "auto" ? null : pause;
}

/** Idempotent by (instance, seq), with what is counted of them. */
export async function mirrorEvents(db: D1Database, events: EventView[]): Promise<void> {
  const rows = events.map((event) => ({
    instanceId: event.instance_id,
    eventType: event.event_type,
    timestamp: event.timestamp,
    gpuUtilization: event.gpu_utilization,
    snapshotId: event.snapshot_id,
    reason: event.reason,
    seq: event.seq,
    actor: event.actor,
    params: JSON.stringify(event.params),
  }));
  const inserts: D1PreparedStatement[] = [];
  // D1 binds at most 100 values in one statement.
  for (let i = 0; i < rows.length; i += 10) {
    const insert = drizzle(db)
      .insert(hibernationEvents)
      .values(rows.slice(i, i + 10))
      .onConflictDoNothing({ target: [hibernationEvents.instanceId, hibernationEvents.seq] })
      .toSQL();
    inserts.push(db.prepare(insert.sql).bind(...insert.params));
  }
  // One transaction.
  if (inserts.length > 0) await db.batch([countEvents(db, events), ...inserts]);
}

export async function listInstances(db: D1Database, userId: string): Promise<InstanceSummary[]> {
  const rows = await drizzle(db)
    .select()
    .from(instanceStatus)
    .where(eq(instanceStatus.userId, userId))
    .orderBy(desc(instanceStatus.createdAt))
    .limit(1000);
  return rows.map((row) => ({
    id: row.instanceId,
    name: row.name,
    user_id: row.userId,
    status: row.status as InstanceSummary["status"],
    state: row.state,
    gpu_type: row.gpuType,
    region: row.region,
    gpu_utilization: row.gpuUtilization,
    last_activity: row.lastActivity,
    idle_since: row.idleSince,
    hibernated_at: row.hibernatedAt,
    snapshot_id: row.snapshotId,
    created_at: row.createdAt,
    vast_instance_id: row.vastInstanceId,
    micro_usd_per_hour: row.microUsdPerHour,
    recovery_point_at: row.recoveryPointAt,
    glance: row.glance === null ? null : (JSON.parse(row.glance) as Glance),
    updated_at: row.updatedAt,
  }));
}

/** Instances whose own deadline has passed by more than `graceMs`: their alarm may have been lost. */
export async function overdueInstances(db: D1Database, now: number, graceMs: number, limit: number): Promise<string[]> {
  const rows = await drizzle(db)
    .select({ id: instanceStatus.instanceId })
    .from(instanceStatus)
    .where(and(isNotNull(instanceStatus.dueAt), lt(instanceStatus.dueAt, now - graceMs)))
    .orderBy(asc(instanceStatus.dueAt))
    .limit(limit);
  return rows.map((row) => row.id);
}

/** Instances that the read model believes to have a machine; `account`: the provider account that it is rented with. */
export async function instancesWithMachine(
  db: D1Database,
): Promise<{ id: string; vastInstanceId: number; account: string }[]> {
  const rows = await drizzle(db)
    .select({
      id: instanceStatus.instanceId,
      vastInstanceId: instanceStatus.vastInstanceId,
      account: instanceStatus.providerAccount,
    })
    .from(instanceStatus)
    .where(and(isNotNull(instanceStatus.vastInstanceId), ne(instanceStatus.status, "deleted")));
  return rows.flatMap(({ id, vastInstanceId, account }) =>
    vastInstanceId === null ? [] : [{ id, vastInstanceId, account: account ?? deploymentAccount }],
  );
}
