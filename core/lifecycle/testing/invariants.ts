/** The invariants as pure functions: null when they hold, else one sentence that says what is wrong. */
import { rentRules } from "../../protocol/rent.ts";
import { actionsFor, statusWord } from "../abilities.ts";
import { activeMachines, allMachines, attemptsOf, leavingOf } from "../attempts.ts";
import { autoOf, maxGaps } from "../auto-state.ts";
import { leaseCapMs, leasesHeld } from "../awake.ts";
import { deadlines } from "../deadlines.ts";
import type { Context, Effect, LifecycleEvent } from "../events.ts";
import { currentMachine, minutesMs, sameSnapshot } from "../machines.ts";
import { isStoppedByOthers } from "../parked.ts";
import { inUse } from "../snapshots.ts";
import type { Timings } from "../timings.ts";
import type { Machine, State } from "../types.ts";
import { floorMs, highestFloorMs } from "../vetoes.ts";
import { awakeOf } from "../warning.ts";
import { digestOf } from "./agent.ts";
import { type FakeMachine, isListed, ranMs } from "./provider.ts";
import { type FakeStore, isCounted, refKey } from "./store.ts";

/** Holds in every state that `transition` makes. */
export function brokenState(state: State, timings: Timings): string | null {
  const phase = state.now;
  const current = currentMachine(state);
  const epochs = machinesOf(state).map((one) => one.epoch);
  if (new Set(epochs).size !== epochs.length) return "I3: one machine stands in the state twice";
  if (epochs.some((epoch) => epoch > state.epoch)) return "I3: a machine is newer than the newest epoch";
  const passing = ["running", "snapshotting", "destroying", "hibernated", "provisioning", "restoring", "unreachable"];
  const due = Object.values(deadlines(state, timings));
  if (passing.includes(phase.status) && due.length === 0) return `I2: ${phase.status} has no deadline`;
  if (!due.every(Number.isFinite)) return `I2: a deadline of ${phase.status} is no time`;
  if (phase.status === "destroying" && !leavingOf(state, phase.epoch)) {
    return "I5: destroying, and no machine is on its way out";
  }
  if (state.parked && (!state.parked.machine.holdsWork || !state.parked.machine.rest))
    return "a machine is parked without its rest";
  if (current?.rest && phase.status === "provisioning" && phase.wake.snapshot)
    return "a wake to an older snapshot starts the stopped machine, which has another";
  if (current?.rest && phase.status !== "provisioning") return `a machine that is in use rests (${phase.status})`;
  for (const { machine, basis } of state.retiring) {
    if (machine.holdsWork && basis.kind === "neverHeldWork") return "I1: a machine with work ends without a proof";
    if (basis.kind === "proof" && basis.snapshot.epoch !== machine.epoch) return "I1: the proof is of another epoch";
  }
  if (phase.status === "destroying" && phase.proof && !sameSnapshot(phase.proof, state.snapshot?.ref)) {
    return "I1: destroying on a proof that is not the snapshot that is kept";
  }
  const isKept = state.snapshot || state.copying || isStoppedByOthers(state);
  if (phase.status === "hibernated" && !isKept) return "hibernated without a snapshot";
  if (phase.status === "failed" && phase.kept === "") return "I9: failed does not say what is kept";
  if (actionsFor(state).length === 0 || !statusWord(state)) return "I9: nothing can be done";
  const besides = brokenAttempts(state, timings);
  if (besides) return besides;
  const memory = brokenMemory(state);
  if (memory) return memory;
  const isAsked = phase.status === "provisioning" && (phase.step === "renting" || phase.step === "checking");
  if (current && !current.facts && !isAsked) return `a machine is in use that no provider told of (${phase.status})`;
  return null;
}

/** Retention never takes what the state needs. */
export function brokenStore(state: State, store: FakeStore, now: number): string | null {
  const lost = inUse(state, now).find(({ seq, epoch }) => !store.manifests.has(`${epoch}.${seq}`));
  return lost ? `retention: snapshot ${lost.seq} of epoch ${lost.epoch} is in use and not in the store` : null;
}

