/**
 * The route table: the only contract between the worker and whoever calls it. The worker mounts it, the clients are
 * typed by it, /api/openapi.json is made from it. Names in JSON are snake_case, times ISO 8601 UTC, money integer
 * micro-dollars (1 US$ = 1,000,000), sizes bytes.
 */
import * as z from "zod";
import { auditRoutes } from "./audit.ts";
import { browseRoutes } from "./browse.ts";
import { autoHibernationPatchSchema, autoHibernationSchema } from "./config.ts";
import { liveRoutes } from "./live.ts";
import { estimateAnswer, estimateQuery, ledgerAnswer, periodQuery, savingsAnswer } from "./money.ts";
import { noticeRoutes } from "./notices.ts";
import { offerRoutes } from "./offers.ts";
import { settingNames, settingSources } from "./policy.ts";
import { providerKeyRoutes } from "./provider-key.ts";
import { maxKeepTryingMinutes, rentRulesPatchSchema } from "./rent.ts";
import { route } from "./route.ts";
import { scheduleFields } from "./schedule.ts";
import { secretsRoutes } from "./secrets.ts";
import { selfTestRoutes } from "./self-test.ts";
import { sessionRoutes, whoSchema } from "./session.ts";
import { teamRoutes } from "./team.ts";
import { nameSchema, tokenRoutes } from "./tokens.ts";
import {
  eventSchema,
  instanceIdSchema,
  instanceSchema,
  instanceSummarySchema,
  microUsd,
  pastSnapshotSchema,
  time,
} from "./views.ts";

/** As in the manifest's key. */
const maxSeq = 99_999_999;
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

const snapshotNumber = z.number().int().min(1).max(maxSeq);

const createBody = z.strictObject({
  name: nameSchema.optional(),
  /** A snapshot of another instance of yours to begin with (its current one without a number); what is not named is as there. */
  from: z.strictObject({ instance: instanceIdSchema, snapshot: snapshotNumber.optional() }).optional(),
  /** With `from`: false leaves it asleep, and nothing is rented. */
  start: z.boolean().optional(),
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
  /** Number of an older snapshot to go back to; newer ones stay until retention lets them go. */
  snapshot: snapshotNumber.optional(),
  /** For how long it is tried again should it end without a machine. */
  keep_trying_minutes: z.number().min(0).max(maxKeepTryingMinutes).optional(),
});

const knownSettings = new Set(settingNames());
/** Names of settings, `retention` or `signals.cpu.threshold`. */
const unsetNames = z
  .array(z.string().refine((name) => knownSettings.has(name), "the name of a setting, such as retention.keep_days"))
  .max(200)
  .optional();
const namesSomething = (body: { auto_hibernation?: object | undefined; unset?: string[] | undefined }) =>
  body.auto_hibernation !== undefined || body.unset !== undefined;
const namesNothing = { error: "auto_hibernation, unset, or both", path: ["auto_hibernation"] };
const configBody = z
  .strictObject({
    auto_hibernation: autoHibernationPatchSchema.optional(),
    /** Settings that are no longer the instance's own: the policies decide them again. Done before the change. */
    unset: unsetNames,
  })
  .refine(namesSomething, namesNothing);
const configAnswer = z.object({
  auto_hibernation: autoHibernationSchema,
  /** Of every single value whose word it is: the most specific that names it. */
  sources: z.record(z.string(), z.enum(settingSources)),
  /** The GPU type whose policy counts. */
  gpu_type: z.string().nullable(),
});
/** The whole schedule: of what is not named the times and the zone stay, and everything else goes. */
const scheduleBody = z.strictObject({
  ...z.strictObject(scheduleFields).partial().shape,
  /** False: kept, and nothing is done by it. */
  enabled: z.boolean().optional(),
});
const scheduleAnswer = configAnswer.extend({ schedule: instanceSchema.shape.schedule });
const policySchema = z.object({
  /** Null: of all instances. */
  gpu_type: z.string().nullable(),
  auto_hibernation: autoHibernationPatchSchema,
  updated_at: time,
});
const policyBody = z
  .strictObject({
    gpu_type: gpuTypeSchema.nullable().optional(),
    auto_hibernation: autoHibernationPatchSchema.optional(),
    /** Settings that the policy no longer names. Done before the change. */
    unset: unsetNames,
  })
  .refine(namesSomething, namesNothing);
