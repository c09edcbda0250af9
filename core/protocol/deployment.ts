/** The deployment itself: whether it answers, what is measured and described of it, and who is let in first. */
import * as z from "zod";
import { route } from "./route.ts";
import { nameSchema } from "./tokens.ts";
import { time } from "./views.ts";

/** `is_late`: for three times its interval; null was never, as on a new deployment. */
const cronRunSchema = z.object({ at: time, age_seconds: z.number(), is_late: z.boolean() }).nullable();

const userBody = z.strictObject({ name: nameSchema });

export const deploymentRoutes = {
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
} as const;
