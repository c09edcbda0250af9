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
/** Those of a rung's offers, best first, that are not another's and were not refused a moment ago. The first is rented. */
type Take = (offers: readonly Offer[]) => Promise<readonly Offer[]>;

const takeAny: Take = async (offers) => offers;

/**
 * `offer` is null when no rung has one. `climb` tells of each rung that was come by. A failed search fails the climb. A rung
 * whose offers are all taken is left for the next one. Where none has another, the best of the first of them is asked for
 * all the same: it may be free again, and what is listed is never told as "no offer".
 */
export async function climbLadder(
  search: Search,
  { spec, avoid, facts }: Climb,
  take: Take = takeAny,
): Promise<{ ok: true; offer: Offer | null; climb: RungReport[] } | ProviderFailure> {
  const climb: RungReport[] = [];
  let last: { offer: Offer; climb: RungReport[] } | null = null;
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
    const { offers, tooDear, avoided } = chosen;
    const free = offers.length > 0 ? await take(offers) : [];
    const report: RungReport = { rung: rung.name, offers: offers.length, tooDear, avoided, skipped: null };
    if (free.length === 0 && offers[0]) last ??= { offer: offers[0], climb: [...climb, report] };
    climb.push({ ...report, offers: free.length, taken: offers.length - free.length });
    if (free[0]) return { ok: true, offer: free[0], climb };
  }
  return { ok: true, ...(last ?? { offer: null, climb }) };
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
