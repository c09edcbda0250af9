/**
 * The ladder: what is looked for when a machine is wanted, rung by rung, until one has an offer.
 *
 *   same        the GPU and the region that are wanted
 *   elsewhere   the same GPU in any region
 *   other_gpus  any GPU with at least that memory, at least as many, in any region
 *   cap         the same as `other_gpus`, at any price up to the instance's cap
 *
 * Up to `other_gpus` an offer may cost at most `max_times_usual_price` times what the last machine cost, and never more
 * than the cap. Without a cap the last rung is skipped, so that no wake costs what nobody agreed to; before the first
 * machine nothing is usual, and only a cap limits the price.
 */
import { type Reach, type RentRulesPatch, reaches, rentRules } from "../protocol/rent.ts";
import type { MachineSpec } from "./types.ts";

export interface Rung {
  name: Reach;
  gpu: "wanted" | "at_least";
  region: "wanted" | "any";
  price: "usual" | "cap";
}

export const ladder: readonly Rung[] = [
  { name: "same", gpu: "wanted", region: "wanted", price: "usual" },
  { name: "elsewhere", gpu: "wanted", region: "any", price: "usual" },
  { name: "other_gpus", gpu: "at_least", region: "any", price: "usual" },
  { name: "cap", gpu: "at_least", region: "any", price: "cap" },
];

/** What the last machine that came up was: the measure of "the same" and of "dear". */
export interface Usual {
  gpuType: string | null;
  gpuCount: number | null;
  gpuRamMb: number | null;
  microUsdPerHour: number | null;
}

/** What a rental needs to know beside the spec. */
export interface ClimbFacts {
  reach: Reach;
  usual: Usual | null;
  /** What travels to the machine and back: the stored size of the newest snapshot. Zero when there is none. */
  workspaceBytes: number;
}

/** One search. `maxMicroUsdPerHour` is the cap; `usualLimit` is looked at afterwards, so that what is too dear is told. */
export interface RungQuery {
  gpuType: string | null;
  gpuCount: number;
  moreGpus: boolean;
  minGpuRamMb: number | null;
  region: string | null;
  diskGb: number;
  maxMicroUsdPerHour: number | null;
  verifiedOnly: boolean;
  minReliability: number;
  minCuda: number | null;
  maxTrafficMicroUsdPerGb: number | null;
  usualLimit: number | null;
}

export type RungPlan = { rung: Reach; query: RungQuery } | { rung: Reach; skipped: string };

/** What came of a rung. */
export interface RungReport {
  rung: Reach;
  /** Offers that may be rented. */
  offers: number;
  /** Left out because they cost more than is usual. */
  tooDear: number;
  /** Left out because their hosts failed lately, or have a machine of this wake already. */
  avoided: number;
  /** Left out because another rental asks for them, or they were refused, a moment ago. */
  taken?: number;
  /** Why nothing was looked for; null when it was. */
  skipped: string | null;
}

/** `seenGpuRamMb`: the memory of the wanted GPU as an earlier rung's offers told it, where the last machine cannot. */
export function planRung(rung: Rung, spec: MachineSpec, facts: ClimbFacts, seenGpuRamMb: number | null): RungPlan {
  const skip = (skipped: string): RungPlan => ({ rung: rung.name, skipped });
  const rules = rentRules(spec.rent);
  const usual = facts.usual && isLike(facts.usual, spec) ? facts.usual : null;
  const cap = spec.maxMicroUsdPerHour;
  const usualLimit = limitOf(usual, rules.max_times_usual_price);
  if (reaches.indexOf(rung.name) > reaches.indexOf(facts.reach)) return skip(`the reach is "${facts.reach}"`);
  if (rung.name === "elsewhere" && spec.region === null) return skip("no region was asked for");
  if (rung.price === "cap") {
    if (cap === null) return skip("no price cap is set");
    if (usualLimit === null || usualLimit >= cap) return skip("the rungs before went up to the cap");
  }
  const ram = usual?.gpuRamMb ?? seenGpuRamMb;
  const byMemory = rung.gpu === "at_least" && ram !== null && spec.gpuType !== null;
  if (rung.gpu === "at_least" && !byMemory && rung.price !== "cap") {
    return skip(
      spec.gpuType === null ? "any GPU was asked for already" : `the memory of ${spec.gpuType} is not known yet`,
    );
  }
  return {
    rung: rung.name,
    query: {
      gpuType: byMemory ? null : spec.gpuType,
      gpuCount: spec.gpuCount,
      moreGpus: byMemory,
      minGpuRamMb: byMemory ? ram : null,
      region: rung.region === "any" ? null : spec.region,
      diskGb: spec.diskGb,
      maxMicroUsdPerHour: cap,
      verifiedOnly: rules.verified_only,
      minReliability: rules.min_reliability,
      minCuda: rules.min_cuda ?? cudaOf(spec.image),
      maxTrafficMicroUsdPerGb: rules.max_traffic_micro_usd_per_gb,
      usualLimit: rung.price === "cap" ? null : usualLimit,
    },
  };
}

