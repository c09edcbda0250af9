/** What an instance costs now, what it cost so far, and what its sleeps saved. */
import type { InstanceView } from "../core/protocol/views.ts";
import { formatDuration, formatMoney, formatRate } from "./format.ts";
import { balanceWords } from "./money-words.ts";

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

export function costWords(view: InstanceView): string {
  const { paid_micro_usd, paid_seconds, unknown_price_seconds } = view.cost;
  const known = `${formatMoney(paid_micro_usd)} for ${formatDuration(paid_seconds * 1000)} of rented time`;
  if (unknown_price_seconds <= 0) return known;
  return `${known}\nplus ${formatDuration(unknown_price_seconds * 1000)} at an unknown price, so not counted`;
}

/** What sleeping brought so far; null before the first one that was slept out. */
export function savedWords(view: InstanceView): string | null {
  const { sleeps, false_sleeps, saved_micro_usd, last_sleep } = view.sleep_rule;
  if (!last_sleep) return null;
  const last = last_sleep.saved_micro_usd;
  const lastWords = last === null ? "the last one at a price that is not known" : `the last one ${balanceWords(last)}`;
  const early = false_sleeps > 0 ? `, ${false_sleeps} of them woken too early` : "";
  return `${balanceWords(saved_micro_usd)} by ${sleeps} sleep${sleeps === 1 ? "" : "s"}${early}; ${lastWords}`;
}
