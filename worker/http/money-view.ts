/** From the books to what the API shows of them. */
import { ofBytes, ofCount, ofStorage, ofTime, toMicroUsd } from "../../core/lifecycle/amount.ts";
import {
  type Books,
  kinds,
  type Moved,
  movedWithin,
  overlapMs,
  type Paid,
  type Span,
  spanOf,
  totalOf,
} from "../../core/lifecycle/books.ts";
import {
  classAMicroUsdPerMillion,
  classBMicroUsdPerMillion,
  storageMicroUsdPerGbMonth,
} from "../../core/lifecycle/costs.ts";
import { daysOf } from "../../core/lifecycle/days.ts";
import { asleepSpan, cycleCosts, type Savings } from "../../core/lifecycle/savings.ts";
import type { CycleView, LedgerRow, PaidView, SavingsView, UnpricedView } from "../../core/protocol/money.ts";

export function savingsView(all: readonly Savings[]): SavingsView {
  const sum = (of: (one: Savings) => number) => all.reduce((total, one) => total + of(one), 0);
  const exact = (of: (one: Savings) => bigint) => toMicroUsd(all.reduce((total, one) => total + of(one), 0n));
  const wakes = all.flatMap((one) => one.wakesMs);
  return {
    paid: paidView(all.map((one) => one.paid)),
    unpriced: unpricedView(
      all.map((one) => one.paid),
      sum((one) => one.unknownAsleepMs),
    ),
    hours_awake: sum((one) => one.awakeMs) / 3_600_000,
    hours_hibernated: sum((one) => one.hibernatedMs) / 3_600_000,
    avoided_micro_usd: exact((one) => one.avoided),
    saved_micro_usd: exact((one) => one.saved),
    always_on_micro_usd: exact((one) => one.alwaysOn),
    hibernations: sum((one) => one.hibernations),
    mean_wake_seconds: wakes.length === 0 ? null : wakes.reduce((a, b) => a + b, 0) / wakes.length / 1000,
  };
}

function paidView(all: readonly Paid[]): PaidView {
  const of = (kind: (typeof kinds)[number]) => toMicroUsd(all.reduce((total, one) => total + one.by[kind], 0n));
  return {
    ...(Object.fromEntries(kinds.map((kind) => [`${kind}_micro_usd`, of(kind)])) as Omit<PaidView, "total_micro_usd">),
    total_micro_usd: toMicroUsd(all.reduce((total, one) => total + totalOf(one), 0n)),
  };
}

function unpricedView(all: readonly Paid[], asleepMs: number): UnpricedView {
  const sum = (of: keyof Paid["unknown"]) => all.reduce((total, one) => total + one.unknown[of], 0);
  return {
    machine_seconds: sum("machineMs") / 1000,
    asleep_seconds: asleepMs / 1000,
    traffic_up_bytes: sum("upBytes"),
    traffic_down_bytes: sum("downBytes"),
  };
}

export function storageMeasuredAt(books: Books): string | null {
  const last = books.stored.at(-1);
  return last ? iso(last.fromAt) : null;
}

export function cycleViews(books: Books, span: Span, now: number): CycleView[] {
  return cycleCosts(books, span, now).map(({ cycle, paid, avoided, net, breakEvenMs }) => {
    const asleep = asleepSpan(cycle, now);
    return {
      slept_at: iso(cycle.sleptAt),
      woken_at: isoOrNull(cycle.wokenAt),
      ready_at: isoOrNull(cycle.readyAt),
      ended_at: isoOrNull(cycle.endedAt),
      asked: cycle.asked,
      micro_usd_per_hour: cycle.microUsdPerHour,
      paid: paidView([paid]),
      unpriced: unpricedView([paid], avoided === null ? asleep.toAt - asleep.fromAt : 0),
      avoided_micro_usd: avoided === null ? null : toMicroUsd(avoided),
      net_micro_usd: net === null ? null : toMicroUsd(net),
      break_even_seconds: breakEvenMs === null ? null : breakEvenMs / 1000,
    };
  });
}

