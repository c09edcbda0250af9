/** The routes of what could be rented, and of what is rented already and managed by nobody. */
import { type ClimbFacts, ladder, planRung, type RungQuery } from "../../core/lifecycle/ladder.ts";
import type { RentPlan } from "../../core/lifecycle/rent-plan.ts";
import type { MachineSpec } from "../../core/lifecycle/types.ts";
import type { AnswerOf, QueryOf } from "../../core/protocol/api.ts";
import { AppError } from "../../core/protocol/errors.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { OfferView } from "../../core/protocol/offers.ts";
import { accountFor } from "../account/accounts.ts";
import { reaches } from "../asker.ts";
import { instancesWithMachine } from "../db/read-model.ts";
import { toldLabel } from "../instance/whose.ts";
import type { Offer, OfferQuery, RentedMachine } from "../providers/provider.ts";
import { listCountries } from "../providers/regions.ts";
import { objectOf, orThrow } from "./ask.ts";
import { type App, type AppContext, askerOf, teamOf } from "./context.ts";
import { defaults } from "./instances.ts";
import { mount } from "./mount.ts";

/** A list that is shown to people may be so old. */
const listAgeMs = 5_000;

export function mountOffers(app: App): void {
  mount(app, "listOffers", async (c, { query }) => {
    const by = askerOf(c);
    if (query.instance && !reaches(by, query.instance)) throw new AppError("instance_not_found");
    const plan = query.instance ? orThrow(await objectOf(c, query.instance as InstanceId).rentPlan(by)).plan : null;
    return findOffers(c, query, plan);
  });

  mount(app, "listAdoptable", async (c) => {
    // Teams without a key of their own share one account: what no instance manages is shown to each of them.
    const { account } = await accountFor(c.env, teamOf(c));
    const { machines } = orThrow(await account.listMachines(listAgeMs));
    // By its number as well: its owner may have named it otherwise. Without that answer nothing is shown.
    const managed = new Set((await instancesWithMachine(c.env.DB)).map((one) => one.vastInstanceId));
    const free = machines.filter((one) => toldLabel(one) === null && !managed.has(one.id));
    return { machines: free.map(machineView) };
  });
}

/**
 * Those of the asked GPU first; where they do not fill the answer, others with at least its memory. Errors: the provider's;
 * a search that failed is never an answer without offers.
 */
async function findOffers(
  c: AppContext,
  query: QueryOf<"listOffers">,
  plan: RentPlan | null,
): Promise<AnswerOf<"listOffers">> {
  const { account } = await accountFor(c.env, teamOf(c));
  const spec = specOf(query, plan);
  const wanted = plainQuery(spec);
  const avoid = plan?.avoid ?? [];
  const first = orThrow(await account.browseOffers(wanted));
  let offers = first.offers;
  let { at } = first;
  const other = otherQuery(wanted, query, plan, offers);
  if (other && freshOf(offers, avoid).length < query.limit) {
    const second = orThrow(await account.browseOffers(other));
    const known = new Set(offers.map((one) => one.id));
    offers = [...offers, ...second.offers.filter((one) => !known.has(one.id))];
    at = Math.min(at, second.at);
  }
  const rank = (one: Offer) => (spec.gpuType === null || one.gpuType === spec.gpuType ? 0 : 1);
  const sorted = freshOf(offers, avoid).sort(
    (a, b) => rank(a) - rank(b) || a.microUsdPerHour - b.microUsdPerHour || a.id - b.id,
  );
  const isUsual = usualFor(plan);
  return { offers: sorted.slice(0, query.limit).map((one) => offerView(one, plan, isUsual)), at: iso(at) };
}

/** What is named counts in place of the instance's own. */
function specOf(query: QueryOf<"listOffers">, plan: RentPlan | null): MachineSpec {
  const own = plan?.spec ?? {
    gpuType: null,
    gpuCount: defaults.gpuCount,
    region: null,
    diskGb: defaults.diskGb,
    image: "",
    maxMicroUsdPerHour: null,
  };
  return {
    ...own,
    gpuType: query.gpu_type?.replaceAll("_", " ") ?? own.gpuType,
    gpuCount: query.gpu_count ?? own.gpuCount,
    region: query.region?.toUpperCase() ?? own.region,
    diskGb: query.disk_gb ?? own.diskGb,
  };
}

