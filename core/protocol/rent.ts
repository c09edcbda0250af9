/** What a wake may rent and how hard it tries: the `rent` object of the API, its limits and its defaults. */
import * as z from "zod";

/** As the provider spells it ("RTX 4090"); the underscores that its own command line writes are taken as well. */
export const gpuTypeSchema = z
  .string()
  .trim()
  .min(1)
  .max(80)
  .transform((name) => name.replaceAll("_", " "));

export const regionSchema = z
  .string()
  .trim()
  .regex(/^[A-Za-z]{2}$/, "a two-letter country code or EU, NA, SA, AS, AF, OC");

/** How far a wake climbs when nothing fits; each step holds the ones before it. See core/lifecycle/ladder.ts. */
export const reaches = ["same", "elsewhere", "other_gpus", "cap"] as const;
export type Reach = (typeof reaches)[number];

const fields = {
  /** The last rung that a wake may climb to. */
  reach: z.enum(reaches),
  /** Only hosts that the provider has verified. */
  verified_only: z.boolean(),
  /** Least reliability of a host, 0 to 1. An offer that does not say passes. */
  min_reliability: z.number().min(0).max(1),
  /** Least CUDA version of the host's driver; null: what the image's name says. An offer that does not say passes. */
  min_cuda: z.number().min(1).max(99).nullable(),
  /** Most that a GB may cost in either direction; null for no limit. With a limit, an offer that does not say fails. */
  max_traffic_micro_usd_per_gb: z.number().int().min(0).nullable(),
  /** Below the rung `cap`, no machine dearer than this many times the last one; null for no limit. */
  max_times_usual_price: z.number().min(1).max(100).nullable(),
  /** For how many hours an offer's price per hour counts when it is compared with what its traffic costs. */
  ranking_hours: z.number().min(0.1).max(10_000),
  /** How many machines may be started side by side for one wake. */
  parallel: z.number().int().min(1).max(3),
  /** Another machine is started beside those that did not come up in this time; 0: as soon as the first is rented. */
  second_after_seconds: z.number().min(0).max(86_400),
};

export const rentRulesSchema = z.strictObject(fields);
export type RentRules = z.infer<typeof rentRulesSchema>;

export const rentRulesPatchSchema = z.strictObject(fields).partial();
export type RentRulesPatch = z.infer<typeof rentRulesPatchSchema>;

export const defaultRentRules: RentRules = {
  reach: "cap",
  verified_only: true,
  min_reliability: 0.9,
  min_cuda: null,
  max_traffic_micro_usd_per_gb: null,
  max_times_usual_price: 2,
  ranking_hours: 4,
  parallel: 2,
  second_after_seconds: 300,
};

/** Longest time for which a wake may go on trying, minutes. */
export const maxKeepTryingMinutes = 7 * 24 * 60;

export function rentRules(patch: RentRulesPatch | undefined): RentRules {
  return { ...defaultRentRules, ...patch };
}