const policyAnswer = z.object({
  policy: policySchema,
  /** Instances that it has reached, and such as it reaches within a minute. */
  instances: z.object({ told: z.number().int(), waiting: z.number().int() }),
});
const policyQuery = z.strictObject({ gpu_type: gpuTypeSchema.optional() });
const hibernateBody = z.strictObject({
  /** The hook before the sleep is run, and may not object. */
  force: z.boolean().optional(),
});
const keepAwakeBody = z.strictObject({
  minutes: z.number().min(0.05).max(525_600),
  /** What for, for whoever sees it. */
  reason: z.string().trim().min(1).max(120).optional(),
});
const discardBody = z.strictObject({ confirm: z.string() });
const userBody = z.strictObject({ name: nameSchema });
const proxyKeyBody = z.strictObject({
  name: nameSchema,
  expires_in_days: z.number().int().min(1).max(3650).optional(),
  /** Machines that requests with this key may start within any hour; without it as many as the instance allows. */
  wakes_per_hour: z.number().int().min(0).max(60).optional(),
});
const proxyKeySchema = z.object({
  id: z.string(),
  name: z.string(),
  created_at: time,
  expires_at: time.nullable(),
  wakes_per_hour: z.number().int().nullable(),
});
/** `is_late`: for three times its interval; null was never, as on a new deployment. */
const cronRunSchema = z.object({ at: time, age_seconds: z.number(), is_late: z.boolean() }).nullable();
/** `live`: what is awake is asked itself, and not only the read model. */
const listQuery = z.strictObject({ live: z.enum(["true", "false"]).default("false") });
const eventsQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(1000).default(200),
});