/** At any price: what is too dear is shown as such. */
function plainQuery(spec: MachineSpec): OfferQuery {
  const { usualLimit: _, ...rest } = sameRung(spec, null);
  return { ...rest, maxMicroUsdPerHour: null, avoidMachineIds: [] };
}

function sameRung(spec: MachineSpec, usual: ClimbFacts["usual"]): RungQuery {
  const planned = planRung(ladder[0]!, spec, { reach: "same", usual, workspaceBytes: 0 }, null);
  if ("skipped" in planned) throw new Error("the first rung is never skipped");
  return planned.query;
}

/** Any GPU with the memory of the wanted one; where that is not known, the wanted one elsewhere. Null: there is no other. */
function otherQuery(
  wanted: OfferQuery,
  { region: asked }: QueryOf<"listOffers">,
  plan: RentPlan | null,
  found: readonly Offer[],
): OfferQuery | null {
  if (wanted.gpuType === null) return null;
  const usualRam = plan?.usual?.gpuType === wanted.gpuType ? plan.usual.gpuRamMb : null;
  const rams = found.map((one) => one.gpuRamMb).filter((ram) => ram > 0);
  const ram = usualRam ?? (rams.length > 0 ? Math.min(...rams) : null);
  const region = asked === undefined ? null : wanted.region;
  if (ram !== null) return { ...wanted, gpuType: null, moreGpus: true, minGpuRamMb: ram, region };
  return region === wanted.region ? null : { ...wanted, region };
}

function freshOf(offers: readonly Offer[], avoid: readonly number[]): Offer[] {
  return offers.filter((one) => !avoid.includes(one.machineId));
}

/** Whether a plain wake of the instance would take it. */
function usualFor(plan: RentPlan | null): (offer: Offer) => boolean {
  if (!plan) return () => false;
  const { gpuType, gpuCount, usualLimit, maxMicroUsdPerHour, region } = sameRung(plan.spec, plan.usual);
  const limit = Math.min(usualLimit ?? Number.POSITIVE_INFINITY, maxMicroUsdPerHour ?? Number.POSITIVE_INFINITY);
  const countries = listCountries(region);
  return (offer) =>
    (gpuType === null || offer.gpuType === gpuType) &&
    offer.gpuCount === gpuCount &&
    (countries === null || countries.includes(offer.region)) &&
    offer.microUsdPerHour <= limit;
}

function offerView(offer: Offer, plan: RentPlan | null, isUsual: (offer: Offer) => boolean): OfferView {
  const cap = plan?.spec.maxMicroUsdPerHour ?? null;
  return {
    gpu_type: offer.gpuType,
    gpu_count: offer.gpuCount,
    gpu_ram_mb: offer.gpuRamMb,
    region: offer.region,
    micro_usd_per_hour: offer.microUsdPerHour,
    disk_micro_usd_per_hour: offer.diskMicroUsdPerHour ?? null,
    up_micro_usd_per_gb: offer.upMicroUsdPerGb,
    down_micro_usd_per_gb: offer.downMicroUsdPerGb,
    reliability: offer.reliability,
    verified: offer.verified,
    is_usual: isUsual(offer),
    is_over_price: cap !== null && offer.microUsdPerHour > cap,
  };
}

function machineView(machine: RentedMachine): AnswerOf<"listAdoptable">["machines"][number] {
  return {
    vast_instance_id: machine.id,
    gpu_type: machine.gpuType,
    gpu_count: machine.gpuCount,
    region: machine.region,
    micro_usd_per_hour: machine.microUsdPerHour,
    status: machine.rawStatus,
    image: machine.image,
    label: machine.label,
    started_at: machine.startedAt === null ? null : iso(machine.startedAt),
  };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
