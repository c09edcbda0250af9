/** What a list shows of an instance: for its row in the read model, and asked for live. */
import type { Glance, InstanceSummary, InstanceView } from "../../core/protocol/views.ts";

/** Of its use. */
export const minutesShown = 15;

export function glanceOf(view: InstanceView, use: (number | null)[]): Glance {
  const { state_since, actions, gpu_count, next, progress, wake, trouble, last_report_at, storage, burn } = view;
  const { snapshot, machine, leases } = view;
  return {
    ...{ state_since, actions, gpu_count, next, progress, wake, trouble, last_report_at, storage, burn },
    created_by: machine && (machine.adopted ? "adopted" : "rented"),
    snapshot: snapshot && {
      created_at: snapshot.created_at,
      plain_bytes: snapshot.plain_bytes,
      stored_bytes: snapshot.stored_bytes,
    },
    awake_because: view.awake_because[0] ?? null,
    held_until:
      leases
        .map((lease) => lease.until)
        .sort()
        .at(-1) ?? null,
    use: machine ? use : [],
  };
}

export function summaryOf(view: InstanceView, glance: Glance, now: number): InstanceSummary {
  const { id, name, user_id, status, state, gpu_type, region, gpu_utilization, last_activity, idle_since } = view;
  const { hibernated_at, snapshot_id, created_at, machine, recovery_point } = view;
  return {
    ...{ id, name, user_id, status, state, gpu_type, region, gpu_utilization, last_activity, idle_since },
    ...{ hibernated_at, snapshot_id, created_at, glance },
    vast_instance_id: machine?.vast_instance_id ?? null,
    micro_usd_per_hour: machine?.micro_usd_per_hour ?? null,
    recovery_point_at: recovery_point?.at ?? null,
    updated_at: new Date(now).toISOString(),
  };
}
