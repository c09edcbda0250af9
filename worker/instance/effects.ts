/**
 * The effects of the lifecycle, carried out. Each handler asks the outside world and answers with the one event that
 * says what came of it; it decides nothing. Handlers never throw for an outside failure.
 */

import { endCallMs } from "../../core/lifecycle/deadlines.ts";
import type { LifecycleEvent, WorldEffect } from "../../core/lifecycle/events.ts";
import type { Timings } from "../../core/lifecycle/timings.ts";
import type { RentedFacts } from "../../core/lifecycle/types.ts";
import { installScript, onstartScript } from "../../core/protocol/bootstrap.ts";
import { agentEnv } from "../../core/protocol/wire.ts";
import type { Account } from "../account/accounts.ts";
import { sha256Hex } from "../fresh-secret.ts";
import { log } from "../log.ts";
import { climbLadder, noOfferWords } from "../providers/climb.ts";
import type { Offer, ProviderFailure, RentedMachine } from "../providers/provider.ts";
import { runStoreEffect, type StoreDeps } from "../snapshots/effects.ts";
import { signAgentToken } from "../tokens.ts";
import { findOwn, isByEnv } from "./whose.ts";

export interface EffectDeps extends StoreDeps {
  /**
   * True when this very effect was begun before and its answer was never recorded: in an earlier life of the object, or
   * in this one, after it had sent what must not be sent twice.
   */
  wasCutOff: boolean;
  /** Said right before that is sent. */
  noteSent(): void;
  /** Asked right before the one call that cannot be taken back. */
  mayEnd(epoch: number): boolean;
  mayStop(epoch: number): boolean;
  /** A first stop of it stands on a seal that ends. */
  isOnSeal(epoch: number): boolean;
  /** It is on its way out and stood still. */
  isStopped(epoch: number): boolean;
  rentedAt(epoch: number): number | null;
  acceptedAt(epoch: number): number | null;
  timings: Timings;
  /** That which the machine of this epoch was rented with. */
  account(epoch: number): Account;
  /** That which this rental is for: as the team has it now, unless it was begun before. */
  accountToRent(epoch: number): Promise<Account>;
}

const fresh = 1_000;

export async function runEffect(effect: WorldEffect, deps: EffectDeps): Promise<LifecycleEvent> {
  switch (effect.kind) {
    case "rent":
      return rent(effect, deps);
    case "look":
      return look(effect, deps);
    case "end":
      return end(effect, deps);
    case "stop":
      return stop(effect, deps);
    case "start":
      return start(effect, deps);
    case "prove":
    case "salvage":
    case "copy":
    case "collect":
      return runStoreEffect(effect, deps);
  }
}

async function rent(effect: Extract<WorldEffect, { kind: "rent" }>, deps: EffectDeps): Promise<LifecycleEvent> {
  const { epoch, label, spec } = effect;
  const account = await deps.accountToRent(epoch);
  // The label is the idempotency key: whatever carries it already is ours.
  const before = await findLabelled(effect, deps);
  if (!before.ok) return rentFailed(epoch, before, null);
  if (before.event) return before.event;
  // The create may be on its way or not listed yet; asking again could rent twice.
  if (deps.wasCutOff) return { type: "rentUnknown", epoch };

  const take = async (offers: readonly Offer[]) => {
    const free = await account.takeOffer(offers.map((one) => one.id));
    return offers.filter((one) => free.includes(one.id));
  };
  const climbed = await climbLadder((query) => account.searchOffers(query), effect, take);
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
    onstart: onstartScript(await sha256Hex(installScript())),
  };
  // The account's object may die with the call under way, or after it: then the label decides, as after any lost answer.
  deps.noteSent();
  const created = await account.createMachine(request).catch(() => null);
  if (!created || (!created.ok && created.retryable)) return { type: "rentUnknown", epoch };
  // No answer is proof: a number may be that of another call, and a refusal may follow a machine that was made.
  const after = await findLabelled(effect, deps, offer);
  if (after.ok && after.event) return after.event.type === "rented" ? { ...after.event, climb } : after.event;
  if (created.ok || "strayId" in created) return { type: "rentUnknown", epoch };
  return rentFailed(epoch, created, created.code === "offer_gone" ? null : offer.machineId);
}

