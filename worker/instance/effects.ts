/**
 * The effects of the lifecycle, carried out. Each handler asks the outside world and answers with the one event that
 * says what came of it; it decides nothing. Handlers never throw for an outside failure.
 */

import { endCallMs } from "../../core/lifecycle/deadlines.ts";
import type { LifecycleEvent, RentedFacts, WorldEffect } from "../../core/lifecycle/types.ts";
import { onstartScript } from "../../core/protocol/bootstrap.ts";
import { agentEnv } from "../../core/protocol/wire.ts";
import { accountOf } from "../account/object.ts";
import { climbLadder, noOfferWords } from "../providers/climb.ts";
import type { Offer, ProviderFailure, RentedMachine } from "../providers/provider.ts";
import { runStoreEffect, type StoreDeps } from "../snapshots/effects.ts";
import { signAgentToken } from "../tokens.ts";

export interface EffectDeps extends StoreDeps {
  /** True when this very effect was begun before and its answer was never recorded. */
  wasCutOff: boolean;
  /** Asked right before the one call that cannot be taken back. */
  mayEnd(epoch: number): boolean;
  rentedAt(epoch: number): number | null;
  acceptedAt(epoch: number): number | null;
}

/** A machine may be missing from the provider's list for some seconds after its rental. */
const listLagMs = 60_000;
const fresh = 1_000;

export async function runEffect(effect: WorldEffect, deps: EffectDeps): Promise<LifecycleEvent> {
  switch (effect.kind) {
    case "rent":
      return rent(effect, deps);
    case "look":
      return look(effect, deps);
    case "end":
      return end(effect, deps);
    case "prove":
    case "salvage":
    case "copy":
    case "collect":
      return runStoreEffect(effect, deps);
  }
}

async function rent(effect: Extract<WorldEffect, { kind: "rent" }>, deps: EffectDeps): Promise<LifecycleEvent> {
  const { epoch, label, spec } = effect;
  const account = accountOf(deps.env);
  // The label is the idempotency key: whatever carries it already is ours.
  const list = await account.listMachines(0);
  if (!list.ok) return rentFailed(epoch, list, null);
  const found = list.machines.find((machine) => machine.label === label);
  if (found) return { type: "rented", epoch, facts: factsOf(found) };
  // The create may be on its way or not listed yet; asking again could rent twice.
  if (deps.wasCutOff) return { type: "rentUnknown", epoch };

  const climbed = await climbLadder((query) => account.searchOffers(query), effect);
  if (!climbed.ok) return rentFailed(epoch, climbed, null);
  const { offer, climb } = climbed;
  if (!offer) {
    const message = noOfferWords(spec, climb);
    return { type: "rentFailed", epoch, code: "no_offer", message, tryNext: false, machineId: null, climb };
  }
  const token = await signAgentToken(deps.env.AGENT_JWT_SECRET, deps.instance, epoch, Date.now());
  const request = {
    offerId: offer.id,
    label,
    image: spec.image,
    diskGb: spec.diskGb,
    env: {
      [agentEnv.url]: deps.env.PUBLIC_URL,
      [agentEnv.token]: token,
      [agentEnv.instance]: deps.instance,
      [agentEnv.epoch]: String(epoch),
    },
    onstart: onstartScript(),
  };
  // The account's object may die with the call under way: then the label decides, as after any lost answer.
  const created = await account.createMachine(request).catch(() => null);
  if (!created) return { type: "rentUnknown", epoch };
  if (created.ok) return { type: "rented", epoch, facts: factsOfOffer(created.id, offer), climb };
  if ("strayId" in created) await account.destroyMachine(created.strayId, null);
  return rentFailed(epoch, created, created.code === "offer_gone" ? null : offer.machineId);
}

