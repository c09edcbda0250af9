/**
 * The machines that are started side by side for one wake. The oldest stands in the phase itself, the others in
 * `rivals`. Each has its own epoch and label. What is said of one concerns that one: it is brought to the front, handled
 * there, and the order is restored. The first agent that speaks wins; every other machine is given back (I11).
 */
import { rentRules } from "../protocol/rent.ts";
import type { Outcome } from "./events.ts";
import type { PhaseOf } from "./handler.ts";
import { currentMachine } from "./machines.ts";
import type { Timings } from "./timings.ts";
import type { Attempt, Machine, State } from "./types.ts";

type Provisioning = PhaseOf<"provisioning">;

export function attemptsOf(phase: Provisioning): Attempt[] {
  const { machine, step, attemptSince, checks, lookAt, bootingSince = null, upSince = null } = phase;
  return [{ machine, step, attemptSince, checks, lookAt, bootingSince, upSince }, ...(phase.rivals ?? [])];
}

/** The phase with these attempts, the first in front. There is at least one. */
export function withAttempts(phase: Provisioning, attempts: readonly Attempt[]): Provisioning {
  const [front, ...rivals] = attempts;
  if (!front) throw new Error("a wake without a machine is no wake");
  return { ...phase, ...front, rivals };
}

/** The machines in use or being started, those on their way out left aside. */
export function activeMachines(state: State): Machine[] {
  if (state.now.status === "provisioning") return attemptsOf(state.now).map((one) => one.machine);
  const machine = currentMachine(state);
  return machine ? [machine] : [];
}

/** Every machine that the provider has for this instance, those on their way out and a stopped one included. */
export function allMachines(state: State): Machine[] {
  const parked = state.parked ? [state.parked.machine] : [];
  return [...activeMachines(state), ...parked, ...state.retiring.map((one) => one.machine)];
}

export function machineWith(state: State, epoch: number): Machine | null {
  return allMachines(state).find((one) => one.epoch === epoch) ?? null;
}

/** What is known of the end, or the stop, of the machine that a sleep waits for. */
export function leavingOf(state: State, epoch: number): { machine: Machine; acceptedAt: number | null } | null {
  const retiring = state.retiring.find((one) => one.machine.epoch === epoch);
  return retiring ?? (state.parked?.machine.epoch === epoch ? state.parked : null);
}

/**
 * Whether the agent of this epoch may speak (I3). A machine on its way out speaks only while its seal is needed; one that
 * stood still and speaks was started by somebody.
 */
export function speaks(state: State, epoch: number): boolean {
  if (state.now.status === "destroying") return state.now.epoch === epoch;
  if (state.parked?.stoppedAt != null && state.parked.machine.epoch === epoch) return true;
  return activeMachines(state).some((one) => one.epoch === epoch);
}

/** Whether it may read and write the store: of several that are started side by side, none before one has won. */
export function mayStore(state: State, epoch: number): boolean {
  if (state.now.status === "destroying") return state.now.epoch === epoch;
  const machines = activeMachines(state);
  return machines.length === 1 && machines[0]!.epoch === epoch;
}

/** Whether a rental of this epoch is still wanted. */
export function wantsRental(state: State, epoch: number): boolean {
  return (
    state.now.status === "provisioning" &&
    attemptsOf(state.now).some((one) => one.machine.epoch === epoch && one.step === "renting")
  );
}

/** Runs `handle` with the attempt of this epoch in front and puts the oldest in front again. */
export function inFront(state: State, epoch: number, handle: (state: State) => Outcome): Outcome {
  if (state.now.status !== "provisioning") return handle(state);
  const attempts = attemptsOf(state.now);
  const front = attempts.find((one) => one.machine.epoch === epoch);
  if (!front || attempts.length === 1) return handle(state);
  const rest = attempts.filter((one) => one !== front);
  return oldestFirst(handle({ ...state, now: withAttempts(state.now, [front, ...rest]) }));
}

export function oldestFirst(outcome: Outcome): Outcome {
  const phase = outcome.state.now;
  if (phase.status !== "provisioning" || !phase.rivals?.length) return outcome;
  const attempts = attemptsOf(phase).sort((a, b) => a.machine.epoch - b.machine.epoch);
  return { ...outcome, state: { ...outcome.state, now: withAttempts(phase, attempts) } };
}

/** Until when this machine may take: to be loaded, and from the provider's "running" on, for its agent to speak. */
export function bootEndsAt(attempt: Attempt, timings: Timings): number {
  const { upSince } = attempt;
  // Who adopts a machine runs the agent's line by hand.
  if (upSince === null && attempt.machine.rest) return attempt.attemptSince + timings.startLimitMs;
  if (upSince === null || attempt.machine.adopted) return attempt.attemptSince + timings.bootLimitMs;
  return upSince + timings.agentLimitMs;
}

/** When another machine is started beside those that do not come up; null for never. At most one is asked for at a time. */
export function rivalAt(state: State, timings: Timings): number | null {
  const phase = state.now;
  if (phase.status !== "provisioning" || phase.attempt >= timings.maxAttempts) return null;
  const attempts = attemptsOf(phase);
  const { parallel, second_after_seconds } = rentRules(state.spec.rent);
  if (attempts.length >= parallel) return null;
  if (attempts.some((one) => one.step !== "booting" || one.machine.holdsWork)) return null;
  const newest = Math.max(...attempts.map((one) => one.attemptSince));
  return Math.max(newest + second_after_seconds * 1000, phase.noRivalBefore ?? 0);
}
