/** When an instance sleeps: its own word, or a policy's for many. */
import * as z from "zod";
import { autoHibernationPatchSchema, autoHibernationSchema } from "./config.ts";
import { settingNames, settingSources } from "./policy.ts";
import { gpuTypeSchema } from "./rent.ts";
import { route } from "./route.ts";
import { scheduleFields } from "./schedule.ts";
import { instanceSchema, time } from "./views.ts";

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

export const settingRoutes = {
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
} as const;

export const policyRoutes = {
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
} as const;
