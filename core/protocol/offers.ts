/** What may be rented now, and what is rented already and could be managed. */
import * as z from "zod";
import { regionSchema } from "./rent.ts";
import { route } from "./route.ts";
import { instanceIdSchema, microUsd, time } from "./views.ts";

const count = z.coerce.number().int();

const offersQuery = z.strictObject({
  /** As this instance would wake: its spec, its rules, its history. What else is named counts in place of its own. */
  instance: instanceIdSchema.optional(),
  gpu_type: z.string().trim().min(1).max(80).optional(),
  gpu_count: count.min(1).max(64).optional(),
  region: regionSchema.optional(),
  disk_gb: count.min(8).max(20_000).optional(),
  limit: count.min(1).max(64).default(12),
});

export const offerSchema = z.object({
  gpu_type: z.string(),
  gpu_count: z.number().int(),
  gpu_ram_mb: z.number().int(),
  region: z.string(),
  /** With the disk. */
  micro_usd_per_hour: microUsd,
  disk_micro_usd_per_hour: microUsd.nullable(),
  up_micro_usd_per_gb: microUsd.nullable(),
  down_micro_usd_per_gb: microUsd.nullable(),
  /** 0 to 1. */
  reliability: z.number().nullable(),
  verified: z.boolean(),
  /** Of the instance's own GPU type and region, under its highest price: what a plain wake would take. */
  is_usual: z.boolean(),
  is_over_price: z.boolean(),
});
export type OfferView = z.infer<typeof offerSchema>;

const offersAnswer = z.object({
  /** Cheapest first; those of the asked GPU type before others. */
  offers: z.array(offerSchema),
  at: time,
});

const machinesAnswer = z.object({
  machines: z.array(
    z.object({
      vast_instance_id: z.number().int(),
      gpu_type: z.string().nullable(),
      gpu_count: z.number().int().nullable(),
      region: z.string().nullable(),
      micro_usd_per_hour: microUsd.nullable(),
      /** The provider's own word. */
      status: z.string().nullable(),
      image: z.string().nullable(),
      label: z.string().nullable(),
      started_at: time.nullable(),
    }),
  ),
});

export const offerRoutes = {
  listOffers: route({
    method: "GET",
    path: "/api/offers",
    principal: "user",
    role: "viewer",
    reach: "token",
    summary: "What could be rented now, with its price: before a create, or for a wake",
    query: offersQuery,
    status: 200,
    answer: offersAnswer,
  }),
  listAdoptable: route({
    method: "GET",
    path: "/api/machines",
    principal: "user",
    role: "owner",
    summary: "Machines of the provider's account that no instance manages",
    status: 200,
    answer: machinesAnswer,
  }),
} as const;
