/**
 * transition(state, event, ctx) -> { state, effects }: total and pure (I6). SPEC.md has the diagram and the table in
 * words; here stand the fences that hold in every state, then the table.
 */
import { settleHook } from "./after-wake.ts";
import { tellUpdate } from "./agent-update.ts";
import { deleted, hibernated } from "./asleep.ts";
import { activeMachines, allMachines, inFront, machineWith, speaks } from "./attempts.ts";
import { afterEvent, announce, askAwake, beforeBeat } from "./awake.ts";
import { beatCheckpoint, proofOfCheckpoint, settleCheckpoint } from "./checkpoints.ts";
import { takeCopied, takeCopyFailed } from "./copying.ts";
import { destroying } from "./destroying.ts";
import type { Context, Effect, EventType, LifecycleEvent, Outcome } from "./events.ts";
import { forgetPlan } from "./gaps.ts";
import type { MachineEvent, Row } from "./handler.ts";
import { noteKnock } from "./knock.ts";
import { rememberLost, takeBack } from "./losing.ts";
import {
  andThen,
  currentMachine,
  endEffect,
  log,
  newMachine,
  nextEndDelayMs,
  out,
  providerActor,
  retire,
  takeIn,
} from "./machines.ts";
import { chargeUntil, meterAfter } from "./meter.ts";
import { keepOnlyCopy, parkedDue, settleParked, takeUnstopped } from "./parked.ts";
import { aboutParked, hearParked, takeParkedBack, takeStart } from "./parked-events.ts";
import { settlePolicy } from "./policy.ts";
import { provisioning } from "./provisioning.ts";
import { restoring } from "./restoring.ts";
import { takeSalvaged } from "./salvage.ts";
import {
  callsOff,
  dueLog,
  dueSleepNow,
  followSchedule,
  scheduleActor,
  scheduledWake,
  settleScheduled,
  withoutDueSleep,
} from "./schedule.ts";
import { running, snapshotting } from "./sleeping.ts";
import { collectIfDue, planCollect, takeCollected, takeCollectFailed, takeHold } from "./snapshots.ts";
import { settleStanding } from "./standing.ts";
import { retryIfDue } from "./starting.ts";
import { noteStuck } from "./stuck.ts";
import { failed, unreachable } from "./trouble.ts";
import type { RentedFacts, Retiring, State, Status } from "./types.ts";

const table: { [S in Status]: Row<S> } = {
  running,
  snapshotting,
  destroying,
  hibernated,
  deleted,
  provisioning,
  restoring,
  unreachable,
  failed,
};

export function transition(state: State, event: LifecycleEvent, ctx: Context): Outcome {
  const acted = andThen(decide(state, event, ctx), (next) => out(settlePolicy(state, next)));
  const decided = andThen(acted, (next) => keepSchedule(callsOff(event) ? withoutDueSleep(next) : next, ctx));
  const checked = andThen(afterEvent(decided, event, ctx), (next) => settleCheckpoint(settleStanding(next)));
  const settled = settleHook(state, event, settleParked(checked, ctx), ctx);
  return meterAfter(state, event, planCollect(state, settled, event, ctx), ctx);
}

