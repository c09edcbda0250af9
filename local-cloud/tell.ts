/** Events of an instance as lines for people. */
import type { EventView, InstanceView } from "../core/protocol/views.ts";

export function bytesText(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${units[unit]}`;
}

export function moneyText(microUsd: number, digits = 4): string {
  return `US$ ${(microUsd / 1_000_000).toFixed(digits)}`;
}

/** One line, present tense. Null for what a person at the keyboard need not read. */
export function eventText(event: EventView): string | null {
  const who = event.actor_name ?? event.actor;
  const p = event.params;
  switch (event.event_type) {
    case "created":
      return `created by ${who}`;
    case "adopted":
      return `adopted machine ${p.provider_id}`;
    case "machine_rented":
      return `machine ${p.provider_id} is rented: ${p.gpu_type ?? "GPU"} in ${p.region ?? "?"}, ${typeof p.micro_usd_per_hour === "number" ? `${moneyText(p.micro_usd_per_hour, 3)}/h` : "price unknown"}`;
    case "machine_up":
      return `its agent reports, ${seconds(p.boot_ms)} after it was asked for`;
    case "idle_detected":
      return "the GPU is quiet";
    case "active_again":
      return `busy again (${p.reason})`;
    case "hibernate_requested":
      return `${who} asks it to sleep`;
    case "hibernate_cancelled":
      return `sleep called off (${p.reason})`;
    case "snapshot_started":
      return `snapshot ${p.snapshot_seq} begins`;
    case "snapshot_taken":
      return typeof p.plain_bytes === "number" && typeof p.stored_bytes === "number"
        ? `snapshot ${p.snapshot_seq} is uploaded: ${bytesText(p.plain_bytes)} as ${bytesText(p.stored_bytes)} (${((100 * p.stored_bytes) / Math.max(1, p.plain_bytes)).toFixed(1)} %)`
        : `snapshot ${p.snapshot_seq} is uploaded`;
    case "snapshot_proved":
      return `snapshot ${p.snapshot_seq} is proved complete in R2`;
    case "snapshot_failed":
      return `the snapshot failed (${p.code}: ${p.message}); the machine is kept`;
    case "sealed":
      return "the workspace is sealed and equals the proof";
    case "seal_expired":
      return "the seal ended before a destroy: proved anew";
    case "destroy_accepted":
      return "the provider takes the machine back";
    case "destroy_failed":
      return `the provider did not take it back yet (${p.message ?? "no answer"})`;
    case "machine_gone":
      return "the machine is gone, the meter stands still";
    case "hibernated":
      return "asleep: nothing is rented";
    case "snapshot_verified":
      return `snapshot ${p.snapshot_seq} is checked once more in R2`;
    case "deleted":
      return "deleted: only the snapshot is kept";
    case "wake_requested":
      return `${who} asks for it`;
    case "restore_started":
      return `restore of snapshot ${p.snapshot_seq} begins`;
    case "restored":
      return "the workspace is back, digest equal";
    case "woke_up":
      return `awake after ${seconds(p.wake_ms)}`;
    default:
      return `${event.event_type.replaceAll("_", " ")}${event.reason ? ` (${event.reason})` : ""}`;
  }
}

export function statusText(view: InstanceView): string {
  const price = view.machine?.micro_usd_per_hour;
  return `${view.status}${price ? ` at ${moneyText(price, 3)}/h` : ""}, paid so far ${moneyText(view.cost.paid_micro_usd)}`;
}

function seconds(ms: unknown): string {
  return typeof ms === "number" ? `${(ms / 1000).toFixed(1)} s` : "?";
}