/** Looks for the label in a list of this moment. `event` is null where no machine carries it. */
async function findLabelled(
  { epoch, label }: { epoch: number; label: string },
  deps: EffectDeps,
  offer?: Offer,
): Promise<{ ok: true; event: LifecycleEvent | null } | ProviderFailure> {
  const account = deps.account(epoch);
  const list = await account.listMachines(0);
  if (!list.ok) return list;
  const { machine, twins } = findOwn(list.machines, { providerId: null, label });
  if (!machine) return { ok: true, event: null };
  await nameAgain(machine, label, account);
  const facts = { ...factsOf(machine), ...(offer && machine.microUsdPerHour === null && priceOf(offer)) };
  return { ok: true, event: { type: "rented", epoch, facts, ...twinsOf(twins) } };
}

/** The provider lost the label: without it nobody but this deployment can tell whose machine it is. */
async function nameAgain(machine: RentedMachine, label: string, account: Account): Promise<void> {
  if (!isByEnv(machine)) return;
  const named = await account.adoptMachine(machine.id, label);
  if (!named.ok) log.warn("label_not_set", { machine: machine.id, code: named.code });
}

async function look(
  effect: { epoch: number; label: string; providerId: number | null; fresh?: true },
  deps: EffectDeps,
): Promise<LifecycleEvent> {
  const { epoch, label } = effect;
  const account = deps.account(epoch);
  const list = await account.listMachines(effect.fresh ? 0 : effect.providerId === null ? fresh : 5_000);
  if (!list.ok) return { type: "lookFailed", epoch, message: list.message };
  const { machine, twins } = findOwn(list.machines, effect);
  if (machine) {
    await nameAgain(machine, label, account);
    return { ...seen(epoch, machine), ...twinsOf(twins) };
  }
  if (effect.providerId === null) return { type: "notFound", epoch };
  const rentedAt = deps.rentedAt(epoch);
  if (rentedAt !== null && Date.now() - rentedAt < deps.timings.listLagMs) {
    return { type: "lookFailed", epoch, message: "the machine is not listed yet" };
  }
  return lookOnceMore(effect, deps);
}

/** One list that lacks a machine may be a list that is short: it is gone when a later one lacks it too. */
async function lookOnceMore(
  effect: { epoch: number; label: string; providerId: number | null },
  deps: EffectDeps,
): Promise<LifecycleEvent> {
  const { epoch } = effect;
  const at = Date.now();
  await scheduler.wait(deps.timings.goneAgainMs);
  const list = await deps.account(epoch).listMachines(0);
  if (!list.ok) return { type: "lookFailed", epoch, message: list.message };
  const { machine } = findOwn(list.machines, effect);
  return machine ? seen(epoch, machine) : { type: "gone", epoch, at };
}

async function end(effect: Extract<WorldEffect, { kind: "end" }>, deps: EffectDeps): Promise<LifecycleEvent> {
  const { epoch } = effect;
  const account = deps.account(epoch);
  if (effect.providerId === null) return look(effect, deps);
  let stillRuns: boolean | undefined;
  if (deps.acceptedAt(epoch) !== null) {
    const list = await account.listMachines(fresh);
    if (!list.ok) return { type: "lookFailed", epoch, message: list.message };
    const { machine } = findOwn(list.machines, effect);
    const event = machine ? null : await lookOnceMore(effect, deps);
    if (event && event.type !== "seen") return event;
    stillRuns = machine?.phase === "running";
    // Accepted and still there: most providers take some seconds. Asking again does no harm.
  }
  await account.turn("destroy");
  if (deps.isStopped(epoch) && deps.acceptedAt(epoch) === null) {
    // Somebody may have started it since.
    const event = await look({ ...effect, fresh: true }, deps);
    if (event.type !== "seen" || event.phase === "running") return event;
  }
  if (!deps.mayEnd(epoch)) return { type: "tick" };
  // On a proof the destroy has endCallMs and no longer: after that the seal may be off.
  const isOnSeal = effect.basis.kind === "proof" && deps.acceptedAt(epoch) === null && !deps.isStopped(epoch);
  const answer = await account.destroyMachine(effect.providerId, isOnSeal ? Date.now() + endCallMs : null);
  if (!answer.ok) return { type: "endTried", epoch, accepted: false, message: answer.message };
  if (!answer.gone)
    return { type: "endTried", epoch, accepted: true, message: null, ...(stillRuns && { stillRuns: true as const }) };
  // "No such machine" in one answer, of a provider whose list shows it, is no word to rely on.
  const event = await lookOnceMore(effect, deps);
  if (event.type !== "seen") return event;
  return { type: "endTried", epoch, accepted: false, message: "the provider knows no such machine, and lists it" };
}

