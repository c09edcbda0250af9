/** How an instance stands: its status, what it is doing, what comes next. Calm, exact, present tense. */
import type { StatusWord } from "../core/lifecycle/abilities.ts";
import type { InstanceSummary, InstanceView } from "../core/protocol/views.ts";
import { formatDuration, formatPercent, formatTime, formatUntil } from "./format.ts";

type WakeView = NonNullable<InstanceView["wake"]>;

export type Tone = "green" | "amber" | "blue" | "slate" | "red" | "grey";

export const statusTable: Record<StatusWord, { word: string; icon: string; tone: Tone }> = {
  running: { word: "Running", icon: "▶", tone: "green" },
  idle: { word: "Idle", icon: "◔", tone: "amber" },
  hibernating: { word: "Hibernating", icon: "◌", tone: "blue" },
  hibernated: { word: "Hibernated", icon: "☾", tone: "slate" },
  waking: { word: "Waking", icon: "◌", tone: "blue" },
  unreachable: { word: "No contact", icon: "⊘", tone: "amber" },
  failed: { word: "Needs attention", icon: "▲", tone: "red" },
  deleted: { word: "Deleted", icon: "▣", tone: "grey" },
};

/** The status with what belongs to it: the countdown, the silence, what is kept. */
export function statusPhrase(view: InstanceView, now: number): string {
  const { word } = statusTable[view.status];
  const again = view.sleep_request?.next_at;
  switch (view.status) {
    case "running":
      return again ? `${word}, tries to hibernate again ${formatUntil(again, now)}` : word;
    case "idle":
      if (again) return `${word}, tries to hibernate again ${formatUntil(again, now)}`;
      return view.next?.what === "hibernate" ? `${word}, hibernates ${formatUntil(view.next.at, now)}` : word;
    case "unreachable":
      return view.last_report_at ? `${word} for ${formatDuration(now - Date.parse(view.last_report_at))}` : word;
    case "deleted":
      if (view.keep_trying?.next_at) return `${word}, tries to wake ${formatUntil(view.keep_trying.next_at, now)}`;
      return view.snapshot_id ? `${word}, snapshot kept` : word;
    case "waking":
      return view.wake ? `${word}, ${wakeWords(view.wake)}` : word;
    case "hibernated":
      if (view.copying) return `${word}, ${copyWords(view.copying)}`;
      return view.keep_trying?.next_at ? `${word}, tries to wake ${formatUntil(view.keep_trying.next_at, now)}` : word;
    default:
      return word;
  }
}

const wakePhases: Record<WakeView["phase"], string> = {
  renting: "a machine is being rented",
  booting: "the machine is starting",
  restoring: "the files are coming back",
};

/** Where a wake is, and how long this part of it usually takes. */
function wakeWords({ phase, usual, machines_asked }: WakeView): string {
  const which = machines_asked > 1 ? ` (machine ${machines_asked})` : "";
  if (!usual) return `${wakePhases[phase]}${which}`;
  const { p50_seconds, p95_seconds } = usual[phase];
  const whose = usual.of === "instance" ? "" : " on your instances";
  return `${wakePhases[phase]}${which}; usually ${atMost(p50_seconds)}${whose}, 95 % within ${atMost(p95_seconds)}`;
}

/** How far an instance that is made from another's snapshot has come. */
function copyWords(copying: NonNullable<InstanceView["copying"]>): string {
  const { from_snapshot_id, parts_done, parts_total, then_wakes } = copying;
  const share = parts_total ? `, ${formatPercent((100 * parts_done) / parts_total)}` : "";
  return `${from_snapshot_id} is being copied${share}${then_wakes ? "; then it wakes" : ""}`;
}

/** Rounded up: a time that is given as a limit must not be less than it was. */
function atMost(seconds: number): string {
  return seconds <= 120 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

/** Whether a wake goes on trying; null when there is nothing to say. */
export function keepTryingWords(view: InstanceView, now: number): string | null {
  const { keep_trying } = view;
  if (!keep_trying) return null;
  const next = keep_trying.next_at ? `, next ${formatUntil(keep_trying.next_at, now)}` : "";
  const tries = keep_trying.tries > 0 ? ` (retry ${keep_trying.tries})` : "";
  return `until ${formatTime(keep_trying.until, now)}${next}${tries}`;
}

export function summaryPhrase(row: InstanceSummary, now: number): string {
  const { word } = statusTable[row.status];
  if (row.status === "idle" && row.idle_since) return `${word} for ${formatDuration(now - Date.parse(row.idle_since))}`;
  if (row.status === "deleted" && row.snapshot_id) return `${word}, snapshot kept`;
  return word;
}

export function nextWords(view: InstanceView, now: number): string {
  const { sleep_request: asked } = view;
  if (asked?.next_at) {
    const tries = asked.tries === 1 ? "one try" : `${asked.tries} tries`;
    return `hibernates as asked, ${formatUntil(asked.next_at, now)}, at ${formatTime(asked.next_at, now)} (after ${tries}: ${asked.message}). Call it off: soneca instance wake ${view.id}`;
  }
  if (view.next?.what === "hibernate")
    return `hibernates ${formatUntil(view.next.at, now)}, at ${formatTime(view.next.at, now)}${view.next.warned_at ? `. Not now: soneca instance not-now ${view.id}` : ""}`;
  if (view.next?.what === "wake")
    return `wakes by the clock ${formatUntil(view.next.at, now)}, at ${formatTime(view.next.at, now)}`;
  if (view.next?.what === "delete")
    return `becomes deleted ${formatUntil(view.next.at, now)}, at ${formatTime(view.next.at, now)}; the snapshot stays`;
  if (view.copying)
    return view.copying.then_wakes ? "it wakes, once the snapshot is copied" : "nothing; it stays asleep";
  if (view.status === "hibernated" || view.status === "deleted") return "nothing; it waits to be woken";
  if (view.status === "failed") return "nothing by itself; see what it can do";
  if (view.status === "waking") return "running, once it is restored";
  // A discard passes through here too: no word of a snapshot.
  if (view.state === "destroying") {
    return `asleep or deleted, once the provider says that the machine ${view.stopped_machine ? "stands still" : "is gone"}`;
  }
  const end = view.auto_hibernation.pause_mode === "stop" ? "stands still" : "is gone";
  if (view.status === "hibernating") return `hibernated, once the snapshot is proved and the machine ${end}`;
  return "nothing for now";
}

const phaseTable: Record<string, string> = {
  known: "looks up what is stored already",
  tree: "reads the folders",
  read: "reads files",
  send: "sends parts",
  sync: "waits for the last parts",
  confirm: "checks that nothing changed",
  manifest: "writes the manifest",
  receive: "receives files",
  folders: "makes folders",
  attributes: "sets owners, modes and times",
  check: "checks every file",
  compare: "compares with what is there",
};

const stateTable: Record<string, string> = {
  provisioning: "rents a machine and waits for it to boot",
  restoring: "the files are coming back",
  snapshotting: "takes a snapshot and proves it",
  destroying: "gives the machine back",
};

/** What an instance on its way is doing just now. */
export function workPhrase(view: InstanceView): string | null {
  const { progress } = view;
  if (!progress) return stateTable[view.state] ?? null;
  return phaseTable[progress.phase] ?? progress.phase;
}
