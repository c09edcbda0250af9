/** The order of the instances: by any column, and what is not known stands last, whichever way. */
import type { SavingsAnswer } from "../../../core/protocol/money.ts";
import { machinePaid, storagePaid } from "./amounts.ts";

export type SavingsRow = SavingsAnswer["instances"][number];

export const sortKeys = ["name", "awake", "asleep", "machine", "storage", "always", "saved", "naps", "wake"] as const;
export type SortKey = (typeof sortKeys)[number];

export interface Order {
  key: SortKey;
  isDown: boolean;
}

const figureOf: Record<Exclude<SortKey, "name">, (row: SavingsRow) => number | null> = {
  awake: (row) => row.hours_awake,
  asleep: (row) => row.hours_hibernated,
  machine: (row) => machinePaid(row.paid),
  storage: (row) => storagePaid(row.paid),
  always: (row) => row.always_on_micro_usd,
  saved: (row) => row.saved_micro_usd,
  naps: (row) => row.hibernations,
  wake: (row) => row.mean_wake_seconds,
};

export function sortRows(rows: readonly SavingsRow[], { key, isDown }: Order): SavingsRow[] {
  const byName = (a: SavingsRow, b: SavingsRow) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id);
  const sign = isDown ? -1 : 1;
  return [...rows].sort((a, b) => {
    if (key === "name") return sign * byName(a, b);
    const [of, other] = [figureOf[key](a), figureOf[key](b)];
    if (of === null || other === null) return Number(of === null) - Number(other === null) || byName(a, b);
    return sign * (of - other) || byName(a, b);
  });
}

/** A column that is pressed again turns round; a new one begins with the most, names with the first. */
export function turned({ key, isDown }: Order, pressed: SortKey): Order {
  return key === pressed ? { key, isDown: !isDown } : { key: pressed, isDown: pressed !== "name" };
}