function decide(state: State, event: LifecycleEvent, ctx: Context): Outcome {
  switch (event.type) {
    case "beat": {
      if (!speaks(state, event.epoch)) return out(state);
      const told = tellUpdate(state, event);
      if (told) return andThen(told, (next) => decide(next, event, ctx));
      if (state.parked?.machine.epoch === event.epoch && state.now.status !== "destroying")
        return hearParked(state, state.parked, ctx);
      const before = beforeBeat(state, event, ctx);
      const heard = andThen(
        andThen(before.outcome, (next) => settleScheduled(next, ctx.now)),
        (next) => inFront(next, event.epoch, (front) => dispatch(front, before.event, ctx)),
      );
      return andThen(
        andThen(heard, (next) => announce(next, ctx)),
        (next) => beatCheckpoint(next, event, ctx),
      );
    }
    case "keepAwake":
    case "letSleep":
      return askAwake(state, event, ctx);
    case "salvaged":
      return takeSalvaged(state, event, ctx);
    case "hold":
      return takeHold(state, event, ctx);
    case "copied":
      return takeCopied(state, event, ctx);
    case "copyFailed":
      return takeCopyFailed(state, event, ctx);
    case "collected":
      return takeCollected(state, event, ctx);
    case "collectFailed":
      return takeCollectFailed(state, ctx);
    case "tick":
      return andThen(
        andThen(
          andThen(endDue(state, ctx), (next) => retryIfDue(next, ctx) ?? dispatch(next, event, ctx)),
          // After a wake that is due: what it starts is not to be stopped.
          (next) => parkedDue(next, ctx),
        ),
        (next) => andThen(announce(next, ctx), (last) => collectIfDue(last, ctx)),
      );
    case "rename":
      if (event.name === state.name) return out(state);
      return out({ ...state, name: event.name }, log("renamed", event.actor, { from: state.name, to: event.name }));
    case "configure":
      return andThen(
        out(
          {
            ...forgetPlan(state),
            config: event.config,
            ...(event.own && { own: event.own }),
            ...(event.policies && { policies: event.policies }),
          },
          log("config_changed", event.actor, { enabled: event.config.enabled }),
        ),
        (next) => dispatch(next, event, ctx),
      );
    case "rented":
    case "rentFailed":
    case "rentUnknown":
    case "notFound":
    case "seen":
    case "gone":
    case "endTried":
    case "lookFailed":
    case "stopTried":
    case "started":
    case "startFailed":
      return aboutMachine(state, event, ctx);
    case "discard":
      if (event.epoch !== undefined && event.epoch !== currentMachine(state)?.epoch) return out(state);
      return dispatch(state, event, ctx);
    case "proved":
      return proofOfCheckpoint(state, event, ctx) ?? dispatch(state, event, ctx);
    case "proofFailed": {
      const kept = event.retryable ? out(state) : keepOnlyCopy(state, event.ref, ctx);
      return proofOfCheckpoint(state, event, ctx) ?? andThen(kept, (next) => dispatch(next, event, ctx));
    }
    case "wake":
      return andThen(dispatch(state, event, ctx), (next) => out(noteKnock(state, next, event.wake, ctx.now)));
    case "hibernate":
      return dispatch(state, event, ctx);
  }
}

/** What the clock wants is asked for as a person would ask for it. */
function keepSchedule(state: State, ctx: Context): Outcome {
  const { state: followed, due } = followSchedule(state, ctx.now);
  const told = out(followed, ...(due ? [dueLog(due, ctx.now)] : []));
  const woken =
    due?.what === "wake"
      ? andThen(told, (next) => dispatch(next, { type: "wake", wake: scheduledWake(due, ctx.now) }, ctx))
      : told;
  const held = andThen(woken, (next) => settleScheduled(next, ctx.now));
  return andThen(held, (next) => {
    const verdict = dueSleepNow(next, ctx.now);
    if (verdict === null) return out(next);
    if (verdict === "waits") return due ? out(next, log("schedule_waits", scheduleActor)) : out(next);
    const free = withoutDueSleep(next);
    return verdict === "over" ? out(free) : dispatch(free, { type: "hibernate", actor: scheduleActor }, ctx);
  });
}

function dispatch(state: State, event: LifecycleEvent, ctx: Context): Outcome {
  const row = table[state.now.status] as Record<
    EventType,
    (state: State, phase: State["now"], event: LifecycleEvent, ctx: Context) => Outcome
  >;
  return row[event.type](state, state.now, event, ctx);
}

/** What is said of a machine, and of those that carry its label beside it. */
function aboutMachine(state: State, event: MachineEvent, ctx: Context): Outcome {
  const twins = (event.type === "rented" || event.type === "seen") && event.twins ? event.twins : [];
  return twins.reduce(
    (outcome, facts) => andThen(outcome, (next) => takeTwin(next, event.epoch, facts, ctx)),
    aboutOne(state, event, ctx),
  );
}

