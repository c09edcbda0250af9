/**
 * For how long the GPUs of a machine are paid: while it runs by the provider's word. What the provider does not say is put
 * as late as it must and as early as it can: a machine whose agent speaks runs, one that was last known to run then ran
 * until then. A machine that only loads or stands still costs its disk.
 */
import { allMachines, attemptsOf, machineWith, speaks, withAttempts } from "./attempts.ts";
import type { Context, Effect, LifecycleEvent, Outcome } from "./events.ts";
import type { PaidInterval } from "./ledger.ts";
import type { Machine, Meter, RentedFacts, State } from "./types.ts";

/** How far two readings of one start may be apart: an answer takes its time. */
const jitterMs = 2_000;

/** Keeps the meters of what an event told, whatever else it did. */
export function meterAfter(before: State, event: LifecycleEvent, made: Outcome, ctx: Context): Outcome {
  const outcome = noteLastBeat(before, made);
  switch (event.type) {
    case "beat":
      if (!speaks(before, event.epoch)) return outcome;
      return update(outcome, event.epoch, (machine) => {
        const started = startedBy(machine, ctx.now);
        return isLeaving(outcome.state, event.epoch) ? knownUntil(started, ctx.now) : started;
      });
    case "rented":
    case "seen": {
      const { state } = outcome;
      const machine = allMachines(state).find((one) => one.facts?.providerId === event.facts.providerId);
      if (!machine) return outcome;
      const isOff = event.type === "seen" && event.phase !== "running" && event.phase !== "loading";
      if (isOff) {
        const closed = close(outcome, machine.epoch, aliveAt(before, machine), ctx);
        return event.type === "seen" && event.phase === "lost"
          ? freeDisk(closed, machine.epoch, ctx)
          : payDisk(closed, machine.epoch, ctx);
      }
      return showsRunning(outcome, machine, event.facts, event.type === "seen" && event.phase === "running", ctx);
    }
    case "gone": {
      // One that is tried to be ended all the same is not paid until that has succeeded.
      const machine = machineWith(outcome.state, event.epoch);
      return machine ? close(outcome, event.epoch, Math.min(event.at, aliveAt(before, machine)), ctx) : outcome;
    }
    default:
      return outcome;
  }
}

/**
 * The closed intervals of a machine that ends, or stops, at `at`: while it ran, and of the disk before that. Of a state of
 * before: since it was asked for.
 */
export function chargeUntil(machine: Machine, at: number): Effect[] {
  return intervalsOf(machine, at).map((one) => ({ kind: "charge" as const, ...one, toAt: one.toAt ?? at }));
}

/** What is paid and not charged yet, the last of it open where `at` is null. */
export function intervalsOf({ epoch, facts, meter, rentedAt, rest }: Machine, at: number | null): PaidInterval[] {
  if (!facts) return [];
  const { microUsdPerHour, diskMicroUsdPerHour = null } = facts;
  const from = meter ? meter.from : rentedAt;
  const end = at ?? Number.POSITIVE_INFINITY;
  const paid: PaidInterval[] = [];
  // Some seconds of a disk whose price nobody tells are no hole in the books; the days of a machine that stands still are.
  const isTold = diskMicroUsdPerHour !== null || rest !== undefined;
  const diskFrom = meter?.diskFrom ?? null;
  if (isTold && diskFrom !== null && diskFrom < Math.min(from ?? end, end)) {
    const disk = { microUsdPerHour: diskMicroUsdPerHour, diskMicroUsdPerHour, isDisk: true as const };
    paid.push({ epoch, fromAt: diskFrom, toAt: from === null ? at : Math.min(from, end), ...disk });
  }
  if (from !== null && from < end) paid.push({ epoch, fromAt: from, toAt: at, microUsdPerHour, diskMicroUsdPerHour });
  return paid;
}

/** When it was last known to run. */
export function lastKnownAt({ meter, rentedAt }: Machine, lastBeatAt: number | null): number {
  return Math.max(meter?.seenAt ?? rentedAt, lastBeatAt ?? 0);
}

function aliveAt(state: State, machine: Machine): number {
  const retiring = state.retiring.find((one) => one.machine.epoch === machine.epoch);
  if (retiring) return Math.max(retiring.offAt ?? 0, machine.meter?.seenAt ?? machine.rentedAt);
  const parked = state.parked?.machine.epoch === machine.epoch ? state.parked : null;
  if (parked) return Math.max(parked.acceptedAt ?? 0, machine.meter?.seenAt ?? machine.rentedAt);
  const phase = state.now;
  return lastKnownAt(machine, "lastBeatAt" in phase && phase.machine.epoch === machine.epoch ? phase.lastBeatAt : null);
}

/** A machine that is on its way out, or to stand still, keeps when it last spoke: the phase does not know it any more. */
function noteLastBeat({ now }: State, outcome: Outcome): Outcome {
  if (!("lastBeatAt" in now) || !isLeaving(outcome.state, now.machine.epoch)) return outcome;
  return update(outcome, now.machine.epoch, (machine) => knownUntil(machine, now.lastBeatAt));
}

