/** What the API shows of money: an instance's ledger, its cycles, and what sleeping saved. Names as in api.ts. */
import * as z from "zod";
import { regionSchema } from "./rent.ts";
import { route } from "./route.ts";
import { instanceIdSchema, microUsd, time } from "./views.ts";

const seconds = z.number().min(0);
const count = z.number().int().min(0);
const signedMicroUsd = z.number().int();

/** The longest period that one request may ask for. */
export const maxPeriodDays = 400;

const timeZone = z.string().refine((name) => {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return /^[A-Za-z]/.test(name);
  } catch {
    return false;
  }
}, "an IANA time zone such as America/Sao_Paulo");

const moment = z.union([z.iso.datetime({ offset: true }), z.iso.date()], {
  error: "a date (2026-11-28) or an ISO 8601 time with its offset (2026-11-28T09:00:00Z)",
});

/**
 * `from` inclusive, `to` exclusive; a date alone is the beginning of that day in `tz`. Without them: the last 30 days up to
 * now, whole days in `tz`.
 */
export const periodQuery = z.strictObject({
  from: moment.optional(),
  to: moment.optional(),
  tz: timeZone.default("UTC"),
});
export type Period = z.infer<typeof periodQuery>;

/** By kind. `machine`: GPU and disk together, where the provider never told them apart. */
const paidSchema = z.object({
  gpu_micro_usd: microUsd,
  disk_micro_usd: microUsd,
  machine_micro_usd: microUsd,
  traffic_up_micro_usd: microUsd,
  traffic_down_micro_usd: microUsd,
  storage_micro_usd: microUsd,
  operations_micro_usd: microUsd,
  /** Of the exact sum: it may differ from the sum of the rounded kinds by some micro-dollars. */
  total_micro_usd: microUsd,
});
export type PaidView = z.infer<typeof paidSchema>;

/** Paid for, or avoided, at a price that nobody told: in no sum, and never guessed. */
const unpricedSchema = z.object({
  machine_seconds: seconds,
  asleep_seconds: seconds,
  traffic_up_bytes: count,
  traffic_down_bytes: count,
});
export type UnpricedView = z.infer<typeof unpricedSchema>;

const savingsFields = {
  paid: paidSchema,
  unpriced: unpricedSchema,
  hours_awake: z.number().min(0),
  hours_hibernated: z.number().min(0),
  /** The price of the machines that slept, for as long as they did. */
  avoided_micro_usd: microUsd,
  /** Avoided less what the sleep cost; below zero: lost. */
  saved_micro_usd: signedMicroUsd,
  always_on_micro_usd: microUsd,
  hibernations: count,
  /** Null where no wake ended. */
  mean_wake_seconds: seconds.nullable(),
};
export const savingsSchema = z.object(savingsFields);
export type SavingsView = z.infer<typeof savingsSchema>;

const daySchema = z.object({ date: z.iso.date(), from: time, to: time, ...savingsFields });

const savingsOfInstance = z.object({
  id: instanceIdSchema,
  name: z.string(),
  ...savingsFields,
  /** When the store was last listed; null: never, so nothing is known of what it holds. */
  storage_measured_at: time.nullable(),
});

export const savingsAnswer = z.object({
  from: time,
  to: time,
  tz: z.string(),
  instances: z.array(savingsOfInstance),
  /** Days of the zone; the first and the last may be parts of one. */
  days: z.array(daySchema),
  total: savingsSchema,
  /** Instances that did not answer: they are in no sum. */
  missing: z.array(instanceIdSchema),
});
export type SavingsAnswer = z.infer<typeof savingsAnswer>;

const ledgerRow = z.object({
  kind: z.enum(["gpu", "disk", "machine", "traffic_up", "traffic_down", "storage", "operations_a", "operations_b"]),
  /** Of the machine that it was paid for. */
  epoch: z.number().int().nullable(),
  from: time,
  /** Null while it is still being paid. */
  to: time.nullable(),
  quantity: z.number().min(0),
  unit: z.enum(["seconds", "bytes", "byte_seconds", "requests"]),
  price_micro_usd: microUsd.nullable(),
  price_per: z.enum(["hour", "gb", "gb_month", "million"]),
  /** Of this row, rounded for itself; the totals are rounded once, from exact sums. Null: the price is not known. */
  micro_usd: microUsd.nullable(),
});
export type LedgerRow = z.infer<typeof ledgerRow>;

