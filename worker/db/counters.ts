/**
 * Counts for metrics. What is counted of an event is counted in the transaction that copies it, and only where its row is
 * new: a copy that is repeated counts nothing twice.
 */
import * as z from "zod";
import type { EventView } from "../../core/protocol/views.ts";

/** Upper bounds of the buckets of a wake's duration, seconds. Rows hold each bucket by itself, `+Inf` the rest. */
export const wakeBuckets = [10, 20, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600] as const;
export const wakePhases = ["rent", "boot", "restore", "whole"] as const;

export interface Count {
  name: "event" | "wake_bucket" | "wake_ms" | "provider_call" | "provider_failure";
  label: string;
  by: number;
}

const ms = z.number().min(0);
const wakeParams = z.object({ rent_ms: ms, boot_ms: ms, restore_ms: ms });

/** Joins the parts of a label that has several. */
export const labelOf = (...parts: string[]) => parts.join("|");

/** To be run before the rows of these events are written, in the same transaction. */
export function countEvents(db: D1Database, events: readonly EventView[]): D1PreparedStatement {
  const counts = events.flatMap((event) =>
    countsOf(event).map((count) => ({ ...count, instance: event.instance_id, seq: event.seq })),
  );
  return db
    .prepare(
      `INSERT INTO counters (name, label, value)
       SELECT value ->> '$.name', value ->> '$.label', SUM(value ->> '$.by') FROM json_each(?)
       WHERE NOT EXISTS (SELECT 1 FROM hibernation_events AS event
         WHERE event.instance_id = value ->> '$.instance' AND event.seq = value ->> '$.seq')
       GROUP BY 1, 2
       ON CONFLICT (name, label) DO UPDATE SET value = value + excluded.value`,
    )
    .bind(JSON.stringify(counts));
}

export async function addCounts(db: D1Database, counts: readonly Count[]): Promise<void> {
  await db
    .prepare(
      `INSERT INTO counters (name, label, value)
       SELECT value ->> '$.name', value ->> '$.label', value ->> '$.by' FROM json_each(?) WHERE true
       ON CONFLICT (name, label) DO UPDATE SET value = value + excluded.value`,
    )
    .bind(JSON.stringify(counts))
    .run();
}

function countsOf({ event_type, params }: EventView): Count[] {
  const event: Count = { name: "event", label: event_type, by: 1 };
  // A wake without a restore has no such times.
  const times = event_type === "woke_up" ? wakeParams.safeParse(params).data : undefined;
  if (!times) return [event];
  const { rent_ms: rent, boot_ms: boot, restore_ms: restore } = times;
  const took = { rent, boot, restore, whole: rent + boot + restore };
  return [
    event,
    ...wakePhases.flatMap((phase): Count[] => [
      { name: "wake_bucket", label: labelOf(phase, bucketOf(took[phase])), by: 1 },
      { name: "wake_ms", label: phase, by: Math.round(took[phase]) },
    ]),
  ];
}

function bucketOf(tookMs: number): string {
  return String(wakeBuckets.find((le) => tookMs <= le * 1000) ?? "+Inf");
}
