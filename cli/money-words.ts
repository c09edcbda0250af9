/** Money for people: the savings of an account, the ledger of an instance. What has no price is told beside the sums. */
import type {
  CycleView,
  EstimateAnswer,
  LedgerAnswer,
  PaidView,
  SavingsAnswer,
  SavingsView,
  UnpricedView,
} from "../core/protocol/money.ts";
import type { InstanceView } from "../core/protocol/views.ts";
import {
  formatBytes,
  formatDuration,
  formatFacts,
  formatGpu,
  formatMoney,
  formatRate,
  formatTable,
  formatTime,
} from "./format.ts";

/** The newest ones; all of them are in --json. */
const shownCycles = 20;

export function showSavings(answer: SavingsAnswer, now: number): string {
  const { total, instances, days, missing } = answer;
  const heads = ["", "AWAKE", "ASLEEP", "PAID", "STORAGE", "AVOIDED", "SAVED", "SLEEPS", "WAKE"];
  const row = (name: string, one: SavingsView) => [
    name,
    hours(one.hours_awake),
    hours(one.hours_hibernated),
    formatMoney(one.paid.total_micro_usd),
    formatMoney(one.paid.storage_micro_usd),
    formatMoney(one.avoided_micro_usd),
    balanceWords(one.saved_micro_usd),
    String(one.hibernations),
    one.mean_wake_seconds === null ? "-" : formatDuration(one.mean_wake_seconds * 1000),
  ];
  const table = (first: string, rows: string[][]) => formatTable([first, ...heads.slice(1)], rows, heads.slice(1));
  const used = days.filter((day) => day.always_on_micro_usd > 0 || day.paid.total_micro_usd > 0);
  return [
    periodWords(answer, now),
    "",
    table("INSTANCE", [...instances.map((one) => row(one.name, one)), row("all", total)]),
    ...(used.length > 0
      ? [
          "",
          table(
            "DAY",
            used.map((day) => row(day.date, day)),
          ),
        ]
      : []),
    "",
    paidFacts(total),
    ...unpricedLines(total.unpriced),
    ...(missing.length > 0 ? [`Not counted, because they did not answer: ${missing.join(", ")}.`] : []),
  ].join("\n");
}

export function showLedger(answer: LedgerAnswer, now: number): string {
  const { total, cycles } = answer;
  const newest = cycles.slice(-shownCycles);
  const older = cycles.length - newest.length;
  return [
    `${answer.name}, ${periodWords(answer, now)}`,
    "",
    paidFacts(total),
    ...unpricedLines(total.unpriced),
    answer.storage_measured_at === null
      ? "What the store holds was never measured yet: it is at each proof of a snapshot."
      : `The store was last measured ${formatTime(answer.storage_measured_at, now)}.`,
    ...(cycles.length > 0 ? ["", cycleTable(newest, now)] : ["", "No sleep in this time."]),
    ...(older > 0 ? [`and ${older} older; --json has them all.`] : []),
  ].join("\n");
}

function cycleTable(cycles: CycleView[], now: number): string {
  const heads = ["SLEPT", "FOR", "PAID FOR IT", "AVOIDED", "BALANCE", "PAYS AFTER"];
  const rows = cycles.map((one) => {
    const until = one.ready_at ?? one.ended_at;
    const ms = (until ? Date.parse(until) : now) - Date.parse(one.slept_at);
    return [
      formatTime(one.slept_at, now),
      `${formatDuration(ms)}${until ? "" : " so far"}`,
      formatMoney(one.paid.total_micro_usd),
      one.avoided_micro_usd === null ? "not known" : formatMoney(one.avoided_micro_usd),
      one.net_micro_usd === null ? "not known" : balanceWords(one.net_micro_usd),
      one.break_even_seconds === null ? "-" : formatDuration(one.break_even_seconds * 1000),
    ];
  });
  return formatTable(heads, rows, heads.slice(1));
}

function paidFacts({ paid, avoided_micro_usd, always_on_micro_usd, saved_micro_usd }: SavingsView): string {
  const share = always_on_micro_usd > 0 ? ` (${Math.round((saved_micro_usd / always_on_micro_usd) * 100)} %)` : "";
  return formatFacts([
    ["Paid", `${formatMoney(paid.total_micro_usd)}: ${kindWords(paid)}`],
    ["Always on", `${formatMoney(always_on_micro_usd)}, of which sleeping avoided ${formatMoney(avoided_micro_usd)}`],
    ["Balance", `${balanceWords(saved_micro_usd)}${share}`],
  ]);
}

