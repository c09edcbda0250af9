/**
 * The route table: the only contract between the worker and whoever calls it. The worker mounts it, the clients are
 * typed by it, /api/openapi.json is made from it. Names in JSON are snake_case, times ISO 8601 UTC, money integer
 * micro-dollars (1 US$ = 1,000,000), sizes bytes.
 */
import * as z from "zod";
import { autoHibernationPatchSchema, autoHibernationSchema } from "./config.ts";
import { maxKeepTryingMinutes, rentRulesPatchSchema, rentRulesSchema } from "./rent.ts";
import { informationNames, signalNames } from "./signals.ts";

const time = z.iso.datetime();
const microUsd = z.number().int().min(0);
const bytes = z.number().int().min(0);

export const instanceIdSchema = z.string().regex(/^i-[a-z2-7]{10}$/, "an instance id such as i-k3v7q2m4xa");

export const actionSchema = z.enum(["wake", "hibernate", "keep_awake", "not_now", "configure", "discard"]);

const machineSchema = z.object({
  vast_instance_id: z.number().int().nullable(),
  label: z.string(),
  epoch: z.number().int(),
  gpu_type: z.string().nullable(),
  gpu_count: z.number().int().nullable(),
  region: z.string().nullable(),
  micro_usd_per_hour: microUsd.nullable(),
  rented_at: time,
  ssh: z.string().nullable(),
  adopted: z.boolean(),
});

const blockerSchema = z.object({
  signal: z.string(),
  code: z.string(),
  value: z.number().nullable(),
  threshold: z.number().nullable(),
  detail: z.string().nullable(),
  /** When it ends by itself, where that is known. */
  until: time.optional(),
});

/** What one signal says, by what it is judged, and since when it has said so. */
const signalSchema = z.object({
  name: z.enum(["gpu", ...signalNames, ...informationNames]),
  /** Whether it decides. One that does not is shown only. */
  enabled: z.boolean(),
  state: z.enum(["busy", "quiet", "unknown"]),
  /** Null is "not known", or that there is nothing to be measured. */
  value: z.number().nullable(),
  threshold: z.number().nullable(),
  unit: z.enum(["percent", "seconds", "kernels", "bytes_per_second", "megabytes"]),
  since: time.nullable(),
  detail: z.string().nullable(),
});

const leaseSchema = z.object({
  id: z.string(),
  /** Who asked for it; `agent` for a command under `soneca-agent run`. */
  by: z.string(),
  what: z.string().nullable(),
  since: time,
  until: time,
});

const usualTime = z.object({ p50_seconds: z.number(), p95_seconds: z.number() });

/** A wake under way. */
const wakeSchema = z.object({
  phase: z.enum(["renting", "booting", "restoring"]),
  phase_since: time,
  since: time,
  /** How many machines were asked for so far. */
  machines_asked: z.number().int(),
  /** What its own past wakes took, or those of its owner's instances; null while too few are known. */
  usual: z
    .object({
      of: z.enum(["instance", "account"]),
      wakes: z.number().int(),
      renting: usualTime,
      booting: usualTime,
      restoring: usualTime,
      total: usualTime,
    })
    .nullable(),
});

export const snapshotSchema = z.object({
  snapshot_id: z.string(),
  seq: z.number().int(),
  epoch: z.number().int(),
  digest: z.string(),
  created_at: time,
  plain_bytes: bytes.nullable(),
  stored_bytes: bytes.nullable(),
  entries: z.number().int().nullable(),
  parts: z.number().int().nullable(),
  proved_at: time.nullable(),
});
export type SnapshotView = z.infer<typeof snapshotSchema>;

/** The idle rule as it stands. Null is "not known" or "does not apply now". */
const sleepRuleSchema = z.object({
  pause_after_idle_minutes: autoHibernationSchema.shape.pause_after_idle_minutes,
  /** Under `auto`, of the idle time that goes on: after how much of it the machine goes, and why. */
  tau_seconds: z.number().nullable(),
  reason: z.string().nullable(),
  reason_code: z.string().nullable(),
  /** How long it must be quiet before anything happens. */
  floor_seconds: z.number(),
  /** A gap of this length costs the same awake and asleep. */
  break_even_seconds: z.number().nullable(),
  /** What one sleep and wake costs. */
  cycle_micro_usd: microUsd.nullable(),
  /** What may still be risked against the clairvoyant's cost; below zero only the break-even is left. */
  credit_micro_usd: z.number().int().nullable(),
  /** Which prices and measurements are missing for the break-even. */
  unknown: z.array(z.string()),
  gaps_known: z.number().int(),
  /** When the workspace of this idle time was stored: the first of the two stages. */
  uploaded_at: time.nullable(),
  sleeps: z.number().int(),
  false_sleeps: z.number().int(),
  /** Against leaving the machine on; below zero: lost. */
  saved_micro_usd: z.number().int(),
  last_sleep: z
    .object({
      slept_at: time,
      woken_at: time,
      saved_micro_usd: z.number().int().nullable(),
      was_false: z.boolean(),
    })
    .nullable(),
});

