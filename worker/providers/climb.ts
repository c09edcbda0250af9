/** Climbs the ladder (core/lifecycle/ladder.ts) with searches, until a rung has an offer that may be rented. */
import {
  type ClimbFacts,
  chooseOffers,
  climbWords,
  ladder,
  planRung,
  type RungQuery,
  type RungReport,
} from "../../core/lifecycle/ladder.ts";
import type { MachineSpec } from "../../core/lifecycle/types.ts";
import type { Offer, OfferQuery, ProviderAnswer, ProviderFailure } from "./provider.ts";

export interface Climb {
  spec: MachineSpec;
  avoid: readonly number[];
  facts: ClimbFacts;
}

type Search = (query: OfferQuery) => Promise<ProviderAnswer<{ offers: Offer[] }>>;

/** `offer` is null when no rung has one. `climb` tells of each rung that was come by. A failed search fails the climb. */
export async function climbLadder(
  search: Search,
  { spec, avoid, facts }: Climb,
): Promise<{ ok: true; offer: Offer | null; climb: RungReport[] } | ProviderFailure> {
  const climb: RungReport[] = [];
  let seenGpuRamMb: number | null = null;
  for (const rung of ladder) {
    const plan = planRung(rung, spec, facts, seenGpuRamMb);
    if ("skipped" in plan) {
      climb.push({ rung: rung.name, offers: 0, tooDear: 0, avoided: 0, skipped: plan.skipped });
      continue;
    }
    const answer = await search(offerQuery(plan.query));
    if (!answer.ok) return answer;
    // What the wanted GPU has is told by its offers, also by those that are too dear or avoided.
    seenGpuRamMb ??= leastRam(answer.offers.filter((one) => one.gpuType === spec.gpuType));
    const chosen = chooseOffers(answer.offers, plan.query, avoid, facts, spec.rent);
    const { tooDear, avoided } = chosen;
    climb.push({ rung: rung.name, offers: chosen.offers.length, tooDear, avoided, skipped: null });
    const [offer] = chosen.offers;
    if (offer) return { ok: true, offer, climb };
  }
  return { ok: true, offer: null, climb };
}

/** For people: what was wanted, and which rungs were looked at. */
export function noOfferWords(spec: MachineSpec, climb: readonly RungReport[]): string {
  const what = [spec.gpuType ?? "any GPU", spec.region ? `in ${spec.region}` : "anywhere", `${spec.diskGb} GB disk`];
  return `No offer for ${what.join(", ")} (${climbWords(climb)}).`;
}

function offerQuery(query: RungQuery): OfferQuery {
  const { usualLimit: _, ...rest } = query;
  return { ...rest, avoidMachineIds: [] };
}

function leastRam(offers: readonly Offer[]): number | null {
  const known = offers.map((one) => one.gpuRamMb).filter((ram) => ram > 0);
  return known.length > 0 ? Math.min(...known) : null;
}
