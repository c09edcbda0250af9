/**
 * A whole small world around `transition`, on a clock of its own: provider, agents, store, outbox, alarm, reconcile.
 * Effects run as the shell runs them (worker/instance): at least once, one event each, `mayEnd` asked before the call.
 * After every step the invariants are checked; a broken one throws with the story so far.
 */
import type { AutoHibernation } from "../../protocol/config.ts";
import { newInstanceId } from "../../protocol/ids.ts";
import { actionsFor, judgeWake } from "../abilities.ts";
import { machineWith, speaks, wantsRental } from "../attempts.ts";
import { adoptInstance, createFork, createInstance } from "../birth.ts";
import { commandsFor } from "../commands.ts";
import { nextDeadline } from "../deadlines.ts";
import type { Effect, LifecycleEvent, Outcome, WorldEffect } from "../events.ts";
import { judgeKnock, type Knock, type KnockVerdict, knockWake } from "../knock.ts";
import { addInterval, type PaidInterval } from "../ledger.ts";
import { currentMachine } from "../machines.ts";
import { mayStop } from "../parked.ts";
import { defaultTimings } from "../timings.ts";
import { mayEnd, transition } from "../transition.ts";
import type { Actor, State, WakeRequest } from "../types.ts";
import { quietFloorMs } from "../vetoes.ts";
import { digestOf, type FakeAgent, obey, restartAgent, runAgent, sealReport, write } from "./agent.ts";
import { birth, user } from "./fixtures.ts";
import {
  brokenDestroy,
  brokenRest,
  brokenSleep,
  brokenState,
  brokenStep,
  brokenStore,
  deepFreeze,
} from "./invariants.ts";
import { type FakeMachine, FakeProvider, factsOf, isAlive, takeOne } from "./provider.ts";
import {
  collectIn,
  copyIn,
  type FakeStore,
  isWhole,
  newStore,
  proveIn,
  refKey,
  salvageIn,
  tellHistory,
} from "./store.ts";

export const timings = defaultTimings;
const startAt = 1_800_000_000_000;

export class World {
  now = startAt;
  state!: State;
  readonly provider = new FakeProvider();
  readonly store: FakeStore = newStore();
  readonly net = { downUntil: 0, beatsLost: 0, answersLost: 0, delayMs: 0, slowMs: 0, cutOff: 0 };
  readonly logs: { at: number; type: string; params: Record<string, unknown> }[] = [];
  readonly effects: Effect[] = [];
  readonly story: string[] = [];
  readonly discarded = new Set<number>();
  /** Machines that the state was told of while the provider had them: those it must have charged for. */
  readonly #told = new Set<number>();
  readonly #lies = new Set<number>();
  readonly #echoes: { at: number; event: LifecycleEvent }[] = [];
  readonly #timers: { at: number; run: () => void }[] = [];
  #content = 0;
  #basis = "";
  #wakeWanted = false;
  /** A person asked for a sleep and nobody took it back. */
  #sleepWanted = false;
  #writing = false;
  #idleTicks = 0;

  constructor() {
    this.provider.onDestroy = (machine) => {
      runAgent(machine.agent, this.now);
      this.#check(brokenDestroy(machine, this.#basis, this.store, this.discarded));
    };
    this.#every(60_000, () => this.#reconcile());
  }

  // ---- births and people -------------------------------------------------------------------------------------------

  create(config: Partial<AutoHibernation> = {}): this {
    this.#take(createInstance(birth(config), { now: this.now, timings }), "create");
    return this;
  }

  /** From a snapshot of another instance, which holds this; null: it is not whole. */
  fork(content: number | null, isWoken: boolean, config: Partial<AutoHibernation> = {}): this {
    const digest = digestOf(content ?? 1);
    this.store.other = content === null ? null : { digest, content };
    this.#content = content ?? 0;
    const from = { instance: newInstanceId(new Uint8Array(10).fill(7)), ref: { seq: 4, epoch: 2, digest } };
    this.#wakeWanted = isWoken;
    this.#take(createFork(birth(config), from, isWoken, { now: this.now, timings }), "fork");
    return this;
  }