export const instanceSchema = z.object({
  id: instanceIdSchema,
  name: z.string(),
  user_id: z.string(),
  /** The plan's word. */
  status: z.enum(["running", "idle", "hibernating", "hibernated", "waking", "deleted", "unreachable", "failed"]),
  /** The exact state of the machine's life; see core/lifecycle/SPEC.md. */
  state: z.string(),
  state_since: time,
  actions: z.array(actionSchema),
  epoch: z.number().int(),
  gpu_type: z.string().nullable(),
  gpu_count: z.number().int(),
  region: z.string().nullable(),
  machine: machineSchema.nullable(),
  /** Started beside `machine` for the same wake because it took long; the first to come up stays. They cost, too. */
  rival_machines: z.array(machineSchema),
  /** Machines that are being given back and still cost. */
  retiring_machines: z.array(machineSchema),
  gpu_utilization: z.number().nullable(),
  last_activity: time.nullable(),
  last_report_at: time.nullable(),
  idle_since: time.nullable(),
  hibernated_at: time.nullable(),
  snapshot_id: z.string().nullable(),
  snapshot: snapshotSchema.nullable(),
  /** What keeps it awake now; empty when nothing does. */
  awake_because: z.array(blockerSchema),
  /** Every signal, judging or shown only. Empty while no machine runs. */
  signals: z.array(signalSchema),
  /** What holds it awake on purpose, now. */
  leases: z.array(leaseSchema),
  /** `warned_at`: when a sleep was announced, once it was; it may still be put off. */
  next: z.object({ what: z.enum(["hibernate", "delete"]), at: time, warned_at: time.optional() }).nullable(),
  sleep_rule: sleepRuleSchema,
  progress: z
    .object({
      phase: z.string(),
      done_bytes: bytes,
      plain_bytes: bytes,
      stored_bytes: bytes,
      sent_bytes: bytes,
      parts_done: z.number().int(),
      parts_total: z.number().int(),
    })
    .nullable(),
  wake: wakeSchema.nullable(),
  /** Whether a wake that ends without a machine is tried again; `next_at` is null while one is under way. */
  keep_trying: z.object({ until: time, tries: z.number().int(), next_at: time.nullable() }).nullable(),
  trouble: z.object({ code: z.string(), message: z.string(), at: time, kept: z.string().nullable() }).nullable(),
  cost: z.object({ paid_micro_usd: microUsd, paid_seconds: z.number(), unknown_price_seconds: z.number() }),
  /** What may be rented for it. */
  rent: rentRulesSchema.extend({ max_micro_usd_per_hour: microUsd.nullable() }),
  auto_hibernation: autoHibernationSchema,
  created_at: time,
});
export type InstanceView = z.infer<typeof instanceSchema>;

/** A row of the list: from the read model, so it may be a moment older than the instance itself. */
export const instanceSummarySchema = instanceSchema
  .pick({
    id: true,
    name: true,
    user_id: true,
    status: true,
    state: true,
    gpu_type: true,
    region: true,
    gpu_utilization: true,
    last_activity: true,
    idle_since: true,
    hibernated_at: true,
    snapshot_id: true,
    created_at: true,
  })
  .extend({
    vast_instance_id: z.number().int().nullable(),
    micro_usd_per_hour: microUsd.nullable(),
    updated_at: time,
  });
export type InstanceSummary = z.infer<typeof instanceSummarySchema>;

export const eventSchema = z.object({
  seq: z.number().int(),
  instance_id: instanceIdSchema,
  event_type: z.string(),
  timestamp: time,
  actor: z.string(),
  gpu_utilization: z.number().nullable(),
  snapshot_id: z.string().nullable(),
  reason: z.string().nullable(),
  params: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
});
export type EventView = z.infer<typeof eventSchema>;

const nameSchema = z.string().trim().min(1).max(80);
/** As the provider spells it ("RTX 4090"); the underscores that its own command line writes are taken as well. */
const gpuTypeSchema = z
  .string()
  .trim()
  .min(1)
  .max(80)
  .transform((name) => name.replaceAll("_", " "));
