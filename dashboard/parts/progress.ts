/** How far a sleep or a wake is, from what its agent tells. */
import type { InstanceView } from "../../core/protocol/views.ts";

type Progress = NonNullable<InstanceView["progress"]>;

/** 0 to 1 of the phase under way; null where it is not known. */
export function shareOf({ done_bytes, plain_bytes, parts_done, parts_total }: Progress): number | null {
  if (plain_bytes > 0) return Math.min(1, done_bytes / plain_bytes);
  return parts_total > 0 ? Math.min(1, parts_done / parts_total) : null;
}

/** What is left of a wake, by what its earlier wakes took; null where too few are known. */
export function wakeTimes(wake: NonNullable<InstanceView["wake"]>, now: number) {
  const since = Date.parse(wake.since);
  const inMs = Math.max(0, now - since);
  if (!wake.usual) return { inMs, usual: null };
  const p50Ms = wake.usual.total.p50_seconds * 1000;
  const p95Ms = wake.usual.total.p95_seconds * 1000;
  return {
    inMs,
    usual: { p50Ms, p95Ms, leftMs: Math.max(0, p50Ms - inMs), latestAt: since + p95Ms, isLate: inMs > p95Ms },
  };
}