function isLeaving({ retiring, parked }: State, epoch: number): boolean {
  return parked?.machine.epoch === epoch || retiring.some((one) => one.machine.epoch === epoch);
}

function knownUntil(machine: Machine, at: number): Machine {
  const { meter } = machine;
  return meter && meter.from !== null && meter.seenAt < at ? { ...machine, meter: { ...meter, seenAt: at } } : machine;
}

/** Its agent speaks, so it runs; the provider may say later that it began earlier. */
function startedBy(machine: Machine, now: number): Machine {
  if (!machine.meter || machine.meter.from !== null) return machine;
  const { last, diskFrom } = machine.meter;
  const isSame = last !== undefined && now <= last.to;
  return { ...machine, meter: { ...machine.meter, ...(isSame ? sameAs(last) : { from: now, diskFrom }), seenAt: now } };
}

function showsRunning(
  outcome: Outcome,
  { epoch, meter }: Machine,
  facts: RentedFacts,
  runs: boolean,
  ctx: Context,
): Outcome {
  if (!meter || (!runs && facts.runningSince == null)) return outcome;
  const since = Math.min(facts.runningSince ?? meter.from ?? ctx.now, ctx.now);
  const { from, last, diskFrom } = meter;
  const isSame = from === null && last !== undefined && since <= last.to + jitterMs;
  const known = from ?? (isSame ? last.from : null);
  const alive = Math.max(meter.seenAt, aliveAt(outcome.state, { epoch, meter } as Machine));
  // It was stopped and started again while nobody looked.
  if (known !== null && since > alive + jitterMs) {
    const closed = close(outcome, epoch, alive, ctx);
    return update(closed, epoch, (machine) => withMeter(machine, { ...machine.meter!, from: since, seenAt: ctx.now }));
  }
  return update(outcome, epoch, (machine) =>
    // What was adopted was paid before, but not through us.
    withMeter(machine, {
      from: machine.adopted ? (known ?? since) : Math.min(known ?? since, since),
      seenAt: ctx.now,
      ...(!isSame && diskFrom !== undefined && { diskFrom }),
    }),
  );
}

/** The interval before goes on: no disk was paid apart from it. */
function sameAs({ from }: { from: number }): { from: number; diskFrom: null } {
  return { from, diskFrom: null };
}

function withMeter(machine: Machine, meter: Meter): Machine {
  return machine.meter ? { ...machine, meter } : machine;
}

function close(outcome: Outcome, epoch: number, at: number, ctx: Context): Outcome {
  const machine = machineWith(outcome.state, epoch);
  const from = machine?.meter?.from;
  if (!machine || from == null) return outcome;
  const to = Math.max(from, Math.min(at, ctx.now));
  const closed = update(outcome, epoch, (one) =>
    withMeter(one, { from: null, seenAt: to, last: { from, to }, diskFrom: to }),
  );
  return { ...closed, effects: [...closed.effects, ...chargeUntil(machine, to)] };
}

/** Of a host that is away nothing is paid. */
function freeDisk(outcome: Outcome, epoch: number, ctx: Context): Outcome {
  const machine = machineWith(outcome.state, epoch);
  if (machine?.meter?.diskFrom == null || machine.meter.from !== null) return outcome;
  const freed = update(outcome, epoch, (one) => withMeter(one, { ...one.meter!, diskFrom: null }));
  return { ...freed, effects: [...freed.effects, ...chargeUntil(machine, ctx.now)] };
}

function payDisk(outcome: Outcome, epoch: number, ctx: Context): Outcome {
  return update(outcome, epoch, (machine) =>
    machine.meter && machine.meter.from === null && machine.meter.diskFrom === null
      ? withMeter(machine, { ...machine.meter, diskFrom: ctx.now })
      : machine,
  );
}

/** Changes one machine wherever it stands. */
function update(outcome: Outcome, epoch: number, change: (machine: Machine) => Machine): Outcome {
  const { state } = outcome;
  const machine = machineWith(state, epoch);
  const changed = machine && change(machine);
  if (!machine || !changed || changed === machine) return outcome;
  return { ...outcome, state: put(state, changed) };
}

function put(state: State, machine: Machine): State {
  const fits = (one: Machine) => one.epoch === machine.epoch;
  if (state.retiring.some((one) => fits(one.machine))) {
    return { ...state, retiring: state.retiring.map((one) => (fits(one.machine) ? { ...one, machine } : one)) };
  }
  if (state.parked && fits(state.parked.machine)) return { ...state, parked: { ...state.parked, machine } };
  const phase = state.now;
  if (phase.status === "provisioning") {
    const attempts = attemptsOf(phase).map((one) => (fits(one.machine) ? { ...one, machine } : one));
    return { ...state, now: withAttempts(phase, attempts) };
  }
  return "machine" in phase && phase.machine ? { ...state, now: { ...phase, machine } as State["now"] } : state;
}