const regionSchema = z
  .string()
  .trim()
  .regex(/^[A-Za-z]{2}$/, "a two-letter country code or EU, NA, SA, AS, AF, OC");

const createBody = z.strictObject({
  name: nameSchema.optional(),
  gpu_type: gpuTypeSchema.nullable().optional(),
  gpu_count: z.number().int().min(1).max(64).optional(),
  region: regionSchema.nullable().optional(),
  disk_gb: z.number().int().min(8).max(20_000).optional(),
  image: z.string().trim().min(1).max(1024).optional(),
  max_micro_usd_per_hour: microUsd.positive().nullable().optional(),
  rent: rentRulesPatchSchema.optional(),
  auto_hibernation: autoHibernationPatchSchema.optional(),
});

const adoptBody = z.strictObject({
  vast_instance_id: z.number().int().positive(),
  name: nameSchema.optional(),
  auto_hibernation: autoHibernationPatchSchema.optional(),
});

/** GPU, region, cap and rules hold from this wake on. */
const wakeBody = z.strictObject({
  gpu_type: gpuTypeSchema.nullable().optional(),
  region: regionSchema.nullable().optional(),
  max_micro_usd_per_hour: microUsd.positive().nullable().optional(),
  rent: rentRulesPatchSchema.optional(),
  /** For how long it is tried again should it end without a machine. */
  keep_trying_minutes: z.number().min(0).max(maxKeepTryingMinutes).optional(),
});

const configBody = z.strictObject({ auto_hibernation: autoHibernationPatchSchema });
const configAnswer = z.object({ auto_hibernation: autoHibernationSchema });
const keepAwakeBody = z.strictObject({
  minutes: z.number().min(0.05).max(525_600),
  /** What for, for whoever sees it. */
  reason: z.string().trim().min(1).max(120).optional(),
});
const discardBody = z.strictObject({ confirm: z.string() });
const tokenBody = z.strictObject({ name: nameSchema, expires_in_days: z.number().int().min(1).max(3650).optional() });
const userBody = z.strictObject({ name: nameSchema });
const tokenSchema = z.object({
  id: z.string(),
  name: z.string(),
  created_at: time,
  expires_at: time.nullable(),
});
const eventsQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(1000).default(200),
});

export type Principal = "public" | "user" | "admin" | "agent";

export interface Route {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Hono's spelling of parameters: `/api/instances/:id`. */
  path: string;
  principal: Principal;
  summary: string;
  query?: z.ZodType;
  body?: z.ZodType;
  /** Whether an empty body stands for `{}`. */
  bodyOptional?: boolean;
  status: 200 | 201 | 202 | 204;
  answer: z.ZodType;
}

const route = <const R extends Route>(one: R): R => one;

