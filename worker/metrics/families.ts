/** The metrics of a deployment, made of its read model. docs/OBSERVE.md says what each is for. */
import type { LogType } from "../../core/lifecycle/events.ts";
import { statuses } from "../../core/lifecycle/types.ts";
import { labelOf, wakeBuckets, wakePhases } from "../db/counters.ts";
import type { Meters } from "../db/meters.ts";
import type { Family, Sample } from "./exposition.ts";

/** Shown from the beginning, at zero: what has no series yet raises no alert when it first happens. */
const eventsShown: LogType[] = [
  ...(["hibernated", "woke_up", "wake_requested", "deleted", "snapshot_proved", "checkpoint_taken"] as const),
  ...(["wake_failed", "restore_failed", "start_failed", "copy_failed", "unreachable", "machine_lost"] as const),
  ...(["snapshot_failed", "snapshot_damaged", "checkpoint_failed", "hook_failed", "failed"] as const),
  ...(["destroy_failed", "stop_failed", "orphan_found"] as const),
];
const callsShown = ["search", "create", "list", "change", "destroy"];
const failuresShown = ["provider_unavailable", "provider_auth", "provider_no_credit", "provider_rate_limited"];

export function familiesOf(meters: Meters, { version, now }: { version: string; now: number }): Family[] {
  return [
    gauge("soneca_build_info", "Always 1; the version of the control plane.", [{ labels: { version }, value: 1 }]),
    ...fleet(meters),
    ...money(meters),
    ...happened(meters),
    wakes(meters),
    ...clock(meters, now),
    ...eachInstance(meters),
  ];
}

function fleet({ byState, shown }: Meters): Family[] {
  const known = new Map(byState.map((row) => [row.state, row.instances]));
  const states = [...new Set<string>([...statuses, ...known.keys()])];
  const sum = sumOf(byState);
  return [
    gauge(
      "soneca_instances",
      "Instances by the exact state of their life.",
      states.map((state) => ({ labels: { state }, value: known.get(state) ?? 0 })),
    ),
    one("soneca_instances_hidden", "Instances without series of their own.", sum("instances") - shown.length),
    one("soneca_machines", "Machines that are rented or asked for now, stopped ones included.", sum("machines")),
    one("soneca_unpriced_machines", "Of these, such as no price is known of.", sum("unpricedMachines")),
    one("soneca_price_usd_per_hour", "What all of them cost now.", usd(sum("burnMicroUsdPerHour"))),
    one("soneca_stored_bytes", "What the store holds, as it was last measured.", sum("storedBytes")),
  ];
}

function money({ byState }: Meters): Family[] {
  const sum = sumOf(byState);
  const paid = { machine: "machineMicroUsd", traffic: "trafficMicroUsd", storage: "storageMicroUsd" } as const;
  return [
    counter(
      "soneca_paid_usd_total",
      "What was paid, as the ledgers say; as of each instance's last change or sweep.",
      Object.entries(paid).map(([kind, column]) => ({ labels: { kind }, value: usd(sum(column)) })),
    ),
    counter("soneca_avoided_usd_total", "What machines would have cost that were asleep instead.", [
      { value: usd(sum("avoidedMicroUsd")) },
    ]),
  ];
}

function happened({ counts }: Meters): Family[] {
  const event = valuesOf(counts, "event");
  const call = valuesOf(counts, "provider_call");
  const failure = valuesOf(counts, "provider_failure");
  const failures = callsShown.flatMap((name) => failuresShown.map((code) => labelOf(name, code)));
  return [
    counter(
      "soneca_events_total",
      "Entries of the instances' logs, by type.",
      namesOf(eventsShown, event).map((type) => ({ labels: { type }, value: event.get(type) ?? 0 })),
    ),
    counter(
      "soneca_provider_calls_total",
      "Calls to the provider, by kind.",
      namesOf(callsShown, call).map((name) => ({ labels: { call: name }, value: call.get(name) ?? 0 })),
    ),
    counter(
      "soneca_provider_failures_total",
      "Of these, such as were refused or had no answer, by error code.",
      namesOf(failures, failure).map((key) => {
        const [name = "", code = ""] = key.split("|");
        return { labels: { call: name, code }, value: failure.get(key) ?? 0 };
      }),
    ),
  ];
}

function wakes({ counts }: Meters): Family {
  const bucket = valuesOf(counts, "wake_bucket");
  const took = valuesOf(counts, "wake_ms");
  return {
    type: "histogram",
    name: "soneca_wake_duration_seconds",
    help: "What wakes took that brought a workspace back: renting, booting, restoring, and the whole.",
    bounds: wakeBuckets,
    histograms: wakePhases.map((phase) => ({
      labels: { phase },
      counts: [...wakeBuckets, "+Inf"].map((le) => bucket.get(labelOf(phase, String(le))) ?? 0),
      sum: (took.get(phase) ?? 0) / 1000,
    })),
  };
}

