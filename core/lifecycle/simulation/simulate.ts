/**
 * Replays how a GPU was wanted through `transition`, on a clock of its own: beats, uploads, proofs, destroys, wakes. It
 * is the same function that decides in an instance's object, with the same samples, rule and waiting times.
 *
 * While a machine comes up its user waits, and what follows in the trace moves by so much; the next idle time of an hour
 * or more takes it back, so that the hours of the day stay what they were. The trace ends with use.
 */
import { defaultAutoHibernation } from "../../protocol/config.ts";
import { newInstanceId, newUserId } from "../../protocol/ids.ts";
import { bestCost } from "../auto.ts";
import { autoOf } from "../auto-state.ts";
import { createInstance } from "../birth.ts";
import { commandsFor } from "../commands.ts";
import { deadlines, nextDeadline } from "../deadlines.ts";
import type { Effect, LifecycleEvent } from "../events.ts";
import { judgeIdle } from "../idle.ts";
import { idleSteps } from "../idle-steps.ts";
import { currentMachine } from "../machines.ts";
import { defaultTimings, type Timings } from "../timings.ts";
import { mayEnd, transition } from "../transition.ts";
import type { Actor, Machine, RentedFacts, State } from "../types.ts";
import { holdsGpuMemory, idleRuleOf } from "../vetoes.ts";
import { untilNextBeatMs } from "../warning.ts";
import { SimulatedMachine } from "./machine.ts";
import { type IdleTime, idleTimes, type Trace, TraceWalk } from "./trace.ts";
import { costsOfWorld, type Policy, proveMs, type SimulatedWorld, settingOf } from "./world.ts";

const hourMs = 3_600_000;
const timings = defaultTimings;
/** Here no look at the provider's list finds anything. */
const coarseTimings: Timings = { ...defaultTimings, lookEveryMs: 5 * 60_000 };
const user: Actor = { kind: "user", id: newUserId(new Uint8Array(10)) };
/** A Monday's midnight. */
const startAt = Date.UTC(2026, 0, 5);
/** Often enough for no work to be taken for stuck. */
const workBeatMs = 5 * 60_000;
/** An idle time of this length takes back what waiting for wakes has moved. */
const catchUpMs = hourMs;

/** Money in micro-dollars. */
export interface Outcome {
  paid: number;
  machine: number;
  storage: number;
  traffic: number;
  sleeps: number;
  falseSleeps: number;
  uploadsCancelled: number;
  /** Waited for boots and restores. */
  waitedMs: number;
  /** The last state, for whoever wants to see more. */
  state: State;
  /** Idle time at which each sleep's machine went, in order. */
  wentAfterMs: number[];
  /** When the machine was gone, from the trace's start: to the wish for it, not to its end of waking. */
  asleep: IdleTime[];
  asleepMs: number;
}

export interface SimulateOptions {
  /** After a wake; the setting's default without. */
  graceMinutes?: number;
  /** While it is in use nothing is decided, so nothing is asked: far fewer steps, and the same but for seconds. */
  isCoarse?: boolean;
}

export interface Reference {
  /** What knowing every idle time beforehand would have paid. */
  optimum: number;
  /** Its share of idle times alone. */
  idleOptimum: number;
  alwaysOn: number;
  usedMs: number;
  idleTimes: number;
}

export function referenceOf(trace: Trace, world: SimulatedWorld): Reference {
  const costs = costsOfWorld(world);
  const idle = idleTimes(trace, world.threshold);
  const idleMs = idle.reduce((sum, one) => sum + one.toMs - one.fromMs, 0);
  const idleOptimum = idle.reduce((sum, one) => sum + bestCost(costs, one.toMs - one.fromMs), 0);
  const usedMs = trace.endMs - idleMs;
  const used = (usedMs / hourMs) * world.microUsdPerHour;
  return {
    optimum: used + idleOptimum,
    idleOptimum,
    alwaysOn: (trace.endMs / hourMs) * world.microUsdPerHour,
    usedMs,
    idleTimes: idle.length,
  };
}

export function simulate(trace: Trace, policy: Policy, world: SimulatedWorld, options: SimulateOptions = {}): Outcome {
  return new Simulation(trace, policy, world, options).run();
}