export const routes = {
  health: route({
    method: "GET",
    path: "/api/health",
    principal: "public",
    summary: "Whether the control plane answers",
    status: 200,
    answer: z.object({ ok: z.literal(true), version: z.string(), time }),
  }),
  openapi: route({
    method: "GET",
    path: "/api/openapi.json",
    principal: "public",
    summary: "This document",
    status: 200,
    answer: z.record(z.string(), z.unknown()),
  }),
  createUser: route({
    method: "POST",
    path: "/api/users",
    principal: "admin",
    summary: "Create a user and its first token",
    body: userBody,
    status: 201,
    answer: z.object({ user: z.object({ id: z.string(), name: z.string() }), token: z.string() }),
  }),
  me: route({
    method: "GET",
    path: "/api/me",
    principal: "user",
    summary: "Who this token belongs to",
    status: 200,
    answer: z.object({ id: z.string(), name: z.string() }),
  }),
  listTokens: route({
    method: "GET",
    path: "/api/tokens",
    principal: "user",
    summary: "Your API tokens, without their secrets",
    status: 200,
    answer: z.object({ tokens: z.array(tokenSchema) }),
  }),
  createToken: route({
    method: "POST",
    path: "/api/tokens",
    principal: "user",
    summary: "Create an API token; its secret is shown once",
    body: tokenBody,
    status: 201,
    answer: tokenSchema.extend({ token: z.string() }),
  }),
  revokeToken: route({
    method: "DELETE",
    path: "/api/tokens/:tokenId",
    principal: "user",
    summary: "Revoke an API token",
    status: 204,
    answer: z.null(),
  }),
  listInstances: route({
    method: "GET",
    path: "/api/instances",
    principal: "user",
    summary: "Your instances",
    status: 200,
    answer: z.object({ instances: z.array(instanceSummarySchema) }),
  }),
  createInstance: route({
    method: "POST",
    path: "/api/instances",
    principal: "user",
    summary: "Rent a machine and manage it",
    body: createBody,
    bodyOptional: true,
    status: 201,
    answer: instanceSchema,
  }),
  adoptInstance: route({
    method: "POST",
    path: "/api/instances/adopt",
    principal: "user",
    summary: "Manage a machine that is rented already; the answer holds the line to run on it",
    body: adoptBody,
    status: 201,
    answer: z.object({ instance: instanceSchema, agent_token: z.string(), install_command: z.string() }),
  }),
  getInstance: route({
    method: "GET",
    path: "/api/instances/:id",
    principal: "user",
    summary: "One instance as it is now: state, reasons, next step, cost",
    status: 200,
    answer: instanceSchema,
  }),
  wakeInstance: route({
    method: "POST",
    path: "/api/instances/:id/wake",
    principal: "user",
    summary: "Wake it, on this GPU type and in this region where given",
    body: wakeBody,
    bodyOptional: true,
    status: 202,
    answer: instanceSchema,
  }),
  hibernateInstance: route({
    method: "POST",
    path: "/api/instances/:id/hibernate",
    principal: "user",
    summary: "Put it to sleep now: snapshot, proof, destroy; cancels a wake that is under way",
    body: z.strictObject({}),
    bodyOptional: true,
    status: 202,
    answer: instanceSchema,
  }),
  keepAwake: route({
    method: "POST",
    path: "/api/instances/:id/keep-awake",
    principal: "user",
    summary: "Hold it awake for so many minutes from now; calls off a sleep that is not past its seal",
    body: keepAwakeBody,
    status: 200,
    answer: instanceSchema,
  }),
  letSleep: route({
    method: "DELETE",
    path: "/api/instances/:id/keep-awake",
    principal: "user",
    summary: "End everything that holds it awake on purpose, running commands' leases included",
    status: 200,
    answer: instanceSchema,
  }),
  notNow: route({
    method: "POST",
    path: "/api/instances/:id/not-now",
    principal: "user",
    summary: "Put the next sleep off by `not_now_minutes` of its settings",
    body: z.strictObject({}),
    bodyOptional: true,
    status: 200,
    answer: instanceSchema,
  }),
  discardInstance: route({
    method: "POST",
    path: "/api/instances/:id/discard",
    principal: "user",
    summary: "Destroy its machine without a snapshot: what is not in an earlier snapshot is lost",
    body: discardBody,
    status: 202,
    answer: instanceSchema,
  }),
  getConfig: route({
    method: "GET",
    path: "/api/instances/:id/config",
    principal: "user",
    summary: "Its auto_hibernation settings",
    status: 200,
    answer: configAnswer,
  }),
  putConfig: route({
    method: "PUT",
    path: "/api/instances/:id/config",
    principal: "user",
    summary: "Change its auto_hibernation settings; what is not named stays",
    body: configBody,
    status: 200,
    answer: configAnswer,
  }),
  listEvents: route({
    method: "GET",
    path: "/api/instances/:id/events",
    principal: "user",
    summary: "What happened to it, oldest first",
    query: eventsQuery,
    status: 200,
    answer: z.object({ events: z.array(eventSchema), next_after: z.number().int() }),
  }),
  listSnapshots: route({
    method: "GET",
    path: "/api/instances/:id/snapshots",
    principal: "user",
    summary: "The snapshots that the store holds of it, newest first",
    status: 200,
    answer: z.object({ snapshots: z.array(snapshotSchema) }),
  }),
  agentStatus: route({
    method: "POST",
    path: "/api/agent/status",
    principal: "agent",
    summary: "The agent's report; the answer says what it should be doing",
    // The body is checked by wire.ts: its schema is the agent protocol's own.
    body: z.record(z.string(), z.unknown()),
    status: 200,
    answer: z.record(z.string(), z.unknown()),
  }),
} as const;

export type RouteName = keyof typeof routes;
export type BodyOf<N extends RouteName> = (typeof routes)[N] extends { body: z.ZodType<infer B> } ? B : undefined;
export type AnswerOf<N extends RouteName> = (typeof routes)[N] extends { answer: z.ZodType<infer A> } ? A : never;

/** Parts and manifests, for agents alone; binary, so outside the table's JSON contract. */
export const agentStorePath = "/api/agent/store";
/** Largest part that is taken; a request body over 100 MB never reaches a worker on most zones. */
export const maxPartBytes = 64 * 1024 * 1024 + 1024 * 1024;