/** I11: several machines only while a wake is under way, at most as many as are allowed, asked for one at a time. */
function brokenAttempts(state: State, timings: Timings): string | null {
  const phase = state.now;
  if (phase.status !== "provisioning") return "rivals" in phase ? "I11: rivals outside of a wake" : null;
  const attempts = attemptsOf(phase);
  const asked = attempts.filter((one) => one.step === "renting" || one.step === "checking");
  const rests = attempts.filter((one) => one.machine.rest);
  if (rests.length > 0 && attempts.length > 1) return "I11: a machine is rented beside one that is started";
  if (attempts.some((one) => one.step === "starting" && !one.machine.rest))
    return "a machine is started that did not rest";
  const epochs = attempts.map((one) => one.machine.epoch);
  if (attempts.length > rentRules(state.spec.rent).parallel)
    return `I11: ${attempts.length} machines are started at once`;
  if (attempts.length - rests.length > phase.attempt) return "I11: more machines than were asked for";
  if (phase.attempt > timings.maxAttempts) return `I11: ${phase.attempt} machines were asked for`;
  if (asked.length > 1) return "I11: two machines are asked for at once";
  if (asked.some((one) => one.machine.facts)) return "a machine is asked for that the provider told of";
  if (attempts.some((one) => one.step === "booting" && !one.machine.facts))
    return "a machine boots that nobody told of";
  if (attempts.length > 1 && attempts.some((one) => one.machine.holdsWork)) return "I1: work beside another machine";
  if (epochs.some((epoch, i) => i > 0 && epoch < (epochs[i - 1] ?? 0))) return "attempts out of order";
  return null;
}

/** What is remembered of idle times stays bounded and true to the phase. */
function brokenMemory(state: State): string | null {
  const { gaps, gap, sleep, floor, recentSleeps } = autoOf(state);
  const { status } = state.now;
  if (gaps.length > maxGaps || recentSleeps.length > 60) return "auto: the memory grows without bound";
  if (gaps.some(([, lengthS]) => lengthS < 60)) return "auto: a gap under a minute was learned";
  if (floor && floor.ms > highestFloorMs) return "auto: the floor is higher than its cap";
  if (gap && ["provisioning", "restoring", "unreachable"].includes(status))
    return `auto: a gap is open while ${status}`;
  if (sleep && ["running", "snapshotting"].includes(status)) return `auto: a sleep is open while ${status}`;
  if (gap?.plan && gap.plan.tauMs !== null && gap.plan.tauMs < gap.plan.floorMs)
    return "auto: tau lies before the floor";
  return null;
}

/** Two stages: no machine goes by the rule before its gap's tau, nor within the floor of its last activity. */
function brokenStages(before: State, after: State): string | null {
  const [from, to] = [before.now, after.now];
  if (from.status !== "snapshotting" || to.status !== "destroying" || to.cause.kind !== "idle") return null;
  if (after.config.pause_after_idle_minutes !== "auto") return null;
  const { gap } = autoOf(after);
  if (!gap?.plan || gap.plan.tauMs === null) return "auto: a machine goes without a plan";
  if (to.since - gap.startAt < gap.plan.tauMs) return "auto: a machine goes before tau";
  if (to.since - to.cause.idleSince < floorMs) return "auto: a machine goes within the floor";
  if (gap.activeAt !== null) return "auto: a machine goes on an active sample";
  return null;
}

/** Checkpoints: what is newest is kept when a machine is lost, and none moves a phase or lets a machine go. */
function brokenCheckpoint(before: State, event: LifecycleEvent, after: State): string | null {
  const { checkpoint } = after;
  if (checkpoint?.work && !checkpoint.work.candidate && after.now.status !== "running") {
    return `a checkpoint is taken while ${after.now.status}`;
  }
  const isGone = ["hibernated", "deleted"].includes(after.now.status) && currentMachine(before) !== null;
  const seq = before.checkpoint?.latest?.ref.seq ?? 0;
  if (isGone && event.type === "gone" && (after.snapshot?.ref.seq ?? 0) < seq) return "a newer checkpoint was given up";
  if (after.now.status === "destroying" && after.now.proof && after.snapshot?.checkpoint) {
    return "I1: a machine goes on a checkpoint";
  }
  const isAnswer = event.type === "proved" && event.ref.seq === before.checkpoint?.work?.seq;
  const isMoved = JSON.stringify(before.now) !== JSON.stringify(after.now);
  return isAnswer && isMoved ? "a checkpoint moves a phase" : null;
}