/** I3: what is said of a machine concerns that machine alone: one in use, one that is started, one on its way out, or a stray. */
function aboutOne(state: State, event: MachineEvent, ctx: Context): Outcome {
  const told = event.type === "rented" || event.type === "seen" ? event.facts.providerId : null;
  if (told !== null) {
    const twin = state.retiring.find((one) => one.machine.facts?.providerId === told);
    if (twin) return aboutRetiring(state, twin, { ...event, epoch: twin.machine.epoch }, ctx);
    const { parked } = state;
    if (parked?.machine.facts?.providerId === told)
      return aboutParked(state, parked, { ...event, epoch: parked.machine.epoch }, ctx);
    const known = machineWith(state, event.epoch);
    if (known?.facts && known.facts.providerId !== told && event.type === "seen" && !event.byEnv) {
      return takeTwin(state, event.epoch, event.facts, ctx);
    }
  }
  const retiring = state.retiring.find((one) => one.machine.epoch === event.epoch);
  if (retiring) return aboutRetiring(state, retiring, event, ctx);
  if (state.parked?.machine.epoch === event.epoch) return aboutParked(state, state.parked, event, ctx);
  if (event.type === "started" || event.type === "startFailed") return takeStart(state, event, ctx);
  if (event.type === "stopTried") return out(state);
  if (activeMachines(state).some((one) => one.epoch === event.epoch)) {
    return inFront(state, event.epoch, (next) => dispatch(next, event, ctx));
  }
  if (event.type !== "rented" && event.type !== "seen") return out(state);
  const lost = state.lost.find((one) => one.epoch === event.epoch);
  if (lost?.facts && lost.facts.providerId !== told) return out(state);
  if (lost?.rest && !state.parked) return takeParkedBack(state, lost, event, ctx);
  return lost ? takeBack(state, lost, event.facts, ctx) : takeStray(state, event, ctx);
}

function aboutRetiring(state: State, retiring: Retiring, event: MachineEvent, ctx: Context): Outcome {
  const update = (change: Partial<Retiring>): State => ({
    ...state,
    retiring: state.retiring.map((one) => (one === retiring ? { ...one, ...change } : one)),
  });
  switch (event.type) {
    case "gone": {
      const { machine, basis, acceptedAt } = retiring;
      // "Gone" without an accepted destroy may be a mistake, and by then the seal is off: should it turn up, it is kept.
      const isDoubtful = basis.kind === "proof" && acceptedAt === null;
      const left = { ...state, retiring: state.retiring.filter((one) => one !== retiring) };
      const rest = isDoubtful ? rememberLost(left, machine) : left;
      const effects = [
        log("machine_gone", providerActor, { epoch: event.epoch, ended_at: event.at }),
        ...chargeUntil(machine, Math.max(retiring.offAt ?? event.at, machine.meter?.seenAt ?? 0)),
      ];
      return andThen(out(rest, ...effects), (next) =>
        next.now.status === "destroying" && next.now.epoch === event.epoch ? dispatch(next, event, ctx) : out(next),
      );
    }
    case "notFound":
      // A rental that never answered: looked for long enough, it does not exist.
      if (
        retiring.machine.facts ||
        ctx.now - retiring.since < ctx.timings.labelChecks * ctx.timings.labelCheckEveryMs
      ) {
        return out(state);
      }
      return out({
        ...state,
        retiring: state.retiring.filter((one) => one !== retiring),
        unanswered: [...(state.unanswered ?? []), event.epoch].slice(-20),
      });
    case "rented":
    case "seen": {
      const known = takeIn(retiring.machine, event.facts);
      // It stood still, and was started before its end was asked for. While another one is parked it is only looked at.
      const runs = event.type === "seen" && event.phase === "running";
      if (runs && retiring.isStopped && retiring.acceptedAt === null && !state.parked) {
        const rest = state.retiring.filter((one) => one !== retiring);
        return takeUnstopped({ ...state, retiring: rest }, known, ctx);
      }
      const next = update({ machine: known });
      return retiring.machine.facts ? out(next) : out(next, endEffect(known, retiring.basis));
    }
    case "endTried": {
      const tries = retiring.tries + 1;
      const nextTryAt = ctx.now + nextEndDelayMs(tries, ctx);
      const stuck = noteStuck("destroy_failed", retiring, event, ctx);
      const told = stuck.length > 0 ? { isTold: true as const } : {};
      if (!event.accepted) return out(update({ tries, nextTryAt, ...told }), ...stuck);
      const isFirst = retiring.acceptedAt === null;
      const offAt = retiring.offAt !== undefined && !event.stillRuns ? retiring.offAt : ctx.now;
      return out(
        // The first confirmation is asked for soon: most machines are gone at once.
        update({
          tries,
          acceptedAt: retiring.acceptedAt ?? ctx.now,
          offAt,
          nextTryAt: isFirst ? ctx.now + ctx.timings.endEveryMs : nextTryAt,
          ...told,
        }),
        ...(isFirst ? [log("destroy_accepted", providerActor, { epoch: event.epoch })] : []),
        ...stuck,
      );
    }
    case "lookFailed":
      return out(update({ tries: retiring.tries + 1, nextTryAt: ctx.now + nextEndDelayMs(retiring.tries + 1, ctx) }));
    default:
      return out(state);
  }
}