/** But for the first one, which has no time for it, it looks before: what stands still needs no stop. */
async function stop(effect: Extract<WorldEffect, { kind: "stop" }>, deps: EffectDeps): Promise<LifecycleEvent> {
  const { epoch, providerId } = effect;
  if (providerId === null) return look(effect, deps);
  const account = deps.account(epoch);
  if (!deps.isOnSeal(epoch)) {
    const event = await look({ ...effect, fresh: true }, deps);
    if (event.type !== "seen" || event.phase === "stopped") return event;
  }
  await account.turn("change");
  if (!deps.mayStop(epoch)) return { type: "tick" };
  const answer = await account.stopMachine(providerId, deps.isOnSeal(epoch) ? Date.now() + endCallMs : null);
  if (!answer.ok) return { type: "stopTried", epoch, accepted: false, message: answer.message };
  return { type: "stopTried", epoch, accepted: true, message: null };
}

async function start(effect: Extract<WorldEffect, { kind: "start" }>, deps: EffectDeps): Promise<LifecycleEvent> {
  const { epoch, providerId } = effect;
  if (providerId === null) return { type: "startFailed", epoch, code: "start_failed", message: "it has no number" };
  const answer = await deps.account(epoch).startMachine(providerId);
  if (answer.ok && answer.queued) {
    return { type: "startFailed", epoch, code: "start_queued", message: "no GPU is free on its host" };
  }
  // An answer that was lost says nothing: the machine is looked at.
  if (answer.ok || answer.retryable) return { type: "started", epoch };
  return { type: "startFailed", epoch, code: answer.code, message: answer.message };
}

export function seen(epoch: number, machine: RentedMachine): Extract<LifecycleEvent, { type: "seen" }> {
  const { phase, fatal } = machine;
  return {
    type: "seen",
    epoch,
    facts: factsOf(machine),
    ...(isByEnv(machine) && { byEnv: true as const }),
    phase,
    fatal,
    message: machine.statusMessage ?? machine.rawStatus,
  };
}

export function factsOf(machine: RentedMachine): RentedFacts {
  const { id, machineId, gpuType, gpuCount, gpuRamMb, region, sshHost, sshPort } = machine;
  const { microUsdPerHour, diskMicroUsdPerHour = null, upMicroUsdPerGb, downMicroUsdPerGb } = machine;
  const prices = { microUsdPerHour, diskMicroUsdPerHour, upMicroUsdPerGb, downMicroUsdPerGb };
  const { runningSince } = machine;
  return { providerId: id, machineId, gpuType, gpuCount, gpuRamMb, region, ...prices, sshHost, sshPort, runningSince };
}

function twinsOf(twins: RentedMachine[]): { twins?: RentedFacts[] } {
  return twins.length > 0 ? { twins: twins.map(factsOf) } : {};
}

function priceOf({ microUsdPerHour, upMicroUsdPerGb, downMicroUsdPerGb }: Offer): Partial<RentedFacts> {
  return { microUsdPerHour, upMicroUsdPerGb, downMicroUsdPerGb };
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