/** Holds between a state and the next: machines leave only by the provider's word (I5), work only by proof (I1). */
export function brokenStep(before: State, event: LifecycleEvent, after: State, effects: Effect[]): string | null {
  const still = new Set(machinesOf(after).map((one) => one.epoch));
  for (const machine of machinesOf(before)) {
    if (still.has(machine.epoch)) continue;
    const isGone = event.type === "gone" && event.epoch === machine.epoch;
    const neverWas = !machine.facts && (event.type === "notFound" || event.type === "rentFailed");
    if (!isGone && !neverWas) return `I5: machine ${machine.epoch} left the state on "${event.type}"`;
  }
  const staged = brokenStages(before, after) ?? brokenCheckpoint(before, event, after);
  if (staged) return staged;
  if (after.epoch < before.epoch || after.seq < before.seq) return "I3: a counter went back";
  const charged = effects.filter((one) => one.kind === "charge");
  if (charged.some((one) => one.toAt < one.fromAt)) return "I7: an interval ends before it begins";
  if (activeMachines(after).length > 1 && after.spec.rent?.parallel === 1) return "I11: a rival that nobody wants";
  const cap = after.spec.maxMicroUsdPerHour;
  const used = after.now.status === "running" || after.now.status === "restoring" ? after.now.machine : null;
  const was = before.now.status === "provisioning" ? before.now.machine : null;
  const isNew = was !== null && used !== null && !used.adopted && !was.rest;
  if (isNew && cap !== null && (used.facts?.microUsdPerHour ?? 0) > cap) return "a machine is used above the price cap";
  const rents = effects.filter((one) => one.kind === "rent");
  if (rents.length > 1) return "I11: two machines are asked for at once";
  for (const effect of effects) {
    if (effect.kind === "stop" && after.parked?.machine.epoch !== effect.epoch)
      return "I1: a stop is asked for that the state does not want";
    if (effect.kind !== "end") continue;
    const one = after.retiring.find((retiring) => retiring.machine.epoch === effect.epoch);
    if (!one || one.basis.kind !== effect.basis.kind) return "I1: an end is asked for that the state does not want";
  }
  return null;
}

/** No sleep of the idle rule while a lease holds, within the grace, or before it was announced for long enough. */
export function brokenSleep(before: State, after: State, { now, timings }: Context): string | null {
  const { leases, warnedAt } = awakeOf(after);
  if (leases.some((one) => one.until - one.since > leaseCapMs(after) + 1)) return "a lease holds longer than its cap";
  const isIdle = after.now.status === "running" && after.now.idleSince !== null;
  if (warnedAt !== null && !isIdle && !["snapshotting", "destroying"].includes(after.now.status)) {
    return "a sleep is announced and none is in sight";
  }
  const to = after.now;
  const isSleep = to.status === "snapshotting" || to.status === "destroying";
  if (!isSleep || to.status === before.now.status || to.cause.kind !== "idle") return null;
  if (before.now.status === "running") {
    if (leasesHeld(after, now).length > 0) return "the idle rule puts a machine to sleep that a lease holds";
    if (now < before.now.restlessUntil) return "the idle rule puts a machine to sleep within its grace";
  }
  const { pause_after_idle_minutes: pause } = before.config;
  // Of `auto` only the upload begins here; the machine goes later.
  if ((pause === "auto") !== (to.status === "destroying")) return null;
  const leadMs = pause === "auto" ? timings.warnBeforeMs : Math.min(timings.warnBeforeMs, minutesMs(pause) / 2);
  const toldAt = awakeOf(before).warnedAt;
  if (before.now.status === "destroying" || (toldAt !== null && now - toldAt >= leadMs)) return null;
  return "the idle rule puts a machine to sleep and nobody was told in time";
}

