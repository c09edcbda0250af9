/** How the kinds of the books are shown: what machines cost, what the store cost, and how many decimals a table has. */
import type { PaidView } from "../../../core/protocol/money.ts";
import type { Formats } from "../../i18n/format.ts";

/** Storage with the requests to it. */
export function storagePaid({ storage_micro_usd, operations_micro_usd }: PaidView): number {
  return storage_micro_usd + operations_micro_usd;
}

/** Taken from the total, so that it and the storage are what was paid, to the micro-dollar. */
export function machinePaid(paid: PaidView): number {
  return paid.total_micro_usd - storagePaid(paid);
}

/** One number of decimals for a whole table, so that its columns can be compared. */
export function digitsFor(microUsd: readonly number[]): number {
  const most = Math.max(0, ...microUsd.map(Math.abs)) / 1_000_000;
  if (most === 0 || most >= 1) return 2;
  return most >= 0.1 ? 3 : 4;
}

/** As many for hours: of a few minutes a tenth of an hour says nothing. */
export function hourDigits(hours: readonly number[]): number {
  return Math.max(0, ...hours) < 10 ? 2 : 1;
}

/** Without its unit, where a column or a row names it. */
export function plain(f: Formats, amount: number, digits: number): string {
  const text = f.number(Math.abs(amount), digits);
  return amount < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}

export function usd(f: Formats, microUsd: number, digits: number): string {
  return plain(f, microUsd / 1_000_000, digits);
}