async function look(effect: Extract<WorldEffect, { kind: "look" }>, deps: EffectDeps): Promise<LifecycleEvent> {
  const { epoch } = effect;
  const list = await accountOf(deps.env).listMachines(effect.providerId === null ? fresh : 5_000);
  if (!list.ok) return { type: "lookFailed", epoch, message: list.message };
  const machine = findMachine(list.machines, effect);
  if (machine) return seen(epoch, machine);
  if (effect.providerId === null) return { type: "notFound", epoch };
  const rentedAt = deps.rentedAt(epoch);
  if (rentedAt !== null && Date.now() - rentedAt < listLagMs) {
    return { type: "lookFailed", epoch, message: "the machine is not listed yet" };
  }
  return { type: "gone", epoch, at: Date.now() };
}

async function end(effect: Extract<WorldEffect, { kind: "end" }>, deps: EffectDeps): Promise<LifecycleEvent> {
  const { epoch } = effect;
  const account = accountOf(deps.env);
  if (effect.providerId === null) return look(effect as never, deps);
  if (deps.acceptedAt(epoch) !== null) {
    const list = await account.listMachines(fresh);
    if (!list.ok) return { type: "lookFailed", epoch, message: list.message };
    if (!findMachine(list.machines, effect)) return { type: "gone", epoch, at: Date.now() };
    // Accepted and still there: most providers take some seconds. Asking again does no harm.
  }
  if (!deps.mayEnd(epoch)) return { type: "tick" };
  // On a proof the destroy has endCallMs and no longer, its wait for its turn included: after that the seal may be off.
  const isOnSeal = effect.basis.kind === "proof" && deps.acceptedAt(epoch) === null;
  const answer = await account.destroyMachine(effect.providerId, isOnSeal ? Date.now() + endCallMs : null);
  if (!answer.ok) return { type: "endTried", epoch, accepted: false, message: answer.message };
  if (answer.gone) return { type: "gone", epoch, at: Date.now() };
  return { type: "endTried", epoch, accepted: true, message: null };
}

function findMachine(
  machines: RentedMachine[],
  wanted: { providerId: number | null; label: string },
): RentedMachine | undefined {
  return machines.find((one) =>
    wanted.providerId === null ? one.label === wanted.label : one.id === wanted.providerId,
  );
}

export function seen(epoch: number, machine: RentedMachine): LifecycleEvent {
  const { phase, fatal } = machine;
  return {
    type: "seen",
    epoch,
    facts: factsOf(machine),
    phase,
    fatal,
    message: machine.statusMessage ?? machine.rawStatus,
  };
}

export function factsOf(machine: RentedMachine): RentedFacts {
  const { id, machineId, gpuType, gpuCount, gpuRamMb, region, sshHost, sshPort } = machine;
  const { microUsdPerHour, diskMicroUsdPerHour = null, upMicroUsdPerGb, downMicroUsdPerGb } = machine;
  const prices = { microUsdPerHour, diskMicroUsdPerHour, upMicroUsdPerGb, downMicroUsdPerGb };
  return { providerId: id, machineId, gpuType, gpuCount, gpuRamMb, region, ...prices, sshHost, sshPort };
}

function factsOfOffer(id: number, offer: Offer): RentedFacts {
  const { machineId, gpuType, gpuCount, region, microUsdPerHour, upMicroUsdPerGb, downMicroUsdPerGb } = offer;
  const gpuRamMb = offer.gpuRamMb > 0 ? offer.gpuRamMb : null;
  const prices = { microUsdPerHour, upMicroUsdPerGb, downMicroUsdPerGb };
  return { providerId: id, machineId, gpuType, gpuCount, gpuRamMb, region, ...prices, sshHost: null, sshPort: null };
}

/**
 * A provider that does not answer now is waited for, not given up: the label is looked for until it answers. What the
 * provider refuses for good ends the wake.
 */
function rentFailed(epoch: number, failure: ProviderFailure, machineId: number | null): LifecycleEvent {
  if (failure.code === "provider_unavailable" || failure.code === "provider_rate_limited")
    return { type: "rentUnknown", epoch };
  const tryNext = failure.code === "offer_gone";
  return { type: "rentFailed", epoch, code: failure.code, message: failure.message, tryNext, machineId };
}
