/**
 * A whole small world around `transition`, on a clock of its own: provider, agents, store, outbox, alarm, reconcile.
 * Effects run as the shell runs them (worker/instance): at least once, one event each, `mayEnd` asked before the call.
 * After every step the invariants are checked; a broken one throws with the story so far.
 */
import type { AutoHibernation } from "../../protocol/config.ts";
import { newInstanceId } from "../../protocol/ids.ts";
import { actionsFor, judgeWake } from "../abilities.ts";
import { adoptInstance, createFork, createInstance } from "../birth.ts";
import { nextDeadline } from "../deadlines.ts";
import type { Effect, LifecycleEvent, Outcome, WorldEffect } from "../events.ts";
import { judgeKnock, type Knock, type KnockVerdict, knockWake } from "../knock.ts";
import { addInterval, type PaidInterval } from "../ledger.ts";
import { currentMachine } from "../machines.ts";
import { isUnsaved, mayStop } from "../parked.ts";
import { defaultTimings } from "../timings.ts";
import { mayEnd, transition } from "../transition.ts";
import type { Actor, State, WakeRequest } from "../types.ts";
import { digestOf, type FakeAgent, restartAgent, runAgent, write } from "./agent.ts";
import { Calls } from "./calls.ts";
import { Clock } from "./clock.ts";
import { birth, user } from "./fixtures.ts";
import { Heartbeats } from "./heartbeats.ts";
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
import { type FakeStore, isWhole, newStore, refKey, tellDamage, tellHistory } from "./store.ts";
import { eventLine, outcomeLine, Story } from "./story.ts";

export const timings = defaultTimings;

export class World {
  readonly clock = new Clock(1_800_000_000_000);
  state!: State;
  readonly provider = new FakeProvider();
  readonly store: FakeStore = newStore();
  readonly net = { downUntil: 0, beatsLost: 0, answersLost: 0, delayMs: 0, slowMs: 0, cutOff: 0 };
  readonly logs: { at: number; type: string; params: Record<string, unknown> }[] = [];
  readonly effects: Effect[] = [];
  readonly story = new Story(this.clock);
  readonly discarded = new Set<number>();
  /** Machines that the state was told of while the provider had them: those it must have charged for. */
  readonly #told = new Set<number>();
  readonly #echoes: { at: number; event: LifecycleEvent }[] = [];
  #content = 0;
  #wakeWanted = false;
  /** A person asked for a sleep and nobody took it back. */
  #sleepWanted = false;
  #writing = false;
  #idleTicks = 0;
  readonly #calls = new Calls(this);
  readonly #heartbeats = new Heartbeats(this);

