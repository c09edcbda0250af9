/**
 * The shell around `transition`: it keeps the state of one instance, lets the pure function decide, writes state, log, outbox
 * and ledger in one transaction, then carries out what the outbox holds. Nothing else writes the state.
 */
import { allMachines } from "../../core/lifecycle/attempts.ts";
import { nextDeadline } from "../../core/lifecycle/deadlines.ts";
import type { Context, LifecycleEvent, Outcome } from "../../core/lifecycle/events.ts";
import { lookBackMs } from "../../core/lifecycle/forecast.ts";
import { defaultTimings, type Timings } from "../../core/lifecycle/timings.ts";
import { transition } from "../../core/lifecycle/transition.ts";
import type { State } from "../../core/lifecycle/types.ts";
import { explainSignals } from "../../core/lifecycle/why.ts";
import type { Glance, InstanceView } from "../../core/protocol/views.ts";
import { roleStill } from "../db/still.ts";
import type { Env } from "../env.ts";
import { Alarm } from "./alarm.ts";
import { InstanceBooks } from "./books.ts";
import { changesMoreThanTheClock, commitOf } from "./commit.ts";
import { InstanceGate } from "./gate.ts";
import { glanceOf, minutesShown } from "./glance.ts";
import type { Heard } from "./hearing.ts";
import { Knocking } from "./knocking.ts";
import { machineOf } from "./machine-of.ts";
import { metersOf } from "./meters.ts";
import { Nudges } from "./nudges.ts";
import { Outbox } from "./outbox.ts";
import { PastWakes } from "./past-wakes.ts";
import { proxyView } from "./proxy-view.ts";
import { InstanceSeries } from "./series.ts";
import { type Commit, InstanceStore, type Samples, type Saved } from "./store.ts";
import { type Live, viewOf } from "./view.ts";
import { Watchers } from "./watchers.ts";

/** An ordinary heartbeat is written once per this many intervals; the agent repeats what is not written yet. */
const beatsPerSave = 16;

