/** How one instance, a list of them, its events and its snapshots look to people. */
import type { EventView, InstanceSummary, InstanceView, SnapshotView } from "../core/protocol/views.ts";
import { awakeReasons, leaseWords } from "./awake-words.ts";
import { burnWords, costWords, savedWords } from "./cost-words.ts";
import { actorWords, eventPhrase } from "./event-words.ts";
import {
  formatAge,
  formatBytes,
  formatFacts,
  formatGpu,
  formatPercent,
  formatRate,
  formatTable,
  formatTime,
} from "./format.ts";
import { recoveryWords } from "./loss-words.ts";
import { forecastWords } from "./money-words.ts";
import type { Output } from "./output.ts";
import { configSentence, sleepRuleWords } from "./rule-words.ts";
import { signalRows } from "./signal-words.ts";
import { keepTryingWords, nextWords, statusPhrase, summaryPhrase } from "./status-words.ts";

const signalHeads = ["SIGNAL", "NOW", "SINCE", "JUDGED", "ROLE", "WHO"];

export function showInstance(output: Output, view: InstanceView, now: number): string {
  const { machine, snapshot, trouble } = view;
  const time = (iso: string) => `${formatTime(iso, now)} (${formatAge(iso, now)})`;
  const reasons = awakeReasons(view, now);
  return formatFacts([
    ["Instance", `${output.strong(view.name)}${view.name === view.id ? "" : `  ${view.id}`}`],
    [
      "Status",
      `${output.status(view.status, statusPhrase(view, now))}, since ${time(view.idle_since ?? view.state_since)}`,
    ],
    ["Trouble", trouble && `${output.style("red", trouble.message)} (${trouble.code}, ${time(trouble.at)})`],
    ["Kept", trouble?.kept ?? null],
    ["Awake because", reasons?.join("\n") ?? null],
    ["Next", nextWords(view, now)],
    ["Held awake", view.leases.length > 0 ? view.leases.map((one) => leaseWords(one, now)).join("\n") : null],
    ["Signals", view.signals.length > 0 ? formatTable(signalHeads, signalRows(view.signals, now)) : null],
    ["Sleeping", sleepRuleWords(view)],
    ["Saved", savedWords(view)],
    ["Will save", forecastWords(view)],
    [
      "GPU",
      `${formatGpu(view.gpu_type, view.gpu_count)}${machine ? `, use ${formatPercent(view.gpu_utilization)}` : ""}`,
    ],
    ["Region", view.region ?? "any"],
    ["Machine", machine && machineWords(machine, now)],
    ["Connect", machine?.ssh ?? null],
    ["Services at", servicesWords(view)],
    [
      "Started beside it",
      view.rival_machines.length > 0 ? view.rival_machines.map((one) => machineWords(one, now)).join("\n") : null,
    ],
    ["Stopped machine", stoppedWords(view, now)],
    ["By the clock", clockWords(view)],
    ["Keeps trying", keepTryingWords(view, now)],
    [
      "Being given back",
      view.retiring_machines.length > 0
        ? view.retiring_machines.map((one) => `${machineWords(one, now)}; it still costs`).join("\n")
        : null,
    ],
    ["Costs now", burnWords(view)],
    ["Paid so far", costWords(view)],
    ["Last report", view.last_report_at && time(view.last_report_at)],
    ["Last activity", view.last_activity && time(view.last_activity)],
    [
      "Snapshot",
      snapshot
        ? `${snapshot.snapshot_id}, ${sizes(snapshot)}, ${snapshot.proved_at ? `proved ${time(snapshot.proved_at)}` : "not proved"}`
        : "none yet",
    ],
    ["Recovery point", recoveryWords(view, now)],
    ["Rule", configSentence(view.auto_hibernation)],
    ["Price cap", view.rent.max_micro_usd_per_hour === null ? "none" : formatRate(view.rent.max_micro_usd_per_hour)],
    ["Created", time(view.created_at)],
    ["It can", view.actions.join(", ")],
  ]);
}

