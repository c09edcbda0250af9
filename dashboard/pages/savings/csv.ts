/** Tables for programs: ISO dates, hours and seconds as numbers, and dollars with all six decimals of a micro-dollar. */
import type { SavingsAnswer, SavingsView } from "../../../core/protocol/money.ts";

type Cell = string | number | null;

/** As RFC 4180 has it. */
export function csvOf(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function cell(value: Cell): string {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

/** A name that a spreadsheet would take for a formula is kept from being run. */
export function textCell(text: string): string {
  return /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

/** Exact: `-0.000001` of minus one micro-dollar. */
export function dollars(microUsd: number): string {
  const digits = String(Math.abs(Math.round(microUsd))).padStart(7, "0");
  return `${microUsd < 0 ? "-" : ""}${digits.slice(0, -6)}.${digits.slice(-6)}`;
}

const fields: [name: string, of: (one: SavingsView) => Cell][] = [
  ["hours_awake", (one) => one.hours_awake],
  ["hours_hibernated", (one) => one.hours_hibernated],
  ["hibernations", (one) => one.hibernations],
  ["mean_wake_seconds", (one) => one.mean_wake_seconds],
  ["paid_gpu_usd", (one) => dollars(one.paid.gpu_micro_usd)],
  ["paid_disk_usd", (one) => dollars(one.paid.disk_micro_usd)],
  ["paid_machine_usd", (one) => dollars(one.paid.machine_micro_usd)],
  ["paid_traffic_up_usd", (one) => dollars(one.paid.traffic_up_micro_usd)],
  ["paid_traffic_down_usd", (one) => dollars(one.paid.traffic_down_micro_usd)],
  ["paid_storage_usd", (one) => dollars(one.paid.storage_micro_usd)],
  ["paid_operations_usd", (one) => dollars(one.paid.operations_micro_usd)],
  ["paid_total_usd", (one) => dollars(one.paid.total_micro_usd)],
  ["avoided_usd", (one) => dollars(one.avoided_micro_usd)],
  ["saved_usd", (one) => dollars(one.saved_micro_usd)],
  ["always_on_usd", (one) => dollars(one.always_on_micro_usd)],
  ["unpriced_machine_seconds", (one) => one.unpriced.machine_seconds],
  ["unpriced_asleep_seconds", (one) => one.unpriced.asleep_seconds],
  ["unpriced_traffic_up_bytes", (one) => one.unpriced.traffic_up_bytes],
  ["unpriced_traffic_down_bytes", (one) => one.unpriced.traffic_down_bytes],
];
const names = fields.map(([name]) => name);
const values = (one: SavingsView) => fields.map(([, of]) => of(one));

export function daysCsv({ days }: SavingsAnswer): string {
  return csvOf(
    ["date", "from", "to", ...names],
    days.map((day) => [day.date, day.from, day.to, ...values(day)]),
  );
}

export function instancesCsv({ instances, from, to }: SavingsAnswer): string {
  return csvOf(
    ["id", "name", "from", "to", ...names, "storage_measured_at"],
    instances.map((one) => [one.id, textCell(one.name), from, to, ...values(one), one.storage_measured_at]),
  );
}

/** With the mark by which spreadsheets know UTF-8. */
export function download(name: string, csv: string): void {
  const address = URL.createObjectURL(new Blob(["\ufeff", csv], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