class Simulation {
  readonly #walk: TraceWalk;
  readonly #world: SimulatedWorld;
  #now = startAt;
  #state: State;
  #machine: SimulatedMachine | null = null;
  #beatAt = Number.POSITIVE_INFINITY;
  #peak = 0;
  #queue: { at: number; event: LifecycleEvent }[] = [];
  #asleepSince: number | null = null;
  #total = { machineMs: 0, asleepMs: 0, sent: 0, received: 0, cancelled: 0, waitedMs: 0 };
  #wentAfterMs: number[] = [];
  #asleep: IdleTime[] = [];
  readonly #isCoarse: boolean;
  readonly #timings: Timings;
  /** In a row: the first alone ends no idle time. */
  #busyBeats = 0;

  constructor(trace: Trace, policy: Policy, world: SimulatedWorld, { graceMinutes, isCoarse }: SimulateOptions) {
    this.#world = world;
    this.#walk = new TraceWalk(trace, world.threshold);
    this.#isCoarse = isCoarse ?? false;
    this.#timings = isCoarse ? coarseTimings : timings;
    this.#state = bornRunning(world, settingOf(policy, world), graceMinutes);
    this.#machine = new SimulatedMachine(1, world, this.#now);
    this.#beatAt = this.#now + world.intervalMs;
  }

