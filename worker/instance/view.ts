/** What the API shows of an instance: made in one place from the state, the samples and the ledger. */
import { actionsFor, statusWord } from "../../core/lifecycle/abilities.ts";
import { bytesPerGb } from "../../core/lifecycle/amount.ts";
import { activeMachines, allMachines } from "../../core/lifecycle/attempts.ts";
import { awakeBlockers, leasesHeld } from "../../core/lifecycle/awake.ts";
import type { Books } from "../../core/lifecycle/books.ts";
import { localText, nextOccurrences } from "../../core/lifecycle/calendar.ts";
import { storageMicroUsdPerGbMonth } from "../../core/lifecycle/costs.ts";
import type { Context, Verdict } from "../../core/lifecycle/events.ts";
import { lowShare, ownForecast } from "../../core/lifecycle/forecast.ts";
import { addInterval, type Cost, type PaidInterval } from "../../core/lifecycle/ledger.ts";
import { intervalsOf } from "../../core/lifecycle/meter.ts";
import { hasPauseEnd } from "../../core/lifecycle/parked.ts";
import { activeSchedule, scheduleAt } from "../../core/lifecycle/schedule.ts";
import type { Lease, Machine, State } from "../../core/lifecycle/types.ts";
import { awakeOf, nextSleepAt } from "../../core/lifecycle/warning.ts";
import type { SignalWord } from "../../core/lifecycle/why.ts";
import { snapshotId } from "../../core/protocol/ids.ts";
import { rentRules } from "../../core/protocol/rent.ts";
import { signalUnits } from "../../core/protocol/signals.ts";
import type { EventView, InstanceView } from "../../core/protocol/views.ts";
import type { Progress } from "../../core/protocol/wire.ts";
import { actorText } from "./commit.ts";
import { machineOf } from "./machine-of.ts";
import type { KnownWake } from "./past-wakes.ts";
import { checkpointsView, keptSnapshotView, progressView, recoveryPointView } from "./recovery-view.ts";
import { sleepRequestView, sleepRuleView } from "./sleep-rule-view.ts";
import type { LogRow } from "./store.ts";
import { keepTryingView, wakeView } from "./wake-view.ts";

export interface Live {
  verdict: Verdict | null;
  gpuUtil: number | null;
  lastActivityAt: number | null;
  lastBeatAt: number | null;
  /** How far the agent's clock was ahead of ours when its last report came. */
  clockSkewMs: number | null;
  progress: Progress | null;
}

export interface Beside {
  /** Of as far back as a forecast looks. */
  books: Books;
  /** Of all machines there ever were. */
  cost: Cost;
  /** What the signals of the machine say, where one runs. */
  words: SignalWord[];
  pastWakes: KnownWake;
  proxy: InstanceView["proxy"];
  /** What a person is called that the log or a lease names; null for all else. */
  nameOf(actor: string): string | null;
}