const cycleSchema = z.object({
  slept_at: time,
  woken_at: time.nullable(),
  /** When it ran again. */
  ready_at: time.nullable(),
  /** When it ended without a wake: discarded, or the machine turned out not to be gone. */
  ended_at: time.nullable(),
  asked: z.boolean(),
  /** What the machine that went would have gone on costing. */
  micro_usd_per_hour: microUsd.nullable(),
  paid: paidSchema,
  unpriced: unpricedSchema,
  avoided_micro_usd: microUsd.nullable(),
  /** Below zero: this sleep cost more than it avoided. Null where a price is not known. */
  net_micro_usd: signedMicroUsd.nullable(),
  /** How long it had to sleep to be worth its own cost. */
  break_even_seconds: seconds.nullable(),
});
export type CycleView = z.infer<typeof cycleSchema>;

export const ledgerAnswer = z.object({
  id: instanceIdSchema,
  name: z.string(),
  from: time,
  to: time,
  tz: z.string(),
  /** By time. Traffic and requests are summed up per day of the zone. */
  rows: z.array(ledgerRow),
  /** That were asleep within the period, oldest first; each with its whole cost. */
  cycles: z.array(cycleSchema),
  total: savingsSchema,
  storage_measured_at: time.nullable(),
});
export type LedgerAnswer = z.infer<typeof ledgerAnswer>;

const number = (least: number, most: number) => z.coerce.number().min(least).max(most);

/** What would be rented, and how it would be used. */
export const estimateQuery = z.strictObject({
  gpu_type: z.string().trim().min(1).max(80).optional(),
  gpu_count: z.coerce.number().int().min(1).max(64).default(1),
  region: regionSchema.optional(),
  disk_gb: z.coerce.number().int().min(8).max(20_000).default(50),
  workspace_gb: number(0.001, 20_000),
  /** How much of it a sleep uploads; all of it without. */
  upload_gb: number(0, 20_000).optional(),
  /** Blocks of use, with a sleep after each. */
  uses_per_day: number(0, 200),
  hours_per_day: number(0, 24),
  /** Idle time before a sleep. */
  idle_minutes: number(0, 1_440).default(3),
  /** What boot and restore take together; not known without, and then the share is the most that may be saved. */
  wake_minutes: number(0, 1_440).optional(),
});

export type Estimate = z.infer<typeof estimateQuery>;

export const estimateAnswer = z.object({
  /** The offer that a create would take now. */
  offer: z.object({
    gpu_type: z.string(),
    gpu_count: z.number().int(),
    region: z.string(),
    micro_usd_per_hour: microUsd,
    disk_micro_usd_per_hour: microUsd.nullable(),
    up_micro_usd_per_gb: microUsd.nullable(),
    down_micro_usd_per_gb: microUsd.nullable(),
  }),
  /** Of what it would cost never to sleep; below zero: sleeping costs more. Null where a price is not known. */
  saved_share: z.number().nullable(),
  /** Whether the true share is lower, because the time of a wake is not known. */
  is_at_most: z.boolean(),
  /** Below 70 %. Null: not known. */
  is_low: z.boolean().nullable(),
  cycle_traffic_micro_usd: microUsd.nullable(),
  break_even_seconds: seconds.nullable(),
});
export type EstimateAnswer = z.infer<typeof estimateAnswer>;

export const moneyRoutes = {
  getLedger: route({
    method: "GET",
    path: "/api/instances/:id/ledger",
    principal: "user",
    role: "viewer",
    summary: "What it cost, row by row, and each cycle of sleep and wake",
    query: periodQuery,
    status: 200,
    answer: ledgerAnswer,
  }),
  getSavings: route({
    method: "GET",
    path: "/api/savings",
    principal: "user",
    role: "viewer",
    reach: "token",
    summary: "What was paid, avoided and saved: per instance, per day, in all",
    query: periodQuery,
    status: 200,
    answer: savingsAnswer,
  }),
  estimate: route({
    method: "GET",
    path: "/api/estimate",
    principal: "user",
    role: "viewer",
    reach: "token",
    summary: "Before renting: the offer that a create would take, and what sleeping would save with it",
    query: estimateQuery,
    status: 200,
    answer: estimateAnswer,
  }),
} as const;