  constructor() {
    this.provider.onStart = (machine) => this.#heartbeats.follow(machine, machine.bootAt);
    this.provider.onDestroy = (machine) => {
      runAgent(machine.agent, this.now);
      this.story.check(brokenDestroy(machine, this.#calls.basis, this.store, this.discarded));
    };
    this.clock.every(60_000, () => this.#reconcile());
  }

  get now(): number {
    return this.clock.now;
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
    if (judgeWake(this.state, this.now, timings).kind !== "start" || isUnsaved(this.state)) return this;
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
    if (isWriting && !this.#writing) this.clock.at(this.now + 1_000, () => this.#write());
    this.#writing = isWriting;
  }

  #write(): void {
    for (const { agent } of this.#alive()) {
      runAgent(agent, this.now);
      write(agent, () => ++this.#content);
    }
    if (this.#writing) this.clock.at(this.now + 1_000, () => this.#write());
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

  /** Somebody presses "start" in the provider's own pages. */
  startElsewhere(): void {
    for (const machine of this.provider.machines) this.#bootElsewhere(machine, { comesUp: true });
  }

  #bootElsewhere(machine: FakeMachine, options = {}): void {
    if (machine.stoppedAt !== null || machine.haltedAt === null) return;
    // Stopped and started while nobody looked: its account can only be too high.
    if (this.state.parked?.machine.epoch !== machine.epoch) this.#calls.lies.add(machine.epoch);
    this.provider.boot(machine, this.now, options);
  }

  /** The host of a stopped machine goes away, and starts it when it comes back, as if it had run. */
  hostAway(ms: number): void {
    for (const machine of this.provider.machines.filter((one) => one.haltedAt !== null && one.stoppedAt === null)) {
      machine.awayUntil = this.now + ms;
      this.clock.at(machine.awayUntil, () => this.#bootElsewhere(machine));
    }
  }

  /** Somebody presses "stop" there, or the credit is out. */
  stopElsewhere(): void {
    for (const machine of this.#alive()) {
      runAgent(machine.agent, this.now);
      this.provider.halt(machine, this.now);
    }
  }

  vanishStopped(): void {
    const still = this.provider.machines.filter((one) => one.haltedAt !== null);
    for (const machine of still) this.provider.vanish(machine, this.now);
  }

  /** An event that was delivered some time ago comes once more. A beat is on its way for a few seconds at most, an answer for a minute. */
  echo(back: number): void {
    const one = this.#echoes.at(-1 - (back % 12));
    if (one && this.now - one.at < (one.event.type === "beat" ? 4_000 : 60_000)) this.apply(one.event, "again ");
  }

  #alive(): FakeMachine[] {
    return this.provider.machines.filter((one) => isAlive(one) && one.bootAt !== null && one.bootAt <= this.now);
  }

  // ---- time ------------------------------------------------------------------------------------------------------------

  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const alarm = this.state ? nextDeadline(this.state, timings) : null;
      const timer = this.clock.next;
      const next = Math.min(alarm ?? Number.POSITIVE_INFINITY, timer);
      if (next > end) break;
      const isAlarm = alarm !== null && alarm <= timer;
      this.#idleTicks = isAlarm && next <= this.now ? this.#idleTicks + 1 : 0;
      if (this.#idleTicks > 10) this.story.check(`I2: the alarm of ${this.state.now.status} never moves`);
      this.clock.now = Math.max(this.now, next);
      if (isAlarm) this.apply({ type: "tick" });
      else this.clock.runNext();
    }
    this.clock.now = Math.max(this.now, end);
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
    const told = new Set([...this.#told].filter((epoch) => !this.#calls.lies.has(epoch)));
    this.story.check(brokenRest(this.state, this.provider.machines, told, charges, this.now));
    if (this.#wakeWanted) this.story.check(`I4: a wake was lost; the instance is ${this.state.now.status}`);
    const isUp = ["running", "snapshotting", "unreachable"].includes(this.state.now.status);
    if (this.#sleepWanted && isUp)
      this.story.check(`a sleep that was asked for was forgotten (${this.state.now.status})`);
  }

  // ---- the shell -------------------------------------------------------------------------------------------------------

  apply(event: LifecycleEvent, how = ""): void {
    const before = this.state;
    tellDamage(this.store, before, event);
    const outcome = transition(before, deepFreeze(event), { now: this.now, timings });
    if (event.type === "rented" || event.type === "seen") this.#tellOf(event.epoch);
    const isAsked = ["tick", "hold", "wake", "hibernate", "discard", "configure", "keepAwake", "letSleep"].includes(
      event.type,
    );
    if (!isAsked && how === "") this.#echoes.push({ at: this.now, event });
    this.#take(outcome, how + eventLine(event));
    this.story.check(brokenStep(before, event, outcome.state, outcome.effects));
    this.story.check(brokenSleep(before, outcome.state, { now: this.now, timings }));
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

  tell(text: string): void {
    this.story.tell(`* ${text}`);
  }

  #tellOf(epoch: number): void {
    if (this.provider.paid(this.now).some((one) => one.epoch === epoch)) this.#told.add(epoch);
  }

  #take(outcome: Outcome, what: string): void {
    this.state = deepFreeze(outcome.state);
    if (!/^(tick|beat)/.test(what) || outcome.effects.length > 0) this.story.tell(`${what} -> ${outcomeLine(outcome)}`);
    for (const effect of outcome.effects) {
      this.effects.push(effect);
      if (effect.kind === "log") {
        this.logs.push({ at: this.now, type: effect.type, params: effect.params });
        if (effect.type === "schedule_due" && effect.params.what === "wake") this.#sleepWanted = false;
        if (effect.type === "wake_failed" || effect.type === "wake_cancelled") this.#wakeWanted = false;
      } else if (effect.kind === "history") {
        tellHistory(this.store, effect.entry);
      } else if (effect.kind !== "charge") {
        this.clock.at(this.now + 50, () => this.#carryOut(effect, false));
      }
    }
    this.story.check(brokenState(this.state, timings));
    this.story.check(brokenStore(this.state, this.store, this.now));
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
    this.clock.at(this.now + latencyMs, () => {
      const event = this.#calls.outcomeOf(effect, wasCutOff);
      if (!event) return;
      if (takeOne(this.net, "cutOff")) this.clock.at(this.now + 5_000, () => this.#carryOut(effect, true));
      else this.apply(event);
    });
  }

  #mayEnd(effect: Extract<WorldEffect, { kind: "end" }>): boolean {
    if (effect.providerId === null) return true;
    const one = this.state.retiring.find((retiring) => retiring.machine.epoch === effect.epoch);
    return one !== undefined && mayEnd(this.state, one, this.now);
  }

  #reconcile(): void {
    if (!this.state || !this.provider.answers(this.now)) return;
    for (const machine of this.provider.listed(this.now)) {
      const event = this.#calls.look({ epoch: machine.epoch, label: machine.label, providerId: null });
      // A rental may be under way: what is young is left alone.
      if (event.type === "seen" && this.now - machine.createdAt > 30_000) this.apply(event);
    }
    const machine = currentMachine(this.state);
    if (machine?.facts && this.state.now.status === "failed") {
      this.apply(this.#calls.look({ ...machine, providerId: machine.facts.providerId }));
    }
  }
}