export function viewOf(
  state: State,
  live: Live,
  { books, cost, words, pastWakes, proxy, nameOf }: Beside,
  ctx: Context,
): InstanceView {
  const { now } = ctx;
  const phase = state.now;
  const machine = machineOf(state);
  const snapshot = state.snapshot;
  return {
    id: state.instance,
    name: state.name,
    user_id: state.owner,
    status: statusWord(state),
    state: phase.status,
    state_since: iso(phase.since),
    actions: actionsFor(state),
    epoch: state.epoch,
    gpu_type: machine?.facts?.gpuType ?? state.spec.gpuType,
    gpu_count: machine?.facts?.gpuCount ?? state.spec.gpuCount,
    region: machine?.facts?.region ?? state.spec.region,
    machine: machine && machineView(machine),
    rival_machines: rivalsOf(state).map(machineView),
    proxy,
    schedule: scheduleView(state, now),
    stopped_machine: stoppedView(state),
    retiring_machines: state.retiring.map((one) => machineView(one.machine)),
    gpu_utilization: machine ? live.gpuUtil : null,
    last_activity: isoOrNull(live.lastActivityAt),
    last_report_at: isoOrNull(live.lastBeatAt),
    idle_since: phase.status === "running" ? isoOrNull(phase.idleSince) : null,
    hibernated_at: phase.status === "hibernated" ? iso(phase.since) : null,
    snapshot_id: snapshot && snapshotId(state.instance, snapshot.ref.seq),
    snapshot: snapshot && keptSnapshotView(state.instance, snapshot),
    recovery_point: recoveryPointView(state, now),
    checkpoints: checkpointsView(state, live.progress),
    awake_because: phase.status === "running" ? blockersOf(state, live.verdict, now) : [],
    signals: phase.status === "running" || phase.status === "snapshotting" ? words.map(signalView) : [],
    leases: leasesHeld(state, now).map((lease) => leaseView(lease, nameOf)),
    next: nextStep(state, ctx),
    sleep_request: sleepRequestView(state, nameOf),
    sleep_rule: sleepRuleView(state, now),
    forecast: forecastView(state, books, now),
    // What is told while it simply runs is a checkpoint's.
    progress: phase.status === "running" ? null : progressView(live.progress),
    wake: wakeView(state, pastWakes),
    copying: copyingView(state),
    keep_trying: keepTryingView(state),
    trouble: state.trouble && {
      code: state.trouble.code,
      message: state.trouble.message,
      at: iso(state.trouble.at),
      kept: phase.status === "failed" ? phase.kept : null,
    },
    cost: {
      paid_micro_usd: cost.microUsd,
      paid_seconds: cost.paidMs / 1000,
      unknown_price_seconds: cost.unknownMs / 1000,
    },
    burn: burnView(state),
    storage: storageView(books),
    rent: { ...rentRules(state.spec.rent), max_micro_usd_per_hour: state.spec.maxMicroUsdPerHour },
    auto_hibernation: state.config,
    created_at: iso(state.createdAt),
  };
}

export function eventView(state: State, row: LogRow, nameOf: Beside["nameOf"]): EventView {
  const reason = row.params.reason ?? row.params.message ?? row.params.code ?? null;
  return {
    seq: row.seq,
    instance_id: state.instance,
    event_type: row.type,
    timestamp: iso(row.at),
    actor: row.actor,
    actor_name: nameOf(row.actor),
    gpu_utilization: row.gpuUtilization,
    snapshot_id: row.snapshotSeq === null ? null : snapshotId(state.instance, row.snapshotSeq),
    reason: reason === null ? null : String(reason).slice(0, 500),
    params: row.params,
  };
}

/** At this moment, where `cost` is all that was paid. */
function burnView(state: State): InstanceView["burn"] {
  const machines = [...activeMachines(state), ...state.retiring.map((one) => one.machine)];
  const prices = machines.map((machine) => machine.facts?.microUsdPerHour ?? null);
  if (state.parked) prices.push(state.parked.machine.facts?.diskMicroUsdPerHour ?? null);
  return {
    micro_usd_per_hour: prices.reduce<number>((sum, price) => sum + (price ?? 0), 0),
    unpriced: prices.filter((price) => price === null).length,
  };
}

function storageView({ stored }: Books): InstanceView["storage"] {
  const last = stored.at(-1);
  if (!last) return null;
  const perMonth = Math.round((last.bytes / bytesPerGb) * storageMicroUsdPerGbMonth);
  return { bytes: last.bytes, micro_usd_per_month: perMonth, measured_at: iso(last.fromAt) };
}

function forecastView(state: State, books: Books, now: number): InstanceView["forecast"] {
  const own = ownForecast(books, state.createdAt, now);
  if (!own) return null;
  const { days, usesPerDay, savedShare } = own;
  return {
    days,
    uses_per_day: usesPerDay,
    saved_share: savedShare,
    is_low: savedShare === null ? null : savedShare < lowShare,
  };
}

function copyingView({ copying }: State): InstanceView["copying"] {
  if (!copying) return null;
  const { from, since, parts, partsTotal, wake } = copying;
  return {
    from_snapshot_id: snapshotId(from.instance, from.ref.seq),
    since: iso(since),
    parts_done: parts,
    parts_total: partsTotal,
    then_wakes: wake !== null,
  };
}

function rivalsOf(state: State): Machine[] {
  return state.now.status === "provisioning" ? activeMachines(state).slice(1) : [];
}

/** The closed intervals and those that are still being paid. */
export function openIntervals(state: State, ledger: PaidInterval[]): PaidInterval[] {
  return allMachines(state)
    .flatMap((machine) => intervalsOf(machine, null))
    .reduce(addInterval, ledger);
}