function clock({ crons, late, nextDueAt }: Meters, now: number): Family[] {
  const overdueMs = nextDueAt === null ? 0 : Math.max(0, now - nextDueAt);
  return [
    gauge(
      "soneca_cron_last_run_timestamp_seconds",
      "When each duty of the cron last came to its end.",
      crons.map(({ duty, at }) => ({ labels: { duty }, value: Date.parse(at) / 1000 })),
    ),
    one("soneca_late_instances", "Instances that were due more than three minutes ago and were not looked at.", late),
    one("soneca_overdue_seconds", "For how long the first of all instances has been due.", overdueMs / 1000),
  ];
}

type Row = Meters["shown"][number];

function eachInstance({ shown }: Meters): Family[] {
  const each = (measure: (row: Row) => number | null, labels: (row: Row) => Record<string, string> = () => ({})) =>
    shown.flatMap((row): Sample[] => {
      const value = measure(row);
      return value === null ? [] : [{ labels: { id: row.instanceId, ...labels(row) }, value }];
    });
  const at = (iso: string | null) => (iso === null ? null : Date.parse(iso) / 1000);
  const isUp = (row: Row) => row.vastInstanceId !== null;
  return [
    gauge(
      "soneca_instance_info",
      "Always 1; what an instance is.",
      each(
        () => 1,
        ({ name, userId, gpuType, region }) => ({ name, user: userId, gpu_type: gpuType ?? "", region: region ?? "" }),
      ),
    ),
    gauge(
      "soneca_instance_state",
      "Always 1; the state that it is in.",
      each(
        () => 1,
        ({ state, status }) => ({ state, status }),
      ),
    ),
    gauge(
      "soneca_instance_trouble",
      "Always 1; the last thing that went wrong, until the next success of its kind.",
      each(
        (row) => (row.troubleCode === null ? null : 1),
        ({ troubleCode }) => ({ code: troubleCode ?? "" }),
      ),
    ),
    gauge(
      "soneca_instance_price_usd_per_hour",
      "What all of its machines cost now.",
      each((row) => usdOrNull(row.burnMicroUsdPerHour)),
    ),
    counter(
      "soneca_instance_paid_usd_total",
      "What was paid for it: machines, traffic and storage.",
      each((row) =>
        row.machineMicroUsd === null
          ? null
          : usd(row.machineMicroUsd + (row.trafficMicroUsd ?? 0) + (row.storageMicroUsd ?? 0)),
      ),
    ),
    counter(
      "soneca_instance_avoided_usd_total",
      "What its machines would have cost that were asleep instead.",
      each((row) => usdOrNull(row.avoidedMicroUsd)),
    ),
    gauge(
      "soneca_instance_stored_bytes",
      "What the store holds of it.",
      each((row) => row.storedBytes),
    ),
    gauge(
      "soneca_instance_gpu_utilization_ratio",
      "Use of its GPUs, as last copied; 1 is all of it. Only where a machine runs.",
      each((row) => (isUp(row) && row.gpuUtilization !== null ? row.gpuUtilization / 100 : null)),
    ),
    gauge(
      "soneca_instance_last_report_timestamp_seconds",
      "When its agent was last heard of, as last copied, some minutes ago at most. Only where a machine runs.",
      each((row) => (isUp(row) ? at(row.lastReportAt) : null)),
    ),
    gauge(
      "soneca_instance_recovery_point_timestamp_seconds",
      "As of when its workspace would come back if its machine vanished now. Only where a machine works.",
      each((row) => at(row.recoveryPointAt)),
    ),
    gauge(
      "soneca_instance_clock_skew_seconds",
      "How far its agent's clock was ahead of the worker's, with the way of a report in it. Only where a machine runs.",
      each((row) => (isUp(row) && row.clockSkewMs !== null ? row.clockSkewMs / 1000 : null)),
    ),
  ];
}

const gauge = (name: string, help: string, samples: Sample[]): Family => ({ type: "gauge", name, help, samples });
const counter = (name: string, help: string, samples: Sample[]): Family => ({ type: "counter", name, help, samples });
const one = (name: string, help: string, value: number): Family => gauge(name, help, [{ value }]);

const usd = (microUsd: number) => microUsd / 1_000_000;
const usdOrNull = (microUsd: number | null) => (microUsd === null ? null : usd(microUsd));

type Sums = Omit<Meters["byState"][number], "state">;
const sumOf = (rows: readonly Sums[]) => (column: keyof Sums) =>
  rows.reduce((total, row) => total + (row[column] ?? 0), 0);

const valuesOf = (counts: Meters["counts"], name: string) =>
  new Map(counts.filter((row) => row.name === name).map((row) => [row.label, row.value]));

const namesOf = (shown: readonly string[], known: Map<string, number>) => [...new Set([...shown, ...known.keys()])];