/** A machine is destroyed at this moment: what was on it must be kept, or never was, or was given up (I1). */
export function brokenDestroy(
  machine: FakeMachine,
  basis: string,
  store: FakeStore,
  discarded: Set<number>,
): string | null {
  const { agent } = machine;
  if (discarded.has(machine.epoch)) return null;
  if (!agent.inUse && !agent.hasWork) return null;
  if (basis === "neverHeldWork") return `I1: machine ${machine.epoch} held work and was destroyed as if it never had`;
  const kept = [...store.manifests.values()].some(
    ({ ref, content }) =>
      ref.epoch === machine.epoch &&
      content === agent.content &&
      store.proved.has(refKey(ref)) &&
      isCounted(store, ref) &&
      ref.digest === digestOf(agent.content),
  );
  return kept
    ? null
    : `I1: machine ${machine.epoch} was destroyed with content ${agent.content}, which no proof covers that still holds`;
}

/** After everything has come to rest: nothing is paid that no state knows, nothing hangs. */
export function brokenRest(
  state: State,
  machines: FakeMachine[],
  told: ReadonlySet<number>,
  charges: Effect[],
  now: number,
): string | null {
  const known = new Set([...machinesOf(state), ...state.lost].map((one) => one.epoch));
  for (const machine of machines) {
    if (isListed(machine, now) && !known.has(machine.epoch)) return `I5: machine ${machine.epoch} is paid and unknown`;
  }
  // Somebody else started the stopped one while another was in use: what it holds nobody may end.
  const kept = state.parked && !state.parked.machine.rest?.proof ? state.parked.machine.epoch : null;
  const paid = machines.filter(
    (one) => isListed(one, now) && one.epoch !== kept && !state.lost.some((lost) => lost.epoch === one.epoch),
  );
  if (paid.length > 1) return `I11: ${paid.length} machines are paid at rest`;
  if (state.retiring.length > 0) return `I5: machine ${state.retiring[0]?.machine.epoch} is still on its way out`;
  if (["snapshotting", "destroying", "provisioning", "restoring"].includes(state.now.status)) {
    return `I2: still ${state.now.status} after a long rest`;
  }
  for (const machine of machines) {
    if (machine.endedAt === null || now < machine.endedAt || !told.has(machine.epoch)) continue;
    const bills = charges.filter((one) => one.kind === "charge" && one.epoch === machine.epoch);
    // A boot that never ended costs no GPU time, and of one that was never heard nobody knows when it began.
    // Nor is one charged that spoke but once: it is known to have run at one moment only.
    const lastMs = machine.bootAt === null ? 0 : (machine.stoppedAt ?? machine.endedAt) - machine.bootAt;
    const longest = machine.haltedAt === null ? lastMs : machine.ranMs / machine.boots;
    if (longest > 12_000 && machine.heard && bills.length === 0)
      return `I7: machine ${machine.epoch} ended and was never charged`;
    const runs = bills.filter((one) => one.kind === "charge" && !one.isDisk);
    const ms = runs.reduce((sum, one) => sum + (one.kind === "charge" ? one.toAt - one.fromAt : 0), 0);
    if (machine.boots > 1 && ms > ranMs(machine, now) + 60_000 * (machine.boots + 1))
      return `I7: machine ${machine.epoch} is charged for ${ms} ms and ran for ${ranMs(machine, now)} ms`;
    if (bills.some((one) => one.kind === "charge" && one.toAt > machine.endedAt! + 60_000))
      return `I7: machine ${machine.epoch} is charged for longer than it was there`;
  }
  return null;
}

export function machinesOf(state: State): Machine[] {
  return allMachines(state);
}

export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const one of Object.values(value)) deepFreeze(one);
  return value;
}