  run(): Outcome {
    while (!this.#walk.isOver || !this.#isServing()) this.#step();
    const { machineMs, asleepMs, cancelled, waitedMs } = this.#total;
    const { microUsdPerHour, upMicroUsdPerGb, downMicroUsdPerGb } = this.#world;
    const open = currentMachine(this.#state);
    const paidMs = machineMs + (open ? this.#now - paidSince(open, this.#now) : 0);
    this.#leave();
    const machine = (paidMs / hourMs) * microUsdPerHour;
    const storage = (asleepMs / hourMs) * costsOfWorld(this.#world).asleepMicroUsdPerHour;
    const traffic = (this.#total.sent * upMicroUsdPerGb + this.#total.received * downMicroUsdPerGb) / 1e9;
    const { sleeps, falseSleeps } = autoOf(this.#state);
    return {
      paid: machine + storage + traffic,
      machine,
      storage,
      traffic,
      sleeps,
      falseSleeps,
      uploadsCancelled: cancelled,
      waitedMs,
      state: this.#state,
      wentAfterMs: this.#wentAfterMs,
      asleep: this.#asleep,
      asleepMs,
    };
  }

  #isServing(): boolean {
    const { status } = this.#state.now;
    return status === "running" || status === "snapshotting";
  }

  #step(): void {
    const isServing = this.#isServing();
    const queued = this.#queue[0]?.at ?? Number.POSITIVE_INFINITY;
    // While it serves, the beats come before every deadline but the announcement of a sleep.
    const alarm =
      (isServing ? deadlines(this.#state, this.#timings).warn : nextDeadline(this.#state, this.#timings)) ??
      Number.POSITIVE_INFINITY;
    const beat = Math.min(this.#beatAt, Math.max(this.#now, this.#machine?.readyAt ?? Number.POSITIVE_INFINITY));
    const isWanted = this.#walk.isActive;
    // Whoever wants a machine that is gone asks for it once.
    const use = isServing || isWanted ? Number.POSITIVE_INFINITY : this.#now + this.#walk.untilUseMs;
    const next = Math.max(this.#now, Math.ceil(Math.min(queued, alarm, beat, use)));
    if (!Number.isFinite(next)) throw new Error(`nothing will happen any more: ${this.#state.now.status}`);
    this.#pass(next - this.#now, isServing, isWanted);
    if (next >= use) this.#want();
    else if (next >= queued) this.#apply(this.#queue.shift()!.event);
    else if (next >= beat) this.#beat();
    else this.#apply({ type: "tick" });
  }

  /** Time goes on; the trace with it, unless its user waits for the machine. */
  #pass(ms: number, isServing: boolean, isWanted: boolean): void {
    this.#now += ms;
    if (!isServing && isWanted) {
      this.#total.waitedMs += ms;
      return;
    }
    const idle = this.#walk.nextIdleWithin(ms);
    const { peak, usedMs } = this.#walk.advance(ms);
    this.#peak = Math.max(this.#peak, peak);
    this.#machine?.work(usedMs);
    if (idle && idle.toMs - idle.fromMs >= catchUpMs) this.#catchUp(idle.toMs - idle.fromMs);
  }

  #catchUp(idleMs: number): void {
    const behindMs = this.#now - startAt - this.#walk.posMs;
    const ms = Math.min(behindMs, Math.floor(idleMs / 2), this.#walk.untilUseMs);
    if (ms > 0) this.#walk.advance(ms);
  }

  #want(): void {
    this.#apply({ type: "wake", wake: { actor: user, gpuType: null, region: null, askedAt: this.#now } });
  }

  #beat(): void {
    const machine = this.#machine!;
    const now = this.#now;
    machine.sample(now, this.#peak);
    this.#peak = 0;
    const { results, seal } = machine.report(now, this.#timings.sealHoldMs);
    const memoryHeld = holdsGpuMemory(machine.ring);
    const verdict = judgeIdle(machine.ring, idleRuleOf(this.#state, memoryHeld, now), now, 1);
    this.#busyBeats = verdict.kind === "busy" ? this.#busyBeats + 1 : 0;
    this.#apply({ type: "beat", epoch: machine.epoch, verdict, results, seal, progressed: true, memoryHeld });
    if (this.#machine !== machine) return;
    machine.obey(commandsFor(this.#state, machine.epoch, this.#timings), now);
    this.#beatAt = Math.ceil(now + untilNextBeatMs(this.#state, { now, timings: this.#timings }));
    if (this.#isCoarse) this.#beatAt = Math.max(this.#beatAt, Math.ceil(this.#nextNews()));
  }

  /** While nothing changes nothing is decided, before the next step of an idle time. */
  #nextNews(): number {
    const now = this.#now;
    const { now: phase } = this.#state;
    const isBusy = (this.#machine?.readyAt ?? Number.POSITIVE_INFINITY) < Number.POSITIVE_INFINITY;
    if (phase.status === "restoring") return isBusy ? now + workBeatMs : now;
    if (phase.status === "snapshotting") return isBusy ? now + Math.min(workBeatMs, this.#walk.untilUseMs) : now;
    if (phase.status !== "running") return now;
    if (this.#walk.isActive) return this.#busyBeats < 2 ? now : now + this.#walk.untilIdleMs;
    // Nothing begins in the grace after a wake.
    const free = phase.restlessUntil > now ? Math.min(now + this.#walk.untilUseMs, phase.restlessUntil) : now;
    if (phase.idleSince === null) return free;
    const steps = idleSteps(this.#state);
    const due = [steps?.uploadAt, steps?.sleepAt].filter((at) => at != null);
    if (due.some((at) => at <= now)) return free;
    const { warn = Number.POSITIVE_INFINITY } = deadlines(this.#state, this.#timings);
    return Math.min(now + this.#walk.untilUseMs, warn, ...due.map((at) => at + 50));
  }

  #apply(event: LifecycleEvent): void {
    const before = this.#state;
    const outcome = transition(before, event, { now: this.#now, timings: this.#timings });
    this.#state = outcome.state;
    const [from, to] = [before.now.status, this.#state.now.status];
    if (from === "destroying" && to !== "destroying") this.#fallAsleep(before);
    if (this.#asleepSince !== null && this.#isServing()) this.#awake();
    for (const effect of outcome.effects) this.#carryOut(effect);
  }

  #fallAsleep(before: State): void {
    const { gap } = autoOf(before);
    const { sleep } = autoOf(before);
    if (gap && sleep) this.#wentAfterMs.push(sleep.at - gap.startAt);
    if (this.#asleepSince === null) {
      this.#asleepSince = this.#now;
      this.#asleep.push({ fromMs: this.#walk.posMs, toMs: this.#walk.posMs });
    }
    this.#leave();
    // Asked for while it was going: the wake begins at once, and its effects rent the next machine.
    if (this.#walk.isActive && this.#state.now.status === "hibernated") this.#want();
  }

  #awake(): void {
    this.#total.asleepMs += this.#now - this.#asleepSince!;
    this.#asleep.at(-1)!.toMs = this.#walk.posMs;
    this.#asleepSince = null;
  }

  #leave(): void {
    if (!this.#machine) return;
    this.#total.sent += this.#machine.sentBytes;
    this.#total.received += this.#machine.receivedBytes;
    this.#machine = null;
    this.#beatAt = Number.POSITIVE_INFINITY;
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case "prove":
        this.#later(proveMs, { type: "proved", ref: effect.ref });
        break;
      case "rent":
        this.#machine = new SimulatedMachine(effect.epoch, this.#world, this.#now + this.#world.bootMs);
        this.#beatAt = this.#now + this.#world.bootMs;
        this.#later(1_000, {
          type: "rented",
          epoch: effect.epoch,
          facts: paidFrom(this.#now, factsOf(this.#world, effect.epoch)),
        });
        break;
      case "end": {
        const one = this.#state.retiring.find((retiring) => retiring.machine.epoch === effect.epoch);
        if (one && mayEnd(this.#state, one, this.#now)) {
          const at = this.#now + this.#world.endMs;
          this.#later(this.#world.endMs, { type: "gone", epoch: effect.epoch, at });
          this.#later(0, { type: "endTried", epoch: effect.epoch, accepted: true, message: null });
        }
        break;
      }
      case "charge":
        this.#total.machineMs += effect.toAt - effect.fromAt;
        break;
      case "log":
        if (effect.type === "hibernate_cancelled") this.#total.cancelled++;
        break;
      // What a machine is, the other events say.
      case "look":
        break;
    }
  }

  #later(ms: number, event: LifecycleEvent): void {
    this.#queue.push({ at: this.#now + ms, event });
    this.#queue.sort((a, b) => a.at - b.at);
  }
}

function bornRunning(
  world: SimulatedWorld,
  pause: number | "auto" | null,
  graceMinutes = defaultAutoHibernation.grace_minutes,
): State {
  const ctx = { now: startAt, timings };
  const config = {
    ...defaultAutoHibernation,
    // What they send is sent by the sleeps else; a trace does not tell what was written and gone between two.
    checkpoint: { ...defaultAutoHibernation.checkpoint, enabled: false },
    enabled: pause !== null,
    pause_after_idle_minutes: pause ?? defaultAutoHibernation.pause_after_idle_minutes,
    grace_minutes: graceMinutes,
    gpu_usage_threshold: world.threshold,
    check_interval_seconds: world.intervalMs / 1000,
    schedule: null,
  };
  const spec = { gpuType: null, gpuCount: 1, region: null, diskGb: 100, image: "", maxMicroUsdPerHour: null };
  const owner = newUserId(new Uint8Array(10));
  const born = createInstance({ instance: newInstanceId(new Uint8Array(10)), owner, name: "", spec, config }, ctx);
  const rented = transition(born.state, { type: "rented", epoch: 1, facts: factsOf(world, 1) }, ctx);
  const verdict = { kind: "busy" as const, blockers: [] };
  const up = { type: "beat" as const, epoch: 1, verdict, results: [], seal: null, progressed: false };
  const { state } = transition(rented.state, up, ctx);
  // It came up before the trace began: how long a boot takes is known from an earlier one or not at all.
  const { auto: _, ...unmeasured } = state;
  if (!world.isMeasured) return unmeasured;
  const { uploadMs, wakeMs } = costsOfWorld(world);
  const { storedBytes, uploadBytes, bootMs } = world;
  const stats = { entries: 1, files: 1, plainBytes: storedBytes, storedBytes, newStoredBytes: uploadBytes };
  const ref = { seq: 1, epoch: 1, digest: "0".repeat(64) };
  return {
    ...unmeasured,
    seq: 1,
    snapshot: { ref, stats, provedAt: startAt },
    auto: { ...autoOf({}), measured: { uploadMs, uploadBytes, bootMs, restoreMs: wakeMs - bootMs } },
  };
}

function factsOf(world: SimulatedWorld, epoch: number): RentedFacts {
  const { microUsdPerHour, upMicroUsdPerGb, downMicroUsdPerGb } = world;
  const prices = { microUsdPerHour, upMicroUsdPerGb, downMicroUsdPerGb };
  const where = { providerId: epoch, machineId: null, gpuType: null, gpuCount: 1, region: null };
  return { ...where, ...prices, sshHost: null, sshPort: null };
}

/** As the policy reckons: the minutes of a boot are paid as well. */
function paidFrom(runningSince: number, facts: RentedFacts): RentedFacts {
  return { ...facts, runningSince };
}

function paidSince({ meter, rentedAt }: Machine, now: number): number {
  return meter ? (meter.from ?? now) : rentedAt;
}
