/** Machines on their way out, and small helpers over the state that every phase shares. */
import { machineLabel } from "../protocol/ids.ts";
import type { SnapshotRef } from "../protocol/wire.ts";
import type { Context, Effect, LogType, Outcome } from "./events.ts";
import type { ProvedSnapshot } from "./snapshot-types.ts";
import type { Actor, Back, Basis, Machine, Phase, RentedFacts, State } from "./types.ts";

export function out(state: State, ...effects: Effect[]): Outcome {
  return { state, effects };
}

export function enter(state: State, phase: Phase, ...effects: Effect[]): Outcome {
  return { state: { ...state, now: phase }, effects };
}

export function log(
  type: LogType,
  actor: Actor,
  params: Record<string, string | number | boolean | null> = {},
): Effect {
  return { kind: "log", type, actor, params };
}

export const system: Actor = { kind: "system" };
export const ruleActor: Actor = { kind: "rule" };
export const agentActor: Actor = { kind: "agent" };
export const providerActor: Actor = { kind: "provider" };

export function newMachine(state: State, epoch: number, now: number): Machine {
  return {
    epoch,
    label: machineLabel(state.instance, epoch),
    facts: null,
    adopted: false,
    holdsWork: false,
    rentedAt: now,
    meter: { from: null, seenAt: now, diskFrom: now },
  };
}

/** The machine of the present phase, if one is rented or being rented; machines on their way out are in `retiring`. */
export function currentMachine(state: State): Machine | null {
  return "machine" in state.now ? state.now.machine : null;
}

/** A machine with what the provider says of it now. */
export function takeIn(machine: Machine, facts: RentedFacts): Machine {
  // Of another machine under the same label nothing is taken: the one that is known must not be lost from sight.
  if (machine.facts && machine.facts.providerId !== facts.providerId) return machine;
  // A price that was known stays known: a later row without one does not make the bill unknown.
  const known = machine.facts;
  const microUsdPerHour = facts.microUsdPerHour ?? known?.microUsdPerHour ?? null;
  const diskMicroUsdPerHour = facts.diskMicroUsdPerHour ?? known?.diskMicroUsdPerHour ?? null;
  const upMicroUsdPerGb = facts.upMicroUsdPerGb ?? known?.upMicroUsdPerGb ?? null;
  const downMicroUsdPerGb = facts.downMicroUsdPerGb ?? known?.downMicroUsdPerGb ?? null;
  const gpuRamMb = facts.gpuRamMb ?? known?.gpuRamMb ?? null;
  const prices = { microUsdPerHour, diskMicroUsdPerHour, upMicroUsdPerGb, downMicroUsdPerGb };
  const { runningSince: _, ...told } = facts;
  return { ...machine, facts: { ...told, ...prices, gpuRamMb } };
}

/** What a wake brings back: the current snapshot, or the older one that was asked for. */
export function restoreOf(state: State): ProvedSnapshot | null {
  const phase = state.now;
  const wake = phase.status === "provisioning" || phase.status === "restoring" ? phase.wake : null;
  return wake?.snapshot ?? state.snapshot;
}

export function sameSnapshot(a: SnapshotRef | null | undefined, b: SnapshotRef | null | undefined): boolean {
  return !!a && !!b && a.seq === b.seq && a.epoch === b.epoch && a.digest === b.digest;
}

/** Puts a machine on its way out and asks for its end at once. The only place that starts a destroy. */
export function retire(state: State, machine: Machine, basis: Basis, ctx: Context, isStopped = false): Outcome {
  if (state.retiring.some((one) => one.machine.epoch === machine.epoch)) return out(state);
  if (machine.holdsWork && basis.kind === "neverHeldWork") {
    throw new Error(`I1: machine of epoch ${machine.epoch} holds work and may not be destroyed on "${basis.kind}"`);
  }
  const retiring = {
    machine,
    basis,
    since: ctx.now,
    acceptedAt: null,
    tries: 0,
    nextTryAt: ctx.now + ctx.timings.endEveryMs,
    ...(isStopped && { isStopped: true as const }),
  };
  return out({ ...state, retiring: [...state.retiring, retiring] }, endEffect(machine, basis));
}

export function endEffect(machine: Machine, basis: Basis): Effect {
  return {
    kind: "end",
    epoch: machine.epoch,
    label: machine.label,
    providerId: machine.facts?.providerId ?? null,
    basis,
  };
}

export function stopEffect({ epoch, label, facts }: Machine): Effect {
  return { kind: "stop", epoch, label, providerId: facts?.providerId ?? null };
}

export function lookEffect(machine: Machine): Effect & { kind: "look" } {
  return { kind: "look", epoch: machine.epoch, label: machine.label, providerId: machine.facts?.providerId ?? null };
}

/** Time between two tries grows from endEveryMs to endMaxEveryMs; it never ends. */
export function nextEndDelayMs(tries: number, ctx: Context): number {
  return Math.min(ctx.timings.endEveryMs * 2 ** Math.min(tries, 20), ctx.timings.endMaxEveryMs);
}

export function goBack(back: Back, now: number, deletePauseMs: number): Phase {
  if (back?.status === "hibernated") {
    // The pause goes on where it was; a deadline that passed meanwhile is looked at on the next tick.
    return { status: "hibernated", since: back.since, deleteAt: back.deleteAt, verifyAt: null, verifyTries: 0 };
  }
  if (back?.status === "deleted") return { status: "deleted", since: back.since };
  return { status: "hibernated", since: now, deleteAt: now + deletePauseMs, verifyAt: null, verifyTries: 0 };
}

/** `running` from now on: the idle window begins anew. */
export function wakeful(
  { rest: _, ...machine }: Machine,
  lastBeatAt: number,
  ctx: Context,
): Extract<Phase, { status: "running" }> {
  const { now } = ctx;
  const held = { ...machine, holdsWork: true };
  return { status: "running", machine: held, since: now, idleSince: null, lastBeatAt, restlessUntil: now, wake: null };
}

/** Runs `next` on the outcome's state and joins the effects. */
export function andThen(first: Outcome, next: (state: State) => Outcome): Outcome {
  const second = next(first.state);
  return { state: second.state, effects: [...first.effects, ...second.effects] };
}

export function minutesMs(minutes: number): number {
  return Math.round(minutes * 60_000);
}
