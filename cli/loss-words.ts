/** What would be lost: if the host died now, and by a discard. */
import type { InstanceView } from "../core/protocol/views.ts";
import { formatDuration, formatTime, formatUntil } from "./format.ts";

/** How much work a host that dies now would take along. Null where no machine works. */
export function recoveryWords(view: InstanceView, now: number): string | null {
  const { recovery_point: point, checkpoints } = view;
  if (!["running", "idle", "hibernating", "unreachable"].includes(view.status) || view.state === "destroying")
    return null;
  const lines: string[] = [];
  if (!point) lines.push("none: all that is on the machine would be lost with it");
  else {
    const age = formatDuration(now - Date.parse(point.at));
    lines.push(`${age} old (${point.snapshot_id}, ${formatTime(point.at, now)})`);
    if (point.torn > 0) {
      const more = point.torn > point.torn_paths.length ? ", ..." : "";
      lines.push(`torn while they were read: ${point.torn} (${point.torn_paths.join(", ")}${more})`);
    }
  }
  if (checkpoints.running_since) lines.push("a checkpoint is under way");
  else if (checkpoints.next_at) lines.push(`next checkpoint ${formatUntil(checkpoints.next_at, now)}`);
  else if (!view.auto_hibernation.checkpoint.enabled) lines.push("checkpoints are off");
  const { failure } = checkpoints;
  if (failure) lines.push(`the last try failed (${failure.tries}): ${failure.message}`);
  return lines.join("\n");
}

/** What a discard takes away and what it leaves, before anybody says yes. */
export function discardWords(view: InstanceView, now: number): { lost: string[]; kept: string[] } {
  const { machine, snapshot } = view;
  const lost: string[] = [];
  const kept: string[] = [];
  const isFresh = view.state === "provisioning" && machine?.adopted === false;
  if (!machine) lost.push("No machine is rented; the instance becomes deleted.");
  else if (isFresh) lost.push(`The machine ${machine.label} that is still starting. Nothing of yours is on it yet.`);
  else if (snapshot) {
    const age = formatDuration(now - Date.parse(snapshot.created_at));
    lost.push(`On the machine ${machine.label}: everything that changed since the snapshot of ${age} ago.`);
  } else lost.push(`On the machine ${machine.label}: the whole workspace. There is no snapshot of it.`);
  if (snapshot) kept.push(`Snapshot ${snapshot.snapshot_id} of ${formatTime(snapshot.created_at, now)}.`);
  else if (machine && !isFresh) kept.push("Nothing of the workspace.");
  kept.push("The instance, its settings and its events; its state becomes deleted.");
  return { lost, kept };
}
