/** The words of the product: status, reasons, next step, events. Calm, exact, present tense. */
import type { StatusWord } from "../core/lifecycle/abilities.ts";
import type { LogType } from "../core/lifecycle/events.ts";
import type { AutoHibernation } from "../core/protocol/config.ts";
import { signalNames } from "../core/protocol/signals.ts";
import type { EventView, InstanceSummary, InstanceView } from "../core/protocol/views.ts";
import { formatCountdown, formatDuration, formatMoney, formatPercent, formatRate, formatTime } from "./format.ts";
import { signalAmount, signalName, signalWords } from "./signal-words.ts";

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
      return again ? `${word}, tries to hibernate again ${untilWords(again, now)}` : word;
    case "idle":
      if (again) return `${word}, tries to hibernate again ${untilWords(again, now)}`;
      return view.next?.what === "hibernate" ? `${word}, hibernates ${untilWords(view.next.at, now)}` : word;
    case "unreachable":
      return view.last_report_at ? `${word} for ${formatDuration(now - Date.parse(view.last_report_at))}` : word;
    case "deleted":
      if (view.keep_trying?.next_at) return `${word}, tries to wake ${untilWords(view.keep_trying.next_at, now)}`;
      return view.snapshot_id ? `${word}, snapshot kept` : word;
    case "waking":
      return view.wake ? `${word}, ${wakeWords(view.wake)}` : word;
    case "hibernated":
      if (view.copying) return `${word}, ${copyWords(view.copying)}`;
      return view.keep_trying?.next_at ? `${word}, tries to wake ${untilWords(view.keep_trying.next_at, now)}` : word;
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
export function copyWords(copying: NonNullable<InstanceView["copying"]>): string {
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
  const next = keep_trying.next_at ? `, next ${untilWords(keep_trying.next_at, now)}` : "";
  const tries = keep_trying.tries > 0 ? ` (retry ${keep_trying.tries})` : "";
  return `until ${formatTime(keep_trying.until, now)}${next}${tries}`;
}

export function summaryPhrase(row: InstanceSummary, now: number): string {
  const { word } = statusTable[row.status];
  if (row.status === "idle" && row.idle_since) return `${word} for ${formatDuration(now - Date.parse(row.idle_since))}`;
  if (row.status === "deleted" && row.snapshot_id) return `${word}, snapshot kept`;
  return word;
}

function untilWords(iso: string, now: number): string {
  const ms = Date.parse(iso) - now;
  return ms <= 0 ? "any moment now" : `in ${formatCountdown(ms)}`;
}

/** "Why is it still awake?", one line per reason. Null where the question does not arise. */
export function awakeReasons(view: InstanceView, now: number): string[] | null {
  if (view.status !== "running" && view.status !== "idle") return null;
  if (!view.auto_hibernation.enabled && !view.sleep_request)
    return ["Auto-hibernation is off: it stays awake until you say so."];
  if (view.awake_because.length > 0) return view.awake_because.map((one) => blockerWords(one, now));
  const sleeps = view.next?.what === "hibernate" ? ` It sleeps at ${formatTime(view.next.at, now)}.` : "";
  return [`Nothing keeps it awake.${sleeps}`];
}

function blockerWords(one: InstanceView["awake_because"][number], now: number): string {
  const until = one.until ? ` until ${formatTime(one.until, now)}` : "";
  const what = one.detail ?? "GPU";
  switch (one.code) {
    case "gpu_busy":
      return `${what} at ${formatPercent(one.value)}, the threshold is ${formatPercent(one.threshold)}`;
    case "gpu_unknown":
      return `${what} gives no reading, which counts as busy`;
    case "sensor_failed":
      return `The GPU cannot be read, which counts as busy${one.detail ? `: ${one.detail}` : ""}`;
    case "no_samples":
      return "There are no samples yet, which counts as busy";
    case "samples_stale":
      return "The last samples are too old, which counts as busy";
    case "signal_busy":
      return `${signalWords(one.signal, one.value)}, the threshold is ${signalAmount(one.signal, one.threshold)}${one.detail ? ` (${one.detail})` : ""}`;
    case "signal_unknown":
      return `${signalName(one.signal)} gives no reading, which counts as busy${one.detail ? `: ${one.detail}` : ""}`;
    case "lease":
      return `Held awake${until}${one.detail ? ` (${one.detail})` : ""}`;
    case "grace":
      return `It is left alone${until}, after a start, a wake or a sleep that failed`;
    case "hook_veto":
      return `Its before-sleep script put the sleep off${until}${one.detail ? `: ${one.detail}` : ""}`;
    default:
      return [one.signal, one.code, one.detail].filter(Boolean).join(" ");
  }
}

export function leaseWords(lease: InstanceView["leases"][number], now: number): string {
  const what = lease.what ? `: ${lease.what}` : "";
  return `until ${formatTime(lease.until, now)}, by ${actorWords(lease.by, lease.by_name)}${what}`;
}