function clockWords({ schedule }: InstanceView): string | null {
  if (!schedule) return null;
  const waits = schedule.sleep_due_since ? ["sleeps as soon as nothing holds it"] : [];
  const next = schedule.next.map(({ what, local }) => `${what}s ${local.slice(0, 16).replace("T", " ")}`);
  return [...waits, ...next, schedule.timezone].join(", ");
}

function stoppedWords({ stopped_machine: stopped }: InstanceView, now: number): string | null {
  if (!stopped) return null;
  const still = stopped.stopped_at === null ? "it is asked to stop" : "it stands still, and its disk costs";
  const unsaved = stopped.is_saved ? "" : "; it holds what no snapshot has";
  return `${machineWords(stopped, now)}; ${still}${unsaved}`;
}

function machineWords(machine: NonNullable<InstanceView["machine"]>, now: number): string {
  const number = machine.vast_instance_id === null ? "asked for, not confirmed" : `vast.ai ${machine.vast_instance_id}`;
  const gpu = machine.gpu_type && formatGpu(machine.gpu_type, machine.gpu_count);
  const price = machine.micro_usd_per_hour === null ? "price unknown" : formatRate(machine.micro_usd_per_hour);
  return [number, gpu, price, `rented ${formatAge(machine.rented_at, now)}`, machine.adopted ? "adopted" : null]
    .filter(Boolean)
    .join(", ");
}

function sizes(snapshot: NonNullable<InstanceView["snapshot"]>): string {
  return `${formatBytes(snapshot.plain_bytes)}, stored in ${formatBytes(snapshot.stored_bytes)}`;
}

/** What costs money stands first, with its sum. */
export function showList(output: Output, instances: InstanceSummary[], now: number): string {
  if (instances.length === 0) {
    return [
      "No instances yet.",
      '  Rent a machine:           soneca instance create --gpu "RTX 4090" --wait',
      "  Manage one of vast.ai's:  soneca instance adopt VAST_ID",
    ].join("\n");
  }
  const sorted = [...instances].sort(
    (a, b) => Number(isPaid(b)) - Number(isPaid(a)) || a.name.localeCompare(b.name) || a.id.localeCompare(b.id),
  );
  const table = formatTable(
    ["ID", "NAME", "STATUS", "GPU", "REGION", "USE", "COST", "ACTIVE", "SAFE"],
    sorted.map((one) => [
      one.id,
      one.name,
      output.status(one.status, summaryPhrase(one, now)),
      one.gpu_type ?? "any",
      one.region ?? "any",
      isPaid(one) ? formatPercent(one.gpu_utilization) : "-",
      isPaid(one) ? (one.micro_usd_per_hour === null ? "unknown" : formatRate(one.micro_usd_per_hour)) : "-",
      formatAge(one.last_activity, now),
      isPaid(one) ? (one.recovery_point_at === null ? "nothing" : formatAge(one.recovery_point_at, now)) : "-",
    ]),
    ["USE", "COST"],
  );
  const paid = instances.filter(isPaid);
  const unknown = paid.filter((one) => one.micro_usd_per_hour === null).length;
  const sum = paid.reduce((total, one) => total + (one.micro_usd_per_hour ?? 0), 0);
  const doubt = unknown > 0 ? `; the price of ${unknown} is unknown, so not counted` : "";
  const total = `${paid.length} of ${instances.length} rented now, ${formatRate(sum)}${doubt}.`;
  return `${table}\n\n${paid.length === 0 ? "Nothing is rented now." : total}`;
}

function isPaid(one: InstanceSummary): boolean {
  return one.vast_instance_id !== null || one.micro_usd_per_hour !== null;
}