export const routes = {
  health: route({
    method: "GET",
    path: "/api/health",
    principal: "public",
    summary: "Whether the control plane answers, and when its cron last did its work",
    status: 200,
    answer: z.object({
      ok: z.literal(true),
      version: z.string(),
      time,
      /** Null: the database did not answer. */
      cron: z
        .object({
          /** Overdue instances are looked at, each minute. */
          sweep: cronRunSchema,
          /** The provider's list is compared with what is known, each five minutes. */
          provider: cronRunSchema,
        })
        .nullable(),
      /** Null: the database did not answer. */
      clock: z
        .object({
          /** Instances that wanted to look at themselves longer ago than a sweep takes to notice, and did not. */
          late_instances: z.number().int(),
          /** When the first of all instances wants to look at itself, past or to come. */
          next_due_at: time.nullable(),
          /** Of the agents heard of last, the clock that is furthest from this one's: ahead is above zero. */
          largest_skew_seconds: z.number().nullable(),
        })
        .nullable(),
    }),
  }),
  getMetrics: route({
    method: "GET",
    path: "/api/metrics",
    principal: "metrics",
    summary: "What a Prometheus reads: machines, money, wakes, failures (docs/OBSERVE.md)",
    status: 200,
    answer: z.string(),
    isFile: true,
    media: "text/plain",
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
    role: "viewer",
    reach: "token",
    summary: "Who this token belongs to, and what it may do",
    status: 200,
    answer: z.object({ id: z.string(), name: z.string(), ...whoSchema }),
  }),
  ...tokenRoutes,
  ...teamRoutes,
  ...auditRoutes,
  ...providerKeyRoutes,
  ...secretsRoutes,
  listInstances: route({
    method: "GET",
    path: "/api/instances",
    principal: "user",
    role: "viewer",
    reach: "token",
    summary: "Your instances",
    query: listQuery,
    status: 200,
    answer: z.object({ instances: z.array(instanceSummarySchema) }),
  }),
  createInstance: route({
    method: "POST",
    path: "/api/instances",
    principal: "user",
    role: "owner",
    summary: "Rent a machine and manage it; with `from`, begin with a snapshot of another instance",
    body: createBody,
    bodyOptional: true,
    status: 201,
    answer: instanceSchema,
  }),
  adoptInstance: route({
    method: "POST",
    path: "/api/instances/adopt",
    principal: "user",
    role: "owner",
    summary: "Manage a machine that is rented already; the answer holds the line to run on it",
    body: adoptBody,
    status: 201,
    answer: z.object({ instance: instanceSchema, agent_token: z.string(), install_command: z.string() }),
  }),
  getInstance: route({
    method: "GET",
    path: "/api/instances/:id",
    principal: "user",
    role: "viewer",
    summary: "One instance as it is now: state, reasons, next step, cost",
    status: 200,
    answer: instanceSchema,
  }),
  renameInstance: route({
    method: "PUT",
    path: "/api/instances/:id",
    principal: "user",
    role: "operator",
    summary: "Give it another name",
    body: z.strictObject({ name: nameSchema }),
    status: 200,
    answer: instanceSchema,
  }),
  wakeInstance: route({
    method: "POST",
    path: "/api/instances/:id/wake",
    principal: "user",
    role: "operator",
    summary: "Wake it, on this GPU type, in this region, with this older snapshot where given",
    body: wakeBody,
    bodyOptional: true,
    status: 202,
    answer: instanceSchema,
  }),
  hibernateInstance: route({
    method: "POST",
    path: "/api/instances/:id/hibernate",
    principal: "user",
    role: "operator",
    summary: "Put it to sleep now: snapshot, proof, destroy; cancels a wake that is under way",
    body: hibernateBody,
    bodyOptional: true,
    status: 202,
    answer: instanceSchema,
  }),
  keepAwake: route({
    method: "POST",
    path: "/api/instances/:id/keep-awake",
    principal: "user",
    role: "operator",
    summary: "Hold it awake for so many minutes from now; calls off a sleep that is not past its seal",
    body: keepAwakeBody,
    status: 200,
    answer: instanceSchema,
  }),
  letSleep: route({
    method: "DELETE",
    path: "/api/instances/:id/keep-awake",
    principal: "user",
    role: "operator",
    summary: "End everything that holds it awake on purpose, running commands' leases included",
    status: 200,
    answer: instanceSchema,
  }),
  notNow: route({
    method: "POST",
    path: "/api/instances/:id/not-now",
    principal: "user",
    role: "operator",
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
    role: "owner",
    summary: "Destroy its machine without a snapshot: what is not in an earlier snapshot is lost",
    body: discardBody,
    status: 202,
    answer: instanceSchema,
  }),
  getConfig: route({
    method: "GET",
    path: "/api/instances/:id/config",
    principal: "user",
    role: "viewer",
    summary: "Its auto_hibernation settings, and whose word each value is",
    status: 200,
    answer: configAnswer,
  }),
  putConfig: route({
    method: "PUT",
    path: "/api/instances/:id/config",
    principal: "user",
    role: "operator",
    summary: "Change its own auto_hibernation settings; what is not named stays",
    body: configBody,
    status: 200,
    answer: configAnswer,
  }),
  putSchedule: route({
    method: "PUT",
    path: "/api/instances/:id/schedule",
    principal: "user",
    role: "operator",
    summary: "When it wakes and sleeps by the clock, from now on",
    body: scheduleBody,
    status: 200,
    answer: scheduleAnswer,
  }),
  listProxyKeys: route({
    method: "GET",
    path: "/api/instances/:id/proxy-keys",
    principal: "user",
    role: "operator",
    summary: "Keys to its services, without their secrets",
    status: 200,
    answer: z.object({ keys: z.array(proxyKeySchema) }),
  }),
  createProxyKey: route({
    method: "POST",
    path: "/api/instances/:id/proxy-keys",
    principal: "user",
    role: "owner",
    summary: "Create a key to its services and to nothing else; its secret is shown once",
    body: proxyKeyBody,
    status: 201,
    answer: proxyKeySchema.extend({ key: z.string() }),
  }),
  revokeProxyKey: route({
    method: "DELETE",
    path: "/api/instances/:id/proxy-keys/:keyId",
    principal: "user",
    role: "owner",
    summary: "Revoke a key to its services; within half a minute no request passes with it",
    status: 204,
    answer: z.null(),
  }),
  listPolicies: route({
    method: "GET",
    path: "/api/policies",
    principal: "user",
    role: "viewer",
    summary: "What you set for all of your instances, and for those of a GPU type",
    status: 200,
    answer: z.object({ policies: z.array(policySchema) }),
  }),
  putPolicy: route({
    method: "PUT",
    path: "/api/policies",
    principal: "user",
    role: "owner",
    summary: "Change a policy; reaches every instance that did not set the value itself",
    body: policyBody,
    status: 200,
    answer: policyAnswer,
  }),
  deletePolicy: route({
    method: "DELETE",
    path: "/api/policies",
    principal: "user",
    role: "owner",
    summary: "Take a policy away: the one for all, or that of the GPU type",
    query: policyQuery,
    status: 200,
    answer: policyAnswer,
  }),
  listEvents: route({
    method: "GET",
    path: "/api/instances/:id/events",
    principal: "user",
    role: "viewer",
    summary: "What happened to it, oldest first",
    query: eventsQuery,
    status: 200,
    answer: z.object({ events: z.array(eventSchema), next_after: z.number().int() }),
  }),
  listSnapshots: route({
    method: "GET",
    path: "/api/instances/:id/snapshots",
    principal: "user",
    role: "viewer",
    summary: "The newest hundred snapshots that the store holds of it, newest first, with what their proofs found",
    status: 200,
    answer: z.object({ snapshots: z.array(pastSnapshotSchema) }),
  }),
  ...browseRoutes,
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
  ...sessionRoutes,
  ...selfTestRoutes,
  ...liveRoutes,
  ...offerRoutes,
  ...noticeRoutes,
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
export type QueryOf<N extends RouteName> = (typeof routes)[N] extends { query: z.ZodType<infer Q> } ? Q : undefined;
export type AnswerOf<N extends RouteName> = (typeof routes)[N] extends { answer: z.ZodType<infer A> } ? A : never;

/** Parts and manifests, for agents alone; binary, so outside the table's JSON contract. */
export const agentStorePath = "/api/agent/store";
/** Largest part that is taken; a request body over 100 MB never reaches a worker on most zones. */
export const maxPartBytes = 64 * 1024 * 1024 + 1024 * 1024;