function kindWords(paid: PaidView): string {
  const kinds: [string, number][] = [
    ["GPU", paid.gpu_micro_usd],
    ["disk", paid.disk_micro_usd],
    ["GPU and disk", paid.machine_micro_usd],
    ["uploads", paid.traffic_up_micro_usd],
    ["downloads", paid.traffic_down_micro_usd],
    ["storage", paid.storage_micro_usd],
    ["requests", paid.operations_micro_usd],
  ];
  const words = kinds.filter(([, micro]) => micro > 0).map(([name, micro]) => `${name} ${formatMoney(micro)}`);
  return words.length === 0 ? "nothing" : words.join(", ");
}

function unpricedLines(unpriced: UnpricedView): string[] {
  const { machine_seconds, asleep_seconds, traffic_up_bytes, traffic_down_bytes } = unpriced;
  const words = [
    machine_seconds > 0 ? `${formatDuration(machine_seconds * 1000)} of rented time` : null,
    asleep_seconds > 0 ? `${formatDuration(asleep_seconds * 1000)} asleep` : null,
    traffic_up_bytes > 0 ? `${formatBytes(traffic_up_bytes)} of uploads` : null,
    traffic_down_bytes > 0 ? `${formatBytes(traffic_down_bytes)} of downloads` : null,
  ].filter((one) => one !== null);
  return words.length === 0 ? [] : [`In no sum, because the provider never told the price: ${words.join(", ")}.`];
}

/** What its own last days say of the next ones; a warning where sleeping saves little. Null while too little is known. */
export function forecastWords({ forecast }: InstanceView): string | null {
  if (!forecast) return null;
  const { days, uses_per_day, saved_share, is_low } = forecast;
  const habit = `used ${uses_per_day.toFixed(1)} times a day, as in the last ${Math.round(days)} d`;
  if (saved_share === null) return `not known, because the provider never told all prices; ${habit}`;
  return `${shareWords(saved_share)} of the always-on price, ${habit}${is_low ? `\n${lowWords}` : ""}`;
}

export function showEstimate({ offer, ...answer }: EstimateAnswer): string {
  const { saved_share, is_at_most, is_low, cycle_traffic_micro_usd, break_even_seconds } = answer;
  const perGb = (micro: number | null) => (micro === null ? "not known" : `${formatMoney(micro)}/GB`);
  const bound = is_at_most ? "at most " : "";
  const least = is_at_most ? "at least " : "";
  return formatFacts([
    [
      "Offer",
      `${formatGpu(offer.gpu_type, offer.gpu_count)} in ${offer.region}, ${formatRate(offer.micro_usd_per_hour)}`,
    ],
    ["Traffic", `up ${perGb(offer.up_micro_usd_per_gb)}, down ${perGb(offer.down_micro_usd_per_gb)}`],
    ["A sleep costs", cycle_traffic_micro_usd === null ? null : `${formatMoney(cycle_traffic_micro_usd)} of traffic`],
    [
      "Pays after",
      break_even_seconds === null ? "not known" : `${least}${formatDuration(break_even_seconds * 1000)} idle`,
    ],
    [
      "Will save",
      saved_share === null
        ? "not known: the price of traffic is not told"
        : `${bound}${shareWords(saved_share)} of the always-on price${is_low ? `\n${lowWords}` : ""}`,
    ],
  ]);
}

const lowWords =
  "That is little: fewer sleeps (a longer idle time, or auto), a smaller workspace, or a host with cheaper traffic save more.";

function shareWords(share: number): string {
  const percent = Math.round(share * 100);
  return percent < 0 ? `${percent} % (it costs more than leaving it on)` : `${percent} %`;
}

const columns = [
  "kind",
  "epoch",
  "from",
  "to",
  "quantity",
  "unit",
  "price_micro_usd",
  "price_per",
  "micro_usd",
] as const;

/** RFC 4180, with empty fields for what is not known or still open. No field holds a comma. */
export function ledgerCsv({ rows }: LedgerAnswer): string {
  return [columns.join(","), ...rows.map((row) => columns.map((column) => row[column] ?? "").join(","))].join("\r\n");
}

function periodWords({ from, to, tz }: { from: string; to: string; tz: string }, now: number): string {
  return `${formatTime(from, now, { zone: tz })} to ${formatTime(to, now, { zone: tz })}`;
}

export function balanceWords(microUsd: number): string {
  return microUsd < 0 ? `${formatMoney(-microUsd)} lost` : `${formatMoney(microUsd)} saved`;
}

function hours(count: number): string {
  return count === 0 ? "-" : formatDuration(count * 3_600_000);
}