export function showEvent(output: Output, event: EventView, now: number): string {
  const time = formatTime(event.timestamp, now, { seconds: true });
  const words = eventPhrase(event);
  const isBad = /failed|lost|damaged|unreachable/.test(event.event_type);
  return `${String(event.seq).padStart(5)}  ${time}  ${actorWords(event.actor, event.actor_name).padEnd(9)}  ${isBad ? output.style("red", words) : words}`;
}

export function showSnapshots(snapshots: SnapshotView[], now: number): string {
  if (snapshots.length === 0)
    return "No snapshots yet. The first one is taken when it goes to sleep, or as a checkpoint.";
  const table = formatTable(
    ["SNAPSHOT", "KIND", "CREATED", "AGE", "SIZE", "STORED", "ADDED", "ENTRIES", "PARTS", "DIGEST", "PROVED"],
    snapshots.map((one) => [
      one.is_current ? `${one.snapshot_id} *` : one.snapshot_id,
      one.torn ? `${one.kind ?? "-"}, ${one.torn} torn` : (one.kind ?? "-"),
      formatTime(one.created_at, now),
      formatAge(one.created_at, now),
      formatBytes(one.plain_bytes),
      formatBytes(one.stored_bytes),
      formatBytes(one.new_stored_bytes),
      one.entries?.toLocaleString("en-US") ?? "-",
      one.parts?.toLocaleString("en-US") ?? "-",
      one.digest.slice(0, 12) || "-",
      proofWords(one, now),
    ]),
    ["SIZE", "STORED", "ADDED", "ENTRIES", "PARTS"],
  );
  return `${table}\n\n* comes back with a plain wake. Another one: soneca instance wake ID --snapshot N`;
}

function proofWords({ damaged, proof, proved_at }: SnapshotView, now: number): string {
  if (damaged) return `damaged: ${damaged.message}`;
  const at = proof?.at ?? proved_at;
  return at ? formatTime(at, now) : "no";
}

/** The record of one proof, for whoever wants to know what was looked at before a machine was given back. */
export function showProof(snapshot: SnapshotView, now: number): string {
  const { proof, damaged } = snapshot;
  const time = (iso: string | null, no: string) => (iso ? `${formatTime(iso, now, { seconds: true })}` : no);
  const bytes = (count: number | null) => (count === null ? "" : `, ${formatBytes(count)}`);
  if (!proof) return `Nothing is noted of a proof of ${snapshot.snapshot_id}.`;
  return formatFacts([
    ["Snapshot", `${snapshot.snapshot_id} (${snapshot.kind ?? "never proved"}, epoch ${snapshot.epoch})`],
    ["Digest", proof.digest],
    ["Torn", snapshot.torn === null ? "not known" : String(snapshot.torn)],
    ["Manifest", proof.manifest_sha256 && `SHA-256 ${proof.manifest_sha256}${bytes(proof.manifest_bytes)}`],
    [
      "Parts",
      proof.parts === null
        ? null
        : `${proof.parts.toLocaleString("en-US")}${bytes(proof.bytes)}; each there, with its size and its SHA-256`,
    ],
    ["Proved", time(snapshot.proved_at, "-")],
    ["Sealed", time(proof.sealed_at, snapshot.kind === "checkpoint" ? "no: taken of a running machine" : "no")],
    ["Machine gone", time(proof.machine_gone_at, "no machine went on it")],
    ["Checked last", time(proof.at, "-")],
    ["Damaged", damaged && `${time(damaged.at, "-")}: ${damaged.message}`],
  ]);
}

function servicesWords({ proxy, auto_hibernation: { proxy: settings, wake_method }, status }: InstanceView): string {
  const who = settings.access === "public" ? "anybody" : "with a key";
  const isUp = status === "running" || status === "idle";
  const wakes = wake_method === "auto" ? "requests wake it" : "requests do not wake it";
  const way = proxy.is_open ? `open (${proxy.pipe})` : isUp ? (proxy.trouble ?? "not open yet") : wakes;
  return `${proxy.url}  port ${[settings.port, ...settings.more_ports].join(", ")}, ${who}; ${way}`;
}
