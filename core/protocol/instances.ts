/** Instances: how they are made, what each is now, and what it is told to do. */
import * as z from "zod";
import { autoHibernationPatchSchema } from "./config.ts";
import { gpuTypeSchema, maxKeepTryingMinutes, regionSchema, rentRulesPatchSchema } from "./rent.ts";
import { route } from "./route.ts";
import { nameSchema } from "./tokens.ts";
import { instanceIdSchema, instanceSchema, instanceSummarySchema, microUsd } from "./views.ts";

/** As in the manifest's key. */
const maxSeq = 99_999_999;
const snapshotNumber = z.number().int().min(1).max(maxSeq);

/** `live`: what is awake is asked itself, and not only the read model. */
const listQuery = z.strictObject({ live: z.enum(["true", "false"]).default("false") });

const createBody = z
  .strictObject({
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
  })
  .refine(({ from, start }) => from !== undefined || start === undefined, {
    path: ["start"],
    message: "goes with `from`; an instance that begins with nothing is made by renting its machine",
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

export const instanceRoutes = {
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
} as const;