  adopt(config: Partial<AutoHibernation> = {}, options: { neverBoots?: boolean } = {}): this {
    if (options.neverBoots) this.provider.trouble.rentsNeverBoot = 1;
    const machine = this.provider.create(1, "somebody-else", this.now);
    machine.agent.inUse = true;
    machine.agent.content = ++this.#content;
    this.#scheduleBeat(machine, machine.bootAt);
    this.#told.add(1);
    this.#take(adoptInstance(birth(config), factsOf(machine), this.now, { now: this.now, timings }), "adopt");
    return this;
  }

  /** As the API does it: what is not allowed now is refused. */
  wake(change: Partial<WakeRequest> = {}): this {
    const kind = judgeWake(this.state, this.now, timings).kind;
    if (kind !== "limited") {
      this.#wakeWanted = true;
      this.#sleepWanted = false;
      this.apply({ type: "wake", wake: { actor: user, gpuType: null, region: null, askedAt: this.now, ...change } });
    }
    return this;
  }

  /** A request to a service, as the proxy takes it. */
  knock(change: Partial<Knock> = {}): KnockVerdict {
    const knock: Knock = { by: "anybody", isUse: true, fits: true, wakesPerHour: null, ...change };
    const machines = this.effects
      .flatMap((one) => (one.kind === "charge" ? [one] : []))
      .reduce<PaidInterval[]>(addInterval, []);
    const books = { machines, moved: [], stored: [], cycles: [] };
    const verdict = judgeKnock(this.state, knock, () => books, { now: this.now, timings });
    if (verdict.kind === "wakes") this.wake(knockWake(knock, this.now));
    return verdict;
  }

  /** As the API does it: only from where nothing runs, and only to a snapshot that verifies. `back`: how many before the newest. */
  rollBack(back: number): this {
    if (judgeWake(this.state, this.now, timings).kind !== "start") return this;
    const whole = [...this.store.manifests.values()].filter(
      ({ ref }) => this.store.proved.has(refKey(ref)) && isWhole(this.store, ref),
    );
    const found = whole.sort((a, b) => b.ref.seq - a.ref.seq)[Math.min(back, whole.length - 1)];
    if (!found || refKey(found.ref) === (this.state.snapshot && refKey(this.state.snapshot.ref))) return this;
    return this.wake({ snapshot: { ref: found.ref, stats: null, provedAt: found.at } });
  }

  hibernate(force = false): this {
    if (!actionsFor(this.state).includes("hibernate") && !("wakeAfter" in this.state.now)) return this;
    this.#wakeWanted = false;
    this.#sleepWanted ||= ["running", "snapshotting"].includes(this.state.now.status);
    this.apply({ type: "hibernate", actor: user, ...(force && { force }) });
    return this;
  }

  discard(): this {
    if (!actionsFor(this.state).includes("discard")) return this;
    const machine = currentMachine(this.state) ?? this.state.parked?.machine;
    if (machine) this.discarded.add(machine.epoch);
    this.#wakeWanted = false;
    this.#sleepWanted = false;
    this.apply({ type: "discard", actor: user });
    return this;
  }

  /** As the API does it. */
  keepAwake(ms: number, isNotNow = false): this {
    if (!actionsFor(this.state).includes(isNotNow ? "not_now" : "keep_awake")) return this;
    this.#sleepWanted = false;
    this.apply({ type: "keepAwake", actor: user, until: this.now + ms, what: null, isNotNow });
    return this;
  }

  letSleep(): this {
    this.apply({ type: "letSleep", actor: user });
    return this;
  }

  configure(change: Partial<AutoHibernation>): this {
    this.apply({ type: "configure", actor: user as Actor, config: { ...this.state.config, ...change } });
    return this;
  }

  /** One window each day. */
  byTheClock(inMs: number, forMs: number): this {
    const time = (at: number) => new Date(at).toISOString().slice(11, 16);
    const window = { start: time(this.now + inMs), end: time(this.now + inMs + forMs) };
    const schedule = { wake_time: "09:00", sleep_time: "18:00", timezone: "UTC", windows: [window] };
    return this.configure({ wake_method: "scheduled", schedule });
  }

