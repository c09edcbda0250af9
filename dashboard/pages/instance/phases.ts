/** How long each phase of the last sleep and of the last wake took: read off the instance's own log. */
import type { EventView } from "../../../core/protocol/views.ts";

export type PhaseName = "snapshot" | "prove" | "seal" | "destroy" | "rent" | "boot" | "restore";

export interface Course {
  at: string;
  phases: { name: PhaseName; ms: number }[];
  totalMs: number;
}

/** `events`: newest first. Null: none has ended yet. */
export function lastSleep(events: readonly EventView[]): Course | null {
  const end = events.findIndex((one) => one.event_type === "hibernated");
  if (end === -1) return null;
  const course = events.slice(end);
  const before = course.findIndex((one) => one.event_type === "woke_up" || one.event_type === "created");
  const own = before === -1 ? course : course.slice(0, before);
  // Of a sleep that was tried several times the last try counts.
  const at = (type: string) => own.find((one) => one.event_type === type)?.timestamp;
  const gone = at("machine_gone") ?? at("machine_stopped") ?? course[0]!.timestamp;
  return courseOf([
    ["snapshot", at("snapshot_started")],
    ["prove", at("snapshot_taken")],
    ["seal", at("snapshot_proved")],
    ["destroy", at("sealed")],
    [null, gone],
  ]);
}

export function lastWake(events: readonly EventView[]): Course | null {
  const woke = events.find((one) => one.event_type === "woke_up");
  if (!woke) return null;
  const { rent_ms, boot_ms, restore_ms } = woke.params;
  const parts: [PhaseName, unknown][] = [
    ["rent", rent_ms],
    ["boot", boot_ms],
    ["restore", restore_ms],
  ];
  const phases = parts.flatMap(([name, ms]) => (typeof ms === "number" && ms > 0 ? [{ name, ms }] : []));
  if (phases.length === 0) return null;
  const totalMs = phases.reduce((sum, one) => sum + one.ms, 0);
  return { at: new Date(Date.parse(woke.timestamp) - totalMs).toISOString(), phases, totalMs };
}

function courseOf(steps: [PhaseName | null, string | undefined][]): Course | null {
  const known = steps.filter((step): step is [PhaseName | null, string] => step[1] !== undefined);
  const [first, last] = [known[0], known.at(-1)];
  if (!first || !last || first[0] === null) return null;
  const phases = known.slice(0, -1).flatMap(([name, at], i) => {
    const ms = Date.parse(known[i + 1]![1]) - Date.parse(at);
    return name !== null && ms >= 0 ? [{ name, ms }] : [];
  });
  return { at: first[1], phases, totalMs: Date.parse(last[1]) - Date.parse(first[1]) };
}
