/** What is in the log of an instance: what happened, and who did it. */
import type { LogType } from "../core/lifecycle/events.ts";
import type { EventView } from "../core/protocol/views.ts";
import { formatPercent } from "./format.ts";

const eventWords: Record<LogType, string> = {
  idle_detected: "Idle",
  hibernated: "Hibernated",
  woke_up: "Awake",
  deleted: "Deleted",
  created: "Created",
  adopted: "Adopted",
  active_again: "Busy again",
  hibernate_requested: "Asked to hibernate",
  hibernate_cancelled: "Sleep called off",
  hibernate_retry_planned: "Asked for, so it is tried again",
  snapshot_started: "Snapshot started",
  snapshot_taken: "Snapshot taken",
  snapshot_proved: "Snapshot proved",
  snapshot_failed: "Snapshot failed; the machine is kept",
  hook_ran: "Script was run",
  hook_failed: "Script failed",
  sleep_vetoed: "Its script put the sleep off",
  checkpoint_taken: "Checkpoint taken",
  checkpoint_failed: "Checkpoint failed; it is tried again",
  checkpoint_called_off: "Checkpoint called off",
  sealed: "Workspace sealed",
  seal_expired: "Seal expired",
  sleep_waits: "Stored; the machine stays until sleeping pays",
  destroy_accepted: "The provider accepted to end the machine",
  destroy_failed: "The machine could not be ended; it is tried again",
  stop_accepted: "The provider accepted to stop the machine",
  stop_failed: "The machine could not be stopped; it is tried again",
  machine_stopped: "The provider says that the machine stands still",
  machine_started: "The machine starts again",
  start_failed: "The stopped machine does not start",
  machine_kept: "A stopped machine holds what no snapshot has; it is kept and goes on costing its disk",
  machine_gone: "The provider says that the machine is gone",
  machine_lost: "The machine was lost",
  machine_rented: "Machine rented",
  machine_up: "Machine up",
  machine_abandoned: "Machine given up",
  rival_asked: "It takes long: another machine is asked for beside it",
  rival_not_rented: "No machine was to be had beside it",
  wake_requested: "Asked to wake",
  wake_joined: "Asked to wake; it was awake or on its way",
  wake_cancelled: "Wake called off",
  wake_failed: "Wake failed",
  wake_retry_planned: "It is tried again later",
  wake_retries_ended: "It is not tried again",
  restore_started: "Restore started",
  restore_failed: "Restore failed",
  restored: "Restored",
  unreachable: "No contact",
  reachable: "In contact again",
  snapshot_verified: "Snapshot checked again",
  snapshot_damaged: "Snapshot found damaged",
  snapshot_replaced: "An older snapshot that verifies takes the place of a damaged one",
  snapshots_removed: "Snapshots that retention does not keep were removed",
  rolled_back: "Went back to an older snapshot",
  copy_started: "A snapshot of another instance is being copied",
  copied: "The snapshot is copied",
  copy_failed: "The snapshot could not be copied",
  discarded: "Discarded by request",
  failed: "Needs attention",
  config_changed: "Settings changed",
  renamed: "Has another name now",
  keep_awake: "Held awake",
  keep_awake_ended: "No longer held awake",
  sleep_soon: "It sleeps soon, if nothing happens",
  sleep_postponed: "Not now: the sleep is put off",
  schedule_due: "The clock wants it otherwise",
  schedule_waits: "Its hours are over; the sleep waits for what holds it",
  agent_updated: "The agent on the machine is a new one",
  agent_rolled_back: "A new agent did not work: the one before is back",
  orphan_found: "A machine with our label was found",
};

/** Where the utilisation is the reason; elsewhere it is noise. */
const saysGpu = new Set<string>(["idle_detected", "active_again", "snapshot_started"] satisfies LogType[]);

export function eventWord(type: string): string {
  return Object.hasOwn(eventWords, type) ? eventWords[type as LogType] : type.replaceAll("_", " ");
}

export function eventPhrase(event: EventView): string {
  const words = eventWord(event.event_type);
  const extras = [
    event.snapshot_id,
    event.reason,
    saysGpu.has(event.event_type) && event.gpu_utilization !== null
      ? `GPU ${formatPercent(event.gpu_utilization)}`
      : null,
  ].filter(Boolean);
  return extras.length === 0 ? words : `${words} (${extras.join(", ")})`;
}

/** `name`: of a person, where it is known. */
export function actorWords(actor: string, name: string | null): string {
  if (actor.startsWith("user:")) return name ?? actor.slice("user:".length);
  if (actor.startsWith("proxy:")) return `request (${actor.slice("proxy:".length)})`;
  return actor === "rule" ? "idle rule" : actor;
}