  /** A snapshot that no machine needs just now. */
  damage(back: number): void {
    const { status } = this.state.now;
    if (status !== "hibernated" && status !== "running") return;
    const keys = [...this.store.manifests.keys()].reverse();
    const key = keys[Math.min(back, keys.length - 1)];
    // One of a sleep that was called off may be taken over by the next.
    if (key && (status === "hibernated" || this.store.kinds.has(key))) this.store.damagedOnes.add(key);
  }

  // ---- what happens on the machines ----------------------------------------------------------------------------------

  get agent(): FakeAgent | null {
    return this.#alive().at(-1)?.agent ?? null;
  }

  busy(isBusy: boolean): void {
    for (const { agent } of this.#alive()) agent.busy = isBusy;
  }

  /** What the user's scripts on the machines say. */
  scripts(says: FakeAgent["hook"]): void {
    for (const { agent } of this.#alive()) agent.hook = says;
  }

  memory(isHeld: boolean): void {
    for (const { agent } of this.#alive()) agent.memoryHeld = isHeld;
  }

  writing(isWriting: boolean): void {
    if (isWriting && !this.#writing) this.#at(this.now + 1_000, () => this.#write());
    this.#writing = isWriting;
  }

  /** A command begins under `soneca-agent run`, or ends. */
  runCommand(id: string, isOn: boolean): void {
    for (const { agent } of this.#alive()) {
      agent.held = agent.held.filter((one) => one.id !== id);
      if (isOn) agent.held.push({ id, what: `command ${id}` });
    }
  }

  restartAgents(): void {
    for (const { agent } of this.#alive()) restartAgent(agent, this.now);
  }

  vanish(): void {
    for (const machine of this.#alive()) this.provider.vanish(machine, this.now);
  }

  vanishNewest(): void {
    const machine = this.provider.machines.filter(isAlive).at(-1);
    if (machine && !machine.agent.inUse) this.provider.vanish(machine, this.now);
  }

  /** An event that was delivered some time ago comes once more. A beat is on its way for a few seconds at most, an answer for a minute. */
  echo(back: number): void {
    const one = this.#echoes.at(-1 - (back % 12));
    if (one && this.now - one.at < (one.event.type === "beat" ? 4_000 : 60_000)) this.apply(one.event, "again ");
  }

  // ---- time ------------------------------------------------------------------------------------------------------------

  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const alarm = this.state ? nextDeadline(this.state, timings) : null;
      const timer = this.#timers[0]?.at ?? Number.POSITIVE_INFINITY;
      const next = Math.min(alarm ?? Number.POSITIVE_INFINITY, timer);
      if (next > end) break;
      const isAlarm = alarm !== null && alarm <= timer;
      this.#idleTicks = isAlarm && next <= this.now ? this.#idleTicks + 1 : 0;
      if (this.#idleTicks > 10) this.#check(`I2: the alarm of ${this.state.now.status} never moves`);
      this.now = Math.max(this.now, next);
      if (isAlarm) this.apply({ type: "tick" });
      else this.#timers.shift()!.run();
    }
    this.now = Math.max(this.now, end);
  }

  /** All troubles end, everybody stops working, and much time passes. Then nothing may hang (I2, I4, I5, I11). */
  rest(): void {
    this.provider.calm();
    Object.assign(this.net, { downUntil: 0, beatsLost: 0, answersLost: 0, delayMs: 0, slowMs: 0, cutOff: 0 });
    Object.assign(this.store, { failsUntil: 0, uploadsFail: 0, uploadsRefused: 0 });
    this.busy(false);
    this.writing(false);
    for (const { agent } of this.#alive()) agent.held = [];
    this.scripts("ok");
    this.letSleep();
    if (this.state.config.wake_method === "scheduled") this.configure({ wake_method: "manual" });
    this.run(100 * 60_000);
    const charges = this.effects.filter((one) => one.kind === "charge");
    const told = new Set([...this.#told].filter((epoch) => !this.#lies.has(epoch)));
    this.#check(brokenRest(this.state, this.provider.machines, told, charges, this.now));
    if (this.#wakeWanted) this.#check(`I4: a wake was lost; the instance is ${this.state.now.status}`);
    const isUp = ["running", "snapshotting", "unreachable"].includes(this.state.now.status);
    if (this.#sleepWanted && isUp) this.#check(`a sleep that was asked for was forgotten (${this.state.now.status})`);
  }

  // ---- the shell -------------------------------------------------------------------------------------------------------

  apply(event: LifecycleEvent, how = ""): void {
    const before = this.state;
    const outcome = transition(before, deepFreeze(event), { now: this.now, timings });
    if (event.type === "rented" || event.type === "seen") this.#tellOf(event.epoch);
    const isAsked = ["tick", "hold", "wake", "hibernate", "discard", "configure", "keepAwake", "letSleep"].includes(
      event.type,
    );
    if (!isAsked && how === "") this.#echoes.push({ at: this.now, event });
    this.#take(outcome, how + line(event));
    this.#check(brokenStep(before, event, outcome.state, outcome.effects));
    this.#check(brokenSleep(before, outcome.state, { now: this.now, timings }));
    const { status } = outcome.state.now;
    if (["hibernated", "deleted", "failed"].includes(status)) this.#sleepWanted = false;
    // It is awake and heard: the wake is answered, even if this very beat lets the idle rule begin a new sleep.
    const wasRunning = before.now.status === "running" || status === "running";
    if (
      (event.type === "beat" && wasRunning && event.epoch === currentMachine(this.state)?.epoch) ||
      status === "failed"
    ) {
      this.#wakeWanted = false;
    }
  }

  #tellOf(epoch: number): void {
    if (this.provider.paid(this.now).some((one) => one.epoch === epoch)) this.#told.add(epoch);
  }

  #take(outcome: Outcome, what: string): void {
    this.state = deepFreeze(outcome.state);
    if (!/^(tick|beat)/.test(what) || outcome.effects.length > 0) this.#tell(`${what} -> ${wordsOf(outcome)}`);
    for (const effect of outcome.effects) {
      this.effects.push(effect);
      if (effect.kind === "log") {
        this.logs.push({ at: this.now, type: effect.type, params: effect.params });
        if (effect.type === "schedule_due" && effect.params.what === "wake") this.#sleepWanted = false;
        if (effect.type === "wake_failed" || effect.type === "wake_cancelled") this.#wakeWanted = false;
      } else if (effect.kind === "history") {
        tellHistory(this.store, effect.entry);
      } else if (effect.kind !== "charge") {
        this.#at(this.now + 50, () => this.#carryOut(effect, false));
      }
    }
    this.#check(brokenState(this.state, timings));
    this.#check(brokenStore(this.state, this.store, this.now));
  }

  #carryOut(effect: WorldEffect, wasCutOff: boolean): void {
    const isOff =
      (effect.kind === "end" && !this.#mayEnd(effect)) ||
      (effect.kind === "stop" && !mayStop(this.state, effect.epoch, this.now));
    if (isOff) {
      this.apply({ type: "tick" });
      return;
    }
    const latencyMs = 100 + this.net.slowMs;
    this.net.slowMs = 0;
    this.#at(this.now + latencyMs, () => {
      const event = this.#outcomeOf(effect, wasCutOff);
      if (!event) return;
      if (takeOne(this.net, "cutOff")) this.#at(this.now + 5_000, () => this.#carryOut(effect, true));
      else this.apply(event);
    });
  }

  #mayEnd(effect: Extract<WorldEffect, { kind: "end" }>): boolean {
    if (effect.providerId === null) return true;
    const one = this.state.retiring.find((retiring) => retiring.machine.epoch === effect.epoch);
    return one !== undefined && mayEnd(this.state, one, this.now);
  }

  #outcomeOf(effect: WorldEffect, wasCutOff: boolean): LifecycleEvent | null {
    switch (effect.kind) {
      case "rent":
        return this.#rent(effect, wasCutOff);
      case "look":
        return this.#look(effect);
      case "end":
        return this.#end(effect);
      case "stop":
        return this.#stop(effect);
      case "start":
        return this.#start(effect);
      case "prove":
        return proveIn(this.store, effect, this.now);
      case "salvage":
        return salvageIn(this.store, effect.damaged, this.now);
      case "copy":
        return copyIn(this.store, effect.to, this.now);
      case "collect":
        return collectIn(this.store, this.state, this.now);
    }
  }

  #rent({ epoch, label, avoid }: Extract<WorldEffect, { kind: "rent" }>, wasCutOff: boolean): LifecycleEvent | null {
    if (!wantsRental(this.state, epoch) && !wasCutOff) return null;
    if (!this.provider.answers(this.now)) return { type: "rentUnknown", epoch };
    const found = this.provider.byLabel(label, this.now);
    if (found) return { type: "rented", epoch, facts: factsOf(found) };
    if (wasCutOff) return { type: "rentUnknown", epoch };
    if (takeOne(this.provider.trouble, "noOffer")) {
      return { type: "rentFailed", epoch, code: "no_offer", message: "none", tryNext: false, machineId: null };
    }
    if (takeOne(this.provider.trouble, "rentFails")) {
      return { type: "rentFailed", epoch, code: "offer_gone", message: "taken", tryNext: true, machineId: 9 };
    }
    const machine = this.provider.create(epoch, label, this.now);
    if (avoid.includes(factsOf(machine).machineId ?? 0)) this.#check("a host is rented that is avoided");
    this.#scheduleBeat(machine, machine.bootAt);
    if (takeOne(this.provider.trouble, "rentLost")) return { type: "rentUnknown", epoch };
    return { type: "rented", epoch, facts: factsOf(machine) };
  }

  #look({ epoch, label, providerId }: { epoch: number; label: string; providerId: number | null }): LifecycleEvent {
    if (!this.provider.answers(this.now)) return { type: "lookFailed", epoch, message: "no answer" };
    const listed = this.provider.listed(this.now);
    const machine = listed.find((one) => (providerId === null ? one.label === label : one.providerId === providerId));
    if (machine && providerId !== null && takeOne(this.provider.trouble, "saysGone")) return this.#lie(epoch);
    if (machine) {
      const isUp = machine.bootAt !== null && machine.bootAt <= this.now;
      const isStill = machine.stoppedAt !== null || machine.haltedAt !== null;
      const phase =
        machine.awayUntil !== null && this.now < machine.awayUntil
          ? "lost"
          : machine.queuedUntil !== null
            ? "queued"
            : isStill
              ? "stopped"
              : isUp
                ? "running"
                : "loading";
      return { type: "seen", epoch, facts: factsOf(machine), phase, fatal: null, message: null };
    }
    if (providerId === null) return { type: "notFound", epoch };
    const known = this.provider.byId(providerId);
    if (known && this.now < known.listedAt) return { type: "lookFailed", epoch, message: "not listed yet" };
    return { type: "gone", epoch, at: known?.endedAt ?? this.now };
  }

  #end(effect: Extract<WorldEffect, { kind: "end" }>): LifecycleEvent {
    const { epoch, providerId } = effect;
    const machine = providerId === null ? undefined : this.provider.byId(providerId);
    if (!machine || machine.stoppedAt !== null) return this.#look(effect);
    const isStopped = this.state.retiring.some(
      (one) => one.machine.epoch === epoch && one.isStopped && !one.acceptedAt,
    );
    const isUp = isAlive(machine) && machine.bootAt !== null && machine.bootAt <= this.now;
    if (isStopped && isUp) return this.#look(effect);
    if (!this.provider.answers(this.now)) return { type: "endTried", epoch, accepted: false, message: "no answer" };
    if (takeOne(this.provider.trouble, "saysGone")) return this.#lie(epoch);
    this.#basis = effect.basis.kind;
    const answer = this.provider.destroy(machine, this.now);
    if (answer === "lost") return { type: "endTried", epoch, accepted: false, message: "timeout" };
    return { type: "endTried", epoch, accepted: answer === "accepted", message: null };
  }

  #stop(effect: Extract<WorldEffect, { kind: "stop" }>): LifecycleEvent {
    const { epoch, providerId } = effect;
    const machine = providerId === null ? undefined : this.provider.byId(providerId);
    if (!machine || machine.stoppedAt !== null) return this.#look(effect);
    if (machine.haltedAt !== null && machine.queuedUntil === null) return this.#look(effect);
    const { trouble } = this.provider;
    if (!this.provider.answers(this.now) || takeOne(trouble, "stopFails"))
      return { type: "stopTried", epoch, accepted: false, message: "no" };
    machine.queuedUntil = null;
    const boot = machine.boots;
    this.#at(this.now + trouble.stopLagMs, () => {
      runAgent(machine.agent, this.now);
      if (machine.boots === boot) this.provider.halt(machine, this.now);
    });
    if (trouble.stopLagMs === 0) this.provider.halt(machine, this.now);
    return { type: "stopTried", epoch, accepted: true, message: null };
  }

  #start({ epoch, providerId }: Extract<WorldEffect, { kind: "start" }>): LifecycleEvent {
    const machine = this.provider.byId(providerId ?? 0);
    if (!this.provider.answers(this.now)) return { type: "started", epoch };
    const { trouble } = this.provider;
    const no = { type: "startFailed", epoch, code: "provider_refused", message: "no" } as const;
    if (!machine || machine.stoppedAt !== null || takeOne(trouble, "startFails")) return no;
    const isSaid = takeOne(trouble, "startQueued");
    if (!isSaid && !takeOne(trouble, "startQueuedUnsaid")) {
      this.#boot(machine);
      return { type: "started", epoch };
    }
    machine.queuedUntil = this.now + 120_000;
    this.#at(machine.queuedUntil, () => machine.queuedUntil !== null && this.#boot(machine));
    return isSaid ? { ...no, code: "start_queued" } : { type: "started", epoch };
  }

  #boot(machine: FakeMachine): void {
    if (machine.haltedAt === null) return;
    this.provider.boot(machine, this.now);
    this.#scheduleBeat(machine, machine.bootAt);
  }

  /** Somebody presses "start" in the provider's own pages. */
  startElsewhere(): void {
    for (const machine of this.provider.machines) if (machine.stoppedAt === null) this.#boot(machine);
  }

  /** The host of a stopped machine goes away, and starts it when it comes back, as if it had run. */
  hostAway(ms: number): void {
    for (const machine of this.provider.machines.filter((one) => one.haltedAt !== null && one.stoppedAt === null)) {
      machine.awayUntil = this.now + ms;
      this.#at(machine.awayUntil, () => machine.stoppedAt === null && this.#boot(machine));
    }
  }

  vanishStopped(): void {
    const still = this.provider.machines.filter((one) => one.haltedAt !== null);
    for (const machine of still) this.provider.vanish(machine, this.now);
  }

  #lie(epoch: number): LifecycleEvent {
    // Its bill ends at another moment than was said: no charge of it can be right.
    this.#lies.add(epoch);
    return { type: "gone", epoch, at: this.now };
  }

  #reconcile(): void {
    if (!this.state || !this.provider.answers(this.now)) return;
    for (const machine of this.provider.listed(this.now)) {
      const event = this.#look({ epoch: machine.epoch, label: machine.label, providerId: null });
      // A rental may be under way: what is young is left alone.
      if (event.type === "seen" && this.now - machine.createdAt > 30_000) this.apply(event);
    }
    const machine = currentMachine(this.state);
    if (machine?.facts && this.state.now.status === "failed") {
      this.apply(this.#look({ ...machine, providerId: machine.facts.providerId }));
    }
  }

  // ---- heartbeats --------------------------------------------------------------------------------------------------------

  #scheduleBeat(machine: FakeMachine, at: number | null): void {
    const { boots } = machine;
    if (at !== null) this.#at(at, () => machine.boots === boots && this.#beat(machine));
  }

  #beat(machine: FakeMachine): void {
    if (!isAlive(machine)) return;
    const { agent } = machine;
    const { now, net } = this;
    runAgent(agent, now);
    this.#scheduleBeat(machine, now + (this.state.now.status === "running" ? 10_000 : 5_000));
    if (now < agent.silentUntil || now < net.downUntil || takeOne(net, "beatsLost")) return;
    agent.quietSince = agent.busy ? null : (agent.quietSince ?? now);
    const event: LifecycleEvent = {
      type: "beat",
      epoch: machine.epoch,
      verdict: this.#verdict(agent),
      results: structuredClone(agent.results),
      seal: sealReport(agent, now),
      progressed: agent.job !== null,
      held: structuredClone(agent.held),
      memoryHeld: agent.memoryHeld,
    };
    const delayMs = net.delayMs;
    net.delayMs = 0;
    this.#at(now + 100 + delayMs, () => this.#hear(machine, event));
  }

  #hear(machine: FakeMachine, event: Extract<LifecycleEvent, { type: "beat" }>): void {
    if (!speaks(this.state, event.epoch)) return;
    machine.heard ||= machineWith(this.state, event.epoch)?.facts != null;
    this.apply(event);
    if (this.now < this.net.downUntil || takeOne(this.net, "answersLost")) return;
    const commands = commandsFor(this.state, event.epoch, timings);
    const { status } = this.state.now;
    const kept = event.results.map((one) => one.commandId);
    this.#at(this.now + 50, () => {
      if (!isAlive(machine)) return;
      runAgent(machine.agent, this.now);
      obey(machine.agent, status, commands, kept, this.store, this.now);
    });
  }

  #verdict(agent: FakeAgent): Extract<LifecycleEvent, { type: "beat" }>["verdict"] {
    if (agent.quietSince === null) {
      return {
        kind: "busy",
        blockers: [{ signal: "gpu", code: "gpu_busy", value: 80, threshold: 5, detail: "GPU 0" }],
      };
    }
    const ripe = this.now - agent.quietSince >= quietFloorMs(this.state, agent.memoryHeld, this.now);
    return { kind: "quiet", since: agent.quietSince, ripe };
  }

  #write(): void {
    for (const { agent } of this.#alive()) {
      runAgent(agent, this.now);
      write(agent, () => ++this.#content);
    }
    if (this.#writing) this.#at(this.now + 1_000, () => this.#write());
  }

  // ---- small things --------------------------------------------------------------------------------------------------------

  #alive(): FakeMachine[] {
    return this.provider.machines.filter((one) => isAlive(one) && one.bootAt !== null && one.bootAt <= this.now);
  }

  #at(at: number, run: () => void): void {
    const index = this.#timers.findIndex((one) => one.at > at);
    this.#timers.splice(index < 0 ? this.#timers.length : index, 0, { at, run });
  }

  #every(ms: number, run: () => void): void {
    this.#at(this.now + ms, () => {
      run();
      this.#every(ms, run);
    });
  }

  tell(text: string): void {
    this.#tell(`* ${text}`);
  }

  #tell(text: string): void {
    this.story.push(`${((this.now - startAt) / 1000).toFixed(1).padStart(8)} s  ${text}`);
  }

  #check(broken: string | null): void {
    if (broken) throw new Error(`${broken}\n${this.story.slice(-60).join("\n")}`);
  }
}

function line(event: LifecycleEvent): string {
  const { type } = event;
  if (type === "beat")
    return `beat ${event.epoch} ${event.verdict.kind}${event.seal ? ` seal=${event.seal.snapshot.seq}` : ""}`;
  return "epoch" in event ? `${type} ${event.epoch}${type === "endTried" ? ` ${event.accepted}` : ""}` : type;
}

function wordsOf(outcome: Outcome): string {
  const phase = outcome.state.now;
  const step = "step" in phase ? `/${phase.step}` : "";
  return [
    `${phase.status}${step}`,
    ...outcome.effects.map((one) => (one.kind === "log" ? one.type : `<${one.kind}>`)),
  ].join(" ");
}