/** A machine with our label that this state knows nothing of: a rental whose answer was lost and was given up. */
function takeStray(state: State, event: Extract<MachineEvent, { type: "rented" | "seen" }>, ctx: Context): Outcome {
  // Without its label it is ours only if its rental was never answered: else it may be somebody's copy of ours.
  if (event.type === "seen" && event.byEnv && !state.unanswered?.includes(event.epoch)) return out(state);
  const epoch = Math.max(state.epoch, event.epoch);
  const machine = takeIn(newMachine(state, event.epoch, ctx.now), event.facts);
  const said = out(
    { ...state, epoch },
    log("orphan_found", providerActor, { epoch: event.epoch, provider_id: event.facts.providerId }),
  );
  return andThen(said, (next) => retire(next, machine, { kind: "neverHeldWork" }, ctx));
}

/**
 * A second machine under the label of one that is known: the create was carried out twice. The agent on it is not heard
 * (its number is another), so nothing of the user is on it. It is ended under an epoch of its own, so that its end and
 * its bill are kept apart from those of the machine that is meant.
 */
function takeTwin(state: State, of: number, facts: RentedFacts, ctx: Context): Outcome {
  const known = machineWith(state, of);
  const isKnown = allMachines(state).some((one) => one.facts?.providerId === facts.providerId);
  if (isKnown || !known || known.adopted) return out(state);
  const epoch = state.epoch + 1;
  const blank = newMachine(state, epoch, ctx.now);
  const meter = { from: facts.runningSince ?? null, seenAt: ctx.now, diskFrom: ctx.now };
  const machine = takeIn({ ...blank, label: known.label, meter }, facts);
  const said = log("orphan_found", providerActor, { epoch, provider_id: facts.providerId, twin_of: of });
  return andThen(out({ ...state, epoch }, said), (next) => retire(next, machine, { kind: "neverHeldWork" }, ctx));
}

/** Asks again for the end of every machine whose time has come. It never gives up (I5). */
function endDue(state: State, ctx: Context): Outcome {
  const effects: Effect[] = [];
  const retiring = state.retiring.map((one) => {
    if (ctx.now < one.nextTryAt) return one;
    const next = { ...one, nextTryAt: ctx.now + nextEndDelayMs(one.tries, ctx) };
    if (mayEnd(state, one, ctx.now)) effects.push(endEffect(one.machine, one.basis));
    return next;
  });
  return { state: { ...state, retiring }, effects };
}

/**
 * Whether a destroy may be sent at this moment. The handler of an `end` effect asks again right before the call,
 * because time may have passed since the effect was written: a seal that may have ended is no seal.
 */
export function mayEnd(state: State, retiring: Retiring, now: number): boolean {
  if (retiring.basis.kind !== "proof" || retiring.acceptedAt !== null || retiring.isStopped) return true;
  const phase = state.now;
  if (phase.status !== "destroying" || phase.epoch !== retiring.machine.epoch) return false;
  // Before `since` the clock was set back and says nothing about how long the seal has held.
  return now >= phase.since && now < phase.sealedUntil;
}