interface PricedOffer {
  id: number;
  machineId: number;
  microUsdPerHour: number;
  upMicroUsdPerGb: number | null;
  downMicroUsdPerGb: number | null;
}

/** The offers that may be rented, best first, and how many were left out and why. */
export function chooseOffers<O extends PricedOffer>(
  offers: readonly O[],
  query: RungQuery,
  avoid: readonly number[],
  facts: ClimbFacts,
  rent: RentRulesPatch | undefined,
): { offers: O[]; tooDear: number; avoided: number } {
  const fresh = offers.filter((one) => !avoid.includes(one.machineId));
  const limit = Math.min(query.usualLimit ?? Number.POSITIVE_INFINITY, query.maxMicroUsdPerHour ?? Infinity);
  const fair = fresh.filter((one) => one.microUsdPerHour <= limit);
  const { ranking_hours } = rentRules(rent);
  return {
    offers: rankOffers(fair, facts.workspaceBytes, ranking_hours),
    tooDear: fresh.length - fair.length,
    avoided: offers.length - fresh.length,
  };
}

/**
 * Cheapest first: the price of `hours` and of bringing the workspace there and back. A traffic price that is not told is
 * taken for the dearest that is: unknown is never an advantage.
 */
export function rankOffers<O extends PricedOffer>(offers: readonly O[], workspaceBytes: number, hours: number): O[] {
  const dearest = (field: "upMicroUsdPerGb" | "downMicroUsdPerGb") =>
    Math.max(0, ...offers.map((one) => one[field] ?? 0));
  const up = dearest("upMicroUsdPerGb");
  const down = dearest("downMicroUsdPerGb");
  const cost = (one: O) =>
    one.microUsdPerHour * hours +
    ((one.upMicroUsdPerGb ?? up) + (one.downMicroUsdPerGb ?? down)) * (workspaceBytes / 1e9);
  return [...offers].sort((a, b) => cost(a) - cost(b) || a.microUsdPerHour - b.microUsdPerHour || a.id - b.id);
}

/** One line for the event log: which rungs were looked at, what they held, why one was skipped. */
export function climbWords(reports: readonly RungReport[]): string {
  return reports
    .map(({ rung, offers, tooDear, avoided, taken = 0, skipped }) => {
      if (skipped !== null) return `${rung}: skipped, ${skipped}`;
      const without = [
        tooDear > 0 && `${tooDear} dearer than is usual`,
        avoided > 0 && `${avoided} on hosts that are avoided`,
        taken > 0 && `${taken} refused or asked for a moment ago`,
      ].filter(Boolean);
      const count = offers === 1 ? "1 offer" : `${offers === 0 ? "no" : offers} offers`;
      return `${rung}: ${[count, ...without].join(", ")}`;
    })
    .join("; ");
}

/** The CUDA version that an image's name speaks of: "nvidia/cuda:12.4.1-runtime" -> 12.4, "...-cuda11.8-..." -> 11.8. */
export function cudaOf(image: string): number | null {
  const match = /cuda[:_-]?v?(\d{1,2})\.(\d{1,2})/i.exec(image);
  return match ? Number(`${match[1]}.${match[2]}`) : null;
}

function isLike(usual: Usual, spec: MachineSpec): boolean {
  return (spec.gpuType === null || usual.gpuType === spec.gpuType) && usual.gpuCount === spec.gpuCount;
}

function limitOf(usual: Usual | null, times: number | null): number | null {
  return usual?.microUsdPerHour == null || times === null ? null : Math.floor(usual.microUsdPerHour * times);
}