export function ledgerRows(books: Books, span: Span, timeZone: string, now: number): LedgerRow[] {
  const rows = [...machineRows(books, span, now), ...storageRows(books, span, now)];
  for (const day of daysOf(span, timeZone)) rows.push(...trafficRows(movedWithin(books.moved, day), day));
  return rows.sort((a, b) => a.from.localeCompare(b.from) || (a.epoch ?? 0) - (b.epoch ?? 0));
}

function machineRows(books: Books, span: Span, now: number): LedgerRow[] {
  return books.machines.flatMap((one) => {
    const ms = overlapMs(spanOf(one, now), span);
    if (ms === 0) return [];
    const { epoch, microUsdPerHour: price, diskMicroUsdPerHour: disk = null, isDisk } = one;
    const base = {
      epoch,
      from: iso(Math.max(one.fromAt, span.fromAt)),
      to: one.toAt === null && now <= span.toAt ? null : iso(Math.min(one.toAt ?? now, span.toAt)),
      quantity: ms / 1000,
      unit: "seconds" as const,
      price_per: "hour" as const,
    };
    const row = (kind: LedgerRow["kind"], per: number | null): LedgerRow => ({
      ...base,
      kind,
      price_micro_usd: per,
      micro_usd: per === null ? null : toMicroUsd(ofTime(ms, per)),
    });
    if (isDisk) return [row("disk", price)];
    if (price === null || disk === null || disk > price) return [row("machine", price)];
    return [row("gpu", price - disk), row("disk", disk)];
  });
}

function storageRows({ stored }: Books, span: Span, now: number): LedgerRow[] {
  return stored.flatMap(({ fromAt, bytes }, i) => {
    const next = stored[i + 1]?.fromAt ?? null;
    const ms = overlapMs(spanOf({ fromAt, toAt: next }, now), span);
    if (ms === 0 || bytes === 0) return [];
    return [
      {
        kind: "storage" as const,
        epoch: null,
        from: iso(Math.max(fromAt, span.fromAt)),
        to: next === null && now <= span.toAt ? null : iso(Math.min(next ?? now, span.toAt)),
        quantity: (bytes * ms) / 1000,
        unit: "byte_seconds" as const,
        price_micro_usd: storageMicroUsdPerGbMonth,
        price_per: "gb_month" as const,
        micro_usd: toMicroUsd(ofStorage(bytes, ms, storageMicroUsdPerGbMonth)),
      },
    ];
  });
}

function trafficRows(moved: readonly Moved[], day: Span): LedgerRow[] {
  const epochs = [...new Set(moved.map((one) => one.epoch))];
  return epochs.flatMap((epoch) => {
    const of = moved.filter((one) => one.epoch === epoch);
    const base = { epoch, from: iso(day.fromAt), to: iso(day.toAt) };
    const bytes = (kind: LedgerRow["kind"], field: "upBytes" | "downBytes", per: (one: Moved) => number | null) => {
      // A price that became known later is a row of its own.
      const prices = [...new Set(of.filter((one) => one[field] > 0).map(per))];
      return prices.map((price): LedgerRow => {
        const count = sum(
          of.filter((one) => per(one) === price),
          (one) => one[field],
        );
        const micro_usd = price === null ? null : toMicroUsd(ofBytes(count, price));
        return { ...base, kind, quantity: count, unit: "bytes", price_micro_usd: price, price_per: "gb", micro_usd };
      });
    };
    const requests = (kind: LedgerRow["kind"], count: number, price: number): LedgerRow[] => {
      if (count === 0) return [];
      const micro_usd = toMicroUsd(ofCount(count, price));
      const unit = "requests";
      return [{ ...base, kind, quantity: count, unit, price_micro_usd: price, price_per: "million", micro_usd }];
    };
    return [
      ...bytes("traffic_up", "upBytes", (one) => one.upMicroUsdPerGb),
      ...bytes("traffic_down", "downBytes", (one) => one.downMicroUsdPerGb),
      ...requests(
        "operations_a",
        sum(of, (one) => one.classA),
        classAMicroUsdPerMillion,
      ),
      ...requests(
        "operations_b",
        sum(of, (one) => one.classB),
        classBMicroUsdPerMillion,
      ),
    ];
  });
}

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((total, one) => total + of(one), 0);
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

function isoOrNull(at: number | null): string | null {
  return at === null ? null : iso(at);
}