export function nextWords(view: InstanceView, now: number): string {
  const { sleep_request: asked } = view;
  if (asked?.next_at) {
    const tries = asked.tries === 1 ? "one try" : `${asked.tries} tries`;
    return `hibernates as asked, ${untilWords(asked.next_at, now)}, at ${formatTime(asked.next_at, now)} (after ${tries}: ${asked.message}). Call it off: soneca instance wake ${view.id}`;
  }
  if (view.next?.what === "hibernate")
    return `hibernates ${untilWords(view.next.at, now)}, at ${formatTime(view.next.at, now)}${view.next.warned_at ? `. Not now: soneca instance not-now ${view.id}` : ""}`;
  if (view.next?.what === "wake")
    return `wakes by the clock ${untilWords(view.next.at, now)}, at ${formatTime(view.next.at, now)}`;
  if (view.next?.what === "delete")
    return `becomes deleted ${untilWords(view.next.at, now)}, at ${formatTime(view.next.at, now)}; the snapshot stays`;
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
  else if (checkpoints.next_at) lines.push(`next checkpoint ${untilWords(checkpoints.next_at, now)}`);
  else if (!view.auto_hibernation.checkpoint.enabled) lines.push("checkpoints are off");
  const { failure } = checkpoints;
  if (failure) lines.push(`the last try failed (${failure.tries}): ${failure.message}`);
  return lines.join("\n");
}

export function costWords(view: InstanceView): string {
  const { paid_micro_usd, paid_seconds, unknown_price_seconds } = view.cost;
  const known = `${formatMoney(paid_micro_usd)} for ${formatDuration(paid_seconds * 1000)} of rented time`;
  if (unknown_price_seconds <= 0) return known;
  return `${known}\nplus ${formatDuration(unknown_price_seconds * 1000)} at an unknown price, so not counted`;
}

/** When the idle rule lets the machine go and why; null where there is nothing to tell. */
export function sleepRuleWords(view: InstanceView): string | null {
  const { tau_seconds, reason, break_even_seconds } = view.sleep_rule;
  if (reason !== null) {
    return tau_seconds === null ? `not by itself: ${reason}` : `after ${minutes(tau_seconds / 60)} idle: ${reason}`;
  }
  return break_even_seconds === null ? null : `pays after ${minutes(break_even_seconds / 60)} idle`;
}

/** What sleeping brought so far; null before the first one that was slept out. */
export function savedWords(view: InstanceView): string | null {
  const { sleeps, false_sleeps, saved_micro_usd, last_sleep } = view.sleep_rule;
  if (!last_sleep) return null;
  const last = last_sleep.saved_micro_usd;
  const lastWords = last === null ? "the last one at a price that is not known" : `the last one ${balance(last)}`;
  const early = false_sleeps > 0 ? `, ${false_sleeps} of them woken too early` : "";
  return `${balance(saved_micro_usd)} by ${sleeps} sleep${sleeps === 1 ? "" : "s"}${early}; ${lastWords}`;
}

function balance(microUsd: number): string {
  return microUsd < 0 ? `${formatMoney(-microUsd)} lost` : `${formatMoney(microUsd)} saved`;
}

/** What it costs at this moment, machines on their way out included. */
export function burnWords(view: InstanceView): string {
  const machines = [view.machine, ...view.rival_machines, ...view.retiring_machines].filter((one) => one !== null);
  const rented = [...new Map(machines.map((one) => [one.epoch, one])).values()];
  if (rented.length === 0)
    return view.stopped_machine ? diskWords(view.stopped_machine) : "US$ 0.00/h: nothing is rented";
  const known = rented.reduce((sum, one) => sum + (one.micro_usd_per_hour ?? 0), 0);
  const unknown = rented.filter((one) => one.micro_usd_per_hour === null).length;
  if (unknown === rented.length) return "price unknown";
  return unknown === 0 ? formatRate(known) : `${formatRate(known)}, and ${unknown} machine(s) at an unknown price`;
}

function diskWords({ disk_micro_usd_per_hour: price }: NonNullable<InstanceView["stopped_machine"]>): string {
  return price === null
    ? "the disk of the stopped machine, at an unknown price"
    : `${formatRate(price)}: the disk of the stopped machine`;
}

export function configSentence(config: AutoHibernation): string {
  if (!config.enabled) return "Auto-hibernation is off: it never goes to sleep by itself.";
  const { pause_after_idle_minutes: pause } = config;
  const after =
    pause === "auto"
      ? `When it stays below ${formatPercent(config.gpu_usage_threshold)} GPU for so long that sleeping pays,`
      : `After ${minutes(pause)} below ${formatPercent(config.gpu_usage_threshold)} GPU`;
  const others = signalNames.filter((name) => config.signals[name].enabled).map(signalName);
  const quiet = others.length === 0 ? "" : `${pause === "auto" ? "" : ","} with ${others.join(", ")} quiet as well,`;
  const end = config.pause_mode === "stop" ? "stops the machine, whose disk goes on costing" : "gives the machine back";
  const later = config.pause_mode === "stop" ? "the machine is given back, it" : "it";
  return `${after}${quiet} it takes a snapshot, proves it and ${end}; ${minutes(config.delete_after_pause_minutes)} later ${later} becomes deleted, and its snapshot stays.`;
}

function minutes(count: number): string {
  return count >= 1 || count === 0 ? `${Math.round(count * 100) / 100} min` : `${Math.round(count * 60)} s`;
}

/** `name`: of a person, where it is known. */
export function actorWords(actor: string, name: string | null): string {
  if (actor.startsWith("user:")) return name ?? actor.slice("user:".length);
  if (actor.startsWith("proxy:")) return `request (${actor.slice("proxy:".length)})`;
  return actor === "rule" ? "idle rule" : actor;
}

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