function nextStep(state: State, ctx: Context): InstanceView["next"] {
  const phase = state.now;
  const sleepAt = nextSleepAt(state, ctx);
  const askedAt = phase.status === "running" ? earliest(state.standing?.at, sleepsByClockAt(state)) : null;
  if (askedAt !== null && (sleepAt === null || askedAt <= sleepAt)) return { what: "hibernate", at: iso(askedAt) };
  if (sleepAt !== null) {
    const { warnedAt } = awakeOf(state);
    return { what: "hibernate", at: iso(sleepAt), ...(warnedAt !== null && { warned_at: iso(warnedAt) }) };
  }
  const wakeAt = state.schedule?.next?.what === "wake" ? scheduleAt(state) : null;
  const isAsleep = phase.status === "hibernated" || phase.status === "deleted";
  const deleteAt = phase.status === "hibernated" && hasPauseEnd(state) ? phase.deleteAt : null;
  if (isAsleep && wakeAt !== null && (deleteAt === null || wakeAt <= deleteAt))
    return { what: "wake", at: iso(wakeAt) };
  return deleteAt === null ? null : { what: "delete", at: iso(deleteAt) };
}

function sleepsByClockAt(state: State): number | undefined {
  return state.schedule?.next?.what === "sleep" ? (scheduleAt(state) ?? undefined) : undefined;
}

function earliest(...times: (number | undefined)[]): number | null {
  const known = times.filter((at) => at !== undefined);
  return known.length > 0 ? Math.min(...known) : null;
}

function scheduleView(state: State, now: number): InstanceView["schedule"] {
  const schedule = activeSchedule(state);
  if (!schedule) return null;
  const { timezone } = schedule;
  const next = nextOccurrences(schedule, Math.max(now, state.schedule?.doneUntil ?? 0), 3);
  return {
    timezone,
    next: next.map(({ what, at }) => ({ what, at: iso(at), local: localText(at, timezone) })),
    wake_begins_at: state.schedule?.next?.what === "wake" ? isoOrNull(scheduleAt(state)) : null,
    sleep_due_since: isoOrNull(state.schedule?.sleep?.dueAt ?? null),
  };
}

function blockersOf(state: State, verdict: Verdict | null, now: number): InstanceView["awake_because"] {
  const blockers = [...awakeBlockers(state, now), ...(verdict?.kind === "busy" ? verdict.blockers : [])];
  return blockers.map((one) => ({
    ...one,
    until: one.until === undefined ? undefined : iso(one.until),
  }));
}

function signalView({ since, ...word }: SignalWord): InstanceView["signals"][number] {
  const unit = word.name === "gpu" ? "percent" : signalUnits[word.name];
  return { ...word, unit, since: isoOrNull(since) };
}

function leaseView({ id, actor, what, since, until }: Lease, nameOf: Beside["nameOf"]): InstanceView["leases"][number] {
  const by = actorText(actor);
  return { id, by, by_name: nameOf(by), what, since: iso(since), until: iso(until) };
}

function machineView(machine: Machine): NonNullable<InstanceView["machine"]> {
  const facts = machine.facts;
  return {
    vast_instance_id: facts?.providerId ?? null,
    label: machine.label,
    epoch: machine.epoch,
    gpu_type: facts?.gpuType ?? null,
    gpu_count: facts?.gpuCount ?? null,
    region: facts?.region ?? null,
    micro_usd_per_hour: facts?.microUsdPerHour ?? null,
    rented_at: iso(machine.rentedAt),
    ssh: facts?.sshHost ? `ssh -p ${facts.sshPort ?? 22} root@${facts.sshHost}` : null,
    adopted: machine.adopted,
  };
}

function stoppedView({ parked }: State): InstanceView["stopped_machine"] {
  if (!parked) return null;
  const { machine, stoppedAt } = parked;
  return {
    ...machineView(machine),
    stopped_at: isoOrNull(stoppedAt),
    disk_micro_usd_per_hour: machine.facts?.diskMicroUsdPerHour ?? null,
    is_saved: machine.rest?.proof != null,
  };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

function isoOrNull(at: number | null): string | null {
  return at === null ? null : iso(at);
}