export class InstanceShell {
  readonly #ctx: DurableObjectState;
  readonly #env: Env;
  readonly store: InstanceStore;
  readonly outbox: Outbox;
  readonly books: InstanceBooks;
  readonly series: InstanceSeries;
  readonly pastWakes: PastWakes;
  readonly gate: InstanceGate;
  readonly knocking: Knocking;
  readonly watchers: Watchers;
  readonly nudges: Nudges;
  readonly alarm: Alarm;
  #saved: Saved | null;
  /** What SQLite holds of the samples: only that may the agent forget. */
  #kept: Samples | null;
  #live: Live = {
    verdict: null,
    gpuUtil: null,
    lastActivityAt: null,
    lastBeatAt: null,
    clockSkewMs: null,
    progress: null,
  };

  constructor(ctx: DurableObjectState, env: Env) {
    this.#ctx = ctx;
    this.#env = env;
    this.store = new InstanceStore(ctx.storage);
    this.pastWakes = new PastWakes(env.DB);
    this.#saved = afterRest(this.store.load());
    this.#kept = this.#saved?.samples ?? null;
    this.#live.lastActivityAt = this.#kept?.lastActivityAt ?? null;
    const state = () => this.state;
    this.books = new InstanceBooks(this.store, { state, keep: (work) => this.#ctx.waitUntil(work) });
    this.series = new InstanceSeries(this.store.series);
    this.gate = new InstanceGate(env, {
      instance: () => state().instance,
      load: () => this.store.loadGate(),
      save: (row) => this.store.saveGate(row),
      keep: (work) => this.#ctx.waitUntil(work),
      onReady: () => this.knocking.notify(),
    });
    this.knocking = new Knocking({
      state: () => this.#saved?.state ?? null,
      apply: (event) => this.apply(event),
      wakeUp: () => this.wakeUp(),
      context: () => this.context(),
      books: (span) => this.books.read(span),
      progress: () => this.#live.progress,
      gate: this.gate,
      pastWakes: this.pastWakes,
    });
    this.nudges = new Nudges({
      state,
      timings: () => this.#timings(),
      nudge: (epoch) => this.gate.nudge(epoch),
      keep: (work) => this.#ctx.waitUntil(work),
    });
    this.alarm = new Alarm(ctx.storage, () =>
      this.#saved ? [nextDeadline(state(), this.#timings()), this.store.nextTaskAt()] : [],
    );
    this.watchers = new Watchers(ctx, {
      view: () => this.view(),
      roleStill: (by) => roleStill(env.DB, by),
      hurry: () => this.gate.nudge(machineOf(state())?.epoch ?? 0),
      keep: (work) => this.#ctx.waitUntil(work),
    });
    this.outbox = new Outbox(env, this.store, {
      saved: () => this.#saved,
      shown: () => {
        const [view, glance] = this.shown();
        return { view, glance, meters: metersOf(state(), view, this.#live, this.books.totals(Date.now())) };
      },
      timings: () => this.#timings(),
      apply: (event, doneRow) => this.apply(event, doneRow),
      count: (bucket, tally) => this.books.countStore(bucket, tally),
      arm: () => this.alarm.arm(),
    });
  }

  /** Null: nothing was born here. */
  get saved(): Saved | null {
    return this.#saved;
  }

  get state(): State {
    return this.#saved!.state;
  }

  get live(): Live {
    return this.#live;
  }

  /** The first state. `account`: the provider account of its first machine. */
  begin({ state, effects }: Outcome, account: string): void {
    this.store.createTables();
    this.store.accounts.note(1, account);
    const samples = { epoch: 0, ring: [], bootId: null, lastN: -1, lastActivityAt: null };
    this.commit(commitOf({ state, samples, version: 1, savedAt: Date.now() }, effects, null));
  }

  /** What a report brought. It is written with the next save of the state, and repeated by the agent until then. */
  hear({ samples, arrived, live }: Heard, now: number): void {
    const saved = this.#saved!;
    this.series.note(saved.samples.ring, arrived, now);
    this.#saved = { ...saved, samples };
    this.#live = live;
  }

  /** The last interval of this agent process that is written; -1: none. */
  intervalsKept(bootId: string | undefined): number {
    return this.#kept && bootId === this.#kept.bootId ? this.#kept.lastN : -1;
  }

  /** Decides and writes. `doneRow`: the outbox row whose outcome this event is; it goes in the same transaction. */
  apply(event: LifecycleEvent, doneRow?: number): void {
    const saved = this.#saved!;
    const now = Date.now();
    const outcome = transition(saved.state, event, this.context());
    const isOrdinary = outcome.effects.length === 0 && !changesMoreThanTheClock(saved.state, outcome.state);
    // What else is written meanwhile is no reason to leave a beat unwritten for longer: silence counts from the last one that is.
    const writtenAt = event.type === "beat" ? (this.#kept?.heardAt ?? saved.savedAt) : saved.savedAt;
    if (isOrdinary && doneRow === undefined && now - writtenAt < saveEveryMs(saved.state)) {
      this.#saved = { ...saved, state: outcome.state };
      return;
    }
    // A twin has an epoch of its own, and is where the one is that it was told of with.
    if ((event.type === "seen" || event.type === "rented") && outcome.state.epoch > saved.state.epoch)
      this.store.accounts.note(saved.state.epoch + 1, this.store.accounts.of(event.epoch));
    const next = { ...saved, state: outcome.state, version: saved.version + (isOrdinary ? 0 : 1), savedAt: now };
    const done = doneRow === undefined ? [] : [doneRow];
    if (isOrdinary) this.commit({ saved: next, logs: [], tasks: [], charges: [], done });
    else this.commit(commitOf(next, outcome.effects, this.#live.gpuUtil, doneRow));
  }

  commit(commit: Commit): void {
    const [before, after] = [this.#saved?.state, commit.saved.state];
    const series = this.series.take(before, after, Date.now());
    this.store.commit({ ...commit, ...this.books.take(before, after), ...series });
    this.series.written();
    this.#saved = commit.saved;
    this.#kept = commit.saved.samples;
    this.knocking.notify();
    this.watchers.tell();
    const machines = allMachines(commit.saved.state);
    this.gate.settle((epoch) => machines.some((one) => one.epoch === epoch));
    this.nudges.look();
  }

  /** Starts what the outbox holds without waiting for it; the alarm is the safety net if this object dies meanwhile. */
  wakeUp(): void {
    this.#ctx.waitUntil(this.alarm.arm().then(() => this.outbox.drainAll()));
  }

  view(): InstanceView {
    const { state } = this.#saved!;
    const context = this.context();
    const { ring, since } = this.#saved!.samples;
    const words = explainSignals(
      ring.at(-1),
      state.config,
      context.now,
      machineOf(state)?.facts?.gpuCount ?? null,
      since,
    );
    const books = this.books.read({ fromAt: context.now - lookBackMs, toAt: context.now });
    const cost = this.books.cost(context.now);
    const proxy = proxyView(this.#env, state, this.gate);
    const pastWakes = this.pastWakes.of(state);
    const nameOf = (actor: string) => this.store.people.nameOf(actor);
    return viewOf(state, this.#live, { books, cost, words, pastWakes, proxy, nameOf }, context);
  }

  shown(): [InstanceView, Glance] {
    const view = this.view();
    return [view, glanceOf(view, this.series.lastMinutes(minutesShown, Date.now()))];
  }

  context(): Context {
    return { now: Date.now(), timings: this.#timings() };
  }

  #timings(): Timings {
    return this.#env.LIFECYCLE_TIMINGS
      ? { ...defaultTimings, ...JSON.parse(this.#env.LIFECYCLE_TIMINGS) }
      : defaultTimings;
  }
}

/**
 * Heartbeats since the last one that is written may be lost with the memory that held them. Silence counts from the latest
 * moment at which a beat could have come without being written. Only a beat moves it: what a tick or the cron writes says
 * nothing of the agent.
 */
function afterRest(saved: Saved | null): Saved | null {
  if (saved?.state.now.status !== "running" && saved?.state.now.status !== "snapshotting") return saved;
  const heardAt = saved.samples.heardAt ?? saved.savedAt;
  const latest = Math.min(Date.now(), heardAt + saveEveryMs(saved.state));
  const lastBeatAt = Math.max(saved.state.now.lastBeatAt, latest);
  return {
    ...saved,
    samples: { ...saved.samples, heardAt },
    state: { ...saved.state, now: { ...saved.state.now, lastBeatAt } },
  };
}

/** How old the written state may become by ordinary heartbeats: in a transition never so old that it looks stalled. */
function saveEveryMs(state: State): number {
  const atRestMs = beatsPerSave * state.config.check_interval_seconds * 1000;
  return state.now.status === "running" ? atRestMs : Math.min(atRestMs, 60_000);
}
