/** The list in the order of what costs money and what needs somebody. Each group's sum and the header's are of the same rows. */
import type { InstanceSummary } from "../../../core/protocol/views.ts";
import { machineBurn, storageBurn } from "../../parts/burn.ts";

export type GroupName = "paid" | "asleep" | "gone";
export interface Group {
  name: GroupName;
  rows: InstanceSummary[];
  microUsdPerHour: number;
}

export const sortKeys = ["need", "name", "cost", "use", "snapshot"] as const;
export type SortKey = (typeof sortKeys)[number];

export function groupOf(row: InstanceSummary): GroupName {
  if (row.status === "deleted") return "gone";
  const isRented = machineBurn(row).microUsdPerHour > 0 || machineBurn(row).unpriced > 0;
  return row.status === "hibernated" && !isRented ? "asleep" : "paid";
}

export function costOfRow(row: InstanceSummary): number {
  return machineBurn(row).microUsdPerHour + storageBurn(row);
}

export function groupsOf(rows: readonly InstanceSummary[], sort: SortKey): Group[] {
  const order: GroupName[] = ["paid", "asleep", "gone"];
  return order
    .map((name) => {
      const own = rows.filter((row) => groupOf(row) === name).sort(comparers[sort]);
      return { name, rows: own, microUsdPerHour: own.reduce((sum, row) => sum + costOfRow(row), 0) };
    })
    .filter((group) => group.rows.length > 0);
}

type Comparer = (a: InstanceSummary, b: InstanceSummary) => number;

/** Made once: a comparison that looks for its language each time is many times slower. */
const { compare } = new Intl.Collator();
const byName: Comparer = (a, b) => compare(a.name, b.name) || compare(a.id, b.id);
const byCost: Comparer = (a, b) => costOfRow(b) - costOfRow(a) || byName(a, b);
const needs = (row: InstanceSummary) => (row.status === "failed" ? 0 : row.status === "unreachable" ? 1 : 2);

const comparers: Record<SortKey, Comparer> = {
  need: (a, b) => needs(a) - needs(b) || byCost(a, b),
  name: byName,
  cost: byCost,
  use: (a, b) => (b.gpu_utilization ?? -1) - (a.gpu_utilization ?? -1) || byName(a, b),
  snapshot: (a, b) => snapshotAt(b) - snapshotAt(a) || byName(a, b),
};

function snapshotAt({ glance }: InstanceSummary): number {
  return glance?.snapshot ? Date.parse(glance.snapshot.created_at) : 0;
}

export const chips = ["failed", "running", "idle", "moving", "unreachable", "hibernated", "deleted"] as const;
export type Chip = (typeof chips)[number];

export function chipOf({ status }: InstanceSummary): Chip {
  return status === "waking" || status === "hibernating" ? "moving" : status;
}

export function matches(row: InstanceSummary, text: string): boolean {
  const wanted = text.trim().toLocaleLowerCase();
  if (wanted === "") return true;
  return [row.name, row.id, row.gpu_type, row.region, String(row.vast_instance_id ?? "")].some((one) =>
    one?.toLocaleLowerCase().includes(wanted),
  );
}
